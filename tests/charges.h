/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * charges.h - one feed, and what is charged to it.
 */
#ifndef TEST_CHARGES_H
#define TEST_CHARGES_H

#include "rig.h"

#define KIB ((size_t)1024)
#define BUDGET (1024 * KIB)

static struct rig rig;
static struct feed *feeds[2];		/* the last is NULL */
static struct bp__flow *flow;

/* One feed, with that much of the budget for itself. */
static inline void start(size_t guarantee)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_bytes, .budget = BUDGET, .guarantee = guarantee,
		.conns_max = 1,
	};

	rig_init(&rig, &config);
	feeds[0] = feed_open(&rig, false);
	flow = &feeds[0]->flow;
}

static inline void finish_all(void)
{
	rig_finish(&rig, feeds);
}

static inline size_t held(void)
{
	return rig_stats(&rig).held_bytes;
}

static inline size_t idle_bytes(void)
{
	return rig_peek(&rig, &rig.q.pool.idle_bytes);
}

#endif /* TEST_CHARGES_H */
