/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_runs.c - runs: who takes many gets those behind the one it was given without
 * the discipline being asked about each. Where they end, and what is owed for them.
 */
#include "config.h"

#include "takes.h"

#include "tagged.h"

enum { RUN = 16 * 1024 };

/* ---- how often the order is asked ----------------------------------------- */

static struct bp_qdisc_ops counted;
static const struct bp_qdisc_ops *original;
static int asked;

static struct bp_item *take_counted(void *q)
{
	struct bp_item *item = original->take(q);

	asked += item != NULL;
	return item;
}

static const struct bp_qdisc_ops *counting(const struct bp_qdisc_ops *ops)
{
	original = ops;
	counted = *ops;
	counted.take = take_counted;
	asked = 0;
	return &counted;
}

/* One of ours, that counts: whether it allows runs was noted before. */
static void with_counted(const struct bp_qdisc_ops *ops, size_t n)
{
	with_qdisc(ops, n);
	rig.q.gate.ops = rig.q.order.ops = counting(ops);
}

static size_t owed(int i)
{
	return rig_peek(&rig, &feeds[i]->flow.owed);
}

/* What its oldest counts, as the discipline is shown it. */
static size_t shown(int i)
{
	size_t cost;

	bp__lock(&rig.q.lock);
	cost = feeds[i]->flow.shown ? feeds[i]->flow.oldest.cost : 0;
	bp__unlock(&rig.q.lock);
	return cost;
}

/* ---- how far -------------------------------------------------------------- */

/* Small ones go in runs of 16 KiB, for which their peer owes. */
static void test_runs_are_of_small_ones(void)
{
	int of_first = 0;

	with_qdisc(&bp_qdisc_fair, 2);
	read_of(0, 20, 2000);
	read_of(1, 20, 2000);
	CHECK_EQ(take(MANY), MANY);
	for (int at = 0; at < MANY; at++)
		check_taken(at, at / 9, (unsigned)at % 9 + 1);
	finish_taken();
	CHECK_EQ(take(MANY), MANY);
	check_taken(0, 1, 8);			/* whose debt is the smaller one */
	for (int at = 0; at < MANY; at++)
		of_first += taken[at]->feed == feeds[0];
	CHECK_EQ(9 + of_first, MANY);
	finish_taken();
	finish_all();
}

static void test_runs_end_at_16_kib_if_others_are_ready(void)
{
	for (size_t over = 0; over < 2; over++) {
		with_qdisc(&bp_qdisc_fair, 2);
		read_of(0, 1, 10);
		read_of(0, 1, RUN / 2);
		read_of(0, 1, RUN / 2 + over);
		read_of(0, 1, 10);
		read_of(1, 1, 2000);
		CHECK_EQ(take(MANY), 5);
		check_taken(1, 0, 2);
		check_taken(over ? 2 : 3, 1, 1);
		check_taken(over ? 3 : 2, 0, 3);
		finish_taken();
		finish_all();
	}
}

static void test_runs_of_who_is_alone_go_on_and_are_not_owed(void)
{
	with_counted(&bp_qdisc_fair, 2);
	read_of(0, MANY + 2, 3000);
	CHECK_EQ(take(MANY), MANY);
	CHECK_EQ(asked, 1);
	CHECK_EQ(owed(0), 0);
	finish_taken();
	CHECK_EQ(shown(0), 3000);
	read_of(1, 1, 10);		/* now it is not */
	bp__flow_mute(&feeds[1]->flow);	/* but who is muted is not ready */
	CHECK_EQ(take(MANY), 2);
	CHECK_EQ(owed(0), 0);
	finish_taken();
	bp__flow_unmute(&feeds[1]->flow);
	finish_all();
}

/* All that is taken at once is, of however many. */
static void test_runs_end_with_64_kib_in_all(void)
{
	with_counted(&bp_qdisc_fair, 2);
	read_of(0, MANY, 6001);
	CHECK_EQ(take(MANY), 11);	/* one more than fit */
	CHECK_EQ(asked, 1);
	finish_taken();
	CHECK_EQ(take(MANY), 5);
	read_of(1, MANY, 6001);
	finish_taken();
	CHECK_EQ(take(MANY), 11);
	finish_taken();
	finish_all();
}

static void test_runs_give_no_more_than_asked_for(void)
{
	with_counted(&bp_qdisc_fair, 2);
	read_of(0, 6, 100);
	read_of(1, 1, 200);
	CHECK_EQ(take(4), 4);
	CHECK_EQ(asked, 1);
	check_taken(3, 0, 4);
	CHECK_EQ(rig_stats(&rig).queued_events, 3);
	CHECK_EQ(rig_stats(&rig).queued_bytes, 2 * 99 + 199);
	CHECK_EQ(atomic_load(&feeds[0]->flow.queued), 2);
	CHECK_EQ(atomic_load(&feeds[0]->flow.out), 4);
	finish_taken();
	finish_all();
}

