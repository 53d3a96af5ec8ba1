/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_bench_histogram.c - the benchmark's histogram, against the sorted values.
 */
#include "config.h"

#include "../bench/histogram.h"
#include "harness.h"
#include "tagged.h"

#include <stdlib.h>

#define VALUES 20000

static struct histogram h, other;
static uint64_t values[VALUES];

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void clear(void)
{
	memset(&h, 0, sizeof h);
	memset(&other, 0, sizeof other);
}

static bool is_near(uint64_t got, uint64_t exact)
{
	uint64_t off = got > exact ? got - exact : exact - got;

	return off * 1000 <= exact;
}

/* Every per mille of the first n values, which are left sorted. */
static void check_against_sorted(size_t n)
{
	unsigned per_mille;
	size_t place;

	qsort(values, n, sizeof values[0], by_size);
	CHECK_EQ(h.count, n);
	CHECK_EQ(h.max, values[n - 1]);
	CHECK_EQ(histogram_at(&h, 1000), values[n - 1]);
	for (per_mille = 0; per_mille <= 1000; per_mille++) {
		place = (n * per_mille + 999) / 1000;
		if (!CHECK(is_near(histogram_at(&h, per_mille),
		    values[place > 0 ? place - 1 : 0])))
			break;
	}
}

static void add_all(size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		histogram_add(&h, values[i]);
}

static uint64_t evenly(uint64_t *state)
{
	return 1 + random_next(state) % 100000;
}

/* As many in each power of two, from 1 ns to 68 s. */
static uint64_t by_magnitude(uint64_t *state)
{
	unsigned magnitude = random_below(state, 36);

	return (UINT64_C(1) << magnitude)
	    + random_next(state) % (UINT64_C(1) << magnitude);
}

/* As round trips are: around 8 us, and one in a hundred up to 10 ms. */
static uint64_t with_a_tail(uint64_t *state)
{
	if (random_below(state, 100) == 0)
		return 100000 + random_next(state) % 10000000;
	return 7000 + random_next(state) % 1000 + random_next(state) % 1000;
}

static uint64_t in_two_heaps(uint64_t *state)
{
	return random_below(state, 2) ? 7000 + random_below(state, 50)
	    : 25000000 + random_below(state, 5000);
}

static uint64_t of_few_sizes(uint64_t *state)
{
	return UINT64_C(1) << random_below(state, 37);
}

static uint64_t (*const distributions[])(uint64_t *state) = {
	evenly, by_magnitude, with_a_tail, in_two_heaps, of_few_sizes,
};

static void test_histogram_agrees_with_the_sorted_values(void)
{
	static const size_t counts[] = { 1, 2, 3, 10, 999, 1000, 1001, VALUES };
	uint64_t state = 1;
	size_t i, k, j;

	for (i = 0; i < COUNT_OF(distributions); i++)
		for (k = 0; k < COUNT_OF(counts); k++) {
			clear();
			for (j = 0; j < counts[k]; j++)
				values[j] = distributions[i](&state);
			add_all(counts[k]);
			check_against_sorted(counts[k]);
		}
}

static void test_histogram_merged_is_that_of_all_values(void)
{
	uint64_t state = 2;
	size_t i;

	clear();
	for (i = 0; i < VALUES; i++) {
		values[i] = i % 3 ? with_a_tail(&state) : by_magnitude(&state);
		histogram_add(i % 3 ? &h : &other, values[i]);
	}
	histogram_merge(&h, &other);
	check_against_sorted(VALUES);
}

static void test_histogram_merged_with_an_empty_one_is_as_it_was(void)
{
	clear();
	values[0] = 4711;
	add_all(1);
	histogram_merge(&h, &other);
	check_against_sorted(1);
	histogram_merge(&other, &h);
	CHECK(memcmp(&h, &other, sizeof h) == 0);
}

static void test_histogram_without_values_tells_zero(void)
{
	clear();
	CHECK_EQ(histogram_at(&h, 0), 0);
	CHECK_EQ(histogram_at(&h, 500), 0);
	CHECK_EQ(histogram_at(&h, 1000), 0);
	histogram_merge(&h, &other);
	CHECK_EQ(h.count, 0);
	CHECK_EQ(h.max, 0);
}

/* Also those at the borders of cells; the maximum has no error. */
static void test_histogram_of_one_value_tells_it_exactly(void)
{
	unsigned shift;
	int off;

	for (shift = 0; shift < 37; shift++)
		for (off = -1; off <= 1; off++) {
			uint64_t value = (UINT64_C(1) << shift) + (uint64_t)off;

			if (value > HISTOGRAM_MAX)
				continue;
			clear();
			values[0] = value;
			add_all(1);
			CHECK_EQ(histogram_at(&h, 0), value);
			CHECK_EQ(histogram_at(&h, 500), value);
			CHECK_EQ(h.max, value);
		}
}

static void test_histogram_cells_are_in_order_and_leave_no_gap(void)
{
	uint64_t value, step;
	unsigned cell, last = 0;

	for (value = 0; value <= HISTOGRAM_MAX; value += step) {
		cell = histogram_cell(value);
		if (!CHECK(cell == last || cell == last + 1)
		    || !CHECK(cell < HISTOGRAM_CELLS))
			break;
		last = cell;
		step = value / 4096 + 1;
	}
}

static void test_histogram_counts_what_is_beyond_its_range_as_the_longest(void)
{
	clear();
	histogram_add(&h, 1000);
	histogram_add(&h, HISTOGRAM_MAX + 1);
	histogram_add(&h, UINT64_MAX);
	CHECK_EQ(h.count, 3);
	CHECK(h.max == UINT64_MAX);
	CHECK_EQ(histogram_at(&h, 333), 1000);
	CHECK(is_near(histogram_at(&h, 600), HISTOGRAM_MAX));
	CHECK(histogram_at(&h, 1000) == UINT64_MAX);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_histogram_agrees_with_the_sorted_values),
		TEST(test_histogram_merged_is_that_of_all_values),
		TEST(test_histogram_merged_with_an_empty_one_is_as_it_was),
		TEST(test_histogram_without_values_tells_zero),
		TEST(test_histogram_of_one_value_tells_it_exactly),
		TEST(test_histogram_cells_are_in_order_and_leave_no_gap),
		TEST(test_histogram_counts_what_is_beyond_its_range_as_the_longest),
	};

	return run_suite("bench_histogram", tests, COUNT_OF(tests), argc, argv);
}
