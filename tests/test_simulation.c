/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_simulation.c - our disciplines through some two million random steps, each
 * followed by what must hold: I1 the budget, I2 the pool, I3 peer_max, I7 the order,
 * and that whoever may go on does.
 *
 * Then fair, where all peers want more all the time. What each has had, divided by its
 * weight, may never differ by more than a largest message of each between any two of
 * them, or a few of those, however long it goes on.
 *
 * Everything follows from the seed that a failure prints.
 */
#include "config.h"

#include "drill.h"
#include "tagged.h"
#include "trial.h"

#include <stdio.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define LARGEST (1 * MIB)

/* ---- at random ------------------------------------------------------------ */

enum { ROUNDS = 10000 };	/* of each run */

static void simulate(const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *configs, size_t n, unsigned runs)
{
	char rule[160];
	unsigned seed;
	int rc;

	/* a sanitizer's runs are fewer, and as long */
	for (seed = 1; seed <= runs / (unsigned)slow_factor(); seed++) {
		rc = bp__drill(ops, &configs[seed % n], seed, ROUNDS, rule, sizeof rule);
		if (rc < 0)
			fprintf(stderr, "%s, config %zu, seed %u: %s\n", ops->name,
			    seed % n, seed, rule);
		REQUIRE_EQ(rc, 0);
	}
}

static void test_simulation_of_unbounded_and_places(void)
{
	static const struct bp_endpoint_config configs[] = {
		{ .places = 1, .conns_max = 4, .guarantee = 4 * KIB },
		{ .places = 7, .conns_max = 64, .guarantee = 4 * KIB },
		{ .places = 100, .conns_max = 64, .guarantee = 4 * KIB },
	};

	simulate(&bp_qdisc_unbounded, configs, COUNT_OF(configs), 12);
	simulate(&bp_qdisc_one_place, configs, COUNT_OF(configs), 12);
	simulate(&bp_qdisc_bounded, configs, COUNT_OF(configs), 12);
}

static void test_simulation_of_bytes(void)
{
	static const struct bp_endpoint_config configs[] = {
		{ .budget = 128 * MIB, .conns_max = 1024, .guarantee = 64 * KIB },
		{ .budget = 2 * MIB, .conns_max = 16, .guarantee = 64 * KIB },
		{ .budget = 1 * MIB, .conns_max = 6, .guarantee = 1 * KIB },
		{ .budget = 256 * KIB, .conns_max = 24, .guarantee = 0 },
		{ .budget = 8 * KIB, .conns_max = 3, .guarantee = 1 * KIB },
	};

	simulate(&bp_qdisc_bytes, configs, COUNT_OF(configs), 40);
}

static void test_simulation_of_prio(void)
{
	static const struct bp_endpoint_config configs[] = {
		{ .budget = 128 * MIB, .conns_max = 1024, .guarantee = 64 * KIB,
		  .bands = 8 },
		{ .budget = 2 * MIB, .conns_max = 16, .guarantee = 64 * KIB,
		  .bands = 2 },
		{ .budget = 2 * MIB, .conns_max = 16, .guarantee = 64 * KIB,
		  .bands = 4, .min_share = 5 },
		{ .budget = 1 * MIB, .conns_max = 6, .guarantee = 1 * KIB,
		  .bands = 64, .min_share = 1 },
		{ .budget = 256 * KIB, .conns_max = 24, .guarantee = 0,
		  .bands = 3, .min_share = 33 },
		{ .budget = 256 * KIB, .conns_max = 24, .guarantee = 4 * KIB,
		  .bands = 1 },
	};

	simulate(&bp_qdisc_prio, configs, COUNT_OF(configs), 60);
}

static void test_simulation_of_fair(void)
{
	static const struct bp_endpoint_config configs[] = {
		{ .budget = 128 * MIB, .conns_max = 1024, .guarantee = 64 * KIB,
		  .peer_max = 33 * MIB },
		{ .budget = 2 * MIB, .conns_max = 16, .guarantee = 64 * KIB,
		  .peer_max = 256 * KIB },
		{ .budget = 2 * MIB, .conns_max = 16, .guarantee = 64 * KIB,
		  .peer_max = 2 * MIB, .target_ms = 1 },
		{ .budget = 1 * MIB, .conns_max = 6, .guarantee = 1 * KIB,
		  .peer_max = 70 * KIB },
		{ .budget = 256 * KIB, .conns_max = 24, .guarantee = 0,
		  .peer_max = 256 * KIB },
		{ .budget = 256 * KIB, .conns_max = 4, .guarantee = 32 * KIB,
		  .peer_max = 64 * KIB },
		{ .budget = 8 * KIB, .conns_max = 3, .guarantee = 1 * KIB,
		  .peer_max = 3 * KIB },
	};

	simulate(&bp_qdisc_fair, configs, COUNT_OF(configs), 80);
}

