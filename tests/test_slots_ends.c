/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_slots_ends.c - handlers_max: a connection that ends while its reader waits for
 * a slot, at each of the stages; closed, which takes one; and that no slot is lost.
 */
#include "config.h"

#include "runners.h"

static void end(int i, enum bp__flow_stage stage)
{
	feed_end(feeds[i], stage);
}

static void set_throttled(int i, bool throttled)
{
	atomic_store(&feeds[i]->throttled, throttled);
	if (!throttled)
		bp__flow_unblock(&feeds[i]->flow);
}

/* One slot, which the first has; the second waits for it. */
static void start_with_one_waiting(bool couple)
{
	with(&bp_qdisc_fair, 1, couple);
	turn_at_once(0);
	start_waiting(1);
}

/* The slot is the first's; it comes to whoever is next. */
static void check_slot_goes_to(int i)
{
	CHECK_EQ(used(), 1);
	end_turn(0, 0);
	CHECK(has_turn(i));
	join(i, 0);
	end_turn(i, 0);
	finish_all();
}

/* The second has given up, and the slot is not its. */
static void check_waiter_gave_up(void)
{
	join(1, -EPIPE);
	CHECK(!bp__flow_is_waited_for(&feeds[0]->flow));
	start_waiting(2);
	check_slot_goes_to(2);
}

/* ---- stages --------------------------------------------------------------- */

static void test_slots_are_still_waited_for_when_stopping_or_broken(void)
{
	static const enum bp__flow_stage stages[] = {
		BP__FLOW_STOPPING, BP__FLOW_BROKEN,
	};

	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		start_with_one_waiting(true);
		end(1, stages[i]);
		HOLDS_FOR_MS(!task_done(runners[1].task), 5);
		WAIT_UNTIL(parked(1));
		check_slot_goes_to(1);		/* what was read is delivered */
	}
}

static void test_slots_are_not_waited_for_when_cut(void)
{
	start_with_one_waiting(false);
	end(1, BP__FLOW_CUT);
	check_waiter_gave_up();

	/* a slot is free, and nothing but the level holds it up: it is not delivered */
	start_with_one_waiting(true);
	set_throttled(1, true);
	end_turn(0, 0);
	CHECK_EQ(used(), 0);
	end(1, BP__FLOW_CUT);
	CHECK_EQ(used(), 0);
	join(1, -EPIPE);
	finish_all();
}

static void test_slots_are_not_waited_for_when_stopping_while_passed_over(void)
{
	start_with_one_waiting(true);
	bp__flow_mute(&feeds[1]->flow);
	end(1, BP__FLOW_STOPPING);
	check_waiter_gave_up();

	start_with_one_waiting(true);
	set_throttled(1, true);
	end(1, BP__FLOW_STOPPING);
	check_waiter_gave_up();

	start_with_one_waiting(false);
	end(1, BP__FLOW_STOPPING);
	HOLDS_FOR_MS(!task_done(runners[1].task), 5);
	bp__flow_mute(&feeds[1]->flow);
	check_waiter_gave_up();
}

static void test_slots_are_not_waited_for_when_broken_while_muted(void)
{
	start_with_one_waiting(false);
	bp__flow_mute(&feeds[1]->flow);
	end(1, BP__FLOW_BROKEN);
	CHECK_EQ(bp__flow_stage(&feeds[1]->flow), BP__FLOW_CUT);
	check_waiter_gave_up();

	start_with_one_waiting(false);
	end(1, BP__FLOW_BROKEN);
	bp__flow_mute(&feeds[1]->flow);
	CHECK_EQ(bp__flow_stage(&feeds[1]->flow), BP__FLOW_CUT);
	check_waiter_gave_up();
}

/* It is passed over when a slot is free; who clears the level may never come. */
static void test_slots_are_not_waited_for_when_throttled_while_stopping(void)
{
	start_with_one_waiting(true);
	end(1, BP__FLOW_STOPPING);
	HOLDS_FOR_MS(!task_done(runners[1].task), 5);
	set_throttled(1, true);
	end_turn(0, 0);
	join(1, -EPIPE);
	finish_all();
}

/* Throttling holds no more: nothing will ever be sent. */
static void test_slots_are_given_to_who_breaks_while_throttled(void)
{
	start_with_one_waiting(true);
	set_throttled(1, true);
	end_turn(0, 0);
	CHECK_EQ(used(), 0);
	CHECK(parked(1));
	end(1, BP__FLOW_BROKEN);
	CHECK(has_turn(1));
	join(1, 0);
	end_turn(1, 0);
	finish_all();
}

static void test_slots_of_who_is_cut_within_its_turn_come_back(void)
{
	start_with_one_waiting(false);
	end(0, BP__FLOW_CUT);
	CHECK(!bp__flow_may_go_on(&feeds[0]->flow));
	HOLDS_FOR_MS(!has_turn(1), 5);
	check_slot_goes_to(1);
}

/* ---- closed --------------------------------------------------------------- */

static void wait_to_tell_closed(int i)
{
	wait_with(i, (struct bp__wish){ .last = true });
}

/* The second has told of its end; the others are to. */
static void finish_others(void)
{
	bp__flow_turn_end(&feeds[1]->flow, 0, 0, true);
	CHECK_EQ(rig_stats(&rig).conns, FEEDS - 1);
	bp__flow_unref(&feeds[1]->flow);
	feeds[1] = feed_open(&rig, false);
	finish_all();
}

