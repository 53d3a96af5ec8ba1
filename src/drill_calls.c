/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill_calls.c - each call of a discipline, and what is to be said of its answer.
 * What it returns is compared with what it was given before anything is read through
 * it, so that even a pointer to nowhere is only a broken rule.
 */
#include "config.h"

#include "drill_model.h"

/* ---- items -------------------------------------------------------------- */

static bool with_discipline(const struct bp__model_item *item)
{
	return item->where == BP__ASKED || item->where == BP__PUT;
}

static struct bp__model_item *give_item(struct bp__model *model,
    struct bp__model_peer *peer, enum bp__where where, const struct bp_item *like,
    void *owner)
{
	struct bp__model_item *item;

	do
		item = &model->items[model->next_item++ % BP__MODEL_ITEMS];
	while (with_discipline(item));
	item->item = *like;
	item->item.peer = &peer->peer;
	item->item.key = 0;
	for (int i = 0; i < 3; i++)
		item->item.link[i] = &model->nobodys;
	item->own = item->item;
	item->peer = peer;
	item->where = where;
	item->owner = owner;
	bp__model_peer_ref(model, peer);
	return item;
}

/* Which of ours it is that was returned, if it is one that could be. */
static struct bp__model_item *returned(struct bp__model *model, struct bp_item *item,
    enum bp__where expected, const char *function)
{
	static const char *const what_it_is[] = {
		[BP__FRESH] = "that it was never given",
		[BP__ASKED] = "that waits at the gate",
		[BP__GRANTED] = "that was granted before",
		[BP__CANCELLED] = "that was cancelled",
		[BP__PUT] = "of the order",
		[BP__TAKEN] = "that was taken before",
		[BP__REMOVED] = "that was removed",
	};
	size_t offset = (size_t)((uintptr_t)item - (uintptr_t)model->items);
	struct bp__model_item *found;

	if (offset >= sizeof model->items || offset % sizeof *found != 0) {
		bp__model_break(model, "%s returned what is no item", function);
		return NULL;
	}
	found = &model->items[offset / sizeof *found];
	if (found->where != expected) {
		bp__model_break(model, "%s returned an item %s", function,
		    what_it_is[found->where]);
		return NULL;
	}
	if (found->item.peer != found->own.peer || found->item.cost != found->own.cost
	    || found->item.len != found->own.len || found->item.band != found->own.band
	    || found->item.seq != found->own.seq
	    || found->item.arrived_ns != found->own.arrived_ns) {
		bp__model_break(model, "an item was changed: only key and link are the "
		    "discipline's");
		return NULL;
	}
	return found;
}

/* ---- the gate ----------------------------------------------------------- */

/* The one request of that peer; looked for where something follows from it. */
static struct bp__model_item *find_alone(struct bp__model *model,
    const struct bp__model_peer *peer)
{
	struct bp__model_item *item = model->items;

	if (!model->lanes || peer->asked != 1)
		return NULL;
	while (item->where != BP__ASKED || item->peer != peer)
		item++;
	return item;
}

static void leave_gate(struct bp__model *model, struct bp__model_item *item,
    enum bp__where where)
{
	item->where = where;
	item->peer->asked--;
	item->peer->alone = find_alone(model, item->peer);
	model->asked--;
}

static void grant(struct bp__model *model, struct bp__model_item *item)
{
	leave_gate(model, item, BP__GRANTED);
	model->grants++;
	if (!model->ops->after_read || !model->has_gate)
		bp__model_charge(model, item->peer, item->own.cost);
	else if (++model->places > model->places_max)
		bp__model_break(model, "grant exceeded the places: %zu are taken",
		    model->places);
	bp__model_peer_drop(model, item->peer);
	if (model->granted)
		model->granted(item);
}

/* What holds of ours: who stays within the guarantee does not wait for the pool. */
static void check_lane(struct bp__model *model, const struct bp__model_peer *peer)
{
	if (!model->lanes || model->broken)
		return;
	if (model->asked > 0 && model->shared == 0)
		bp__model_break(model, "grant returned NULL while %u wait and nothing of "
		    "the pool is held", model->asked);
	if (peer->alone && peer->own.held + peer->alone->own.cost <= peer->own.guarantee)
		bp__model_break(model, "grant returned NULL while one waits that fits its "
		    "guarantee");
}

