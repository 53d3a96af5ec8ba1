/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_guarantees.c - what each has for itself, through the real core: guarantees that
 * go round among peers, requests of peers that vanish or change, how many connections
 * one host has.
 */
#include "config.h"

#include "rig.h"

enum { GUARANTEE = 100, POOL = 1000 };

static struct rig rig;
static struct feed *feeds[5];		/* the last is NULL */

static void with(size_t n, size_t conns_max, struct bp_endpoint_config config)
{
	config.qdisc = &bp_qdisc_fair;
	config.conns_max = conns_max;
	config.guarantee = GUARANTEE;
	config.budget = POOL + conns_max * GUARANTEE;
	if (!config.peer_max)
		config.peer_max = config.budget;
	rig_init(&rig, &config);
	for (size_t i = 0; i < COUNT_OF(feeds); i++)
		feeds[i] = i < n ? feed_open(&rig, false) : NULL;
}

static void with_keys(size_t n, size_t conns_max)
{
	with(n, conns_max, (struct bp_endpoint_config){ .peer_by = BP_PEER_KEY });
}

static void set_peer(int i, uint64_t key)
{
	CHECK_EQ(bp__flow_set_peer(&feeds[i]->flow, key, BP__WEIGHT_DEFAULT, 0), 0);
}

static struct bp__peer *peer_of(int i)
{
	return feeds[i]->flow.peer;
}

static size_t guarantees(void)
{
	return rig_peek(&rig, &rig.q.guarantees);
}

static size_t held(void)
{
	return rig_stats(&rig).held_bytes;
}

/* Is there room for that much, now? */
static bool fits(int i, size_t cost)
{
	struct bp__flow *flow = &feeds[i]->flow;
	struct bp__peer *peer = bp__flow_try_reserve(flow, cost, 0, false);

	if (peer)
		bp__flow_release(flow, peer, cost, BP__HELD_DELIVERED, NULL, 0);
	return peer != NULL;
}

/* Its guarantee and so much of the pool. */
static void fill(int i, size_t cost)
{
	CHECK_EQ(feed_read(feeds[i], GUARANTEE), 0);
	CHECK_EQ(feed_read(feeds[i], cost), 0);
}

static void close_feed(int i)
{
	feed_close(feeds[i]);
	rig_finish_queue(&rig);
	feeds[i] = NULL;
}

static void finish_all(void)
{
	CHECK_EQ(rig_stats(&rig).waiting, 0);
	rig_finish(&rig, feeds);
}

/* ---- guarantees ----------------------------------------------------------- */

static void test_guarantee_is_had_when_one_is_free_and_nothing_is_held(void)
{
	struct frame *kept;

	with_keys(2, 2);
	CHECK_EQ(guarantees(), 0);
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	kept = rig_take(&rig);
	set_peer(0, 7);				/* the one it was has its own still */
	CHECK(!peer_of(0)->guaranteed);
	CHECK_EQ(peer_of(0)->gate.guarantee, 0);
	fill(1, POOL - 60);
	CHECK_EQ(feed_read(feeds[0], 60), 0);	/* of the pool */
	frame_done(kept);
	CHECK_EQ(guarantees(), 1);
	CHECK(!fits(0, 1));			/* it holds some: not yet */
	CHECK(!peer_of(0)->guaranteed);
	rig_expect(&rig, feeds[0], 2);
	CHECK(fits(0, GUARANTEE));
	CHECK(peer_of(0)->guaranteed);
	CHECK_EQ(guarantees(), 0);
	finish_all();
}

/* However many peers there were: never more than there are places. */
static void test_guarantees_go_round(void)
{
	with_keys(1, 3);
	for (uint64_t key = 1; key < 50; key++) {
		set_peer(0, key);
		CHECK(peer_of(0)->guaranteed);
		CHECK_EQ(guarantees(), 2);
		CHECK_EQ(feed_read(feeds[0], GUARANTEE), 0);
		rig_finish_queue(&rig);
		close_feed(0);
		CHECK_EQ(guarantees(), 3);
		feeds[0] = feed_open(&rig, false);
	}
	finish_all();
}

