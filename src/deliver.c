/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deliver.c - what a reader does with what it has read.
 *
 * With handlers it calls them itself, a turn at a time, and their time is the
 * backpressure; else it queues events, and the gate is. Answers to many frames of
 * one read are withheld, to go out together (send.c); they go before it waits.
 */
#include "config.h"

#include "callback.h"
#include "inbox.h"

#include <string.h>

#define BATCH 32			/* frames queued under one lock */
#define QUICK_NS (20 * 1000)		/* about what a system call is worth */

/* ---- handlers ----------------------------------------------------------- */

static void enter_handler(struct bp_conn *c, struct bp__callback *callback,
    const char *name)
{
	atomic_store_explicit(&c->handler, name, memory_order_relaxed);
	bp__callback_enter(callback, c->endpoint, c, BP__IN_HANDLER);
}

static void leave_handler(struct bp_conn *c, struct bp__callback *callback)
{
	bp__callback_leave(callback);
	atomic_store_explicit(&c->handler, NULL, memory_order_relaxed);
	if (atomic_load(&c->withheld) && !c->gathers)
		bp__conn_push(c);
}

static void call_received(struct bp_conn *c, struct bp__buf *buf)
{
	struct bp__callback callback;

	enter_handler(c, &callback, "received");
	c->expecting = true;
	c->config.ops->received(c, &buf->pub, bp_conn_data(c));
	c->expecting = false;
	leave_handler(c, &callback);
}

/* Frames at hand, one after the other, while nothing forbids the next. */
static int handle_frames(struct bp__inbox *in, struct bp__frame frame)
{
	uint64_t bytes = 0, frames = 0, before = 0, after;
	struct bp_conn *c = in->c;
	struct bp__buf slice;
	bool quick = true;
	int rc, cut;

	bp__whereabouts(c, BP__WAITING);
	rc = bp__flow_turn(&c->flow, 0);
	bp__whereabouts(c, BP__ELSEWHERE);
	if (rc < 0)
		return rc;
	do {
		/* the reader's own hold on the chunk outlasts the handler */
		bp__buf_slice(&slice, &c->flow, NULL, bp__inbox_take(in, &frame),
		    frame.len);
		bytes += frame.len;
		frames++;
		cut = bp__inbox_cut(in, &frame);
		c->gathers = quick && cut == BP__CUT_WHOLE
		    && c->config.gather == BP_ON;
		if (c->gathers && before == 0)
			before = bp__now_ns();
		call_received(c, &slice);
		if (before > 0) {
			after = bp__now_ns();
			quick = after - before < QUICK_NS;
			before = c->gathers ? after : 0;
		}
		if (c->config.framer == &bp_framer_raw)
			cut = bp__inbox_cut(in, &frame);	/* it may expect now */
	} while (cut == BP__CUT_WHOLE && bp__flow_may_go_on(&c->flow));
	c->gathers = false;
	if (atomic_load(&c->withheld))
		bp__conn_push(c);
	bp__flow_turn_end(&c->flow, bytes, frames, false);
	return 0;
}

static int handle_large(struct bp_conn *c, struct bp__buf *buf)
{
	uint64_t len = buf->pub.len;
	int rc;

	bp__whereabouts(c, BP__WAITING);
	rc = bp__flow_turn(&c->flow, buf->charge);
	bp__whereabouts(c, BP__ELSEWHERE);
	if (rc == 0)
		call_received(c, buf);
	bp__buf_done(buf);
	if (rc == 0)
		bp__flow_turn_end(&c->flow, len, 1, false);
	return rc;
}

/* ---- events ------------------------------------------------------------- */

static void chain_event(struct bp__entry ***tail, struct bp__event *event)
{
	event->entry.next = NULL;
	**tail = &event->entry;
	*tail = &event->entry.next;
}

/* A frame that was cut, and where its payload lies in the inbox. */
struct cutting {
	char *payload;
	size_t len;
};

/* What queueing it costs; without a chunk its bytes are copied. */
static size_t cost_of(const struct bp__inbox *in, size_t len)
{
	return BP__EVENT_COST + (in->chunk ? 0 : bp__buf_cost(len));
}

/* What was reserved for a frame that cannot be delivered. */
static void give_back(struct bp_conn *c, size_t cost)
{
	bp__flow_release(&c->flow, cost, BP__HELD_FRAME, NULL, 0);
}

static struct bp__event *make_event(struct bp__inbox *in, const struct cutting *cutting)
{
	struct bp__buf *buf = NULL;
	struct bp__event *event;

	if (!in->chunk) {
		buf = bp__buf_alloc(&in->c->flow, cutting->len);
		if (!buf) {
			give_back(in->c, cost_of(in, cutting->len));
			return NULL;
		}
		memcpy(buf->pub.data, cutting->payload, cutting->len);
	}
	event = bp__event_new(in->c, buf, in->chunk, cutting->payload, cutting->len,
	    in->arrived_ns);
	if (!event) {
		give_back(in->c, BP__EVENT_COST);
		if (buf)
			bp__buf_discard(buf);
	}
	return event;
}

