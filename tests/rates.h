/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rates.h - a server whose pool has room for one LARGE frame: while that is held,
 * another waits. For the tests of what is expected of who holds it.
 */
#ifndef TEST_RATES_H
#define TEST_RATES_H

#include "corners.h"
#include "harness.h"
#include "peer.h"

#include <arpa/inet.h>

enum {
	LARGE = 600 << 10, SMALL = 20 << 10, GUARANTEE = 32 << 10, WINDOW_MS = 60,
	RATE = 16 << 10, SLOW_STEP = 32, OUT_HIGH = 4 << 20,
};

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;
static struct task *waiter;

/* What has come of the others; when, beside the one that is watched, is not said. */
static struct {
	unsigned large, ended, closed;
} others;

static inline int window_ms(void)
{
	return WINDOW_MS * slow_factor();
}

static inline void start_with(const struct bp_qdisc_ops *qdisc,
    struct bp_conn_config config)
{
	struct bp_endpoint_config ep_config = {
		.qdisc = qdisc, .budget = 1 << 20, .conns_max = 8,
		.guarantee = GUARANTEE, .peer_by = BP_PEER_KEY,
	};

	config.framer = &bp_framer_u32be;
	config.sndbuf = 64 << 10;
	config.out_high = OUT_HIGH;
	if (config.rate_ms == 0)
		config.rate_ms = window_ms();
	if (config.rate_min == 0)
		config.rate_min = RATE;
	ep = serve(&ep_config, &config, addr);
}

static inline void start(void)
{
	start_with(&bp_qdisc_fair, (struct bp_conn_config){ .rate_ms = 0 });
}

static inline int connect_one(struct bp_conn **ret_conn)
{
	int fd = peer_connect_rcvbuf(addr, 64 << 10);

	*ret_conn = take_opened(ep);
	return fd;
}

static inline void announce(int fd, uint32_t len)
{
	uint32_t header = htonl(len);

	peer_send(fd, &header, sizeof header);
}

/* Announces a LARGE frame, gets memory for it, and stalls. */
static inline int stall(struct bp_conn **ret_conn)
{
	int fd = connect_one(ret_conn);

	announce(fd, LARGE);
	WAIT_UNTIL(stats_of(ep).held_bytes >= LARGE);
	return fd;
}

static inline void send_zeros(int fd, size_t len)
{
	static const char zeros[LARGE];

	peer_send(fd, zeros, len);
}

static inline void send_large(void *arg)
{
	int fd = peer_connect(arg);

	announce(fd, LARGE);
	send_zeros(fd, LARGE);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

/* Another waits for memory from now on, or has waited: what has queued since tells. */
static inline void let_another_wait(void)
{
	struct bp_endpoint_stats before = stats_of(ep);

	memset(&others, 0, sizeof others);
	waiter = task_start(send_large, addr);
	skip_event(ep, BP_OPENED);
	WAIT_UNTIL(stats_of(ep).waiting > before.waiting
	    || stats_of(ep).queued_events > before.queued_events);
}

static inline struct bp_event *take_any(void)
{
	struct bp_event *event = NULL;

	REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
	return event;
}

static inline void note(struct bp_event *event)
{
	if (event->kind == BP_RECEIVED)
		CHECK_EQ(event->buf->len, LARGE);
	others.large += event->kind == BP_RECEIVED;
	others.ended += event->kind == BP_ENDED;
	others.closed += event->kind == BP_CLOSED;
	bp_event_free(event);
}

/* The next event of conn, of this kind; those of others are noted on the way. */
static inline struct bp_event *event_of(struct bp_conn *conn, enum bp_event_kind kind)
{
	struct bp_event *event = take_any();

	while (event->conn != conn) {
		note(event);
		event = take_any();
	}
	REQUIRE_EQ(event->kind, kind);
	return event;
}

static inline void expect_large(struct bp_conn *conn)
{
	struct bp_event *event = event_of(conn, BP_RECEIVED);

	CHECK_EQ(event->buf->len, LARGE);
	bp_event_free(event);
}

static inline void expect_closed(struct bp_conn *conn, enum bp_reason reason)
{
	struct bp_event *event = event_of(conn, BP_CLOSED);

	CHECK_EQ(event->reason, reason);
	bp_event_free(event);
	WAIT_UNTIL(stats_of(ep).ended[reason] == 1);
}

static inline void see_another_served(void)
{
	while (others.closed < 1)
		note(take_any());
	CHECK_EQ(others.large, 1);
	CHECK_EQ(others.ended, 1);
	task_join(waiter);
}

static inline void finish_all(struct bp_conn *conn, int fd)
{
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static inline bool lives(struct bp_conn *conn)
{
	return conn_stats_of(conn).reason == BP_REASON_NONE;
}

static inline void check_it_lives_on(struct bp_conn *conn)
{
	HOLDS_FOR_MS(lives(conn), 7 * window_ms());
}

/* A LARGE frame that the application has; what else waits, waits for that. */
static inline struct bp_conn *keep_large(int *ret_fd, struct bp_event **ret_event)
{
	struct bp_conn *conn;

	*ret_fd = connect_one(&conn);
	announce(*ret_fd, LARGE);
	send_zeros(*ret_fd, LARGE);
	*ret_event = next_event(ep, BP_RECEIVED);
	return conn;
}

#endif /* TEST_RATES_H */
