/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_stats.c - watching: numbers that are right after known traffic, of an endpoint
 * and of a connection, and bp_endpoint_each() while connections come and go.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdio.h>
#include <stdlib.h>

#define PEERS 3
#define FRAMES 10

static char addr[ADDR_MAX], bytes[300000];
static struct bp_endpoint *ep;

static struct bp_conn_config framed(void)
{
	return (struct bp_conn_config){ .framer = &bp_framer_u32be };
}

/* Frames of 0, 100, 200... bytes, of which the header is not counted. */
static void send_frames(int fd)
{
	int i;

	for (i = 0; i < FRAMES; i++)
		peer_send_u32be(fd, bytes, (uint32_t)i * 100);
}

enum { SENT_EACH = 100 * FRAMES * (FRAMES - 1) / 2 };

static void check_way_in(struct bp_conn *conn)
{
	CHECK_EQ(conn_stats_of(conn).received_bytes, SENT_EACH);
	CHECK_EQ(conn_stats_of(conn).received_frames, FRAMES);
}

static void check_received_by_all(void)
{
	WAIT_UNTIL(stats_of(ep).received_bytes == PEERS * SENT_EACH);
	CHECK_EQ(stats_of(ep).received_events, PEERS * FRAMES);
}

/* ---- the way in ----------------------------------------------------------- */

/* OPENED, ENDED and CLOSED are events, but nothing that was received. */
static void receive_all(struct bp_conn **conns)
{
	struct bp_event *event;
	int left, n = 0;

	for (left = PEERS * (FRAMES + 1); left > 0; left--) {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		if (event->kind == BP_OPENED)
			conns[n++] = bp_conn_ref(event->conn);
		bp_event_free(event);
	}
	REQUIRE_EQ(n, PEERS);
}

static void test_stats_count_what_was_received_by_a_consumer(void)
{
	struct bp_conn_config config = framed();
	struct bp_conn *conns[PEERS];
	int fds[PEERS], i;

	ep = serve(NULL, &config, addr);
	for (i = 0; i < PEERS; i++)
		send_frames(fds[i] = peer_connect(addr));
	check_received_by_all();
	CHECK_EQ(stats_of(ep).queued_events, PEERS * (FRAMES + 1));
	CHECK_EQ(stats_of(ep).queued_bytes, PEERS * SENT_EACH);
	CHECK_GE(stats_of(ep).held_bytes, PEERS * SENT_EACH);
	receive_all(conns);
	CHECK_EQ(stats_of(ep).queued_events, 0);
	CHECK_EQ(stats_of(ep).queued_bytes, 0);
	CHECK_EQ(stats_of(ep).received_events, PEERS * FRAMES);
	CHECK(stats_of(ep).wait_max_ns > 0);
	CHECK(stats_of(ep).wait_p50_ns <= stats_of(ep).wait_p99_ns);
	for (i = 0; i < PEERS; i++) {
		check_way_in(conns[i]);
		bp_conn_unref(conns[i]);
		peer_close(fds[i]);
	}
	finish(ep);
}

static void test_stats_count_what_was_received_by_a_handler(void)
{
	struct seen seen[PEERS] = { 0 };
	struct bp_conn *conn;
	int fds[PEERS], i;

	ep = new_endpoint(NULL);
	for (i = 0; i < PEERS; i++) {
		struct bp_conn_config config = framed();
		char own[ADDR_MAX];

		config.ops = &seen_ops;
		config.data = &seen[i];
		listen_on(ep, "127.0.0.1:0", &config, own);
		send_frames(fds[i] = peer_connect(own));
		WAIT_UNTIL(atomic_load(&seen[i].received) == FRAMES);
	}
	check_received_by_all();
	CHECK_EQ(stats_of(ep).queued_events, 0);
	for (i = 1; i < PEERS; i++)
		peer_close(fds[i]);
	WAIT_UNTIL(stats_of(ep).conns == 1);
	conn = only_conn(ep);
	check_way_in(conn);
	bp_conn_unref(conn);
	peer_close(fds[0]);
	finish(ep);
}

