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

#define GROUP_MAX 16			/* handlers between two looks at the clock */
#define TURN_BYTES ((uint64_t)64 * 1024) /* of one turn, while others wait for it */
#define TURN_NS (100 * 1000)

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
	bp__conn_push_withheld(c);
}

static void call_received(struct bp_conn *c, struct bp_buf *buf)
{
	struct bp__callback callback;

	enter_handler(c, &callback, "received");
	c->expecting = true;
	c->config.ops->received(c, buf, bp_conn_data(c));
	c->expecting = false;
	leave_handler(c, &callback);
}

/* Where handlers are limited, how long others have waited for this one's slot. */
static bool turn_is_long(const struct bp_conn *c, uint64_t bytes, uint64_t began_ns)
{
	return bp__flow_is_waited_for(&c->flow)
	    && (bytes >= TURN_BYTES || bp__now_ns() - began_ns >= TURN_NS);
}

/* One that is at hand: of that band as well? */
static bool in_band(struct bp__inbox *in, const struct bp__frame *frame, int band)
{
	return !in->c->config.classify || bp__inbox_band(in, frame) == band;
}

static int take_turn(struct bp_conn *c, const struct bp__wish *wish, size_t charge)
{
	int rc;

	bp__whereabouts(c, BP__WAITING);
	rc = bp__flow_turn(&c->flow, wish, charge);
	bp__whereabouts(c, BP__ELSEWHERE);
	return rc;
}

/* A frame's; or one that costs nothing, of OPENED, ENDED, CLOSED. */
static struct bp__wish wish_of(const struct bp__inbox *in, size_t len, int band)
{
	return (struct bp__wish){
		.cost = len + BP__EVENT_COST, .len = len, .band = (unsigned)band,
		.arrived_ns = in->arrived_ns,
	};
}

/*
 * Are handlers quick, so that an answer may wait for the next? The clock is looked at
 * after groups of them, since a look costs as much as handling a small frame. A frame
 * has waited until its group began, as near as makes a difference.
 */
struct tempo {
	unsigned group, left;
	uint64_t looked_ns;
	bool quick;
};

static void note_waits(const struct tempo *tempo, struct bp__inbox *in)
{
	if (tempo->left < tempo->group)
		bp__flow_note_wait(&in->c->flow, tempo->looked_ns - in->arrived_ns,
		    tempo->group - tempo->left);
}

/* One more has returned. */
static void beat(struct tempo *tempo, struct bp__inbox *in)
{
	uint64_t now;

	if (--tempo->left > 0)
		return;
	note_waits(tempo, in);
	now = bp__now_ns();
	tempo->quick = now - tempo->looked_ns < BP__QUICK_NS;
	tempo->looked_ns = now;
	if (!tempo->quick)
		tempo->group = 1;
	else if (tempo->group < GROUP_MAX)
		tempo->group *= 2;
	tempo->left = tempo->group;
}

/*
 * Call the handler for frame and those at hand behind it, while nothing forbids the
 * next; within a turn. Returns how many, of so many bytes.
 */
static uint64_t handle_run(struct bp__inbox *in, struct bp__frame frame, int band,
    uint64_t *ret_bytes)
{
	uint64_t bytes = 0, frames = 0, began = bp__now_ns();
	struct tempo tempo = { 1, 1, began, true };
	struct bp_conn *c = in->c;
	struct bp__tally sizes = { .into = &c->flow.q->frames };
	struct bp__slice slice = { .flow = &c->flow, .kind = BP__SLICE };
	struct bp__callback callback;
	int cut;

	enter_handler(c, &callback, "received");
	do {
		/* the reader's own hold on the chunk outlasts the handler */
		slice.pub.data = bp__inbox_take(in, &frame);
		slice.pub.len = frame.len;
		bp__tally_add(&sizes, frame.len);
		bytes += frame.len;
		frames++;
		cut = bp__inbox_cut(in, &frame);
		c->gathers = tempo.quick && cut == BP__CUT_WHOLE;
		c->expecting = true;
		c->config.ops->received(c, &slice.pub, bp_conn_data(c));
		c->expecting = false;
		beat(&tempo, in);
		if (atomic_load(&c->withheld) && !(c->gathers && tempo.quick)) {
			bp__conn_push(c);
			tempo.looked_ns = bp__now_ns();
		}
		if (c->config.framer == &bp_framer_raw)
			cut = bp__inbox_cut(in, &frame);	/* it may expect now */
	} while (cut == BP__CUT_WHOLE && bp__flow_may_go_on(&c->flow)
	    && in_band(in, &frame, band) && !turn_is_long(c, bytes, began));
	c->gathers = false;
	leave_handler(c, &callback);
	bp__tally_end(&sizes);
	note_waits(&tempo, in);
	*ret_bytes = bytes;
	return frames;
}

static int handle_frames(struct bp__inbox *in, struct bp__frame frame)
{
	struct bp_conn *c = in->c;
	struct bp__wish wish;
	uint64_t bytes, frames;
	int band, rc;

	band = bp__inbox_band(in, &frame);
	if (band < 0)
		return band;
	wish = wish_of(in, frame.len, band);
	rc = take_turn(c, &wish, 0);
	if (rc < 0)
		return rc;
	frames = handle_run(in, frame, band, &bytes);
	bp__flow_turn_end(&c->flow, bytes, frames, false);
	return 0;
}

