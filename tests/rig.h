/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rig.h - the core of a queueing discipline with no network around it: a qdisc,
 * feeds (a flow each, as a connection has one) and frames (an entry each, as an
 * event has one). The test plays the reader and the consumer.
 *
 *	feed_read() --reserve, put--> [ qdisc ] --rig_take()--> frame_done()
 */
#ifndef TEST_RIG_H
#define TEST_RIG_H

#include "harness.h"

#include "buf.h"
#include "locked.h"

#include <stdlib.h>

struct rig {
	struct bp__qdisc q;
	atomic_int quiet, purged, room, feeds, gone;	/* calls of hooks; feeds alive */
};

struct frame {
	struct bp__entry entry;
	struct feed *feed;
	unsigned n;			/* of its feed, from 1 */
};

struct feed {
	struct bp__flow flow;		/* first: the flow is the feed */
	struct rig *rig;
	atomic_bool throttled;
	unsigned read;			/* frames so far */
	struct frame last;
};

static inline struct rig *rig_of(struct bp__qdisc *q)
{
	return bp__container_of(q, struct rig, q);
}

static inline struct frame *frame_of(struct bp__entry *entry)
{
	return bp__container_of(entry, struct frame, entry);
}

/* ---- hooks ---------------------------------------------------------------- */

static inline void rig_quiet(struct bp__flow *flow)
{
	atomic_fetch_add(&rig_of(flow->q)->quiet, 1);
}

/* The payload, which is charged on its own, and the frame. */
static inline void frame_drop(struct bp__entry *entry)
{
	struct bp__flow *flow = entry->flow;

	if (entry->payload_cost > 0)
		bp__flow_release(flow, entry->peer, entry->payload_cost,
		    BP__HELD_DELIVERED, NULL, 0);
	if (!entry->last)
		free(frame_of(entry));
	bp__flow_unref(flow);
}

static inline void rig_purged(struct bp__entry *entry)
{
	if (entry->cost > 0)
		bp__flow_release(entry->flow, entry->peer, entry->cost,
		    BP__HELD_DELIVERED, NULL, 0);
	atomic_fetch_add(&rig_of(entry->flow->q)->purged, 1);
	frame_drop(entry);
}

static inline void rig_room(struct bp__qdisc *q)
{
	atomic_fetch_add(&rig_of(q)->room, 1);
}

static inline void rig_feed_gone(struct bp__flow *flow)
{
	atomic_fetch_sub(&rig_of(flow->q)->feeds, 1);
	bp__flow_fini(flow);
	free(flow);
}

static inline void rig_gone(struct bp__qdisc *q)
{
	bp__qdisc_fini(q);
	atomic_fetch_add(&rig_of(q)->gone, 1);
}

/* ---- the qdisc ------------------------------------------------------------ */

static inline void rig_init(struct rig *rig, const struct bp_endpoint_config *config)
{
	static const struct bp__qdisc_hooks hooks = {
		.quiet = rig_quiet, .purged = rig_purged, .room = rig_room,
		.flow_gone = rig_feed_gone, .qdisc_gone = rig_gone,
	};

	memset(rig, 0, sizeof *rig);
	REQUIRE_EQ(bp__qdisc_init(&rig->q, config, &hooks), 0);
}

static inline struct bp_endpoint_stats rig_stats(struct rig *rig)
{
	struct bp_endpoint_detail detail = { .qdisc = NULL };

	bp__qdisc_detail(&rig->q, &detail);
	return detail.stats;
}

/* A count the statistics do not tell. */
static inline size_t rig_peek(struct rig *rig, const size_t *count)
{
	size_t n;

	bp__lock(&rig->q.lock);
	n = *count;
	bp__unlock(&rig->q.lock);
	return n;
}

static inline int rig_idle_consumers(struct rig *rig)
{
	struct bp__list *link;
	int n = 0;

	bp__lock(&rig->q.lock);
	for (link = rig->q.consumers.next; link != &rig->q.consumers;
	    link = link->next)
		n++;
	bp__unlock(&rig->q.lock);
	return n;
}

/* Nothing of what came through is left, and the rig goes. */
static inline void rig_fini(struct rig *rig)
{
	struct bp_endpoint_stats stats = rig_stats(rig);

	CHECK_EQ(atomic_load(&rig->feeds), 0);
	CHECK_EQ(stats.conns, 0);
	CHECK_EQ(stats.held_bytes, 0);
	CHECK_EQ(stats.queued_events, 0);
	CHECK_EQ(stats.queued_bytes, 0);
	CHECK_EQ(stats.waiting, 0);
	CHECK_EQ(stats.muted, 0);
	CHECK_EQ(stats.futile_wakeups, 0);
	CHECK_EQ(rig->q.live, 0);
	CHECK_EQ(rig->q.shown, 0);
	CHECK_EQ(rig->q.reading, 0);
	CHECK_EQ(rig->q.promised, 0);
	CHECK_EQ(rig->q.busy.n, 0);
	CHECK_EQ(rig->q.pool.idle_bytes, 0);
	CHECK_EQ(atomic_load(&rig->gone), 0);
	bp__qdisc_unref(&rig->q);
	CHECK_EQ(atomic_load(&rig->gone), 1);
}

/* ---- what tests call with less to say ---------------------------------------- */

static inline int rig_take_entry(struct rig *rig, struct bp__entry **ret_entry,
    uint64_t deadline_ns)
{
	int rc = bp__qdisc_take(&rig->q, ret_entry, 1, deadline_ns);

	return rc < 0 ? rc : 0;
}

static inline void flow_release(struct bp__flow *flow, size_t cost,
    enum bp__holder holder, void *block, size_t size)
{
	if (holder == BP__HELD_CHUNK)
		atomic_fetch_sub(&flow->peer->in_hand, cost);
	bp__flow_release(flow, flow->peer, cost, holder, block, size);
}

