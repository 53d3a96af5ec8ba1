/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.c - see lines.h.
 *
 * The requests of a peer are granted in the order they were made where that is from
 * its guarantee: only its first one is looked at. So a small one does not slip past
 * a large one of the same peer for ever.
 */
#include "config.h"

#include "lines.h"

enum { SIBLING = 2 };		/* the link to the next of the same peer */

static void peer_append(struct bp__lines_peer *peer, struct bp_item *item)
{
	item->link[SIBLING] = NULL;
	*(peer->last ? &peer->last->link[SIBLING] : &peer->first) = item;
	peer->last = item;
}

/* Most often it is the first. */
static void peer_remove(struct bp__lines_peer *peer, struct bp_item *item)
{
	struct bp_item **at = &peer->first, *before = NULL;

	while (*at != item) {
		before = *at;
		at = &before->link[SIBLING];
	}
	*at = item->link[SIBLING];
	if (peer->last == item)
		peer->last = before;
}

/* key is its line. */
static void leave(struct bp__lines *lines, struct bp_item *item)
{
	bp__line_remove(&lines->band[item->key], item);
	peer_remove(item->peer->state, item);
	lines->eased = item->peer;	/* its next one is its first now */
}

void bp__lines_ask(struct bp__lines *lines, struct bp_item *item, unsigned band)
{
	item->key = band;
	bp__line_append(&lines->band[band], item);
	peer_append(item->peer->state, item);
	lines->eased = item->peer;
}

void bp__lines_cancel(struct bp__lines *lines, struct bp_item *item)
{
	leave(lines, item);
}

void bp__lines_release(struct bp__lines *lines, struct bp_peer *peer, size_t cost)
{
	bp__share_give(&lines->share, peer, cost);
	lines->eased = peer;
}

struct bp_item *bp__lines_guaranteed(struct bp__lines *lines)
{
	struct bp_item *item;

	if (!lines->eased)
		return NULL;
	item = ((struct bp__lines_peer *)lines->eased->state)->first;
	if (!item || !bp__share_guaranteed(item)) {
		lines->eased = NULL;
		return NULL;
	}
	leave(lines, item);
	return item;
}

struct bp_item *bp__lines_grant(struct bp__lines *lines, struct bp_item *item)
{
	bp__share_take(&lines->share, item);
	leave(lines, item);
	return item;
}