/* One that changes its peer all the time holds a guarantee for each it has left. */
static void test_guarantees_are_not_multiplied_by_changing_keys(void)
{
	struct frame *frames[20];
	size_t i;

	with_keys(2, 3);
	for (i = 0; i < COUNT_OF(frames); i++) {
		set_peer(0, i);
		CHECK_EQ(feed_read(feeds[0], 40), 0);
	}
	CHECK_EQ(guarantees(), 0);
	/* two are on their guarantee, eighteen on the pool */
	CHECK(fits(1, POOL + GUARANTEE - 18 * 40));
	CHECK(!fits(1, POOL + GUARANTEE - 18 * 40 + 1));
	for (i = 0; i < COUNT_OF(frames); i++) {
		frames[i] = rig_take(&rig);
		frame_turn_back(frames[i]);
	}
	for (i = 0; i < COUNT_OF(frames); i++)
		frame_drop(&frames[i]->entry);
	CHECK_EQ(held(), 0);
	CHECK_EQ(guarantees(), 2);
	CHECK(fits(0, 1));			/* its last takes one when it asks */
	CHECK_EQ(guarantees(), 1);
	finish_all();
}

/* ---- requests that wait --------------------------------------------------- */

static void test_grant_goes_to_the_next_when_its_reader_has_ended(void)
{
	struct reading vanishing, next;

	with(3, 3, (struct bp_endpoint_config){ 0 });
	fill(0, POOL);
	reading_start_waiting(&vanishing, feeds[1], 500);
	reading_start_waiting(&next, feeds[2], 700);
	feed_end(feeds[1], BP__FLOW_CUT);
	reading_join(&vanishing, -EPIPE);
	CHECK_EQ(rig_stats(&rig).waiting, 1);
	CHECK_EQ(peer_of(1)->refs, 1);		/* nothing of it is left at the gate */
	rig_expect(&rig, feeds[0], 1);
	rig_expect(&rig, feeds[0], 2);
	reading_join(&next, 0);
	CHECK_EQ(held(), 700);
	finish_all();
}

/* Its turn comes late, and there is room for it as soon as the first has gone. */
static void test_reader_that_ends_lets_go_on_who_waited_behind_it(void)
{
	struct reading vanishing, next;

	with(3, 3, (struct bp_endpoint_config){ 0 });
	CHECK_EQ(bp__flow_set_peer(&feeds[2]->flow, 0, 1, 0), 0);
	fill(0, 400);
	reading_start_waiting(&vanishing, feeds[1], 800);
	reading_start_waiting(&next, feeds[2], 300);
	feed_end(feeds[1], BP__FLOW_CUT);
	reading_join(&vanishing, -EPIPE);
	CHECK_EQ(rig_stats(&rig).waiting, 0);
	reading_join(&next, 0);
	finish_all();
}

/* The peer it had when it asked is charged. */
static void test_grant_is_of_the_peer_that_asked(void)
{
	struct bp__peer *before;
	struct reading reading;

	with_keys(2, 3);
	fill(0, POOL);
	set_peer(1, 1);
	before = peer_of(1);
	reading_start_waiting(&reading, feeds[1], 500);
	set_peer(1, 2);
	CHECK_EQ(guarantees(), 0);		/* it waits: it is still there */
	rig_expect(&rig, feeds[0], 1);
	rig_expect(&rig, feeds[0], 2);
	CHECK_EQ(before->gate.held, 500);
	CHECK_EQ(peer_of(1)->gate.held, 0);
	reading_join(&reading, 0);
	rig_expect(&rig, feeds[1], 1);
	CHECK_EQ(guarantees(), 1);
	finish_all();
}

/* One purge gives back to several peers; each of them may have somebody waiting. */
static void test_purge_lets_go_on_who_waits_for_its_own_limit(void)
{
	struct reading first, second;

	with(3, 4, (struct bp_endpoint_config){
	    .peer_by = BP_PEER_KEY, .peer_max = 500 });
	for (uint64_t key = 1; key <= 2; key++) {
		set_peer(0, key);
		CHECK_EQ(bp__flow_reserve(&feeds[0]->flow, 400, 0, 0), 0);
		/* all of it is given back by the purge itself */
		bp__flow_put(&feeds[0]->flow, &frame_new(feeds[0], 400, 0)->entry);
		set_peer((int)key, key);
	}
	reading_start_waiting(&first, feeds[1], 200);
	reading_start_waiting(&second, feeds[2], 200);
	feed_end(feeds[0], BP__FLOW_CUT);
	CHECK_EQ(rig_stats(&rig).waiting, 0);
	reading_join(&first, 0);
	reading_join(&second, 0);
	finish_all();
}

