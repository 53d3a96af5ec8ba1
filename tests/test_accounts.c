/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_accounts.c - what the core counts, and what follows from it: the places of
 * connections, large blocks held and idle within the budget, stalls, time in queue.
 */
#include "config.h"

#include "rig.h"

#define KIB ((size_t)1024)

static struct rig rig;
static struct feed *feeds[4];		/* the last is NULL */

static void with(size_t n, struct bp_endpoint_config config)
{
	size_t i;

	if (!config.qdisc)
		config.qdisc = &bp_qdisc_unbounded;
	if (!config.conns_max)
		config.conns_max = COUNT_OF(feeds) - 1;
	memset(feeds, 0, sizeof feeds);
	rig_init(&rig, &config);
	for (i = 0; i < n; i++)
		feeds[i] = feed_open(&rig, false);
}

/* ---- the places of connections -------------------------------------------- */

static bool tick(uint64_t now)
{
	bool in_use;

	return bp__qdisc_tick(&rig.q, now, &in_use);
}

static void test_accounts_place_comes_back_when_nothing_is_charged_any_more(void)
{
	struct feed *refused = calloc(1, sizeof *refused);
	struct frame *frame;

	REQUIRE(refused != NULL);
	with(2, (struct bp_endpoint_config){ .conns_max = 2 });
	CHECK(!bp__qdisc_has_place(&rig.q));
	CHECK_EQ(bp__flow_open(&refused->flow, &rig.q, &(struct bp_conn_config){ .weight = 64 }, NULL), -EMFILE);
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	feed_close(feeds[0]);
	frame = rig_take(&rig);
	frame_turn_back(frame);			/* its payload is kept */
	CHECK_EQ(rig_stats(&rig).conns, 2);
	rig_expect(&rig, feeds[0], 0);		/* CLOSED is freed */
	CHECK_EQ(rig_stats(&rig).conns, 2);
	CHECK_EQ(atomic_load(&rig.room), 0);
	CHECK_EQ(bp__flow_open(&refused->flow, &rig.q, &(struct bp_conn_config){ .weight = 64 }, NULL), -EMFILE);
	frame_drop(&frame->entry);
	CHECK_EQ(rig_stats(&rig).conns, 1);
	CHECK_EQ(atomic_load(&rig.room), 1);
	CHECK(bp__qdisc_has_place(&rig.q));
	feeds[0] = feed_open(&rig, false);
	CHECK(!bp__qdisc_has_place(&rig.q));
	rig_finish(&rig, feeds);
	CHECK_EQ(atomic_load(&rig.room), 3);
	free(refused);
}

/* ---- large blocks --------------------------------------------------------- */

/* A block that is charged; it goes back with its charge. */
static void *block_get(struct feed *feed, size_t size)
{
	void *block;

	REQUIRE_EQ(bp__flow_reserve(&feed->flow, size, 0, size), 0);
	CHECK_EQ(rig_peek(&rig, &rig.q.promised), size);
	block = bp__qdisc_block(&rig.q, size);
	REQUIRE(block != NULL);
	CHECK_EQ(rig_peek(&rig, &rig.q.promised), 0);
	return block;
}

static void block_back(struct feed *feed, void *block, size_t size)
{
	flow_release(&feed->flow, size, BP__HELD_FRAME, block, size);
}

static size_t idle_bytes(void)
{
	return rig_peek(&rig, &rig.q.pool.idle_bytes);
}

static void test_accounts_block_that_is_idle_is_taken_again(void)
{
	void *block, *other;

	with(1, (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .budget = 256 * KIB });
	block = block_get(feeds[0], 64 * KIB);
	block_back(feeds[0], block, 64 * KIB);
	CHECK_EQ(idle_bytes(), 64 * KIB);
	CHECK_EQ(rig_stats(&rig).held_bytes, 0);
	CHECK(block_get(feeds[0], 64 * KIB) == block);
	CHECK_EQ(idle_bytes(), 0);
	other = block_get(feeds[0], 64 * KIB);
	CHECK(other != block);
	block_back(feeds[0], block, 64 * KIB);
	block_back(feeds[0], other, 64 * KIB);
	rig_finish(&rig, feeds);
}

