/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill_model.c - see drill_model.h: what there is before anything is asked, peers, and
 * what is charged to them. The calls are in drill_calls.c.
 */
#include "config.h"

#include "drill_model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COST_MAX ((size_t)16 << 20)	/* where no budget limits it */

void bp__model_break(struct bp__model *model, const char *format, ...)
{
	va_list values;

	if (model->broken)
		return;
	model->broken = true;
	va_start(values, format);
	if (model->rule_size > 0)
		vsnprintf(model->rule, model->rule_size, format, values);
	va_end(values);
}

/* ---- numbers ------------------------------------------------------------ */

/* splitmix64 (Steele, Lea, Flood, 2014) */
uint64_t bp__model_random(struct bp__model *model)
{
	uint64_t z = model->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

unsigned bp__model_below(struct bp__model *model, unsigned limit)
{
	return (unsigned)((bp__model_random(model) >> 32) * limit >> 32);
}

bool bp__model_one_in(struct bp__model *model, unsigned n)
{
	return bp__model_below(model, n) == 0;
}

/* Most are small. How many are not, up to the largest there can be, is a mood. */
size_t bp__model_some_cost(struct bp__model *model)
{
	unsigned kind = bp__model_below(model, 32);
	size_t cost = BP__OVERHEAD;

	if (kind < model->large_of_32)
		cost = model->cost_max >> bp__model_below(model, 5);
	else if (kind < 24)
		cost += bp__model_below(model, 4 << 10);
	else
		cost += bp__model_below(model, 64 << 10);
	if (cost > model->cost_max)
		cost = model->cost_max;
	return cost > 0 ? cost : 1;
}

unsigned bp__model_some_band(struct bp__model *model)
{
	unsigned bands = model->config->bands;

	return bp__model_below(model, bands ? bands : 1);
}

/* ---- peers -------------------------------------------------------------- */

static void seek_guarantee(struct bp__model *model, struct bp__model_peer *peer)
{
	if (peer->own.guarantee > 0 || model->guarantees == 0)
		return;
	model->guarantees--;
	peer->own.guarantee = peer->peer.guarantee = model->config->guarantee;
}

struct bp__model_peer *bp__model_peer_new(struct bp__model *model, unsigned weight)
{
	size_t size = model->ops->peer_size;
	struct bp__model_peer *peer = model->peers;

	while (peer < model->peers + BP__MODEL_PEERS && peer->there)
		peer++;
	if (peer == model->peers + BP__MODEL_PEERS || model->broken)
		return NULL;
	memset(peer, 0, sizeof *peer);
	peer->peer.state = calloc(1, size ? size : 1);
	if (!peer->peer.state) {
		bp__model_break(model, "there is no memory for a peer");
		return NULL;
	}
	peer->peer.weight = weight;
	peer->own = peer->peer;
	peer->there = true;
	peer->refs = 1;
	seek_guarantee(model, peer);
	return peer;
}

/* As in the library: one that found no guarantee may find it later, holding nothing. */
void bp__model_peer_ref(struct bp__model *model, struct bp__model_peer *peer)
{
	peer->refs++;
	if (peer->own.held == 0)
		seek_guarantee(model, peer);
}

void bp__model_peer_check(struct bp__model *model, struct bp__model_peer *peer)
{
	if (peer->peer.state != peer->own.state || peer->peer.held != peer->own.held
	    || peer->peer.weight != peer->own.weight
	    || peer->peer.guarantee != peer->own.guarantee)
		bp__model_break(model, "a peer was changed: only what its state points "
		    "to is the discipline's");
	if (peer->refs > 0 || peer->own.held > 0)
		return;
	if (model->ops->peer_gone && !model->broken)
		model->ops->peer_gone(model->q, &peer->peer);
	if (peer->own.guarantee > 0)
		model->guarantees++;
	peer->gone = true;
}

void bp__model_peer_drop(struct bp__model *model, struct bp__model_peer *peer)
{
	peer->refs--;
	bp__model_peer_check(model, peer);
}

void bp__model_bury(struct bp__model_peer *peer)
{
	if (!peer->gone)
		return;
	free(peer->own.state);
	peer->there = peer->gone = false;
}

void bp__model_peer_unref(struct bp__model *model, struct bp__model_peer *peer)
{
	bp__model_peer_drop(model, peer);
	bp__model_bury(peer);
}

void bp__model_set_weight(struct bp__model_peer *peer, unsigned weight)
{
	peer->own.weight = peer->peer.weight = weight;
}

/* ---- charges ------------------------------------------------------------ */

static size_t above_guarantee(const struct bp__model_peer *peer)
{
	return peer->own.held > peer->own.guarantee
	    ? peer->own.held - peer->own.guarantee : 0;
}

void bp__model_charge(struct bp__model *model, struct bp__model_peer *peer,
    size_t cost)
{
	model->shared -= above_guarantee(peer);
	peer->own.held = peer->peer.held += cost;
	model->shared += above_guarantee(peer);
	model->held += cost;
	if (model->held > model->budget)
		bp__model_break(model, "grant exceeded the budget: %zu bytes are held of "
		    "%zu", model->held, model->budget);
	else if (model->lanes && model->shared > model->pool)
		bp__model_break(model, "grant exceeded the pool: %zu bytes are held of "
		    "%zu", model->shared, model->pool);
	else if (peer->own.held > model->peer_max)
		bp__model_break(model, "grant exceeded peer_max: a peer holds %zu bytes",
		    peer->own.held);
}

void bp__model_uncharge(struct bp__model *model, struct bp__model_peer *peer,
    size_t cost)
{
	model->shared -= above_guarantee(peer);
	peer->own.held = peer->peer.held -= cost;
	model->shared += above_guarantee(peer);
	model->held -= cost;
}

/* ---- the whole ---------------------------------------------------------- */

/* What has neither a gate nor an order of its own, or half of one, is none. */
static void check_shape(struct bp__model *model)
{
	const struct bp_qdisc_ops *ops = model->ops;
	int gate = !!ops->ask + !!ops->grant + !!ops->cancel + !!ops->release;
	int order = !!ops->put + !!ops->take + !!ops->remove;

	model->has_gate = gate == 4;
	model->has_order = order == 3;
	if (!ops->name || !*ops->name)
		bp__model_break(model, "it has no name");
	else if (gate != 0 && gate != 4)
		bp__model_break(model, "ask, grant, cancel and release: all of them or "
		    "none");
	else if (order != 0 && order != 3)
		bp__model_break(model, "put, take and remove: all of them or none");
	else if (gate == 0 && order == 0)
		bp__model_break(model, "it has neither a gate nor an order");
	else if (gate == 0 && ops->after_read)
		bp__model_break(model, "after_read says how to ask at a gate it has not");
}

static void set_bounds(struct bp__model *model)
{
	const struct bp_endpoint_config *config = model->config;
	const struct bp_qdisc_ops *ops = model->ops;

	model->budget = model->pool = model->peer_max = model->places_max = BP_UNLIMITED;
	model->cost_max = COST_MAX;
	model->guarantees = config->conns_max;
	if (ops == &bp_qdisc_one_place)
		model->places_max = 1;
	if (ops == &bp_qdisc_bounded)
		model->places_max = config->places;
	if (ops->after_read || ops == &bp_qdisc_unbounded
	    || config->budget == BP_UNLIMITED)
		return;
	model->budget = config->budget;
	if (config->conns_max == 0 || config->budget == 0
	    || config->guarantee > (config->budget - 1) / config->conns_max) {
		bp__model_break(model, "the guarantees leave nothing of the budget");
		return;
	}
	model->pool = config->budget - config->conns_max * config->guarantee;
	model->cost_max = model->pool;
	model->lanes = ops == &bp_qdisc_bytes || ops == &bp_qdisc_prio
	    || ops == &bp_qdisc_fair;
	if (ops != &bp_qdisc_fair)
		return;
	model->peer_max = config->peer_max;
	if (config->peer_max <= config->guarantee)
		bp__model_break(model, "peer_max is no more than the guarantee");
	else if (model->cost_max > config->peer_max - config->guarantee)
		model->cost_max = config->peer_max - config->guarantee;
}

void bp__model_init(struct bp__model *model, const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *config, unsigned seed, char *rule, size_t size)
{
	int rc;

	memset(model, 0, sizeof *model);
	model->ops = ops;
	model->config = config;
	model->random = seed;
	model->rule = rule;
	model->rule_size = size;
	model->nobodys.peer = &model->nobody;
	check_shape(model);
	set_bounds(model);
	if (model->broken)
		return;
	/* whoever follows a link that was not set comes to an item, of nobody's */
	model->nobody.state = calloc(1, ops->peer_size ? ops->peer_size : 1);
	model->q = calloc(1, ops->state_size ? ops->state_size : 1);
	if (!model->q || !model->nobody.state)
		bp__model_break(model, "there is no memory for its state");
	else if (ops->init && (rc = ops->init(model->q, config)) != 0)
		bp__model_break(model, "init refused the parameters with %d", rc);
	model->begun = !model->broken;
}

void bp__model_fini(struct bp__model *model)
{
	if (model->begun && model->ops->fini)
		model->ops->fini(model->q);
	free(model->q);
	free(model->nobody.state);
	for (int i = 0; i < BP__MODEL_PEERS; i++)
		if (model->peers[i].there)
			free(model->peers[i].own.state);
}
