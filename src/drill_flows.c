/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill_flows.c - see drill_flows.h. What is done here to a discipline is what gate.c,
 * order.c and peer.c do to it, without their threads.
 */
#include "config.h"

#include "drill_flows.h"

#include <stdlib.h>

enum { FRAMES = 4, RING = 8, KEPT = 64 };	/* a ring has room for ENDED and CLOSED */

struct frame {
	struct bp_item item;		/* cost 0: OPENED, ENDED or CLOSED */
	struct bp__model_peer *peer;	/* whom it is charged to, or NULL */
	bool last;			/* CLOSED */
	bool in_place;			/* after_read: has a place, until it is taken */
};

struct flow {
	bool open, ending, muted, out;
	enum { IDLE, ASKING, READING } reader;
	struct bp__model_peer *peer;
	struct bp__model_item *asking, *shown;
	struct frame hand;		/* what the reader asks for, or reads */
	struct frame frames[RING];
	unsigned first, n;
	struct frame event;		/* that is out */
};

struct bp__flows {
	struct bp__model model;		/* first: bp__flows_model() */
	struct flow flows[BP__FLOWS];
	struct kept {
		struct bp__model_peer *peer;
		size_t cost;
	} kept[KEPT];
	unsigned n_kept, n_open;
	unsigned open_max, kept_of_8;
};

/* ---- the queue of a flow ------------------------------------------------ */

static struct frame *oldest(struct flow *flow)
{
	return &flow->frames[flow->first % RING];
}

static void show(struct bp__flows *all, struct flow *flow)
{
	const struct frame *frame = oldest(flow);

	if (flow->n == 0 || flow->shown || flow->out || (flow->muted && !frame->last))
		return;
	flow->shown = bp__model_put(&all->model, frame->peer ? frame->peer : flow->peer,
	    &frame->item, flow);
}

static void hide(struct bp__flows *all, struct flow *flow)
{
	if (flow->shown)
		bp__model_remove(&all->model, flow->shown);
	flow->shown = NULL;
}

static void append(struct bp__flows *all, struct flow *flow, struct frame frame)
{
	frame.item.seq = all->model.seq++;
	frame.item.arrived_ns = all->model.now_ns;
	flow->frames[(flow->first + flow->n++) % RING] = frame;
	show(all, flow);
}

static struct frame shift(struct flow *flow)
{
	struct frame frame = *oldest(flow);

	flow->first++;
	flow->n--;
	return frame;
}

static void tell(struct bp__flows *all, struct flow *flow, bool last)
{
	append(all, flow, (struct frame){ .last = last });
}

static void drop(struct bp__flows *all, const struct frame *frame)
{
	if (frame->in_place)
		bp__model_release_place(&all->model, frame->peer);
	if (frame->peer)
		bp__model_release(&all->model, frame->peer, frame->item.cost);
}

/* ---- its reader --------------------------------------------------------- */

static void granted(struct bp__model_item *item)
{
	struct flow *flow = item->owner;

	if (!flow)		/* a try */
		return;
	flow->reader = READING;
	flow->asking = NULL;
}

static bool ask(struct bp__flows *all, struct flow *flow)
{
	struct bp__model *model = &all->model;
	bool after_read = model->ops->after_read;
	size_t cost = bp__model_some_cost(model);
	struct bp__model_item *item;

	if (!flow->open || flow->reader != IDLE || flow->ending || flow->muted
	    || flow->n >= FRAMES || !bp__model_may_ask(model, cost))
		return false;
	flow->hand = (struct frame){ .peer = flow->peer, .in_place = after_read };
	flow->hand.item.cost = cost;
	flow->hand.item.len = cost > BP__OVERHEAD ? cost - BP__OVERHEAD : 0;
	flow->hand.item.band = bp__model_some_band(model);
	if (after_read)
		bp__model_charge(model, flow->peer, cost);
	flow->reader = ASKING;
	item = bp__model_ask(model, flow->peer, after_read ? 1 : cost,
	    flow->hand.item.band, flow);
	if (flow->reader == ASKING)
		flow->asking = item;
	return true;
}

