/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_wfq.c - WF2Q+ alone: its tags, whose turn it is, and what each gets over time.
 */
#include "config.h"

#include "harness.h"

#include "wfq.h"

enum { ENTITIES = 4, WEIGHT = 64, UNIT = 64 };

static struct bp__wfq wfq;
static struct bp__wfq_entity entities[ENTITIES];
static struct bp_item items[ENTITIES];		/* each has one at a time */
static unsigned weights[ENTITIES];
static uint64_t bytes[ENTITIES], total, all_weights, seq;

static void start(unsigned a, unsigned b, unsigned c, unsigned d)
{
	const unsigned given[ENTITIES] = { a, b, c, d };

	memset(&wfq, 0, sizeof wfq);
	memset(entities, 0, sizeof entities);
	memset(bytes, 0, sizeof bytes);
	total = all_weights = seq = 0;
	for (int i = 0; i < ENTITIES; i++)
		all_weights += weights[i] = given[i];
}

static void arm(int i, size_t cost)
{
	items[i] = (struct bp_item){ .cost = cost, .seq = seq++ };
	entities[i].items.first = entities[i].items.last = &items[i];
	bp__wfq_arm(&wfq, &entities[i], cost, weights[i], all_weights);
}

/* Whose turn it is, or -1. */
static int next(void)
{
	struct bp__wfq_entity *entity = bp__wfq_next(&wfq);

	return entity ? (int)(entity - entities) : -1;
}

static int serve_next(void)
{
	int i = next();

	REQUIRE(i >= 0);
	bp__wfq_serve(&wfq, &entities[i], items[i].cost, all_weights);
	CHECK(!entities[i].armed);
	entities[i].items.first = entities[i].items.last = NULL;
	bytes[i] += items[i].cost;
	total += items[i].cost;
	return i;
}

/* ---- tags ----------------------------------------------------------------- */

static void test_wfq_tags_are_bytes_by_weight(void)
{
	start(64, 128, 1, 1024);
	for (int i = 0; i < ENTITIES; i++) {
		arm(i, 1000);
		CHECK(entities[i].armed);
		CHECK_EQ(entities[i].node.key, 0);
		CHECK_EQ(entities[i].finish, 1000 * UNIT / weights[i]);
	}
	CHECK_EQ(serve_next(), 3);
	CHECK_EQ(entities[3].served, 62);
	CHECK_EQ(wfq.now, 1000 * UNIT / all_weights);
	/* the next one begins where that one ended, not now */
	arm(3, 500);
	CHECK_EQ(entities[3].node.key, 62);
	CHECK_EQ(entities[3].finish, 62 + 31);
}

static void test_wfq_begins_now_who_has_had_less_than_its_part(void)
{
	start(WEIGHT, WEIGHT, 0, 0);
	for (int i = 0; i < 10; i++) {
		arm(0, 1000);
		CHECK_EQ(serve_next(), 0);
	}
	CHECK_EQ(wfq.now, 9500);	/* half its part, until nobody else had begun */
	arm(1, 1000);
	CHECK_EQ(entities[1].node.key, 9500);
	CHECK_EQ(entities[1].finish, 10500);
}

static void test_wfq_time_jumps_when_nobody_has_begun(void)
{
	start(WEIGHT, WEIGHT, WEIGHT, 0);
	bp__wfq_pay(&wfq, &entities[0], 5000, WEIGHT, 1 << 20);
	bp__wfq_pay(&wfq, &entities[1], 8000, WEIGHT, 1 << 20);
	arm(0, 100);
	arm(1, 100);
	CHECK_EQ(wfq.now, 0);
	CHECK_EQ(serve_next(), 0);
	CHECK_EQ(wfq.now, 5000 + 100 / 3);
	CHECK_EQ(next(), 1);
	CHECK_EQ(wfq.now, 8000);
	bp__wfq_disarm(&wfq, &entities[1]);
	CHECK_EQ(next(), -1);
	CHECK_EQ(wfq.now, 8000);	/* never back */
	arm(2, 100);			/* it comes now */
	CHECK_EQ(entities[2].node.key, 8000);
	CHECK_EQ(next(), 2);
	CHECK_EQ(wfq.now, 8000);
}

