/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_buf.c - payloads: who is charged for them and until when, what a slice is
 * good for, and where large blocks go.
 */
#include "config.h"

#include "charges.h"
#include "peer.h"

#include <malloc.h>

#define LARGE (100 * KIB)		/* a block of the pool's */

/* A payload with the pattern in it, as the reader makes one. */
static struct bp__buf *frame_read(size_t len)
{
	struct bp__buf *buf;

	REQUIRE_EQ(bp__flow_reserve(flow, bp__buf_cost(len), 0, bp__buf_block(len)), 0);
	buf = bp__buf_alloc(flow, bp__flow_charged(flow), len);
	REQUIRE(buf != NULL);
	CHECK_EQ(buf->head.pub.len, len);
	CHECK_EQ(rig_peek(&rig, &rig.q.promised), 0);
	pattern_fill(buf->head.pub.data, 0, len);
	return buf;
}

/* It is delivered: handed to the application, whose the charge is from now on. */
static struct bp__buf *frame_received(size_t len)
{
	struct bp__buf *buf = frame_read(len);

	REQUIRE_EQ(flow_turn(flow, buf->charge), 0);
	bp__flow_turn_end(flow, len, 1, false);
	return buf;
}

/* ---- what it costs -------------------------------------------------------- */

static void test_buf_costs_what_is_allocated_for_it(void)
{
	size_t len;

	start(0);
	for (len = 0; len < 300 * KIB; len = len * 5 / 4 + 1) {
		struct bp__buf *buf = frame_received(len);
		size_t allocated = malloc_usable_size(buf) + sizeof(size_t);

		CHECK_EQ(bp__buf_block(len) > 0, len >= BP__POOLED_MIN);
		CHECK_EQ(buf->charge, bp__buf_cost(len));
		CHECK_EQ(held(), bp__buf_cost(len));
		if (!is_sanitized())
			CHECK(allocated + bp__buf_block(len) <= bp__buf_cost(len));
		CHECK(bp__buf_cost(len) <= bp__buf_cost(len + 1));
		bp__buf_done(&buf->head.pub);
		CHECK_EQ(held(), 0);
	}
	finish_all();
}

static void test_buf_of_ones_own_is_charged_to_nobody(void)
{
	struct bp_buf *buf, *const untouched = (struct bp_buf *)&buf;

	REQUIRE_EQ(bp_buf_new(&buf, 1000), 0);
	CHECK_EQ(buf->len, 1000);
	memset(buf->data, 'x', 1000);
	buf->len = 10;
	CHECK(bp_buf_ref(buf) == buf);
	bp_buf_unref(buf);
	memset(buf->data, 'y', 10);
	bp_buf_unref(buf);
	bp_buf_unref(NULL);
	REQUIRE_EQ(bp_buf_new(&buf, 0), 0);
	CHECK_EQ(buf->len, 0);
	CHECK(buf->data != NULL);
	bp_buf_unref(buf);
	buf = untouched;
	CHECK_EQ(bp_buf_new(&buf, SIZE_MAX), -ENOMEM);
	CHECK_EQ(bp_buf_new(&buf, SIZE_MAX / 2 + 1), -ENOMEM);
	CHECK(buf == untouched);
}

/* ---- references ----------------------------------------------------------- */

static void check_references_hold_the_charge(size_t len)
{
	struct bp__buf *buf;
	struct bp_buf *kept;

	start(0);
	buf = frame_received(len);
	kept = bp_buf_ref(&buf->head.pub);
	CHECK(kept == &buf->head.pub);
	CHECK(bp_buf_ref(kept) == kept);
	bp__buf_done(&buf->head.pub);
	bp_buf_unref(kept);
	CHECK_EQ(held(), bp__buf_cost(len));
	CHECK(pattern_matches(kept->data, 0, len));
	bp_buf_unref(kept);
	CHECK_EQ(held(), 0);
	finish_all();
}

static void test_buf_references_of_the_application_hold_the_charge(void)
{
	check_references_hold_the_charge(100);
	check_references_hold_the_charge(LARGE);
}

static void check_out_reference(size_t len)
{
	struct bp__buf *buf, *out;

	start(0);
	buf = frame_received(len);
	out = bp__buf_share(buf);
	CHECK(out == buf);
	bp__buf_done(&buf->head.pub);
	CHECK_EQ(held(), 0);
	CHECK_EQ(idle_bytes(), 0);		/* the block is in use */
	CHECK(pattern_matches(out->head.pub.data, 0, len));
	bp__buf_unshare(out);
	CHECK_EQ(idle_bytes(), bp__buf_block(len));
	/* the other way round: the application is the last */
	buf = frame_received(len);
	out = bp__buf_share(buf);
	bp__buf_unshare(out);
	CHECK_EQ(held(), bp__buf_cost(len));
	CHECK(pattern_matches(buf->head.pub.data, 0, len));
	bp__buf_done(&buf->head.pub);
	CHECK_EQ(held(), 0);
	CHECK_EQ(idle_bytes(), bp__buf_block(len));
	finish_all();
}

/* A peer that does not read fills its own marks, never the budget of others. */
static void test_buf_reference_of_an_out_queue_does_not_hold_the_charge(void)
{
	check_out_reference(100);
	check_out_reference(LARGE);
}

static void release(void *buf)
{
	bp_buf_unref(buf);
}