static void test_accounts_held_and_idle_stay_within_the_budget(void)
{
	void *blocks[4];
	int i;

	with(1, (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .budget = 256 * KIB });
	for (i = 0; i < 4; i++)
		blocks[i] = block_get(feeds[0], 64 * KIB);
	for (i = 0; i < 4; i++)
		block_back(feeds[0], blocks[i], 64 * KIB);
	CHECK_EQ(idle_bytes(), 256 * KIB);
	/* what is held for anything else takes the place of the idle */
	CHECK(bp__flow_try_reserve(&feeds[0]->flow, 1, 0, false));
	CHECK_EQ(idle_bytes(), 192 * KIB);
	/* a block that is promised is one of the idle, perhaps: that stays */
	CHECK_EQ(bp__flow_reserve(&feeds[0]->flow, 64 * KIB, 0, 64 * KIB), 0);
	CHECK_EQ(idle_bytes(), 192 * KIB);
	blocks[0] = bp__qdisc_block(&rig.q, 64 * KIB);
	CHECK_EQ(idle_bytes(), 128 * KIB);
	/* one of another size is not */
	blocks[1] = block_get(feeds[0], 96 * KIB);
	CHECK_EQ(idle_bytes(), 64 * KIB);
	block_back(feeds[0], blocks[0], 64 * KIB);
	block_back(feeds[0], blocks[1], 96 * KIB);
	flow_release(&feeds[0]->flow, 1, BP__HELD_DELIVERED, NULL, 0);
	CHECK_LE(idle_bytes(), 256 * KIB);
	rig_finish(&rig, feeds);
}

/* Where the frame is in hand before anybody is asked, it is charged all the same. */
static void test_accounts_blocks_count_where_there_is_no_budget(void)
{
	static const struct bp_qdisc_ops *const qdiscs[] = {
		&bp_qdisc_unbounded, &bp_qdisc_one_place, &bp_qdisc_bounded,
	};
	void *block;
	size_t i;

	for (i = 0; i < COUNT_OF(qdiscs); i++) {
		with(1, (struct bp_endpoint_config){ .qdisc = qdiscs[i], .places = 1 });
		block = block_get(feeds[0], 64 * KIB);
		CHECK_EQ(rig_stats(&rig).held_bytes, 64 * KIB);
		block_back(feeds[0], block, 64 * KIB);
		CHECK_EQ(idle_bytes(), 64 * KIB);
		rig_finish(&rig, feeds);
	}
}

static void test_accounts_promise_that_is_not_kept_is_taken_back(void)
{
	with(1, (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .budget = 256 * KIB });
	CHECK_EQ(bp__flow_reserve(&feeds[0]->flow, 64 * KIB, 0, 64 * KIB), 0);
	bp__qdisc_unclaim(&rig.q, 64 * KIB);
	CHECK_EQ(rig_peek(&rig, &rig.q.promised), 0);
	flow_release(&feeds[0]->flow, 64 * KIB, BP__HELD_FRAME, NULL, 0);
	rig_finish(&rig, feeds);
}

static void test_accounts_blocks_go_back_after_a_second_and_with_the_last_flow(void)
{
	void *block;

	with(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_unbounded });
	block = block_get(feeds[0], 64 * KIB);
	block_back(feeds[0], block, 64 * KIB);
	tick(bp__now_ns() + 500 * BP__MS);
	CHECK_EQ(idle_bytes(), 64 * KIB);
	tick(bp__now_ns() + 1001 * BP__MS);
	CHECK_EQ(idle_bytes(), 0);
	block = block_get(feeds[0], 64 * KIB);
	block_back(feeds[0], block, 64 * KIB);
	feed_close(feeds[0]);
	rig_finish_queue(&rig);
	CHECK_EQ(idle_bytes(), 64 * KIB);
	feed_close(feeds[1]);
	rig_finish_queue(&rig);
	CHECK_EQ(idle_bytes(), 0);		/* the traffic has ended */
	rig_fini(&rig);
}

/* An out queue has a block still, whose charge went back with the event. */
static void test_accounts_block_may_come_back_when_no_flow_is_left(void)
{
	void *block;

	with(1, (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .budget = 256 * KIB });
	block = block_get(feeds[0], 64 * KIB);
	block_back(feeds[0], NULL, 64 * KIB);
	feed_close(feeds[0]);
	rig_finish_queue(&rig);
	bp__qdisc_block_back(&rig.q, block, 64 * KIB);
	CHECK_EQ(idle_bytes(), 0);
	rig_fini(&rig);
}

/* ---- watching ------------------------------------------------------------- */

#define SECOND UINT64_C(1000000000)

static void test_accounts_stall_is_told_once_every_five_seconds(void)
{
	const uint64_t t = bp__now_ns();
	struct reading reading;
	struct frame *kept;

	with(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_bytes, .budget = 100 });
	CHECK_EQ(feed_read(feeds[0], 100), 0);
	reading_start_waiting(&reading, feeds[1], 100);
	CHECK(!tick(t));
	CHECK(!tick(t + 9 * SECOND));	/* one is ready */
	kept = rig_take(&rig);
	frame_turn_back(kept);
	CHECK(!tick(t + 10 * SECOND));
	CHECK(!tick(t + 15 * SECOND - 1));
	CHECK_EQ(rig_stats(&rig).stalls, 0);
	CHECK(tick(t + 15 * SECOND));
	CHECK_EQ(rig_stats(&rig).stalls, 1);
	CHECK(!tick(t + 16 * SECOND));
	CHECK(tick(t + 20 * SECOND));
	frame_drop(&kept->entry);
	reading_join(&reading, 0);
	CHECK(!tick(t + 40 * SECOND));
	CHECK(!tick(t + 60 * SECOND));
	CHECK_EQ(rig_stats(&rig).stalls, 2);
	rig_finish(&rig, feeds);
}

