/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fair_turn.c - the discipline that shares among peers: whose turn it is, at the
 * pool and in the order.
 */
#include "config.h"

#include "qdisc.h"
#include "trial.h"

#define WEIGHT BP__WEIGHT_DEFAULT

static struct trial trial;
static struct request requests[256];

static void start(size_t pool, size_t peer_max)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_fair, .conns_max = TRIAL_PEERS,
		.budget = pool, .peer_max = peer_max,
	};

	REQUIRE_EQ(trial_init(&trial, &config), 0);
}

static struct bp_peer *new_peer(void)
{
	return trial_peer(&trial, WEIGHT, 0);
}

static bool ask(int i, struct bp_peer *peer, size_t cost)
{
	return trial_ask(&trial, &requests[i], peer, cost, 0);
}

static bool granted(int i)
{
	return requests[i].granted;
}

static void done(int i)
{
	trial_done(&trial, &requests[i]);
}

static void cancel(int i)
{
	trial_cancel(&trial, &requests[i]);
}

static void test_fair_head_that_does_not_fit_is_not_passed_by(void)
{
	struct bp_peer *hog, *head, *light;

	start(1000, 2000);
	hog = new_peer(), head = new_peer();
	light = trial_peer(&trial, 1, 0);	/* its turn comes late */
	CHECK(ask(0, hog, 700));
	CHECK(!ask(1, head, 500));
	CHECK(!ask(2, light, 100));		/* there is room for it */
	trial_release(&trial, hog, 199);
	CHECK(!granted(1) && !granted(2));
	trial_release(&trial, hog, 1);
	CHECK(granted(1) && !granted(2));
	trial_release(&trial, hog, 100);
	CHECK(granted(2));
	trial_fini(&trial);
}

/* Small ones come and go all the time, and always leave room for one more. */
static void test_fair_large_request_does_not_starve_beside_small_ones(void)
{
	enum { SMALL = 8 };
	struct bp_peer *peers[SMALL], *large;
	int i, rounds = 0;

	start(1000, 2000);
	large = new_peer();
	for (i = 0; i < SMALL; i++)
		CHECK(ask(i, peers[i] = new_peer(), 100));
	CHECK(!ask(SMALL, large, 1000));
	while (!granted(SMALL) && rounds < 100) {
		for (i = 0; i < SMALL; i++) {
			if (!granted(i))
				continue;
			done(i);
			ask(i, peers[i], 100);
		}
		rounds++;
	}
	/* each has had about as much as it */
	CHECK_LE(rounds, 12);
	CHECK_GE(rounds, 2);
	trial_fini(&trial);
}

enum { EACH = 2 };		/* requests of a peer that wait, as of two connections */

/* One grant after the other, each given back and asked for again; bytes by peer. */
static void grant_rounds(struct bp_peer *const *peers, int n, int rounds,
    size_t *ret_bytes)
{
	int i, all = n * EACH;

	memset(ret_bytes, 0, (size_t)n * sizeof *ret_bytes);
	CHECK(ask(all, new_peer(), 1000));	/* all have to wait */
	for (i = 0; i < all; i++)
		CHECK(!ask(i, peers[i % n], 1000));
	done(all);
	while (rounds-- > 0) {
		i = (int)(request_of(trial.grants[trial.n_grants - 1]) - requests);
		ret_bytes[i % n] += 1000;
		done(i);
		CHECK(!ask(i, peers[i % n], 1000));
	}
	for (i = 0; i < all; i++)
		if (granted(i))
			done(i);
		else
			cancel(i);
}

static void check_about(size_t bytes, size_t due)
{
	CHECK_GE(bytes + 1000, due);
	CHECK_LE(bytes, due + 1000);
}

static void test_fair_gate_shares_by_weight(void)
{
	struct bp_peer *peers[3];
	size_t bytes[3];

	start(1000, 2000);
	for (unsigned i = 0; i < 3; i++)
		peers[i] = trial_peer(&trial, WEIGHT << i, 0);
	grant_rounds(peers, 3, 700, bytes);
	for (int i = 0; i < 3; i++)
		check_about(bytes[i], (size_t)100000 << i);
	trial_fini(&trial);
}

