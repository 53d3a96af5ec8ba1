/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_wire.c - connections, and how a message looks on them in each framing:
 *
 *	u32	4 bytes of length, big-endian
 *	sp	8 bytes of length, big-endian, and 4 that number the request
 *	zmtp	flags, 1 or 8 bytes of length, big-endian
 *
 * The server sends the head of an answer as that of its request was, so one
 * comparison of bytes tells that the framing, the length and the content are
 * right.
 */
#include "load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SP_HEAD ((size_t)12)
#define SP_REQUEST 0x80000001u		/* the top bit ends the way back */
#define ZMTP_GREETING ((size_t)64)
#define ZMTP_COMMAND 4
#define ZMTP_LONG 2
#define ZMTP_SHORT_MAX ((size_t)255)

static void put_u64(unsigned char *p, uint64_t value)
{
	put_u32(p, (uint32_t)(value >> 32));
	put_u32(p + 4, (uint32_t)value);
}

static uint64_t get_u64(const unsigned char *p)
{
	return (uint64_t)get_u32(p) << 32 | get_u32(p + 4);
}

size_t wire_head_len(enum framing framing, size_t size)
{
	switch (framing) {
	case FRAMING_SP:
		return SP_HEAD;
	case FRAMING_ZMTP:
		return size > ZMTP_SHORT_MAX ? 9 : 2;
	default:
		return HEAD_LEN;
	}
}

void wire_put_head(enum framing framing, unsigned char *p, size_t size)
{
	switch (framing) {
	case FRAMING_SP:
		put_u64(p, 4 + size);
		put_u32(p + 8, SP_REQUEST);
		break;
	case FRAMING_ZMTP:
		p[0] = size > ZMTP_SHORT_MAX ? ZMTP_LONG : 0;
		p[1] = (unsigned char)size;
		if (size > ZMTP_SHORT_MAX)
			put_u64(p + 1, size);
		break;
	default:
		put_u32(p, (uint32_t)size);
	}
}

void wire_send(int fd, const unsigned char *bytes, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0)
			fail("send: %m");
		bytes += n;
		len -= (size_t)n;
	}
}

void wire_recv(int fd, unsigned char *bytes, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = recv(fd, bytes, len, MSG_WAITALL);
		if (n < 0)
			fail("recv: %m");
		if (n == 0)
			fail("the server closed a connection");
		bytes += n;
		len -= (size_t)n;
	}
}

/* Who we are is a requester; the other must be a replier. */
static void greet_sp(int fd)
{
	static const unsigned char hello[] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
	static const unsigned char other[] = { 0, 'S', 'P', 0, 0, 0x31, 0, 0 };
	unsigned char got[sizeof other];

	wire_send(fd, hello, sizeof hello);
	wire_recv(fd, got, sizeof got);
	if (memcmp(got, other, sizeof got) != 0)
		fail("not the greeting of a replier in sp");
}

static void greet_zmtp(int fd)
{
	static const unsigned char ready[] =
	    "\4\x1c\5READY\xbSocket-Type\0\0\0\6DEALER";
	unsigned char greeting[ZMTP_GREETING] = { 0xff }, got[ZMTP_GREETING];
	unsigned char head[2], command[ZMTP_SHORT_MAX];

	greeting[9] = 0x7f;
	greeting[10] = 3;
	memcpy(greeting + 12, "NULL", 4);
	wire_send(fd, greeting, sizeof greeting);
	wire_recv(fd, got, sizeof got);
	if (got[0] != 0xff || got[9] != 0x7f || got[10] < 3)
		fail("not a greeting of zmtp 3");
	wire_send(fd, ready, sizeof ready - 1);
	wire_recv(fd, head, sizeof head);
	wire_recv(fd, command, head[1]);
	if (head[0] != ZMTP_COMMAND || head[1] < 6
	    || memcmp(command, "\5READY", 6) != 0)
		fail("not the READY of zmtp");
}

static void bind_source(int fd, unsigned source)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int on = 1;

	/*
	 * the port is chosen by connect, which knows what is free towards the
	 * peer
	 */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + source % 200);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		fail("bind: %m");
}

int wire_connect(const struct load *load, unsigned source)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd, on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(load->port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket: %m");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (source > 0)
		bind_source(fd, source);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		fail("connect to port %d: %m", load->port);
	if (load->framing == FRAMING_SP)
		greet_sp(fd);
	else if (load->framing == FRAMING_ZMTP)
		greet_zmtp(fd);
	return fd;
}

int wire_epoll(void)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	if (epoll < 0)
		fail("epoll_create1: %m");
	return epoll;
}

/*
 * For both and for good, by edges: so there is no call to change what is waited
 * for.
 */
void wire_watch(int epoll, int fd, void *whose)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = whose,
	};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		fail("epoll_ctl: %m");
}

void wire_tally(const struct load *load, int fd, struct tally *ret_tally)
{
	size_t len = wire_head_len(load->framing, TALLY_LEN);
	unsigned char ask[WIRE_HEAD_MAX], expected[WIRE_HEAD_MAX];
	unsigned char got[WIRE_HEAD_MAX + TALLY_LEN];

	wire_put_head(load->framing, ask, 0);
	if (load->framing != FRAMING_U32)
		wire_send(fd, ask, wire_head_len(load->framing, 0));
	else if (shutdown(fd, SHUT_WR) < 0)
		fail("shutdown: %m");
	wire_put_head(load->framing, expected, TALLY_LEN);
	wire_recv(fd, got, len + TALLY_LEN);
	if (memcmp(got, expected, len) != 0)
		fail("an answer that is no tally");
	ret_tally->frames = get_u64(got + len);
	ret_tally->bytes = get_u64(got + len + 8);
}