/* Who was served late goes on where that ended; but that far, not farther back. */
static void test_wfq_forgives_being_late_for_so_much(void)
{
	start(WEIGHT, WEIGHT, 2 * WEIGHT, 0);
	arm(0, 100);
	CHECK_EQ(serve_next(), 0);
	CHECK_EQ(entities[0].served, 100);
	arm(1, 4000);
	CHECK_EQ(serve_next(), 1);	/* meanwhile it is 1025 */
	arm(0, 100);
	CHECK_EQ(entities[0].node.key, 100);
	CHECK_EQ(serve_next(), 0);
	CHECK_EQ(entities[0].served, 200);
	wfq.now = 3000;
	arm(0, 100);
	CHECK_EQ(wfq.largest, 4000 - 4000 / 1024);
	CHECK_EQ(entities[0].node.key, 3000 - 2 * wfq.largest / 4);
	CHECK_EQ(serve_next(), 0);
	arm(2, 100);			/* nothing is forgiven to who comes first now */
	CHECK_EQ(entities[2].node.key, wfq.now);
}

/* Time does not pass by what goes beside the order: the debt must not grow for ever. */
static void test_wfq_owes_no_more_than_so_much(void)
{
	start(WEIGHT, 2 * WEIGHT, 0, 0);
	for (int i = 0; i < 100; i++) {
		bp__wfq_pay(&wfq, &entities[0], 1000, WEIGHT, 5000);
		bp__wfq_pay(&wfq, &entities[1], 1000, 2 * WEIGHT, 5000);
	}
	CHECK_EQ(entities[0].served, 5000);
	CHECK_EQ(entities[1].served, 2500);
}

static void test_wfq_keeps_parts_of_a_tick(void)
{
	start(1000, 60000, 1500, 1500);		/* 64000: a byte is a thousandth */
	for (int i = 0; i < 2999; i++) {
		arm(1, 1);
		CHECK_EQ(serve_next(), 1);
	}
	CHECK_EQ(wfq.part, 2999 * 64 % 64000);
}

/* ---- whose turn it is ----------------------------------------------------- */

static void test_wfq_serves_nobody_when_nobody_is_armed(void)
{
	start(WEIGHT, WEIGHT, 0, 0);
	CHECK_EQ(next(), -1);
	arm(0, 10);
	CHECK_EQ(serve_next(), 0);
	CHECK_EQ(next(), -1);
}

static void test_wfq_serves_of_those_that_began_who_ends_first(void)
{
	start(WEIGHT, WEIGHT, WEIGHT, 2 * WEIGHT);
	arm(0, 300);
	arm(1, 100);
	arm(2, 200);
	arm(3, 300);			/* ends at 150 */
	CHECK_EQ(serve_next(), 1);
	CHECK_EQ(serve_next(), 3);
	CHECK_EQ(serve_next(), 2);
	CHECK_EQ(serve_next(), 0);
}

static void test_wfq_serves_equal_ends_in_order_of_arrival(void)
{
	start(WEIGHT, WEIGHT, WEIGHT, WEIGHT);
	for (int i = 0; i < ENTITIES; i++) {
		seq = ENTITIES - (uint64_t)i;	/* the last has waited for longest */
		arm(i, 100);
	}
	for (int i = ENTITIES; i-- > 0;)
		CHECK_EQ(serve_next(), i);
}

static void test_wfq_holds_up_who_has_not_begun_though_it_ends_first(void)
{
	start(WEIGHT, WEIGHT, 0, 0);
	bp__wfq_pay(&wfq, &entities[1], 500, WEIGHT, 1 << 20);
	arm(0, 2000);			/* 0 to 2000 */
	arm(1, 100);			/* 500 to 600 */
	CHECK_EQ(serve_next(), 0);		/* now it is 1000 */
	arm(0, 2000);
	CHECK_EQ(serve_next(), 1);
}

static void test_wfq_who_paid_comes_after_those_who_did_not(void)
{
	start(WEIGHT, WEIGHT, 0, 0);
	bp__wfq_pay(&wfq, &entities[0], 1000, WEIGHT, 1 << 20);
	CHECK_EQ(entities[0].served, 1000);
	bp__wfq_pay(&wfq, &entities[0], 1000, 2 * WEIGHT, 1 << 20);
	CHECK_EQ(entities[0].served, 1500);
	arm(0, 100);
	for (int i = 0; i < 15; i++) {
		arm(1, 100);
		CHECK_EQ(serve_next(), 1);
	}
	CHECK_EQ(serve_next(), 0);
	/* and what was paid long ago counts no more */
	wfq.now = 1 << 20;
	bp__wfq_pay(&wfq, &entities[0], 100, WEIGHT, 1 << 20);
	CHECK_EQ(entities[0].served, (1 << 20) + 100);
}