/* ---- fair: peers that want more ------------------------------------------- */

enum { PEERS = 12, QUEUE = 4096, SEEDS = 20, STEPS = 10000 };

struct peer {
	struct bp_peer *peer;
	struct request request;
	bool asked;			/* and perhaps granted */
	struct bp_item event;
	bool shown;
	size_t size;			/* of its messages; 0: they differ */
	double served;			/* bytes by weight */
	size_t queue[QUEUE];		/* granted, to be taken */
	unsigned first, n;
};

static struct trial trial;
static struct peer peers[PEERS];
static uint64_t numbers;
static unsigned seed;

static void begin(size_t guarantee, bool weighed)
{
	static const unsigned weights[] = { 1, 16, 64, 64, 100, 128, 1024 };
	static const size_t sizes[] = { 4, 16, 64, 256, 1024 };
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_fair, .conns_max = PEERS, .guarantee = guarantee,
		.budget = 16 * MIB + PEERS * guarantee, .peer_max = 16 * MIB + guarantee,
	};

	numbers = seed;
	REQUIRE_EQ(trial_init(&trial, &config), 0);
	memset(peers, 0, sizeof peers);
	for (int i = 0; i < PEERS; i++) {
		peers[i].peer = trial_peer(&trial, weighed
		    ? weights[random_below(&numbers, 7)] : 64, guarantee);
		if (random_below(&numbers, 2))
			peers[i].size = sizes[random_below(&numbers, 5)] * KIB;
	}
}

static size_t next_size(const struct peer *peer)
{
	static const size_t sizes[] = { 4, 4, 4, 4, 16, 16, 16, 64, 64, 256, 1024 };

	return peer->size > 0 ? peer->size
	    : sizes[random_below(&numbers, COUNT_OF(sizes))] * KIB;
}

static void count(struct peer *peer, size_t cost)
{
	peer->served += (double)cost / peer->peer->weight;
}

static void count_anew(void)
{
	for (int i = 0; i < PEERS; i++)
		peers[i].served = 0;
}

/* Between any two at most so many largest messages of each. */
static void check_served(double largest_ones)
{
	const struct peer *a, *b;
	double limit;

	for (a = peers; a < peers + PEERS; a++)
		for (b = peers; b < peers + PEERS; b++) {
			limit = largest_ones * LARGEST * (1.0 / a->peer->weight
			    + 1.0 / b->peer->weight);
			if (a->served - b->served <= limit)
				continue;
			fprintf(stderr, "seed %u: weight %u is ahead of weight %u, by %.2f "
			    "of the limit\n", seed, a->peer->weight, b->peer->weight,
			    (a->served - b->served) / limit);
			REQUIRE(a->served - b->served <= limit);
		}
}

/* ---- fair: the order ------------------------------------------------------ */

static void put_next(struct peer *peer)
{
	trial_put(&trial, &peer->event, peer->peer, next_size(peer), 0);
}

static void begin_order(void)
{
	begin(0, true);
	for (int i = 0; i < PEERS; i++)
		put_next(&peers[i]);
}

/* Whoever was served has more at once. */
static void take_one(void)
{
	struct bp_item *item = trial_take(&trial);
	struct peer *peer = &peers[item->peer - trial.peers];

	count(peer, item->cost);
	trial_put(&trial, item, item->peer, next_size(peer), 0);
}

static void test_simulation_order_of_fair_is_within_a_message_of_each(void)
{
	for (seed = 1; seed <= SEEDS; seed++) {
		begin_order();
		for (int step = 0; step < STEPS; step++) {
			take_one();
			check_served(1);
		}
		trial_fini(&trial);
	}
}

/* One has been away, and is owed at most a message for that. */
static void test_simulation_order_of_fair_owes_little_to_the_idle(void)
{
	for (seed = 1; seed <= SEEDS; seed++) {
		begin_order();
		trial.ops->remove(trial.q, &peers[0].event);
		for (int step = 0; step < STEPS; step++)
			take_one();
		count_anew();
		put_next(&peers[0]);
		for (int step = 0; step < STEPS; step++) {
			take_one();
			check_served(2);
		}
		trial_fini(&trial);
	}
}

