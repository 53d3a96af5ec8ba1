/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_crowded.c - a reader of small frames waits for its guarantee as long as events
 * of its own are what fills that: no longer, and for nobody else's.
 */
#include "config.h"

#include "rig.h"

#define GUARANTEE 100

static struct rig rig;
static struct feed *feeds[3];		/* the last is NULL */

static void start(void)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_bytes, .budget = 1000, .guarantee = GUARANTEE,
		.conns_max = 2,
	};

	rig_init(&rig, &config);
	feeds[0] = feed_open(&rig, false);
	feeds[1] = feed_open(&rig, false);
}

struct await {
	size_t cost;
	struct task *task;
};

static void await_run(void *arg)
{
	bp__flow_await_guarantee(&feeds[0]->flow, ((struct await *)arg)->cost);
}

/* The first feed comes to wait for that much. */
static void await_start(struct await *await, size_t cost)
{
	await->cost = cost;
	await->task = task_start(await_run, await);
	WAIT_UNTIL(rig_stats(&rig).waiting == 1);
}

static void await_end(struct await *await)
{
	task_join(await->task);
	CHECK_EQ(rig_stats(&rig).waiting, 0);
}

static void test_crowded_reader_goes_on_when_its_guarantee_has_room(void)
{
	struct await await;

	start();
	CHECK_EQ(feed_read(feeds[0], 40), 0);
	CHECK_EQ(feed_read(feeds[0], 40), 0);
	await_start(&await, 60);
	CHECK_EQ(atomic_load(&rig.q.waiting), 0);	/* for nothing others have */
	rig_expect(&rig, feeds[0], 1);
	await_end(&await);
	rig_finish(&rig, feeds);
}

static void test_crowded_reader_is_not_helped_by_half_the_room(void)
{
	struct await await;

	start();
	CHECK_EQ(feed_read(feeds[0], 40), 0);
	CHECK_EQ(feed_read(feeds[0], 40), 0);
	await_start(&await, 90);
	rig_expect(&rig, feeds[0], 1);
	HOLDS_FOR_MS(rig_stats(&rig).waiting == 1, 20);
	rig_expect(&rig, feeds[0], 2);
	await_end(&await);
	rig_finish(&rig, feeds);
}

/* What the application keeps may stay for ever: the pool is for that. */
static void test_crowded_reader_does_not_wait_for_what_is_kept(void)
{
	struct await await;
	struct frame *frame;

	start();
	CHECK_EQ(feed_read(feeds[0], 80), 0);
	await_start(&await, 60);
	frame = rig_take(&rig);
	HOLDS_FOR_MS(rig_stats(&rig).waiting == 1, 20);	/* it is out */
	frame_turn_back(frame);
	await_end(&await);
	bp__flow_await_guarantee(&feeds[0]->flow, 60);	/* nothing is queued or out */
	frame_drop(&frame->entry);
	rig_finish(&rig, feeds);
}

static void test_crowded_reader_is_let_go_when_its_flow_ends(void)
{
	static const enum bp__flow_stage stages[] = {
		BP__FLOW_STOPPING, BP__FLOW_BROKEN, BP__FLOW_CUT,
	};

	for (size_t i = 0; i < COUNT_OF(stages); i++) {
		struct await await;

		start();
		CHECK_EQ(feed_read(feeds[0], 80), 0);
		await_start(&await, 60);
		feed_end(feeds[0], stages[i]);
		await_end(&await);
		rig_finish(&rig, feeds);
	}
}

static void test_crowded_by_others_is_not_waited_for(void)
{
	start();
	CHECK_EQ(feed_read(feeds[1], 800), 0);
	bp__flow_await_guarantee(&feeds[0]->flow, GUARANTEE);
	CHECK_EQ(feed_read(feeds[0], 30), 0);
	bp__flow_await_guarantee(&feeds[0]->flow, 70);
	rig_finish(&rig, feeds);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_crowded_reader_goes_on_when_its_guarantee_has_room),
		TEST(test_crowded_reader_is_not_helped_by_half_the_room),
		TEST(test_crowded_reader_does_not_wait_for_what_is_kept),
		TEST(test_crowded_reader_is_let_go_when_its_flow_ends),
		TEST(test_crowded_by_others_is_not_waited_for),
	};

	return run_suite("crowded", tests, COUNT_OF(tests), argc, argv);
}
