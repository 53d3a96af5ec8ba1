/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_slots_turns.c - handlers_max, in the core alone: how many turns there are at
 * once, who gets the next one, and who is passed over. Ends are test_slots_ends.c.
 */
#include "config.h"

#include "runners.h"

/* ---- how many ------------------------------------------------------------- */

static void test_slots_are_taken_at_once_while_there_are_any(void)
{
	with(&bp_qdisc_fair, 3, false);
	for (int i = 0; i < 3; i++)
		turn_at_once(i);
	CHECK_EQ(used(), 3);
	CHECK(!bp__flow_is_waited_for(&feeds[0]->flow));
	start_waiting(3);
	CHECK(bp__flow_is_waited_for(&feeds[0]->flow));
	CHECK(rig_try(&rig) == NULL);		/* what is ready is for handlers */
	end_turn(1, 0);
	join(3, 0);
	CHECK(!bp__flow_is_waited_for(&feeds[0]->flow));
	end_turn(0, 0);
	end_turn(2, 0);
	end_turn(3, 0);
	finish_all();
}

/* R5: who ends its turn gives it on; who asks again at once has to wait. */
static void test_slots_are_handed_on_and_not_overtaken(void)
{
	with(&bp_qdisc_unbounded, 1, false);
	turn_at_once(0);
	start_waiting(1);
	start_waiting(2);
	end_turn(0, 0);
	CHECK(has_turn(1) && !has_turn(2));	/* whether or not it has run */
	CHECK_EQ(used(), 1);
	start_waiting(0);
	join(1, 0);
	CHECK(!has_turn(2) && !has_turn(0));
	end_turn(1, 0);
	CHECK(has_turn(2) && !has_turn(0));
	join(2, 0);
	end_turn(2, 0);
	join(0, 0);
	end_turn(0, 0);
	finish_all();
}

enum { TURNS = 300 };

static atomic_int inside, most;
static int unguarded;			/* with one slot: the turn is the lock */

static void take_turns(void *arg)
{
	struct runner *runner = arg;
	int now;

	for (int n = 0; n < TURNS; n++) {
		struct bp__wish wish = { .cost = 100, .arrived_ns = now_ns() };

		REQUIRE_EQ(bp__flow_turn(&runner->feed->flow, &wish, 0), 0);
		now = atomic_fetch_add(&inside, 1) + 1;
		if (now > atomic_load(&most))
			atomic_store(&most, now);
		if (rig.q.slots_max == 1)
			unguarded++;
		atomic_fetch_sub(&inside, 1);
		bp__flow_turn_end(&runner->feed->flow, 10, 1, false);
	}
}

static void test_slots_bound_how_many_handlers_run(void)
{
	static const struct bp_qdisc_ops *const qdiscs[] = {
		&bp_qdisc_fair, &bp_qdisc_prio, &bp_qdisc_bytes, &bp_qdisc_one_place,
	};

	for (size_t n = 0; n < COUNT_OF(qdiscs); n++) {
		size_t slots = 1 + n % 2 * 2;

		atomic_store(&most, 0);
		unguarded = 0;
		with(qdiscs[n], slots, false);
		for (int i = 0; i < FEEDS; i++)
			runners[i].task = task_start(take_turns, &runners[i]);
		for (int i = 0; i < FEEDS; i++)
			task_join(runners[i].task);
		CHECK_LE(atomic_load(&most), slots);
		CHECK_EQ(unguarded, slots == 1 ? FEEDS * TURNS : 0);
		CHECK_EQ(rig_stats(&rig).received_events, FEEDS * TURNS);
		finish_all();
	}
}

/* ---- who is next ---------------------------------------------------------- */

static void test_slots_follow_the_bands_of_frames(void)
{
	static const unsigned bands[] = { 0, 2, 1, 2, 0, 1 };
	static const int order[] = { 4, 2, 5, 1, 3 };

	with(&bp_qdisc_prio, 1, false);
	turn_at_once(0);
	for (int i = 1; i < 6; i++)
		wait_with(i, (struct bp__wish){ .cost = 100, .band = bands[i] });
	end_turn(0, 0);
	for (size_t i = 0; i < COUNT_OF(order); i++) {
		join(order[i], 0);
		CHECK_EQ(used(), 1);
		end_turn(order[i], 0);
	}
	finish_all();
}

/* Who has the turn, which then ends. */
static int end_whose_turn(const uint64_t *handled)
{
	int i = 0;

	while (!has_turn(i))
		i++;
	join(i, 0);
	end_turn(i, handled[i] - BP__EVENT_COST);
	return i;
}

/*
 * Three wait all the time with frames of the same cost, but in a turn each handles so
 * many bytes; n turns.
 */
