/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * waits.c - see waits.h.
 */
#include "config.h"

#include "waits.h"

static unsigned bucket_of(uint64_t ns)
{
	unsigned bits = 0;

	if (ns < 8)
		return (unsigned)ns;
	for (uint64_t n = ns; n > 15; n >>= 1)
		bits++;
	return bits * 8 + (unsigned)(ns >> bits);
}

/* The middle of a bucket. */
static uint64_t bucket_ns(unsigned bucket)
{
	unsigned bits;

	if (bucket < 16)
		return bucket;
	bits = bucket / 8 - 1;
	return ((uint64_t)(bucket - bits * 8) << bits) + (UINT64_C(1) << (bits - 1));
}

void bp__waits_record(struct bp__waits *waits, uint64_t ns, uint64_t n)
{
	uint64_t max = atomic_load_explicit(&waits->max_ns, memory_order_relaxed);

	atomic_fetch_add_explicit(&waits->buckets[bucket_of(ns)], n,
	    memory_order_relaxed);
	while (ns > max
	    && !atomic_compare_exchange_weak(&waits->max_ns, &max, ns))
		;
}

uint64_t bp__waits_percentile_ns(struct bp__waits *waits, unsigned percent)
{
	uint64_t counts[BP__WAIT_BUCKETS], total = 0, rank, seen = 0;
	uint64_t max = atomic_load(&waits->max_ns);

	for (unsigned i = 0; i < BP__WAIT_BUCKETS; i++)
		total += counts[i] = atomic_load(&waits->buckets[i]);
	rank = (total * percent + 99) / 100;
	for (unsigned i = 0; i < BP__WAIT_BUCKETS; i++) {
		seen += counts[i];
		if (seen >= rank && seen > 0)
			return bucket_ns(i) < max ? bucket_ns(i) : max;
	}
	return 0;
}
