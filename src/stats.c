/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.c - watching: what is counted where it happens is read here, each under
 * its own lock, one after the other (R1); so sums are of one moment only when
 * nothing moves.
 */
#include "config.h"

#include "endpoint.h"

#include <string.h>

void bp_endpoint_stats(struct bp_endpoint *ep, struct bp_endpoint_stats *ret)
{
	struct bp_conn *c = NULL;

	memset(ret, 0, sizeof *ret);
	bp__qdisc_stats(&ep->qdisc, ret);
	while ((c = bp__endpoint_next(ep, c)) != NULL) {
		ret->out_bytes += bp_conn_pending(c);
		ret->throttled += bp_conn_throttled(c);
	}
	bp__lock(&ep->lock);
	ret->opened = ep->opened;
	ret->closed = ep->closed;
	ret->refused = ep->refused;
	memcpy(ret->ended, ep->ended, sizeof ret->ended);
	bp__unlock(&ep->lock);
}

static void way_in(struct bp__flow *flow, struct bp_conn_stats *ret)
{
	uint64_t now;

	bp__lock(&flow->q->lock);
	now = bp__now_ns();	/* not before: what began while this waited */
	ret->received_bytes = flow->received_bytes;
	ret->received_frames = flow->received_frames;
	ret->gate_ns = flow->gate_ns;
	if (flow->asking.waiting || flow->crowded > 0)
		ret->gate_ns += now - flow->asking_since_ns;
	ret->muted = atomic_load(&flow->mutes) > 0;
	ret->muted_ns = flow->muted_ns;
	if (ret->muted)
		ret->muted_ns += now - flow->muted_since_ns;
	ret->held_bytes = flow->held;
	ret->waiting = flow->asking.waiting || flow->crowded > 0;
	bp__unlock(&flow->q->lock);
}

static void way_out(struct bp_conn *c, struct bp_conn_stats *ret)
{
	uint64_t now;

	bp__lock(&c->lock);
	now = bp__now_ns();
	if (c->fd >= 0 && !c->was_reset) {
		bp__sock_stats(c->fd, ret);
	} else {
		ret->rwnd_limited_us = c->last_stats.rwnd_limited_us;
		ret->sndbuf_limited_us = c->last_stats.sndbuf_limited_us;
		ret->busy_us = c->last_stats.busy_us;
	}
	ret->sent_frames = c->sent_frames;
	ret->throttles = c->throttles;
	ret->throttled_ns = c->throttled_ns;
	ret->throttled = atomic_load(&c->throttled);
	if (ret->throttled)
		ret->throttled_ns += now - c->throttled_since_ns;
	ret->out_bytes = c->queued;
	ret->reason = c->state >= BP__CLOSING ? c->reason : BP_REASON_NONE;
	bp__conn_unlock(c);
}

void bp_conn_stats(struct bp_conn *c, struct bp_conn_stats *ret)
{
	memset(ret, 0, sizeof *ret);
	way_in(&c->flow, ret);
	way_out(c, ret);
	ret->sent_bytes = atomic_load(&c->bytes_out);
}

/* One that bp_connect() is still about may come to nothing, and never have been. */
static bool is_made(struct bp_conn *c)
{
	bool made;

	bp__lock(&c->lock);
	made = c->was_open;
	bp__conn_unlock(c);
	return made;
}

void bp_endpoint_each(struct bp_endpoint *ep,
    bool (*fn)(struct bp_conn *conn, void *arg), void *arg)
{
	struct bp_conn *c = NULL;

	while ((c = bp__endpoint_next(ep, c)) != NULL) {
		if (is_made(c) && !fn(c, arg)) {
			bp_conn_unref(c);
			return;
		}
	}
}
