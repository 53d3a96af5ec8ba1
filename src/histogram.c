/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histogram.c - see histogram.h.
 */
#include "config.h"

#include "histogram.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Up to 15 a value is its own bucket; beyond, its four highest bits say which. */
static unsigned bucket_of(uint64_t value)
{
	unsigned bits;

	if (value < 16)
		return (unsigned)value;
	bits = 60 - (unsigned)__builtin_clzll(value);
	return bits * 8 + (unsigned)(value >> bits);
}

/* The middle of a bucket. */
static uint64_t middle_of(unsigned bucket)
{
	unsigned bits;

	if (bucket < 16)
		return bucket;
	bits = bucket / 8 - 1;
	return ((uint64_t)(bucket - bits * 8) << bits) + (UINT64_C(1) << (bits - 1));
}

/* The least i with all of the bucket below 2^i. */
static unsigned power_above(unsigned bucket)
{
	if (bucket >= 8)
		return bucket / 8 + 3;
	return bucket == 0 ? 0 : 32 - (unsigned)__builtin_clz(bucket);
}

void bp__histogram_record(struct bp__histogram *histogram, uint64_t value, uint64_t n)
{
	uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);

	/* first: whoever sees the count, and then looks, finds it no smaller */
	while (value > max
	    && !atomic_compare_exchange_weak(&histogram->max, &max, value))
		;
	atomic_fetch_add_explicit(&histogram->buckets[bucket_of(value)], n,
	    memory_order_release);
}

static uint64_t percentile(const uint64_t counts[BP__BUCKETS], uint64_t total,
    unsigned percent, uint64_t max)
{
	uint64_t rank = total - total * (100 - percent) / 100, seen = 0;

	for (unsigned i = 0; i < BP__BUCKETS; i++) {
		seen += counts[i];
		if (seen >= rank && seen > 0)
			return least(middle_of(i), max);
	}
	return 0;
}

void bp__histogram_read(struct bp__histogram *histogram, struct bp_histogram *ret)
{
	uint64_t counts[BP__BUCKETS];

	for (unsigned i = 0; i < BP__BUCKETS; i++)
		counts[i] = atomic_load_explicit(&histogram->buckets[i],
		    memory_order_acquire);
	*ret = (struct bp_histogram){ .max = atomic_load(&histogram->max) };
	for (unsigned i = 0; i < BP__BUCKETS; i++) {
		ret->count += counts[i];
		ret->sum += counts[i] * least(middle_of(i), ret->max);
		ret->buckets[power_above(i)] += counts[i];
	}
	ret->p50 = percentile(counts, ret->count, 50, ret->max);
	ret->p99 = percentile(counts, ret->count, 99, ret->max);
}

void bp__histogram_recent(struct bp__histogram *histogram,
    struct bp__histogram_seen *seen, struct bp__recent *ret)
{
	uint64_t counts[BP__BUCKETS], total = 0, highest = 0, now, max;

	for (unsigned i = 0; i < BP__BUCKETS; i++) {
		now = atomic_load_explicit(&histogram->buckets[i], memory_order_acquire);
		counts[i] = now - seen->buckets[i];
		seen->buckets[i] = now;
		total += counts[i];
		if (counts[i] > 0)
			highest = middle_of(i);
	}
	max = atomic_load(&histogram->max);
	ret->max = least(highest, max);
	ret->p50 = percentile(counts, total, 50, max);
	ret->p99 = percentile(counts, total, 99, max);
}

/* ---- roughly ------------------------------------------------------------- */

static unsigned rough_bucket_of(uint64_t ns)
{
	uint64_t us = ns / 1024 + 1;
	unsigned power = 63 - (unsigned)__builtin_clzll(us);
	unsigned bucket = 2 * power + (power > 0 && us >> (power - 1) & 1);

	return bucket < BP__ROUGH_BUCKETS ? bucket : BP__ROUGH_BUCKETS - 1;
}

static uint64_t rough_middle_ns(unsigned bucket)
{
	uint64_t below = UINT64_C(1024) << bucket / 2;

	/* a quarter of the way from one power of two to the next, or three */
	return below + below / 4 * (bucket % 2 ? 3 : 1) - 1024;
}

void bp__rough_record(struct bp__rough *rough, uint64_t ns, uint32_t n)
{
	_Atomic uint32_t *bucket = &rough->buckets[rough_bucket_of(ns)];
	uint32_t before = atomic_load_explicit(bucket, memory_order_relaxed);

	atomic_store_explicit(bucket, before + n, memory_order_relaxed);
}

uint64_t bp__rough_percentile_ns(struct bp__rough *rough, unsigned percent)
{
	uint64_t counts[BP__ROUGH_BUCKETS], total = 0, rank, seen = 0;

	for (unsigned i = 0; i < BP__ROUGH_BUCKETS; i++)
		total += counts[i] = atomic_load_explicit(&rough->buckets[i],
		    memory_order_relaxed);
	rank = total - total * (100 - percent) / 100;
	for (unsigned i = 0; i < BP__ROUGH_BUCKETS; i++) {
		seen += counts[i];
		if (seen >= rank && seen > 0)
			return rough_middle_ns(i);
	}
	return 0;
}
