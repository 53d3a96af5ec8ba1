/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_endings.c - ends that meet something else: a peer's end while nobody takes
 * what came before it, its reset while we close, a break while we are muted.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1 << 20, A_WHILE_MS = 300 };

static void expect_line(struct bp_endpoint *ep, const char *line)
{
	struct bp_event *event = next_event(ep, BP_RECEIVED);

	CHECK_EQ(event->buf->len, strlen(line));
	CHECK(memcmp(event->buf->data, line, strlen(line)) == 0);
	bp_event_free(event);
}

static void expect_closed(struct bp_endpoint *ep, enum bp_reason reason)
{
	struct bp_event *event = next_event(ep, BP_CLOSED);

	CHECK_EQ(event->reason, reason);
	bp_event_free(event);
}

/* ---- both have ended, and we are not through ---------------------------- */

/* linger is short so that sockets are looked at often. */
static struct bp_conn *end_first(struct bp_endpoint **ret_ep, int *ret_fd,
    const struct bp_conn_ops *ops, void *data)
{
	struct bp_conn_config config = { .framer = &bp_framer_line, .ops = ops,
	    .data = data, .linger_ms = 20 };
	struct bp_conn *conn;
	char addr[ADDR_MAX];

	*ret_ep = serve(NULL, &config, addr);
	*ret_fd = peer_connect(addr);
	conn = only_conn(*ret_ep);
	if (!data)
		skip_event(*ret_ep, BP_OPENED);
	bp_conn_end(conn);
	peer_expect_fin(*ret_fd);
	peer_send_string(*ret_fd, "answer\n");
	WAIT_UNTIL(conn_stats_of(conn).received_frames == 1);
	return conn;
}

static void answered_after_our_end(bool mute)
{
	struct bp_endpoint *ep;
	struct bp_conn *conn;
	int fd;

	conn = end_first(&ep, &fd, NULL, NULL);
	if (mute)
		bp_conn_mute(conn);
	peer_close(fd);
	HOLDS_FOR_MS(conn_stats_of(conn).reason == BP_REASON_NONE, A_WHILE_MS);
	if (mute)
		bp_conn_unmute(conn);
	expect_line(ep, "answer");
	skip_event(ep, BP_ENDED);
	expect_closed(ep, BP_REASON_LOCAL);
	bp_conn_unref(conn);
	finish(ep);
}

static void test_an_answer_after_our_end_waits_for_a_slow_consumer(void)
{
	answered_after_our_end(false);
}

static void test_an_answer_after_our_end_waits_for_the_unmute(void)
{
	answered_after_our_end(true);
}

static void test_a_handler_that_is_muted_sees_the_end_when_unmuted(void)
{
	struct seen seen = { 0 };
	struct bp_endpoint *ep;
	struct bp_conn *conn;
	int fd;

	conn = end_first(&ep, &fd, &seen_ops, &seen);
	bp_conn_mute(conn);
	peer_close(fd);
	HOLDS_FOR_MS(atomic_load(&seen.ended) + atomic_load(&seen.closed) == 0,
	    A_WHILE_MS);
	bp_conn_unmute(conn);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), 1);
	CHECK_EQ(atomic_load(&seen.ended), 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_LOCAL);
	bp_conn_unref(conn);
	finish(ep);
}

/* ---- the peer breaks off while we close --------------------------------- */

static void test_what_cannot_be_written_after_close_ends_with_reset(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	char name[ADDR_MAX], addr[ADDR_MAX], *data = calloc(1, MIB);
	struct bp_conn *conn;
	uint64_t began;
	int fd;

	REQUIRE(data != NULL);
	snprintf(name, sizeof name, "unix:/tmp/bp_endings.%d", (int)getpid());
	listen_on(ep, name, NULL, addr);
	fd = peer_connect(addr);
	conn = only_conn(ep);
	skip_event(ep, BP_OPENED);
	REQUIRE_EQ(bp_send(conn, data, MIB, 0), 0);
	free(data);
	bp_conn_close(conn);
	HOLDS_FOR_MS(conn_stats_of(conn).out_bytes > 0, 50);
	began = now_ms();
	REQUIRE_EQ(shutdown(fd, SHUT_RD), 0);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(2000)), 0);
	CHECK_LE(now_ms() - began, SLOW(2000));
	expect_closed(ep, BP_REASON_RESET);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* discarding: the reader has noticed that what comes is nobody's any more */
