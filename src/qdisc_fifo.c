/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc_fifo.c - the four disciplines that serve first come first served. They
 * differ in the gate alone, that is in what a reader waits for:
 *
 *	unbounded	nothing
 *	one_place	the one place, frame in hand, as a thread waits to fill an MVar
 *	bounded		one of n places, likewise
 *	bytes		that the frame's cost fits the budget, before it is read
 *
 * The order is that of arrival, over all connections.
 */
#include "config.h"

#include <assert.h>

#include <bpthread_ops.h>

/* ---- the order, common to all ------------------------------------------- */

struct fifo {
	struct bp_heap ready;		/* all keys are 0: by arrival */
	struct bp_item *first, *last;	/* at the gate, by link[0] and link[1] */
};

enum { NEXT, PREV };

static void order_put(void *q, struct bp_item *item)
{
	bp_heap_push(&((struct fifo *)q)->ready, item);
}

static struct bp_item *order_take(void *q)
{
	return bp_heap_pop(&((struct fifo *)q)->ready);
}

static void order_remove(void *q, struct bp_item *item)
{
	bp_heap_remove(&((struct fifo *)q)->ready, item);
}

/* ---- the line at the gate ----------------------------------------------- */

static void line_append(struct fifo *fifo, struct bp_item *item)
{
	item->link[NEXT] = NULL;
	item->link[PREV] = fifo->last;
	*(fifo->last ? &fifo->last->link[NEXT] : &fifo->first) = item;
	fifo->last = item;
}

static void line_remove(struct fifo *fifo, struct bp_item *item)
{
	struct bp_item *next = item->link[NEXT], *prev = item->link[PREV];

	*(prev ? &prev->link[NEXT] : &fifo->first) = next;
	*(next ? &next->link[PREV] : &fifo->last) = prev;
}

static struct bp_item *line_shift(struct fifo *fifo)
{
	struct bp_item *item = fifo->first;

	if (item)
		line_remove(fifo, item);
	return item;
}

/* ---- unbounded ---------------------------------------------------------- */

static void unbounded_ask(void *q, struct bp_item *item)
{
	line_append(q, item);
}

static struct bp_item *unbounded_grant(void *q)
{
	return line_shift(q);
}

static void unbounded_cancel(void *q, struct bp_item *item)
{
	line_remove(q, item);
}

static void unbounded_release(void *q, struct bp_peer *peer, size_t cost)
{
	(void)q, (void)peer, (void)cost;
}

const struct bp_qdisc_ops bp_qdisc_unbounded = {
	.name = "unbounded",
	.state_size = sizeof(struct fifo),
	.ask = unbounded_ask, .grant = unbounded_grant,
	.cancel = unbounded_cancel, .release = unbounded_release,
	.put = order_put, .take = order_take, .remove = order_remove,
};

/* ---- one_place, bounded ------------------------------------------------- */

struct places {
	struct fifo fifo;
	size_t used, max;
};

static int one_place_init(void *q, const struct bp_endpoint_config *config)
{
	(void)config;
	((struct places *)q)->max = 1;
	return 0;
}

static int bounded_init(void *q, const struct bp_endpoint_config *config)
{
	((struct places *)q)->max = config->places;
	return 0;
}

static void places_ask(void *q, struct bp_item *item)
{
	line_append(&((struct places *)q)->fifo, item);
}

static struct bp_item *places_grant(void *q)
{
	struct places *places = q;

	if (!places->fifo.first || places->used >= places->max)
		return NULL;
	places->used++;
	return line_shift(&places->fifo);
}

static void places_cancel(void *q, struct bp_item *item)
{
	line_remove(&((struct places *)q)->fifo, item);
}

static void places_release(void *q, struct bp_peer *peer, size_t cost)
{
	struct places *places = q;

	(void)peer;
	assert(places->used >= cost);
	places->used -= cost;
}

const struct bp_qdisc_ops bp_qdisc_one_place = {
	.name = "one_place",
	.state_size = sizeof(struct places), .after_read = true,
	.init = one_place_init,
	.ask = places_ask, .grant = places_grant,
	.cancel = places_cancel, .release = places_release,
	.put = order_put, .take = order_take, .remove = order_remove,
};