/* I3, I4: what it keeps is within its guarantee, so its largest frame comes in. */
static void test_largest_frame_comes_to_who_keeps_a_small_event(void)
{
	struct reading reading;
	struct frame *kept;
	size_t largest;

	with(2, 2, (struct bp_endpoint_config){ .peer_max = 900 });
	largest = rig.q.cost_max;
	CHECK_EQ(largest, 900 - GUARANTEE);
	CHECK_EQ(bp__flow_reserve(&feeds[0]->flow, largest + 1, 0, 0), -EMSGSIZE);
	CHECK_EQ(feed_read(feeds[0], GUARANTEE), 0);
	kept = rig_take(&rig);
	frame_turn_back(kept);
	CHECK_EQ(feed_read(feeds[1], largest), 0);
	reading_start_waiting(&reading, feeds[0], largest);
	rig_expect(&rig, feeds[1], 1);
	reading_join(&reading, 0);
	CHECK(!fits(0, 2));			/* its limit; there is room */
	CHECK(fits(1, 100));
	frame_drop(&kept->entry);
	finish_all();
}

/* ---- hosts ---------------------------------------------------------------- */

static int locate(int i, uint64_t host, bool limited)
{
	struct bp__key key = { .kind = BP__KEY_HOST, .low = host };

	return bp__flow_locate(&feeds[i]->flow, &key, limited);
}

static void test_host_has_so_many_connections(void)
{
	struct frame *kept;

	with(4, 4, (struct bp_endpoint_config){ .conns_per_addr = 2 });
	CHECK_EQ(locate(0, 1, true), 0);
	CHECK_EQ(locate(1, 1, true), 0);
	CHECK_EQ(locate(2, 1, true), -EUSERS);
	CHECK_EQ(locate(2, 2, true), 0);
	CHECK_EQ(locate(3, 1, true), -EUSERS);
	CHECK(peer_of(0) != peer_of(1));	/* that is another question */
	/* the count goes down when the place comes back, not before */
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	feed_close(feeds[0]);
	kept = rig_take(&rig);
	frame_turn_back(kept);
	rig_expect(&rig, feeds[0], 0);
	CHECK_EQ(locate(3, 1, true), -EUSERS);
	frame_drop(&kept->entry);
	CHECK_EQ(locate(3, 1, true), 0);
	feeds[0] = feed_open(&rig, false);
	CHECK_EQ(locate(0, 1, true), -EUSERS);
	CHECK_EQ(locate(0, 1, false), 0);	/* ours are neither counted nor refused */
	close_feed(3);
	feeds[3] = feed_open(&rig, false);
	CHECK_EQ(locate(3, 1, true), 0);
	finish_all();
}

static void test_host_is_the_peer_where_addresses_are(void)
{
	with(4, 4, (struct bp_endpoint_config){
	    .peer_by = BP_PEER_ADDR, .conns_per_addr = 2 });
	CHECK_EQ(guarantees(), 0);
	CHECK_EQ(locate(0, 1, true), 0);
	CHECK_EQ(locate(1, 1, true), 0);
	CHECK(peer_of(0) == peer_of(1));
	CHECK_EQ(guarantees(), 1);
	CHECK_EQ(locate(2, 1, true), -EUSERS);
	CHECK(peer_of(2) != peer_of(0));
	CHECK_EQ(locate(2, 2, true), 0);
	CHECK(peer_of(2) != peer_of(0));
	set_peer(2, 1);				/* keys do not count here */
	CHECK(peer_of(2) != peer_of(0));
	CHECK_EQ(feed_read(feeds[0], 60), 0);
	CHECK_EQ(feed_read(feeds[1], 40), 0);
	CHECK_EQ(peer_of(0)->gate.held, 100);
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_guarantee_is_had_when_one_is_free_and_nothing_is_held),
		TEST(test_guarantees_go_round),
		TEST(test_guarantees_are_not_multiplied_by_changing_keys),
		TEST(test_grant_goes_to_the_next_when_its_reader_has_ended),
		TEST(test_reader_that_ends_lets_go_on_who_waited_behind_it),
		TEST(test_grant_is_of_the_peer_that_asked),
		TEST(test_purge_lets_go_on_who_waits_for_its_own_limit),
		TEST(test_largest_frame_comes_to_who_keeps_a_small_event),
		TEST(test_host_has_so_many_connections),
		TEST(test_host_is_the_peer_where_addresses_are),
	};

	return run_suite("guarantees", tests, COUNT_OF(tests), argc, argv);
}
