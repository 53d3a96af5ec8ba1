/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.c - see peer.h; and how many connections a host has.
 *
 * There are conns_max guarantees. A peer that appears when all are taken, because
 * payloads are kept of peers whose connections have gone elsewhere, has none until
 * one is free; what it holds comes from the shared pool.
 */
#include "config.h"

#include "locked.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#define LISTS_MAX ((size_t)1 << 16)

int bp__table_init(struct bp__table *table, size_t n)
{
	size_t size = 16;

	while (size < n && size < LISTS_MAX)
		size *= 2;
	table->lists = calloc(size, sizeof *table->lists);
	if (!table->lists)
		return -ENOMEM;
	table->mask = size - 1;
	if (getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) < 0)
		table->seed = bp__now_ns() ^ (uintptr_t)table->lists << 16;
	for (size_t i = 0; i < size; i++)
		bp__list_init(&table->lists[i]);
	return 0;
}

void bp__table_fini(struct bp__table *table)
{
	free(table->lists);
	table->lists = NULL;
}

/* The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t mixed(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

/* A peer chooses its keys; without the seed it cannot tell which fall together. */
struct bp__list *bp__table_list(const struct bp__table *table,
    const struct bp__key *key)
{
	uint64_t hash = mixed(key->low ^ (uint64_t)key->kind ^ table->seed);

	return &table->lists[(size_t)mixed(hash ^ key->high) & table->mask];
}

/* ---- peers -------------------------------------------------------------- */

static size_t aligned(size_t size)
{
	const size_t unit = _Alignof(max_align_t);

	return (size + unit - 1) / unit * unit;
}

struct bp__peer *bp__peer_new(const struct bp__qdisc *q, const struct bp__key *key,
    unsigned weight)
{
	size_t size = aligned(sizeof(struct bp__peer));
	size_t gate_size = aligned(q->gate.ops->peer_size);
	struct bp__peer *peer = calloc(1, size + gate_size + q->order.ops->peer_size);

	if (!peer)
		return NULL;
	peer->gate.state = (char *)peer + size;
	peer->order.state = (char *)peer + size + gate_size;
	peer->gate.weight = peer->order.weight = weight;
	peer->key = *key;
	bp__list_init(&peer->link);
	return peer;
}

static void seek_guarantee_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock)
{
	if (peer->guaranteed || q->guarantees == 0)
		return;
	q->guarantees--;
	peer->guaranteed = true;
	peer->gate.guarantee = peer->order.guarantee = q->guarantee;
}

struct bp__peer *bp__peer_find_locked(struct bp__qdisc *q, const struct bp__key *key)
{
	struct bp__list *list, *link;
	struct bp__peer *peer;

	if (key->kind == BP__KEY_NONE)
		return NULL;
	list = bp__table_list(&q->peers, key);
	for (link = list->next; link != list; link = link->next) {
		peer = bp__container_of(link, struct bp__peer, link);
		if (bp__key_equal(&peer->key, key))
			return peer;
	}
	return NULL;
}

void bp__peer_add_locked(struct bp__qdisc *q, struct bp__peer *peer)
{
	if (peer->key.kind != BP__KEY_NONE)
		bp__list_append(bp__table_list(&q->peers, &peer->key), &peer->link);
	seek_guarantee_locked(q, peer);
}

void bp__peer_ref_locked(struct bp__qdisc *q, struct bp__peer *peer)
{
	peer->refs++;
	if (peer->gate.held == 0)
		seek_guarantee_locked(q, peer);
}

void bp__peer_check_locked(struct bp__qdisc *q, struct bp__peer *peer)
{
	if (peer->refs > 0 || peer->gate.held > 0)
		return;
	assert(atomic_load(&peer->in_hand) == 0);
	if (q->gate.ops->peer_gone)
		q->gate.ops->peer_gone(q->gate.state, &peer->gate);
	if (q->order.ops->peer_gone && q->order.ops != q->gate.ops)
		q->order.ops->peer_gone(q->order.state, &peer->order);
	if (peer->guaranteed)
		q->guarantees++;
	bp__list_remove(&peer->link);
	bp__list_append(&q->gone, &peer->link);
}

void bp__peer_unref_locked(struct bp__qdisc *q, struct bp__peer *peer)
{
	assert(peer->refs > 0);
	peer->refs--;
	bp__peer_check_locked(q, peer);
}

void bp__peers_free(struct bp__list *gone)
{
	struct bp__list *link;

	while ((link = bp__list_shift(gone)) != NULL)
		free(bp__container_of(link, struct bp__peer, link));
}

/* ---- which peer a flow has ---------------------------------------------- */

static void set_weight_locked(struct bp__peer *peer, unsigned weight)
{
	peer->gate.weight = peer->order.weight = weight;
}

/* To the peer of that key: the one there is, or *spare, which is then taken. */
static void join_locked(struct bp__flow *flow, const struct bp__key *key,
    struct bp__peer **spare)
    BP__REQUIRES(flow->q->lock)
{
	struct bp__peer *peer = bp__peer_find_locked(flow->q, key);

	if (peer == flow->peer)
		return;
	/* first: the guarantee it gives back may be the last */
	bp__peer_unref_locked(flow->q, flow->peer);
	if (!peer) {
		peer = *spare;
		*spare = NULL;
		bp__peer_add_locked(flow->q, peer);
	}
	bp__peer_ref_locked(flow->q, peer);
	flow->peer = peer;
}

int bp__flow_set_peer(struct bp__flow *flow, uint64_t key, unsigned weight,
    unsigned band)
{
	struct bp__key app = { .kind = BP__KEY_APP, .low = key };
	struct bp__qdisc *q = flow->q;
	struct bp__peer *spare = NULL;

	if (q->peer_by == BP_PEER_KEY) {
		spare = bp__peer_new(q, &app, weight);
		if (!spare)
			return -ENOMEM;
	}
	bp__lock(&q->lock);
	if (flow->peer) {		/* else it is all over */
		if (spare)
			join_locked(flow, &app, &spare);
		set_weight_locked(flow->peer, weight);
		atomic_store(&flow->band, band);
	}
	bp__qdisc_leave(q, NULL);
	free(spare);
	return 0;
}

/* Do so many connections come from there? Each holds its place still. */
static bool is_full_locked(const struct bp__list *list, const struct bp__key *host,
    size_t max)
{
	const struct bp__list *link;
	size_t n = 0;

	for (link = list->next; link != list && n < max; link = link->next)
		n += bp__key_equal(&bp__container_of(link, struct bp__flow,
		    host_link)->host, host);
	return n >= max;
}

int bp__flow_locate(struct bp__flow *flow, const struct bp__key *host, bool limited)
{
	struct bp__qdisc *q = flow->q;
	struct bp__peer *spare = NULL;
	struct bp__list *list;
	int rc = 0;

	if (q->peer_by == BP_PEER_ADDR) {
		spare = bp__peer_new(q, host, BP__WEIGHT_DEFAULT);
		if (!spare)
			return -ENOMEM;
	}
	bp__lock(&q->lock);
	if (limited && q->hosts.lists) {
		list = bp__table_list(&q->hosts, host);
		if (is_full_locked(list, host, q->conns_per_addr)) {
			rc = -EUSERS;
		} else {
			flow->host = *host;
			bp__list_append(list, &flow->host_link);
		}
	}
	if (rc == 0 && spare) {
		set_weight_locked(spare, flow->peer->gate.weight);
		join_locked(flow, host, &spare);
	}
	bp__qdisc_leave(q, NULL);
	free(spare);
	return rc;
}
