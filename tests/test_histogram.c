/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_histogram.c - what histogram.h tells of values, against those values sorted.
 */
#include "config.h"

#include "harness.h"

#include "histogram.h"

#include <sched.h>
#include <stdlib.h>

enum { VALUES = 20000 };

static struct bp__histogram histogram;
static struct bp_histogram told;
static uint64_t values[VALUES];
static size_t n_values;

static uint64_t random_u64(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void record(uint64_t value)
{
	REQUIRE(n_values < VALUES);
	values[n_values++] = value;
	bp__histogram_record(&histogram, value, 1);
}

static void begin(void)
{
	memset(&histogram, 0, sizeof histogram);
	n_values = 0;
}

static int in_order(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

/* The least value that at least so many percent of them are not above. */
static uint64_t true_percentile(unsigned percent)
{
	return values[(n_values * percent + 99) / 100 - 1];
}

static bool within(uint64_t guess, uint64_t value, unsigned part)
{
	return guess <= value ? value - guess <= value / part
	    : guess - value <= value / part;
}

static uint64_t true_bucket(unsigned i)
{
	uint64_t n = 0;

	for (size_t v = 0; v < n_values; v++)
		n += i == 0 ? values[v] == 0
		    : values[v] >> (i - 1) == 1;	/* from 2^(i-1) up to 2^i */
	return n;
}

static void check_told(void)
{
	uint64_t sum = 0;

	qsort(values, n_values, sizeof *values, in_order);
	for (size_t v = 0; v < n_values; v++)
		sum += values[v];
	bp__histogram_read(&histogram, &told);
	CHECK_EQ(told.count, n_values);
	CHECK(told.max == values[n_values - 1]);
	CHECK(within(told.sum, sum, 16));
	CHECK(within(told.p50, true_percentile(50), 16));
	CHECK(within(told.p99, true_percentile(99), 16));
	CHECK(told.p99 <= told.max);
	for (unsigned i = 0; i < BP_HISTOGRAM_BUCKETS; i++)
		CHECK_EQ(told.buckets[i], true_bucket(i));
}

/* ---- one value ------------------------------------------------------------ */

/* Beside the largest there is, which keeps the maximum from helping. */
static void check_one(uint64_t value, unsigned bucket)
{
	begin();
	bp__histogram_record(&histogram, value, 1);
	bp__histogram_read(&histogram, &told);
	CHECK_EQ(told.count, 1);
	CHECK(told.max == value);
	CHECK_EQ(told.buckets[bucket], 1);
	CHECK(told.p50 == told.p99 && told.p50 == told.sum);
	CHECK(within(told.p50, value, 16));
	bp__histogram_record(&histogram, UINT64_MAX, 1);
	bp__histogram_read(&histogram, &told);
	CHECK(within(told.p50, value, 16));
	CHECK(told.max == UINT64_MAX);
	CHECK_EQ(told.buckets[bucket] + told.buckets[64], bucket == 64 ? 4 : 2);
}

static void test_each_power_and_its_neighbours_are_in_the_right_bucket(void)
{
	check_one(0, 0);
	check_one(1, 1);
	for (unsigned i = 1; i < 64; i++) {
		check_one((UINT64_C(1) << i) - 1, i);
		check_one(UINT64_C(1) << i, i + 1);
		check_one((UINT64_C(1) << i) + 1, i + 1);
		check_one(UINT64_C(3) << (i - 1), i + 1);
	}
	check_one(UINT64_MAX - 1, 64);
	check_one(UINT64_MAX, 64);
}

static void test_small_values_are_told_exactly(void)
{
	for (uint64_t value = 0; value < 16; value++) {
		begin();
		bp__histogram_record(&histogram, value, 1);
		bp__histogram_record(&histogram, 1000, 1);
		bp__histogram_read(&histogram, &told);
		CHECK_EQ(told.p50, value);
	}
}

/* ---- many ----------------------------------------------------------------- */

static void test_nothing_is_nothing(void)
{
	begin();
	bp__histogram_read(&histogram, &told);
	CHECK(told.count == 0 && told.sum == 0 && told.max == 0);
	CHECK(told.p50 == 0 && told.p99 == 0);
	for (unsigned i = 0; i < BP_HISTOGRAM_BUCKETS; i++)
		CHECK_EQ(told.buckets[i], 0);
}

/* So that each power of two is as likely. */
static void test_values_of_all_sizes_are_right_within_a_sixteenth(void)
{
	for (unsigned widest = 1; widest <= 48; widest++) {
		begin();
		for (size_t n = 1 + random_u64() % 3000; n > 0; n--)
			record(random_u64() >> (64 - widest + random_u64() % widest));
		check_told();
	}
}

static void test_values_that_are_alike_are_right_within_a_sixteenth(void)
{
	begin();
	for (int i = 0; i < 1000; i++)
		record(1000000 + random_u64() % 1000);
	check_told();
	for (int i = 0; i < 10; i++)
		record(77777777);
	check_told();
	record(3);
	check_told();
}

static void test_percentiles_have_the_right_rank(void)
{
	for (size_t n = 1; n <= 202; n++) {
		begin();
		for (size_t i = 0; i < n; i++)	/* each far from the others */
			record(i < (n + 1) / 2 ? 100 : i < n - n / 100 ? 10000 : 1000000);
		check_told();
	}
}

static void test_many_at_once_count_as_many(void)
{
	begin();
	bp__histogram_record(&histogram, 100, 98);
	bp__histogram_record(&histogram, 5000, 3);
	bp__histogram_read(&histogram, &told);
	CHECK(told.count == 101 && told.buckets[7] == 98 && told.buckets[13] == 3);
	CHECK(within(told.p50, 100, 16) && within(told.p99, 5000, 16));
	CHECK(within(told.sum, 98 * 100 + 3 * 5000, 16));
}

static void record_many(void *arg)
{
	uint64_t own = (uint64_t)(uintptr_t)arg;

	for (uint64_t i = 1; i <= 50000; i++)
		bp__histogram_record(&histogram, own + i * 8, 1);
}

static void test_threads_may_record_at_once(void)
{
	struct task *tasks[4];

	begin();
	for (uintptr_t i = 0; i < COUNT_OF(tasks); i++)
		tasks[i] = task_start(record_many, (void *)i);
	for (size_t i = 0; i < COUNT_OF(tasks); i++)
		task_join(tasks[i]);
	bp__histogram_read(&histogram, &told);
	CHECK_EQ(told.count, 200000);
	CHECK_EQ(told.max, 400003);
	CHECK(within(told.p50, 200000, 16));
}

enum { ROUNDS = 20000, ROUNDS_MS = 1000 };	/* or as many as fit */

static atomic_uint arrived, rounds;	/* of two, in all rounds so far; to do */

static void await_both(unsigned n)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < n)
		sched_yield();
}

