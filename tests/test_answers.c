/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_answers.c - answers to what came together go out together, if whoever gives
 * them is quick; and none waits for the next of who is slow. When they go at the
 * latest: test_answers_ends.c.
 */
#include "config.h"

#include "answers.h"

/* ---- together ------------------------------------------------------------- */

static void test_answers_of_handlers_to_one_burst_go_in_one_write(void)
{
	begin_handled(NO_NET, (struct bp_conn_config){ 0 }, NULL);
	request(0, MANY);
	expect_answers(0, MANY);
	CHECK_EQ(atomic_load(&writes), 1);
	CHECK_EQ(atomic_load(&writer_writes), 0);
	CHECK_EQ(atomic_load(&withholdings), 1);
	end();
}

static void test_answers_of_a_consumer_to_one_burst_go_in_one_write(void)
{
	const int by[] = { 1, 16, MANY };

	for (size_t i = 0; i < COUNT_OF(by); i++) {
		begin_queued(NO_NET, (struct bp_conn_config){ 0 }, MANY);
		atomic_store(&writes, 0);
		consume_by(by[i]);
		CHECK_EQ(atomic_load(&writes), 1);
		CHECK_EQ(atomic_load(&writer_writes), 0);
		expect_answers(0, MANY);
		end();
	}
}

static void test_answers_go_one_by_one_where_gather_is_off(void)
{
	const struct bp_conn_config config = { .gather = BP_OFF };

	begin_handled(NO_NET, config, NULL);
	request(0, MANY);
	expect_answers(0, MANY);
	CHECK_EQ(atomic_load(&writes), MANY);
	end();
	begin_queued(NO_NET, config, MANY);
	consume_by(16);
	CHECK_EQ(atomic_load(&writes), 2 * MANY);
	CHECK_EQ(atomic_load(&withholdings), 0);
	expect_answers(0, MANY);
	end();
}

static atomic_int peer_has;

static void answer_and_wait(struct bp_conn *c, int n, bool answered)
{
	(void)c;
	if (answered)
		WAIT_UNTIL(atomic_load(&peer_has) > n);
}

static void test_answers_to_the_only_request_go_at_once(void)
{
	struct bp_event *event;

	begin_queued(NO_NET, (struct bp_conn_config){ 0 }, 1);
	event = take();
	answer(event);
	CHECK_EQ(atomic_load(&writes), 1);
	expect_answers(0, 1);
	bp_event_free(event);
	end();
	begin_handled(NO_NET, (struct bp_conn_config){ 0 }, answer_and_wait);
	request(0, 1);
	expect_answers(0, 1);
	atomic_store(&peer_has, 1);
	end();
}

/* Who has 64 KiB of them waits for no more. */
static void test_answers_that_are_withheld_are_64_kib_at_most(void)
{
	enum { ANSWER = 4096, ANSWERS = 33 };
	static char bytes[ANSWER];
	uint64_t got = 0;

	begin_queued(NO_NET, (struct bp_conn_config){ .out_high = 1 << 20,
	    .sndbuf = 1 << 20 }, MANY);
	for (int i = 0; i < ANSWERS; i++) {
		struct bp_event *event = take();

		CHECK_EQ(bp_send(conn, bytes, ANSWER, 0), 0);
		bp_event_free(event);
		CHECK_LE(bp_conn_pending(conn), 64 * 1024);
	}
	CHECK_EQ(atomic_load(&writes), 2);
	CHECK_EQ(bp_conn_pending(conn), 4 + ANSWER);
	bp_conn_close(conn);
	got = peer_read_to_end(fd, NULL);
	CHECK_EQ(got, ANSWERS * (4 + ANSWER));
	end();
}

/* ---- who is slow ---------------------------------------------------------- */

/* The first half are slow; a slow one's answer is out before the next is begun. */
static void be_slow_at_first(struct bp_conn *c, int n, bool answered)
{
	(void)c;
	if (n >= MANY / 2)
		return;
	if (answered)
		pass_us(100);
	/* that the first is slow nobody could know */
	CHECK_EQ(atomic_load(&writes), answered && n > 0 ? n + 1 : n);
}

static void test_answers_of_slow_handlers_do_not_wait_for_the_next(void)
{
	begin_handled(NO_NET, (struct bp_conn_config){ 0 }, be_slow_at_first);
	request(0, MANY);
	expect_answers(0, MANY);
	CHECK_LE(atomic_load(&writes), MANY / 2 + 3);	/* the rest go together */
	end();
}

