/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_gate.c - when a reader may read on, discipline by discipline, through the
 * real core: what waits, what passes at once, who is next, and that whoever makes
 * room charges it to the next before that one has even woken (R5).
 */
#include "config.h"

#include "rig.h"

static struct rig rig;
static struct feed *feeds[8];		/* the last is NULL */

static void with_feeds(size_t n, struct bp_endpoint_config config)
{
	size_t i;

	config.conns_max = COUNT_OF(feeds) - 1;
	rig_init(&rig, &config);
	REQUIRE(n < COUNT_OF(feeds));
	for (i = 0; i < n; i++)
		feeds[i] = feed_open(&rig, false);
}

/* A budget of 1000 bytes, of which each of the 7 has that much for itself. */
static void with_bytes(size_t n, size_t guarantee)
{
	with_feeds(n, (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .budget = 1000, .guarantee = guarantee });
}

static size_t held(void)
{
	return rig_stats(&rig).held_bytes;
}

static size_t waiting(void)
{
	return rig_stats(&rig).waiting;
}

static void finish_all(void)
{
	CHECK_EQ(waiting(), 0);
	rig_finish(&rig, feeds);
}

/* ---- bytes ---------------------------------------------------------------- */

static void test_gate_of_bytes_waits_until_the_cost_fits(void)
{
	struct reading reading;
	struct frame *frame;

	with_bytes(2, 0);
	CHECK_EQ(feed_read(feeds[0], 600), 0);
	reading_start_waiting(&reading, feeds[1], 500);
	CHECK_EQ(held(), 600);
	/* R8: who waits holds nothing */
	CHECK_EQ(rig_peek(&rig, &feeds[1]->flow.held), 0);
	frame = rig_take(&rig);
	CHECK_EQ(held(), 600);			/* taken is not released */
	frame_turn_back(frame);
	CHECK_EQ(held(), 599);			/* its overhead is */
	CHECK(feed_waits(feeds[1]));
	frame_drop(&frame->entry);
	/* R5: it is charged already, whether or not it has run */
	CHECK(!feed_waits(feeds[1]));
	CHECK_EQ(held(), 500);
	reading_join(&reading, 0);
	finish_all();
}

static void test_gate_of_bytes_lets_nobody_pass_by_who_waits(void)
{
	struct reading large, small;

	with_bytes(4, 0);
	CHECK_EQ(feed_read(feeds[0], 300), 0);
	CHECK_EQ(feed_read(feeds[1], 600), 0);
	reading_start_waiting(&large, feeds[2], 500);
	reading_start_waiting(&small, feeds[3], 100);	/* there is room for it */
	CHECK(!bp__flow_try_reserve(&feeds[3]->flow, 1, 0, false));
	rig_expect(&rig, feeds[0], 1);
	CHECK_EQ(held(), 600);
	CHECK(feed_waits(feeds[2]) && feed_waits(feeds[3]));
	rig_expect(&rig, feeds[1], 1);
	CHECK_EQ(waiting(), 0);			/* both were admitted at once */
	CHECK_EQ(held(), 600);
	reading_join(&large, 0);
	reading_join(&small, 0);
	finish_all();
}

static void test_gate_of_bytes_serves_who_came_first(void)
{
	struct reading readings[6];
	size_t i;

	with_bytes(7, 0);
	CHECK_EQ(feed_read(feeds[6], 1000), 0);
	for (i = 0; i < COUNT_OF(readings); i++)
		reading_start_waiting(&readings[i], feeds[i], 1000);
	rig_expect(&rig, feeds[6], 1);
	for (i = 0; i < COUNT_OF(readings); i++) {
		CHECK(!feed_waits(feeds[i]));
		CHECK_EQ(waiting(), COUNT_OF(readings) - 1 - i);
		reading_join(&readings[i], 0);
		rig_expect(&rig, feeds[i], 1);
	}
	finish_all();
}

