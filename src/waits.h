/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * waits.h - a histogram of times, eight steps to each power of two of nanoseconds,
 * so a percentile is right within a sixteenth. Recorded without a lock.
 */
#ifndef BP_WAITS_H
#define BP_WAITS_H

#include <stdatomic.h>
#include <stdint.h>

#define BP__WAIT_BUCKETS 496

struct bp__waits {
	_Atomic uint64_t buckets[BP__WAIT_BUCKETS];
	_Atomic uint64_t max_ns;
};

void bp__waits_record(struct bp__waits *waits, uint64_t ns, uint64_t n);
uint64_t bp__waits_percentile_ns(struct bp__waits *waits, unsigned percent);

#endif /* BP_WAITS_H */
