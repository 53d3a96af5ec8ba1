/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.c - one connection's way in: its reader's waits (mute, coupling, gate, turn:
 * one condition, one predicate each, all under Q), mutes and its end. Its queue is
 * order.c, what is charged to it gate.c, its turns with handlers turn.c.
 *
 * What a reader waits for, in the order it meets it:
 *
 *	may_read	nobody mutes it; not throttled, if coupled
 *	await_guarantee	small frames: that its own events are handled, when they fill
 *			its guarantee and the pool has no chunk for it
 *	reserve		the gate: memory, before the frame is read (R8: while it waits it
 *			holds nothing of the shared pool)
 *	put, place	the gate of those disciplines that count places, frame in hand
 *	turn		the same as may_read, for a frame that is there, with handlers;
 *			and a slot, where they are limited
 *
 * The end of the flow cancels each of these waits (R4).
 */
#include "config.h"

#include "locked.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int bp__flow_open(struct bp__flow *flow, struct bp__qdisc *q,
    const struct bp_conn_config *config, const atomic_bool *throttled)
{
	static const struct bp__key own = { .kind = BP__KEY_NONE };
	int rc = 0;

	memset(flow, 0, sizeof *flow);
	flow->peer = bp__peer_new(q, &own, config->weight);
	if (!flow->peer)
		return -ENOMEM;
	bp__lock(&q->lock);
	if (q->closed)
		rc = -EPIPE;
	else if (q->places >= q->places_max)
		rc = -EMFILE;
	if (rc == 0) {
		q->places++;
		q->live++;
		bp__peer_add_locked(q, flow->peer);
		bp__peer_ref_locked(q, flow->peer);
	}
	bp__unlock(&q->lock);
	if (rc < 0) {
		free(flow->peer);
		return rc;
	}
	flow->q = q;
	flow->couple = config->couple == BP_ON;
	atomic_init(&flow->band, config->band);
	flow->throttled = throttled;
	flow->in_place = true;
	atomic_init(&flow->refs, 1);
	bp__cond_init(&flow->reader_cond);
	bp__list_init(&flow->turn_link);
	bp__list_init(&flow->filled_link);
	bp__list_init(&flow->host_link);
	flow->asking.flow = flow;
	bp__qdisc_ref(q);
	return 0;
}

void bp__flow_abandon(struct bp__flow *flow)
{
	bp__lock(&flow->q->lock);
	flow->q->live--;
	flow->finished = true;
	bp__flow_leave_place_locked(flow);
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
	assert(flow->held == 0 && !flow->peer && !flow->first);
	bp__cond_fini(&flow->reader_cond);
	bp__qdisc_unref(flow->q);
}

/* ---- the reader --------------------------------------------------------- */

void bp__flow_wait_locked(struct bp__flow *flow)
{
	bp__consumers_rouse(&flow->q->chosen);
	bp__wait(&flow->reader_cond, &flow->q->lock);
}

void bp__flow_park_locked(struct bp__flow *flow)
{
	uint64_t since = bp__now_ns();

	flow->parked = true;
	bp__flow_wait_locked(flow);
	flow->parked = false;
	flow->parked_ns += bp__now_ns() - since;
}

bool bp__flow_open_still(const struct bp__flow *flow)
{
	return bp__flow_stage(flow) == BP__FLOW_OPEN;
}

int bp__flow_may_read(struct bp__flow *flow)
{
	bool open;

	/* most often nothing forbids it; no lock is needed to see that */
	if (bp__flow_stage(flow) == BP__FLOW_OPEN && atomic_load(&flow->mutes) == 0
	    && !(flow->couple && atomic_load(flow->throttled)))
		return 0;
	bp__lock(&flow->q->lock);
	while (bp__flow_stage(flow) == BP__FLOW_OPEN && bp__flow_passed_over_locked(flow))
		bp__flow_park_locked(flow);
	open = bp__flow_stage(flow) == BP__FLOW_OPEN;
	bp__unlock(&flow->q->lock);
	return open ? 0 : -EPIPE;
}

/* Wait for a place; false when the flow ends first. */
static bool pass_to_place_locked(struct bp__flow *flow, const struct bp__entry *entry)
    BP__REQUIRES(flow->q->lock)
{
	flow->asking.peer = entry->peer;
	flow->asking.item.cost = 1;
	flow->asking.item.band = entry->band;
	flow->asking.block = 0;
	return bp__flow_pass_gate_locked(flow);
}

/* One that takes a place of the discipline's, which it may have to wait for. */
static bool place_locked(struct bp__flow *flow, struct bp__entry *entry)
    BP__REQUIRES(flow->q->lock)
{
	if (entry->cost == 0)
		return true;
	/* when the flow ends while this waits the frame goes in all the same: it is in
	 * hand, so the bound holds, and the end waits for nobody */
	flow->wanting = true;
	entry->in_place = pass_to_place_locked(flow, entry);
	flow->wanting = false;
	return !bp__flow_cut_off(flow);
}

static void deliver_locked(struct bp__flow *flow, struct bp__entry *chain)
    BP__REQUIRES(flow->q->lock)
{
	bp__flow_append_locked(flow, chain);
	bp__flow_show_locked(flow);
}