static void test_gate_of_bytes_admits_all_that_one_release_makes_room_for(void)
{
	struct reading readings[6];
	size_t i;

	with_bytes(7, 0);
	CHECK_EQ(feed_read(feeds[6], 1000), 0);
	for (i = 0; i < COUNT_OF(readings); i++)
		reading_start_waiting(&readings[i], feeds[i], 240);
	rig_expect(&rig, feeds[6], 1);
	CHECK_EQ(waiting(), 2);
	CHECK_EQ(held(), 960);
	CHECK(feed_waits(feeds[4]) && feed_waits(feeds[5]));
	for (i = 0; i < 4; i++)
		reading_join(&readings[i], 0);
	rig_finish_queue(&rig);
	reading_join(&readings[4], 0);
	reading_join(&readings[5], 0);
	finish_all();
}

static void test_gate_of_bytes_has_a_lane_within_the_guarantee(void)
{
	struct reading beyond, more;

	with_bytes(4, 50);			/* and 650 that all share */
	CHECK_EQ(feed_read(feeds[0], 650), 0);
	CHECK_EQ(feed_read(feeds[0], 50), 0);
	reading_start_waiting(&beyond, feeds[1], 51);
	CHECK_EQ(feed_read(feeds[2], 50), 0);
	CHECK_EQ(feed_read(feeds[3], 20), 0);
	CHECK_EQ(feed_read(feeds[3], 30), 0);
	reading_start_waiting(&more, feeds[3], 1);
	CHECK_EQ(held(), 800);
	rig_expect(&rig, feeds[0], 1);
	CHECK_EQ(waiting(), 0);
	reading_join(&beyond, 0);
	reading_join(&more, 0);
	finish_all();
}

/* It stood in line since it held something; now it would fit its own guarantee. */
static void test_gate_of_bytes_lets_into_the_lane_who_has_released(void)
{
	struct reading first, second;

	with_bytes(3, 50);
	CHECK_EQ(feed_read(feeds[1], 30), 0);
	CHECK_EQ(feed_read(feeds[0], 650), 0);
	CHECK_EQ(feed_read(feeds[0], 50), 0);
	reading_start_waiting(&first, feeds[2], 300);
	reading_start_waiting(&second, feeds[1], 40);
	rig_expect(&rig, feeds[1], 1);
	CHECK(!feed_waits(feeds[1]));
	CHECK(feed_waits(feeds[2]));
	reading_join(&second, 0);
	rig_expect(&rig, feeds[0], 1);
	reading_join(&first, 0);
	finish_all();
}

static void test_gate_of_bytes_never_waits_for_what_cannot_fit(void)
{
	with_bytes(2, 50);
	CHECK_EQ(rig.q.cost_max, 650);
	CHECK_EQ(feed_read(feeds[0], 651), -EMSGSIZE);
	CHECK_EQ(feed_read(feeds[0], SIZE_MAX), -EMSGSIZE);
	CHECK_EQ(held(), 0);
	CHECK_EQ(feed_read(feeds[0], 650), 0);
	CHECK_EQ(feed_read(feeds[1], 651), -EMSGSIZE);
	finish_all();
}

static void test_gate_of_bytes_a_try_takes_what_there_is_and_does_not_wait(void)
{
	struct bp__flow *flow;

	with_bytes(2, 50);
	flow = &feeds[0]->flow;
	/* within the guarantee alone, as for a chunk, it is the reader's */
	CHECK(!bp__flow_try_reserve(flow, 51, 0, true));
	CHECK(bp__flow_try_reserve(flow, 30, 0, true));
	CHECK(!bp__flow_try_reserve(flow, 21, 0, true));
	CHECK_EQ(rig_peek(&rig, &flow->reader_held), 30);
	CHECK(bp__flow_try_reserve(flow, 670, 0, false));
	CHECK_EQ(held(), 700);
	CHECK(!bp__flow_try_reserve(flow, 1, 0, false));
	CHECK(bp__flow_try_reserve(&feeds[1]->flow, 50, 0, false));
	CHECK(!bp__flow_try_reserve(&feeds[1]->flow, 1, 0, false));
	CHECK_EQ(held(), 750);
	flow_release(&feeds[1]->flow, 50, BP__HELD_DELIVERED, NULL, 0);
	flow_release(flow, 670, BP__HELD_DELIVERED, NULL, 0);
	flow_release(flow, 30, BP__HELD_CHUNK, NULL, 0);
	finish_all();
}

