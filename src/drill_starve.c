/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill_starve.c - is anybody passed by for ever? A crowd that wants the same again
 * as soon as it has been served: in one band, with weights and sizes of its own each,
 * so that whoever is always the worse choice (the largest, the smallest, the latest)
 * is there all the time.
 *
 * The limit is a generous one: a discipline that shares bytes by weight lets the
 * largest be passed some 700 times here, one that is first come first served twelve.
 */
#include "config.h"

#include "drill_model.h"

#include <string.h>

enum { CROWD = 12, PASSED_MAX = 2048, TURNS = 3000, HELD_MAX = 512 };
#define SIZES 32		/* the largest is so many times the smallest */
#define WEIGHT 32		/* the least; the others have up to twice that */
#define ORDER_MAX ((size_t)32 << 10)
#define TURN_NS 1000000

struct crowd {
	struct bp__model *model;
	unsigned band;
	struct bp__model_peer *peers[CROWD];
	size_t costs[CROWD];
	struct bp__model_item *items[CROWD];	/* the last that was asked or put */
	struct {
		struct bp__model_peer *peer;
		size_t cost;
	} held[HELD_MAX];			/* granted, the first the longest ago */
	unsigned first, n_held;
};

static void gather(struct crowd *crowd, struct bp__model *model, size_t largest)
{
	unsigned odd = bp__model_below(model, CROWD), i;
	size_t least = largest / SIZES;

	memset(crowd, 0, sizeof *crowd);
	crowd->model = model;
	crowd->band = bp__model_some_band(model);
	for (i = 0; i < CROWD; i++) {
		crowd->peers[i] = bp__model_peer_new(model, i == odd ? WEIGHT
		    : WEIGHT + bp__model_below(model, WEIGHT + 1));
		crowd->costs[i] = i == odd ? largest : 1 + least + least * i / CROWD;
	}
}

static void dismiss(struct crowd *crowd)
{
	for (unsigned i = 0; i < CROWD && !crowd->model->broken; i++)
		bp__model_peer_unref(crowd->model, crowd->peers[i]);
}

static void check_passed(struct crowd *crowd, enum bp__where where, uint64_t served,
    const char *what)
{
	const struct bp__model_item *item;

	for (unsigned i = 0; i < CROWD; i++) {
		item = crowd->items[i];
		if (item && item->where == where && served - item->since > PASSED_MAX)
			bp__model_break(crowd->model, "an item of %zu bytes starves: "
			    "it was passed %u times %s", item->own.cost,
			    (unsigned)PASSED_MAX, what);
	}
}

/* ---- the order ---------------------------------------------------------- */

static void put(struct crowd *crowd, unsigned i)
{
	struct bp__model *model = crowd->model;
	struct bp_item like = {
		.cost = crowd->costs[i], .len = crowd->costs[i], .band = crowd->band,
		.seq = model->seq++, .arrived_ns = model->now_ns += TURN_NS,
	};

	crowd->items[i] = bp__model_put(model, crowd->peers[i], &like,
	    &crowd->items[i]);
}

static void check_order(struct crowd *crowd)
{
	struct bp__model *model = crowd->model;
	struct bp__model_item *item = NULL;
	unsigned i;

	for (i = 0; i < CROWD; i++)
		put(crowd, i);
	for (i = 0; i < TURNS && (item = bp__model_take(model)) != NULL; i++) {
		put(crowd, (unsigned)((struct bp__model_item **)item->owner
		    - crowd->items));
		check_passed(crowd, BP__PUT, model->takes, "in the order");
	}
	while (bp__model_take(model))
		;
}

/* ---- the gate ----------------------------------------------------------- */

static void hold(struct bp__model_item *item)
{
	struct crowd *crowd = item->owner;
	unsigned end = (crowd->first + crowd->n_held++) % HELD_MAX;

	crowd->held[end].peer = item->peer;
	crowd->held[end].cost = item->own.cost;
}

static void give_back(struct crowd *crowd)
{
	unsigned i = crowd->first++ % HELD_MAX;

	crowd->n_held--;
	if (crowd->model->ops->after_read)
		bp__model_release_place(crowd->model, crowd->held[i].peer);
	else
		bp__model_release(crowd->model, crowd->held[i].peer,
		    crowd->held[i].cost);
}

static void ask(struct crowd *crowd, unsigned i)
{
	struct bp__model *model = crowd->model;

	if (crowd->items[i] && crowd->items[i]->where == BP__ASKED)
		return;
	if (crowd->n_held + model->asked == HELD_MAX || model->broken)
		return;
	crowd->items[i] = bp__model_ask(model, crowd->peers[i],
	    model->ops->after_read ? 1 : crowd->costs[i], crowd->band, crowd);
}

static void check_gate(struct crowd *crowd)
{
	struct bp__model *model = crowd->model;
	unsigned turn, i;

	model->granted = hold;
	for (turn = 0; turn < TURNS && !model->broken; turn++) {
		for (i = 0; i < CROWD; i++)
			ask(crowd, i);
		check_passed(crowd, BP__ASKED, model->grants, "at the gate");
		if (crowd->n_held > 0)
			give_back(crowd);
	}
	while (crowd->n_held > 0 && !model->broken)
		give_back(crowd);
}

void bp__model_check_starving(struct bp__model *model)
{
	void (*granted)(struct bp__model_item *) = model->granted;
	struct crowd crowd;

	if (model->has_order && !model->broken) {
		gather(&crowd, model, model->cost_max < ORDER_MAX ? model->cost_max
		    : ORDER_MAX);
		if (!model->broken)
			check_order(&crowd);
		dismiss(&crowd);
	}
	if (model->has_gate && !model->broken) {
		gather(&crowd, model, model->cost_max);
		if (!model->broken)
			check_gate(&crowd);
		dismiss(&crowd);
	}
	model->granted = granted;
}
