/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.c - the other end of the wire, on plain blocking sockets (see peer.h).
 *
 * It shares no code with the library: what it finds wrong is on the wire. Whole
 * streams are sent and checked in stream.c.
 */
#include "config.h"

#include "peer.h"

#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_MS = 10000, PIECE = 64 * 1024 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un path;
};

/* ---- making one --------------------------------------------------------- */

static socklen_t parse_address(union address *out, const char *addr)
{
	const char *colon = strrchr(addr, ':');
	char host[64];

	REQUIRE(colon != NULL);
	*out = (union address){ 0 };
	if (strncmp(addr, "unix:", 5) == 0) {
		out->path.sun_family = AF_UNIX;
		snprintf(out->path.sun_path, sizeof out->path.sun_path, "%s",
		    addr + 5);
		return sizeof out->path;
	}
	if (addr[0] == '[') {
		snprintf(host, sizeof host, "%.*s", (int)(colon - addr - 2),
		    addr + 1);
		out->v6.sin6_family = AF_INET6;
		out->v6.sin6_port = htons((uint16_t)atoi(colon + 1));
		REQUIRE_EQ(inet_pton(AF_INET6, host, &out->v6.sin6_addr), 1);
		return sizeof out->v6;
	}
	snprintf(host, sizeof host, "%.*s", (int)(colon - addr), addr);
	out->v4.sin_family = AF_INET;
	out->v4.sin_port = htons((uint16_t)atoi(colon + 1));
	REQUIRE_EQ(inet_pton(AF_INET, host, &out->v4.sin_addr), 1);
	return sizeof out->v4;
}

static int connect_with(const char *addr, int rcvbuf)
{
	union address to;
	socklen_t len = parse_address(&to, addr);
	int fd = socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err;

	REQUIRE(fd >= 0);
	peer_set_deadline(fd, SLOW(DEADLINE_MS));
	if (rcvbuf > 0)
		peer_set_option(fd, SOL_SOCKET, SO_RCVBUF, rcvbuf);
	if (connect(fd, &to.any, len) < 0) {
		err = errno;
		close(fd);
		return -err;
	}
	return fd;
}

int peer_try_connect(const char *addr)
{
	return connect_with(addr, 0);
}

int peer_connect(const char *addr)
{
	return peer_connect_rcvbuf(addr, 0);
}

int peer_connect_rcvbuf(const char *addr, int rcvbuf)
{
	int fd = connect_with(addr, rcvbuf);

	CHECK_GE(fd, 0);
	if (fd < 0)
		end_failed_test();
	return fd;
}

int peer_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	peer_set_deadline(fd, SLOW(DEADLINE_MS));
	return fd;
}

void peer_connect_socket(int fd, const char *addr)
{
	union address to;
	socklen_t len = parse_address(&to, addr);

	REQUIRE_EQ(connect(fd, &to.any, len), 0);
}

int peer_connect_from(const char *host, const char *addr)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int fd = peer_socket();

	REQUIRE_EQ(inet_pton(AF_INET, host, &from.sin_addr), 1);
	REQUIRE_EQ(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	peer_connect_socket(fd, addr);
	return fd;
}

int peer_listen(char *ret_addr)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof at;
	int fd = peer_socket();

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	REQUIRE_EQ(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	REQUIRE_EQ(listen(fd, 128), 0);
	REQUIRE_EQ(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(ret_addr, ADDR_MAX, "127.0.0.1:%d", ntohs(at.sin_port));
	return fd;
}

int peer_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	REQUIRE(fd >= 0);
	peer_set_deadline(fd, SLOW(DEADLINE_MS));
	return fd;
}

void peer_set_deadline(int fd, int ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	REQUIRE_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv), 0);
	REQUIRE_EQ(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv), 0);
}

void peer_set_option(int fd, int level, int name, int value)
{
	REQUIRE_EQ(setsockopt(fd, level, name, &value, sizeof value), 0);
}

int peer_get_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;

	REQUIRE_EQ(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

/* ---- sending ------------------------------------------------------------ */

size_t peer_send_some(int fd, const void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = send(fd, (const char *)data + done, len - done,
		    MSG_NOSIGNAL);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

void peer_send(int fd, const void *data, size_t len)
{
	REQUIRE_EQ(peer_send_some(fd, data, len), len);
}

void peer_send_string(int fd, const char *text)
{
	peer_send(fd, text, strlen(text));
}

void peer_send_u32be(int fd, const void *data, uint32_t len)
{
	uint32_t header = htonl(len);

	peer_send(fd, &header, sizeof header);
	peer_send(fd, data, len);
}

uint64_t peer_send_until_stuck(int fd, int ms)
{
	static const char zeros[PIECE];
	struct pollfd writable = { .fd = fd, .events = POLLOUT };
	uint64_t total = 0;

	while (poll(&writable, 1, ms) == 1) {
		ssize_t n = send(fd, zeros, sizeof zeros,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break;
		total += n > 0 ? (uint64_t)n : 0;
	}
	return total;
}

/* ---- receiving ---------------------------------------------------------- */

ssize_t peer_recv_some(int fd, void *data, size_t len)
{
	ssize_t n = recv(fd, data, len, 0);

	return n < 0 ? -errno : n;
}

size_t peer_unread(int fd)
{
	int n = -1;

	REQUIRE_EQ(ioctl(fd, FIONREAD, &n), 0);
	return (size_t)n;
}

size_t peer_unacknowledged(int fd)
{
	int n = -1;

	REQUIRE_EQ(ioctl(fd, SIOCOUTQ, &n), 0);
	return (size_t)n;
}

void peer_recv(int fd, void *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = peer_recv_some(fd, (char *)data + done, len - done);

		if (!CHECK_GE(n, 1))
			end_failed_test();
		done += (size_t)n;
	}
}

void peer_expect(int fd, const void *data, size_t len)
{
	char *got = malloc(len ? len : 1);

	REQUIRE(got != NULL);
	peer_recv(fd, got, len);
	REQUIRE(memcmp(got, data, len) == 0);
	free(got);
}

void peer_expect_string(int fd, const char *text)
{
	peer_expect(fd, text, strlen(text));
}

uint64_t peer_read_to_end(int fd, int *ret_end)
{
	uint64_t total = 0;
	char piece[PIECE];
	ssize_t n;

	while ((n = peer_recv_some(fd, piece, sizeof piece)) > 0)
		total += (uint64_t)n;
	if (ret_end)
		*ret_end = (int)n;
	return total;
}

void peer_expect_fin(int fd)
{
	char byte;

	CHECK_EQ(peer_recv_some(fd, &byte, 1), 0);
}

void peer_expect_reset(int fd)
{
	int end;

	peer_read_to_end(fd, &end);
	CHECK_EQ(end, -ECONNRESET);
}

/* ---- ending ------------------------------------------------------------- */

void peer_half_close(int fd)
{
	REQUIRE_EQ(shutdown(fd, SHUT_WR), 0);
}

void peer_close(int fd)
{
	REQUIRE_EQ(close(fd), 0);
}

void peer_reset(int fd)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	REQUIRE_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
	REQUIRE_EQ(close(fd), 0);
}
