/* SPDX-License-Identifier: BSD-2-Clause */
/* corners.c - situations that take a few steps to get into. */
#include "config.h"

#include "corners.h"
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

int narrow_connect(const char *addr)
{
	int fd = peer_connect_rcvbuf(addr, NARROW);

	peer_set_option(fd, SOL_SOCKET, SO_SNDBUF, NARROW);
	return fd;
}

struct bp_conn_config narrow_config(void)
{
	return (struct bp_conn_config){
		.framer = &bp_framer_u32be, .rcvbuf = NARROW, .sndbuf = NARROW,
		.out_high = 64 << 10, .frame_max = 64 << 10,
	};
}

struct bp_conn *take_opened(struct bp_endpoint *ep)
{
	struct bp_event *event = next_event(ep, BP_OPENED);
	struct bp_conn *conn = bp_conn_ref(event->conn);

	bp_event_free(event);
	return conn;
}

size_t fill_out_queue(struct bp_conn *conn)
{
	static const char zeros[8 << 10];
	size_t sent = 0;
	int rc;

	/* A window that opens at all does so at once: nobody reads. */
	while ((rc = bp_send(conn, zeros, sizeof zeros, 50)) == 0)
		sent += sizeof zeros;
	REQUIRE_EQ(rc, -ETIMEDOUT);
	REQUIRE(bp_conn_throttled(conn));
	return sent;
}

static int fill_one(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
		REQUIRE_EQ(errno, EINPROGRESS);
	return fd;
}

void black_hole_open(struct black_hole *hole)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	socklen_t len = sizeof to;
	struct pollfd last;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	hole->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE(hole->listener >= 0);
	REQUIRE(bind(hole->listener, (struct sockaddr *)&to, sizeof to) == 0);
	REQUIRE(listen(hole->listener, 0) == 0);
	REQUIRE(getsockname(hole->listener, (struct sockaddr *)&to, &len) == 0);
	snprintf(hole->addr, sizeof hole->addr, "127.0.0.1:%d", ntohs(to.sin_port));
	for (size_t i = 0; i < COUNT_OF(hole->fillers); i++)
		hole->fillers[i] = fill_one(&to);
	last = (struct pollfd){ hole->fillers[COUNT_OF(hole->fillers) - 1], POLLOUT, 0 };
	if (poll(&last, 1, 50) != 0)
		skip_test("a full backlog does not make connecting wait here");
}

void black_hole_close(struct black_hole *hole)
{
	for (size_t i = 0; i < COUNT_OF(hole->fillers); i++)
		peer_close(hole->fillers[i]);
	peer_close(hole->listener);
}

void push_until_cut(void *arg)
{
	static const char zeros[64 << 10];
	int fd = peer_connect(arg);

	while (peer_send_some(fd, zeros, sizeof zeros) == sizeof zeros)
		;
	peer_close(fd);
}

uint64_t stop_limit_ms(int grace_ms, size_t conns)
{
	return (uint64_t)grace_ms + (uint64_t)SLOW(250) + SLOW(conns) / 10;
}

uint64_t timed_stop(struct bp_endpoint *ep, int grace_ms, int *ret_rc)
{
	uint64_t start = now_ms();

	*ret_rc = bp_endpoint_stop(ep, grace_ms);
	return now_ms() - start;
}

void stop_in_time(struct bp_endpoint *ep, int grace_ms)
{
	size_t conns = stats_of(ep).conns;
	int rc;

	CHECK_LE(timed_stop(ep, grace_ms, &rc), stop_limit_ms(grace_ms, conns));
	CHECK_EQ(rc, 0);
}
