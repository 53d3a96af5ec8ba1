/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_rates.c - a frame that was granted memory others wait for has to come, at
 * rate_min. It is not ended while nobody waits, nor within its grace, nor for what its
 * guarantee covers. What a throttled connection has to do is in test_rates_out.c.
 */
#include "config.h"

#include "rates.h"

#include <poll.h>

enum { FAST = 4096, LATE_MS = 250 };

/* ---- a frame that is read ------------------------------------------------ */

static void stalled_while_another_waits(const struct bp_qdisc_ops *qdisc)
{
	/* so short a deadline, whatever of, has all be looked at as often */
	struct bp_conn_config config = { .header_ms = 10 * slow_factor() };
	struct bp_conn *conn;
	uint64_t began, lasted;
	int fd;

	start_with(qdisc, config);
	began = now_ms();
	fd = stall(&conn);
	let_another_wait();
	expect_closed(conn, BP_REASON_STALLED_FRAME);
	lasted = now_ms() - began;
	CHECK_GE(lasted, 2 * window_ms() - 1);	/* its grace, and what is measured */
	CHECK_LE(lasted, 4 * window_ms() + SLOW(LATE_MS));
	see_another_served();
	finish_all(conn, fd);
}

static void test_stalled_frame_is_ended_while_others_wait(void)
{
	stalled_while_another_waits(&bp_qdisc_fair);
	stalled_while_another_waits(&bp_qdisc_prio);
	stalled_while_another_waits(&bp_qdisc_bytes);
}

static void test_stalled_frame_is_not_ended_before_others_wait(void)
{
	struct bp_conn *conn;
	int fd;

	start();
	fd = stall(&conn);
	check_it_lives_on(conn);
	let_another_wait();
	expect_closed(conn, BP_REASON_STALLED_FRAME);
	see_another_served();
	finish_all(conn, fd);
}

static void test_stalled_frame_within_its_guarantee_is_not_ended(void)
{
	struct bp_conn *holds, *conn;
	struct bp_event *kept;
	int holder, fd;

	start();
	holds = keep_large(&holder, &kept);
	let_another_wait();
	fd = connect_one(&conn);
	announce(fd, SMALL);
	WAIT_UNTIL(stats_of(ep).held_bytes >= LARGE + SMALL);
	check_it_lives_on(conn);
	send_zeros(fd, SMALL);
	bp_event_free(event_of(conn, BP_RECEIVED));
	CHECK(lives(holds));
	bp_event_free(kept);
	see_another_served();
	bp_conn_unref(holds);
	peer_close(holder);
	finish_all(conn, fd);
}

/* Sends step bytes for each few milliseconds, until all is sent or it is cut off. */
static struct {
	int fd;
	size_t step;
} trickle;

static void send_slowly(void *arg)
{
	static const char zeros[LARGE];
	uint64_t began = now_ms();
	size_t sent = 0, due, n;

	(void)arg;
	while (sent < LARGE) {
		/* by the clock: a thread that is kept waiting makes up for it */
		due = (size_t)((now_ms() - began) / (uint64_t)SLOW(5) + 1) * trickle.step;
		n = (due < LARGE ? due : LARGE) - sent;
		if (peer_send_some(trickle.fd, zeros, n) < n)
			return;
		sent += n;
		poll(NULL, 0, SLOW(5));
	}
}

static struct task *start_trickle(int fd, size_t step)
{
	trickle.fd = fd;
	trickle.step = step;
	return task_start(send_slowly, NULL);
}

/* 150 steps: some twelve windows, all above RATE */
static void test_steady_frame_is_not_ended_though_others_wait(void)
{
	struct bp_conn *conn;
	struct task *sending;
	int fd;

	start();
	fd = stall(&conn);
	sending = start_trickle(fd, FAST);
	let_another_wait();
	expect_large(conn);
	CHECK(lives(conn));
	task_join(sending);
	see_another_served();
	finish_all(conn, fd);
}

/* What it was like while nobody minded is not held against it. */
static void test_frame_that_stalled_before_others_waited_may_go_on(void)
{
	int fd, measured = 2 * window_ms();
	struct bp_conn *conn;
	struct task *sending;

	start_with(&bp_qdisc_fair, (struct bp_conn_config){
		.rate_ms = measured, .rate_min = (100 << 10) / (size_t)slow_factor(),
	});
	fd = stall(&conn);
	for (int i = 0; i < 6; i++)
		check_it_lives_on(conn);
	sending = start_trickle(fd, FAST);	/* eight times that */
	HOLDS_FOR_MS(lives(conn), 2 * measured);
	let_another_wait();
	expect_large(conn);
	CHECK(lives(conn));
	task_join(sending);
	see_another_served();
	finish_all(conn, fd);
}

/* Bytes come all the time; it is their rate that counts. */
static void test_frame_that_trickles_is_ended_while_others_wait(void)
{
	struct bp_conn *conn;
	struct task *sending;
	int fd;

	start();
	fd = stall(&conn);
	sending = start_trickle(fd, SLOW_STEP);
	let_another_wait();
	expect_closed(conn, BP_REASON_STALLED_FRAME);
	task_join(sending);
	see_another_served();
	finish_all(conn, fd);
}

/* It is we who do not read: what counts begins anew with the unmute. */
static void test_frame_of_a_muted_connection_is_not_ended(void)
{
	struct bp_conn *conn;
	uint64_t began;
	int fd;

	start();
	fd = stall(&conn);
	bp_conn_mute(conn);
	let_another_wait();
	check_it_lives_on(conn);
	began = now_ms();
	bp_conn_unmute(conn);
	expect_closed(conn, BP_REASON_STALLED_FRAME);
	CHECK_GE(now_ms() - began, window_ms() - 1);
	see_another_served();
	finish_all(conn, fd);
}

/* It was charged to whom it was then; that is what others wait for. */
static void test_stalled_frame_is_ended_though_its_peer_is_another_now(void)
{
	struct bp_conn *conn;
	int fd;

	start();
	fd = stall(&conn);
	CHECK_EQ(bp_conn_set_peer(conn, 7, 0, 0), 0);
	let_another_wait();
	expect_closed(conn, BP_REASON_STALLED_FRAME);
	see_another_served();
	finish_all(conn, fd);
}

static void stalls_for_ever(struct bp_conn_config config)
{
	struct bp_conn *conn;
	int fd;

	start_with(&bp_qdisc_fair, config);
	fd = stall(&conn);
	let_another_wait();
	check_it_lives_on(conn);
	send_zeros(fd, LARGE);
	expect_large(conn);
	see_another_served();
	finish_all(conn, fd);
}

static void test_rate_is_switched_off_by_forever_and_unlimited(void)
{
	stalls_for_ever((struct bp_conn_config){ .rate_ms = BP_FOREVER });
	stalls_for_ever((struct bp_conn_config){ .rate_min = BP_UNLIMITED });
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_stalled_frame_is_ended_while_others_wait),
		TEST(test_stalled_frame_is_not_ended_before_others_wait),
		TEST(test_stalled_frame_within_its_guarantee_is_not_ended),
		TEST(test_steady_frame_is_not_ended_though_others_wait),
		TEST(test_frame_that_stalled_before_others_waited_may_go_on),
		TEST(test_frame_that_trickles_is_ended_while_others_wait),
		TEST(test_frame_of_a_muted_connection_is_not_ended),
		TEST(test_stalled_frame_is_ended_though_its_peer_is_another_now),
		TEST(test_rate_is_switched_off_by_forever_and_unlimited),
	};

	return run_suite("rates", tests, COUNT_OF(tests), argc, argv);
}
