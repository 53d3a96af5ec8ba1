/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc_fair.c - the discipline that shares gate and order among peers, by bytes and
 * weight (WF2Q+, wfq.h), under a budget.
 *
 * The gate grants a request
 *
 *	that fits its peer's guarantee and is its peer's first: at once;
 *	else that of the peer whose turn it is, if that peer then holds at most
 *	peer_max, when it fits the pool: until then nobody else is granted from the
 *	pool, so the large ones do not starve.
 *
 * The order is the same among peers with a ready event.
 *
 * A peer is active while it waits, has something ready or holds anything: under
 * backpressure a reader is between two requests most of the time, and what its peer
 * has had must not be forgotten meanwhile.
 *
 * target_ms: CoDel's estimator (RFC 8289), the least time in queue in an interval.
 * While that is above the target the pool shrinks; an empty pool still admits any one
 * request. Nothing is dropped: the queue moves to the senders, where TCP sees it.
 */
#include "config.h"

#include <time.h>

#include "list.h"
#include "share.h"
#include "wfq.h"

#define INTERVAL_NS UINT64_C(100000000)	/* as in RFC 8289, 4.3 */
#define POOL_LEAST ((size_t)64 * 1024)	/* it shrinks to, or to one request */

struct fair {
	struct bp__share share;
	struct bp__wfq gate, order;
	uint64_t weights;		/* of active peers */
	size_t peer_max;
	struct bp_peer *eased;		/* its first request is to be looked at */

	uint64_t target_ns;		/* 0: the pool does not shrink */
	size_t pool;			/* what is left of it */
	uint64_t interval_ends_ns, least_ns;
	bool waited;			/* somebody has, for the pool, in this interval */
};

struct fair_peer {
	struct bp__wfq_entity gate, order;
	struct bp_peer *peer;
	unsigned weight;		/* in force; 0: not active */
};

static struct fair_peer *fair_of(const struct bp_peer *peer)
{
	return peer->state;
}

static int fair_init(void *q, const struct bp_endpoint_config *config)
{
	struct fair *fair = q;
	int rc = bp__share_init(&fair->share, config);

	if (rc < 0 || config->peer_max <= config->guarantee)
		return -EINVAL;
	fair->peer_max = config->peer_max;
	fair->pool = fair->share.pool;
	if (config->target_ms > 0)
		fair->target_ns = (uint64_t)config->target_ms * 1000000;
	fair->least_ns = UINT64_MAX;
	return 0;
}

/* ---- who is active ------------------------------------------------------ */

static struct fair_peer *activate(struct fair *fair, struct bp_peer *peer)
{
	struct fair_peer *p = fair_of(peer);

	p->peer = peer;
	fair->weights += peer->weight;
	fair->weights -= p->weight;
	p->weight = peer->weight;
	return p;
}

static void deactivate_if_idle(struct fair *fair, struct fair_peer *p)
{
	if (p->peer->held > 0 || p->gate.items.first || p->order.items.first)
		return;
	fair->weights -= p->weight;
	p->weight = 0;
}

/* ---- the gate ----------------------------------------------------------- */

static void fair_ask(void *q, struct bp_item *item)
{
	struct fair *fair = q;
	struct fair_peer *p = activate(fair, item->peer);

	bp__line_append(&p->gate.items, item);
	fair->eased = item->peer;
}

static struct bp_item *leave(struct fair *fair, struct bp_item *item)
{
	bp__line_remove(&fair_of(item->peer)->gate.items, item);
	fair->eased = item->peer;	/* its next one is its first now */
	return item;
}

/* The first request of a peer that has just changed: granted, or armed if it may be. */
static struct bp_item *look_at_eased(struct fair *fair)
{
	struct bp_peer *peer = fair->eased;
	struct fair_peer *p;
	struct bp_item *item;

	if (!peer)
		return NULL;
	p = fair_of(peer);
	item = p->gate.items.first;
	if (item && bp__share_guaranteed(item)) {
		bp__wfq_disarm(&fair->gate, &p->gate);
		bp__wfq_pay(&fair->gate, &p->gate, item->cost, p->weight,
		    peer->guarantee);
		return leave(fair, item);
	}
	fair->eased = NULL;
	/* I3 */
	if (item && !p->gate.armed && peer->held <= fair->peer_max
	    && item->cost <= fair->peer_max - peer->held)
		bp__wfq_arm(&fair->gate, &p->gate, item->cost, p->weight,
		    fair->weights);
	return NULL;
}