static void pump(struct bp__model *model)
{
	struct bp__model_item *item;
	struct bp_item *got;

	while (!model->broken && model->has_gate
	    && (got = model->ops->grant(model->q)) != NULL) {
		item = returned(model, got, BP__ASKED, "grant");
		if (item)
			grant(model, item);
	}
	if (model->asked > 0
	    && (model->ops->after_read ? model->places : model->held) == 0)
		bp__model_break(model, "grant returned NULL while %u wait and nothing is "
		    "held", model->asked);
}

bool bp__model_may_ask(const struct bp__model *model, size_t cost)
{
	return model->has_gate || cost <= model->budget - model->held;
}

struct bp__model_item *bp__model_ask(struct bp__model *model,
    struct bp__model_peer *peer, size_t cost, unsigned band, void *owner)
{
	struct bp_item like = { .cost = cost, .band = band, .seq = model->asks++ };
	struct bp__model_item *item =
	    give_item(model, peer, BP__ASKED, &like, owner);

	item->since = model->grants;
	model->asked++;
	peer->alone = peer->asked++ == 0 ? item : NULL;
	if (!model->has_gate) {
		grant(model, item);
	} else if (!model->broken) {
		model->ops->ask(model->q, &item->item);
		pump(model);
		check_lane(model, peer);
	}
	return item;
}

void bp__model_cancel(struct bp__model *model, struct bp__model_item *item)
{
	leave_gate(model, item, BP__CANCELLED);
	if (!model->broken)
		model->ops->cancel(model->q, &item->item);
	bp__model_peer_drop(model, item->peer);
	pump(model);
	check_lane(model, item->peer);
	bp__model_bury(item->peer);
}

void bp__model_release(struct bp__model *model, struct bp__model_peer *peer,
    size_t cost)
{
	if (cost == 0)
		return;
	bp__model_uncharge(model, peer, cost);
	if (model->has_gate && !model->ops->after_read && !model->broken)
		model->ops->release(model->q, &peer->peer, cost);
	bp__model_peer_check(model, peer);
	pump(model);
	check_lane(model, peer);
	bp__model_bury(peer);
}

void bp__model_release_place(struct bp__model *model, struct bp__model_peer *peer)
{
	model->places--;
	if (!model->broken)
		model->ops->release(model->q, &peer->peer, 1);
	pump(model);
}

/* ---- the order ---------------------------------------------------------- */

struct bp__model_item *bp__model_put(struct bp__model *model,
    struct bp__model_peer *peer, const struct bp_item *like, void *owner)
{
	struct bp__model_item *item = give_item(model, peer, BP__PUT, like, owner);

	model->put++;
	item->since = model->takes;
	if (!model->has_order)
		bp_heap_push(&model->queue, &item->item);
	else if (!model->broken)
		model->ops->put(model->q, &item->item);
	return item;
}

struct bp__model_item *bp__model_take(struct bp__model *model)
{
	struct bp__model_item *item;
	struct bp_item *got;

	if (model->broken)
		return NULL;
	got = model->has_order ? model->ops->take(model->q)
	    : bp_heap_pop(&model->queue);
	if (!got) {
		if (model->put > 0)
			bp__model_break(model, "take returned NULL while there are %u "
			    "items", model->put);
		return NULL;
	}
	item = returned(model, got, BP__PUT, "take");
	if (!item)
		return NULL;
	item->where = BP__TAKEN;
	model->put--;
	model->takes++;
	bp__model_peer_unref(model, item->peer);
	return item;
}

void bp__model_remove(struct bp__model *model, struct bp__model_item *item)
{
	item->where = BP__REMOVED;
	model->put--;
	if (!model->has_order)
		bp_heap_remove(&model->queue, &item->item);
	else if (!model->broken)
		model->ops->remove(model->q, &item->item);
	bp__model_peer_unref(model, item->peer);
}

void bp__model_check_empty(struct bp__model *model)
{
	size_t cost = model->ops->after_read ? 1 : model->cost_max;
	struct bp__model_peer *peer = NULL;

	pump(model);
	bp__model_take(model);
	if (!model->broken)
		peer = bp__model_peer_new(model, 1);
	if (!peer)
		return;
	/* it is granted, or pump() has said what is wrong */
	bp__model_ask(model, peer, cost, bp__model_some_band(model), NULL);
	if (!model->broken && model->ops->after_read)
		bp__model_release_place(model, peer);
	else if (!model->broken)
		bp__model_release(model, peer, cost);
	bp__model_peer_unref(model, peer);
}
