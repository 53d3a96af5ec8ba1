/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc.c - what there is once per endpoint: the discipline, or the two that share
 * its work, the large blocks, the reaper's look at it all.
 */
#include "config.h"

#include "locked.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (1000 * BP__MS)		/* an idle block goes back after it */
#define STALL_NS (5000 * BP__MS)
#define IDLE_MAX ((size_t)64 << 20)	/* idle blocks where there is no budget */

static int lever_init(struct bp__lever *lever, const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *config)
{
	int rc;

	lever->ops = ops;
	lever->state = calloc(1, ops->state_size ? ops->state_size : 1);
	if (!lever->state)
		return -ENOMEM;
	rc = ops->init ? ops->init(lever->state, config) : 0;
	if (rc < 0) {
		free(lever->state);
		lever->state = NULL;
	}
	return rc;
}

static void lever_fini(struct bp__lever *lever)
{
	if (lever->state && lever->ops->fini)
		lever->ops->fini(lever->state);
	free(lever->state);
	lever->state = NULL;
}

static bool one_discipline(const struct bp__qdisc *q)
{
	return q->gate.state == q->order.state;
}

/* The discipline has the gate and the order, or one of them; then we add the other. */
static int init_levers(struct bp__qdisc *q, const struct bp_endpoint_config *config)
{
	const struct bp_qdisc_ops *ops = config->qdisc;
	int rc;

	rc = lever_init(&q->gate, ops->ask ? ops : &bp_qdisc_bytes, config);
	if (rc < 0)
		return rc;
	if (ops->ask && ops->put) {
		q->order = q->gate;
		return 0;
	}
	rc = lever_init(&q->order, ops->put ? ops : &bp_qdisc_unbounded, config);
	if (rc < 0)
		lever_fini(&q->gate);
	return rc;
}

static void fini_levers(struct bp__qdisc *q)
{
	if (!one_discipline(q))
		lever_fini(&q->order);
	lever_fini(&q->gate);
}

static int init_tables(struct bp__qdisc *q, const struct bp_endpoint_config *config)
{
	int rc = 0;

	if (config->peer_by != BP_PEER_CONN)
		rc = bp__table_init(&q->peers, config->conns_max);
	if (rc == 0 && config->conns_per_addr > 0)
		rc = bp__table_init(&q->hosts, config->conns_max);
	if (rc < 0)
		bp__table_fini(&q->peers);
	return rc;
}

int bp__qdisc_init(struct bp__qdisc *q, const struct bp_endpoint_config *config,
    const struct bp__qdisc_hooks *hooks)
{
	int rc;

	memset(q, 0, sizeof *q);
	q->hooks = hooks;
	q->budget = bp__qdisc_budgeted(config->qdisc) ? config->budget : BP_UNLIMITED;
	q->guarantee = config->guarantee;
	q->guarantees = q->places_max = config->conns_max;
	q->slots_max = config->handlers_max;
	q->conns_per_addr = config->conns_per_addr;
	q->bands = config->bands;
	q->peer_by = config->peer_by;
	q->cost_max = bp__qdisc_cost_max(config);
	rc = init_tables(q, config);
	if (rc < 0)
		return rc;
	rc = init_levers(q, config);
	if (rc < 0) {
		bp__table_fini(&q->peers);
		bp__table_fini(&q->hosts);
		return rc;
	}
	q->runs = bp__qdisc_is_ours(q->order.ops);
	atomic_init(&q->refs, 1);
	bp__mutex_init(&q->lock);
	bp__list_init(&q->consumers);
	bp__list_init(&q->chosen);
	bp__list_init(&q->turns);
	bp__list_init(&q->filled);
	bp__list_init(&q->victims);
	bp__list_init(&q->gone);
	bp__pool_init(&q->pool);
	return 0;
}

void bp__qdisc_fini(struct bp__qdisc *q)
{
	assert(q->held == 0 && q->promised == 0);
	assert(q->places == 0 && q->guarantees == q->places_max);
	bp__pool_shrink(&q->pool, 0, &q->victims);
	bp__pool_unmap(&q->victims);
	fini_levers(q);
	bp__table_fini(&q->peers);
	bp__table_fini(&q->hosts);
	bp__mutex_fini(&q->lock);
}

void bp__qdisc_ref(struct bp__qdisc *q)
{
	atomic_fetch_add(&q->refs, 1);
}

void bp__qdisc_unref(struct bp__qdisc *q)
{
	if (atomic_fetch_sub(&q->refs, 1) == 1)
		q->hooks->qdisc_gone(q);
}

void bp__qdisc_leave(struct bp__qdisc *q, struct bp__flow *flow)
{
	struct bp__entry *purged = q->purged, *entry;
	struct bp__list victims, gone, chosen;
	bool quiet = false, room = q->room;

	bp__assert_held(&q->lock);
	if (flow && flow->watched)
		quiet = atomic_load(&flow->out) == 0 && !flow->first && !flow->wanting
		    && flow->held == flow->reader_held;
	q->purged = NULL;
	q->room = false;
	bp__list_init(&chosen);
	bp__list_splice(&chosen, &q->chosen);
	bp__list_init(&victims);
	bp__list_splice(&victims, &q->victims);
	bp__list_init(&gone);
	bp__list_splice(&gone, &q->gone);
	bp__unlock(&q->lock);

	bp__consumers_rouse(&chosen);
	bp__pool_unmap(&victims);
	bp__peers_free(&gone);
	while ((entry = purged) != NULL) {
		purged = entry->next;
		q->hooks->purged(entry);
	}
	if (quiet)
		q->hooks->quiet(flow);
	if (room)
		q->hooks->room(q);
}

