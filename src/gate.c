/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.c - what is charged to a flow, and the wait until it may be.
 *
 * A charge is made before the memory is allocated and given back after it is free;
 * between, the core knows of each byte whether its reader holds it still (a frame
 * that is being read, a chunk) or it was delivered, so that it can tell when
 * nothing of a connection is in the application's hands any more.
 */
#include "config.h"

#include "locked.h"

#include <assert.h>
#include <stdlib.h>

/* ---- charges ------------------------------------------------------------ */

void bp__flow_leave_place_locked(struct bp__flow *flow)
{
	if (flow->finished && atomic_exchange(&flow->mutes, 0) > 0)
		bp__flow_unmuted_locked(flow);
	/* not before all is given back: else reconnecting defeats every bound */
	if (flow->in_place && flow->finished && flow->held == 0) {
		flow->in_place = false;
		flow->q->places--;
		bp__list_remove(&flow->host_link);
		bp__peer_unref_locked(flow->q, flow->peer);
		flow->peer = NULL;
		flow->q->room = true;
		bp__qdisc_shrink_locked(flow->q);
	}
}

void bp__flow_hand_over_locked(struct bp__flow *flow, size_t cost)
{
	assert(flow->reader_held >= cost);
	flow->reader_held -= cost;
}

/* I1; in every build: a budget that is exceeded is no budget. */
static void check_budget_locked(const struct bp__qdisc *q)
    BP__REQUIRES(q->lock)
{
	if (q->held > q->budget)
		abort();
}

static void charge_locked(struct bp__request *request)
    BP__REQUIRES(request->flow->q->lock)
{
	struct bp__qdisc *q = request->flow->q;
	struct bp__peer *peer = request->peer;

	peer->gate.held += request->item.cost;
	peer->order.held = peer->gate.held;
	request->flow->held += request->item.cost;
	q->held += request->item.cost;
	q->promised += request->block;
	check_budget_locked(q);
}

/* Its reader begins to wait: at the gate, or for its own events to be handled. */
static void begin_wait_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	flow->asking_since_ns = bp__now_ns();
	bp__lasting_begin(&flow->q->gating, flow->asking_since_ns);
}

static void end_wait_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	uint64_t now = bp__now_ns();

	flow->gate_ns += now - flow->asking_since_ns;
	bp__lasting_end(&flow->q->gating, now);
	bp__histogram_record(&flow->q->gate_waits, now - flow->asking_since_ns, 1);
}

/* Whoever is granted goes on: its charge is taken and it alone is woken (R5). */
static void grant_locked(struct bp__request *request)
    BP__REQUIRES(request->flow->q->lock)
{
	struct bp__flow *flow = request->flow;
	struct bp__qdisc *q = flow->q;

	assert(!request->granted);
	request->granted = true;
	q->moves++;
	if (!q->gate.ops->after_read)
		charge_locked(request);
	bp__peer_unref_locked(q, request->peer);
	if (!request->waiting)
		return;
	end_wait_locked(flow);
	request->waiting = false;
	atomic_fetch_sub(&q->waiting, 1);
	bp__signal(&flow->reader_cond);
}

void bp__qdisc_pump_locked(struct bp__qdisc *q)
{
	struct bp_item *item;

	while ((item = q->gate.ops->grant(q->gate.state)) != NULL)
		grant_locked(bp__container_of(item, struct bp__request, item));
	bp__qdisc_shrink_locked(q);
}

/* Its own events, queued or out, leave no room for that in its guarantee. */
static bool crowded_locked(const struct bp__flow *flow, size_t cost)
    BP__REQUIRES(flow->q->lock)
{
	const struct bp_peer *peer = &flow->peer->gate;

	return (flow->first || atomic_load(&flow->out) > 0)
	    && peer->held + cost > peer->guarantee;
}

void bp__flow_uncharge_locked(struct bp__flow *flow, struct bp__peer *peer,
    size_t cost)
{
	struct bp__qdisc *q = flow->q;

	if (cost > 0) {
		assert(peer->gate.held >= cost && flow->held >= cost && q->held >= cost);
		peer->gate.held -= cost;
		peer->order.held = peer->gate.held;
		flow->held -= cost;
		q->held -= cost;
		if (!q->gate.ops->after_read)
			q->gate.ops->release(q->gate.state, &peer->gate, cost);
		bp__qdisc_pump_locked(q);
		bp__peer_check_locked(q, peer);
	}
	if (flow->crowded > 0 && !crowded_locked(flow, flow->crowded))
		bp__signal(&flow->reader_cond);
	bp__flow_leave_place_locked(flow);
}

void bp__flow_release(struct bp__flow *flow, struct bp__peer *peer, size_t cost,
    enum bp__holder holder, void *block, size_t size)
{
	uint64_t now = block ? bp__now_ns() : 0;
	struct bp__qdisc *q = flow->q;

	bp__lock(&q->lock);
	if (block)
		bp__pool_give(&q->pool, block, size, now);
	if (holder != BP__HELD_DELIVERED)
		bp__flow_hand_over_locked(flow, cost);
	if (holder == BP__HELD_FRAME)
		q->reading -= cost;
	bp__flow_uncharge_locked(flow, peer, cost);
	bp__qdisc_leave(q, flow);
}

