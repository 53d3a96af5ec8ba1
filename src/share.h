/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * share.h - a budget in two parts, as the gates of bytes, prio and fair have it: a
 * guarantee for each peer, and the pool that all share. What a peer holds above its
 * guarantee is taken from the pool.
 */
#ifndef BP_SHARE_H
#define BP_SHARE_H

#include <assert.h>

#include <bpthread_ops.h>

struct bp__share {
	size_t pool, used;		/* bytes; used is never above pool (I2) */
};

static inline int bp__share_init(struct bp__share *share,
    const struct bp_endpoint_config *config)
{
	if (config->guarantee > config->budget / config->conns_max)
		return -EINVAL;
	share->pool = config->budget - config->conns_max * config->guarantee;
	return 0;
}

/* What holding that much takes from the pool. */
static inline size_t bp__share_above(const struct bp_peer *peer, size_t held)
{
	return held > peer->guarantee ? held - peer->guarantee : 0;
}

/* What granting the item will. */
static inline size_t bp__share_cost(const struct bp_item *item)
{
	const struct bp_peer *peer = item->peer;

	return bp__share_above(peer, peer->held + item->cost)
	    - bp__share_above(peer, peer->held);
}

static inline bool bp__share_guaranteed(const struct bp_item *item)
{
	return item->peer->held + item->cost <= item->peer->guarantee;
}

static inline bool bp__share_fits(const struct bp__share *share,
    const struct bp_item *item)
{
	return bp__share_cost(item) <= share->pool - share->used;
}

/* Granted; the peer does not hold it yet. */
static inline void bp__share_take(struct bp__share *share, const struct bp_item *item)
{
	share->used += bp__share_cost(item);
	assert(share->used <= share->pool);
}

/* Released; the peer does not hold it any more. */
static inline void bp__share_give(struct bp__share *share, const struct bp_peer *peer,
    size_t cost)
{
	size_t less = bp__share_above(peer, peer->held + cost)
	    - bp__share_above(peer, peer->held);

	assert(share->used >= less);
	share->used -= less;
}

#endif /* BP_SHARE_H */
