/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wfq.c - see wfq.h.
 */
#include "config.h"

#include "wfq.h"

#include "list.h"

#define UNIT 64				/* of a tag, in a byte of weight 1 */
#define FADES 1024			/* by that part with each that is served */

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

/*
 * When an entity's next item begins: where what it had ended, or now. One that was late,
 * because others were served before it, has not lost that time, or small items, which
 * wait for large ones, would always come off badly; but no more than one large item that
 * was ahead of it in the order, and one before it asked again.
 */
static uint64_t start_of(const struct bp__wfq *wfq, const struct bp__wfq_entity *entity,
    uint64_t weights)
{
	uint64_t slack = 2 * (uint64_t)wfq->largest * UNIT / weights;

	if (entity->served == 0)
		return wfq->now;
	return later_of(entity->served, wfq->now > slack ? wfq->now - slack : 0);
}

void bp__wfq_arm(struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    unsigned weight, uint64_t weights)
{
	uint64_t start = start_of(wfq, entity, weights);

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
	wfq->largest -= wfq->largest / FADES;
	if (wfq->largest < cost)
		wfq->largest = cost;
	wfq->part += (uint64_t)cost * UNIT;
	wfq->now += wfq->part / weights;
	wfq->part %= weights;
}

void bp__wfq_pay(const struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    unsigned weight, size_t most)
{
	uint64_t limit = wfq->now + (uint64_t)most * UNIT / weight;

	entity->served = later_of(wfq->now, entity->served)
	    + ticks_of(entity, cost, weight, &entity->rest);
	if (entity->served > limit)
		entity->served = limit;
}
