/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_take_many.c - several entries taken at once: which, in what order, and what
 * waits until they are handled.
 */
#include "config.h"

#include "takes.h"

static void with(size_t n)
{
	with_qdisc(&bp_qdisc_unbounded, n);
}

static void check_nothing_ready(void)
{
	CHECK_EQ(atomic_load(&rig.q.shown), 0);
	CHECK(rig_try(&rig) == NULL);
}

/* ---- which ---------------------------------------------------------------- */

static void test_take_many_gives_what_there_is_and_does_not_wait_for_more(void)
{
	with(2);
	CHECK_EQ(take(8), -EAGAIN);
	read_from(0, 2);
	read_from(1, 1);
	CHECK_EQ(take(8), 3);
	CHECK_EQ(rig_stats(&rig).queued_events, 0);
	check_taken(0, 0, 1);
	check_taken(1, 0, 2);
	check_taken(2, 1, 1);
	finish_taken();
	check_nothing_ready();
	finish_all();
}

static void test_take_many_gives_no_more_than_asked_for(void)
{
	with(2);
	read_from(0, 5);
	read_from(1, 1);
	CHECK_EQ(take(3), 3);
	check_taken(2, 0, 3);
	CHECK_EQ(rig_stats(&rig).queued_events, 3);
	finish_taken();
	CHECK_EQ(take(1), 1);
	check_taken(0, 0, 4);
	finish_taken();
	finish_all();
}

static void test_take_many_follows_the_order_among_connections(void)
{
	with(3);
	for (int n = 0; n < 3; n++)
		for (int i = 0; i < 3; i++)
			read_from(i, 1);
	CHECK_EQ(take(MANY), 9);
	for (int at = 0; at < 9; at++)
		check_taken(at, at % 3, (unsigned)at / 3 + 1);
	finish_taken();
	finish_all();
}

static void test_take_many_follows_bands(void)
{
	with_qdisc(&bp_qdisc_prio, 3);
	put_in(0, 2);
	put_in(0, 0);			/* behind its own */
	put_in(1, 1);
	put_in(1, 3);
	put_in(2, 1);
	CHECK_EQ(take(MANY), 5);
	check_taken(0, 1, 1);
	check_taken(1, 2, 1);
	check_taken(2, 0, 1);
	check_taken(3, 0, 2);
	check_taken(4, 1, 2);
	finish_taken();
	finish_all();
}

static void test_take_many_shares_among_peers(void)
{
	with_qdisc(&bp_qdisc_fair, 2);
	read_of(0, 6, 20000);
	read_of(1, 6, 20000);
	CHECK_EQ(take(6), 4);			/* those are 64 KiB and more */
	for (int at = 0; at < 4; at++)
		check_taken(at, at % 2, (unsigned)at / 2 + 1);
	finish_taken();
	finish_all();
}

static void test_take_many_takes_closed_as_well(void)
{
	with(2);
	read_from(0, 2);
	feed_close(feeds[0]);
	CHECK_EQ(take(MANY), 3);
	check_taken(2, 0, 0);
	CHECK(taken[2]->entry.last);
	/* handled in any order: its place comes back with the last of them */
	frame_done(taken[2]);
	frame_done(taken[0]);
	CHECK_EQ(rig_stats(&rig).conns, 2);
	frame_done(taken[1]);
	CHECK_EQ(rig_stats(&rig).conns, 1);
	feeds[0] = feeds[1], feeds[1] = NULL;
	finish_all();
}

static void test_take_many_frees_the_places_of_all(void)
{
	with_qdisc(&bp_qdisc_bounded, 2);
	read_from(0, 3);
	read_from(1, 1);
	CHECK_EQ(take(4), 4);
	read_from(0, 1);		/* they would wait for their places */
	read_from(1, 3);
	finish_taken();
	CHECK_EQ(take(MANY), 4);
	finish_taken();
	finish_all();
}

/* ---- what waits for them -------------------------------------------------- */

