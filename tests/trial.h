/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trial.h - a discipline alone, called as the core would call it: peers with what
 * they hold, requests at the gate, items in the order. No thread, no lock, no wait.
 * After each grant it is checked that the bounds hold (I1 to I3).
 */
#ifndef TEST_TRIAL_H
#define TEST_TRIAL_H

#include "harness.h"

#include <bpthread_ops.h>
#include <stdlib.h>

enum { TRIAL_PEERS = 16, TRIAL_GRANTS = 8192 };

struct trial {
	const struct bp_qdisc_ops *ops;
	void *q;
	size_t pool, peer_max;		/* peer_max 0: not limited */
	struct bp_peer peers[TRIAL_PEERS];
	unsigned n_peers;
	uint64_t seq;
	struct bp_item *grants[TRIAL_GRANTS];	/* in their order */
	unsigned n_grants;
};

struct request {
	struct bp_item item;
	bool granted;
};

static inline struct request *request_of(struct bp_item *item)
{
	return (struct request *)item;
}

static inline int trial_init(struct trial *trial,
    const struct bp_endpoint_config *config)
{
	memset(trial, 0, sizeof *trial);
	trial->ops = config->qdisc;
	trial->pool = config->budget - config->conns_max * config->guarantee;
	trial->peer_max = config->qdisc == &bp_qdisc_fair ? config->peer_max : 0;
	trial->q = calloc(1, trial->ops->state_size);
	REQUIRE(trial->q != NULL);
	return trial->ops->init(trial->q, config);
}

static inline void trial_fini(struct trial *trial)
{
	if (trial->ops->fini)
		trial->ops->fini(trial->q);
	while (trial->n_peers > 0)
		free(trial->peers[--trial->n_peers].state);
	free(trial->q);
}

static inline struct bp_peer *trial_peer(struct trial *trial, unsigned weight,
    size_t guarantee)
{
	struct bp_peer *peer = &trial->peers[trial->n_peers++];

	REQUIRE(trial->n_peers <= TRIAL_PEERS);
	peer->state = calloc(1, trial->ops->peer_size);
	REQUIRE(peer->state != NULL);
	peer->weight = weight;
	peer->guarantee = guarantee;
	return peer;
}

/* ---- the gate ------------------------------------------------------------- */

static inline size_t trial_shared(const struct trial *trial)
{
	const struct bp_peer *peer = trial->peers;
	size_t shared = 0;

	for (; peer < trial->peers + trial->n_peers; peer++)
		if (peer->held > peer->guarantee)
			shared += peer->held - peer->guarantee;
	return shared;
}

static inline void trial_pump(struct trial *trial)
{
	struct bp_item *item;

	while ((item = trial->ops->grant(trial->q)) != NULL) {
		REQUIRE(!request_of(item)->granted);
		request_of(item)->granted = true;
		item->peer->held += item->cost;
		CHECK_LE(trial_shared(trial), trial->pool);
		if (trial->peer_max > 0)
			CHECK_LE(item->peer->held, trial->peer_max);
		REQUIRE(trial->n_grants < TRIAL_GRANTS);
		trial->grants[trial->n_grants++] = item;
	}
}

/* Is it granted at once? */
static inline bool trial_ask(struct trial *trial, struct request *request,
    struct bp_peer *peer, size_t cost, unsigned band)
{
	*request = (struct request){
		.item = { .peer = peer, .cost = cost, .len = cost, .band = band,
		    .seq = trial->seq++ },
	};
	trial->ops->ask(trial->q, &request->item);
	trial_pump(trial);
	return request->granted;
}

static inline void trial_cancel(struct trial *trial, struct request *request)
{
	REQUIRE(!request->granted);
	trial->ops->cancel(trial->q, &request->item);
	trial_pump(trial);
}

static inline void trial_release(struct trial *trial, struct bp_peer *peer, size_t cost)
{
	REQUIRE(peer->held >= cost);
	peer->held -= cost;
	trial->ops->release(trial->q, peer, cost);
	trial_pump(trial);
}

/* What was granted is given back, as a whole. */
static inline void trial_done(struct trial *trial, struct request *request)
{
	REQUIRE(request->granted);
	trial_release(trial, request->item.peer, request->item.cost);
}

/* ---- the order ------------------------------------------------------------ */

static inline void trial_put(struct trial *trial, struct bp_item *item,
    struct bp_peer *peer, size_t cost, unsigned band)
{
	*item = (struct bp_item){
		.peer = peer, .cost = cost, .len = cost, .band = band,
		.seq = trial->seq++,
	};
	trial->ops->put(trial->q, item);
}

static inline struct bp_item *trial_take(struct trial *trial)
{
	return trial->ops->take(trial->q);
}

#endif /* TEST_TRIAL_H */
