/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_prio_gate.c - the gate of the discipline of bands: how far each may fill the
 * pool, so that low ones do not hold the memory that high ones need.
 */
#include "config.h"

#include "qdisc.h"
#include "trial.h"

static struct trial trial;
static struct request requests[128];

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

/* Peers with a guarantee of 100 bytes each; 6400 are shared. */
static void start_with_guarantees(unsigned bands)
{
	struct bp_endpoint_config config = config_of(bands, 0);

	config.guarantee = 100;
	REQUIRE_EQ(trial_init(&trial, &config), 0);
}

static struct bp_peer *new_peer(void)
{
	return trial_peer(&trial, BP__WEIGHT_DEFAULT, 0);
}

static void test_prio_gate_keeps_room_for_higher_bands(void)
{
	for (unsigned band = 0; band < 8; band++) {
		struct bp_peer *peer;
		unsigned n = 0;

		start(8, 0);
		peer = new_peer();
		while (trial_ask(&trial, &requests[n], peer, 100, band))
			n++;
		CHECK_EQ(n, (8 - band) * 10);
		/* to the byte */
		CHECK_EQ(trial_shared(&trial), (8 - band) * 1000);
		trial_cancel(&trial, &requests[n]);
		if (band > 0)
			CHECK(trial_ask(&trial, &requests[n], peer, 1000, band - 1));
		trial_fini(&trial);
	}
}

static void test_prio_gate_takes_bands_beyond_the_last_for_the_last(void)
{
	struct bp_peer *peer;

	start(4, 0);
	peer = new_peer();
	CHECK(trial_ask(&trial, &requests[0], peer, 2000, 4));	/* a quarter */
	CHECK(!trial_ask(&trial, &requests[1], peer, 1, UINT32_MAX - 1));
	CHECK(trial_ask(&trial, &requests[2], peer, 6000, 0));
	trial_cancel(&trial, &requests[1]);
	trial_fini(&trial);
}

static void test_prio_gate_admits_one_frame_of_any_band_to_an_empty_pool(void)
{
	struct bp_peer *peer;

	start(8, 0);
	peer = new_peer();
	CHECK(trial_ask(&trial, &requests[0], peer, 8000, 7));
	CHECK(!trial_ask(&trial, &requests[1], peer, 1, 0));
	trial_done(&trial, &requests[0]);
	CHECK(requests[1].granted);
	CHECK(!trial_ask(&trial, &requests[2], peer, 1000, 7));	/* it is not empty */
	trial_done(&trial, &requests[1]);
	CHECK(requests[2].granted);
	trial_fini(&trial);
}

static void test_prio_gate_lets_nobody_pass_by_the_highest_that_waits(void)
{
	struct bp_peer *a, *b, *c;

	start(2, 0);
	a = new_peer(), b = new_peer(), c = new_peer();
	CHECK(trial_ask(&trial, &requests[0], a, 1000, 1));
	CHECK(trial_ask(&trial, &requests[1], a, 1000, 1));
	CHECK(!trial_ask(&trial, &requests[2], b, 7000, 0));
	CHECK(!trial_ask(&trial, &requests[3], c, 10, 1));	/* there is room for it */
	CHECK(!trial_ask(&trial, &requests[4], c, 10, 0));
	trial_release(&trial, a, 999);
	CHECK(!requests[2].granted && !requests[3].granted && !requests[4].granted);
	trial_release(&trial, a, 1);
	CHECK(requests[2].granted && !requests[3].granted && !requests[4].granted);
	trial_release(&trial, a, 1000);
	CHECK(requests[4].granted && !requests[3].granted);
	trial_release(&trial, b, 7000);
	CHECK(requests[3].granted);
	trial_fini(&trial);
}

static void test_prio_gate_grants_the_higher_band_first_and_then_by_age(void)
{
	static const unsigned bands[] = { 2, 1, 0, 2, 1, 0 };
	static const int order[] = { 2, 5, 1, 4, 0, 3 };
	struct bp_peer *peer;

	start(3, 0);
	peer = new_peer();
	CHECK(trial_ask(&trial, &requests[6], peer, 8000, 0));
	for (int i = 0; i < 6; i++)
		CHECK(!trial_ask(&trial, &requests[i], peer, 10, bands[i]));
	trial_done(&trial, &requests[6]);
	REQUIRE_EQ(trial.n_grants, 7);
	for (int i = 0; i < 6; i++)
		CHECK(trial.grants[i + 1] == &requests[order[i]].item);
	trial_fini(&trial);
}