static void test_slots_closed_waits_for_one_like_any_other(void)
{
	with(&bp_qdisc_fair, 1, false);
	turn_at_once(0);
	end(1, BP__FLOW_CUT);
	wait_to_tell_closed(1);
	CHECK(bp__flow_is_waited_for(&feeds[0]->flow));
	end_turn(0, 0);
	CHECK(has_turn(1));
	join(1, 0);
	CHECK_EQ(used(), 1);
	start_waiting(2);		/* it holds the slot until it is told */
	CHECK(!has_turn(2));
	bp__flow_turn_end(&feeds[1]->flow, 0, 0, true);
	join(2, 0);
	end_turn(2, 0);
	bp__flow_unref(&feeds[1]->flow);
	feeds[1] = feed_open(&rig, false);
	finish_all();
}

static void test_slots_closed_is_held_up_by_no_mute_and_no_level(void)
{
	for (int muted_before = 0; muted_before < 2; muted_before++) {
		with(&bp_qdisc_fair, 1, true);
		turn_at_once(0);
		set_throttled(1, true);
		end(1, BP__FLOW_STOPPING);
		if (muted_before)
			bp__flow_mute(&feeds[1]->flow);
		wait_to_tell_closed(1);
		bp__flow_mute(&feeds[1]->flow);	/* one that comes while it waits */
		HOLDS_FOR_MS(parked(1), 5);
		end_turn(0, 0);
		CHECK(has_turn(1));
		join(1, 0);
		finish_others();
	}
}

static void test_slots_closed_is_not_given_up_at_any_stage(void)
{
	with(&bp_qdisc_fair, 1, true);
	turn_at_once(0);
	wait_to_tell_closed(1);
	end(1, BP__FLOW_STOPPING);
	bp__flow_mute(&feeds[1]->flow);
	end(1, BP__FLOW_BROKEN);
	end(1, BP__FLOW_CUT);
	HOLDS_FOR_MS(!task_done(runners[1].task), 5);
	end_turn(0, 0);
	join(1, 0);
	finish_others();
}

/* ---- all at once ---------------------------------------------------------- */

enum { TURNS = 400, MEDDLINGS = 3000 };

static atomic_int inside;

static void take_turns(void *arg)
{
	struct bp__flow *flow = &((struct runner *)arg)->feed->flow;
	int rc = 0;

	for (unsigned n = 0; n < TURNS && rc == 0; n++) {
		struct bp__wish wish = {
			.cost = 100 + n % 7 * 1000, .arrived_ns = now_ns(), .band = n % 4,
		};

		rc = bp__flow_turn(flow, &wish, 0);
		if (rc < 0)
			break;
		CHECK_LE(atomic_fetch_add(&inside, 1), 1);
		atomic_fetch_sub(&inside, 1);
		bp__flow_turn_end(flow, n % 5 * 3000, 1, false);
	}
	CHECK(rc == 0 || rc == -EPIPE);
}

/* Mutes, levels, and for some an end. */
static void meddle(void *arg)
{
	uint64_t random = 7;

	(void)arg;
	for (int n = 0; n < MEDDLINGS; n++) {
		int i;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		i = (int)(random >> 33) % FEEDS;
		set_throttled(i, random >> 60 < 8);
		bp__flow_mute(&feeds[i]->flow);
		if (n % 500 == 499)
			end(i, (enum bp__flow_stage)(1 + n / 500 % 3));
		bp__flow_unmute(&feeds[i]->flow);
	}
	for (int i = 0; i < FEEDS; i++)
		set_throttled(i, false);
}

static void test_slots_are_never_lost(void)
{
	static const struct bp_qdisc_ops *const qdiscs[] = {
		&bp_qdisc_fair, &bp_qdisc_prio, &bp_qdisc_unbounded,
	};

	for (size_t n = 0; n < COUNT_OF(qdiscs); n++) {
		struct task *meddler;

		with(qdiscs[n], 2, true);
		for (int i = 0; i < FEEDS; i++)
			runners[i].task = task_start(take_turns, &runners[i]);
		meddler = task_start(meddle, NULL);
		for (int i = 0; i < FEEDS; i++)
			task_join(runners[i].task);
		task_join(meddler);
		finish_all();
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_slots_are_still_waited_for_when_stopping_or_broken),
		TEST(test_slots_are_not_waited_for_when_cut),
		TEST(test_slots_are_not_waited_for_when_stopping_while_passed_over),
		TEST(test_slots_are_not_waited_for_when_broken_while_muted),
		TEST(test_slots_are_not_waited_for_when_throttled_while_stopping),
		TEST(test_slots_are_given_to_who_breaks_while_throttled),
		TEST(test_slots_of_who_is_cut_within_its_turn_come_back),
		TEST(test_slots_closed_waits_for_one_like_any_other),
		TEST(test_slots_closed_is_held_up_by_no_mute_and_no_level),
		TEST(test_slots_closed_is_not_given_up_at_any_stage),
		TEST(test_slots_are_never_lost),
	};

	return run_suite("slots_ends", tests, COUNT_OF(tests), argc, argv);
}