static void test_take_many_holds_up_the_next_until_all_are_handled(void)
{
	static const int orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 2, 0 } };

	for (size_t k = 0; k < COUNT_OF(orders); k++) {
		with(2);
		read_from(0, 4);
		CHECK_EQ(take(3), 3);
		check_nothing_ready();
		read_from(0, 1);
		check_nothing_ready();
		read_from(1, 1);		/* another one's is not held up */
		rig_expect(&rig, feeds[1], 1);
		for (int i = 0; i < 3; i++) {
			check_nothing_ready();
			frame_done(taken[orders[k][i]]);
		}
		rig_expect(&rig, feeds[0], 4);
		rig_expect(&rig, feeds[0], 5);
		finish_all();
	}
}

static void test_take_many_leaves_nothing_shown_behind_what_is_out(void)
{
	with(3);
	for (int n = 0; n < 2; n++)
		for (int i = 0; i < 3; i++)
			read_from(i, 1);
	CHECK_EQ(take(2), 2);		/* of two connections; both have another */
	CHECK_EQ(atomic_load(&rig.q.shown), 1);
	rig_expect(&rig, feeds[2], 1);
	rig_expect(&rig, feeds[2], 2);
	check_nothing_ready();
	finish_taken();
	CHECK_EQ(atomic_load(&rig.q.shown), 2);
	CHECK_EQ(take(4), 2);
	finish_taken();
	finish_all();
}

static void test_take_many_gives_idle_consumers_nothing_that_is_behind(void)
{
	struct consumer idle;

	with(2);
	read_from(0, 4);
	CHECK_EQ(take(2), 2);
	consumer_start(&idle, MANY);
	read_from(0, 1);
	frame_done(taken[1]);
	HOLDS_FOR_MS(rig_idle_consumers(&rig) == 1, 5);
	frame_done(taken[0]);
	consumer_join(&idle, 3);
	CHECK_EQ(frame_of(idle.entry)->n, 3);
	for (struct bp__entry *next, *e = idle.entry; e; e = next) {
		next = e->next;
		frame_done(frame_of(e));
	}
	finish_all();
}

/* Handed one, it takes what else has come by then; it is alone with it. */
static void test_take_many_wakes_with_what_has_come_meanwhile(void)
{
	struct consumer one, other;

	with(2);
	consumer_start(&other, 1);
	consumer_start(&one, MANY);	/* the latest is the first to be handed some */
	read_from(0, 1);
	WAIT_UNTIL(rig_idle_consumers(&rig) == 1);
	consumer_join(&one, 1);
	read_from(0, 1);
	HOLDS_FOR_MS(rig_idle_consumers(&rig) == 1, 5);
	read_from(1, 1);
	consumer_join(&other, 1);
	CHECK(frame_of(other.entry)->feed == feeds[1]);
	frame_done(frame_of(other.entry));
	frame_done(frame_of(one.entry));
	finish_all();
}

static void take_in_vain(void *arg)
{
	struct consumer *consumer = arg;

	consumer->rc = bp__qdisc_take(&rig.q, &consumer->entry, consumer->n,
	    bp__deadline_ns(30));
}

/* What it was given when its time was up it has. */
static void test_take_many_that_is_chosen_too_late_has_its_entry(void)
{
	struct consumer late = { .n = MANY };
	struct frame *frame;

	with(1);
	REQUIRE_EQ(bp__flow_reserve(&feeds[0]->flow, 10, 0, 0), 0);
	frame = frame_new(feeds[0], 1, 9);
	late.task = task_start(take_in_vain, &late);
	WAIT_UNTIL(rig_idle_consumers(&rig) == 1);
	bp__lock(&rig.q.lock);
	bp__flow_hand_over_locked(&feeds[0]->flow, 10);
	rig.q.reading -= 10;
	bp__flow_append_locked(&feeds[0]->flow, &frame->entry);
	bp__flow_show_locked(&feeds[0]->flow);
	HOLDS_FOR_MS(!task_done(late.task), 60);
	bp__qdisc_leave(&rig.q, NULL);
	consumer_join(&late, 1);
	CHECK(late.entry == &frame->entry);
	frame_done(frame);
	finish_all();
}