static void share_turns(const uint64_t *handled, int n, uint64_t *ret_bytes)
{
	int i;

	with(&bp_qdisc_fair, 1, false);
	turn_at_once(3);
	for (i = 0; i < 3; i++)
		wait_with(i, (struct bp__wish){ .cost = 1000 });
	end_turn(3, 0);
	while (n-- > 0) {
		i = end_whose_turn(handled);
		ret_bytes[i] += handled[i];
		wait_with(i, (struct bp__wish){ .cost = 1000 });
	}
	for (i = 0; i < 3; i++)
		end_whose_turn(handled);
	finish_all();
}

/* What a turn handled beyond the frame it was asked with is owed. */
static void test_slots_count_all_that_a_turn_handled(void)
{
	uint64_t bytes[3] = { 0 };

	share_turns((uint64_t[]){ 10000, 1000, 1000 }, 300, bytes);
	CHECK_LE(bytes[0], 2 * bytes[1]);	/* not ten times as many */
	CHECK_LE(bytes[0], 2 * bytes[2]);
	CHECK_GE(bytes[0], bytes[1] / 2);
}

/* A debt is paid once, and nobody is given what it did not use. */
static void test_slots_debt_is_paid_once(void)
{
	struct bp__flow *flow;

	with(&bp_qdisc_fair, 1, false);
	flow = &feeds[0]->flow;
	turn_at_once(0);
	end_turn(0, 5000);
	CHECK_EQ(rig_peek(&rig, &flow->owed), 5000 + BP__EVENT_COST - 100);
	turn_at_once(1);
	start_waiting(0);
	CHECK_EQ(rig_peek(&rig, &flow->oldest.cost), 5000 + BP__EVENT_COST);
	bp__flow_mute(flow);
	bp__flow_unmute(flow);
	CHECK_EQ(rig_peek(&rig, &flow->oldest.cost), 5000 + BP__EVENT_COST);
	end_turn(1, 0);
	join(0, 0);
	bp__flow_turn_end(flow, 0, 0, false);
	CHECK_EQ(rig_peek(&rig, &flow->owed), 0);
	finish_all();
}

/* ---- passed over ---------------------------------------------------------- */

static void test_slots_are_not_given_to_who_is_muted(void)
{
	with(&bp_qdisc_fair, 1, false);
	turn_at_once(0);
	start_waiting(1);
	bp__flow_mute(&feeds[1]->flow);
	CHECK(!bp__flow_is_waited_for(&feeds[0]->flow));
	end_turn(0, 0);
	CHECK_EQ(used(), 0);
	CHECK(parked(1));
	turn_at_once(2);
	bp__flow_unmute(&feeds[1]->flow);
	CHECK(bp__flow_is_waited_for(&feeds[2]->flow));
	CHECK(!has_turn(1));
	end_turn(2, 0);
	join(1, 0);
	end_turn(1, 0);
	/* and one that comes muted; the slot is free when it is muted no more */
	turn_at_once(2);
	bp__flow_mute(&feeds[3]->flow);
	start_waiting(3);
	CHECK(!bp__flow_is_waited_for(&feeds[2]->flow));
	end_turn(2, 0);
	CHECK_EQ(used(), 0);
	bp__flow_unmute(&feeds[3]->flow);
	CHECK(has_turn(3));
	join(3, 0);
	end_turn(3, 0);
	finish_all();
}

static void test_slots_are_not_given_to_who_is_throttled_and_coupled(void)
{
	with(&bp_qdisc_fair, 1, true);
	turn_at_once(0);
	start_waiting(1);
	start_waiting(2);
	/* R12: it is shown still, and found throttled when it is its turn */
	atomic_store(&feeds[1]->throttled, true);
	end_turn(0, 0);
	CHECK(has_turn(2) && parked(1));
	join(2, 0);
	bp__flow_unblock(&feeds[1]->flow);	/* a visit that comes late */
	end_turn(2, 0);
	CHECK_EQ(used(), 0);
	CHECK(parked(1));
	atomic_store(&feeds[1]->throttled, false);
	bp__flow_unblock(&feeds[1]->flow);
	CHECK(has_turn(1));
	join(1, 0);
	end_turn(1, 0);
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_slots_are_taken_at_once_while_there_are_any),
		TEST(test_slots_are_handed_on_and_not_overtaken),
		TEST(test_slots_bound_how_many_handlers_run),
		TEST(test_slots_follow_the_bands_of_frames),
		TEST(test_slots_count_all_that_a_turn_handled),
		TEST(test_slots_debt_is_paid_once),
		TEST(test_slots_are_not_given_to_who_is_muted),
		TEST(test_slots_are_not_given_to_who_is_throttled_and_coupled),
	};

	return run_suite("slots_turns", tests, COUNT_OF(tests), argc, argv);
}