/* ---- the gate ----------------------------------------------------------- */

/*
 * What is allocated and what is idle stay within the budget together. A block that
 * was promised is charged already, but perhaps it is an idle one that will be taken.
 */
void bp__qdisc_shrink_locked(struct bp__qdisc *q)
{
	size_t max = q->budget == BP_UNLIMITED ? IDLE_MAX
	    : q->budget - q->held + q->promised;

	if (q->places == 0)
		max = 0;		/* the traffic has ended */
	bp__pool_shrink(&q->pool, max, &q->victims);
}

bool bp__qdisc_has_place(struct bp__qdisc *q)
{
	bool free_place;

	bp__lock(&q->lock);
	free_place = q->places < q->places_max;
	bp__unlock(&q->lock);
	return free_place;
}

/* ---- large blocks ------------------------------------------------------- */

void *bp__qdisc_block(struct bp__qdisc *q, size_t size)
{
	void *block;

	bp__lock(&q->lock);
	block = bp__pool_take(&q->pool, size);
	q->promised -= size;
	bp__qdisc_shrink_locked(q);
	bp__qdisc_leave(q, NULL);
	return block ? block : bp__pool_map(size);
}

void bp__qdisc_unclaim(struct bp__qdisc *q, size_t size)
{
	bp__lock(&q->lock);
	q->promised -= size;
	bp__unlock(&q->lock);
}

void bp__qdisc_block_back(struct bp__qdisc *q, void *block, size_t size)
{
	uint64_t now = bp__now_ns();

	bp__lock(&q->lock);
	bp__pool_give(&q->pool, block, size, now);
	bp__qdisc_shrink_locked(q);
	bp__qdisc_leave(q, NULL);
}

/* Has anything gone on since the last look? Events are freed without the lock. */
static bool moves_locked(struct bp__qdisc *q)
    BP__REQUIRES(q->lock)
{
	uint64_t moves_seen = q->moves_seen;
	size_t taken_seen = q->taken_seen;
	const struct bp__list *link;

	q->moves_seen = q->moves;
	q->taken_seen = 0;
	for (link = q->turns.next; link != &q->turns; link = link->next)
		q->taken_seen += atomic_load(&bp__container_of(link,
		    const struct bp__flow, turn_link)->out);
	return q->moves_seen != moves_seen || q->taken_seen != taken_seen;
}

bool bp__qdisc_tick(struct bp__qdisc *q, uint64_t now_ns, bool *ret_in_use)
{
	bool stalled = false, moves;

	bp__lock(&q->lock);
	*ret_in_use = q->places > 0;
	if (now_ns > IDLE_NS)
		bp__pool_expire(&q->pool, now_ns - IDLE_NS, &q->victims);
	moves = moves_locked(q);
	if (atomic_load(&q->waiting) == 0 || atomic_load(&q->shown) > 0 || q->reading > 0
	    || moves) {
		q->stalled_since_ns = now_ns;
		q->stalled = false;
	} else if (now_ns - q->stalled_since_ns >= STALL_NS) {
		q->stalled_since_ns = now_ns;
		q->stalls++;
		stalled = q->stalled = true;
	}
	bp__qdisc_leave(q, NULL);
	return stalled;
}

/* ---- watching ----------------------------------------------------------- */

void bp__qdisc_detail(struct bp__qdisc *q, struct bp_endpoint_detail *ret)
{
	struct bp_endpoint_stats *stats = &ret->stats;
	uint64_t now;

	bp__histogram_read(&q->waits, &ret->wait);
	ret->throttles = atomic_load(&q->throttles);
	ret->unthrottles = atomic_load(&q->unthrottles);
	stats->wait_p50_ns = ret->wait.p50;
	stats->wait_p99_ns = ret->wait.p99;
	stats->wait_max_ns = ret->wait.max;
	stats->sent_bytes = atomic_load(&q->sent_bytes);

	bp__lock(&q->lock);
	now = bp__now_ns();	/* not before: what began while this waited */
	stats->received_bytes = q->received_bytes;
	stats->received_events = q->received_events;
	stats->conns = q->places;
	stats->conns_max = q->places_max;
	stats->queued_events = q->queued_events;
	stats->queued_bytes = q->queued_bytes;
	stats->held_bytes = q->held;
	stats->budget = q->budget;
	stats->waiting = q->gating.n;
	stats->muted = q->muting.n;
	stats->stalls = q->stalls;
	stats->futile_wakeups = q->futile_wakeups;
	ret->stalled = q->stalled;
	ret->dequeued_events = q->dequeued_events;
	ret->gate_waits = q->gating.begun;
	ret->gate_ns = bp__lasting_ns(&q->gating, now);
	ret->muted_ns = bp__lasting_ns(&q->muting, now);
	ret->busy_ns = bp__lasting_ns(&q->busy, bp__about_now_ns());
	bp__unlock(&q->lock);
}
