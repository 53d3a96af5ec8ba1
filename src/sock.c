/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sock.c - see sock.h.
 */
#include "config.h"

#include "sock.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static ssize_t plain_read_some(int fd, const struct iovec *iov, int n, bool wait)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n,
	};
	int flags = wait ? 0 : MSG_DONTWAIT;
	ssize_t got;

	do
		got = n == 1 ? recv(fd, iov->iov_base, iov->iov_len, flags)
		    : recvmsg(fd, &msg, flags);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static ssize_t plain_write_some(int fd, const struct iovec *iov, int n, bool wait)
{
	struct msghdr msg = {
		.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n,
	};
	ssize_t sent;

	do
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static size_t plain_pending(int fd)
{
	int n = 0;

	return ioctl(fd, FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void plain_end(int fd)
{
	shutdown(fd, SHUT_WR);
}

int bp__sock_accept(int listening, struct bp__addr *ret_peer)
{
	int fd;

	ret_peer->len = sizeof ret_peer->sa;
	do
		fd = accept4(listening, (struct sockaddr *)&ret_peer->sa,
		    &ret_peer->len, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int bp__sock_open(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int bp__sock_set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

static bool is_tcp_family(int family)
{
	return family == AF_INET || family == AF_INET6;
}

static int family_of(int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof sa;

	getsockname(fd, (struct sockaddr *)&sa, &len);
	return sa.ss_family;
}

static bool is_tcp(int fd)
{
	return is_tcp_family(family_of(fd));
}

/*
 * The kernel lowers it to half the receive buffer, if that is of a fixed size. A Unix
 * socket wakes its reader all the same, and what that has then is hidden from the reaper.
 */
static void plain_set_least(int fd, size_t least)
{
	if (is_tcp(fd))
		set_int(fd, SOL_SOCKET, SO_RCVLOWAT, (int)least);
}

const struct bp__sock_ops bp__sock_plain = {
	.read_some = plain_read_some, .set_least = plain_set_least,
	.write_some = plain_write_some, .pending = plain_pending, .end = plain_end,
};

static int set_size(int fd, int option, size_t bytes)
{
	if (bytes == 0)
		return 0;
	/* the kernel doubles it, for its own overhead */
	return set_int(fd, SOL_SOCKET, option,
	    bytes < INT32_MAX ? (int)bytes : INT32_MAX);
}

int bp__sock_options(int fd, const struct bp_conn_config *config)
{
	int rc;

	if ((rc = set_size(fd, SO_RCVBUF, config->rcvbuf)) < 0
	    || (rc = set_size(fd, SO_SNDBUF, config->sndbuf)) < 0)
		return rc;
	if (is_tcp(fd)) {
		if ((rc = set_int(fd, IPPROTO_TCP, TCP_NODELAY,
		    config->nodelay == BP_ON)) < 0
		    || (rc = set_int(fd, SOL_SOCKET, SO_KEEPALIVE,
		    config->keepalive == BP_ON)) < 0)
			return rc;
		if (config->user_timeout_ms > 0
		    && (rc = set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
		    config->user_timeout_ms)) < 0)
			return rc;
	}
	return 0;
}

int bp__sock_error(int fd)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	return err == EPIPE ? -ECONNRESET : -err;	/* a reset after the peer's FIN */
}

void bp__sock_reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	if (is_tcp(fd)) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		/* a plain shutdown would send FIN first: the peer would see an end in
		 * good order, and then the reset. Not by connect(), which to thread
		 * checkers is the beginning of a descriptor, not its end */
		if (syscall(SYS_connect, fd, &none, sizeof none) == 0)
			return;
	}
	shutdown(fd, SHUT_RDWR);
}

bool bp__sock_all_taken(int fd)
{
	int left = 0;

	if (ioctl(fd, SIOCOUTQ, &left) < 0)
		return false;
	/* TCP counts the FIN as a byte, and its ACK may be delayed */
	return left <= (is_tcp(fd) ? 1 : 0);
}

static bool tcp_info(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof *info;

	memset(info, 0, sizeof *info);
	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0;
}

bool bp__sock_arrived(int fd, uint64_t *ret_bytes)
{
	struct tcp_info info;

	if (!tcp_info(fd, &info))
		return false;
	*ret_bytes = info.tcpi_bytes_received;
	return true;
}

bool bp__sock_taken(int fd, uint64_t *ret_bytes)
{
	struct tcp_info info;

	if (!tcp_info(fd, &info))
		return false;
	*ret_bytes = info.tcpi_bytes_acked;
	return true;
}

size_t bp__sock_write_max(int family)
{
	/* one blocking call: on TCP its progress can be read from outside */
	return is_tcp_family(family) ? 256 * 1024 : 16 * 1024;
}

bool bp__sock_broken(int fd)
{
	struct pollfd pollfd = { .fd = fd };

	/* POLLHUP alone is an end in good order, both ways */
	return poll(&pollfd, 1, 0) > 0 && pollfd.revents & POLLERR;
}

void bp__sock_stats(int fd, struct bp_conn_stats *ret)
{
	struct tcp_info info;

	if (fd < 0 || !tcp_info(fd, &info))
		return;
	ret->rwnd_limited_us = info.tcpi_rwnd_limited;
	ret->sndbuf_limited_us = info.tcpi_sndbuf_limited;
	ret->busy_us = info.tcpi_busy_time;
}

int bp__sock_core(int fd)
{
	socklen_t len = sizeof(int);
	int core;

	return getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &core, &len) < 0 ? -1 : core;
}