bool bp__flow_presses(struct bp__flow *flow)
{
	struct bp__qdisc *q = flow->q;
	bool others_wait, presses;

	if (q->budget == BP_UNLIMITED || atomic_load(&q->waiting) == 0)
		return false;
	bp__lock(&q->lock);
	others_wait = atomic_load(&q->waiting) > flow->asking.waiting;
	/* what it holds may be charged to the peer it had before */
	presses = flow->held > q->guarantee || (flow->held > 0
	    && flow->peer->gate.held > flow->peer->gate.guarantee);
	bp__unlock(&q->lock);
	return others_wait && presses;
}

/* ---- the gate ----------------------------------------------------------- */

static bool ask_locked(struct bp__request *request)
    BP__REQUIRES(request->flow->q->lock)
{
	struct bp__qdisc *q = request->flow->q;

	bp__peer_ref_locked(q, request->peer);
	request->item.peer = &request->peer->gate;
	request->item.seq = q->asked++;
	request->granted = false;
	q->gate.ops->ask(q->gate.state, &request->item);
	bp__qdisc_pump_locked(q);
	return request->granted;
}

static void cancel_locked(struct bp__request *request)
    BP__REQUIRES(request->flow->q->lock)
{
	struct bp__qdisc *q = request->flow->q;

	q->gate.ops->cancel(q->gate.state, &request->item);
	bp__qdisc_pump_locked(q);
	bp__peer_unref_locked(q, request->peer);
}

static void wait_for_grant_locked(struct bp__request *request)
    BP__REQUIRES(request->flow->q->lock)
{
	struct bp__flow *flow = request->flow;
	struct bp__qdisc *q = flow->q;

	begin_wait_locked(flow);
	request->waiting = true;
	atomic_fetch_add(&q->waiting, 1);
	while (!request->granted && bp__flow_stage(flow) == BP__FLOW_OPEN) {
		bp__flow_wait_locked(flow);
		if (!request->granted && bp__flow_stage(flow) == BP__FLOW_OPEN)
			q->futile_wakeups++;
	}
	if (request->granted)
		return;
	end_wait_locked(flow);
	request->waiting = false;
	atomic_fetch_sub(&q->waiting, 1);
}

bool bp__flow_pass_gate_locked(struct bp__flow *flow)
{
	struct bp__request *request = &flow->asking;

	if (ask_locked(request))
		return true;
	if (bp__flow_stage(flow) == BP__FLOW_OPEN)
		wait_for_grant_locked(request);
	if (!request->granted)
		cancel_locked(request);
	return request->granted;
}

void bp__flow_await_guarantee(struct bp__flow *flow, size_t cost)
{
	struct bp__qdisc *q = flow->q;

	if (q->budget == BP_UNLIMITED)
		return;
	bp__lock(&q->lock);
	if (bp__flow_stage(flow) == BP__FLOW_OPEN && crowded_locked(flow, cost)) {
		begin_wait_locked(flow);
		flow->crowded = cost;
		while (bp__flow_stage(flow) == BP__FLOW_OPEN
		    && crowded_locked(flow, cost))
			bp__flow_wait_locked(flow);
		end_wait_locked(flow);
		flow->crowded = 0;
	}
	bp__qdisc_leave(q, NULL);
}

int bp__flow_reserve(struct bp__flow *flow, size_t cost, unsigned band, size_t block)
{
	struct bp__qdisc *q = flow->q;
	int rc = 0;

	if (cost > q->cost_max)
		return -EMSGSIZE;
	bp__lock(&q->lock);
	flow->asking.peer = flow->peer;
	flow->asking.item.cost = cost;
	flow->asking.item.band = band;
	flow->asking.block = block;
	if (q->gate.ops->after_read)	/* it asks for a place later, frame in hand */
		charge_locked(&flow->asking);
	else if (!bp__flow_pass_gate_locked(flow))
		rc = -EPIPE;
	if (rc == 0) {
		flow->reader_held += cost;
		q->reading += cost;
	}
	bp__qdisc_leave(q, NULL);
	return rc;
}

struct bp__peer *bp__flow_try_reserve(struct bp__flow *flow, size_t cost,
    size_t block, bool chunk)
{
	struct bp__request request = {
		.flow = flow, .block = block, .item.cost = cost,
	};
	struct bp__qdisc *q = flow->q;
	size_t guarantee;
	bool granted = true;

	bp__lock(&q->lock);
	request.peer = flow->peer;
	request.item.band = atomic_load(&flow->band);
	guarantee = flow->peer->gate.guarantee;
	if (q->gate.ops->after_read) {
		charge_locked(&request);
	} else if (chunk && q->budget != BP_UNLIMITED
	    && atomic_load(&request.peer->in_hand) + cost > guarantee) {
		granted = false;
	} else if (!ask_locked(&request)) {
		cancel_locked(&request);
		granted = false;
	}
	if (granted && chunk) {
		flow->reader_held += cost;
		atomic_fetch_add(&request.peer->in_hand, cost);
	}
	bp__qdisc_leave(q, NULL);
	return granted ? request.peer : NULL;
}