/* ---- the end of a flow ---------------------------------------------------- */

static void end_while_waiting(enum bp__flow_stage stage)
{
	struct reading first, second;

	with_bytes(3, 0);
	CHECK_EQ(feed_read(feeds[0], 600), 0);
	reading_start_waiting(&first, feeds[1], 900);
	reading_start_waiting(&second, feeds[2], 400);
	feed_end(feeds[1], stage);
	reading_join(&first, -EPIPE);
	/* who stood behind it goes on, without anybody's release */
	reading_join(&second, 0);
	CHECK_EQ(held(), 1000);
	/* and where it would have to wait it does not even begin to */
	CHECK_EQ(feed_read(feeds[1], 1), -EPIPE);
	finish_all();
}

static void test_gate_lets_go_of_a_reader_whose_flow_ends(void)
{
	end_while_waiting(BP__FLOW_STOPPING);
	end_while_waiting(BP__FLOW_BROKEN);
	end_while_waiting(BP__FLOW_CUT);
}

static void test_gate_tells_how_long_a_reader_waited(void)
{
	struct reading reading;
	uint64_t began, gate_ns;

	with_bytes(2, 0);
	CHECK_EQ(feed_read(feeds[0], 1000), 0);
	CHECK_EQ(feeds[0]->flow.gate_ns, 0);
	began = now_ns();
	reading_start_waiting(&reading, feeds[1], 1000);
	HOLDS_FOR_MS(waiting() == 1, 20);
	rig_expect(&rig, feeds[0], 1);
	reading_join(&reading, 0);
	gate_ns = feeds[1]->flow.gate_ns;
	CHECK(gate_ns >= 15 * BP__MS && gate_ns <= now_ns() - began);
	finish_all();
}

/* ---- unbounded ------------------------------------------------------------ */

static void test_gate_of_unbounded_never_waits(void)
{
	size_t i;

	with_feeds(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_unbounded });
	for (i = 0; i < 100; i++)
		CHECK_EQ(feed_read(feeds[i % 2], (size_t)1 << 30), 0);
	CHECK(bp__flow_try_reserve(&feeds[0]->flow, (size_t)1 << 30, 0, true));
	CHECK_EQ(held(), (size_t)101 << 30);
	CHECK_EQ(rig_stats(&rig).queued_events, 100);
	flow_release(&feeds[0]->flow, (size_t)1 << 30, BP__HELD_CHUNK, NULL, 0);
	finish_all();
}

/* ---- one_place, bounded --------------------------------------------------- */

/* Of so many readers with a frame in hand as many are queued as there are places. */
static void check_places(const struct bp_qdisc_ops *qdisc, size_t places)
{
	struct reading readings[7];
	struct frame *frame;
	size_t i, n = COUNT_OF(readings);

	with_feeds(n, (struct bp_endpoint_config){ .qdisc = qdisc, .places = places });
	for (i = 0; i < n; i++) {
		if (i < places) {
			reading_start(&readings[i], feeds[i], 10);
			reading_join(&readings[i], 0);
		} else {
			reading_start_waiting(&readings[i], feeds[i], 10);
		}
	}
	CHECK_EQ(rig_stats(&rig).queued_events, places);
	CHECK_EQ(held(), n * 10);		/* each has its frame in hand */
	for (i = 0; i < n; i++) {
		size_t left = n - 1 - i;

		/* its place comes free when it is taken, not when it is done */
		frame = rig_take(&rig);
		CHECK(frame->feed == feeds[i]);
		CHECK_EQ(waiting(), left > places ? left - places : 0);
		if (i + places < n)
			reading_join(&readings[i + places], 0);
		CHECK_EQ(rig_stats(&rig).queued_events, left < places ? left : places);
		frame_done(frame);
	}
	CHECK_EQ(held(), 0);
	finish_all();
}

