/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.c - a flow's turns where its reader calls handlers.
 *
 * Without a limit a reader needs nobody's leave but its own flow's. With handlers_max
 * there are so many slots. A reader with a frame in hand shows it to the discipline,
 * whose order says who gets a slot that is free: itself at once if nobody was ready,
 * so no thread is switched then. A turn is a quantum: its holder goes on with whole
 * frames it has read, and what it handled beyond the frame it showed it owes: that is
 * added to the cost of the next one.
 */
#include "config.h"

#include "locked.h"

static void begin_turn_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	atomic_store(&flow->out, 1);
	bp__lasting_begin(&flow->q->busy, bp__about_now_ns());
}

static void end_turn_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	atomic_store(&flow->out, 0);
	bp__lasting_end(&flow->q->busy, bp__about_now_ns());
}

void bp__qdisc_fill_slots_locked(struct bp__qdisc *q)
{
	struct bp__flow *flow;

	while (q->slots_used < q->slots_max
	    && (flow = bp__qdisc_next_locked(q)) != NULL) {
		q->slots_used++;
		begin_turn_locked(flow);
		if (flow->parked)
			bp__signal(&flow->reader_cond);
	}
}

/* It has ended, and what it waits with cannot be delivered at once: lost with it. */
static bool hopeless_locked(const struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	if (flow->wish.last)
		return false;
	return bp__flow_cut_off(flow) || (bp__flow_stage(flow) != BP__FLOW_OPEN
	    && bp__flow_passed_over_locked(flow));
}

/* It was muted, throttled or cut after it was given the slot, before it ran. */
static bool forbidden_locked(const struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	return !flow->wish.last
	    && (bp__flow_cut_off(flow) || bp__flow_passed_over_locked(flow));
}

static void give_slot_back_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	flow->q->slots_used--;
	bp__qdisc_fill_slots_locked(flow->q);
}

static void await_slot_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	do {
		bp__flow_show_locked(flow);
		while (atomic_load(&flow->out) == 0 && !hopeless_locked(flow))
			bp__flow_park_locked(flow);
		if (atomic_load(&flow->out) > 0 && forbidden_locked(flow)) {
			end_turn_locked(flow);
			give_slot_back_locked(flow);
		}
	} while (atomic_load(&flow->out) == 0 && !hopeless_locked(flow));
	bp__flow_hide_locked(flow);
}

static void await_leave_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock)
{
	while (!flow->wish.last && !hopeless_locked(flow)
	    && bp__flow_passed_over_locked(flow))
		bp__flow_park_locked(flow);
	if (!hopeless_locked(flow))
		begin_turn_locked(flow);
}

static void count_locked(struct bp__flow *flow, uint64_t bytes, uint64_t frames)
    BP__REQUIRES(flow->q->lock)
{
	flow->q->received_bytes += bytes;
	flow->q->received_events += frames;
	flow->q->dequeued_events += frames;
	flow->received_bytes += bytes;
	flow->received_frames += frames;
}

int bp__flow_turn(struct bp__flow *flow, const struct bp__wish *wish,
    size_t payload_cost)
{
	struct bp__qdisc *q = flow->q;
	bool mine;

	bp__lock(&q->lock);
	bp__flow_hand_over_locked(flow, payload_cost);
	q->reading -= payload_cost;
	flow->wish = *wish;
	flow->wanting = true;
	if (q->slots_max > 0)
		await_slot_locked(flow);
	else
		await_leave_locked(flow);
	flow->wanting = false;
	mine = atomic_load(&flow->out) > 0;
	q->moves++;
	/* before a handler that may hang; what it finds behind that at the end */
	if (mine && wish->cost > 0)
		count_locked(flow, wish->len, 1);
	if (mine && wish->last) {
		q->live--;
		bp__qdisc_dispatch_locked(q);
	}
	bp__qdisc_leave(q, flow);
	return mine ? 0 : -EPIPE;
}

void bp__flow_turn_end(struct bp__flow *flow, uint64_t bytes, uint64_t frames,
    bool last)
{
	struct bp__qdisc *q = flow->q;
	size_t cost = (size_t)(bytes + frames * BP__EVENT_COST);

	bp__lock(&q->lock);
	end_turn_locked(flow);
	flow->owed = cost > flow->wish.cost ? cost - flow->wish.cost : 0;
	if (flow->wish.cost > 0)
		count_locked(flow, bytes - flow->wish.len, frames - 1);
	else
		count_locked(flow, bytes, frames);
	q->moves++;
	if (q->slots_max > 0)
		give_slot_back_locked(flow);
	if (last) {
		flow->finished = true;
		bp__flow_leave_place_locked(flow);
	}
	bp__qdisc_leave(q, flow);
}

bool bp__flow_may_go_on(const struct bp__flow *flow)
{
	enum bp__flow_stage stage = bp__flow_stage(flow);

	return stage < BP__FLOW_CUT && atomic_load(&flow->mutes) == 0
	    && !(flow->couple && stage < BP__FLOW_BROKEN
	    && atomic_load(flow->throttled));
}

bool bp__flow_is_waited_for(const struct bp__flow *flow)
{
	return flow->q->slots_max > 0 && atomic_load(&flow->q->shown) > 0;
}