static void test_simulation_order_of_fair_is_by_peer_not_by_connection(void)
{
	struct bp_item more[3];

	for (seed = 1; seed <= SEEDS; seed++) {
		begin_order();
		for (int i = 0; i < 3; i++)
			trial_put(&trial, &more[i], peers[0].peer,
			    next_size(&peers[0]), 0);
		for (int step = 0; step < STEPS; step++) {
			take_one();
			check_served(1);
		}
		trial_fini(&trial);
	}
}

/* ---- fair: the gate ------------------------------------------------------- */

static bool at_gate;		/* it is there that what is served counts */

static void read_granted(void)
{
	struct peer *peer;
	struct bp_item *item;

	for (unsigned i = 0; i < trial.n_grants; i++) {
		item = trial.grants[i];
		peer = &peers[item->peer - trial.peers];
		REQUIRE(peer->n < QUEUE);
		peer->queue[(peer->first + peer->n++) % QUEUE] = item->cost;
		if (at_gate)
			count(peer, item->cost);
	}
	trial.n_grants = 0;
}

/* Whoever does not wait asks, until all wait. */
static void fill(void)
{
	struct peer *peer;
	int waiting = 0;

	while (waiting < PEERS) {
		waiting = 0;
		for (peer = peers; peer < peers + PEERS; peer++) {
			if (!peer->asked || peer->request.granted)
				trial_ask(&trial, &peer->request, peer->peer,
				    next_size(peer), 0);
			peer->asked = true;
			read_granted();
			waiting += !peer->request.granted;
		}
	}
}

/* What its oldest held. */
static size_t shift(struct peer *peer)
{
	peer->n--;
	return peer->queue[peer->first++ % QUEUE];
}

static void begin_gate(size_t guarantee, bool weighed)
{
	begin(guarantee, weighed);
	fill();
	count_anew();		/* while there was room nobody had to share it */
}

static void give_back(struct peer *peer, size_t cost)
{
	trial_release(&trial, peer->peer, cost);
	read_granted();
	fill();
}

/*
 * Whoever it is that gives back: who gets it is the gate's to say. A peer that was
 * granted does not wait while others are granted what else fits, hence three.
 */
static void test_simulation_gate_of_fair_is_within_three_messages_of_each(void)
{
	struct peer *peer;

	at_gate = true;
	for (seed = 1; seed <= SEEDS; seed++) {
		begin_gate(0, true);
		for (int step = 0; step < STEPS; step++) {
			do
				peer = &peers[random_below(&numbers, PEERS)];
			while (peer->n == 0);
			give_back(peer, shift(peer));
			check_served(3);
		}
		trial_fini(&trial);
	}
}

static void show_oldest(struct peer *peer)
{
	if (peer->n > 0 && !peer->shown)
		trial_put(&trial, &peer->event, peer->peer,
		    peer->queue[peer->first % QUEUE], 0);
	peer->shown = peer->n > 0;
}

/* As in a server: what was granted is read at once, and one consumer takes it. */
static void test_simulation_gate_and_order_of_fair_are_within_three(void)
{
	struct bp_item *item;
	struct peer *peer;

	for (seed = 1; seed <= SEEDS; seed++) {
		begin_gate(64 * KIB, false);
		for (int step = 0; step < STEPS; step++) {
			for (peer = peers; peer < peers + PEERS; peer++)
				show_oldest(peer);
			item = trial_take(&trial);
			peer = &peers[item->peer - trial.peers];
			peer->shown = false;
			count(peer, item->cost);
			give_back(peer, shift(peer));
			check_served(3);
		}
		trial_fini(&trial);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_simulation_of_unbounded_and_places),
		TEST(test_simulation_of_bytes),
		TEST_WITHIN(test_simulation_of_prio, 40),
		TEST_WITHIN(test_simulation_of_fair, 60),
		TEST(test_simulation_order_of_fair_is_within_a_message_of_each),
		TEST(test_simulation_order_of_fair_owes_little_to_the_idle),
		TEST(test_simulation_order_of_fair_is_by_peer_not_by_connection),
		TEST(test_simulation_gate_of_fair_is_within_three_messages_of_each),
		TEST(test_simulation_gate_and_order_of_fair_are_within_three),
	};

	return run_suite("simulation", tests, COUNT_OF(tests), argc, argv);
}