static void test_fair_newcomer_is_neither_owed_the_past_nor_charged_for_it(void)
{
	struct bp_peer *peers[3];
	size_t bytes[3];

	start(1000, 2000);
	for (int n = 0; n < 3; n++) {
		peers[n] = new_peer();
		grant_rounds(peers, n + 1, 300, bytes);
		for (int i = 0; i <= n; i++)
			check_about(bytes[i], 300000 / (size_t)(n + 1));
	}
	/* nor is who was away */
	grant_rounds(peers, 1, 300, bytes);
	grant_rounds(peers, 3, 300, bytes);
	for (int i = 0; i < 3; i++)
		check_about(bytes[i], 100000);
	trial_fini(&trial);
}

/* ---- who goes away -------------------------------------------------------- */

static void test_fair_grant_of_who_vanishes_is_the_next_ones(void)
{
	struct bp_peer *hog, *head, *next, *light;

	start(1000, 1000);
	hog = new_peer(), head = new_peer(), next = new_peer();
	light = trial_peer(&trial, 1, 0);
	CHECK(ask(0, hog, 700));
	CHECK(!ask(1, head, 400));
	CHECK(!ask(2, light, 300));
	CHECK(!ask(3, next, 500));
	CHECK(!ask(4, hog, 400));		/* its limit */
	cancel(3);
	CHECK(!granted(1) && !granted(2) && !granted(4));
	cancel(4);
	CHECK(!granted(1) && !granted(2));
	cancel(1);
	CHECK(granted(2));
	CHECK_EQ(trial_shared(&trial), 1000);
	done(2);
	done(0);
	CHECK(ask(0, hog, 1000));		/* nothing is left of any of it */
	trial_fini(&trial);
}

/* As a reader's: at most one request is there, cancelled as often as granted. */
static void test_fair_cancels_cost_nobody_anything(void)
{
	struct bp_peer *a, *b;
	size_t bytes[2];

	start(1000, 2000);
	a = new_peer(), b = new_peer();
	CHECK(ask(2, new_peer(), 1000));
	for (int i = 0; i < 500; i++) {
		CHECK(!ask(0, a, 1000));
		cancel(0);
	}
	done(2);
	grant_rounds((struct bp_peer *[]){ a, b }, 2, 100, bytes);
	check_about(bytes[0], 50000);
	trial_fini(&trial);
}

/* ---- the order: whose event is next ---------------------------------------- */

/* Items of each peer; one that was taken is put again. */
static struct bp_item items[16];

static void put(int i, struct bp_peer *peer, size_t cost)
{
	trial_put(&trial, &items[i], peer, cost, 0);
}

static void expect(const struct bp_item *item)
{
	CHECK(trial_take(&trial) == item);
}

static void test_fair_order_is_by_bytes_and_within_a_peer_by_arrival(void)
{
	struct bp_peer *large, *small;
	int next[2] = { 0, 2 }, i;

	start(1000, 1000);
	large = new_peer(), small = new_peer();
	for (i = 0; i < 2; i++)
		put(i, large, 400);
	for (i = 2; i < 10; i++)
		put(i, small, 100);
	for (int n = 0; n < 10; n++) {
		struct bp_item *item = trial_take(&trial);

		i = item->peer == small;
		CHECK(item == &items[next[i]++]);
		if (n == 0)
			CHECK(i == 1);		/* it ends first */
		if (n == 1)
			CHECK(i == 0);		/* and has had more than its part */
	}
	expect(NULL);
	trial_fini(&trial);
}

static void test_fair_order_shares_by_weight(void)
{
	struct bp_peer *peers[3];
	size_t bytes[3] = { 0 };
	struct bp_item *item;
	int i;

	start(1000, 1000);
	for (i = 0; i < 3; i++) {
		peers[i] = trial_peer(&trial, WEIGHT << i, 0);
		put(i, peers[i], 1000);
	}
	for (int n = 0; n < 700; n++) {
		item = trial_take(&trial);
		i = (int)(item - items);
		bytes[i] += item->cost;
		put(i, peers[i], 1000);
	}
	for (i = 0; i < 3; i++) {
		check_about(bytes[i], (size_t)100000 << i);
		trial.ops->remove(trial.q, &items[i]);
	}
	trial_fini(&trial);
}

