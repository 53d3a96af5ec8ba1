/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runners.h - readers that wait for a turn in which to call their handler, each on a
 * thread of its own; where the turn ends the test says. The rest is the rig's.
 */
#ifndef TEST_RUNNERS_H
#define TEST_RUNNERS_H

#include "rig.h"

enum { FEEDS = 7 };

static struct rig rig;
static struct feed *feeds[FEEDS + 1];	/* the last is NULL */

struct runner {
	struct feed *feed;
	struct bp__wish wish;
	struct task *task;
	int rc;
};

static struct runner runners[FEEDS];

static inline void with(const struct bp_qdisc_ops *qdisc, size_t slots, bool couple)
{
	const struct bp_endpoint_config config = {
		.qdisc = qdisc, .handlers_max = slots, .conns_max = FEEDS,
		.budget = 1 << 20, .peer_max = 1 << 20, .bands = 4,
	};

	rig_init(&rig, &config);
	for (int i = 0; i < FEEDS; i++) {
		feeds[i] = feed_open(&rig, couple);
		runners[i] = (struct runner){ .feed = feeds[i] };
	}
}

static inline size_t used(void)
{
	return rig_peek(&rig, &rig.q.slots_used);
}

/* ---- runners -------------------------------------------------------------- */

static inline bool has_turn(int i)
{
	return atomic_load(&feeds[i]->flow.out) > 0;
}

static inline bool parked(int i)
{
	bool parked;

	bp__lock(&rig.q.lock);
	parked = feeds[i]->flow.parked;
	bp__unlock(&rig.q.lock);
	return parked;
}

static inline void run_turn(void *arg)
{
	struct runner *runner = arg;

	runner->rc = bp__flow_turn(&runner->feed->flow, &runner->wish, 0);
}

static inline void start_with(int i, struct bp__wish wish)
{
	wish.arrived_ns = now_ns();
	runners[i].wish = wish;
	runners[i].task = task_start(run_turn, &runners[i]);
}

/* And it comes to wait. */
static inline void wait_with(int i, struct bp__wish wish)
{
	start_with(i, wish);
	WAIT_UNTIL(parked(i));
}

static inline void start_waiting(int i)
{
	wait_with(i, (struct bp__wish){ .cost = 100 });
}

static inline void join(int i, int rc)
{
	task_join(runners[i].task);
	CHECK_EQ(runners[i].rc, rc);
}

/* On this thread: it must not wait. */
static inline void turn_at_once(int i)
{
	struct bp__wish wish = { .cost = 100, .arrived_ns = now_ns() };

	REQUIRE_EQ(bp__flow_turn(&feeds[i]->flow, &wish, 0), 0);
	CHECK_EQ(feeds[i]->flow.parked_ns, 0);
}

static inline void end_turn(int i, uint64_t bytes)
{
	bp__flow_turn_end(&feeds[i]->flow, bytes, 1, false);
}

/* closed is called for each, which takes a turn as well. */
static inline void finish_all(void)
{
	CHECK_EQ(used(), 0);
	for (int i = 0; i < FEEDS; i++) {
		struct bp__wish wish = { .last = true };

		REQUIRE_EQ(bp__flow_turn(&feeds[i]->flow, &wish, 0), 0);
		CHECK_EQ(used(), 1);
		bp__flow_turn_end(&feeds[i]->flow, 0, 0, true);
		bp__flow_unref(&feeds[i]->flow);
	}
	CHECK_EQ(used(), 0);
	rig_fini(&rig);
}

#endif /* TEST_RUNNERS_H */
