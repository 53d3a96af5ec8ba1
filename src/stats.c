/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.c - watching: what is counted where it happens is read here, each under
 * its own lock, one after the other (R1); so sums are of one moment only when
 * nothing moves.
 */
#include "config.h"

#include "endpoint.h"

#include <assert.h>
#include <string.h>

static_assert(BP_PEER_MAX == BP__ADDR_TEXT_MAX, "an address does not fit");

/* ---- a connection ------------------------------------------------------- */

/* It, and what of it nobody outside has to know. */
struct look {
	struct bp_conn_detail detail;
	bool made, closing, active;
	uint64_t throttled_still_ns;
};

static void way_in(struct bp__flow *flow, struct look *look)
{
	struct bp_conn_stats *stats = &look->detail.stats;
	uint64_t now;

	bp__lock(&flow->q->lock);
	now = bp__now_ns();	/* not before: what began while this waited */
	stats->received_bytes = flow->received_bytes;
	stats->received_frames = flow->received_frames;
	stats->waiting = flow->asking.waiting || flow->crowded > 0;
	stats->gate_ns = flow->gate_ns;
	if (stats->waiting)
		stats->gate_ns += now - flow->asking_since_ns;
	stats->muted = atomic_load(&flow->mutes) > 0;
	stats->muted_ns = flow->muted_ns;
	if (stats->muted)
		stats->muted_ns += now - flow->muted_since_ns;
	stats->held_bytes = flow->held;
	look->detail.queued_events = atomic_load(&flow->queued);
	look->detail.queued_bytes = flow->queued_bytes;
	look->active = flow->wanting || flow->first || atomic_load(&flow->out) > 0;
	bp__unlock(&flow->q->lock);
}

static void way_out(struct bp_conn *c, struct look *look)
{
	struct bp_conn_stats *stats = &look->detail.stats;

	bp__lock(&c->lock);
	look->made = c->was_open;
	look->closing = c->state >= BP__CLOSING;
	look->detail.opened_ns = c->opened_ns;
	stats->sent_frames = c->sent_frames;
	stats->throttles = c->throttles;
	stats->throttled_ns = c->throttled_ns;
	stats->throttled = atomic_load(&c->throttled);
	if (stats->throttled)
		look->throttled_still_ns = bp__now_ns() - c->throttled_since_ns;
	stats->throttled_ns += look->throttled_still_ns;
	stats->out_bytes = c->queued;
	stats->reason = look->closing ? c->reason : BP_REASON_NONE;
	bp__conn_unlock(c);
	stats->sent_bytes = atomic_load(&c->bytes_out);
}

static void by_the_kernel(struct bp_conn *c, struct bp_conn_stats *ret)
{
	bp__lock(&c->lock);
	if (c->fd >= 0 && !c->was_reset) {
		bp__sock_stats(c->fd, ret);
	} else {
		ret->rwnd_limited_us = c->last_stats.rwnd_limited_us;
		ret->sndbuf_limited_us = c->last_stats.sndbuf_limited_us;
		ret->busy_us = c->last_stats.busy_us;
	}
	bp__conn_unlock(c);
}

static enum bp_conn_state state_of(const struct bp_conn *c, const struct look *look)
{
	const struct bp_conn_stats *stats = &look->detail.stats;

	if (look->closing)
		return BP_STATE_CLOSING;
	if (stats->throttled)
		return BP_STATE_THROTTLED;
	if (stats->muted)
		return BP_STATE_MUTED;
	if (stats->waiting)
		return BP_STATE_WAITING;
	return look->active || atomic_load(&c->read_deadline_ns) != 0
	    || atomic_load(&c->frame_since_ns) != 0
	    ? BP_STATE_READING : BP_STATE_IDLE;
}

static void look_at(struct bp_conn *c, struct look *look)
{
	memset(look, 0, sizeof *look);
	way_in(&c->flow, look);
	way_out(c, look);
	look->detail.state = state_of(c, look);
}

void bp_conn_detail(struct bp_conn *c, struct bp_conn_detail *ret)
{
	struct look look;

	look_at(c, &look);
	by_the_kernel(c, &look.detail.stats);
	look.detail.wait_p50_ns = bp__rough_percentile_ns(&c->flow.waits, 50);
	look.detail.wait_p99_ns = bp__rough_percentile_ns(&c->flow.waits, 99);
	*ret = look.detail;
}

void bp_conn_stats(struct bp_conn *c, struct bp_conn_stats *ret)
{
	struct look look;

	look_at(c, &look);
	by_the_kernel(c, &look.detail.stats);
	*ret = look.detail.stats;
}

