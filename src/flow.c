/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.c - one connection's way in: its reader's waits (mute, coupling, gate, turn:
 * one condition, one predicate each, all under Q), its queue, and what is charged.
 *
 * What a reader waits for, in the order it meets it:
 *
 *	may_read	nobody mutes it; not throttled, if coupled
 *	reserve		the gate: memory, before the frame is read (R8: while it waits it
 *			holds nothing of the shared pool)
 *	put, place	the gate of those disciplines that count places, frame in hand
 *	turn		the same as may_read, for a frame that is there, with handlers
 *
 * The end of the flow cancels each of these waits (R4).
 */
#include "config.h"

#include "qdisc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int bp__flow_open(struct bp__flow *flow, struct bp__qdisc *q, bool couple,
    const atomic_bool *throttled)
{
	int rc = 0;

	memset(flow, 0, sizeof *flow);
	flow->peer.state = calloc(1, q->ops->peer_size ? q->ops->peer_size : 1);
	if (!flow->peer.state)
		return -ENOMEM;
	bp__lock(&q->lock);
	if (q->closed)
		rc = -EPIPE;
	else if (q->places >= q->places_max)
		rc = -EMFILE;
	if (rc == 0) {
		q->places++;
		q->live++;
	}
	bp__unlock(&q->lock);
	if (rc < 0) {
		free(flow->peer.state);
		return rc;
	}
	flow->q = q;
	flow->couple = couple;
	flow->throttled = throttled;
	flow->in_place = true;
	atomic_init(&flow->refs, 1);
	bp__cond_init(&flow->reader_cond);
	bp__list_init(&flow->turn_link);
	flow->asking.flow = flow;
	flow->asking.item.peer = flow->oldest.peer = &flow->peer;
	bp__qdisc_ref(q);
	return 0;
}

static void leave_place_locked(struct bp__flow *flow)
{
	if (flow->finished && atomic_exchange(&flow->mutes, 0) > 0)
		flow->q->muted--;
	/* not before all is given back: else reconnecting defeats every bound */
	if (flow->in_place && flow->finished && flow->peer.held == 0) {
		flow->in_place = false;
		flow->q->places--;
		flow->q->room = true;
		bp__qdisc_shrink_locked(flow->q);
	}
}

void bp__flow_abandon(struct bp__flow *flow)
{
	bp__lock(&flow->q->lock);
	flow->q->live--;
	flow->finished = true;
	leave_place_locked(flow);
	bp__qdisc_dispatch_locked(flow->q);
	bp__qdisc_leave(flow->q, NULL);
}

void bp__flow_ref(struct bp__flow *flow)
{
	atomic_fetch_add(&flow->refs, 1);
}

void bp__flow_unref(struct bp__flow *flow)
{
	if (atomic_fetch_sub(&flow->refs, 1) == 1)
		flow->q->hooks->flow_gone(flow);
}

void bp__flow_fini(struct bp__flow *flow)
{
	assert(flow->peer.held == 0 && !flow->first);
	bp__cond_fini(&flow->reader_cond);
	free(flow->peer.state);
	bp__qdisc_unref(flow->q);
}

static enum bp__flow_stage stage_of(const struct bp__flow *flow)
{
	return atomic_load_explicit(&flow->stage, memory_order_acquire);
}

bool bp__flow_passed_over_locked(const struct bp__flow *flow)
{
	if (atomic_load(&flow->mutes) > 0)
		return true;
	return flow->couple && stage_of(flow) < BP__FLOW_BROKEN
	    && atomic_load(flow->throttled);
}

/* Nothing but the last entry will be delivered. */
static bool closed_off(const struct bp__flow *flow)
{
	enum bp__flow_stage stage = stage_of(flow);

	return stage == BP__FLOW_CUT
	    || (stage == BP__FLOW_BROKEN && atomic_load(&flow->mutes) > 0);
}

/* ---- the order ---------------------------------------------------------------------- */

static void purge_all_locked(struct bp__flow *flow);