static void test_wfq_disarmed_is_not_served_and_has_not_paid(void)
{
	start(WEIGHT, WEIGHT, WEIGHT, 0);
	bp__wfq_pay(&wfq, &entities[2], 5000, WEIGHT, 1 << 20);
	arm(0, 100);
	arm(1, 200);
	arm(2, 300);
	CHECK_EQ(next(), 0);			/* two have begun, one is later */
	for (int i = 0; i < 3; i += 2) {
		bp__wfq_disarm(&wfq, &entities[i]);
		CHECK(!entities[i].armed);
		bp__wfq_disarm(&wfq, &entities[i]);	/* no harm */
	}
	CHECK_EQ(next(), 1);
	arm(0, 100);
	CHECK_EQ(entities[0].node.key, 0);
	CHECK_EQ(serve_next(), 0);
	CHECK_EQ(serve_next(), 1);
	CHECK_EQ(next(), -1);
	arm(2, 300);
	CHECK_EQ(entities[2].node.key, 5000);
	CHECK_EQ(serve_next(), 2);
}

/* ---- over time ------------------------------------------------------------ */

static void test_wfq_shares_equally_at_every_moment(void)
{
	start(WEIGHT, WEIGHT, WEIGHT, WEIGHT);
	for (int i = 0; i < ENTITIES; i++)
		arm(i, 1000);
	for (int n = 0; n < 400; n++) {
		arm(serve_next(), 1000);
		for (int i = 0; i < ENTITIES; i++) {
			CHECK_LE(bytes[i], total / ENTITIES + 1000);
			CHECK_GE(bytes[i] + 1000, total / ENTITIES);
		}
	}
}

/*
 * Under backpressure one that was served has nothing waiting for a while. Deficit round
 * robin would forget what it has had.
 */
static void test_wfq_remembers_who_has_nothing_waiting_for_a_while(void)
{
	static const size_t costs[ENTITIES] = { 5000, 100, 100, 100 };
	int away = -1;

	start(WEIGHT, WEIGHT, WEIGHT, WEIGHT);
	for (int i = 0; i < ENTITIES; i++)
		arm(i, costs[i]);
	for (int n = 0; n < 4000; n++) {
		int i = serve_next();

		if (away >= 0)
			arm(away, costs[away]);
		away = i;
	}
	CHECK_LE(bytes[0], total / 2);		/* it would be nearly all */
	CHECK_GE(bytes[0], total / ENTITIES - costs[0]);
}

static void test_wfq_newcomer_is_neither_owed_the_past_nor_charged_for_it(void)
{
	start(WEIGHT, WEIGHT, 0, 0);
	all_weights = WEIGHT;			/* the other is not there yet */
	for (int i = 0; i < 1000; i++) {
		arm(0, 1000);
		CHECK_EQ(serve_next(), 0);
	}
	all_weights = 2 * WEIGHT;
	bytes[0] = 0;
	arm(0, 1000);
	arm(1, 1000);
	for (int i = 0; i < 50; i++) {
		arm(serve_next(), 1000);
		CHECK_LE(bytes[0], bytes[1] + 1000);
		CHECK_LE(bytes[1], bytes[0] + 1000);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_wfq_tags_are_bytes_by_weight),
		TEST(test_wfq_begins_now_who_has_had_less_than_its_part),
		TEST(test_wfq_time_jumps_when_nobody_has_begun),
		TEST(test_wfq_forgives_being_late_for_so_much),
		TEST(test_wfq_owes_no_more_than_so_much),
		TEST(test_wfq_keeps_parts_of_a_tick),
		TEST(test_wfq_serves_nobody_when_nobody_is_armed),
		TEST(test_wfq_serves_of_those_that_began_who_ends_first),
		TEST(test_wfq_serves_equal_ends_in_order_of_arrival),
		TEST(test_wfq_holds_up_who_has_not_begun_though_it_ends_first),
		TEST(test_wfq_who_paid_comes_after_those_who_did_not),
		TEST(test_wfq_disarmed_is_not_served_and_has_not_paid),
		TEST(test_wfq_shares_equally_at_every_moment),
		TEST(test_wfq_remembers_who_has_nothing_waiting_for_a_while),
		TEST(test_wfq_newcomer_is_neither_owed_the_past_nor_charged_for_it),
	};

	return run_suite("wfq", tests, COUNT_OF(tests), argc, argv);
}