static void reset_behind_our_end(bool discarding)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	skip_event(ep, BP_OPENED);
	bp_conn_close(conn);
	peer_expect_fin(fd);
	if (discarding) {
		peer_send_string(fd, "nobody's");
		WAIT_UNTIL(peer_unacknowledged(fd) == 0);
		HOLDS_FOR_MS(stats_of(ep).queued_events == 0, 50);
	}
	peer_reset(fd);
	expect_closed(ep, BP_REASON_LOCAL);
	bp_conn_unref(conn);
	finish(ep);
}

static void test_a_reset_behind_our_end_is_local_for_who_reads(void)
{
	reset_behind_our_end(false);
}

static void test_a_reset_behind_our_end_is_local_for_who_discards(void)
{
	reset_behind_our_end(true);
}

/* ---- it breaks while it is muted ---------------------------------------- */

static atomic_bool may_return;

static void stay(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)conn, (void)buf;
	if (atomic_load(&seen->received) == 1)
		WAIT_UNTIL(atomic_load(&may_return));
}

static void send_more_than_is_taken(struct bp_conn *conn)
{
	char *data = calloc(8, MIB);

	REQUIRE(data != NULL);
	REQUIRE_EQ(bp_send(conn, data, 8 * MIB, 0), 0);
	free(data);
}

/* The reason is there a moment before the break has come to what is queued. */
static void wait_broken(struct bp_conn *conn, enum bp_reason reason)
{
	WAIT_UNTIL(conn_stats_of(conn).reason == reason);
	HOLDS_FOR_MS(conn_stats_of(conn).reason == reason, 50);
}

/* While its handler has the first of three frames, and the others are at hand. */
static void breaks_with_frames_at_hand(bool muted_before)
{
	struct seen seen = { .on_received = stay };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen, .couple = BP_OFF, .write_ms = 200 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	peer_send_string(fd, "first\nsecond\nthird\n");
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	if (muted_before)
		bp_conn_mute(conn);
	send_more_than_is_taken(conn);
	wait_broken(conn, BP_REASON_STALLED_WRITE);
	if (!muted_before)
		bp_conn_mute(conn);
	bp_conn_unmute(conn);
	atomic_store(&may_return, true);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), 1);
	CHECK_EQ(atomic_load(&seen.ended), 0);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_STALLED_WRITE);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void test_what_breaks_while_muted_is_cut_for_good(void)
{
	breaks_with_frames_at_hand(true);
}

static void test_what_is_muted_once_broken_is_cut_for_good(void)
{
	breaks_with_frames_at_hand(false);
}

static void test_events_behind_a_break_while_muted_never_come(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_line };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	peer_send_string(fd, "first\nsecond\nthird\n");
	event = next_event(ep, BP_RECEIVED);
	WAIT_UNTIL(conn_stats_of(conn).received_frames == 3);
	bp_conn_mute(conn);
	peer_reset(fd);
	wait_broken(conn, BP_REASON_RESET);
	bp_conn_unmute(conn);
	bp_event_free(event);
	expect_closed(ep, BP_REASON_RESET);
	bp_conn_unref(conn);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_an_answer_after_our_end_waits_for_a_slow_consumer),
		TEST(test_an_answer_after_our_end_waits_for_the_unmute),
		TEST(test_a_handler_that_is_muted_sees_the_end_when_unmuted),
		TEST(test_what_cannot_be_written_after_close_ends_with_reset),
		TEST(test_a_reset_behind_our_end_is_local_for_who_reads),
		TEST(test_a_reset_behind_our_end_is_local_for_who_discards),
		TEST(test_what_breaks_while_muted_is_cut_for_good),
		TEST(test_what_is_muted_once_broken_is_cut_for_good),
		TEST(test_events_behind_a_break_while_muted_never_come),
	};

	return run_suite("endings", tests, COUNT_OF(tests), argc, argv);
}