/* Let the discipline see the oldest entry, if it may be received now. */
void bp__flow_show_locked(struct bp__flow *flow)
{
	struct bp__entry *entry = flow->first;

	if (!entry || flow->shown || flow->turn)
		return;
	if (flow->q->abandoned) {
		purge_all_locked(flow);
		return;
	}
	if (!entry->last && bp__flow_passed_over_locked(flow))
		return;
	flow->oldest.cost = entry->cost + entry->payload_cost;
	flow->oldest.len = entry->len;
	flow->oldest.seq = entry->seq;
	flow->oldest.key = 0;
	flow->shown = true;
	flow->q->shown++;
	flow->q->ops->put(flow->q->state, &flow->oldest);
	bp__qdisc_dispatch_locked(flow->q);
}

static void hide_locked(struct bp__flow *flow)
{
	if (!flow->shown)
		return;
	flow->shown = false;
	flow->q->shown--;
	flow->q->ops->remove(flow->q->state, &flow->oldest);
}

static void forget_reader_held_locked(struct bp__flow *flow, size_t cost)
{
	assert(flow->reader_held >= cost);
	flow->reader_held -= cost;
}

/* Give back what an entry holds in the queue; the owner frees it after unlocking. */
static void purge_entry_locked(struct bp__flow *flow, struct bp__entry *entry)
{
	struct bp__qdisc *q = flow->q;

	if (entry->in_place) {
		q->ops->release(q->state, &flow->peer, 1);
		entry->in_place = false;
	}
	bp__flow_uncharge_locked(flow, entry->cost);
	entry->next = q->purged;
	q->purged = entry;
}

static void purge_first_locked(struct bp__flow *flow)
{
	struct bp__entry *entry = flow->first;
	struct bp__qdisc *q = flow->q;

	flow->first = entry->next;
	atomic_fetch_sub(&flow->queued, 1);
	q->queued_events--;
	q->queued_bytes -= entry->len;
	purge_entry_locked(flow, entry);
}

/* All but the last entry. */
void bp__flow_purge_locked(struct bp__flow *flow)
{
	hide_locked(flow);
	while (flow->first && !flow->first->last)
		purge_first_locked(flow);
	bp__qdisc_pump_locked(flow->q);
	bp__flow_show_locked(flow);
}

static void purge_all_locked(struct bp__flow *flow)
{
	while (flow->first) {
		if (flow->first->last) {
			flow->q->live--;
			flow->finished = true;
		}
		purge_first_locked(flow);
	}
	bp__qdisc_pump_locked(flow->q);
}

/* ---- charges ------------------------------------------------------------------------- */

void bp__flow_uncharge_locked(struct bp__flow *flow, size_t cost)
{
	struct bp__qdisc *q = flow->q;

	assert(flow->peer.held >= cost && q->held >= cost);
	flow->peer.held -= cost;
	q->held -= cost;
	if (cost > 0 && !q->ops->after_read)
		q->ops->release(q->state, &flow->peer, cost);
	leave_place_locked(flow);
}

static void charge_ungated_locked(struct bp__flow *flow, size_t cost, size_t block)
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
		forget_reader_held_locked(flow, cost);
	if (holder == BP__HELD_FRAME)
		q->reading -= cost;
	bp__flow_uncharge_locked(flow, cost);
	bp__qdisc_pump_locked(q);
	bp__qdisc_leave(q, flow);
}

/* ---- the gate -------------------------------------------------------------------------- */

static bool ask_locked(struct bp__request *request, size_t cost, size_t block)
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
{
	struct bp__qdisc *q = request->flow->q;

	q->ops->cancel(q->state, &request->item);
	bp__qdisc_pump_locked(q);
}

