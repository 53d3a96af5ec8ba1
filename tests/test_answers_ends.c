/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_answers_ends.c - answers that are withheld go: when nothing is left to be
 * answered, when they are many, when somebody mutes or closes; else by the reaper's
 * net; not at all after an abort. And other threads' frames stay out of them.
 */
#include "config.h"

#include "answers.h"

#include "tagged.h"

/* ---- when they go --------------------------------------------------------- */

static void free_one(void *event)
{
	bp_event_free(event);
}

/* In whatever order, and on whatever thread. */
static void test_answers_go_with_the_last_event_that_is_freed(void)
{
	struct bp_event *events[3];

	for (int last = 0; last < 3; last++) {
		begin_queued(NO_NET, (struct bp_conn_config){ 0 }, 3);
		atomic_store(&writes, 0);
		REQUIRE_EQ(bp_receive_many(ep, events, 3, 0), 3);
		for (int i = 0; i < 3; i++)
			answer(events[i]);
		bp_event_free(events[(last + 1) % 3]);
		bp_event_free(events[(last + 2) % 3]);
		CHECK_EQ(atomic_load(&writes), 0);
		CHECK_EQ(bp_conn_pending(conn), 3 * WIRE);
		task_join(task_start(free_one, events[last]));
		CHECK_EQ(atomic_load(&writes), 1);
		expect_answers(0, 3);
		end();
	}
}

static uint64_t now_there;

static void answer_here(void *event)
{
	stopped_ns = now_there;		/* quick it is */
	answer(event);
}

/* Nobody knows when who has not taken them will be through. */
static void test_answers_of_who_has_not_taken_the_event_go_at_once(void)
{
	struct bp_event *events[3];

	begin_queued(NO_NET, (struct bp_conn_config){ 0 }, 3);
	REQUIRE_EQ(bp_receive_many(ep, events, 3, 0), 3);
	now_there = stopped_ns;
	for (int i = 0; i < 3; i++) {
		task_join(task_start(answer_here, events[i]));
		CHECK_EQ(atomic_load(&writes), i + 1);
	}
	expect_answers(0, 3);
	free_all(events, 3);
	CHECK_EQ(bp_send(conn, "after", 5, 0), 0);	/* and of who holds none */
	CHECK_EQ(atomic_load(&writes), 4);
	end();
}

static void test_answers_go_when_the_rest_is_muted(void)
{
	struct bp_event *event;

	begin_queued(NO_NET, (struct bp_conn_config){ 0 }, 3);
	event = take();
	answer(event);
	bp_conn_mute(conn);
	CHECK_EQ(atomic_load(&writes), 0);
	bp_event_free(event);
	CHECK_EQ(atomic_load(&writes), 1);
	expect_answers(0, 1);
	bp_conn_unmute(conn);
	consume_by(1);
	expect_answers(1, 2);
	end();
}

static void test_answers_go_by_the_net_when_the_rest_is_muted_later(void)
{
	begin_queued(NET, (struct bp_conn_config){ 0 }, 3);
	take_and_answer();
	bp_conn_mute(conn);
	expect_answers(0, 1);
	bp_conn_unmute(conn);
	consume_by(1);
	expect_answers(1, 2);
	end();
}

static void mute_in_the_fourth(struct bp_conn *c, int n, bool answered)
{
	if (n == 3 && answered)
		bp_conn_mute(c);
}

static void test_answers_go_when_the_handler_mutes(void)
{
	begin_handled(NO_NET, (struct bp_conn_config){ 0 }, mute_in_the_fourth);
	request(0, 8);
	expect_answers(0, 4);
	bp_conn_unmute(conn);
	expect_answers(4, 4);
	CHECK_EQ(atomic_load(&writes), 2);
	end();
}

static void test_answers_go_when_they_reach_the_high_mark(void)
{
	const struct bp_conn_config config = { .out_high = 4 * WIRE };

	begin_queued(NO_NET, config, MANY);
	consume_by(16);
	CHECK_EQ(atomic_load(&writes), MANY / 4);
	expect_answers(0, MANY);
	end();
	begin_handled(NO_NET, config, NULL);
	request(0, MANY);
	expect_answers(0, MANY);
	CHECK_EQ(atomic_load(&writes), 2 * MANY / 4);
	end();
}

static void close_in_the_fourth(struct bp_conn *c, int n, bool answered)
{
	CHECK_LE(n, 3);
	if (n == 3 && answered)
		bp_conn_close(c);
}

