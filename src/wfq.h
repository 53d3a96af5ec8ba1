/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wfq.h - WF2Q+: who is served next when each is to get bytes by its weight
 * (Bennett, Zhang, "Hierarchical packet fair queueing algorithms", SIGCOMM 1996).
 *
 * Each entity has a start and a finish tag for its first item: when an ideal server
 * that divides every moment by weight would begin and end it. Of those that have
 * begun there, the one that ends first is served. Unlike deficit round robin it
 * remembers, when an entity has nothing waiting, what that has had already: under
 * backpressure that is so after nearly every item.
 *
 * Tags are bytes * 64 / weight, in 64 bits: at 10 GB/s and a weight of 1 they last
 * for 300 days, and an entity's begin anew with it.
 */
#ifndef BP_WFQ_H
#define BP_WFQ_H

#include "line.h"

struct bp__wfq {
	struct bp_heap begun;		/* by finish */
	struct bp_heap later;		/* by start */
	uint64_t now;			/* the ideal server's time: it only grows */
	uint64_t part;			/* of a tick that has passed, times the weights */
	size_t largest;			/* cost of late; it fades */
};

struct bp__wfq_entity {
	struct bp_item node;		/* in one of the heaps while armed */
	struct bp__line items;		/* that wait, the first to come */
	uint64_t finish;		/* of the first item, while armed */
	uint64_t served;		/* finish of what it has had */
	uint64_t rest, next_rest;	/* of a tick, that is not in served; in finish */
	bool armed, begun;
};

/* Its first item, of that cost, may be served; weights are those of all active ones. */
void bp__wfq_arm(struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    unsigned weight, uint64_t weights);
void bp__wfq_disarm(struct bp__wfq *wfq, struct bp__wfq_entity *entity);

/* Whose first item is next; NULL: none is armed. */
struct bp__wfq_entity *bp__wfq_next(struct bp__wfq *wfq);

/* That one is served. It is disarmed. */
void bp__wfq_serve(struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    uint64_t weights);

/*
 * It had that beside the order, and pays for it. It is not armed. What it owes is never
 * more than for so many bytes: time does not pass by what goes beside the order, and
 * who had much of that would wait for ever.
 */
void bp__wfq_pay(const struct bp__wfq *wfq, struct bp__wfq_entity *entity, size_t cost,
    unsigned weight, size_t most);

#endif /* BP_WFQ_H */