/* Wait for the grant; false when the flow ends first. */
static bool pass_gate_locked(struct bp__flow *flow, size_t cost, size_t block)
{
	struct bp__request *request = &flow->asking;
	struct bp__qdisc *q = flow->q;

	if (ask_locked(request, cost, block))
		return true;
	flow->asking_since_ns = bp__now_ns();
	request->waiting = true;
	q->waiting++;
	while (!request->granted && stage_of(flow) == BP__FLOW_OPEN) {
		bp__wait(&flow->reader_cond, &q->lock);
		if (!request->granted && stage_of(flow) == BP__FLOW_OPEN)
			q->futile_wakeups++;
	}
	flow->gate_ns += bp__now_ns() - flow->asking_since_ns;
	if (request->granted)
		return true;
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
	else if (!pass_gate_locked(flow, cost, block))
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
	} else if (within && q->ops->budgeted
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

/* ---- the reader ---------------------------------------------------------------------- */

static void park_locked(struct bp__flow *flow)
{
	uint64_t since = bp__now_ns();

	flow->parked = true;
	bp__wait(&flow->reader_cond, &flow->q->lock);
	flow->parked = false;
	flow->parked_ns += bp__now_ns() - since;
}

bool bp__flow_open_still(const struct bp__flow *flow)
{
	return stage_of(flow) == BP__FLOW_OPEN;
}

int bp__flow_may_read(struct bp__flow *flow)
{
	bool open;

	/* most often nothing forbids it; no lock is needed to see that */
	if (stage_of(flow) == BP__FLOW_OPEN && atomic_load(&flow->mutes) == 0
	    && !(flow->couple && atomic_load(flow->throttled)))
		return 0;
	bp__lock(&flow->q->lock);
	while (stage_of(flow) == BP__FLOW_OPEN && bp__flow_passed_over_locked(flow))
		park_locked(flow);
	open = stage_of(flow) == BP__FLOW_OPEN;
	bp__unlock(&flow->q->lock);
	return open ? 0 : -EPIPE;
}

static void append_locked(struct bp__flow *flow, struct bp__entry *entry)
{
	struct bp__qdisc *q = flow->q;

	entry->next = NULL;
	entry->seq = q->seq++;
	*(flow->first ? &flow->last->next : &flow->first) = entry;
	flow->last = entry;
	atomic_fetch_add(&flow->queued, 1);
	q->queued_events++;
	q->queued_bytes += entry->len;
	q->moves++;
	if (entry->cost > 0) {
		q->received_bytes += entry->len;
		q->received_events++;
		flow->received_bytes += entry->len;
		flow->received_frames++;
	}
}

void bp__flow_put(struct bp__flow *flow, struct bp__entry *chain)
{
	struct bp__qdisc *q = flow->q;
	struct bp__entry *entry;
	bool delivered;

	bp__lock(&q->lock);
	while ((entry = chain) != NULL) {
		chain = entry->next;
		forget_reader_held_locked(flow, entry->cost + entry->payload_cost);
		q->reading -= entry->cost + entry->payload_cost;
		delivered = entry->last || !closed_off(flow);
		/* when the flow ends while this waits the frame goes in all the same:
		 * it is in hand, so the bound holds, and the end waits for nobody */
		if (delivered && q->ops->after_read && entry->cost > 0) {
			flow->wanting = true;
			entry->in_place = pass_gate_locked(flow, 1, 0);
			flow->wanting = false;
			delivered = !closed_off(flow);
		}
		if (delivered) {
			append_locked(flow, entry);
			bp__flow_show_locked(flow);
		} else {
			purge_entry_locked(flow, entry);
			bp__qdisc_pump_locked(q);
		}
	}
	bp__qdisc_leave(q, flow);
}

int bp__flow_turn(struct bp__flow *flow, size_t payload_cost)
{
	struct bp__qdisc *q = flow->q;
	bool mine;

	bp__lock(&q->lock);
	forget_reader_held_locked(flow, payload_cost);
	q->reading -= payload_cost;
	flow->wanting = true;
	/* once the flow ends, what cannot be delivered at once is lost with it */
	while (stage_of(flow) == BP__FLOW_OPEN && bp__flow_passed_over_locked(flow))
		park_locked(flow);
	flow->wanting = false;
	mine = !closed_off(flow) && !bp__flow_passed_over_locked(flow);
	flow->turn = mine;
	q->moves++;
	bp__qdisc_leave(q, flow);
	return mine ? 0 : -EPIPE;
}

void bp__flow_turn_last(struct bp__flow *flow)
{
	bp__lock(&flow->q->lock);
	flow->turn = true;
	flow->q->live--;
	bp__qdisc_dispatch_locked(flow->q);
	bp__qdisc_leave(flow->q, NULL);
}

void bp__flow_turn_end(struct bp__flow *flow, uint64_t bytes, uint64_t frames,
    bool last)
{
	struct bp__qdisc *q = flow->q;

	bp__lock(&q->lock);
	flow->turn = false;
	q->received_bytes += bytes;
	q->received_events += frames;
	flow->received_bytes += bytes;
	flow->received_frames += frames;
	if (last) {
		flow->finished = true;
		leave_place_locked(flow);
	}
	bp__qdisc_leave(q, flow);
}

bool bp__flow_may_go_on(const struct bp__flow *flow)
{
	enum bp__flow_stage stage = stage_of(flow);

	return stage < BP__FLOW_CUT && atomic_load(&flow->mutes) == 0
	    && !(flow->couple && stage < BP__FLOW_BROKEN
	    && atomic_load(flow->throttled));
}

/* ---- anyone ----------------------------------------------------------------------------- */

void bp__flow_turn_back(struct bp__entry *entry)
{
	struct bp__flow *flow = entry->flow;
	struct bp__qdisc *q = flow->q;

	bp__lock(&q->lock);
	flow->turn = false;
	bp__list_remove(&flow->turn_link);
	q->moves++;
	if (entry->last)
		flow->finished = true;
	bp__flow_uncharge_locked(flow, entry->cost);
	bp__qdisc_pump_locked(q);
	bp__flow_show_locked(flow);
	if (q->stopped)
		bp__wake_all(&q->consumers);	/* is there anybody left to wait for? */
	bp__qdisc_leave(q, flow);
}

static void wake_parked_locked(struct bp__flow *flow)
{
	if (flow->parked
	    && (stage_of(flow) != BP__FLOW_OPEN || !bp__flow_passed_over_locked(flow)))
		bp__signal(&flow->reader_cond);
}

void bp__flow_mute(struct bp__flow *flow)
{
	struct bp__qdisc *q = flow->q;

	bp__lock(&q->lock);
	if (!flow->finished && atomic_fetch_add(&flow->mutes, 1) == 0) {
		q->muted++;
		flow->muted_since_ns = bp__now_ns();
		if (stage_of(flow) == BP__FLOW_BROKEN)
			bp__flow_purge_locked(flow);
		else if (flow->first && !flow->first->last)
			hide_locked(flow);
	}
	bp__qdisc_leave(q, flow);
}

void bp__flow_unmute(struct bp__flow *flow)
{
	struct bp__qdisc *q = flow->q;
	unsigned mutes;

	bp__lock(&q->lock);
	mutes = atomic_load(&flow->mutes);
	if (mutes > 0)
		atomic_store(&flow->mutes, mutes - 1);
	if (mutes == 1) {
		q->muted--;
		flow->muted_ns += bp__now_ns() - flow->muted_since_ns;
		bp__flow_show_locked(flow);
		wake_parked_locked(flow);
	}
	bp__qdisc_leave(q, NULL);
}

void bp__flow_unblock(struct bp__flow *flow)
{
	bp__lock(&flow->q->lock);
	bp__flow_show_locked(flow);
	wake_parked_locked(flow);
	bp__qdisc_leave(flow->q, NULL);
}

void bp__flow_end(struct bp__flow *flow, enum bp__flow_stage stage)
{
	struct bp__qdisc *q = flow->q;

	bp__lock(&q->lock);
	if (stage > stage_of(flow)) {
		atomic_store_explicit(&flow->stage, (int)stage, memory_order_release);
		if (closed_off(flow))
			bp__flow_purge_locked(flow);
		bp__flow_show_locked(flow);
		if (flow->parked || flow->asking.waiting)
			bp__signal(&flow->reader_cond);
	}
	if (stage == BP__FLOW_STOPPING)
		flow->watched = true;
	bp__qdisc_leave(q, flow);
}

void bp__flow_watch(struct bp__flow *flow)
{
	bp__lock(&flow->q->lock);
	flow->watched = true;
	bp__qdisc_leave(flow->q, flow);
}
