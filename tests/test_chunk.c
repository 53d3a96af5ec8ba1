/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_chunk.c - what a reader reads small frames into: how large, how many, how long.
 */
#include "config.h"

#include "charges.h"
#include "peer.h"

static void check_chunk_lives_as_long_as_its_references(size_t guarantee, size_t cap)
{
	struct bp__chunk *chunk;
	size_t room, pooled = cap >= BP__POOLED_MIN ? cap : 0;

	start(guarantee);
	room = bp__chunk_room(flow);
	CHECK_EQ(room, cap - sizeof *chunk);
	chunk = bp__chunk_new(flow);
	REQUIRE(chunk != NULL);
	CHECK_EQ(chunk->cap, cap);
	CHECK_EQ(held(), cap);
	CHECK_EQ(rig_peek(&rig, &flow->reader_held), cap);
	CHECK_EQ(rig_peek(&rig, &rig.q.promised), 0);
	pattern_fill(chunk->bytes, 0, room);
	bp__chunk_ref(chunk);
	bp__chunk_ref(chunk);
	bp__chunk_drop(chunk);		/* the reader's */
	bp__chunk_unref(chunk);
	CHECK_EQ(held(), cap);
	CHECK(pattern_matches(chunk->bytes, 0, room));
	bp__chunk_unref(chunk);
	CHECK_EQ(held(), 0);
	CHECK_EQ(rig_peek(&rig, &flow->reader_held), 0);
	CHECK_EQ(idle_bytes(), pooled);
	finish_all();
}

static void test_chunk_lives_as_long_as_its_references(void)
{
	check_chunk_lives_as_long_as_its_references(16 * KIB, 4 * KIB);
	check_chunk_lives_as_long_as_its_references(64 * KIB, 16 * KIB);
	check_chunk_lives_as_long_as_its_references(100 * KIB, 24 * KIB);	/* whole pages */
	check_chunk_lives_as_long_as_its_references(512 * KIB, 64 * KIB);	/* at most */
}

/* What readers hold stays within the guarantee, whatever else is charged (R8). */
static void test_chunk_in_hand_is_within_the_guarantee(void)
{
	struct bp__chunk *chunks[4], *queued;
	size_t i;

	start(16 * KIB);
	for (i = 0; i < COUNT_OF(chunks); i++) {
		chunks[i] = bp__chunk_new(flow);
		REQUIRE(chunks[i] != NULL);
	}
	CHECK(bp__chunk_new(flow) == NULL);
	CHECK_EQ(held(), 16 * KIB);
	/* that one is the queue's now */
	queued = chunks[0];
	bp__chunk_ref(queued);
	bp__chunk_drop(queued);
	chunks[0] = bp__chunk_new(flow);
	REQUIRE(chunks[0] != NULL);
	CHECK_EQ(held(), 20 * KIB);
	CHECK(bp__chunk_new(flow) == NULL);
	bp__chunk_unref(queued);
	for (i = 0; i < COUNT_OF(chunks); i++)
		bp__chunk_drop(chunks[i]);
	CHECK_EQ(held(), 0);
	finish_all();
}

/* It is tried for, never waited for. */
static void test_chunk_there_is_no_room_for_is_not_had(void)
{
	struct bp__chunk *chunk;

	start(16 * KIB);
	CHECK(bp__flow_try_reserve(flow, BUDGET - 4 * KIB + 1, 0, false) != NULL);
	CHECK(bp__chunk_new(flow) == NULL);
	flow_release(flow, 1, BP__HELD_DELIVERED, NULL, 0);
	chunk = bp__chunk_new(flow);
	REQUIRE(chunk != NULL);
	CHECK_EQ(held(), BUDGET);
	bp__chunk_drop(chunk);
	flow_release(flow, BUDGET - 4 * KIB, BP__HELD_DELIVERED, NULL, 0);
	finish_all();
}

static void test_chunk_that_would_be_tiny_is_not_had(void)
{
	struct bp__chunk *chunk;

	start(4 * KIB - 4);
	CHECK_EQ(bp__chunk_room(flow), 0);
	CHECK(bp__chunk_new(flow) == NULL);
	CHECK_EQ(held(), 0);
	finish_all();
	start(4 * KIB);
	chunk = bp__chunk_new(flow);
	REQUIRE(chunk != NULL);
	CHECK_EQ(held(), KIB);
	bp__chunk_drop(chunk);
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_chunk_lives_as_long_as_its_references),
		TEST(test_chunk_in_hand_is_within_the_guarantee),
		TEST(test_chunk_there_is_no_room_for_is_not_had),
		TEST(test_chunk_that_would_be_tiny_is_not_had),
	};

	return run_suite("chunk", tests, COUNT_OF(tests), argc, argv);
}