static bool deliver(struct bp__flows *all, struct flow *flow)
{
	if (flow->reader != READING)
		return false;
	flow->reader = IDLE;
	append(all, flow, flow->hand);
	return true;
}

/* The reader waits no longer. What it has in hand already is left to it. */
static void give_up(struct bp__flows *all, struct flow *flow)
{
	struct bp__model_item *item = flow->asking;

	if (flow->reader != ASKING)
		return;
	flow->reader = all->model.ops->after_read ? READING : IDLE;
	flow->hand.in_place = false;
	flow->asking = NULL;
	bp__model_cancel(&all->model, item);
}

static void keep(struct bp__flows *all, struct bp__model_peer *peer, size_t cost)
{
	all->kept[all->n_kept++] = (struct kept){ peer, cost };
}

/* Room at once or not at all: for a chunk, or for the copy of a payload. */
static bool try(struct bp__flows *all, struct flow *flow)
{
	struct bp__model *model = &all->model;
	size_t cost = bp__model_some_cost(model);
	struct bp__model_item *item;

	if (!flow->open || all->n_kept == KEPT || model->ops->after_read
	    || !bp__model_may_ask(model, cost))
		return false;
	item = bp__model_ask(model, flow->peer, cost, bp__model_some_band(model), NULL);
	if (item->where == BP__GRANTED)
		keep(all, item->peer, cost);
	else
		bp__model_cancel(model, item);
	return true;
}

/* ---- consumers ---------------------------------------------------------- */

/* Would our own disciplines have taken another one of those that are shown? */
static void check_taken(struct bp__flows *all, const struct bp_item *taken)
{
	bool prio = all->model.ops == &bp_qdisc_prio && all->model.config->min_share == 0;
	const struct bp_item *other;

	if (!prio && all->model.ops->take != bp_qdisc_bytes.take)
		return;
	for (int i = 0; i < BP__FLOWS; i++) {
		if (!all->flows[i].shown)
			continue;
		other = &all->flows[i].shown->own;
		if (prio && other->band != taken->band ? other->band < taken->band
		    : other->seq < taken->seq)
			bp__model_break(&all->model, "take passed by one that is before");
	}
}

static bool take(struct bp__flows *all)
{
	struct bp__model_item *item = bp__model_take(&all->model);
	struct flow *flow;

	if (!item)
		return false;
	check_taken(all, &item->own);
	flow = item->owner;
	flow->shown = NULL;
	/* throttled since it was put: it stays, and is put again later */
	if (!oldest(flow)->last && bp__model_one_in(&all->model, 32)) {
		flow->muted = true;
		return true;
	}
	flow->event = shift(flow);
	flow->out = true;
	if (flow->event.in_place)
		bp__model_release_place(&all->model, flow->event.peer);
	return true;
}

static bool handle(struct bp__flows *all, struct flow *flow)
{
	struct bp__model *model = &all->model;
	struct frame *event = &flow->event;
	size_t cost = event->item.cost;
	size_t overhead = cost < BP__OVERHEAD ? cost : BP__OVERHEAD;

	if (!flow->out)
		return false;
	flow->out = false;
	if (cost > overhead && all->n_kept < KEPT
	    && bp__model_below(model, 8) < all->kept_of_8)
		keep(all, event->peer, cost - overhead);
	else if (cost > overhead)
		bp__model_release(model, event->peer, cost - overhead);
	if (cost > 0)
		bp__model_release(model, event->peer, overhead);
	if (event->last) {
		flow->open = false;
		all->n_open--;
		bp__model_peer_unref(model, flow->peer);
	}
	show(all, flow);
	return true;
}

static bool free_kept(struct bp__flows *all)
{
	struct kept *kept, gone;

	if (all->n_kept == 0)
		return false;
	kept = &all->kept[bp__model_below(&all->model, all->n_kept)];
	gone = *kept;
	*kept = all->kept[--all->n_kept];
	bp__model_release(&all->model, gone.peer, gone.cost);
	return true;
}

/* ---- the life of a flow ------------------------------------------------- */

