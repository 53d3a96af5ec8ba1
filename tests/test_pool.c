/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_pool.c - large blocks that are kept: their sizes, who gets one again, and
 * which of them go back first.
 *
 * To the pool a block is an address and what it was told of its size; only those
 * that are mapped and unmapped need be as large as is said here.
 */
#include "config.h"

#include "harness.h"
#include "tagged.h"

#include "pool.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define BLOCKS 64

static struct bp__pool pool;
static struct bp__list victims;
/* room for the links the pool keeps in an idle block */
static _Alignas(64) char blocks[BLOCKS][256];

static void start(void)
{
	bp__pool_init(&pool);
	bp__list_init(&victims);
}

/* The block a victim is: its links lie within it. */
static int block_of(const struct bp__list *link)
{
	return (int)(((const char *)link - blocks[0]) / (ptrdiff_t)sizeof blocks[0]);
}

/* The next to be unmapped, in order. */
static void check_victim(int block)
{
	struct bp__list *link = bp__list_shift(&victims);

	if (CHECK(link != NULL))
		CHECK_EQ(block_of(link), block);
}

static void check_no_victim(void)
{
	CHECK(bp__list_shift(&victims) == NULL);
}

/* Below 32 KiB a page is more than an eighth. */
static void test_pool_sizes_are_an_eighth_more_at_most(void)
{
	size_t len, size, last = 0;

	for (len = BP__POOLED_MIN; len < 40 * MIB; len += 1 + len / 1000) {
		size = bp__pool_size(len);
		CHECK(size >= len && size - len <= len / (len < 32 * KIB ? 4 : 8));
		CHECK_EQ(size % 4096, 0);
		CHECK(size >= last);
		CHECK_EQ(bp__pool_size(size), size);
		last = size;
	}
	CHECK_EQ(bp__pool_size(BP__POOLED_MIN), BP__POOLED_MIN);
	CHECK_EQ(bp__pool_size(16 * MIB), 16 * MIB);
	CHECK_EQ(bp__pool_size(16 * MIB + 1), 18 * MIB);
	CHECK_EQ(bp__pool_size(16 * MIB - 1), 16 * MIB);
}

static void test_pool_has_eight_sizes_to_each_power_of_two(void)
{
	size_t len, n = 0, last = 0;

	for (len = 64 * KIB + 1; len <= 128 * KIB; len++)
		if (bp__pool_size(len) != last) {
			last = bp__pool_size(len);
			n++;
		}
	CHECK_EQ(n, 8);
}

static void test_pool_gives_a_block_of_exactly_that_size(void)
{
	start();
	CHECK(bp__pool_take(&pool, 32 * KIB) == NULL);
	bp__pool_give(&pool, blocks[0], 40 * KIB, 1);
	CHECK_EQ(pool.idle_bytes, 40 * KIB);
	CHECK(bp__pool_take(&pool, 36 * KIB) == NULL);
	CHECK(bp__pool_take(&pool, 44 * KIB) == NULL);
	CHECK(bp__pool_take(&pool, 80 * KIB) == NULL);
	CHECK(bp__pool_take(&pool, 40 * KIB) == blocks[0]);
	CHECK_EQ(pool.idle_bytes, 0);
	CHECK(bp__pool_take(&pool, 40 * KIB) == NULL);
}

/* It is warm, and the others can age. */
static void test_pool_gives_the_latest_block_first(void)
{
	start();
	bp__pool_give(&pool, blocks[0], 64 * KIB, 1);
	bp__pool_give(&pool, blocks[1], 64 * KIB, 2);
	bp__pool_give(&pool, blocks[2], 64 * KIB, 3);
	CHECK(bp__pool_take(&pool, 64 * KIB) == blocks[2]);
	bp__pool_give(&pool, blocks[3], 64 * KIB, 4);
	CHECK(bp__pool_take(&pool, 64 * KIB) == blocks[3]);
	CHECK(bp__pool_take(&pool, 64 * KIB) == blocks[1]);
	CHECK(bp__pool_take(&pool, 64 * KIB) == blocks[0]);
	CHECK_EQ(pool.idle_bytes, 0);
}

static void test_pool_finds_sizes_of_gigabytes_that_share_a_list(void)
{
	const size_t size = bp__pool_size((size_t)5 << 30);

	start();
	bp__pool_give(&pool, blocks[0], size, 1);
	bp__pool_give(&pool, blocks[1], size * 4, 2);
	bp__pool_give(&pool, blocks[2], size * 16, 3);
	CHECK(bp__pool_take(&pool, size * 2) == NULL);
	CHECK(bp__pool_take(&pool, size) == blocks[0]);
	CHECK(bp__pool_take(&pool, size * 16) == blocks[2]);
	CHECK(bp__pool_take(&pool, size * 4) == blocks[1]);
	CHECK_EQ(pool.idle_bytes, 0);
}