void bp__flow_put(struct bp__flow *flow, struct bp__entry *chain)
{
	struct bp__qdisc *q = flow->q;
	struct bp__entry *entry;
	size_t cost = 0;

	for (entry = chain; entry; entry = entry->next)
		cost += entry->cost + entry->payload_cost;
	bp__lock(&q->lock);
	bp__flow_hand_over_locked(flow, cost);
	q->reading -= cost;
	if (!q->gate.ops->after_read && !bp__flow_cut_off(flow)) {
		if (chain)
			deliver_locked(flow, chain);
		chain = NULL;
	}
	while ((entry = chain) != NULL) {
		chain = entry->next;
		entry->next = NULL;
		if (entry->last || (!bp__flow_cut_off(flow)
		    && (!q->gate.ops->after_read || place_locked(flow, entry))))
			deliver_locked(flow, entry);
		else
			bp__flow_purge_entry_locked(flow, entry);
	}
	bp__qdisc_leave(q, flow);
}

/* ---- anyone ------------------------------------------------------------- */

void bp__flow_turn_back(struct bp__entry *entry, size_t cost, void *block, size_t size)
{
	uint64_t now = block ? bp__now_ns() : 0;
	struct bp__flow *flow = entry->flow;
	struct bp__peer *peer = entry->peer;
	struct bp__qdisc *q = flow->q;
	bool last = entry->last;

	/* while others of it are out nothing changes for anybody */
	if (atomic_fetch_sub(&flow->out, 1) > 1 && cost == 0 && !last)
		return;
	bp__lock(&q->lock);
	/* meanwhile its next may have been given out, or handled */
	if (atomic_load(&flow->out) == 0 && !bp__list_empty(&flow->turn_link)) {
		bp__list_remove(&flow->turn_link);
		bp__lasting_end(&q->busy, bp__about_now_ns());
	}
	q->moves++;
	if (last)
		flow->finished = true;
	if (block)
		bp__pool_give(&q->pool, block, size, now);
	bp__flow_uncharge_locked(flow, peer, cost);
	bp__flow_show_locked(flow);
	if (q->stopped)
		bp__consumers_look_locked(q);	/* is there anybody left to wait for? */
	bp__qdisc_leave(q, flow);
}

void bp__flow_note_wait(struct bp__flow *flow, uint64_t ns, uint64_t n)
{
	bp__histogram_record(&flow->q->waits, ns, n);
	bp__rough_record(&flow->waits, ns, (uint32_t)n);
}

bool bp__flow_turn_over(const struct bp__flow *flow)
{
	return atomic_load(&flow->out) == 0
	    && (atomic_load(&flow->queued) == 0 || !bp__flow_may_go_on(flow));
}

static void wake_parked_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	if (flow->parked
	    && (bp__flow_stage(flow) != BP__FLOW_OPEN || !bp__flow_passed_over_locked(flow)))
		bp__signal(&flow->reader_cond);
}

/*
 * A flow that breaks while it is muted, or is muted once it is broken, is cut for
 * good: an unmute later must not let the rest through behind a gap.
 */
static void set_stage_locked(struct bp__flow *flow, enum bp__flow_stage stage)
    BP__REQUIRES(flow->q->lock)
{
	if (stage == BP__FLOW_BROKEN && atomic_load(&flow->mutes) > 0)
		stage = BP__FLOW_CUT;
	atomic_store_explicit(&flow->stage, (int)stage, memory_order_release);
	if (stage == BP__FLOW_CUT)
		bp__flow_purge_locked(flow);
	bp__flow_show_locked(flow);
	if (flow->parked || flow->asking.waiting || flow->crowded > 0)
		bp__signal(&flow->reader_cond);
}

void bp__flow_unmuted_locked(struct bp__flow *flow)
{
	uint64_t now = bp__now_ns();

	flow->muted_ns += now - flow->muted_since_ns;
	bp__lasting_end(&flow->q->muting, now);
}

void bp__flows_cut_muted_locked(struct bp__qdisc *q)
{
	struct bp__list *link, *next;
	struct bp__flow *flow;

	for (link = q->filled.next; link != &q->filled; link = next) {
		next = link->next;
		flow = bp__container_of(link, struct bp__flow, filled_link);
		if (atomic_load(&flow->mutes) > 0)
			set_stage_locked(flow, BP__FLOW_CUT);
	}
}

void bp__flow_mute(struct bp__flow *flow)
{
	struct bp__qdisc *q = flow->q;

	bp__lock(&q->lock);
	if (!flow->finished && atomic_fetch_add(&flow->mutes, 1) == 0) {
		flow->muted_since_ns = bp__now_ns();
		bp__lasting_begin(&q->muting, flow->muted_since_ns);
		if (bp__flow_stage(flow) == BP__FLOW_BROKEN)
			set_stage_locked(flow, BP__FLOW_CUT);
		else if (!bp__flow_next_is_last(flow))
			bp__flow_hide_locked(flow);
		if (flow->parked && bp__flow_stage(flow) != BP__FLOW_OPEN)
			bp__signal(&flow->reader_cond);	/* it waits in vain now */
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
		bp__flow_unmuted_locked(flow);
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
	if (stage > bp__flow_stage(flow))
		set_stage_locked(flow, stage);
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
