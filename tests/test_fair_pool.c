/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fair_pool.c - target_ms: the pool of the discipline that shares among peers
 * shrinks while all that is taken has waited too long, and grows again.
 *
 * It looks at the clock, in intervals of a tenth of a second; here events only say
 * that they came long ago.
 */
#include "config.h"

#include "trial.h"

#define KIB ((size_t)1024)
#define POOL (128 * KIB)
#define LEAST (64 * KIB)
#define STEP (POOL / 100 * 15)

enum { TARGET_MS = 20000 };

static struct trial trial;
static struct bp_peer *peer;
static struct request requests[POOL / 256 + 1];

static void start(int target_ms)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_fair, .conns_max = 1, .budget = POOL,
		.peer_max = 2 * POOL, .target_ms = target_ms,
	};

	REQUIRE_EQ(trial_init(&trial, &config), 0);
	peer = trial_peer(&trial, 64, 0);
}

/* Ask until one has to wait; how much was granted? */
static size_t room(void)
{
	size_t n = 0, i;

	trial.n_grants = 0;
	while (trial_ask(&trial, &requests[n], peer, 256, 0))
		n++;
	trial_cancel(&trial, &requests[n]);
	for (i = 0; i < n; i++)
		trial_done(&trial, &requests[i]);
	return n * 256;
}

/* Take an event that came so long ago. */
static void take(uint64_t waited_ms)
{
	struct bp_item item = {
		.peer = peer, .cost = 10, .seq = trial.seq++,
		.arrived_ns = now_ns() - waited_ms * 1000000,
	};

	trial.ops->put(trial.q, &item);
	CHECK(trial_take(&trial) == &item);
}

static size_t room_after(uint64_t waited_ms)
{
	take(waited_ms);
	return room();
}

static bool late_and_early(void)
{
	take(2 * TARGET_MS);
	take(0);
	return true;
}

static bool early(void)
{
	take(0);
	return true;
}

static void shrink_to_the_least(void)
{
	WAIT_UNTIL(room_after(2 * TARGET_MS) == LEAST);
}

static void test_fair_pool_shrinks_by_steps_while_all_wait_too_long(void)
{
	size_t last = POOL, next;

	start(TARGET_MS);
	CHECK_EQ(room(), POOL);
	WAIT_UNTIL((next = room_after(2 * TARGET_MS)) < last);
	CHECK_LE(next, POOL - STEP);
	CHECK_GE(next + 256, POOL - STEP);
	while (next > LEAST) {
		last = next;
		WAIT_UNTIL((next = room_after(2 * TARGET_MS)) < last);
	}
	HOLDS_FOR_MS(room_after(2 * TARGET_MS) == LEAST, 250);
	trial_fini(&trial);
}

/* The least delay of an interval counts: a burst is no standing queue. */
static void test_fair_pool_stays_when_some_do_not_wait(void)
{
	start(TARGET_MS);
	take(2 * TARGET_MS);
	HOLDS_FOR_MS(late_and_early() && room() == POOL, 350);
	trial_fini(&trial);
}

static void test_fair_pool_stays_without_a_target(void)
{
	start(-1);
	HOLDS_FOR_MS(room_after(2 * TARGET_MS) == POOL, 250);
	trial_fini(&trial);
}

static void test_fair_pool_grows_again_when_somebody_waits_for_it(void)
{
	start(TARGET_MS);
	shrink_to_the_least();
	WAIT_UNTIL(room_after(0) > LEAST);
	WAIT_UNTIL(room_after(0) == POOL);
	HOLDS_FOR_MS(room_after(0) == POOL, 120);
	trial_fini(&trial);
}

static void test_fair_pool_stays_small_when_nobody_waits_for_it(void)
{
	start(TARGET_MS);
	shrink_to_the_least();
	/* the first interval may have begun with somebody who did */
	take(3 * TARGET_MS / 4);
	HOLDS_FOR_MS(trial_shared(&trial) == 0, 120);
	take(3 * TARGET_MS / 4);
	HOLDS_FOR_MS(early(), 350);
	CHECK_EQ(room(), LEAST);
	trial_fini(&trial);
}

/* I4, whatever it has shrunk to; and nobody else then. */
static void test_fair_pool_that_is_empty_admits_the_largest_though_it_shrank(void)
{
	start(TARGET_MS);
	shrink_to_the_least();
	CHECK(trial_ask(&trial, &requests[0], peer, POOL, 0));
	CHECK(!trial_ask(&trial, &requests[1], peer, 256, 0));
	CHECK(!trial_ask(&trial, &requests[2], peer, POOL, 0));
	trial_done(&trial, &requests[0]);
	CHECK(requests[1].granted && !requests[2].granted);
	trial_done(&trial, &requests[1]);
	CHECK(requests[2].granted);
	trial_fini(&trial);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_fair_pool_shrinks_by_steps_while_all_wait_too_long),
		TEST(test_fair_pool_stays_when_some_do_not_wait),
		TEST(test_fair_pool_stays_without_a_target),
		TEST(test_fair_pool_grows_again_when_somebody_waits_for_it),
		TEST(test_fair_pool_stays_small_when_nobody_waits_for_it),
		TEST(test_fair_pool_that_is_empty_admits_the_largest_though_it_shrank),
	};

	return run_suite("fair_pool", tests, COUNT_OF(tests), argc, argv);
}
