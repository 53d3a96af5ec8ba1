/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_fair.c - the gate of the discipline that shares among peers: what passes within
 * a guarantee, how much one may hold, and the wedges that such a gate can have. Whose
 * turn it is at the pool is test_fair_turn.c.
 */
#include "config.h"

#include "qdisc.h"
#include "trial.h"

#define KIB ((size_t)1024)
#define WEIGHT BP__WEIGHT_DEFAULT

static struct trial trial;
static struct request requests[256];
static size_t guarantee;

static void start(size_t pool, size_t each, size_t peer_max)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_fair, .conns_max = TRIAL_PEERS,
		.budget = pool + TRIAL_PEERS * each, .guarantee = each,
		.peer_max = peer_max,
	};

	guarantee = each;
	REQUIRE_EQ(trial_init(&trial, &config), 0);
}

static struct bp_peer *new_peer(void)
{
	return trial_peer(&trial, WEIGHT, guarantee);
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

static void test_fair_refuses_what_can_never_work(void)
{
	static const struct {
		size_t budget, guarantee, peer_max;
		int rc;
	} cases[] = {
		{ 1600, 100, 200, 0 }, { 1600, 101, 200, -EINVAL },
		{ 1600, 50, 50, -EINVAL }, { 1600, 50, 51, 0 }, { 1600, 0, 0, -EINVAL },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct bp_endpoint_config config = {
			.qdisc = &bp_qdisc_fair, .conns_max = 16,
			.budget = cases[i].budget, .guarantee = cases[i].guarantee,
			.peer_max = cases[i].peer_max,
		};

		CHECK_EQ(trial_init(&trial, &config), cases[i].rc);
		trial_fini(&trial);
	}
}

/* ---- within the guarantee ------------------------------------------------- */

static void test_fair_guarantee_passes_though_others_wait_for_a_full_pool(void)
{
	struct bp_peer *hog, *other, *polite;

	start(1000, 100, 2000);
	hog = new_peer(), other = new_peer(), polite = new_peer();
	CHECK(ask(0, hog, 1100));
	CHECK(!ask(1, other, 500));
	CHECK(!ask(2, hog, 1));
	CHECK(ask(3, polite, 60));
	CHECK(ask(4, polite, 40));
	CHECK(!ask(5, polite, 1));
	CHECK_EQ(trial_shared(&trial), 1000);
	done(3);
	CHECK(granted(5) && !granted(1));
	done(0);
	CHECK(granted(1) && granted(2));
	trial_fini(&trial);
}

static void test_fair_guarantee_is_no_way_past_ones_own_first_request(void)
{
	struct bp_peer *hog, *peer;

	start(1000, 100, 2000);
	hog = new_peer(), peer = new_peer();
	CHECK(ask(0, hog, 1100));
	CHECK(!ask(1, peer, 500));
	CHECK(!ask(2, peer, 10));
	CHECK(!ask(3, peer, 60));
	CHECK(!ask(4, peer, 41));
	cancel(1);			/* then the lane is free for them */
	CHECK(granted(2) && granted(3) && !granted(4));
	done(2);
	CHECK(!granted(4));
	trial_release(&trial, peer, 1);
	CHECK(granted(4));
	trial_fini(&trial);
}

/* Each fits the 64 KiB it is guaranteed, one at a time. */
static void test_fair_two_requests_of_40_KiB_pass_beside_stalled_announcers(void)
{
	struct bp_peer *polite;
	int i;

	start(1024 * KIB, 64 * KIB, 1024 * KIB);
	polite = new_peer();
	for (i = 0; i < 15; i++)	/* those granted do not send; the others wait */
		CHECK_EQ(ask(i, new_peer(), 512 * KIB), i < 2);
	for (i = 20; i < 60; i += 2) {
		CHECK(ask(i, polite, 40 * KIB));
		CHECK(!ask(i + 1, polite, 40 * KIB));
		done(i);
		CHECK(granted(i + 1));
		done(i + 1);
	}
	CHECK_EQ(polite->held, 0);
	trial_fini(&trial);
}

/* But nobody waits for more than that of others, whatever it has had in all. */
static void test_fair_guarantee_is_paid_for_once(void)
{
	struct bp_peer *hog, *lane, *other;
	int i;

	start(1000, 100, 2000);
	hog = new_peer(), lane = new_peer(), other = new_peer();
	CHECK(ask(0, hog, 1100));
	for (i = 0; i < 50; i++) {	/* it has had 5000 bytes */
		CHECK(ask(1, lane, 100));
		done(1);
	}
	CHECK(!ask(2, other, 750));
	CHECK(!ask(1, lane, 700));
	for (i = 3; i < 8; i++)
		CHECK(!ask(i, other, 750));
	done(0);
	CHECK(granted(2) && !granted(1));
	done(2);
	CHECK(granted(1));
	done(1);
	for (i = 3; i < 8; i++)
		done(i);
	trial_fini(&trial);
}

static void test_fair_peer_without_a_guarantee_shares_the_pool_alone(void)
{
	struct bp_peer *hog, *late;

	start(1000, 100, 2000);
	hog = new_peer();
	late = trial_peer(&trial, WEIGHT, 0);
	CHECK(ask(0, hog, 1000));	/* a hundred are left */
	CHECK(ask(1, late, 60));
	CHECK(!ask(2, late, 60));
	CHECK_EQ(trial_shared(&trial), 960);
	done(1);
	CHECK(granted(2));
	done(2);
	late->guarantee = 100;		/* one has come free; it holds nothing */
	CHECK(ask(1, hog, 100));
	CHECK(ask(2, late, 100));
	CHECK_EQ(trial_shared(&trial), 1000);
	trial_fini(&trial);
}

/* ---- how much one holds (I3, I4) ------------------------------------------ */

static void test_fair_peer_at_its_limit_waits_and_lets_others_pass(void)
{
	struct bp_peer *greedy, *other;

	start(10000, 0, 1000);
	greedy = new_peer(), other = new_peer();
	CHECK(ask(0, greedy, 600));
	CHECK(!ask(1, greedy, 500));
	CHECK(!ask(2, greedy, 100));		/* behind its own */
	CHECK(ask(3, other, 700));
	CHECK(ask(4, other, 300));
	trial_release(&trial, greedy, 99);
	CHECK(!granted(1));
	trial_release(&trial, greedy, 1);
	CHECK(granted(1) && !granted(2));
	CHECK_EQ(greedy->held, 1000);
	trial_release(&trial, greedy, 500);
	CHECK(granted(2));
	trial_fini(&trial);
}

static void test_fair_peer_at_its_limit_is_still_limited_when_the_pool_was_full(void)
{
	struct bp_peer *greedy, *other;

	start(1000, 0, 600);
	greedy = new_peer(), other = new_peer();
	CHECK(ask(0, greedy, 500));
	CHECK(ask(1, other, 500));
	CHECK(!ask(2, greedy, 200));		/* its limit */
	CHECK(!ask(3, greedy, 50));
	CHECK(!ask(4, other, 100));		/* the pool */
	done(1);
	CHECK(granted(4) && !granted(2) && !granted(3));
	cancel(2);
	CHECK(granted(3));
	trial_fini(&trial);
}

/* It fits beside what a peer's waiting readers may fill its guarantee with. */
static void test_fair_peer_that_keeps_an_event_gets_the_largest_frame(void)
{
	const size_t frame = 16 << 10, each = 1 << 10;
	struct bp_peer *keeper, *others[3];
	int i;

	start(2 * frame, each, frame + each);
	keeper = new_peer();
	for (i = 0; i < 3; i++)
		others[i] = new_peer();
	CHECK(ask(0, keeper, each));		/* as much as it may keep */
	for (i = 0; i < 3; i++)
		CHECK_EQ(ask(10 + i, others[i], frame), i < 2);
	CHECK(!ask(1, keeper, frame));
	for (i = 0; i < 2; i++)
		done(10 + i);
	CHECK(granted(1) && granted(12));
	trial_fini(&trial);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_fair_refuses_what_can_never_work),
		TEST(test_fair_guarantee_passes_though_others_wait_for_a_full_pool),
		TEST(test_fair_guarantee_is_no_way_past_ones_own_first_request),
		TEST(test_fair_two_requests_of_40_KiB_pass_beside_stalled_announcers),
		TEST(test_fair_guarantee_is_paid_for_once),
		TEST(test_fair_peer_without_a_guarantee_shares_the_pool_alone),
		TEST(test_fair_peer_at_its_limit_waits_and_lets_others_pass),
		TEST(test_fair_peer_at_its_limit_is_still_limited_when_the_pool_was_full),
		TEST(test_fair_peer_that_keeps_an_event_gets_the_largest_frame),
	};

	return run_suite("fair", tests, COUNT_OF(tests), argc, argv);
}
