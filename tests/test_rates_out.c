/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_rates_out.c - a throttled connection's events are passed over; if they hold
 * memory that others wait for, its peer has to read what it is sent, at rate_min.
 */
#include "config.h"

#include "rates.h"

/* ---- a throttled connection ---------------------------------------------- */

/* One frame of its is queued; then it is sent more than its peer takes. */
static int throttle(struct bp_conn **ret_conn, uint32_t len)
{
	static const char zeros[64 << 10];
	int fd = connect_one(ret_conn);

	announce(fd, len);
	send_zeros(fd, len);
	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	while (!bp_conn_throttled(*ret_conn))
		CHECK_EQ(bp_send(*ret_conn, zeros, sizeof zeros, 0), 0);
	return fd;
}

static void test_throttled_one_that_holds_memory_is_ended_while_others_wait(void)
{
	uint64_t began = now_ms();
	struct bp_conn *conn;
	int fd;

	start();
	fd = throttle(&conn, LARGE);
	let_another_wait();
	expect_large(conn);		/* what it has sent is not lost with it */
	expect_closed(conn, BP_REASON_STALLED_WRITE);
	CHECK_GE(now_ms() - began, 2 * window_ms() - 1);
	see_another_served();
	finish_all(conn, fd);
}

static void test_throttled_one_is_not_ended_before_others_wait(void)
{
	struct bp_conn *conn;
	int fd;

	start();
	fd = throttle(&conn, LARGE);
	check_it_lives_on(conn);
	let_another_wait();
	expect_large(conn);
	expect_closed(conn, BP_REASON_STALLED_WRITE);
	see_another_served();
	finish_all(conn, fd);
}

static void test_throttled_one_within_its_guarantee_is_not_ended(void)
{
	struct bp_conn *holds, *conn;
	struct bp_event *kept;
	int holder, fd;

	start();
	holds = keep_large(&holder, &kept);
	let_another_wait();
	fd = throttle(&conn, SMALL);
	check_it_lives_on(conn);
	bp_conn_abort(conn, BP_REASON_ABORT);
	expect_closed(conn, BP_REASON_ABORT);
	bp_event_free(kept);
	see_another_served();
	bp_conn_unref(holds);
	peer_close(holder);
	finish_all(conn, fd);
}

/* Its peer reads that much every few milliseconds. */
static void read_slowly(struct slow_reader *reader, int fd, size_t step)
{
	reader->fd = fd;
	atomic_store(&reader->step, step);
	atomic_store(&reader->pause_ms, SLOW(5));
	slow_reader_start(reader);
}

static void read_the_rest(struct slow_reader *reader)
{
	atomic_store(&reader->step, 64 << 10);
	atomic_store(&reader->pause_ms, 0);
	slow_reader_join(reader);
}

static void test_throttled_one_whose_peer_reads_steadily_is_not_ended(void)
{
	struct slow_reader reader = { .end = 0 };
	int fd, measured = 4 * window_ms();
	struct bp_conn *conn;

	/* so small a window opens by half of it at a time: measure for longer */
	start_with(&bp_qdisc_fair, (struct bp_conn_config){ .rate_ms = measured });
	fd = throttle(&conn, LARGE);
	read_slowly(&reader, fd, 8 << 10);
	let_another_wait();
	HOLDS_FOR_MS(lives(conn) && bp_conn_throttled(conn), 3 * measured);
	bp_conn_abort(conn, BP_REASON_ABORT);	/* which loses what is queued */
	expect_closed(conn, BP_REASON_ABORT);
	read_the_rest(&reader);
	see_another_served();
	finish_all(conn, fd);
}

static void test_throttled_one_whose_peer_reads_too_slowly_is_ended(void)
{
	struct slow_reader reader = { .end = 0 };
	struct bp_conn *conn;
	int fd;

	start();
	fd = throttle(&conn, LARGE);
	read_slowly(&reader, fd, SLOW_STEP);
	let_another_wait();
	expect_large(conn);
	expect_closed(conn, BP_REASON_STALLED_WRITE);
	read_the_rest(&reader);
	see_another_served();
	finish_all(conn, fd);
}

/* Not coupled: its next frame waits for the memory of the first. Nobody else does. */
static void test_throttled_one_that_alone_waits_is_not_ended(void)
{
	struct bp_conn *conn;
	int fd;

	start_with(&bp_qdisc_fair, (struct bp_conn_config){ .couple = BP_OFF });
	fd = throttle(&conn, LARGE);
	announce(fd, LARGE);
	WAIT_UNTIL(stats_of(ep).waiting == 1);
	check_it_lives_on(conn);
	expect_large(conn);
	send_zeros(fd, LARGE);
	expect_large(conn);
	finish_all(conn, fd);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_throttled_one_that_holds_memory_is_ended_while_others_wait),
		TEST(test_throttled_one_is_not_ended_before_others_wait),
		TEST(test_throttled_one_within_its_guarantee_is_not_ended),
		TEST(test_throttled_one_whose_peer_reads_steadily_is_not_ended),
		TEST(test_throttled_one_whose_peer_reads_too_slowly_is_ended),
		TEST(test_throttled_one_that_alone_waits_is_not_ended),
	};

	return run_suite("rates_out", tests, COUNT_OF(tests), argc, argv);
}