/* ---- mutes and ends ------------------------------------------------------- */

static void test_take_many_passes_over_who_is_muted(void)
{
	with(2);
	read_from(0, 3);
	read_from(1, 2);
	bp__flow_mute(&feeds[0]->flow);
	CHECK_EQ(take(MANY), 2);
	check_taken(1, 1, 2);
	finish_taken();
	bp__flow_unmute(&feeds[0]->flow);
	CHECK_EQ(take(2), 2);
	bp__flow_mute(&feeds[0]->flow);		/* what is taken is taken */
	finish_taken();
	check_nothing_ready();
	bp__flow_unmute(&feeds[0]->flow);
	CHECK_EQ(take(2), 1);
	read_from(0, 1);		/* an unmute shows nothing behind one that is out */
	bp__flow_mute(&feeds[0]->flow);
	bp__flow_unmute(&feeds[0]->flow);
	check_nothing_ready();
	finish_taken();
	finish_all();
}

static void test_take_many_of_who_is_cut_leaves_only_its_end(void)
{
	with(2);
	read_from(0, 4);
	CHECK_EQ(take(2), 2);
	feed_end(feeds[0], BP__FLOW_CUT);
	CHECK_EQ(atomic_load(&rig.purged), 2);
	feed_close(feeds[0]);
	check_nothing_ready();
	frame_done(taken[0]);
	check_nothing_ready();
	frame_done(taken[1]);
	CHECK_EQ(take(MANY), 1);
	CHECK(taken[0]->entry.last);
	finish_taken();
	feeds[0] = feeds[1], feeds[1] = NULL;
	finish_all();
}

/* It takes CLOSED as well, and with that all is over for the other. */
static void test_take_many_of_the_last_ends_those_that_wait(void)
{
	struct consumer one, other;
	struct frame *frame;

	with(1);
	consumer_start(&other, 1);
	consumer_start(&one, MANY);
	bp__qdisc_close(&rig.q);
	CHECK_EQ(bp__flow_reserve(&feeds[0]->flow, 10, 0, 0), 0);
	frame = frame_new(feeds[0], 1, 9);
	frame->entry.next = &feeds[0]->last.entry;	/* both at once */
	feeds[0]->last.feed = feeds[0];
	feeds[0]->last.entry = (struct bp__entry){
		.flow = &feeds[0]->flow, .last = true, .arrived_ns = now_ns(),
	};
	bp__flow_put(&feeds[0]->flow, &frame->entry);	/* with the reader's reference */
	consumer_join(&one, 2);
	consumer_join(&other, -EPIPE);
	CHECK(one.entry->next->last);
	frame_done(frame_of(one.entry->next));
	frame_done(frame);
	rig_fini(&rig);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_take_many_gives_what_there_is_and_does_not_wait_for_more),
		TEST(test_take_many_gives_no_more_than_asked_for),
		TEST(test_take_many_follows_the_order_among_connections),
		TEST(test_take_many_follows_bands),
		TEST(test_take_many_shares_among_peers),
		TEST(test_take_many_takes_closed_as_well),
		TEST(test_take_many_frees_the_places_of_all),
		TEST(test_take_many_holds_up_the_next_until_all_are_handled),
		TEST(test_take_many_leaves_nothing_shown_behind_what_is_out),
		TEST(test_take_many_gives_idle_consumers_nothing_that_is_behind),
		TEST(test_take_many_wakes_with_what_has_come_meanwhile),
		TEST(test_take_many_that_is_chosen_too_late_has_its_entry),
		TEST(test_take_many_passes_over_who_is_muted),
		TEST(test_take_many_of_who_is_cut_leaves_only_its_end),
		TEST(test_take_many_of_the_last_ends_those_that_wait),
	};

	return run_suite("take_many", tests, COUNT_OF(tests), argc, argv);
}