/* Queue what was cut, as one chain; its cost is reserved. */
static int queue_cuttings(struct bp__inbox *in, const struct cutting *cuttings, int n)
{
	struct bp__entry *chain = NULL, **tail = &chain;
	struct bp__event *event;
	size_t left = 0;
	int i;

	for (i = 0; i < n; i++) {
		event = make_event(in, &cuttings[i]);
		if (!event)
			break;
		chain_event(&tail, event);
	}
	bp__flow_put(&in->c->flow, chain);
	if (i == n)
		return 0;
	for (i++; i < n; i++)
		left += cost_of(in, cuttings[i].len);
	give_back(in->c, left);
	return -ENOMEM;
}

/* All whole frames at hand become events, charged and queued together. */
static int queue_frames(struct bp__inbox *in, struct bp__frame frame)
{
	struct cutting cuttings[BATCH];
	size_t cost = 0, one;
	int n = 0, rc;

	do {
		one = cost_of(in, frame.len);
		/* no more than the guarantee has for overheads: who waits for the
		 * pool may wait for others */
		if (n > 0 && cost + one > in->c->flow.q->guarantee / 2)
			break;
		cost += one;
		cuttings[n].payload = bp__inbox_take(in, &frame);
		cuttings[n++].len = frame.len;
	} while (n < BATCH && bp__inbox_cut(in, &frame) == BP__CUT_WHOLE);

	bp__whereabouts(in->c, BP__WAITING);
	rc = bp__flow_reserve(&in->c->flow, cost, 0);
	if (rc == 0)
		rc = queue_cuttings(in, cuttings, n);
	bp__whereabouts(in->c, BP__ELSEWHERE);
	return rc;
}

static int queue_large(struct bp__inbox *in, struct bp__buf *buf)
{
	struct bp__event *event = bp__event_new(in->c, buf, NULL, NULL, buf->pub.len,
	    in->arrived_ns);

	if (!event) {
		give_back(in->c, BP__EVENT_COST);
		bp__buf_discard(buf);
		return -ENOMEM;
	}
	bp__whereabouts(in->c, BP__WAITING);
	bp__flow_put(&in->c->flow, &event->entry);
	bp__whereabouts(in->c, BP__ELSEWHERE);
	return 0;
}

/* ---- turns in a life: OPENED, ENDED, CLOSED ----------------------------- */

void bp__tell_opened(struct bp_conn *c)
{
	struct bp__callback callback;

	if (!c->handlers) {
		bp__event_init(&c->opened, c, BP_OPENED, bp__now_ns());
		bp__flow_put(&c->flow, &c->opened.entry);
	} else if (c->config.ops->opened && bp__flow_turn(&c->flow, 0) == 0) {
		enter_handler(c, &callback, "opened");
		c->expecting = true;
		c->config.ops->opened(c, bp_conn_data(c));
		c->expecting = false;
		leave_handler(c, &callback);
		bp__flow_turn_end(&c->flow, 0, 0, false);
	}
}

void bp__tell_ended(struct bp_conn *c)
{
	struct bp__callback callback;

	if (!c->handlers) {
		bp__event_init(&c->ended, c, BP_ENDED, bp__now_ns());
		bp__flow_put(&c->flow, &c->ended.entry);
		return;
	}
	if (bp__flow_turn(&c->flow, 0) < 0)
		return;
	if (c->config.ops->ended) {
		enter_handler(c, &callback, "ended");
		c->config.ops->ended(c, bp_conn_data(c));
		leave_handler(c, &callback);
	}
	bp__flow_turn_end(&c->flow, 0, 0, false);
	bp__conn_ended_handled(c);
}

void bp__tell_closed(struct bp_conn *c)
{
	struct bp__callback callback;

	if (!c->handlers) {
		bp__event_init(&c->closed, c, BP_CLOSED, bp__now_ns());
		c->closed.entry.last = true;
		c->closed.pub.reason = c->reason;
		c->closed.pub.err = c->err;
		bp__flow_put(&c->flow, &c->closed.entry);
		return;
	}
	bp__flow_turn_last(&c->flow);
	if (c->config.ops->closed) {
		enter_handler(c, &callback, "closed");
		c->config.ops->closed(c, c->reason, c->err, bp_conn_data(c));
		leave_handler(c, &callback);
	}
	bp__flow_turn_end(&c->flow, 0, 0, true);
}

/* ---- frames, either way ------------------------------------------------- */

int bp__deliver_frames(struct bp__inbox *in, struct bp__frame frame)
{
	return in->c->handlers ? handle_frames(in, frame) : queue_frames(in, frame);
}

int bp__deliver_large(struct bp__inbox *in, struct bp__buf *buf)
{
	return in->c->handlers ? handle_large(in->c, buf) : queue_large(in, buf);
}