static void test_answers_of_a_slow_consumer_do_not_wait_for_the_next(void)
{
	struct bp_event *event;

	begin_queued(NO_NET, (struct bp_conn_config){ 0 }, MANY);
	for (int i = 0; i < MANY / 2; i++) {
		event = take();
		pass_us(50);
		answer(event);
		CHECK_EQ(atomic_load(&writes), i + 1);
		bp_event_free(event);
	}
	for (int i = 0; i < MANY / 2; i++) {
		event = take();
		pass_us(49);
		answer(event);
		bp_event_free(event);
	}
	CHECK_EQ(atomic_load(&writes), MANY / 2 + 1);
	expect_answers(0, MANY);
	end();
}

/* What is quick is told from how long it is since the last one, not since all. */
static void test_answers_to_many_are_timed_one_by_one(void)
{
	struct bp_event *events[MANY];

	begin_queued(NO_NET, (struct bp_conn_config){ 0 }, MANY);
	REQUIRE_EQ(bp_receive_many(ep, events, MANY, 0), MANY);
	for (int i = 0; i < MANY; i++) {
		pass_us(i == 10 ? 1000 : 40);
		answer(events[i]);
		CHECK_EQ(atomic_load(&writes), i >= 10);
	}
	free_all(events, MANY);
	CHECK_EQ(atomic_load(&writes), 2);
	expect_answers(0, MANY);
	end();
}

/* A few milliseconds; else it would be the reaper's second. */
static void test_answers_of_a_consumer_that_stops_go_by_the_net(void)
{
	struct bp_event *event = NULL;
	uint64_t since;

	begin_queued(NET, (struct bp_conn_config){ 0 }, 5);
	for (uint64_t i = 0; i < 4; i++) {
		bp_event_free(event);
		event = take();
		if (i == 2)		/* nothing was withheld for some time */
			WAIT_UNTIL(!atomic_load(&conn->watched_withhold));
		since = now_ms();
		answer(event);			/* and this one is held */
		expect_answers(i, 1);
		CHECK_LE(now_ms() - since, SLOW(500));
	}
	CHECK_EQ(atomic_load(&writes), 0);
	CHECK_GE(atomic_load(&writer_writes), 4);
	bp_event_free(event);
	take_and_answer();
	expect_answers(4, 1);
	end();
}

/* None returns before its peer has the answer. */
static void test_answers_of_a_handler_that_stops_go_by_the_net(void)
{
	begin_handled(NET, (struct bp_conn_config){ 0 }, answer_and_wait);
	request(0, 6);
	for (uint64_t i = 0; i < 6; i++) {
		expect_answers(i, 1);
		atomic_fetch_add(&peer_has, 1);
	}
	CHECK_GE(atomic_load(&writer_writes), 1);
	end();
}

/* Who asks for the time here is the reaper: its deadline is past, so it never sleeps. */
static void test_answers_go_by_the_net_however_often_the_reaper_wakes(void)
{
	struct bp_event *event;
	unsigned asked;

	begin_queued(NET, (struct bp_conn_config){ 0 }, 2);
	atomic_store(&common_ns, now_ns() - 100 * BP__MS);
	event = take();
	answer(event);
	for (int ms = 0; ms < 20; ms++) {
		asked = atomic_load(&common_asked);
		WAIT_UNTIL(atomic_load(&common_asked) - asked >= 2);
		if (ms < 3)
			CHECK_EQ(atomic_load(&writer_writes), 0);
		atomic_fetch_add(&common_ns, BP__MS);
	}
	WAIT_UNTIL(atomic_load(&writer_writes) == 1);
	atomic_store(&common_ns, 0);
	expect_answers(0, 1);
	bp_event_free(event);
	take_and_answer();
	expect_answers(1, 1);
	end();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_answers_of_handlers_to_one_burst_go_in_one_write),
		TEST(test_answers_of_a_consumer_to_one_burst_go_in_one_write),
		TEST(test_answers_go_one_by_one_where_gather_is_off),
		TEST(test_answers_to_the_only_request_go_at_once),
		TEST(test_answers_that_are_withheld_are_64_kib_at_most),
		TEST(test_answers_of_slow_handlers_do_not_wait_for_the_next),
		TEST(test_answers_of_a_slow_consumer_do_not_wait_for_the_next),
		TEST(test_answers_to_many_are_timed_one_by_one),
		TEST(test_answers_of_a_consumer_that_stops_go_by_the_net),
		TEST(test_answers_of_a_handler_that_stops_go_by_the_net),
		TEST(test_answers_go_by_the_net_however_often_the_reaper_wakes),
	};

	return run_suite("answers", tests, COUNT_OF(tests), argc, argv);
}
