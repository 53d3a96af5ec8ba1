/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc.c - the consumers' side of a queueing discipline, and what there is once
 * per endpoint.
 *
 * R5, hand-off: whoever makes something ready gives it to an idle consumer under
 * the lock, and whoever frees room charges it to the next reader at the gate; the
 * one who wakes finds its work done. So there is no herd, and nobody is overtaken.
 */
#include "config.h"

#include "qdisc.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_NS (1000 * BP__MS)		/* an idle block goes back after it */
#define STALL_NS (5000 * BP__MS)
#define IDLE_MAX ((size_t)64 << 20)	/* idle blocks where there is no budget */

struct consumer {
	struct bp__waiter waiter;
	pthread_t thread;
	struct bp__entry *entry;
};

int bp__qdisc_init(struct bp__qdisc *q, const struct bp_endpoint_config *config,
    const struct bp__qdisc_hooks *hooks)
{
	int rc;

	memset(q, 0, sizeof *q);
	q->ops = config->qdisc;
	q->hooks = hooks;
	q->budget = bp__qdisc_budgeted(q->ops) ? config->budget : BP_UNLIMITED;
	q->guarantee = config->guarantee;
	q->places_max = config->conns_max;
	q->cost_max = bp__qdisc_budgeted(q->ops)
	    ? config->budget - config->conns_max * config->guarantee
	    : BP_UNLIMITED;
	q->state = calloc(1, q->ops->state_size ? q->ops->state_size : 1);
	if (!q->state)
		return -ENOMEM;
	rc = q->ops->init ? q->ops->init(q->state, config) : 0;
	if (rc < 0) {
		free(q->state);
		return rc;
	}
	atomic_init(&q->refs, 1);
	bp__mutex_init(&q->lock);
	bp__list_init(&q->consumers);
	bp__list_init(&q->turns);
	bp__list_init(&q->filled);
	bp__list_init(&q->victims);
	bp__pool_init(&q->pool);
	return 0;
}

void bp__qdisc_fini(struct bp__qdisc *q)
{
	assert(q->held == 0 && q->places == 0);
	bp__pool_shrink(&q->pool, 0, &q->victims);
	bp__pool_unmap(&q->victims);
	if (q->ops->fini)
		q->ops->fini(q->state);
	free(q->state);
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
	struct bp__list victims;
	bool quiet = false, room = q->room;

	bp__assert_held(&q->lock);
	if (flow && flow->watched)
		quiet = !flow->turn && !flow->first && !flow->wanting
		    && flow->peer.held == flow->reader_held;
	q->purged = NULL;
	q->room = false;
	bp__list_init(&victims);
	bp__list_splice(&victims, &q->victims);
	bp__unlock(&q->lock);

	bp__pool_unmap(&victims);
	while ((entry = purged) != NULL) {
		purged = entry->next;
		q->hooks->purged(entry);
	}
	if (quiet)
		q->hooks->quiet(flow);
	if (room)
		q->hooks->room(q);
}

/* ---- consumers ---------------------------------------------------------- */

/* The next entry, with its turn, or NULL. */
static struct bp__entry *take_ready_locked(struct bp__qdisc *q, pthread_t taker)
    BP__REQUIRES(q->lock)
{
	struct bp__entry *entry;
	struct bp__flow *flow;
	struct bp_item *item;

	do {
		item = q->ops->take(q->state);
		if (!item)
			return NULL;
		flow = bp__container_of(item, struct bp__flow, oldest);
		flow->shown = false;
		q->shown--;
		/* R12: the level is read here, and what it forbids stays parked in the
		 * flow; who clears the level comes by and shows it again */
	} while (!flow->first->last && bp__flow_passed_over_locked(flow));

	entry = bp__flow_shift_locked(flow);
	flow->turn = true;
	flow->turn_taker = taker;
	bp__list_append(&q->turns, &flow->turn_link);
	if (entry->last)
		q->live--;
	if (entry->in_place) {
		entry->in_place = false;
		q->ops->release(q->state, &flow->peer, 1);
		bp__qdisc_pump_locked(q);
	}
	return entry;
}

/* Nothing comes any more. */
static bool over_locked(const struct bp__qdisc *q)
    BP__REQUIRES(q->lock)
{
	const struct bp__list *link;

	if (q->closed && q->live == 0)
		return true;
	if (!q->stopped)
		return false;
	/* what is left is behind events that are out; who holds them all itself
	 * would wait for itself */
	for (link = q->turns.next; link != &q->turns; link = link->next)
		if (!pthread_equal(bp__container_of(link, struct bp__flow,
		    turn_link)->turn_taker, pthread_self()))
			return false;
	return true;
}