static void test_buf_may_be_released_by_two_threads_at_once(void)
{
	struct bp__buf *buf, *out;
	struct task *task;
	int i;

	start(0);
	for (i = 0; i < 300; i++) {
		buf = frame_received(LARGE);
		out = bp__buf_share(buf);
		task = task_start(release, &buf->head.pub);
		bp__buf_unshare(out);
		task_join(task);
		CHECK_EQ(held(), 0);
		CHECK_EQ(idle_bytes(), bp__buf_block(LARGE));
	}
	finish_all();
}

static void test_buf_that_was_not_delivered_is_discarded(void)
{
	struct bp__buf *buf;

	start(0);
	buf = frame_read(LARGE);
	CHECK_EQ(rig_peek(&rig, &rig.q.reading), bp__buf_cost(LARGE));
	bp__buf_discard(buf);
	CHECK_EQ(held(), 0);
	CHECK_EQ(rig_peek(&rig, &flow->reader_held), 0);
	CHECK_EQ(idle_bytes(), bp__buf_block(LARGE));
	finish_all();
}

/* A connection's place comes back when nothing of it is kept. */
static void test_buf_that_is_kept_outlives_its_flow_and_its_qdisc(void)
{
	struct bp__buf *buf, *out;

	start(0);
	buf = frame_received(LARGE);
	out = bp__buf_share(buf);
	feed_close(feeds[0]);
	rig_finish_queue(&rig);
	CHECK_EQ(rig_stats(&rig).conns, 1);
	CHECK_EQ(atomic_load(&rig.feeds), 1);
	CHECK(pattern_matches(buf->head.pub.data, 0, LARGE));
	bp__buf_done(&buf->head.pub);
	CHECK_EQ(rig_stats(&rig).conns, 0);
	CHECK_EQ(atomic_load(&rig.feeds), 0);
	/* what an out queue has keeps no connection, but the pool its block is of */
	bp__qdisc_unref(&rig.q);
	CHECK_EQ(atomic_load(&rig.gone), 0);
	CHECK(pattern_matches(out->head.pub.data, 0, LARGE));
	bp__buf_unshare(out);
	CHECK_EQ(atomic_load(&rig.gone), 1);
}

/* ---- slices --------------------------------------------------------------- */

static struct bp__slice slice_of(void *data, size_t len)
{
	return (struct bp__slice){
		.pub = { data, len }, .flow = flow, .kind = BP__SLICE,
	};
}

static void test_slice_is_copied_for_who_keeps_it(void)
{
	char text[] = "a slice";
	struct bp__slice slice;
	struct bp_buf *kept;

	start(0);
	slice = slice_of(text, 7);
	kept = bp_buf_ref(&slice.pub);
	REQUIRE(kept != NULL);
	CHECK(kept != &slice.pub && kept->data != text);
	CHECK_EQ(held(), bp__buf_cost(7));
	bp__buf_done(&slice.pub);
	memset(text, 'x', 7);
	CHECK_EQ(kept->len, 7);
	CHECK(memcmp(kept->data, "a slice", 7) == 0);
	CHECK(bp_buf_ref(kept) == kept);	/* once is enough */
	bp_buf_unref(kept);
	CHECK_EQ(held(), bp__buf_cost(7));
	bp_buf_unref(kept);
	CHECK_EQ(held(), 0);
	finish_all();
}

static void test_slice_that_is_large_is_copied_into_a_block(void)
{
	char *bytes = malloc(40 * KIB);
	struct bp__slice slice;
	struct bp_buf *kept;

	REQUIRE(bytes != NULL);
	pattern_fill(bytes, 0, 40 * KIB);
	start(0);
	slice = slice_of(bytes, 40 * KIB);
	kept = bp_buf_ref(&slice.pub);
	free(bytes);
	REQUIRE(kept != NULL);
	CHECK_EQ(rig_peek(&rig, &rig.q.promised), 0);
	CHECK(pattern_matches(kept->data, 0, 40 * KIB));
	bp_buf_unref(kept);
	CHECK_EQ(idle_bytes(), 40 * KIB);
	finish_all();
}

static void test_slice_is_not_kept_without_budget(void)
{
	char text[] = "a slice";
	struct bp__slice slice;
	struct bp_buf *kept;
	size_t all_but = BUDGET - bp__buf_cost(7) + 1;

	start(0);
	CHECK(bp__flow_try_reserve(flow, all_but, 0, false));
	slice = slice_of(text, 7);
	kept = bp_buf_ref(&slice.pub);
	CHECK(kept == NULL);
	CHECK_EQ(held(), all_but);
	flow_release(flow, all_but, BP__HELD_DELIVERED, NULL, 0);
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_buf_costs_what_is_allocated_for_it),
		TEST(test_buf_of_ones_own_is_charged_to_nobody),
		TEST(test_buf_references_of_the_application_hold_the_charge),
		TEST(test_buf_reference_of_an_out_queue_does_not_hold_the_charge),
		TEST(test_buf_may_be_released_by_two_threads_at_once),
		TEST(test_buf_that_was_not_delivered_is_discarded),
		TEST(test_buf_that_is_kept_outlives_its_flow_and_its_qdisc),
		TEST(test_slice_is_copied_for_who_keeps_it),
		TEST(test_slice_that_is_large_is_copied_into_a_block),
		TEST(test_slice_is_not_kept_without_budget),
	};

	return run_suite("buf", tests, COUNT_OF(tests), argc, argv);
}