static void test_answers_go_before_a_close(void)
{
	void (*const ways[])(struct bp_conn *c) = { bp_conn_close, bp_conn_end };
	struct bp_event *events[8];

	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		begin_queued(NO_NET, (struct bp_conn_config){ 0 }, 8);
		REQUIRE_EQ(bp_receive_many(ep, events, 8, 0), 8);
		for (int k = 0; k < 8; k++)
			answer(events[k]);
		ways[i](conn);
		expect_answers(0, 8);
		peer_expect_fin(fd);
		CHECK_EQ(atomic_load(&writer_writes), 0);	/* nor a thread for it */
		free_all(events, 8);
		end();
	}
	begin_handled(NO_NET, (struct bp_conn_config){ 0 }, close_in_the_fourth);
	request(0, 8);
	expect_answers(0, 4);
	peer_expect_fin(fd);
	CHECK_EQ(atomic_load(&writer_writes), 0);
	end();
}

static void test_answers_that_are_withheld_are_dropped_by_an_abort(void)
{
	struct bp_event *events[4];

	for (int by_peer = 0; by_peer < 2; by_peer++) {
		begin_queued(NET, (struct bp_conn_config){ 0 }, 6);
		REQUIRE_EQ(bp_receive_many(ep, events, 4, 0), 4);
		for (int i = 0; i < 4; i++)
			answer(events[i]);
		if (by_peer)
			peer_reset(fd);
		else
			bp_conn_abort(conn, BP_REASON_ABORT);
		WAIT_UNTIL(stats_of(ep).closed == (uint64_t)1);
		CHECK_EQ(bp_conn_pending(conn), 0);
		CHECK(!atomic_load(&conn->withheld));	/* or it were watched on */
		free_all(events, 4);
		fd = by_peer ? peer_connect(addr) : fd;
		end();
	}
}

static void answer_first(void *ret_event)
{
	struct bp_event *event;

	stop_clock();
	event = take();
	answer(event);
	*(struct bp_event **)ret_event = event;
}

/* The connection has ended, and is in no list, before the reaper is told. */
static void test_answers_that_are_withheld_too_late_leave_no_trace(void)
{
	struct bp_event *event = NULL;
	struct task *task;

	begin_queued(LATE_NET, (struct bp_conn_config){ 0 }, 2);
	task = task_start(answer_first, &event);
	WAIT_UNTIL(atomic_load(&withholdings) == 1);
	peer_reset(fd);
	WAIT_UNTIL(stats_of(ep).closed == 1);
	atomic_store(&net, NET);
	task_join(task);
	bp__lock(&ep->lock);
	CHECK(bp__list_empty(&conn->withhold_link));
	bp__unlock(&ep->lock);
	bp_event_free(event);
	fd = peer_connect(addr);
	end();
}

static atomic_bool two_taken;
/* Relaxed: TSan shall not take them for what keeps the threads apart. */
static atomic_bool deciding, all_freed;

static void wait_until_all_are_freed(void)
{
	asked_time = NULL;
	atomic_store_explicit(&deciding, true, memory_order_relaxed);
	WAIT_UNTIL(atomic_load_explicit(&all_freed, memory_order_relaxed));
}

static void take_two_and_answer(void *arg)
{
	struct bp_event **events = arg;

	stop_clock();
	REQUIRE_EQ(bp_receive_many(ep, events, 2, 0), 2);
	asked_time = wait_until_all_are_freed;
	atomic_store(&two_taken, true);
	CHECK_EQ(bp_send(conn, "12345678", LEN, 0), 0);
}

/* While it is decided that more is to come, others free what there is. */
static void test_answers_withheld_when_all_was_freed_go_by_the_net(void)
{
	struct bp_event *events[2];
	char bytes[WIRE];
	struct task *task;

	begin_queued(NET, (struct bp_conn_config){ 0 }, 3);
	task = task_start(take_two_and_answer, events);
	WAIT_UNTIL(atomic_load(&two_taken));
	WAIT_UNTIL(atomic_load_explicit(&deciding, memory_order_relaxed));
	free_all(events, 2);
	bp_event_free(take());		/* its taker is another one now */
	atomic_store_explicit(&all_freed, true, memory_order_relaxed);
	peer_recv(fd, bytes, WIRE);
	CHECK(memcmp(bytes + 4, "12345678", LEN) == 0);
	task_join(task);
	end();
}