static void test_gate_of_one_place_lets_one_frame_in(void)
{
	check_places(&bp_qdisc_one_place, 1);
}

static void test_gate_of_bounded_lets_in_as_many_frames_as_places(void)
{
	check_places(&bp_qdisc_bounded, 1);
	check_places(&bp_qdisc_bounded, 3);
	check_places(&bp_qdisc_bounded, 7);
}

static void test_gate_of_places_lets_ends_and_beginnings_through(void)
{
	struct frame *opened;

	with_feeds(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_one_place });
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	opened = frame_new(feeds[1], 0, 0);
	bp__flow_put(&feeds[1]->flow, &opened->entry);
	CHECK_EQ(rig_stats(&rig).queued_events, 2);
	rig_expect(&rig, feeds[0], 1);
	rig_expect(&rig, feeds[1], 1);
	finish_all();
}

/* Its frame is in hand, so the bound holds, and the end waits for nobody. */
static void test_gate_of_places_takes_the_frame_in_hand_at_the_end(void)
{
	struct reading reading;

	with_feeds(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_one_place });
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	reading_start_waiting(&reading, feeds[1], 10);
	feed_end(feeds[1], BP__FLOW_STOPPING);
	reading_join(&reading, 0);
	CHECK_EQ(rig_stats(&rig).queued_events, 2);
	rig_expect(&rig, feeds[0], 1);
	/* the place is free although that one is queued: it never had one */
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	rig_expect(&rig, feeds[1], 1);
	rig_expect(&rig, feeds[0], 2);
	finish_all();
}

static void test_gate_of_places_drops_the_frame_in_hand_when_cut(void)
{
	struct reading reading;

	with_feeds(2, (struct bp_endpoint_config){ .qdisc = &bp_qdisc_one_place });
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	reading_start_waiting(&reading, feeds[1], 10);
	feed_end(feeds[1], BP__FLOW_CUT);
	reading_join(&reading, 0);
	CHECK_EQ(atomic_load(&rig.purged), 1);
	CHECK_EQ(held(), 10);
	/* cut, it gives back the place of what is queued */
	feed_end(feeds[0], BP__FLOW_CUT);
	CHECK_EQ(atomic_load(&rig.purged), 2);
	CHECK_EQ(held(), 0);
	feeds[2] = feed_open(&rig, false);
	CHECK_EQ(feed_read(feeds[2], 10), 0);
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_gate_of_bytes_waits_until_the_cost_fits),
		TEST(test_gate_of_bytes_lets_nobody_pass_by_who_waits),
		TEST(test_gate_of_bytes_serves_who_came_first),
		TEST(test_gate_of_bytes_admits_all_that_one_release_makes_room_for),
		TEST(test_gate_of_bytes_has_a_lane_within_the_guarantee),
		TEST(test_gate_of_bytes_lets_into_the_lane_who_has_released),
		TEST(test_gate_of_bytes_never_waits_for_what_cannot_fit),
		TEST(test_gate_of_bytes_a_try_takes_what_there_is_and_does_not_wait),
		TEST(test_gate_lets_go_of_a_reader_whose_flow_ends),
		TEST(test_gate_tells_how_long_a_reader_waited),
		TEST(test_gate_of_unbounded_never_waits),
		TEST(test_gate_of_one_place_lets_one_frame_in),
		TEST(test_gate_of_bounded_lets_in_as_many_frames_as_places),
		TEST(test_gate_of_places_lets_ends_and_beginnings_through),
		TEST(test_gate_of_places_takes_the_frame_in_hand_at_the_end),
		TEST(test_gate_of_places_drops_the_frame_in_hand_when_cut),
	};

	return run_suite("gate", tests, COUNT_OF(tests), argc, argv);
}
