/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_flow.c - one connection's way in, as its queue shows it: muted, throttled,
 * ended in each of the ways there are, and when it is quiet.
 */
#include "config.h"

#include "rig.h"

static struct rig rig;
static struct feed *feeds[3];		/* the last is NULL */
static struct feed *feed, *other;
static struct bp__flow *flow;

/* Two feeds, in a budget of 1000 bytes; the first is coupled or is not. */
static void with_coupling(bool couple)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_bytes, .budget = 1000, .conns_max = 2,
	};

	rig_init(&rig, &config);
	feed = feeds[0] = feed_open(&rig, couple);
	other = feeds[1] = feed_open(&rig, false);
	flow = &feed->flow;
}

static void start(void)
{
	with_coupling(false);
}

static void read_frames(int n)
{
	while (n-- > 0)
		CHECK_EQ(feed_read(feed, 10), 0);
}

static void check_nothing_ready(void)
{
	CHECK(rig_try(&rig) == NULL);
}

static void expect(unsigned n)
{
	rig_expect(&rig, feed, n);
}

static void set_throttled(bool throttled)
{
	atomic_store(&feed->throttled, throttled);
	if (!throttled)
		bp__flow_unblock(flow);		/* R12 */
}

static void finish_all(void)
{
	rig_finish(&rig, feeds);
}

/* ---- muted ---------------------------------------------------------------- */

static void test_flow_muted_is_passed_over_and_loses_nothing(void)
{
	start();
	read_frames(2);
	bp__flow_mute(flow);
	CHECK_EQ(rig_stats(&rig).muted, 1);
	CHECK_EQ(atomic_load(&rig.q.shown), 0);	/* else it would hide a stall */
	check_nothing_ready();
	read_frames(1);
	CHECK_EQ(feed_read(other, 10), 0);
	rig_expect(&rig, other, 1);
	check_nothing_ready();
	CHECK_EQ(rig_stats(&rig).queued_events, 3);
	bp__flow_unmute(flow);
	CHECK_EQ(rig_stats(&rig).muted, 0);
	expect(1);
	expect(2);
	expect(3);
	finish_all();
}

static void test_flow_muted_while_its_event_is_out_gives_no_other(void)
{
	struct frame *frame;

	start();
	read_frames(2);
	frame = rig_take(&rig);
	bp__flow_mute(flow);
	frame_done(frame);
	check_nothing_ready();
	bp__flow_unmute(flow);
	expect(2);
	finish_all();
}

static void test_flow_mutes_are_counted(void)
{
	start();
	read_frames(1);
	bp__flow_mute(flow);
	bp__flow_mute(flow);
	CHECK_EQ(rig_stats(&rig).muted, 1);
	bp__flow_unmute(flow);
	CHECK_EQ(rig_stats(&rig).muted, 1);
	check_nothing_ready();
	bp__flow_unmute(flow);
	expect(1);
	/* one too many does no harm, and is not remembered */
	bp__flow_unmute(flow);
	bp__flow_mute(flow);
	read_frames(1);
	check_nothing_ready();
	bp__flow_unmute(flow);
	expect(2);
	finish_all();
}

static void test_flow_that_is_over_is_muted_no_more(void)
{
	start();
	bp__flow_mute(flow);
	bp__flow_ref(flow);
	feed_close(feed);
	CHECK_EQ(rig_stats(&rig).muted, 1);
	expect(0);			/* CLOSED passes a mute */
	CHECK_EQ(rig_stats(&rig).muted, 0);
	bp__flow_mute(flow);
	CHECK_EQ(rig_stats(&rig).muted, 0);
	bp__flow_unmute(flow);
	CHECK_EQ(rig_stats(&rig).conns, 1);
	bp__flow_unref(flow);
	rig_finish(&rig, feeds + 1);
}

/* ---- throttled ------------------------------------------------------------ */

