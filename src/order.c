/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.c - a flow's queue: the first in, first out of one connection, of which the
 * discipline is shown the oldest entry, when it may be received.
 */
#include "config.h"

#include "qdisc.h"

bool bp__flow_passed_over_locked(const struct bp__flow *flow)
{
	if (atomic_load(&flow->mutes) > 0)
		return true;
	return flow->couple && bp__flow_stage(flow) < BP__FLOW_BROKEN
	    && atomic_load(flow->throttled);
}

void bp__flow_append_locked(struct bp__flow *flow, struct bp__entry *entry)
{
	struct bp__qdisc *q = flow->q;

	entry->next = NULL;
	entry->seq = q->seq++;
	if (!flow->first)
		bp__list_append(&q->filled, &flow->filled_link);
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

struct bp__entry *bp__flow_shift_locked(struct bp__flow *flow)
{
	struct bp__entry *entry = flow->first;

	flow->first = entry->next;
	if (!flow->first)
		bp__list_remove(&flow->filled_link);
	atomic_fetch_sub(&flow->queued, 1);
	flow->q->queued_events--;
	flow->q->queued_bytes -= entry->len;
	return entry;
}

/* Give back what an entry holds in the queue; the owner frees it after unlocking. */
void bp__flow_purge_entry_locked(struct bp__flow *flow, struct bp__entry *entry)
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

static void purge_all_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	while (flow->first) {
		if (flow->first->last) {
			flow->q->live--;
			flow->finished = true;
		}
		bp__flow_purge_entry_locked(flow, bp__flow_shift_locked(flow));
	}
	bp__qdisc_pump_locked(flow->q);
}

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

void bp__flow_hide_locked(struct bp__flow *flow)
{
	if (!flow->shown)
		return;
	flow->shown = false;
	flow->q->shown--;
	flow->q->ops->remove(flow->q->state, &flow->oldest);
}

/* All but the last entry. */
void bp__flow_purge_locked(struct bp__flow *flow)
{
	bp__flow_hide_locked(flow);
	while (flow->first && !flow->first->last)
		bp__flow_purge_entry_locked(flow, bp__flow_shift_locked(flow));
	bp__qdisc_pump_locked(flow->q);
	bp__flow_show_locked(flow);
}