void bp__conn_sum_up(struct bp_conn *c, struct bp_closed *ret)
{
	const char *peer = bp_conn_peer(c);
	struct bp_conn_stats *stats;
	struct look look;

	look_at(c, &look);
	stats = &look.detail.stats;
	by_the_kernel(c, stats);
	*ret = (struct bp_closed){
		.id = c->id, .reason = stats->reason, .err = c->err,
		.opened_ns = look.detail.opened_ns, .closed_ns = bp__now_ns(),
		.received_bytes = stats->received_bytes,
		.sent_bytes = stats->sent_bytes,
		.gate_ns = stats->gate_ns, .muted_ns = stats->muted_ns,
		.throttled_ns = stats->throttled_ns,
		.rwnd_limited_us = stats->rwnd_limited_us,
		.sndbuf_limited_us = stats->sndbuf_limited_us,
	};
	memcpy(ret->peer, peer, strnlen(peer, sizeof ret->peer - 1));
}

/* ---- an endpoint -------------------------------------------------------- */

/* Their states cost a visit to Q for each, which who asks for the rest need not pay. */
static void sum_conns(struct bp_endpoint *ep, struct bp_endpoint_detail *ret,
    bool with_states)
{
	struct bp_conn *c = NULL;
	struct look look;

	while ((c = bp__endpoint_next(ep, c)) != NULL) {
		memset(&look, 0, sizeof look);
		way_out(c, &look);
		ret->stats.out_bytes += look.detail.stats.out_bytes;
		ret->stats.throttled += look.detail.stats.throttled;
		ret->throttled_ns += look.throttled_still_ns;
		/* one that bp_connect() is still about may come to nothing */
		if (with_states && look.made) {
			way_in(&c->flow, &look);
			ret->states[state_of(c, &look)]++;
		}
	}
}

static void sum_endpoint(struct bp_endpoint *ep, struct bp_endpoint_detail *ret)
{
	bp__lock(&ep->lock);
	ret->closing = ep->closing;
	ret->accepted = ep->accepted;
	ret->connected = ep->connected;
	ret->stats.opened = ep->accepted + ep->connected;
	ret->stats.closed = ep->closed;
	for (int i = 0; i < BP_REFUSALS; i++)
		ret->stats.refused += ret->refusals[i] = ep->refusals[i];
	memcpy(ret->stats.ended, ep->ended, sizeof ret->stats.ended);
	ret->paused = ep->pausing.n > 0;
	ret->paused_ns = bp__lasting_ns(&ep->pausing, bp__now_ns());
	/* one that ended since the first sum was taken is in neither */
	if (ret->throttled_ns < ep->throttled_ns)
		ret->throttled_ns = ep->throttled_ns;
	ep->throttled_ns = ret->throttled_ns;
	bp__unlock(&ep->lock);
}

static void look_at_all(struct bp_endpoint *ep, struct bp_endpoint_detail *ret,
    bool with_states)
{
	bp__qdisc_detail(&ep->qdisc, ret);
	ret->throttled_ns = atomic_load(&ep->qdisc.throttled_ns);
	sum_conns(ep, ret, with_states);
	sum_endpoint(ep, ret);
}

void bp_endpoint_detail(struct bp_endpoint *ep, struct bp_endpoint_detail *ret)
{
	const struct bp_endpoint_config *config = &ep->config;
	struct bp__qdisc *q = &ep->qdisc;

	memset(ret, 0, sizeof *ret);
	/* first: what they count began before it ended */
	bp__histogram_read(&q->gate_waits, &ret->gate);
	bp__histogram_read(&q->send_waits, &ret->send);
	bp__histogram_read(&q->frames, &ret->frame);
	look_at_all(ep, ret, true);
	ret->frame.sum = ret->stats.received_bytes;
	ret->qdisc = config->qdisc->name ? config->qdisc->name : "";
	ret->since_ns = ep->since_ns;
	ret->queue_bytes_max = q->budget;
	ret->queue_events_max = config->qdisc == &bp_qdisc_one_place ? 1
	    : config->qdisc == &bp_qdisc_bounded ? config->places : BP_UNLIMITED;
}

void bp_endpoint_stats(struct bp_endpoint *ep, struct bp_endpoint_stats *ret)
{
	struct bp_endpoint_detail detail = { .qdisc = NULL };

	look_at_all(ep, &detail, false);
	*ret = detail.stats;
}

void bp_endpoint_each(struct bp_endpoint *ep,
    bool (*fn)(struct bp_conn *conn, void *arg), void *arg)
{
	struct bp_conn *c = NULL;
	bool made;

	while ((c = bp__endpoint_next(ep, c)) != NULL) {
		bp__lock(&c->lock);
		made = c->was_open;
		bp__conn_unlock(c);
		if (made && !fn(c, arg)) {
			bp_conn_unref(c);
			return;
		}
	}
}

size_t bp_endpoint_closed(struct bp_endpoint *ep, struct bp_closed *ret, size_t n)
{
	size_t i;

	bp__lock(&ep->lock);
	for (i = 0; i < n && i < BP__RECENT && i < ep->closed; i++)
		ret[i] = ep->recent[(ep->closed - 1 - i) % BP__RECENT];
	bp__unlock(&ep->lock);
	return i;
}
