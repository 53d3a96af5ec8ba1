/* SPDX-License-Identifier: BSD-2-Clause */
/* listen.h - from an address as text to a listening socket and its URL. */
#ifndef BPM_LISTEN_H
#define BPM_LISTEN_H

#define BPM_HOST_MAX 256

/*
 * Listen on "host:port", "[v6]:port" or ":port". ret_url is to be freed; where
 * any address is listened on, it says the loopback's. ret_host is what stood
 * before the port. Returns -EINVAL, -ENOENT (no such name), -ENOMEM, or the
 * error of a system call.
 */
int bpm_listen(int *ret_fd, char **ret_url, char ret_host[BPM_HOST_MAX],
    const char *addr);

#endif /* BPM_LISTEN_H */