const struct bp_qdisc_ops bp_qdisc_bounded = {
	.name = "bounded",
	.state_size = sizeof(struct places), .after_read = true,
	.init = bounded_init,
	.ask = places_ask, .grant = places_grant,
	.cancel = places_cancel, .release = places_release,
	.put = order_put, .take = order_take, .remove = order_remove,
};

/* ---- bytes -------------------------------------------------------------- */

/*
 * The budget is a guarantee for each connection and a pool that all share. What a
 * peer holds above its guarantee is taken from the pool. A request that fits what
 * is left of the guarantee passes at once, in a lane of its own; the others stand
 * in line, and the first of the line is never passed by, so it cannot starve.
 */
struct bytes {
	struct fifo fifo;
	struct fifo lane;		/* its line: within the guarantee, to be granted */
	size_t guarantee, pool, pool_used;
};

struct bytes_peer {
	struct bp_item *in_line;	/* its first request that stands in line */
};

static int bytes_init(void *q, const struct bp_endpoint_config *config)
{
	struct bytes *bytes = q;

	bytes->guarantee = config->guarantee;
	if (config->guarantee > config->budget / config->conns_max)
		return -EINVAL;
	bytes->pool = config->budget - config->conns_max * config->guarantee;
	return 0;
}

/* What holding that much takes from the pool. */
static size_t above(const struct bytes *bytes, size_t held)
{
	return held > bytes->guarantee ? held - bytes->guarantee : 0;
}

static bool fits_guarantee(const struct bytes *bytes, const struct bp_item *item)
{
	return item->peer->held + item->cost <= bytes->guarantee;
}

static void bytes_ask(void *q, struct bp_item *item)
{
	struct bytes_peer *peer = item->peer->state;
	struct bytes *bytes = q;

	item->key = !peer->in_line && fits_guarantee(bytes, item);
	if (item->key) {
		line_append(&bytes->lane, item);
	} else {
		line_append(&bytes->fifo, item);
		if (!peer->in_line)
			peer->in_line = item;
	}
}

static void leave_line(struct bytes *bytes, struct bp_item *item)
{
	struct bytes_peer *peer = item->peer->state;

	line_remove(item->key ? &bytes->lane : &bytes->fifo, item);
	if (peer->in_line == item)
		peer->in_line = NULL;
}

static struct bp_item *bytes_grant(void *q)
{
	struct bytes *bytes = q;
	struct bp_item *item = bytes->lane.first;
	size_t held, more;

	if (!item)
		item = bytes->fifo.first;
	if (!item)
		return NULL;
	held = item->peer->held;
	more = above(bytes, held + item->cost) - above(bytes, held);
	if (more > bytes->pool - bytes->pool_used)
		return NULL;
	bytes->pool_used += more;
	leave_line(bytes, item);
	return item;
}

static void bytes_cancel(void *q, struct bp_item *item)
{
	leave_line(q, item);
}

static void bytes_release(void *q, struct bp_peer *peer, size_t cost)
{
	struct bp_item *waiting = ((struct bytes_peer *)peer->state)->in_line;
	struct bytes *bytes = q;
	size_t less = above(bytes, peer->held + cost) - above(bytes, peer->held);

	assert(bytes->pool_used >= less);
	bytes->pool_used -= less;
	if (waiting && fits_guarantee(bytes, waiting)) {
		leave_line(bytes, waiting);
		waiting->key = true;
		line_append(&bytes->lane, waiting);
	}
}

const struct bp_qdisc_ops bp_qdisc_bytes = {
	.name = "bytes",
	.state_size = sizeof(struct bytes), .peer_size = sizeof(struct bytes_peer),
	.init = bytes_init,
	.ask = bytes_ask, .grant = bytes_grant,
	.cancel = bytes_cancel, .release = bytes_release,
	.put = order_put, .take = order_take, .remove = order_remove,
};
