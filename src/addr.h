/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * addr.h - addresses as text, in and out: "host:port", "[v6]:port", ":port",
 * "unix:/path".
 */
#ifndef BP_ADDR_H
#define BP_ADDR_H

#include <bpthread.h>
#include <sys/socket.h>

#include "peer.h"

struct bp__addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

#define BP__ADDR_TEXT_MAX 128	/* of bp__addr_format(), the final 0 included */

/*
 * Resolve text into an array to be freed; to listen: ":port" is any address, else
 * it is this host. Blocks for a name. Returns -EINVAL, -ENOENT, -ENOMEM.
 */
int bp__addr_resolve(const char *text, bool to_listen, struct bp__addr **ret_addrs,
    size_t *ret_n);

/* "" if it is of no family that has a text. */
void bp__addr_format(char text[BP__ADDR_TEXT_MAX], const struct bp__addr *addr);

/* The address at our end of fd, or the peer's; of family AF_UNSPEC if it has none. */
void bp__addr_of_fd(struct bp__addr *ret_addr, int fd, bool peer);

/* Does it stand for every address of this host? */
bool bp__addr_is_any(const struct bp__addr *addr);

/* The host with that address, at the other end of fd, or its user; or of kind NONE. */
void bp__addr_key(struct bp__key *ret_key, const struct bp__addr *addr, int fd);

#endif /* BP_ADDR_H */
