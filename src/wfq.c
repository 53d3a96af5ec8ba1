/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wfq.c - see wfq.h.
 */
#include "config.h"

#include "wfq.h"

#include "list.h"

#define UNIT 64				/* of a tag, in a byte of weight 1 */

static uint64_t later_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* How long it takes, and the rest of a tick: forgotten, it would add up. */
static uint64_t ticks_of(const struct bp__wfq_entity *entity, size_t cost,
    unsigned weight, uint64_t *ret_rest)
{
	uint64_t ticks = (uint64_t)cost * UNIT + entity->rest;

	*ret_rest = ticks % weight;
	return ticks / weight;
}

void bp__wfq_arm(struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    unsigned weight)
{
	uint64_t start = wfq->now;

	/*
	 * One that was served not long ago goes on where that ended. Else it would lose
	 * what it has waited each time it is served late, and small items wait for large
	 * ones most of the time.
	 */
	if (entity->served > 0)
		start = later_of(entity->served,
		    wfq->now > wfq->slack ? wfq->now - wfq->slack : 0);

	entity->finish = start + ticks_of(entity, cost, weight, &entity->next_rest);
	entity->armed = true;
	entity->begun = false;
	entity->node.key = start;
	entity->node.seq = entity->items.first->seq;
	bp_heap_push(&wfq->later, &entity->node);
}

void bp__wfq_disarm(struct bp__wfq *wfq, struct bp__wfq_entity *entity)
{
	if (!entity->armed)
		return;
	bp_heap_remove(entity->begun ? &wfq->begun : &wfq->later, &entity->node);
	entity->armed = false;
}

struct bp__wfq_entity *bp__wfq_next(struct bp__wfq *wfq)
{
	struct bp__wfq_entity *entity;

	/* nothing has begun: the ideal server is idle, up to the next start */
	if (!wfq->begun.top && wfq->later.top)
		wfq->now = later_of(wfq->now, wfq->later.top->key);
	while (wfq->later.top && wfq->later.top->key <= wfq->now) {
		entity = bp__container_of(bp_heap_pop(&wfq->later),
		    struct bp__wfq_entity, node);
		entity->begun = true;
		entity->node.key = entity->finish;
		bp_heap_push(&wfq->begun, &entity->node);
	}
	return wfq->begun.top ? bp__container_of(wfq->begun.top,
	    struct bp__wfq_entity, node) : NULL;
}

void bp__wfq_serve(struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    uint64_t weights)
{
	bp__wfq_disarm(wfq, entity);
	entity->served = entity->finish;
	entity->rest = entity->next_rest;
	if (wfq->largest < cost)
		wfq->largest = cost;
	/* one that is served ahead of it in the order, and one before it asks again */
	wfq->slack = 2 * (uint64_t)wfq->largest * UNIT / weights;
	wfq->part += (uint64_t)cost * UNIT;
	wfq->now += wfq->part / weights;
	wfq->part %= weights;
}

void bp__wfq_pay(const struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    unsigned weight)
{
	entity->served = later_of(wfq->now, entity->served)
	    + ticks_of(entity, cost, weight, &entity->rest);
}
