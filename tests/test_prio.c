/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_prio.c - the discipline of bands: its parameters, whose event is next, and what
 * min_share gives to bands that would starve. Its gate is test_prio_gate.c.
 */
#include "config.h"

#include "rig.h"
#include "trial.h"

static struct trial trial;
static struct bp_item items[8];

static struct bp_endpoint_config config_of(unsigned bands, unsigned min_share)
{
	return (struct bp_endpoint_config){
		.qdisc = &bp_qdisc_prio, .bands = bands, .min_share = min_share,
		.budget = 8000, .conns_max = TRIAL_PEERS,
	};
}

static void start(unsigned bands, unsigned min_share)
{
	const struct bp_endpoint_config config = config_of(bands, min_share);

	REQUIRE_EQ(trial_init(&trial, &config), 0);
}

static struct bp_peer *new_peer(void)
{
	return trial_peer(&trial, BP__WEIGHT_DEFAULT, 0);
}

static void expect(const struct bp_item *item)
{
	CHECK(trial_take(&trial) == item);
}

static void test_prio_refuses_bad_parameters(void)
{
	static const struct {
		unsigned bands, min_share;
		size_t guarantee;
		int rc;
	} cases[] = {
		{ 0, 0, 0, -EINVAL }, { 65, 0, 0, -EINVAL },
		{ 1, 0, 0, 0 }, { 64, 0, 0, 0 },
		{ 1, 101, 0, -EINVAL }, { 1, 100, 0, 0 },
		{ 8, 13, 0, -EINVAL }, { 8, 12, 0, 0 },
		{ 64, 2, 0, -EINVAL }, { 64, 1, 0, 0 },
		{ 8, 0, 501, -EINVAL }, { 8, 0, 500, 0 },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct bp_endpoint_config config = config_of(cases[i].bands,
		    cases[i].min_share);

		config.guarantee = cases[i].guarantee;
		CHECK_EQ(trial_init(&trial, &config), cases[i].rc);
		trial_fini(&trial);
	}
}

/* ---- the order ------------------------------------------------------------ */

static void test_prio_order_is_by_band_and_then_by_arrival(void)
{
	static const unsigned bands[] = { 3, 1, 3, 0, 1, 2, 0 };
	static const int order[] = { 3, 6, 1, 4, 5, 0, 2 };
	struct bp_peer *peer;

	start(4, 0);
	peer = new_peer();
	for (size_t i = 0; i < COUNT_OF(bands); i++)
		trial_put(&trial, &items[i], peer, 1000 - i, bands[i]);
	for (size_t i = 0; i < COUNT_OF(order); i++)
		expect(&items[order[i]]);
	expect(NULL);
	trial_fini(&trial);
}

/* One that was muted is shown again: it keeps its age. */
static void test_prio_order_of_a_band_is_by_arrival_not_by_showing(void)
{
	struct bp_peer *peer;

	start(2, 0);
	peer = new_peer();
	for (int i = 0; i < 4; i++)
		trial_put(&trial, &items[i], peer, 10, 1);
	trial.ops->remove(trial.q, &items[0]);
	trial.ops->remove(trial.q, &items[2]);
	trial.ops->put(trial.q, &items[0]);
	expect(&items[0]);
	trial.ops->put(trial.q, &items[2]);
	expect(&items[1]);
	expect(&items[2]);
	expect(&items[3]);
	expect(NULL);
	trial_fini(&trial);
}

static void test_prio_bands_beyond_the_last_are_the_last(void)
{
	struct bp_peer *peer;

	start(4, 0);
	peer = new_peer();
	trial_put(&trial, &items[0], peer, 10, 4);
	trial_put(&trial, &items[1], peer, 10, 3);
	trial_put(&trial, &items[2], peer, 10, UINT32_MAX - 1);
	trial_put(&trial, &items[3], peer, 10, 2);
	expect(&items[3]);
	expect(&items[0]);
	trial.ops->remove(trial.q, &items[2]);
	expect(&items[1]);
	expect(NULL);
	trial_fini(&trial);
}

static void test_prio_is_strict_without_a_share(void)
{
	struct bp_peer *peer;

	start(3, 0);
	peer = new_peer();
	trial_put(&trial, &items[0], peer, 1, 2);
	for (int i = 0; i < 1000; i++) {
		trial_put(&trial, &items[1], peer, 1000, i % 2 ? 1 : 0);
		expect(&items[1]);
	}
	expect(&items[0]);
	trial_fini(&trial);
}

/* ---- the order, with min_share -------------------------------------------- */

enum { BANDS = 4 };

static uint64_t bytes[BANDS], total;

static size_t cost_of(unsigned band, unsigned n)
{
	static const size_t most[BANDS] = { 1000, 30, 5000, 700 };

	return 1 + n * 7919 % most[band];
}