static void test_flow_throttled_and_coupled_is_passed_over(void)
{
	with_coupling(true);
	set_throttled(true);
	read_frames(2);
	check_nothing_ready();
	set_throttled(false);
	expect(1);
	/* set when it was shown already: it is read where it is decided */
	set_throttled(true);
	check_nothing_ready();
	CHECK_EQ(rig_stats(&rig).queued_events, 1);
	set_throttled(false);
	expect(2);
	finish_all();
}

static void test_flow_throttled_but_not_coupled_goes_on(void)
{
	start();
	set_throttled(true);
	read_frames(1);
	expect(1);
	CHECK_EQ(bp__flow_may_read(flow), 0);
	CHECK(bp__flow_may_go_on(flow));
	finish_all();
}

static void test_flow_muted_and_throttled_waits_for_both(void)
{
	with_coupling(true);
	read_frames(1);
	set_throttled(true);
	bp__flow_mute(flow);
	set_throttled(false);
	check_nothing_ready();
	set_throttled(true);
	bp__flow_unmute(flow);
	check_nothing_ready();
	set_throttled(false);
	expect(1);
	finish_all();
}

/* ---- ends ----------------------------------------------------------------- */

static void test_flow_stopping_delivers_all_that_was_read(void)
{
	with_coupling(true);
	read_frames(2);
	bp__flow_mute(flow);
	feed_end(feed, BP__FLOW_STOPPING);
	check_nothing_ready();
	bp__flow_unmute(flow);
	set_throttled(true);
	check_nothing_ready();
	set_throttled(false);
	expect(1);
	expect(2);
	finish_all();
}

static void test_flow_broken_delivers_though_throttled(void)
{
	with_coupling(true);
	read_frames(2);
	set_throttled(true);
	feed_end(feed, BP__FLOW_BROKEN);
	expect(1);
	expect(2);
	CHECK(bp__flow_may_go_on(flow));
	finish_all();
}

static void test_flow_broken_while_muted_keeps_nothing_but_the_last(void)
{
	start();
	read_frames(2);
	bp__flow_mute(flow);
	feed_end(feed, BP__FLOW_BROKEN);
	CHECK_EQ(atomic_load(&rig.purged), 2);
	CHECK_EQ(rig_stats(&rig).held_bytes, 0);
	feed_close(feed);
	expect(0);
	rig_finish(&rig, feeds + 1);
}

static void test_flow_muted_when_broken_keeps_nothing_but_the_last(void)
{
	start();
	read_frames(2);
	feed_end(feed, BP__FLOW_BROKEN);
	feed_close(feed);
	bp__flow_mute(flow);
	CHECK_EQ(atomic_load(&rig.purged), 2);
	CHECK_EQ(rig_stats(&rig).held_bytes, 0);
	expect(0);
	rig_finish(&rig, feeds + 1);
}

static void test_flow_cut_delivers_nothing_but_the_last(void)
{
	struct reading waiting;

	start();
	read_frames(3);
	CHECK_EQ(feed_read(feed, 970), 0);
	reading_start_waiting(&waiting, other, 990);
	feed_end(feed, BP__FLOW_CUT);
	CHECK_EQ(atomic_load(&rig.purged), 4);
	/* what it held is at once another's */
	CHECK(!feed_waits(other));
	CHECK_EQ(rig_stats(&rig).held_bytes, 990);
	reading_join(&waiting, 0);
	/* what its reader still brings goes the same way */
	read_frames(1);
	CHECK_EQ(atomic_load(&rig.purged), 5);
	CHECK_EQ(rig_stats(&rig).queued_events, 1);
	finish_all();
}

static void test_flow_cut_while_its_event_is_out_gives_its_last_next(void)
{
	struct frame *frame;

	start();
	read_frames(3);
	frame = rig_take(&rig);
	feed_end(feed, BP__FLOW_CUT);
	CHECK_EQ(atomic_load(&rig.purged), 2);
	feed_close(feed);
	check_nothing_ready();
	frame_done(frame);
	expect(0);
	rig_finish(&rig, feeds + 1);
}

static uint64_t gate_waits(void)
{
	struct bp_endpoint_detail detail = { .qdisc = NULL };

	bp__qdisc_detail(&rig.q, &detail);
	return detail.gate_waits;
}