/* Removed, as by a mute, and shown again it is where it was: it has not paid. */
static void test_fair_order_removed_lets_the_next_go(void)
{
	struct bp_peer *a, *b;

	start(1000, 1000);
	a = new_peer(), b = new_peer();
	put(0, a, 100);
	put(1, a, 50);
	put(2, b, 70);
	put(3, b, 10);
	trial.ops->remove(trial.q, &items[0]);
	expect(&items[1]);
	trial.ops->put(trial.q, &items[0]);
	trial.ops->remove(trial.q, &items[3]);	/* from the midst */
	expect(&items[2]);
	expect(&items[0]);
	expect(NULL);
	put(0, b, 1000);
	trial.ops->remove(trial.q, &items[0]);
	expect(NULL);
	put(0, b, 10);
	expect(&items[0]);
	trial_fini(&trial);
}

/* P8: who is under its share waits for what is being handled, and for one more. */
static void test_fair_order_small_one_does_not_wait_for_all_the_large_ones(void)
{
	struct bp_peer *peers[8], *polite;
	int i, n, waited;

	start(1000, 1000);
	polite = new_peer();
	for (i = 0; i < 8; i++) {
		peers[i] = new_peer();
		put(i, peers[i], 900);
	}
	for (n = 0; n < 50; n++) {
		struct bp_item *item;

		put(8, polite, 10);
		for (waited = 0; (item = trial_take(&trial)) != &items[8]; waited++)
			put((int)(item - items), item->peer, 900);
		CHECK_LE(waited, 1);
		for (i = 0; i < 3; i++) {
			item = trial_take(&trial);
			put((int)(item - items), item->peer, 900);
		}
	}
	for (i = 0; i < 8; i++)
		trial.ops->remove(trial.q, &items[i]);
	trial_fini(&trial);
}

/* Being handled, with nothing else that is ready: it has its part of the time still. */
static void test_fair_order_counts_who_holds_something(void)
{
	struct bp_peer *a, *b, *newcomer;
	int waited;

	start(1000, 1000);
	a = new_peer(), b = new_peer(), newcomer = new_peer();
	a->held = b->held = 1;
	for (int n = 0; n < 100; n++) {
		put(0, a, 100);
		expect(&items[0]);
		put(1, b, 100);
		expect(&items[1]);
	}
	put(0, a, 100);
	put(1, b, 100);
	put(2, newcomer, 100);
	for (waited = 0; waited < 10; waited++) {
		struct bp_item *item = trial_take(&trial);

		if (item == &items[2])
			break;
		put((int)(item - items), item->peer, 100);
	}
	CHECK_LE(waited, 2);
	trial_fini(&trial);
}

/* OPENED, ENDED and CLOSED cost nothing; they wait for nobody's bytes. */
static void test_fair_order_what_costs_nothing_comes_next(void)
{
	struct bp_peer *a, *b;

	start(1000, 1000);
	a = new_peer(), b = new_peer();
	put(0, a, 500);
	put(1, a, 500);
	put(2, b, 0);
	expect(&items[2]);
	expect(&items[0]);
	put(3, b, 0);
	expect(&items[3]);
	expect(&items[1]);
	trial_fini(&trial);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_fair_head_that_does_not_fit_is_not_passed_by),
		TEST(test_fair_large_request_does_not_starve_beside_small_ones),
		TEST(test_fair_gate_shares_by_weight),
		TEST(test_fair_newcomer_is_neither_owed_the_past_nor_charged_for_it),
		TEST(test_fair_grant_of_who_vanishes_is_the_next_ones),
		TEST(test_fair_cancels_cost_nobody_anything),
		TEST(test_fair_order_is_by_bytes_and_within_a_peer_by_arrival),
		TEST(test_fair_order_shares_by_weight),
		TEST(test_fair_order_removed_lets_the_next_go),
		TEST(test_fair_order_small_one_does_not_wait_for_all_the_large_ones),
		TEST(test_fair_order_counts_who_holds_something),
		TEST(test_fair_order_what_costs_nothing_comes_next),
	};

	return run_suite("fair_turn", tests, COUNT_OF(tests), argc, argv);
}