/* Both at once, round by round; the larger one must not get lost. */
static void record_by_turns(void *arg)
{
	uint64_t until = now_ms() + ROUNDS_MS;
	unsigned own = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < atomic_load(&rounds); i++) {
		if (own == 0 && now_ms() >= until)
			atomic_store(&rounds, i + 1);
		await_both(4 * i + 2);
		bp__histogram_record(&histogram, 2 * i + own, 1);
		await_both(4 * i + 4);
		CHECK(atomic_load(&histogram.max) >= 2 * i + 1);
	}
}

static void test_the_largest_of_two_at_once_is_kept(void)
{
	struct task *tasks[2];

	begin();
	atomic_store(&rounds, ROUNDS);
	for (uintptr_t i = 0; i < 2; i++)
		tasks[i] = task_start(record_by_turns, (void *)i);
	for (size_t i = 0; i < 2; i++)
		task_join(tasks[i]);
	CHECK_EQ(atomic_load(&histogram.max), 2 * atomic_load(&rounds) - 1);
}

/* ---- since the last look -------------------------------------------------- */

static void test_recent_is_what_came_since_the_last_look(void)
{
	static struct bp__histogram_seen seen;
	struct bp__recent recent = { 1, 1, 1 };

	begin();
	bp__histogram_recent(&histogram, &seen, &recent);
	CHECK(recent.p50 == 0 && recent.p99 == 0 && recent.max == 0);
	bp__histogram_record(&histogram, 1000000, 98);
	bp__histogram_record(&histogram, 9000000, 2);
	bp__histogram_recent(&histogram, &seen, &recent);
	CHECK(within(recent.p50, 1000000, 16));
	CHECK(within(recent.p99, 9000000, 16));
	CHECK(within(recent.max, 9000000, 16));
	/* what was seen is not seen again, however much more it is */
	bp__histogram_record(&histogram, 50, 10);
	bp__histogram_record(&histogram, 70, 1);
	bp__histogram_recent(&histogram, &seen, &recent);
	CHECK(within(recent.p50, 50, 16));
	CHECK(within(recent.p99, 70, 16));
	CHECK(within(recent.max, 70, 16));
	bp__histogram_recent(&histogram, &seen, &recent);
	CHECK(recent.p50 == 0 && recent.p99 == 0 && recent.max == 0);
}