/* Those but the last of what was taken at once go back without the lock. */
static void test_accounts_frees_one_by_one_are_no_stall(void)
{
	const uint64_t t = bp__now_ns();
	struct bp__entry *taken = NULL, *entry;
	struct reading reading;
	uint64_t seconds = 0;

	with(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_bytes, .budget = 40 });
	for (int i = 0; i < 4; i++)
		CHECK_EQ(feed_read(feeds[0], 10), 0);
	reading_start_waiting(&reading, feeds[1], 40);
	CHECK_EQ(bp__qdisc_take(&rig.q, &taken, 4, 0), 4);
	CHECK(!tick(t));
	for (entry = taken; entry; entry = entry->next) {
		CHECK(!tick(t + (seconds += 4) * SECOND));
		bp__flow_turn_back(entry, 0, NULL, 0);
	}
	CHECK(!tick(t + (seconds += 4) * SECOND));
	CHECK(tick(t + (seconds += 5) * SECOND));	/* their charges are kept */
	while ((entry = taken) != NULL) {
		taken = entry->next;
		bp__flow_release(entry->flow, entry->peer, entry->cost,
		    BP__HELD_DELIVERED, NULL, 0);
		frame_drop(entry);
	}
	reading_join(&reading, 0);
	rig_finish(&rig, feeds);
}

/* While a frame comes in it is the peer's time, which has deadlines of its own. */
static void test_accounts_frame_that_is_being_read_is_no_stall(void)
{
	const uint64_t t = bp__now_ns();
	struct reading reading;

	with(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_bytes, .budget = 100 });
	CHECK_EQ(bp__flow_reserve(&feeds[0]->flow, 100, 0, 0), 0);
	reading_start_waiting(&reading, feeds[1], 100);
	CHECK(!tick(t));
	CHECK(!tick(t + 60 * SECOND));
	flow_release(&feeds[0]->flow, 100, BP__HELD_FRAME, NULL, 0);
	reading_join(&reading, 0);
	rig_finish(&rig, feeds);
}

static void check_near(uint64_t ns, uint64_t expected)
{
	/* a bucket is an eighth wide; and the test took some time itself */
	CHECK(ns >= expected - expected / 8);
	CHECK(ns <= expected + expected / 8 + 1000 * BP__MS);
}

static void test_accounts_tell_the_time_in_queue(void)
{
	int i;

	with(1, (struct bp_endpoint_config){ 0 });
	CHECK_EQ(rig_stats(&rig).wait_p50_ns, 0);
	CHECK_EQ(rig_stats(&rig).wait_max_ns, 0);
	for (i = 0; i < 100; i++) {
		struct frame *frame = frame_new(feeds[0], 0, 0);

		/* 98 for 10 s, 1 for 100 s, 1 for 1000 s */
		frame->entry.arrived_ns = now_ns()
		    - (i < 98 ? 10 : i < 99 ? 100 : 1000) * SECOND;
		bp__flow_put(&feeds[0]->flow, &frame->entry);
		rig_expect(&rig, feeds[0], (unsigned)i + 1);
	}
	check_near(rig_stats(&rig).wait_p50_ns, 10 * SECOND);
	check_near(rig_stats(&rig).wait_p99_ns, 100 * SECOND);
	check_near(rig_stats(&rig).wait_max_ns, 1000 * SECOND);
	CHECK(rig_stats(&rig).wait_max_ns >= 1000 * SECOND);
	rig_finish(&rig, feeds);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_accounts_place_comes_back_when_nothing_is_charged_any_more),
		TEST(test_accounts_block_that_is_idle_is_taken_again),
		TEST(test_accounts_held_and_idle_stay_within_the_budget),
		TEST(test_accounts_blocks_count_where_there_is_no_budget),
		TEST(test_accounts_promise_that_is_not_kept_is_taken_back),
		TEST(test_accounts_blocks_go_back_after_a_second_and_with_the_last_flow),
		TEST(test_accounts_block_may_come_back_when_no_flow_is_left),
		TEST(test_accounts_stall_is_told_once_every_five_seconds),
		TEST(test_accounts_frees_one_by_one_are_no_stall),
		TEST(test_accounts_frame_that_is_being_read_is_no_stall),
		TEST(test_accounts_tell_the_time_in_queue),
	};

	return run_suite("accounts", tests, COUNT_OF(tests), argc, argv);
}