/* With a reference: a new one, or that of another flow. */
static struct bp__model_peer *some_peer(struct bp__flows *all)
{
	static const unsigned weights[] = { 1, 16, 64, 64, 64, 64, 128, 1024 };
	struct bp__model *model = &all->model;
	struct flow *other = &all->flows[bp__model_below(model, BP__FLOWS)];

	if (other->open && bp__model_one_in(model, 2)) {
		bp__model_peer_ref(model, other->peer);
		return other->peer;
	}
	return bp__model_peer_new(model, weights[bp__model_below(model, 8)]);
}

static bool begin(struct bp__flows *all, struct flow *flow)
{
	struct bp__model_peer *peer;

	if (flow->open || all->n_open >= all->open_max
	    || (peer = some_peer(all)) == NULL)
		return false;
	*flow = (struct flow){ .open = true, .peer = peer };
	all->n_open++;
	tell(all, flow, false);
	return true;
}

/* From the next frame on it belongs to another. */
static bool move(struct bp__flows *all, struct flow *flow)
{
	struct bp__model_peer *before = flow->peer, *peer;

	if (!flow->open || (peer = some_peer(all)) == NULL)
		return false;
	flow->peer = peer;
	bp__model_peer_unref(&all->model, before);
	bp__model_set_weight(peer, 1 + bp__model_below(&all->model, 1024));
	return true;
}

/* What was read is delivered, then perhaps ENDED, then CLOSED. */
static bool end(struct bp__flows *all, struct flow *flow)
{
	if (!flow->open || flow->ending)
		return false;
	flow->ending = true;
	give_up(all, flow);
	deliver(all, flow);
	if (bp__model_one_in(&all->model, 2))
		tell(all, flow, false);
	tell(all, flow, true);
	return true;
}

/* Nothing is delivered but CLOSED. */
static bool cut(struct bp__flows *all, struct flow *flow)
{
	struct frame frame;

	if (!flow->open || flow->ending)
		return false;
	flow->ending = true;
	give_up(all, flow);
	hide(all, flow);
	if (flow->reader == READING)
		drop(all, &flow->hand);
	flow->reader = IDLE;
	while (flow->n > 0) {
		frame = shift(flow);
		drop(all, &frame);
	}
	tell(all, flow, true);
	return true;
}

static bool mute(struct bp__flows *all, struct flow *flow)
{
	if (!flow->open || flow->muted)
		return false;
	flow->muted = true;
	if (flow->shown && !oldest(flow)->last)
		hide(all, flow);
	return true;
}

static bool unmute(struct bp__flows *all, struct flow *flow)
{
	if (!flow->muted)
		return false;
	flow->muted = false;
	show(all, flow);
	return true;
}

/* ---- all of them -------------------------------------------------------- */

bool bp__flows_act(struct bp__flows *all, enum bp__act act)
{
	static bool (*const acts[BP__ACTS])(struct bp__flows *, struct flow *) = {
		[BP__OPEN] = begin, [BP__ASK] = ask, [BP__READ] = deliver,
		[BP__TRY] = try, [BP__HANDLE] = handle, [BP__MUTE] = mute,
		[BP__UNMUTE] = unmute, [BP__MOVE] = move, [BP__END] = end, [BP__CUT] = cut,
	};
	unsigned first = bp__model_below(&all->model, BP__FLOWS), i;

	if (act == BP__TAKE)
		return take(all);
	if (act == BP__LET_GO)
		return free_kept(all);
	for (i = 0; i < BP__FLOWS; i++)
		if (acts[act](all, &all->flows[(first + i) % BP__FLOWS]))
			return true;
	return false;
}

void bp__flows_set_mood(struct bp__flows *all, unsigned open_max, unsigned kept_of_8)
{
	all->open_max = open_max;
	all->kept_of_8 = kept_of_8;
}

struct bp__flows *bp__flows_new(const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *config, unsigned seed, char *rule, size_t size)
{
	struct bp__flows *all = calloc(1, sizeof *all);

	if (all) {
		bp__model_init(&all->model, ops, config, seed, rule, size);
		all->model.granted = granted;
	}
	return all;
}

void bp__flows_free(struct bp__flows *all)
{
	bp__model_fini(&all->model);
	free(all);
}