static void test_prio_gate_cancelled_first_lets_the_next_go(void)
{
	struct bp_peer *a, *b;

	start(2, 0);
	a = new_peer(), b = new_peer();
	CHECK(trial_ask(&trial, &requests[0], a, 3000, 1));
	CHECK(!trial_ask(&trial, &requests[1], a, 6000, 0));
	CHECK(!trial_ask(&trial, &requests[2], b, 6000, 0));
	CHECK(!trial_ask(&trial, &requests[3], b, 1000, 1));
	trial_cancel(&trial, &requests[2]);		/* from the midst */
	CHECK(!requests[3].granted);
	trial_cancel(&trial, &requests[1]);
	CHECK(requests[3].granted);
	trial_fini(&trial);
}

static void test_prio_gate_grants_guarantees_aside(void)
{
	struct bp_peer *low, *high;

	start_with_guarantees(4);
	low = trial_peer(&trial, BP__WEIGHT_DEFAULT, 100);
	high = trial_peer(&trial, BP__WEIGHT_DEFAULT, 100);
	CHECK(trial_ask(&trial, &requests[0], high, 6500, 0));
	CHECK(!trial_ask(&trial, &requests[1], high, 50, 0));
	CHECK(trial_ask(&trial, &requests[2], low, 60, 3));
	CHECK(trial_ask(&trial, &requests[3], low, 40, 3));
	CHECK(!trial_ask(&trial, &requests[4], low, 60, 3));
	CHECK(!trial_ask(&trial, &requests[5], low, 10, 1));	/* behind its own */
	trial_done(&trial, &requests[3]);
	CHECK(!requests[4].granted && !requests[5].granted);
	trial_done(&trial, &requests[2]);
	CHECK(requests[4].granted && requests[5].granted);
	CHECK(!requests[1].granted);
	CHECK(!trial_ask(&trial, &requests[6], low, 500, 3));
	CHECK(!trial_ask(&trial, &requests[7], low, 20, 3));
	trial_cancel(&trial, &requests[6]);
	CHECK(requests[7].granted);
	CHECK_EQ(trial_shared(&trial), 6400);
	trial_fini(&trial);
}

static void test_prio_gate_gives_waiting_bands_their_share_of_the_whole_pool(void)
{
	static const unsigned order[] = { 0, 0, 0, 0, 1, 0, 0, 0, 1, 0 };
	struct bp_peer *peer;
	unsigned i;

	start(2, 25);
	peer = new_peer();
	for (i = 0; i < 20; i++)
		CHECK(trial_ask(&trial, &requests[i], peer, 400, 0));
	for (i = 20; i < 32; i++)	/* two are of the low band */
		CHECK(!trial_ask(&trial, &requests[i], peer, 400, i < 22));
	for (i = 0; i < COUNT_OF(order); i++) {
		trial_done(&trial, &requests[i]);
		REQUIRE_EQ(trial.n_grants, 21 + i);
		CHECK_EQ(trial.grants[20 + i]->band, order[i]);
	}
	trial_fini(&trial);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_prio_gate_keeps_room_for_higher_bands),
		TEST(test_prio_gate_takes_bands_beyond_the_last_for_the_last),
		TEST(test_prio_gate_admits_one_frame_of_any_band_to_an_empty_pool),
		TEST(test_prio_gate_lets_nobody_pass_by_the_highest_that_waits),
		TEST(test_prio_gate_grants_the_higher_band_first_and_then_by_age),
		TEST(test_prio_gate_cancelled_first_lets_the_next_go),
		TEST(test_prio_gate_grants_guarantees_aside),
		TEST(test_prio_gate_gives_waiting_bands_their_share_of_the_whole_pool),
	};

	return run_suite("prio_gate", tests, COUNT_OF(tests), argc, argv);
}