/* ---- where they end ------------------------------------------------------- */

static void test_runs_end_where_another_band_begins(void)
{
	with_qdisc(&bp_qdisc_prio, 2);
	put_in(0, 1);
	put_in(0, 1);
	put_in(0, 3);
	put_in(0, 3);
	put_in(1, 2);
	CHECK_EQ(take(MANY), 5);
	check_taken(1, 0, 2);
	check_taken(2, 1, 1);
	check_taken(3, 0, 3);
	check_taken(4, 0, 4);
	finish_taken();
	finish_all();
}

static void test_runs_end_where_another_one_came_between(void)
{
	with_counted(&bp_qdisc_unbounded, 2);
	read_from(0, 3);
	read_from(1, 1);
	read_from(0, 2);
	CHECK_EQ(take(MANY), 6);
	check_taken(2, 0, 3);
	check_taken(3, 1, 1);
	check_taken(4, 0, 4);
	CHECK_EQ(asked, 3);
	finish_taken();
	finish_all();
}

/* What ends the connection is taken by itself. */
static void test_runs_end_before_closed(void)
{
	with_counted(&bp_qdisc_fair, 2);
	read_from(0, 3);
	feed_close(feeds[0]);
	CHECK_EQ(rig.q.live, 2);
	CHECK_EQ(take(MANY), 4);
	CHECK(taken[3]->entry.last);
	CHECK_EQ(asked, 2);
	CHECK_EQ(rig.q.live, 1);
	finish_taken();
	feeds[0] = feeds[1], feeds[1] = NULL;
	finish_all();
}

/* Three frames come while a consumer waits; before it wakes a level is set. */
static void hand_over_and_set(struct feed *feed, bool mute)
{
	struct frame *frames[3];
	struct bp__qdisc *q = &rig.q;

	for (int i = 0; i < 3; i++) {
		REQUIRE_EQ(bp__flow_reserve(&feed->flow, 10, 0, 0), 0);
		frames[i] = frame_new(feed, 1, 9);
		if (i > 0)
			frames[i - 1]->entry.next = &frames[i]->entry;
	}
	bp__lock(&q->lock);
	bp__flow_hand_over_locked(&feed->flow, 30);
	q->reading -= 30;
	bp__flow_append_locked(&feed->flow, &frames[0]->entry);
	bp__flow_show_locked(&feed->flow);	/* the consumer has it, and needs Q */
	if (mute) {
		atomic_store(&feed->flow.mutes, 1);
		q->muting.n++;
	} else {
		atomic_store(&feed->throttled, true);
	}
	bp__qdisc_leave(q, NULL);
}

static void test_runs_are_not_of_who_was_muted_or_throttled_meanwhile(void)
{
	struct consumer one;

	for (int mute = 0; mute < 2; mute++) {
		with_qdisc(&bp_qdisc_fair, 0);
		feeds[0] = feed_open(&rig, true);
		feeds[1] = NULL;
		consumer_start(&one, MANY);
		hand_over_and_set(feeds[0], mute);
		consumer_join(&one, 1);
		frame_done(frame_of(one.entry));
		CHECK_EQ(shown(0), 0);
		atomic_store(&feeds[0]->throttled, false);
		if (mute)
			bp__flow_unmute(&feeds[0]->flow);
		else
			bp__flow_unblock(&feeds[0]->flow);
		CHECK_EQ(take(MANY), 2);
		finish_taken();
		finish_all();
	}
}

/* ---- what is owed --------------------------------------------------------- */

static void test_runs_are_owed_and_paid_once(void)
{
	with_qdisc(&bp_qdisc_fair, 2);
	read_of(0, 8, 1000);
	read_of(1, 2, 30000);
	CHECK_EQ(take(5), 5);
	CHECK_EQ(owed(0), 4000);	/* the first was paid for */
	CHECK_EQ(shown(0), 0);
	bp__flow_mute(&feeds[0]->flow);	/* which lets off nobody */
	finish_taken();
	CHECK_EQ(shown(0), 0);
	bp__flow_unmute(&feeds[0]->flow);
	CHECK_EQ(shown(0), 1000 + 4000);
	rig_expect(&rig, feeds[1], 1);
	CHECK_EQ(take(1), 1);
	check_taken(0, 0, 6);
	CHECK_EQ(owed(0), 0);
	finish_taken();
	CHECK_EQ(shown(0), 1000);
	CHECK_EQ(take(2), 2);
	CHECK_EQ(owed(0), 1000);	/* and with nothing left it owes still */
	finish_taken();
	read_of(0, 1, 500);
	CHECK_EQ(shown(0), 500 + 1000);
	finish_all();
}

