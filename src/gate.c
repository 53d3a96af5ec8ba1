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

#include "qdisc.h"

#include <assert.h>

/* ---- charges ------------------------------------------------------------ */

void bp__flow_leave_place_locked(struct bp__flow *flow)
{
	if (flow->finished && atomic_exchange(&flow->mutes, 0) > 0) {
		flow->q->muted--;
		flow->muted_ns += bp__now_ns() - flow->muted_since_ns;
	}
	/* not before all is given back: else reconnecting defeats every bound */
	if (flow->in_place && flow->finished && flow->peer.held == 0) {
		flow->in_place = false;
		flow->q->places--;
		flow->q->room = true;
		bp__qdisc_shrink_locked(flow->q);
	}
}

void bp__flow_hand_over_locked(struct bp__flow *flow, size_t cost)
{
	assert(flow->reader_held >= cost);
	flow->reader_held -= cost;
}

void bp__flow_uncharge_locked(struct bp__flow *flow, size_t cost)
{
	struct bp__qdisc *q = flow->q;

	assert(flow->peer.held >= cost && q->held >= cost);
	flow->peer.held -= cost;
	q->held -= cost;
	if (cost > 0 && !q->ops->after_read)
		q->ops->release(q->state, &flow->peer, cost);
	bp__flow_leave_place_locked(flow);
}

static void charge_ungated_locked(struct bp__flow *flow, size_t cost, size_t block)
    BP__REQUIRES(flow->q->lock)
{
	flow->q->promised += block;
	flow->peer.held += cost;
	flow->q->held += cost;
}

void bp__flow_release(struct bp__flow *flow, size_t cost, enum bp__holder holder,
    void *block, size_t size)
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
	bp__flow_uncharge_locked(flow, cost);
	bp__qdisc_pump_locked(q);
	bp__qdisc_leave(q, flow);
}

/* ---- the gate ----------------------------------------------------------- */

static bool ask_locked(struct bp__request *request, size_t cost, size_t block)
    BP__REQUIRES(request->flow->q->lock)
{
	struct bp__qdisc *q = request->flow->q;

	request->item.cost = cost;
	request->block = block;
	request->granted = false;
	q->ops->ask(q->state, &request->item);
	bp__qdisc_pump_locked(q);
	return request->granted;
}

static void cancel_locked(struct bp__request *request)
    BP__REQUIRES(request->flow->q->lock)
{
	struct bp__qdisc *q = request->flow->q;

	q->ops->cancel(q->state, &request->item);
	bp__qdisc_pump_locked(q);
}

/* Wait for the grant; false when the flow ends first. */
bool bp__flow_pass_gate_locked(struct bp__flow *flow, size_t cost, size_t block)
{
	struct bp__request *request = &flow->asking;
	struct bp__qdisc *q = flow->q;

	if (ask_locked(request, cost, block))
		return true;
	flow->asking_since_ns = bp__now_ns();
	request->waiting = true;
	q->waiting++;
	while (!request->granted && bp__flow_stage(flow) == BP__FLOW_OPEN) {
		bp__wait(&flow->reader_cond, &q->lock);
		if (!request->granted && bp__flow_stage(flow) == BP__FLOW_OPEN)
			q->futile_wakeups++;
	}
	if (request->granted)
		return true;
	flow->gate_ns += bp__now_ns() - flow->asking_since_ns;
	request->waiting = false;
	q->waiting--;
	cancel_locked(request);
	return false;
}

int bp__flow_reserve(struct bp__flow *flow, size_t cost, size_t block)
{
	struct bp__qdisc *q = flow->q;
	int rc = 0;

	if (cost > q->cost_max)
		return -EMSGSIZE;
	bp__lock(&q->lock);
	if (q->ops->after_read)
		charge_ungated_locked(flow, cost, block);
	else if (!bp__flow_pass_gate_locked(flow, cost, block))
		rc = -EPIPE;
	if (rc == 0) {
		flow->reader_held += cost;
		q->reading += cost;
	}
	bp__qdisc_leave(q, NULL);
	return rc;
}

bool bp__flow_try_reserve(struct bp__flow *flow, size_t cost, size_t block,
    bool within)
{
	struct bp__request request = {
		.flow = flow, .item.peer = &flow->peer,
	};
	struct bp__qdisc *q = flow->q;
	bool granted = true;

	bp__lock(&q->lock);
	if (q->ops->after_read) {
		charge_ungated_locked(flow, cost, block);
	} else if (within && q->budget != BP_UNLIMITED
	    && flow->peer.held + cost > q->guarantee) {
		granted = false;
	} else if (!ask_locked(&request, cost, block)) {
		cancel_locked(&request);
		granted = false;
	}
	if (granted && within)
		flow->reader_held += cost;
	bp__qdisc_leave(q, NULL);
	return granted;
}
