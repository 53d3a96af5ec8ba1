/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.c - a flow's queue: the first in, first out of one connection, of which the
 * discipline is shown the oldest entry, when it may be received. With handlers there
 * is no queue: it is shown what the reader has in hand.
 */
#include "config.h"

#include "locked.h"

bool bp__flow_passed_over_locked(const struct bp__flow *flow)
{
	if (atomic_load(&flow->mutes) > 0)
		return true;
	return flow->couple && bp__flow_stage(flow) < BP__FLOW_BROKEN
	    && atomic_load(flow->throttled);
}

/* What all read, but only who holds Q changes. */
static void count_locked(atomic_size_t *counter, size_t change)
{
	atomic_store_explicit(counter,
	    atomic_load_explicit(counter, memory_order_relaxed) + change,
	    memory_order_release);
}

void bp__flow_append_locked(struct bp__flow *flow, struct bp__entry *chain)
{
	struct bp__qdisc *q = flow->q;
	struct bp__tally sizes = { .into = &q->frames };
	size_t n = 0, frames = 0, bytes = 0;
	struct bp__entry *entry, *last = NULL;

	for (entry = chain; entry; entry = entry->next) {
		entry->seq = q->seq++;
		if (entry->cost > 0) {
			bp__tally_add(&sizes, entry->len);
			frames++;
		}
		bytes += entry->len;
		last = entry;
		n++;
	}
	bp__tally_end(&sizes);
	if (!flow->first)
		bp__list_append(&q->filled, &flow->filled_link);
	*(flow->first ? &flow->last->next : &flow->first) = chain;
	flow->last = last;
	count_locked(&flow->queued, n);
	q->queued_events += n;
	q->queued_bytes += bytes;
	flow->queued_bytes += bytes;
	q->moves += n;
	q->received_bytes += bytes;
	q->received_events += frames;
	flow->received_bytes += bytes;
	flow->received_frames += frames;
}

void bp__flow_shift_locked(struct bp__flow *flow, struct bp__entry *last, size_t n,
    size_t bytes)
{
	flow->first = last->next;
	last->next = NULL;
	if (!flow->first)
		bp__list_remove(&flow->filled_link);
	count_locked(&flow->queued, -n);
	flow->q->queued_events -= n;
	flow->q->queued_bytes -= bytes;
	flow->queued_bytes -= bytes;
}

/* The first entry, off the queue. */
static struct bp__entry *shift_one_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	struct bp__entry *entry = flow->first;

	bp__flow_shift_locked(flow, entry, 1, entry->len);
	return entry;
}

void bp__flow_leave_queue_locked(struct bp__entry *entry)
{
	struct bp__qdisc *q = entry->flow->q;

	if (!entry->in_place)
		return;
	entry->in_place = false;
	q->gate.ops->release(q->gate.state, &entry->peer->gate, 1);
	bp__qdisc_pump_locked(q);
}

/* Give its place in the queue back; its owner the charge, after unlocking. */
void bp__flow_purge_entry_locked(struct bp__flow *flow, struct bp__entry *entry)
{
	struct bp__qdisc *q = flow->q;

	bp__flow_leave_queue_locked(entry);
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
		bp__flow_purge_entry_locked(flow, shift_one_locked(flow));
	}
	bp__flow_leave_place_locked(flow);
}

/* ---- what the discipline sees ------------------------------------------- */

static void put_locked(struct bp__flow *flow, struct bp__peer *peer)
    BP__REQUIRES(flow->q->lock)
{
	struct bp__qdisc *q = flow->q;

	flow->oldest_peer = peer;
	bp__peer_ref_locked(q, peer);
	flow->oldest.peer = q->order.ops == q->gate.ops ? &peer->gate : &peer->order;
	flow->oldest.key = 0;
	flow->shown = true;
	count_locked(&q->shown, 1);
	q->order.ops->put(q->order.state, &flow->oldest);
}

static void no_longer_shown_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	flow->shown = false;
	count_locked(&flow->q->shown, (size_t)-1);
	bp__peer_unref_locked(flow->q, flow->oldest_peer);
}

/* Memory that a slice shares with others was charged as a chunk, but it counts. */
size_t bp__entry_weight(const struct bp__entry *entry)
{
	return entry->cost + (entry->payload_cost > 0 ? entry->payload_cost : entry->len);
}

static void show_entry_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	struct bp__entry *entry = flow->first;

	if (!entry->last && bp__flow_passed_over_locked(flow))
		return;
	flow->oldest.cost = bp__entry_weight(entry) + flow->owed;
	flow->oldest.len = entry->len;
	flow->oldest.band = entry->band;
	flow->oldest.seq = entry->seq;
	flow->oldest.arrived_ns = entry->arrived_ns;
	put_locked(flow, entry->peer ? entry->peer : flow->peer);
}

static void show_wish_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	const struct bp__wish *wish = &flow->wish;

	if (!wish->last && (bp__flow_cut_off(flow) || bp__flow_passed_over_locked(flow)))
		return;
	flow->oldest.cost = wish->cost + flow->owed;
	flow->oldest.len = wish->len;
	flow->oldest.band = wish->band;
	flow->oldest.seq = flow->q->seq++;
	flow->oldest.arrived_ns = wish->arrived_ns;
	put_locked(flow, flow->peer);
}

/* Let the discipline see what is next of it, if that may be received now. */
void bp__flow_show_locked(struct bp__flow *flow)
{
	struct bp__qdisc *q = flow->q;

	if (flow->shown || atomic_load(&flow->out) > 0)
		return;
	if (flow->first && q->abandoned) {
		purge_all_locked(flow);
	} else if (flow->first) {
		show_entry_locked(flow);
		bp__qdisc_dispatch_locked(q);
	} else if (flow->wanting && q->slots_max > 0) {
		show_wish_locked(flow);
		bp__qdisc_fill_slots_locked(q);
	}
}

void bp__flow_show_behind_locked(struct bp__flow *flow)
{
	if (flow->first && !flow->shown)
		show_entry_locked(flow);
}

void bp__flow_hide_locked(struct bp__flow *flow)
{
	if (!flow->shown)
		return;
	flow->q->order.ops->remove(flow->q->order.state, &flow->oldest);
	no_longer_shown_locked(flow);
}

/* The one the discipline says, no longer shown, or NULL. */
struct bp__flow *bp__qdisc_next_locked(struct bp__qdisc *q)
{
	struct bp__flow *flow;
	struct bp_item *item;

	while ((item = q->order.ops->take(q->order.state)) != NULL) {
		flow = bp__container_of(item, struct bp__flow, oldest);
		no_longer_shown_locked(flow);
		if (bp__flow_next_is_last(flow) || !bp__flow_passed_over_locked(flow))
			return flow;
		/* R12: the level is read here, and what it forbids stays parked in the
		 * flow; who clears the level comes by and shows it again. A reader that
		 * is ending does not wait for that. */
		if (flow->parked && bp__flow_stage(flow) != BP__FLOW_OPEN)
			bp__signal(&flow->reader_cond);
	}
	return NULL;
}

/* All but the last entry. */
void bp__flow_purge_locked(struct bp__flow *flow)
{
	bp__flow_hide_locked(flow);
	while (flow->first && !flow->first->last)
		bp__flow_purge_entry_locked(flow, shift_one_locked(flow));
	bp__flow_show_locked(flow);
}