static void test_pool_shrinks_by_the_oldest_and_no_further_than_told(void)
{
	start();
	bp__pool_give(&pool, blocks[0], 32 * KIB, 1);
	bp__pool_give(&pool, blocks[1], 64 * KIB, 2);
	bp__pool_give(&pool, blocks[2], 32 * KIB, 3);
	bp__pool_give(&pool, blocks[3], 128 * KIB, 4);
	bp__pool_shrink(&pool, 256 * KIB, &victims);
	check_no_victim();
	CHECK_EQ(pool.idle_bytes, 256 * KIB);
	bp__pool_shrink(&pool, 224 * KIB, &victims);
	check_victim(0);
	check_no_victim();
	CHECK_EQ(pool.idle_bytes, 224 * KIB);
	bp__pool_shrink(&pool, 130 * KIB, &victims);
	check_victim(1);
	check_victim(2);
	check_no_victim();
	CHECK_EQ(pool.idle_bytes, 128 * KIB);
	/* what is gone is not found any more */
	CHECK(bp__pool_take(&pool, 32 * KIB) == NULL);
	CHECK(bp__pool_take(&pool, 64 * KIB) == NULL);
	bp__pool_shrink(&pool, 0, &victims);
	check_victim(3);
	CHECK_EQ(pool.idle_bytes, 0);
}

static void test_pool_lets_go_of_what_was_idle_for_long(void)
{
	start();
	bp__pool_give(&pool, blocks[0], 32 * KIB, 100);
	bp__pool_give(&pool, blocks[1], 64 * KIB, 200);
	bp__pool_give(&pool, blocks[2], 32 * KIB, 300);
	bp__pool_expire(&pool, 100, &victims);
	check_no_victim();
	bp__pool_expire(&pool, 201, &victims);
	check_victim(0);
	check_victim(1);
	check_no_victim();
	CHECK_EQ(pool.idle_bytes, 32 * KIB);
	/* one that was used meanwhile begins anew */
	CHECK(bp__pool_take(&pool, 32 * KIB) == blocks[2]);
	bp__pool_give(&pool, blocks[2], 32 * KIB, 1000);
	bp__pool_expire(&pool, 999, &victims);
	check_no_victim();
	bp__pool_expire(&pool, 1001, &victims);
	check_victim(2);
	CHECK_EQ(pool.idle_bytes, 0);
}

static void test_pool_counts_right_whatever_is_done_to_it(void)
{
	static const size_t sizes[] = { 32 * KIB, 36 * KIB, 64 * KIB, MIB };
	enum { IN_USE, IDLE } where[BLOCKS] = { IN_USE };
	size_t size_of[BLOCKS] = { 0 }, expected = 0;
	uint64_t state = 1, now = 1;
	struct bp__list *link;
	char *block;
	int step, i;

	start();
	for (step = 0; step < 20000; step++) {
		i = (int)random_below(&state, BLOCKS);
		if (where[i] == IN_USE) {
			size_of[i] = sizes[random_below(&state, 4)];
			bp__pool_give(&pool, blocks[i], size_of[i], now++);
			expected += size_of[i];
			where[i] = IDLE;
		} else if (random_below(&state, 3) > 0) {
			block = bp__pool_take(&pool, size_of[i]);
			REQUIRE(block != NULL);
			expected -= size_of[i];
			CHECK_EQ(size_of[(block - blocks[0]) / 256], size_of[i]);
			where[(block - blocks[0]) / 256] = IN_USE;
		} else {
			bp__pool_shrink(&pool, random_below(&state, 50 * MIB),
			    &victims);
			while ((link = bp__list_shift(&victims)) != NULL) {
				expected -= size_of[block_of(link)];
				where[block_of(link)] = IN_USE;
			}
		}
		REQUIRE_EQ(pool.idle_bytes, expected);
	}
}

static bool is_mapped(void *block)
{
	unsigned char page;

	return mincore(block, (size_t)sysconf(_SC_PAGESIZE), &page) == 0;
}

static void test_pool_blocks_come_from_the_system_and_go_back(void)
{
	const size_t size = bp__pool_size(MIB);
	char *block;

	start();
	block = bp__pool_map(size);
	REQUIRE(block != NULL);
	memset(block, 1, size);
	bp__pool_give(&pool, block, size, 1);
	CHECK(is_mapped(block));
	bp__pool_shrink(&pool, 0, &victims);
	CHECK(is_mapped(block));		/* not under the lock */
	bp__pool_unmap(&victims);
	CHECK(!is_mapped(block));
	CHECK(bp__list_empty(&victims));
	CHECK(bp__pool_map(SIZE_MAX / 2) == NULL);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_pool_sizes_are_an_eighth_more_at_most),
		TEST(test_pool_has_eight_sizes_to_each_power_of_two),
		TEST(test_pool_gives_a_block_of_exactly_that_size),
		TEST(test_pool_gives_the_latest_block_first),
		TEST(test_pool_finds_sizes_of_gigabytes_that_share_a_list),
		TEST(test_pool_shrinks_by_the_oldest_and_no_further_than_told),
		TEST(test_pool_lets_go_of_what_was_idle_for_long),
		TEST(test_pool_counts_right_whatever_is_done_to_it),
		TEST(test_pool_blocks_come_from_the_system_and_go_back),
	};

	return run_suite("pool", tests, COUNT_OF(tests), argc, argv);
}
