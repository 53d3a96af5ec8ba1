/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill_model.h - the library as a discipline sees it: peers, charges, and the calls
 * in the order they are made, each answer checked. The first broken rule is kept, and
 * from then on the discipline is called no more, save for fini.
 */
#ifndef BP_DRILL_MODEL_H
#define BP_DRILL_MODEL_H

#include <bpthread_ops.h>

#define BP__OVERHEAD ((size_t)224)	/* of a cost: the event's, given back with it */

enum { BP__MODEL_PEERS = 24, BP__MODEL_ITEMS = 1024 };

enum bp__where {
	BP__FRESH,
	BP__ASKED, BP__GRANTED, BP__CANCELLED,
	BP__PUT, BP__TAKEN, BP__REMOVED,
};

struct bp__model_peer {
	struct bp_peer peer;	/* what the discipline is shown, */
	struct bp_peer own;	/* and what it should be */
	bool there, gone;	/* gone: the discipline was told so */
	unsigned refs;		/* flows, and items that are with the discipline */
	unsigned asked;		/* items that wait at the gate */
	struct bp__model_item *alone;	/* the one, if there is one */
};

struct bp__model_item {
	struct bp_item item;	/* what the discipline is shown, */
	struct bp_item own;	/* and what it was */
	struct bp__model_peer *peer;
	enum bp__where where;
	uint64_t since;		/* grants or takes when it was asked or put */
	void *owner;
};

struct bp__model {
	/* constant after init */
	const struct bp_qdisc_ops *ops;
	const struct bp_endpoint_config *config;
	void *q;		/* the discipline's */
	bool begun;		/* its init succeeded */
	bool has_gate, has_order;	/* the other one is inherited, and not tried */
	bool lanes;		/* one of ours that keeps guarantees beside the pool */
	size_t budget, pool, peer_max, places_max;
	size_t cost_max;	/* what an empty pool has to admit */
	void (*granted)(struct bp__model_item *item);

	uint64_t random;
	unsigned large_of_32;	/* requests */
	uint64_t asks, grants, takes, seq, now_ns;
	size_t held, shared, places;	/* charged; of the pool; after_read */
	size_t guarantees;	/* that no peer has */
	unsigned asked, put;	/* items that are with the discipline */
	struct bp_heap queue;	/* where the order is inherited */

	struct bp__model_peer peers[BP__MODEL_PEERS];
	/* Taken in turn, so that one which a discipline has kept is not soon used again. */
	struct bp__model_item items[BP__MODEL_ITEMS];
	unsigned next_item;
	struct bp_peer nobody;
	struct bp_item nobodys;	/* where links lead that were not yet set */

	bool broken;
	char *rule;
	size_t rule_size;
};

/* Both leave what is wrong, if anything is, as the broken rule. */
void bp__model_init(struct bp__model *model, const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *config, unsigned seed, char *rule, size_t size);
void bp__model_break(struct bp__model *model, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void bp__model_fini(struct bp__model *model);

uint64_t bp__model_random(struct bp__model *model);
unsigned bp__model_below(struct bp__model *model, unsigned limit);
bool bp__model_one_in(struct bp__model *model, unsigned n);
size_t bp__model_some_cost(struct bp__model *model);
unsigned bp__model_some_band(struct bp__model *model);

/* A new peer with a reference, or NULL: there are enough. */
struct bp__model_peer *bp__model_peer_new(struct bp__model *model, unsigned weight);
void bp__model_peer_ref(struct bp__model *model, struct bp__model_peer *peer);
void bp__model_peer_unref(struct bp__model *model, struct bp__model_peer *peer);
/*
 * For drill_calls.c: was that the last of it, then it is gone; unref, until the call
 * is over; and that, when its memory goes.
 */
void bp__model_peer_check(struct bp__model *model, struct bp__model_peer *peer);
void bp__model_peer_drop(struct bp__model *model, struct bp__model_peer *peer);
void bp__model_bury(struct bp__model_peer *peer);
void bp__model_set_weight(struct bp__model_peer *peer, unsigned weight);

/* Would an inherited gate admit it now? Of others the discipline decides. */
bool bp__model_may_ask(const struct bp__model *model, size_t cost);
/* granted is told at once, or later within another call; cost is 1 with after_read. */
struct bp__model_item *bp__model_ask(struct bp__model *model,
    struct bp__model_peer *peer, size_t cost, unsigned band, void *owner);
void bp__model_cancel(struct bp__model *model, struct bp__model_item *item);
/* Charge, and take back, what no gate decides: a frame in hand with after_read. */
void bp__model_charge(struct bp__model *model, struct bp__model_peer *peer,
    size_t cost);
void bp__model_uncharge(struct bp__model *model, struct bp__model_peer *peer,
    size_t cost);
/* Give back what was granted, or with after_read charged. */
void bp__model_release(struct bp__model *model, struct bp__model_peer *peer,
    size_t cost);
void bp__model_release_place(struct bp__model *model, struct bp__model_peer *peer);

/* cost, len, band, seq and arrived_ns are those of like. */
struct bp__model_item *bp__model_put(struct bp__model *model,
    struct bp__model_peer *peer, const struct bp_item *like, void *owner);
/* NULL: nothing is there, or a rule is broken. */
struct bp__model_item *bp__model_take(struct bp__model *model);
void bp__model_remove(struct bp__model *model, struct bp__model_item *item);

/* Nothing is with the discipline: does it think so, too, and admit the largest? */
void bp__model_check_empty(struct bp__model *model);

/* Is anybody passed by for ever, at the gate or in the order? Nothing is held. */
void bp__model_check_starving(struct bp__model *model);

#endif /* BP_DRILL_MODEL_H */
