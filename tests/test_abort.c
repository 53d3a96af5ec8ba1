/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_abort.c - from an abort on nothing is sent and nothing delivered but one
 * CLOSED with the reason given; on TCP the peer gets a reset (P5).
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdio.h>
#include <unistd.h>

static char addr[ADDR_MAX];

static void check_one_closed(struct bp_endpoint *ep, enum bp_reason reason)
{
	struct bp_event *event = next_event(ep, BP_CLOSED);

	CHECK_EQ(event->reason, reason);
	CHECK_EQ(conn_stats_of(event->conn).reason, reason);
	bp_event_free(event);
	CHECK_EQ(bp_receive(ep, &event, 0), -EAGAIN);
}

/* P5, P3: each reason the header has can be given, and is told */
static void test_abort_tells_the_reason_that_was_given(void)
{
	struct bp_endpoint *ep = serve(NULL, NULL, addr);

	for (int why = BP_REASON_LOCAL; why <= BP_REASON_NO_MEMORY; why++) {
		int fd = peer_connect(addr);
		struct bp_conn *conn = take_opened(ep);

		bp_conn_abort(conn, (enum bp_reason)why);
		check_one_closed(ep, (enum bp_reason)why);
		CHECK(strlen(bp_reason_name((enum bp_reason)why)) > 0);
		peer_expect_reset(fd);
		bp_conn_unref(conn);
		peer_close(fd);
	}
	finish(ep);
}

/* P5: frames that were queued, and one that is in the hand of somebody */
static void test_abort_drops_what_was_queued(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_line };
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = take_opened(ep);
	struct bp_event *event;

	peer_send_string(fd, "one\ntwo\nthree\n");
	WAIT_UNTIL(stats_of(ep).queued_events == 3);
	event = next_event(ep, BP_RECEIVED);
	bp_conn_abort(conn, BP_REASON_LIMIT);
	CHECK_EQ(bp_send(conn, "x", 1, BP_FOREVER), -EPIPE);
	CHECK(memcmp(event->buf->data, "one", 3) == 0);
	peer_expect_reset(fd);
	bp_event_free(event);
	check_one_closed(ep, BP_REASON_LIMIT);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* P5: nothing more is sent of what was accepted */
static void test_abort_drops_what_was_to_be_sent(void)
{
	struct bp_conn_config config = narrow_config();
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = narrow_connect(addr), end;
	struct bp_conn *conn = take_opened(ep);
	size_t sent = fill_out_queue(conn), pending = bp_conn_pending(conn);

	bp_conn_abort(conn, BP_REASON_SLOW);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(5000)), 0);
	CHECK_LE(peer_read_to_end(fd, &end), sent - pending + sent / 100);
	CHECK_EQ(end, -ECONNRESET);
	check_one_closed(ep, BP_REASON_SLOW);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static atomic_bool go_on;

static void wait_to_go_on(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)buf, (void)seen;
	WAIT_UNTIL(atomic_load(&go_on));
	CHECK_EQ(bp_send(conn, "late", 4, BP_FOREVER), -EPIPE);
}

/* P5: while a handler runs; at the latest when it returns the peer has its reset */
static void test_abort_while_a_handler_runs_resets_when_it_returns(void)
{
	struct seen seen = { .on_received = wait_to_go_on };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	peer_send_string(fd, "first\nsecond\nthird\n");
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	bp_conn_abort(conn, BP_REASON_PROTOCOL);
	CHECK_EQ(bp_conn_wait_closed(conn, 50), -ETIMEDOUT);
	CHECK_EQ(atomic_load(&seen.closed), 0);
	atomic_store(&go_on, true);
	peer_expect_reset(fd);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(5000)), 0);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), 1);
	CHECK_EQ(atomic_load(&seen.ended), 0);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_PROTOCOL);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* P5: the first that held is told, and one CLOSED comes whatever follows */
static void test_abort_is_idempotent_and_may_follow_close(void)
{
	struct bp_conn_config config = narrow_config();
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = narrow_connect(addr);
	struct bp_conn *conn = take_opened(ep);
	struct bp_event *event;
	uint64_t start;

	fill_out_queue(conn);
	bp_conn_close(conn);
	bp_conn_close(conn);
	HOLDS_FOR_MS(bp_receive(ep, &event, 0) == -EAGAIN, 50);
	start = now_ms();
	bp_conn_abort(conn, BP_REASON_SLOW);
	bp_conn_abort(conn, BP_REASON_LIMIT);
	bp_conn_close(conn);
	bp_conn_end(conn);
	check_one_closed(ep, BP_REASON_SLOW);
	CHECK_LE(now_ms() - start, SLOW(1000));
	peer_expect_reset(fd);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static atomic_bool set_up, aborted;

static int wait_for_abort(int fd, void *data)
{
	(void)fd, (void)data;
	atomic_store(&set_up, true);
	WAIT_UNTIL(atomic_load(&aborted));
	return 0;
}

/* Before connect(2) was called, that is: to where nobody would ever answer. */
static void test_abort_ends_what_is_about_to_be_connected(void)
{
	const struct bp_conn_config config = { .setup = wait_for_abort };
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct black_hole hole;
	struct bp_conn *conn;

	black_hole_open(&hole);
	REQUIRE_EQ(bp_connect(ep, &conn, hole.addr, &config, 0), 0);
	WAIT_UNTIL(atomic_load(&set_up));
	bp_conn_abort(conn, BP_REASON_LIMIT);
	atomic_store(&aborted, true);
	check_one_closed(ep, BP_REASON_LIMIT);
	bp_conn_unref(conn);
	black_hole_close(&hole);
	finish(ep);
}

/* P5: a Unix socket has no reset; the peer sees the end */
static void test_abort_on_a_unix_socket_is_the_end(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	char name[ADDR_MAX];
	struct bp_conn *conn;
	int fd, end = 0;

	snprintf(name, sizeof name, "unix:/tmp/bp_abort.%d", (int)getpid());
	listen_on(ep, name, NULL, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	bp_conn_abort(conn, BP_REASON_ABORT);
	check_one_closed(ep, BP_REASON_ABORT);
	CHECK_EQ(peer_read_to_end(fd, &end), 0);
	CHECK(end == 0 || end == -ECONNRESET);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_abort_tells_the_reason_that_was_given),
		TEST(test_abort_drops_what_was_queued),
		TEST(test_abort_drops_what_was_to_be_sent),
		TEST(test_abort_while_a_handler_runs_resets_when_it_returns),
		TEST(test_abort_is_idempotent_and_may_follow_close),
		TEST(test_abort_ends_what_is_about_to_be_connected),
		TEST(test_abort_on_a_unix_socket_is_the_end),
	};

	return run_suite("abort", tests, COUNT_OF(tests), argc, argv);
}