static void test_flow_that_is_over_does_not_wait_at_a_shut_gate(void)
{
	start();
	CHECK_EQ(feed_read(other, 990), 0);
	feed_end(feed, BP__FLOW_CUT);
	CHECK_EQ(feed_read(feed, 100), -EPIPE);
	CHECK_EQ(gate_waits(), 0);
	finish_all();
}

static void test_flow_end_only_grows(void)
{
	start();
	read_frames(1);
	feed_end(feed, BP__FLOW_CUT);
	feed_end(feed, BP__FLOW_STOPPING);
	read_frames(1);
	CHECK_EQ(atomic_load(&rig.purged), 2);
	finish_all();
}

static void test_flow_last_entry_passes_mute_and_throttle(void)
{
	with_coupling(true);
	set_throttled(true);
	bp__flow_mute(flow);
	feed_close(feed);
	expect(0);
	rig_finish(&rig, feeds + 1);
}

/* ---- quiet ---------------------------------------------------------------- */

static int times_quiet(void)
{
	return atomic_exchange(&rig.quiet, 0);
}

static void test_flow_is_quiet_when_nothing_is_queued_out_or_kept(void)
{
	struct frame *frame;

	start();
	read_frames(2);
	bp__flow_watch(flow);
	CHECK_EQ(times_quiet(), 0);
	expect(1);
	CHECK_EQ(times_quiet(), 0);
	frame = rig_take(&rig);
	frame_turn_back(frame);
	CHECK_EQ(times_quiet(), 0);
	frame_drop(&frame->entry);
	CHECK_EQ(times_quiet(), 1);
	finish_all();
}

/* A chunk and a frame that is not whole are the reader's, and tell nobody anything. */
static void test_flow_is_quiet_whatever_its_reader_holds(void)
{
	start();
	CHECK_EQ(bp__flow_reserve(flow, 100, 0, 0), 0);
	CHECK_EQ(times_quiet(), 0);
	bp__flow_watch(flow);
	CHECK_EQ(times_quiet(), 1);
	flow_release(flow, 100, BP__HELD_FRAME, NULL, 0);
	finish_all();
}

static void test_flow_stopping_tells_when_it_is_quiet(void)
{
	start();
	feed_end(other, BP__FLOW_STOPPING);
	CHECK_EQ(times_quiet(), 1);
	CHECK_EQ(flow_turn(flow, 0), 0);
	feed_end(feed, BP__FLOW_STOPPING);
	CHECK_EQ(times_quiet(), 0);
	bp__flow_turn_end(flow, 0, 0, false);
	CHECK_EQ(times_quiet(), 1);
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_flow_muted_is_passed_over_and_loses_nothing),
		TEST(test_flow_muted_while_its_event_is_out_gives_no_other),
		TEST(test_flow_mutes_are_counted),
		TEST(test_flow_that_is_over_is_muted_no_more),
		TEST(test_flow_throttled_and_coupled_is_passed_over),
		TEST(test_flow_throttled_but_not_coupled_goes_on),
		TEST(test_flow_muted_and_throttled_waits_for_both),
		TEST(test_flow_stopping_delivers_all_that_was_read),
		TEST(test_flow_broken_delivers_though_throttled),
		TEST(test_flow_broken_while_muted_keeps_nothing_but_the_last),
		TEST(test_flow_muted_when_broken_keeps_nothing_but_the_last),
		TEST(test_flow_cut_delivers_nothing_but_the_last),
		TEST(test_flow_cut_while_its_event_is_out_gives_its_last_next),
		TEST(test_flow_that_is_over_does_not_wait_at_a_shut_gate),
		TEST(test_flow_end_only_grows),
		TEST(test_flow_last_entry_passes_mute_and_throttle),
		TEST(test_flow_is_quiet_when_nothing_is_queued_out_or_kept),
		TEST(test_flow_is_quiet_whatever_its_reader_holds),
		TEST(test_flow_stopping_tells_when_it_is_quiet),
	};

	return run_suite("flow", tests, COUNT_OF(tests), argc, argv);
}