static bool fits_pool(const struct fair *fair, const struct bp_item *item)
{
	if (fair->share.used == 0)
		return true;		/* I4 */
	return fair->share.used <= fair->pool
	    && bp__share_cost(item) <= fair->pool - fair->share.used;
}

static struct bp_item *fair_grant(void *q)
{
	struct fair *fair = q;
	struct bp__wfq_entity *entity;
	struct bp_item *item = look_at_eased(fair);

	if (item)
		return item;
	entity = bp__wfq_next(&fair->gate);
	if (!entity)
		return NULL;
	item = entity->items.first;
	if (!fits_pool(fair, item)) {
		fair->waited = true;
		return NULL;
	}
	bp__share_take(&fair->share, item);
	bp__wfq_serve(&fair->gate, entity, item->cost, fair->weights);
	return leave(fair, item);
}

static void fair_cancel(void *q, struct bp_item *item)
{
	struct fair *fair = q;
	struct fair_peer *p = fair_of(item->peer);

	if (p->gate.items.first == item)
		bp__wfq_disarm(&fair->gate, &p->gate);
	leave(fair, item);
	deactivate_if_idle(fair, p);
}

static void fair_release(void *q, struct bp_peer *peer, size_t cost)
{
	struct fair *fair = q;

	bp__share_give(&fair->share, peer, cost);
	fair->eased = peer;
	deactivate_if_idle(fair, fair_of(peer));
}

/* ---- the delay ---------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* An interval is over: shrink the pool by 15 %, or let it grow again. */
static void adapt_pool(struct fair *fair)
{
	size_t step = fair->pool / 100 * 15, all = fair->share.pool;

	if (fair->least_ns > fair->target_ns) {
		fair->pool -= step;
		if (fair->pool < POOL_LEAST)
			fair->pool = POOL_LEAST < all ? POOL_LEAST : all;
	} else if (fair->least_ns < fair->target_ns / 2 && fair->waited) {
		fair->pool = step < all - fair->pool ? fair->pool + step : all;
	}
}

static void note_delay(struct fair *fair, uint64_t arrived_ns)
{
	uint64_t now = now_ns();
	uint64_t delay = now > arrived_ns ? now - arrived_ns : 0;

	if (delay < fair->least_ns)
		fair->least_ns = delay;
	if (now < fair->interval_ends_ns)
		return;
	if (fair->interval_ends_ns > 0)
		adapt_pool(fair);
	fair->interval_ends_ns = now + INTERVAL_NS;
	fair->least_ns = UINT64_MAX;
	fair->waited = false;
}

/* ---- the order ---------------------------------------------------------- */

static void arm_order(struct fair *fair, struct fair_peer *p)
{
	if (p->order.items.first)
		bp__wfq_arm(&fair->order, &p->order, p->order.items.first->cost,
		    p->weight, fair->weights);
}

static void fair_put(void *q, struct bp_item *item)
{
	struct fair *fair = q;
	struct fair_peer *p = activate(fair, item->peer);

	bp__line_append(&p->order.items, item);
	if (p->order.items.first == item)
		arm_order(fair, p);
}

static struct bp_item *fair_take(void *q)
{
	struct fair *fair = q;
	struct bp__wfq_entity *entity = bp__wfq_next(&fair->order);
	struct fair_peer *p;
	struct bp_item *item;

	if (!entity)
		return NULL;
	p = bp__container_of(entity, struct fair_peer, order);
	item = entity->items.first;
	bp__wfq_serve(&fair->order, entity, item->cost, fair->weights);
	bp__line_remove(&entity->items, item);
	arm_order(fair, p);
	deactivate_if_idle(fair, p);
	if (fair->target_ns > 0)
		note_delay(fair, item->arrived_ns);
	return item;
}

static void fair_remove(void *q, struct bp_item *item)
{
	struct fair *fair = q;
	struct fair_peer *p = fair_of(item->peer);
	bool first = p->order.items.first == item;

	if (first)
		bp__wfq_disarm(&fair->order, &p->order);
	bp__line_remove(&p->order.items, item);
	if (first)
		arm_order(fair, p);
	deactivate_if_idle(fair, p);
}

const struct bp_qdisc_ops bp_qdisc_fair = {
	.name = "fair",
	.state_size = sizeof(struct fair), .peer_size = sizeof(struct fair_peer),
	.init = fair_init,
	.ask = fair_ask, .grant = fair_grant,
	.cancel = fair_cancel, .release = fair_release,
	.put = fair_put, .take = fair_take, .remove = fair_remove,
};