/* All bands wait all the time; n takes. */
static void take_bands(struct bp_peer *peer, unsigned min_share, unsigned n)
{
	const size_t largest = 5000;

	memset(bytes, 0, sizeof bytes);
	total = 0;
	for (unsigned b = 0; b < BANDS; b++)
		trial_put(&trial, &items[b], peer, cost_of(b, b), b);
	while (n-- > 0) {
		struct bp_item *item = trial_take(&trial);
		unsigned band = item->band;

		bytes[band] += item->cost;
		total += item->cost;
		for (unsigned b = 0; b < BANDS; b++)
			CHECK_GE(bytes[b] + 2 * largest, total * min_share / 100);
		trial_put(&trial, item, peer, cost_of(band, n), band);
	}
	for (unsigned b = 0; b < BANDS; b++)
		trial.ops->remove(trial.q, &items[b]);
}

static void test_prio_min_share_is_had_by_each_band_that_waits(void)
{
	static const unsigned shares[] = { 1, 5, 20, 25 };

	for (size_t i = 0; i < COUNT_OF(shares); i++) {
		start(BANDS, shares[i]);
		take_bands(new_peer(), shares[i], 20000);
		/* and what nobody is owed is the first's */
		CHECK_GE(bytes[0] + 20000,
		    total * (100 - (BANDS - 1) * shares[i]) / 100);
		trial_fini(&trial);
	}
}

static void test_prio_min_share_owes_nothing_to_a_band_that_does_not_wait(void)
{
	struct bp_peer *peer;
	unsigned i;

	start(2, 25);
	peer = new_peer();
	trial_put(&trial, &items[0], peer, 10, 1);
	for (i = 0; i < 2; i++) {		/* it waits, but not for long enough */
		trial_put(&trial, &items[1], peer, 10, 0);
		expect(&items[1]);
	}
	trial.ops->remove(trial.q, &items[0]);
	for (i = 0; i < 100; i++) {
		trial_put(&trial, &items[1], peer, 10, 0);
		expect(&items[1]);
	}
	trial_put(&trial, &items[0], peer, 10, 1);
	for (i = 0; i < 4; i++) {
		trial_put(&trial, &items[1], peer, 10, 0);
		expect(&items[1]);
	}
	trial_put(&trial, &items[1], peer, 10, 0);
	expect(&items[0]);
	expect(&items[1]);
	trial_fini(&trial);
}

/* ---- through the core ----------------------------------------------------- */

static struct rig rig;
static struct feed *feeds[4];		/* the last is NULL */

/* Its events are of that band, and what it tries for. */
static struct feed *open_in(unsigned band)
{
	return feed_open_as(&rig, &(struct bp_conn_config){
	    .weight = BP__WEIGHT_DEFAULT, .band = band });
}

static void with_rig(void)
{
	struct bp_endpoint_config config = config_of(2, 0);

	rig_init(&rig, &config);
	feeds[0] = open_in(0);
	feeds[1] = open_in(1);
	feeds[2] = open_in(1);
}

static void put(struct feed *feed, unsigned band)
{
	struct frame *frame;

	REQUIRE_EQ(bp__flow_reserve(&feed->flow, 10, band, 0), 0);
	frame = frame_new(feed, 1, 9);
	frame->entry.band = band;
	bp__flow_put(&feed->flow, &frame->entry);
}

static void test_prio_serves_bands_first_but_never_within_a_connection(void)
{
	with_rig();
	put(feeds[1], 1);
	put(feeds[2], 1);
	put(feeds[1], 0);		/* behind its own */
	put(feeds[0], 1);
	put(feeds[0], 0);
	rig_expect(&rig, feeds[1], 1);
	rig_expect(&rig, feeds[1], 2);
	rig_expect(&rig, feeds[2], 1);
	rig_expect(&rig, feeds[0], 1);
	rig_expect(&rig, feeds[0], 2);
	rig_finish(&rig, feeds);
}

static void test_prio_tries_are_of_the_connections_band(void)
{
	struct bp__flow *high, *low;
	struct bp__peer *peer;

	with_rig();
	high = &feeds[0]->flow, low = &feeds[1]->flow;
	CHECK_EQ(feed_read(feeds[2], 4000), 0);
	CHECK(!bp__flow_try_reserve(low, 1, 0, false));
	peer = bp__flow_try_reserve(high, 4000, 0, false);
	CHECK(peer != NULL);
	bp__flow_release(high, peer, 4000, BP__HELD_DELIVERED, NULL, 0);
	/* from the next frame on it is of another */
	CHECK_EQ(bp__flow_set_peer(low, 0, BP__WEIGHT_DEFAULT, 0), 0);
	peer = bp__flow_try_reserve(low, 4000, 0, false);
	CHECK(peer != NULL);
	bp__flow_release(low, peer, 4000, BP__HELD_DELIVERED, NULL, 0);
	rig_finish(&rig, feeds);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_prio_refuses_bad_parameters),
		TEST(test_prio_order_is_by_band_and_then_by_arrival),
		TEST(test_prio_order_of_a_band_is_by_arrival_not_by_showing),
		TEST(test_prio_bands_beyond_the_last_are_the_last),
		TEST(test_prio_is_strict_without_a_share),
		TEST(test_prio_min_share_is_had_by_each_band_that_waits),
		TEST(test_prio_min_share_owes_nothing_to_a_band_that_does_not_wait),
		TEST(test_prio_serves_bands_first_but_never_within_a_connection),
		TEST(test_prio_tries_are_of_the_connections_band),
	};

	return run_suite("prio", tests, COUNT_OF(tests), argc, argv);
}
