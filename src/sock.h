/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sock.h - what the library asks of a socket.
 *
 * What moves bytes goes through a table, so that something else, TLS say, can sit
 * behind it; the rest are questions and requests to the kernel's socket itself.
 * Nothing here surfaces EINTR, raises SIGPIPE, or leaks across exec (R11).
 */
#ifndef BP_SOCK_H
#define BP_SOCK_H

#include <bpthread.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "addr.h"

struct bp__sock_ops {
	/* Read some bytes into iov; wait: until there are, else -EAGAIN. 0: the peer
	 * sends no more. */
	ssize_t (*read_some)(int fd, const struct iovec *iov, int n, bool wait);
	/* Let reads wait for least bytes, where waking for fewer costs more than that. */
	void (*set_least)(int fd, size_t least);
	/* Send some of iov; wait: until all of it is taken, else -EAGAIN. */
	ssize_t (*write_some)(int fd, const struct iovec *iov, int n, bool wait);
	/* How many bytes a read would get at once. */
	size_t (*pending)(int fd);
	/* We send no more: the peer's read ends after what was written. */
	void (*end)(int fd);
};

extern const struct bp__sock_ops bp__sock_plain;

/* As accept4() and socket() with CLOEXEC, blocking and not. Negative errno. */
int bp__sock_accept(int listening, struct bp__addr *ret_peer);
int bp__sock_open(int family);
int bp__sock_set_blocking(int fd, bool blocking);

/* The options of config, before connect or listen: over TCP what is accepted inherits
 * them. */
int bp__sock_options(int fd, const struct bp_conn_config *config);

/* The error that is pending on it, as a negative errno, or 0. */
int bp__sock_error(int fd);

/*
 * End it at once, both ways, and wake who is blocked in it; on TCP the peer gets a
 * reset, at the latest when fd is closed.
 */
void bp__sock_reset(int fd);

/* After the end was sent: has the peer's kernel acknowledged every byte before it? */
bool bp__sock_all_taken(int fd);

/*
 * How many bytes the peer has taken, for telling progress while a send blocks;
 * returns false where the kernel cannot tell, and sends are kept short instead.
 */
bool bp__sock_taken(int fd, uint64_t *ret_bytes);
/* The same of what it has sent, read or not. */
bool bp__sock_arrived(int fd, uint64_t *ret_bytes);
size_t bp__sock_write_max(int family);

/* Has it broken? */
bool bp__sock_broken(int fd);

/* TCP_INFO's share of struct bp_conn_stats; zeros for others. */
void bp__sock_stats(int fd, struct bp_conn_stats *ret);

/* The core its last packet was handled on, or negative: nobody knows. */
int bp__sock_core(int fd);

#endif /* BP_SOCK_H */
