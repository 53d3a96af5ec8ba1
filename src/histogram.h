/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histogram.h - how long, or how large: counts of values, eight steps to each power of
 * two, so a percentile is right within a sixteenth; recorded without a lock. And how
 * long something lasts, added up over all it holds for.
 */
#ifndef BP_HISTOGRAM_H
#define BP_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <bpthread_stats.h>

#define BP__BUCKETS 496

struct bp__histogram {
	_Atomic uint64_t buckets[BP__BUCKETS];
	_Atomic uint64_t max;
};

void bp__histogram_record(struct bp__histogram *histogram, uint64_t value, uint64_t n);
void bp__histogram_read(struct bp__histogram *histogram, struct bp_histogram *ret);

/* What has been recorded since the last look at it; seen begins zeroed. */
struct bp__histogram_seen {
	uint64_t buckets[BP__BUCKETS];
};

struct bp__recent {
	uint64_t p50, p99, max;
};

void bp__histogram_recent(struct bp__histogram *histogram,
    struct bp__histogram_seen *seen, struct bp__recent *ret);

/* Values one by one, often alike: those are recorded at once. Zeroed but for into. */
struct bp__tally {
	struct bp__histogram *into;
	uint64_t value, n;
};

static inline void bp__tally_end(struct bp__tally *tally)
{
	if (tally->n > 0)
		bp__histogram_record(tally->into, tally->value, tally->n);
	tally->n = 0;
}

static inline void bp__tally_add(struct bp__tally *tally, uint64_t value)
{
	if (value != tally->value)
		bp__tally_end(tally);
	tally->value = value;
	tally->n++;
}

/* ---- times, roughly, for what there are thousands of --------------------- */

#define BP__ROUGH_BUCKETS 56	/* two to a power of two, from 1 us to 4 minutes */

/* Written by one thread at a time, read by any. */
struct bp__rough {
	_Atomic uint32_t buckets[BP__ROUGH_BUCKETS];
};

void bp__rough_record(struct bp__rough *rough, uint64_t ns, uint32_t n);
uint64_t bp__rough_percentile_ns(struct bp__rough *rough, unsigned percent);

/* ---- how long ------------------------------------------------------------ */

/* Added up over all that it holds for, those included for which it goes on. */
struct bp__lasting {
	uint64_t n;		/* for how many it holds now */
	uint64_t begun;		/* how often it began */
	uint64_t ended_ns;	/* all ends less all begins, modulo 2^64 */
};

static inline void bp__lasting_begin(struct bp__lasting *lasting, uint64_t now_ns)
{
	lasting->n++;
	lasting->begun++;
	lasting->ended_ns -= now_ns;
}

static inline void bp__lasting_end(struct bp__lasting *lasting, uint64_t now_ns)
{
	lasting->n--;
	lasting->ended_ns += now_ns;
}

static inline uint64_t bp__lasting_ns(const struct bp__lasting *lasting, uint64_t now_ns)
{
	return lasting->ended_ns + lasting->n * now_ns;
}

#endif /* BP_HISTOGRAM_H */