/* Small ones, which come in runs, beside large ones, which do not; as many bytes. */
static void test_runs_get_no_more_than_their_share(void)
{
	const size_t cost[2] = { 1000, 20000 };
	intmax_t ahead = 0;

	with_qdisc(&bp_qdisc_fair, 2);
	read_of(0, 2 * MANY, cost[0]);
	read_of(1, MANY, cost[1]);
	for (int round = 0; round < 500; round++) {
		REQUIRE(take(MANY) > 0);
		for (; n_taken > 0; frame_done(taken[--n_taken])) {
			int i = taken[n_taken - 1]->feed == feeds[1];

			ahead += i ? -(intmax_t)cost[1] : (intmax_t)cost[0];
			read_of(i, 1, cost[i]);
		}
		CHECK_LE(imaxabs(ahead), 2 * (RUN + 20000));
	}
	finish_all();
}

/* ---- disciplines ---------------------------------------------------------- */

static void test_runs_are_not_made_of_a_discipline_of_yours(void)
{
	with_qdisc(counting(&bp_qdisc_fair), 2);
	read_of(0, 6, 1000);
	read_of(1, 6, 1000);
	CHECK_EQ(take(MANY), 12);
	CHECK_EQ(asked, 12);
	for (int at = 0; at < 12; at++)
		check_taken(at, at % 2, (unsigned)at / 2 + 1);
	finish_taken();
	read_of(0, 6, 1000);			/* alone neither */
	CHECK_EQ(take(MANY), 6);
	CHECK_EQ(asked, 18);
	finish_taken();
	finish_all();
}

/* Those that come as they arrived do, whoever sent them and however many are taken. */
static void check_order_of_arrival(const struct bp_qdisc_ops *ops)
{
	uint64_t state = 1, seq = 0, bytes = 0, events = 0;

	with_places(ops, TAKES_FEEDS, 100);
	for (int step = 0; step < 4000; step++) {
		if (events < 60 && random_below(&state, 3) > 0) {
			size_t cost = 10 + random_below(&state, 5000);
			int n = 1 + (int)random_below(&state, 6);

			read_of((int)random_below(&state, TAKES_FEEDS), n, cost);
			events += (unsigned)n;
			bytes += (unsigned)n * (cost - 1);
		} else if (take(1 + (int)random_below(&state, MANY)) > 0) {
			for (int at = 0; at < n_taken; at++) {
				REQUIRE_EQ(taken[at]->entry.seq, seq++);
				bytes -= taken[at]->entry.len;
			}
			events -= (unsigned)n_taken;
			finish_taken();
		}
		REQUIRE_EQ(rig_stats(&rig).queued_events, events);
		REQUIRE_EQ(rig_stats(&rig).queued_bytes, bytes);
	}
	finish_all();
}

static void test_runs_keep_the_order_of_arrival(void)
{
	check_order_of_arrival(&bp_qdisc_unbounded);
	check_order_of_arrival(&bp_qdisc_bounded);
	check_order_of_arrival(&bp_qdisc_bytes);
}

static void test_runs_keep_the_order_of_bands(void)
{
	uint64_t state = 2;

	with_qdisc(&bp_qdisc_prio, TAKES_FEEDS);
	for (int round = 0; round < 300; round++) {
		for (unsigned i, n = 10 + random_below(&state, 30); n > 0; n--) {
			i = random_below(&state, TAKES_FEEDS);
			put_in((int)i, i / 2);
		}
		for (; take(MANY) > 0; finish_taken()) {
			for (int at = 1; at < n_taken; at++) {
				struct bp__entry *a = &taken[at - 1]->entry;
				struct bp__entry *b = &taken[at]->entry;

				CHECK_LE(a->band, b->band);
				CHECK(a->band < b->band || a->seq < b->seq);
			}
		}
	}
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_runs_are_of_small_ones),
		TEST(test_runs_end_at_16_kib_if_others_are_ready),
		TEST(test_runs_of_who_is_alone_go_on_and_are_not_owed),
		TEST(test_runs_end_with_64_kib_in_all),
		TEST(test_runs_give_no_more_than_asked_for),
		TEST(test_runs_end_where_another_band_begins),
		TEST(test_runs_end_where_another_one_came_between),
		TEST(test_runs_end_before_closed),
		TEST(test_runs_are_not_of_who_was_muted_or_throttled_meanwhile),
		TEST(test_runs_are_owed_and_paid_once),
		TEST(test_runs_get_no_more_than_their_share),
		TEST(test_runs_are_not_made_of_a_discipline_of_yours),
		TEST(test_runs_keep_the_order_of_arrival),
		TEST(test_runs_keep_the_order_of_bands),
	};

	return run_suite("runs", tests, COUNT_OF(tests), argc, argv);
}