static int handle_large(struct bp__inbox *in, struct bp__buf *buf, unsigned band)
{
	struct bp_buf *pub = &buf->head.pub;
	struct bp__wish wish = wish_of(in, pub->len, (int)band);
	uint64_t len = pub->len;
	struct bp_conn *c = in->c;
	int rc;

	rc = take_turn(c, &wish, buf->charge);
	if (rc == 0) {
		bp__histogram_record(&c->flow.q->frames, len, 1);
		bp__flow_note_wait(&c->flow, bp__now_ns() - in->arrived_ns, 1);
		call_received(c, pub);
	}
	bp_buf_unref(pub);
	if (rc == 0)
		bp__flow_turn_end(&c->flow, len, 1, false);
	return rc;
}

/* ---- events ------------------------------------------------------------- */

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

static struct bp__buf *copy_of(struct bp__inbox *in, const struct cutting *cutting)
{
	struct bp__flow *flow = &in->c->flow;
	struct bp__buf *buf;

	buf = bp__buf_alloc(flow, bp__flow_charged(flow), cutting->len);
	if (buf)
		memcpy(buf->head.pub.data, cutting->payload, cutting->len);
	return buf;
}

/* Queue what was cut, as one batch; its cost is reserved. */
static int queue_cuttings(struct bp__inbox *in, const struct cutting *cuttings,
    unsigned n, unsigned band)
{
	struct bp__buf *buf = NULL;
	struct bp__batch *batch;
	size_t left = 0;
	unsigned i = 0;

	batch = bp__batch_new(in->c, in->chunk, n);
	for (; batch && i < n; i++) {
		if (!in->chunk && !(buf = copy_of(in, &cuttings[i])))
			break;
		bp__batch_add(batch, buf, cuttings[i].payload, cuttings[i].len,
		    in->arrived_ns, band);
	}
	if (batch)
		bp__flow_put(&in->c->flow, bp__batch_chain(batch));
	if (i == n)
		return 0;
	for (; i < n; i++)
		left += cost_of(in, cuttings[i].len);
	bp__inbox_give_back(in, left);
	return -ENOMEM;
}

/*
 * What a batch may cost: no more than the guarantee has for overheads, since who waits
 * for the pool may wait for others; and what can be granted at all.
 */
static size_t batch_max(const struct bp__qdisc *q)
{
	return q->guarantee / 2 < q->cost_max ? q->guarantee / 2 : q->cost_max;
}

/* All whole frames at hand become events, charged and queued together. */
static int queue_frames(struct bp__inbox *in, struct bp__frame frame)
{
	struct cutting cuttings[BP__BATCH_MAX];
	size_t cost = 0, one;
	unsigned n = 0;
	int band, rc;

	band = bp__inbox_band(in, &frame);
	if (band < 0)
		return band;
	do {
		one = cost_of(in, frame.len);
		if (n > 0 && cost + one > batch_max(in->c->flow.q))
			break;
		cost += one;
		cuttings[n].payload = bp__inbox_take(in, &frame);
		cuttings[n++].len = frame.len;
	} while (n < BP__BATCH_MAX && bp__inbox_cut(in, &frame) == BP__CUT_WHOLE
	    && in_band(in, &frame, band));

	bp__whereabouts(in->c, BP__WAITING);
	rc = bp__flow_reserve(&in->c->flow, cost, (unsigned)band, bp__batch_block(n));
	if (rc == 0)
		rc = queue_cuttings(in, cuttings, n, (unsigned)band);
	bp__whereabouts(in->c, BP__ELSEWHERE);
	return rc;
}

static int queue_large(struct bp__inbox *in, struct bp__buf *buf, unsigned band)
{
	struct bp__batch *batch = bp__batch_new(in->c, NULL, 1);

	if (!batch) {
		bp__inbox_give_back(in, BP__EVENT_COST);
		bp__buf_discard(buf);
		return -ENOMEM;
	}
	bp__batch_add(batch, buf, NULL, buf->head.pub.len, in->arrived_ns, band);
	bp__whereabouts(in->c, BP__WAITING);
	bp__flow_put(&in->c->flow, bp__batch_chain(batch));
	bp__whereabouts(in->c, BP__ELSEWHERE);
	return 0;
}

/* ---- turns in a life: OPENED, ENDED, CLOSED ----------------------------- */

static struct bp__event *tell_event(struct bp_conn *c, struct bp__event *event,
    enum bp_event_kind kind)
{
	bp__event_init(event, c, kind, bp__now_ns());
	event->entry.band = atomic_load(&c->flow.band);
	return event;
}

static int life_turn(struct bp_conn *c, bool last)
{
	struct bp__wish wish = {
		.band = atomic_load(&c->flow.band), .arrived_ns = bp__now_ns(),
		.last = last,
	};

	return take_turn(c, &wish, 0);
}

void bp__tell_opened(struct bp_conn *c)
{
	struct bp__callback callback;

	if (!c->handlers) {
		bp__flow_put(&c->flow, &tell_event(c, &c->opened, BP_OPENED)->entry);
	} else if (c->config.ops->opened && life_turn(c, false) == 0) {
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
		bp__flow_put(&c->flow, &tell_event(c, &c->ended, BP_ENDED)->entry);
		return;
	}
	if (life_turn(c, false) < 0)
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
		tell_event(c, &c->closed, BP_CLOSED);
		c->closed.entry.last = true;
		c->closed.pub.reason = c->reason;
		c->closed.pub.err = c->err;
		bp__flow_put(&c->flow, &c->closed.entry);
		return;
	}
	life_turn(c, true);
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

int bp__deliver_large(struct bp__inbox *in, struct bp__buf *buf, unsigned band)
{
	return in->c->handlers ? handle_large(in, buf, band)
	    : queue_large(in, buf, band);
}
