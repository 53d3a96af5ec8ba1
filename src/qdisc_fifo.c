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

#include "lines.h"

/* ---- the order, common to all ------------------------------------------- */

struct fifo {
	struct bp_heap ready;
	struct bp__line waiting;	/* at the gate */
};

static void order_put(void *q, struct bp_item *item)
{
	item->key = 0;			/* all the same: by arrival */
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

static struct bp_item *line_shift(struct bp__line *line)
{
	struct bp_item *item = line->first;

	if (item)
		bp__line_remove(line, item);
	return item;
}

/* ---- unbounded ---------------------------------------------------------- */

static void unbounded_ask(void *q, struct bp_item *item)
{
	bp__line_append(&((struct fifo *)q)->waiting, item);
}

static struct bp_item *unbounded_grant(void *q)
{
	return line_shift(&((struct fifo *)q)->waiting);
}

static void unbounded_cancel(void *q, struct bp_item *item)
{
	bp__line_remove(&((struct fifo *)q)->waiting, item);
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
	bp__line_append(&((struct places *)q)->fifo.waiting, item);
}

static struct bp_item *places_grant(void *q)
{
	struct places *places = q;

	if (!places->fifo.waiting.first || places->used >= places->max)
		return NULL;
	places->used++;
	return line_shift(&places->fifo.waiting);
}

static void places_cancel(void *q, struct bp_item *item)
{
	bp__line_remove(&((struct places *)q)->fifo.waiting, item);
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
 * What passes within its guarantee aside, the first of the line is never passed by:
 * when it does not fit, the rest wait with it until it does, so it cannot starve.
 */
struct bytes {
	struct fifo fifo;		/* of which the order alone is used */
	struct bp__lines lines;
};

static int bytes_init(void *q, const struct bp_endpoint_config *config)
{
	return bp__share_init(&((struct bytes *)q)->lines.share, config);
}

static void bytes_ask(void *q, struct bp_item *item)
{
	bp__lines_ask(&((struct bytes *)q)->lines, item, 0);
}

static struct bp_item *bytes_grant(void *q)
{
	struct bp__lines *lines = &((struct bytes *)q)->lines;
	struct bp_item *item = bp__lines_guaranteed(lines);

	if (item)
		return item;
	item = lines->band[0].first;
	return item && bp__share_fits(&lines->share, item)
	    ? bp__lines_grant(lines, item) : NULL;
}

static void bytes_cancel(void *q, struct bp_item *item)
{
	bp__lines_cancel(&((struct bytes *)q)->lines, item);
}

static void bytes_release(void *q, struct bp_peer *peer, size_t cost)
{
	bp__lines_release(&((struct bytes *)q)->lines, peer, cost);
}

const struct bp_qdisc_ops bp_qdisc_bytes = {
	.name = "bytes",
	.state_size = sizeof(struct bytes),
	.peer_size = sizeof(struct bp__lines_peer),
	.init = bytes_init,
	.ask = bytes_ask, .grant = bytes_grant,
	.cancel = bytes_cancel, .release = bytes_release,
	.put = order_put, .take = order_take, .remove = order_remove,
};