static void test_stats_held_bytes_are_those_of_its_own_connection(void)
{
	struct bp_conn_config config = framed();
	struct bp_conn *conns[2];
	struct bp_event *event;
	int fds[2], i;

	ep = serve(NULL, &config, addr);
	for (i = 0; i < 2; i++) {
		fds[i] = peer_connect(addr);
		event = next_event(ep, BP_OPENED);
		conns[i] = bp_conn_ref(event->conn);
		bp_event_free(event);
	}
	peer_send_u32be(fds[0], bytes, sizeof bytes);
	WAIT_UNTIL(stats_of(ep).queued_bytes == sizeof bytes);
	CHECK_GE(conn_stats_of(conns[0]).held_bytes, sizeof bytes);
	CHECK_EQ(conn_stats_of(conns[1]).held_bytes, 0);
	CHECK_EQ(stats_of(ep).held_bytes, conn_stats_of(conns[0]).held_bytes);
	skip_event(ep, BP_RECEIVED);
	WAIT_UNTIL(conn_stats_of(conns[0]).held_bytes == 0);
	for (i = 0; i < 2; i++) {
		bp_conn_unref(conns[i]);
		peer_close(fds[i]);
	}
	finish(ep);
}

/* ---- the way out ---------------------------------------------------------- */

static struct bp_conn *accept_one(int *ret_fd)
{
	struct bp_event *event;
	struct bp_conn *conn;

	*ret_fd = peer_connect_rcvbuf(addr, 4096);
	event = next_event(ep, BP_OPENED);
	conn = bp_conn_ref(event->conn);
	bp_event_free(event);
	return conn;
}

static void test_stats_count_what_was_sent_with_its_headers(void)
{
	struct bp_conn_config config = framed();
	struct bp_conn *conn;
	int fd, i;

	ep = serve(NULL, &config, addr);
	conn = accept_one(&fd);
	for (i = 0; i < FRAMES; i++)
		REQUIRE_EQ(bp_send(conn, bytes, 100, SLOW(8000)), 0);
	for (i = 0; i < FRAMES * 104; i++)
		peer_recv(fd, bytes, 1);
	WAIT_UNTIL(conn_stats_of(conn).sent_bytes == FRAMES * 104);
	CHECK_EQ(conn_stats_of(conn).sent_frames, FRAMES);
	CHECK_EQ(conn_stats_of(conn).out_bytes, 0);
	CHECK_EQ(stats_of(ep).sent_bytes, FRAMES * 104);
	/* it stays counted when the connection is gone */
	bp_conn_close(conn);
	peer_expect_fin(fd);
	peer_close(fd);
	skip_event(ep, BP_CLOSED);
	WAIT_UNTIL(stats_of(ep).closed == 1);
	CHECK_EQ(stats_of(ep).sent_bytes, FRAMES * 104);
	CHECK_EQ(conn_stats_of(conn).sent_bytes, FRAMES * 104);
	bp_conn_unref(conn);
	finish(ep);
}

static void test_stats_tell_the_throttle_and_what_is_to_be_sent(void)
{
	const struct bp_conn_config config = { .out_high = 100000, .sndbuf = 4096 };
	struct bp_conn_stats stats;
	struct bp_conn *conn;
	uint64_t began;
	int fd, sent;

	ep = serve(NULL, &config, addr);
	conn = accept_one(&fd);
	CHECK(!conn_stats_of(conn).throttled);
	CHECK_EQ(conn_stats_of(conn).throttled_ns, 0);
	began = now_ns();
	for (sent = 0; !bp_conn_throttled(conn); sent += 10000)
		REQUIRE_EQ(bp_send(conn, bytes, 10000, SLOW(8000)), 0);
	WAIT_UNTIL(conn_stats_of(conn).rwnd_limited_us > 0);
	stats = conn_stats_of(conn);
	CHECK(stats.throttled);
	CHECK_EQ(stats.throttles, 1);
	CHECK(stats.throttled_ns > 0 && stats.throttled_ns <= now_ns() - began);
	CHECK_EQ(stats_of(ep).throttled, 1);
	/* the writer may still move some on to the kernel */
	WAIT_UNTIL(conn_stats_of(conn).out_bytes == bp_conn_pending(conn));
	WAIT_UNTIL(stats_of(ep).out_bytes == bp_conn_pending(conn));
	CHECK_GE(stats_of(ep).out_bytes, 50000);
	/* drained, its times stand still */
	for (; sent > 0; sent -= 1000)
		peer_recv(fd, bytes, 1000);
	WAIT_UNTIL(stats_of(ep).out_bytes == 0);
	stats = conn_stats_of(conn);
	CHECK(!stats.throttled);
	CHECK_EQ(stats_of(ep).throttled, 0);
	CHECK(conn_stats_of(conn).throttled_ns == stats.throttled_ns);
	CHECK_EQ(stats.throttles, 1);
	/* the kernel's outlast the socket */
	bp_conn_abort(conn, BP_REASON_SLOW);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(8000)), 0);
	CHECK_GE(conn_stats_of(conn).rwnd_limited_us, stats.rwnd_limited_us);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- what holds it up ----------------------------------------------------- */