static atomic_bool in_the_third, go_on;

static void stop_in_the_third(struct bp_conn *c, int n, bool answered)
{
	(void)c;
	if (n == 2 && !answered) {
		atomic_store(&in_the_third, true);
		WAIT_UNTIL(atomic_load(&go_on));
	}
}

static void test_answers_go_with_what_another_thread_sends(void)
{
	char bytes[WIRE];

	begin_handled(NO_NET, (struct bp_conn_config){ 0 }, stop_in_the_third);
	request(0, 8);
	WAIT_UNTIL(atomic_load(&in_the_third));
	CHECK_EQ(bp_conn_pending(conn), 2 * WIRE);
	CHECK_EQ(bp_send(conn, "12345678", LEN, 0), 0);
	expect_answers(0, 2);
	peer_recv(fd, bytes, WIRE);
	CHECK(memcmp(bytes + 4, "12345678", LEN) == 0);
	CHECK_EQ(atomic_load(&writes), 1);
	atomic_store(&go_on, true);
	expect_answers(2, 6);
	end();
}

/* ---- several threads ------------------------------------------------------ */

enum { SENDERS = 3, ROUNDS = 2000, FRAME_MAX = 300 };

static uint32_t n_rounds;
static _Atomic(struct bp_event *) left_behind;

/* Each takes events, answers with frames of its own, and lets others free them. */
static void answer_and_leave(void *arg)
{
	uint32_t source = (uint32_t)(uintptr_t)arg;
	char frame[FRAME_MAX];
	struct bp_event *event;

	for (uint32_t seq = 0; seq < n_rounds; seq++) {
		size_t len = tagged_len(source, seq, sizeof frame);

		event = NULL;
		if (source > 0)
			bp_receive(ep, &event, 0);
		tagged_fill(frame, len, source, seq);
		if (event && seq % 3 == 0)
			event = atomic_exchange(&left_behind, event);
		CHECK_EQ(bp_send(conn, frame, len, SLOW(8000)), 0);
		bp_event_free(event);
	}
	bp_event_free(atomic_exchange(&left_behind, NULL));
}

static void expect_frames(uint32_t n)
{
	uint32_t next[SENDERS] = { 0 }, head, source, seq;
	char frame[FRAME_MAX];

	for (; n > 0; n--) {
		peer_recv(fd, &head, sizeof head);
		REQUIRE(ntohl(head) <= sizeof frame);
		peer_recv(fd, frame, ntohl(head));
		REQUIRE(tagged_check(frame, ntohl(head), sizeof frame, &source, &seq));
		REQUIRE(source < SENDERS);
		REQUIRE_EQ(seq, next[source]++);
	}
}

static void request_all(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < n_rounds * (SENDERS - 1) / MANY; i++)
		request(0, MANY);
}

static void test_answers_and_what_other_threads_send_stay_whole(void)
{
	struct task *tasks[SENDERS + 1];

	n_rounds = is_sanitized() ? ROUNDS / 10 : ROUNDS;
	begin(NET, (struct bp_conn_config){ .couple = BP_OFF });
	atomic_store(&write_max, 500);
	for (uintptr_t i = 0; i < SENDERS; i++)
		tasks[i] = task_start(answer_and_leave, (void *)i);
	tasks[SENDERS] = task_start(request_all, NULL);
	expect_frames(n_rounds * SENDERS);
	for (int i = 0; i <= SENDERS; i++)
		task_join(tasks[i]);
	WAIT_UNTIL(bp_conn_pending(conn) == 0);
	end();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_answers_go_with_the_last_event_that_is_freed),
		TEST(test_answers_of_who_has_not_taken_the_event_go_at_once),
		TEST(test_answers_go_when_the_rest_is_muted),
		TEST(test_answers_go_by_the_net_when_the_rest_is_muted_later),
		TEST(test_answers_go_when_the_handler_mutes),
		TEST(test_answers_go_when_they_reach_the_high_mark),
		TEST(test_answers_go_before_a_close),
		TEST(test_answers_that_are_withheld_are_dropped_by_an_abort),
		TEST(test_answers_that_are_withheld_too_late_leave_no_trace),
		TEST(test_answers_withheld_when_all_was_freed_go_by_the_net),
		TEST(test_answers_go_with_what_another_thread_sends),
		TEST(test_answers_and_what_other_threads_send_stay_whole),
	};

	return run_suite("answers_ends", tests, COUNT_OF(tests), argc, argv);
}
