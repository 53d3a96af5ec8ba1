/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.h - whom the discipline accounts to: a connection, a host, or a key of the
 * application's. Many connections may share a peer, and one may change it; what is
 * charged stays with the peer it was charged to until it is given back.
 *
 * A peer lasts while a connection belongs to it, a request or an event of it is with
 * the discipline, or something is charged to it.
 */
#ifndef BP_PEER_H
#define BP_PEER_H

#include <stdatomic.h>

#include <bpthread_ops.h>

#include "list.h"
#include "sync.h"

struct bp__qdisc;

#define BP__WEIGHT_DEFAULT 64u
#define BP__WEIGHT_MAX 1024u

enum bp__key_kind {
	BP__KEY_NONE,		/* its own peer, found by nobody else */
	BP__KEY_APP,
	BP__KEY_HOST,		/* an IPv6 address, or IPv4 as one */
	BP__KEY_USER,		/* of a Unix socket */
};

struct bp__key {
	enum bp__key_kind kind;
	uint64_t high, low;
};

struct bp__peer {
	struct bp_peer gate;	/* as the gate's discipline sees it, and the order's */
	struct bp_peer order;	/* as another one that has the order does */
	struct bp__list link;	/* among those whose key falls together; or gone ones */
	struct bp__key key;
	size_t refs;		/* connections, requests, and events that are shown */
	atomic_size_t in_hand;	/* chunks its readers hold; within the guarantee (R8) */
	bool guaranteed;
};

/* Lists of what has keys that fall together. */
struct bp__table {
	struct bp__list *lists;		/* NULL: there is no table */
	size_t mask;
	uint64_t seed;
};

/* For about n keys. Returns -ENOMEM. */
int bp__table_init(struct bp__table *table, size_t n);
void bp__table_fini(struct bp__table *table);
struct bp__list *bp__table_list(const struct bp__table *table,
    const struct bp__key *key);

static inline bool bp__key_equal(const struct bp__key *a, const struct bp__key *b)
{
	return a->kind == b->kind && a->high == b->high && a->low == b->low;
}

#endif /* BP_PEER_H */