static void test_stats_tell_time_muted(void)
{
	struct bp_conn_stats stats;
	struct bp_conn *conn;
	uint64_t began;
	int fd;

	ep = serve(NULL, NULL, addr);
	conn = accept_one(&fd);
	CHECK_EQ(conn_stats_of(conn).muted_ns, 0);
	began = now_ns();
	bp_conn_mute(conn);
	bp_conn_mute(conn);
	CHECK(conn_stats_of(conn).muted);
	CHECK_EQ(stats_of(ep).muted, 1);
	WAIT_UNTIL(conn_stats_of(conn).muted_ns > 2000000);
	bp_conn_unmute(conn);
	bp_conn_unmute(conn);
	stats = conn_stats_of(conn);
	CHECK(!stats.muted);
	CHECK(stats.muted_ns <= now_ns() - began);
	CHECK(conn_stats_of(conn).muted_ns == stats.muted_ns);
	CHECK_EQ(stats_of(ep).muted, 0);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void test_stats_tell_who_waits_at_the_gate_and_how_long(void)
{
	const struct bp_endpoint_config ep_config = { .budget = 800000, .conns_max = 2 };
	struct bp_conn_config config = framed();
	struct bp_conn_stats stats;
	struct bp_conn *conn;
	uint64_t began;
	int fd, i;

	ep = serve(&ep_config, &config, addr);
	conn = accept_one(&fd);
	began = now_ns();
	for (i = 0; i < 3; i++)		/* there is room for two */
		peer_send_u32be(fd, bytes, sizeof bytes);
	WAIT_UNTIL(conn_stats_of(conn).waiting);
	CHECK_EQ(stats_of(ep).queued_events, 2);
	CHECK_EQ(stats_of(ep).waiting, 1);
	WAIT_UNTIL(conn_stats_of(conn).gate_ns > 2000000);
	for (i = 0; i < 3; i++)
		skip_event(ep, BP_RECEIVED);
	stats = conn_stats_of(conn);
	CHECK(!stats.waiting);
	CHECK(stats.gate_ns > 2000000 && stats.gate_ns <= now_ns() - began);
	CHECK_EQ(stats_of(ep).waiting, 0);
	CHECK_EQ(stats_of(ep).futile_wakeups, 0);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- connections, ever ---------------------------------------------------- */

static int refuse(int fd, void *data)
{
	(void)fd, (void)data;
	return -1;
}

static void test_stats_count_connections(void)
{
	const struct bp_conn_config refusing = { .setup = refuse };
	struct bp_conn *conn;
	char other[ADDR_MAX];
	int fds[2], i;

	ep = serve(NULL, NULL, addr);
	listen_on(ep, "127.0.0.1:0", &refusing, other);
	CHECK_EQ(stats_of(ep).opened, 0);
	for (i = 0; i < 2; i++) {
		fds[i] = peer_connect(addr);
		skip_event(ep, BP_OPENED);
	}
	peer_close(peer_connect(other));
	WAIT_UNTIL(stats_of(ep).refused == 1);
	CHECK_EQ(stats_of(ep).opened, 2);
	WAIT_UNTIL(stats_of(ep).conns == 2);	/* its place came back */
	CHECK_EQ(stats_of(ep).closed, 0);
	peer_reset(fds[0]);
	skip_event(ep, BP_CLOSED);
	WAIT_UNTIL(stats_of(ep).closed == 1);
	WAIT_UNTIL(stats_of(ep).conns == 1);
	conn = only_conn(ep);
	CHECK_EQ(conn_stats_of(conn).reason, BP_REASON_NONE);
	peer_close(fds[1]);
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
	WAIT_UNTIL(stats_of(ep).closed == 2);
	CHECK_EQ(conn_stats_of(conn).reason, BP_REASON_PEER);
	CHECK_EQ(stats_of(ep).opened, 2);
	CHECK_EQ(stats_of(ep).refused, 1);
	bp_conn_unref(conn);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_stats_count_what_was_received_by_a_consumer),
		TEST(test_stats_count_what_was_received_by_a_handler),
		TEST(test_stats_held_bytes_are_those_of_its_own_connection),
		TEST(test_stats_count_what_was_sent_with_its_headers),
		TEST(test_stats_tell_the_throttle_and_what_is_to_be_sent),
		TEST(test_stats_tell_time_muted),
		TEST(test_stats_tell_who_waits_at_the_gate_and_how_long),
		TEST(test_stats_count_connections),
	};

	return run_suite("stats", tests, COUNT_OF(tests), argc, argv);
}
