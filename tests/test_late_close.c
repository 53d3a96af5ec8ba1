/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_late_close.c - a close or an abort of ours comes when the connection has ended
 * by itself already, with whole frames still to be received: from then on nothing is
 * delivered but its CLOSED (P5), which says what it would have said.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static void close_it(struct bp_conn *conn)
{
	bp_conn_close(conn);
}

static void abort_it(struct bp_conn *conn)
{
	bp_conn_abort(conn, BP_REASON_ABORT);
}

static void truncate_it(int fd)
{
	peer_send_string(fd, "a piece of a frame");
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

static void leave_it_idle(int fd)
{
	peer_expect_reset(fd);		/* idle_ms */
	peer_close(fd);
}

static void break_it(int fd)
{
	peer_reset(fd);
}

/* Two frames are queued, one is held; it ends; then we end it. */
static void check_late(void (*peer_ends)(int fd), enum bp_reason reason,
    void (*we_end)(struct bp_conn *conn))
{
	const struct bp_conn_config config = {
		.framer = &bp_framer_line,
		.idle_ms = reason == BP_REASON_IDLE ? 50 : BP_FOREVER,
	};
	struct bp_event *held, *event;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	skip_event(ep, BP_OPENED);
	peer_send_string(fd, "one\ntwo\nthree\n");
	held = next_event(ep, BP_RECEIVED);
	WAIT_UNTIL(stats_of(ep).queued_events == 2);
	peer_ends(fd);
	WAIT_UNTIL(stats_of(ep).queued_events == 3);	/* CLOSED is queued, too */
	we_end(held->conn);
	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	bp_event_free(held);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, reason);
	bp_event_free(event);
	finish(ep);
}

static void test_late_close_of_a_truncated_connection_drops_its_frames(void)
{
	check_late(truncate_it, BP_REASON_TRUNCATED, close_it);
	check_late(truncate_it, BP_REASON_TRUNCATED, abort_it);
}

static void test_late_close_of_an_idle_connection_drops_its_frames(void)
{
	check_late(leave_it_idle, BP_REASON_IDLE, close_it);
	check_late(leave_it_idle, BP_REASON_IDLE, abort_it);
}

static void test_late_close_of_a_broken_connection_drops_its_frames(void)
{
	check_late(break_it, BP_REASON_RESET, close_it);
	check_late(break_it, BP_REASON_RESET, abort_it);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_late_close_of_a_truncated_connection_drops_its_frames),
		TEST(test_late_close_of_an_idle_connection_drops_its_frames),
		TEST(test_late_close_of_a_broken_connection_drops_its_frames),
	};

	return run_suite("late_close", tests, COUNT_OF(tests), argc, argv);
}