static void test_tally_records_each_value_as_often_as_it_came(void)
{
	struct bp__tally tally = { .into = &histogram };
	static const uint64_t each[] = { 0, 0, 7, 7, 7, 100, 0, 100, 100 };

	begin();
	bp__tally_end(&tally);
	for (size_t i = 0; i < COUNT_OF(each); i++)
		bp__tally_add(&tally, each[i]);
	bp__histogram_read(&histogram, &told);
	CHECK_EQ(told.count, 7);		/* the last two are yet to come */
	bp__tally_end(&tally);
	bp__tally_end(&tally);
	bp__histogram_read(&histogram, &told);
	CHECK_EQ(told.count, 9);
	CHECK_EQ(told.buckets[0], 3);
	CHECK_EQ(told.buckets[3], 3);
	CHECK_EQ(told.buckets[7], 3);
	CHECK_EQ(told.max, 100);
}

/* ---- roughly -------------------------------------------------------------- */

/* It is off by a quarter, and a microsecond. */
static bool roughly(uint64_t guess, uint64_t ns)
{
	uint64_t off = guess < ns ? ns - guess : guess - ns;

	return off <= ns / 4 + 1024;
}

static void test_rough_times_are_right_within_a_quarter(void)
{
	uint64_t before = 0;

	for (uint64_t ns = 0; ns < 16000000000; ns += ns / 30 + 1) {
		struct bp__rough rough = { { 0 } };
		uint64_t guess;

		bp__rough_record(&rough, ns, 1);
		guess = bp__rough_percentile_ns(&rough, 50);
		if (!CHECK(roughly(guess, ns) && guess >= before))
			return;
		CHECK(bp__rough_percentile_ns(&rough, 99) == guess);
		before = guess;
	}
}

static void test_rough_percentiles_have_the_right_rank(void)
{
	struct bp__rough rough = { { 0 } };

	CHECK_EQ(bp__rough_percentile_ns(&rough, 99), 0);
	bp__rough_record(&rough, 50000, 50);
	bp__rough_record(&rough, 3000000, 49);
	bp__rough_record(&rough, 900000000, 1);
	CHECK(roughly(bp__rough_percentile_ns(&rough, 50), 50000));
	CHECK(roughly(bp__rough_percentile_ns(&rough, 99), 3000000));
	bp__rough_record(&rough, 900000000, 1);
	CHECK(roughly(bp__rough_percentile_ns(&rough, 50), 3000000));
	CHECK(roughly(bp__rough_percentile_ns(&rough, 99), 900000000));
}

static void test_rough_times_beyond_all_are_the_longest(void)
{
	struct bp__rough rough = { { 0 } };

	bp__rough_record(&rough, UINT64_MAX, 1);
	CHECK(bp__rough_percentile_ns(&rough, 50) >= 14000000000);
}

/* ---- how long ------------------------------------------------------------- */

static void test_lasting_adds_up_all_it_holds_for(void)
{
	struct bp__lasting lasting = { 0 };

	CHECK_EQ(bp__lasting_ns(&lasting, 5000), 0);
	bp__lasting_begin(&lasting, 100);
	CHECK_EQ(bp__lasting_ns(&lasting, 100), 0);
	CHECK_EQ(bp__lasting_ns(&lasting, 110), 10);
	bp__lasting_begin(&lasting, 110);
	CHECK_EQ(lasting.n, 2);
	CHECK_EQ(bp__lasting_ns(&lasting, 200), 100 + 90);
	bp__lasting_end(&lasting, 200);
	CHECK_EQ(bp__lasting_ns(&lasting, 250), 190 + 50);
	bp__lasting_end(&lasting, 300);
	CHECK_EQ(bp__lasting_ns(&lasting, 9000), 190 + 100);
	CHECK_EQ(lasting.n, 0);
	CHECK_EQ(lasting.begun, 2);
	/* a clock far on is no harm */
	bp__lasting_begin(&lasting, UINT64_MAX / 2);
	bp__lasting_begin(&lasting, UINT64_MAX / 2 + 7);
	CHECK_EQ(bp__lasting_ns(&lasting, UINT64_MAX / 2 + 10), 290 + 10 + 3);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_each_power_and_its_neighbours_are_in_the_right_bucket),
		TEST(test_small_values_are_told_exactly),
		TEST(test_nothing_is_nothing),
		TEST(test_values_of_all_sizes_are_right_within_a_sixteenth),
		TEST(test_values_that_are_alike_are_right_within_a_sixteenth),
		TEST(test_percentiles_have_the_right_rank),
		TEST(test_many_at_once_count_as_many),
		TEST(test_threads_may_record_at_once),
		TEST(test_the_largest_of_two_at_once_is_kept),
		TEST(test_recent_is_what_came_since_the_last_look),
		TEST(test_tally_records_each_value_as_often_as_it_came),
		TEST(test_rough_times_are_right_within_a_quarter),
		TEST(test_rough_percentiles_have_the_right_rank),
		TEST(test_rough_times_beyond_all_are_the_longest),
		TEST(test_lasting_adds_up_all_it_holds_for),
	};

	return run_suite("histogram", tests, COUNT_OF(tests), argc, argv);
}