void bp__qdisc_dispatch_locked(struct bp__qdisc *q)
{
	struct consumer *idle;
	struct bp__entry *entry;

	while (!bp__list_empty(&q->consumers)) {
		/* the latest to come: its stack is warm */
		idle = bp__container_of(q->consumers.prev, struct consumer,
		    waiter.link);
		entry = take_ready_locked(q, idle->thread);
		if (!entry)
			break;
		idle->entry = entry;
		bp__waiter_wake(&idle->waiter);
	}
	if (q->closed && q->live == 0)
		bp__wake_all(&q->consumers);
}

int bp__qdisc_take(struct bp__qdisc *q, struct bp__entry **ret_entry,
    uint64_t deadline_ns)
{
	struct consumer self = { .thread = pthread_self() };
	int rc = 0;

	bp__lock(&q->lock);
	while (!self.entry && rc == 0) {
		self.entry = take_ready_locked(q, self.thread);
		if (self.entry)
			break;
		if (over_locked(q))
			rc = -EPIPE;
		else if (deadline_ns == 0)
			rc = -EAGAIN;
		else if (!bp__waiter_wait(&self.waiter, &q->consumers, &q->lock,
		    deadline_ns))
			rc = -ETIMEDOUT;
	}
	bp__qdisc_dispatch_locked(q);
	bp__qdisc_leave(q, NULL);
	if (!self.entry)
		return rc;
	bp__waits_record(&q->waits, bp__now_ns() - self.entry->arrived_ns);
	*ret_entry = self.entry;
	return 0;
}

void bp__qdisc_close(struct bp__qdisc *q)
{
	bp__lock(&q->lock);
	q->closed = true;
	bp__qdisc_dispatch_locked(q);
	bp__qdisc_leave(q, NULL);
}

void bp__qdisc_stop(struct bp__qdisc *q)
{
	bp__lock(&q->lock);
	q->stopped = true;
	/* let each look again whether there is anybody left to wait for */
	bp__wake_all(&q->consumers);
	bp__qdisc_leave(q, NULL);
}

void bp__qdisc_drain(struct bp__qdisc *q)
{
	struct bp__list *link, *next;
	struct bp__flow *flow;

	bp__lock(&q->lock);
	q->abandoned = true;	/* what is behind events that are out follows them */
	for (link = q->filled.next; link != &q->filled; link = next) {
		next = link->next;
		flow = bp__container_of(link, struct bp__flow, filled_link);
		bp__flow_hide_locked(flow);
		bp__flow_show_locked(flow);
	}
	bp__qdisc_leave(q, NULL);
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

void bp__qdisc_pump_locked(struct bp__qdisc *q)
{
	struct bp__request *request;
	struct bp_item *item;

	while ((item = q->ops->grant(q->state)) != NULL) {
		request = bp__container_of(item, struct bp__request, item);
		request->granted = true;
		q->moves++;
		if (!q->ops->after_read) {
			item->peer->held += item->cost;
			q->held += item->cost;
			q->promised += request->block;
			assert(q->held <= q->budget);
		}
		if (request->waiting) {
			request->flow->gate_ns +=
			    bp__now_ns() - request->flow->asking_since_ns;
			request->waiting = false;
			q->waiting--;
			bp__signal(&request->flow->reader_cond);
		}
	}
	bp__qdisc_shrink_locked(q);
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

bool bp__qdisc_tick(struct bp__qdisc *q, uint64_t now_ns, bool *ret_in_use)
{
	bool stalled = false;

	bp__lock(&q->lock);
	*ret_in_use = q->places > 0;
	if (now_ns > IDLE_NS)
		bp__pool_expire(&q->pool, now_ns - IDLE_NS, &q->victims);
	if (q->waiting == 0 || q->shown > 0 || q->reading > 0
	    || q->moves != q->moves_seen) {
		q->moves_seen = q->moves;
		q->stalled_since_ns = now_ns;
	} else if (now_ns - q->stalled_since_ns >= STALL_NS) {
		q->stalled_since_ns = now_ns;
		q->stalls++;
		stalled = true;
	}
	bp__qdisc_leave(q, NULL);
	return stalled;
}

/* ---- watching ----------------------------------------------------------- */

void bp__qdisc_stats(struct bp__qdisc *q, struct bp_endpoint_stats *ret)
{
	ret->sent_bytes = atomic_load(&q->sent_bytes);
	ret->wait_p50_ns = bp__waits_percentile_ns(&q->waits, 50);
	ret->wait_p99_ns = bp__waits_percentile_ns(&q->waits, 99);
	ret->wait_max_ns = atomic_load(&q->waits.max_ns);

	bp__lock(&q->lock);
	ret->received_bytes = q->received_bytes;
	ret->received_events = q->received_events;
	ret->conns = q->places;
	ret->conns_max = q->places_max;
	ret->queued_events = q->queued_events;
	ret->queued_bytes = q->queued_bytes;
	ret->held_bytes = q->held;
	ret->budget = q->budget;
	ret->waiting = q->waiting;
	ret->muted = q->muted;
	ret->stalls = q->stalls;
	ret->futile_wakeups = q->futile_wakeups;
	bp__unlock(&q->lock);
}
