/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_turns.c - one connection's way in, as its reader lives it: what it waits for
 * before it reads, and before it calls a handler, and what ends that.
 */
#include "config.h"

#include "rig.h"

static struct rig rig;
static struct feed *feed;
static struct bp__flow *flow;

static void with_coupling(bool couple)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_unbounded, .conns_max = 1,
	};

	rig_init(&rig, &config);
	feed = feed_open(&rig, couple);
	flow = &feed->flow;
}

static void start(void)
{
	with_coupling(false);
}

static void set_throttled(bool throttled)
{
	atomic_store(&feed->throttled, throttled);
	if (!throttled)
		bp__flow_unblock(flow);		/* R12 */
}

static void finish_all(void)
{
	rig_finish(&rig, (struct feed *[]){ feed, NULL });
}

/* ---- a reader that waits -------------------------------------------------- */

static struct task *reader;
static int reader_rc;

static void may_read(void *arg)
{
	(void)arg;
	reader_rc = bp__flow_may_read(flow);
}

static void turn(void *arg)
{
	(void)arg;
	reader_rc = flow_turn(flow, 0);
}

static bool reader_waits(void)
{
	bool parked;

	bp__lock(&rig.q.lock);
	parked = flow->parked;
	bp__unlock(&rig.q.lock);
	return parked;
}

static void start_reader(void (*wait)(void *arg))
{
	reader = task_start(wait, NULL);
	WAIT_UNTIL(reader_waits());
}

static void check_reader(int rc)
{
	task_join(reader);
	CHECK_EQ(reader_rc, rc);
}

static void test_reader_waits_while_muted(void)
{
	start();
	bp__flow_mute(flow);
	bp__flow_mute(flow);
	start_reader(may_read);
	bp__flow_unmute(flow);
	bp__flow_unblock(flow);
	HOLDS_FOR_MS(reader_waits(), 5);
	bp__flow_unmute(flow);
	check_reader(0);
	finish_all();
}

static void test_reader_waits_while_throttled_and_coupled(void)
{
	with_coupling(true);
	set_throttled(true);
	start_reader(may_read);
	/* a visit that comes late finds the level set again, and leaves it parked */
	bp__flow_unblock(flow);
	bp__flow_mute(flow);
	set_throttled(false);
	HOLDS_FOR_MS(reader_waits(), 5);
	bp__flow_unmute(flow);
	check_reader(0);
	set_throttled(true);
	start_reader(may_read);
	set_throttled(false);
	check_reader(0);
	finish_all();
}

static void test_reader_that_waits_is_let_go_at_every_end(void)
{
	static const enum bp__flow_stage stages[] = {
		BP__FLOW_STOPPING, BP__FLOW_BROKEN, BP__FLOW_CUT,
	};
	size_t i;

	for (i = 0; i < COUNT_OF(stages); i++) {
		with_coupling(true);
		CHECK(bp__flow_open_still(flow));
		set_throttled(true);
		bp__flow_mute(flow);
		start_reader(may_read);
		feed_end(feed, stages[i]);
		check_reader(-EPIPE);
		CHECK(!bp__flow_open_still(flow));
		bp__flow_unmute(flow);
		set_throttled(false);
		CHECK_EQ(bp__flow_may_read(flow), -EPIPE);
		finish_all();
	}
}

/* ---- the turn, with handlers ---------------------------------------------- */

static void test_turn_waits_while_muted_and_goes_back(void)
{
	start();
	CHECK_EQ(flow_turn(flow, 0), 0);
	bp__flow_mute(flow);
	CHECK(!bp__flow_may_go_on(flow));
	bp__flow_turn_end(flow, 30, 3, false);
	CHECK_EQ(rig_stats(&rig).received_bytes, 30);
	CHECK_EQ(rig_stats(&rig).received_events, 3);
	start_reader(turn);
	bp__flow_unmute(flow);
	check_reader(0);
	bp__flow_turn_end(flow, 0, 0, false);
	finish_all();
}

static void test_turn_is_refused_when_nothing_is_delivered(void)
{
	start();
	bp__flow_mute(flow);
	start_reader(turn);
	feed_end(feed, BP__FLOW_STOPPING);
	check_reader(-EPIPE);
	CHECK_EQ(flow_turn(flow, 0), -EPIPE);
	bp__flow_unmute(flow);
	CHECK_EQ(flow_turn(flow, 0), 0);	/* what need not wait is delivered */
	bp__flow_turn_end(flow, 0, 0, false);
	feed_end(feed, BP__FLOW_BROKEN);
	CHECK_EQ(flow_turn(flow, 0), 0);
	bp__flow_turn_end(flow, 0, 0, false);
	feed_end(feed, BP__FLOW_CUT);
	CHECK_EQ(flow_turn(flow, 0), -EPIPE);
	CHECK(!bp__flow_may_go_on(flow));
	/* closed is called all the same */
	REQUIRE_EQ(bp__flow_turn(flow, &(struct bp__wish){ .last = true }, 0), 0);
	bp__flow_turn_end(flow, 0, 0, true);
	CHECK_EQ(rig_stats(&rig).conns, 0);
	bp__flow_unref(flow);
	rig_fini(&rig);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_reader_waits_while_muted),
		TEST(test_reader_waits_while_throttled_and_coupled),
		TEST(test_reader_that_waits_is_let_go_at_every_end),
		TEST(test_turn_waits_while_muted_and_goes_back),
		TEST(test_turn_is_refused_when_nothing_is_delivered),
	};

	return run_suite("turns", tests, COUNT_OF(tests), argc, argv);
}
