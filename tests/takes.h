/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * takes.h - who takes several entries at once: what was taken, looked at and handled.
 * The rest is the rig's.
 */
#ifndef TEST_TAKES_H
#define TEST_TAKES_H

#include "rig.h"

enum { MANY = 16, TAKES_FEEDS = 4 };

static struct rig rig;
static struct feed *feeds[TAKES_FEEDS + 1];	/* the last is NULL */
static struct frame *taken[MANY];
static int n_taken;

static inline void with_places(const struct bp_qdisc_ops *qdisc, size_t n,
    size_t places)
{
	const struct bp_endpoint_config config = {
		.qdisc = qdisc, .conns_max = TAKES_FEEDS, .budget = 1 << 20,
		.peer_max = 1 << 20, .bands = 4, .places = places,
	};

	rig_init(&rig, &config);
	for (size_t i = 0; i < n; i++)
		feeds[i] = feed_open(&rig, false);
}

static inline void with_qdisc(const struct bp_qdisc_ops *qdisc, size_t n)
{
	with_places(qdisc, n, 4);
}

static inline void read_of(int i, int n, size_t cost)
{
	while (n-- > 0)
		CHECK_EQ(feed_read(feeds[i], cost), 0);
}

static inline void read_from(int i, int n)
{
	read_of(i, n, 10);
}

/* One frame of 10. */
static inline void put_in(int i, unsigned band)
{
	struct frame *frame;

	REQUIRE_EQ(bp__flow_reserve(&feeds[i]->flow, 10, band, 0), 0);
	frame = frame_new(feeds[i], 1, 9);
	frame->entry.band = band;
	bp__flow_put(&feeds[i]->flow, &frame->entry);
}

static inline int take(int n)
{
	struct bp__entry *entry = NULL;
	int rc = bp__qdisc_take(&rig.q, &entry, n, 0);

	CHECK_LE(rc, n);
	for (n_taken = 0; entry; entry = entry->next)
		taken[n_taken++] = frame_of(entry);
	CHECK_EQ(n_taken, rc > 0 ? rc : 0);
	return rc;
}

static inline void check_taken(int at, int i, unsigned n)
{
	REQUIRE(at < n_taken);
	CHECK(taken[at]->feed == feeds[i]);
	CHECK_EQ(taken[at]->n, n);
}

static inline void finish_taken(void)
{
	while (n_taken > 0)
		frame_done(taken[--n_taken]);
}

static inline void finish_all(void)
{
	rig_finish(&rig, feeds);
}

/* ---- a thread that waits for some ----------------------------------------- */

struct consumer {
	int n, rc;
	struct bp__entry *entry;
	struct task *task;
};

static inline void consume(void *arg)
{
	struct consumer *consumer = arg;

	consumer->rc = bp__qdisc_take(&rig.q, &consumer->entry, consumer->n, BP__NEVER);
}

static inline void consumer_start(struct consumer *consumer, int n)
{
	int idle = rig_idle_consumers(&rig);

	*consumer = (struct consumer){ .n = n };
	consumer->task = task_start(consume, consumer);
	WAIT_UNTIL(rig_idle_consumers(&rig) == idle + 1);
}

static inline void consumer_join(struct consumer *consumer, int rc)
{
	task_join(consumer->task);
	CHECK_EQ(consumer->rc, rc);
}

#endif /* TEST_TAKES_H */
