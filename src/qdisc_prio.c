/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc_prio.c - the discipline that serves by bands, 0 first: a ready event of a
 * lower band waits while there is one of a higher band, and within a band they come
 * as they arrived.
 *
 * The gate keeps room for the higher bands: band b of n fills at most (n - b)/n of the
 * pool; a frame larger than that is granted when no more is used. So traffic of low
 * bands cannot hold what high ones need. The first of the highest band that
 * waits is not passed by; guarantees are granted aside, as in bytes.
 *
 * min_share softens it: every band that waits is owed that part of the bytes. What
 * is served adds to what the others are owed and is taken from its own; a band that
 * is owed its next item goes before higher ones, at the gate up to the whole pool.
 */
#include "config.h"

#include "lines.h"

/* Bands that are served, and what each is owed: bytes times 100. */
struct bands {
	unsigned n, min_share;
	uint64_t owed[BP__BANDS_MAX];
};

/* The first item of a band, or NULL. */
typedef struct bp_item *first_fn(const void *lever, unsigned band);

/* The item to serve next, and whether it is owed that. */
static struct bp_item *next_of(const struct bands *bands, first_fn *first,
    const void *lever, bool *ret_owed)
{
	struct bp_item *item, *highest = NULL;

	*ret_owed = false;
	for (unsigned b = 0; b < bands->n; b++) {
		item = first(lever, b);
		if (!item)
			continue;
		if (bands->min_share > 0
		    && bands->owed[b] > 0
		    && bands->owed[b] >= (uint64_t)item->cost * 100) {
			*ret_owed = true;
			return item;
		}
		if (!highest)
			highest = item;
	}
	return highest;
}

/* It is served, and still the first of its band. */
static void pay(struct bands *bands, first_fn *first, const void *lever,
    const struct bp_item *item, unsigned band)
{
	uint64_t cost = item->cost;

	if (bands->min_share == 0)
		return;
	for (unsigned b = 0; b < bands->n; b++)
		if (first(lever, b))
			bands->owed[b] += cost * bands->min_share;
		else
			bands->owed[b] = 0;	/* who does not wait is owed nothing */
	bands->owed[band] -= bands->owed[band] < cost * 100
	    ? bands->owed[band] : cost * 100;
}

struct prio {
	struct bands at_gate, in_order;
	struct bp__lines lines;
	struct bp_heap ready[BP__BANDS_MAX];
};

static int prio_init(void *q, const struct bp_endpoint_config *config)
{
	struct prio *prio = q;

	if (config->bands < 1 || config->bands > BP__BANDS_MAX
	    || config->min_share > 100 / config->bands)
		return -EINVAL;
	prio->at_gate.n = config->bands;
	prio->at_gate.min_share = config->min_share;
	prio->in_order = prio->at_gate;
	return bp__share_init(&prio->lines.share, config);
}

/* A band beyond the last is the last. */
static unsigned band_of(const struct prio *prio, const struct bp_item *item)
{
	return item->band < prio->at_gate.n ? item->band : prio->at_gate.n - 1;
}

/* ---- the gate ----------------------------------------------------------- */

static struct bp_item *first_waiting(const void *q, unsigned band)
{
	return ((const struct prio *)q)->lines.band[band].first;
}

/* How far that band may fill the pool. */
static size_t limit_of(const struct prio *prio, unsigned band, bool owed)
{
	unsigned n = prio->at_gate.n;
	size_t part = prio->lines.share.pool / n;

	return band == 0 || owed ? prio->lines.share.pool : part * (n - band);
}

static void prio_ask(void *q, struct bp_item *item)
{
	struct prio *prio = q;

	bp__lines_ask(&prio->lines, item, band_of(prio, item));
}

static struct bp_item *prio_grant(void *q)
{
	struct prio *prio = q;
	struct bp__share *share = &prio->lines.share;
	struct bp_item *item = bp__lines_guaranteed(&prio->lines);
	size_t limit;
	bool owed;

	if (item)
		return item;
	item = next_of(&prio->at_gate, first_waiting, prio, &owed);
	if (!item || !bp__share_fits(share, item))
		return NULL;
	limit = limit_of(prio, (unsigned)item->key, owed);
	/* one frame that is larger than its band's part may begin within that */
	if (share->used > limit || (bp__share_cost(item) <= limit
	    && bp__share_cost(item) > limit - share->used))
		return NULL;
	pay(&prio->at_gate, first_waiting, prio, item, (unsigned)item->key);
	return bp__lines_grant(&prio->lines, item);
}

static void prio_cancel(void *q, struct bp_item *item)
{
	bp__lines_cancel(&((struct prio *)q)->lines, item);
}

static void prio_release(void *q, struct bp_peer *peer, size_t cost)
{
	bp__lines_release(&((struct prio *)q)->lines, peer, cost);
}

/* ---- the order ---------------------------------------------------------- */

static struct bp_item *first_ready(const void *q, unsigned band)
{
	return ((const struct prio *)q)->ready[band].top;
}

static void prio_put(void *q, struct bp_item *item)
{
	struct prio *prio = q;

	item->key = 0;			/* all the same: by arrival */
	bp_heap_push(&prio->ready[band_of(prio, item)], item);
}

static struct bp_item *prio_take(void *q)
{
	struct prio *prio = q;
	struct bp_item *item;
	unsigned band;
	bool owed;

	item = next_of(&prio->in_order, first_ready, prio, &owed);
	if (!item)
		return NULL;
	band = band_of(prio, item);
	pay(&prio->in_order, first_ready, prio, item, band);
	return bp_heap_pop(&prio->ready[band]);
}

static void prio_remove(void *q, struct bp_item *item)
{
	struct prio *prio = q;

	bp_heap_remove(&prio->ready[band_of(prio, item)], item);
}

const struct bp_qdisc_ops bp_qdisc_prio = {
	.name = "prio",
	.state_size = sizeof(struct prio),
	.peer_size = sizeof(struct bp__lines_peer),
	.init = prio_init,
	.ask = prio_ask, .grant = prio_grant,
	.cancel = prio_cancel, .release = prio_release,
	.put = prio_put, .take = prio_take, .remove = prio_remove,
};
