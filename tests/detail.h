/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * detail.h - what tests of bpthread_stats.h have in common: to look, and to compare.
 */
#ifndef TEST_DETAIL_H
#define TEST_DETAIL_H

#include "harness.h"

#include <bpthread_stats.h>

#define MS UINT64_C(1000000)	/* ns */

static inline struct bp_endpoint_detail detail_of(struct bp_endpoint *ep)
{
	struct bp_endpoint_detail detail;

	memset(&detail, 0xA5, sizeof detail);
	bp_endpoint_detail(ep, &detail);
	return detail;
}

static inline struct bp_conn_detail conn_detail_of(struct bp_conn *conn)
{
	struct bp_conn_detail detail;

	memset(&detail, 0xA5, sizeof detail);
	bp_conn_detail(conn, &detail);
	return detail;
}

static inline size_t sum_of_states(const struct bp_endpoint_detail *detail)
{
	size_t sum = 0;

	for (int i = 0; i < BP_STATES; i++)
		sum += detail->states[i];
	return sum;
}

/* No bucket but those has any: pairs of one and how many, -1 after the last. */
static inline void check_buckets(const struct bp_histogram *histogram, const int *pairs)
{
	uint64_t expected[BP_HISTOGRAM_BUCKETS] = { 0 }, count = 0;

	for (; *pairs >= 0; pairs += 2) {
		expected[pairs[0]] += (uint64_t)pairs[1];
		count += (uint64_t)pairs[1];
	}
	CHECK_EQ(histogram->count, count);
	for (int i = 0; i < BP_HISTOGRAM_BUCKETS; i++)
		CHECK_EQ(histogram->buckets[i], expected[i]);
}

#endif /* TEST_DETAIL_H */