static inline int flow_turn(struct bp__flow *flow, size_t payload_cost)
{
	struct bp__wish wish = { .cost = payload_cost, .arrived_ns = now_ns() };

	return bp__flow_turn(flow, &wish, payload_cost);
}

/* ---- the reader's side ---------------------------------------------------- */

static inline struct feed *feed_open_as(struct rig *rig,
    const struct bp_conn_config *config)
{
	struct feed *feed = calloc(1, sizeof *feed);

	REQUIRE(feed != NULL);
	feed->rig = rig;
	REQUIRE_EQ(bp__flow_open(&feed->flow, &rig->q, config, &feed->throttled), 0);
	atomic_fetch_add(&rig->feeds, 1);
	return feed;
}

static inline struct feed *feed_open(struct rig *rig, bool couple)
{
	struct bp_conn_config config = {
		.couple = couple ? BP_ON : BP_OFF, .weight = BP__WEIGHT_DEFAULT,
	};

	return feed_open_as(rig, &config);
}

static inline struct frame *frame_new(struct feed *feed, size_t cost,
    size_t payload_cost)
{
	struct frame *frame = calloc(1, sizeof *frame);

	REQUIRE(frame != NULL);
	frame->feed = feed;
	frame->n = ++feed->read;
	frame->entry.flow = &feed->flow;
	frame->entry.peer = bp__flow_charged(&feed->flow);
	frame->entry.cost = cost;
	frame->entry.payload_cost = payload_cost;
	frame->entry.len = payload_cost;
	frame->entry.arrived_ns = now_ns();
	bp__flow_ref(&feed->flow);
	return frame;
}

/* One frame of that cost, of which all but a byte is its payload's. */
static inline int feed_read(struct feed *feed, size_t cost)
{
	int rc = bp__flow_reserve(&feed->flow, cost, 0, 0);

	if (rc == 0)
		bp__flow_put(&feed->flow, &frame_new(feed, 1, cost - 1)->entry);
	return rc;
}

/* CLOSED, and the reader's reference. */
static inline void feed_close(struct feed *feed)
{
	feed->last.feed = feed;
	feed->last.entry.flow = &feed->flow;
	feed->last.entry.last = true;
	feed->last.entry.arrived_ns = now_ns();
	bp__flow_ref(&feed->flow);
	bp__flow_put(&feed->flow, &feed->last.entry);
	bp__flow_unref(&feed->flow);
}

static inline void feed_end(struct feed *feed, enum bp__flow_stage stage)
{
	bp__flow_end(&feed->flow, stage);
}

/* The same on a thread of its own, since it may wait. */
struct reading {
	struct feed *feed;
	size_t cost;
	int rc;
	struct task *task;
};

static inline void reading_run(void *arg)
{
	struct reading *reading = arg;

	reading->rc = feed_read(reading->feed, reading->cost);
}

static inline void reading_start(struct reading *reading, struct feed *feed,
    size_t cost)
{
	*reading = (struct reading){ .feed = feed, .cost = cost };
	reading->task = task_start(reading_run, reading);
}

/* As started, and it has come to wait at the gate. */
static inline void reading_start_waiting(struct reading *reading, struct feed *feed,
    size_t cost)
{
	size_t waiting = rig_stats(feed->rig).waiting;

	reading_start(reading, feed, cost);
	WAIT_UNTIL(rig_stats(feed->rig).waiting == waiting + 1);
}

static inline bool feed_waits(struct feed *feed)
{
	bool waits;

	bp__lock(&feed->rig->q.lock);
	waits = feed->flow.asking.waiting;
	bp__unlock(&feed->rig->q.lock);
	return waits;
}

static inline void reading_join(struct reading *reading, int rc)
{
	task_join(reading->task);
	CHECK_EQ(reading->rc, rc);
}

/* ---- the consumer's side -------------------------------------------------- */

/* NULL: there is none now. */
static inline struct frame *rig_try(struct rig *rig)
{
	struct bp__entry *entry;
	int rc = bp__qdisc_take(&rig->q, &entry, 1, 0);

	if (rc == 1)
		return frame_of(entry);
	CHECK(rc == -EAGAIN || rc == -EPIPE);
	return NULL;
}

static inline struct frame *rig_take(struct rig *rig)
{
	struct bp__entry *entry = NULL;

	REQUIRE_EQ(bp__qdisc_take(&rig->q, &entry, 1, bp__deadline_ns(SLOW(8000))), 1);
	return frame_of(entry);
}

/* Its turn and cost go back, its payload is kept; what is left of it goes last. */
static inline void frame_turn_back(struct frame *frame)
{
	bp__flow_turn_back(&frame->entry, frame->entry.cost, NULL, 0);
}

static inline void frame_done(struct frame *frame)
{
	frame_turn_back(frame);
	frame_drop(&frame->entry);
}

/* The next is that one; it is handled. */
static inline void rig_expect(struct rig *rig, const struct feed *feed, unsigned n)
{
	struct frame *frame = rig_take(rig);

	CHECK(frame->feed == feed);
	CHECK_EQ(frame->n, n);
	frame_done(frame);
}

/* All that is ready is handled. */
static inline void rig_finish_queue(struct rig *rig)
{
	struct frame *frame;

	while ((frame = rig_try(rig)) != NULL)
		frame_done(frame);
}

/* The feeds, NULL after the last, are closed, and nothing is left of anything. */
static inline void rig_finish(struct rig *rig, struct feed *const *feeds)
{
	for (; *feeds; feeds++)
		feed_close(*feeds);
	rig_finish_queue(rig);
	rig_fini(rig);
}

#endif /* TEST_RIG_H */
