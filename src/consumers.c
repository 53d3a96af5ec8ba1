/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * consumers.c - those who receive: they take what is ready, or wait for it.
 *
 * R5, hand-off: whoever makes something ready gives it to an idle consumer under
 * the lock, and whoever frees room charges it to the next reader at the gate; the
 * one who wakes finds its work done. So there is no herd, and nobody is overtaken.
 * A consumer that was chosen so is roused once the lock is given back.
 */
#include "config.h"

#include "locked.h"

#define TAKE_BYTES ((size_t)64 * 1024)	/* of what is taken at once, or one more */
#define RUN_MAX ((size_t)16 * 1024)	/* of weight: a chunk's worth */

struct consumer {
	struct bp__list link;		/* in q->consumers, or q->chosen */
	struct bp__sleep sleep;
	uint64_t thread;		/* bp__this_thread() */
	struct bp__entry *entry;
	bool chosen;			/* it will be roused */
};

static void choose_locked(struct bp__qdisc *q, struct consumer *idle)
    BP__REQUIRES(q->lock)
{
	bp__list_remove(&idle->link);
	idle->chosen = true;
	bp__list_append(&q->chosen, &idle->link);
}

void bp__consumers_look_locked(struct bp__qdisc *q)
{
	while (!bp__list_empty(&q->consumers))
		choose_locked(q, bp__container_of(q->consumers.next, struct consumer,
		    link));
}

void bp__consumers_rouse(struct bp__list *chosen)
{
	struct bp__list *link;

	while ((link = bp__list_shift(chosen)) != NULL)
		bp__rouse(&bp__container_of(link, struct consumer, link)->sleep);
}

/* Wait to be chosen. Returns -ETIMEDOUT. */
static int await_entry_locked(struct bp__qdisc *q, struct consumer *self,
    uint64_t deadline_ns)
    BP__REQUIRES(q->lock)
{
	self->chosen = false;
	atomic_init(&self->sleep.over, 0);
	bp__list_append(&q->consumers, &self->link);
	bp__qdisc_leave(q, NULL);
	if (bp__sleep(&self->sleep, deadline_ns)) {
		bp__lock(&q->lock);
		return 0;
	}
	bp__lock(&q->lock);
	if (!self->chosen) {
		bp__list_remove(&self->link);
		return -ETIMEDOUT;
	}
	/* just now: who has chosen this lets it go in a moment */
	bp__qdisc_leave(q, NULL);
	bp__sleep(&self->sleep, BP__NEVER);
	bp__lock(&q->lock);
	return 0;
}

/* The first n entries of its queue, up to last, are out, with their turns. */
static void give_out_locked(struct bp__flow *flow, struct bp__entry *last, size_t n,
    size_t bytes, uint64_t taker)
    BP__REQUIRES(flow->q->lock)
{
	struct bp__qdisc *q = flow->q;
	struct bp__entry *entry = flow->first;

	bp__flow_shift_locked(flow, last, n, bytes);
	atomic_fetch_add(&flow->out, n);
	if (bp__list_empty(&flow->turn_link)) {
		bp__list_append(&q->turns, &flow->turn_link);
		bp__lasting_begin(&q->busy, bp__about_now_ns());
	}
	atomic_store_explicit(&flow->taker, taker, memory_order_relaxed);
	if (last->last)
		q->live--;
	for (; entry; entry = entry->next) {
		q->dequeued_events += entry->cost > 0;
		bp__flow_leave_queue_locked(entry);
	}
}

/* The next entry, with its turn, or NULL. */
static struct bp__entry *take_ready_locked(struct bp__qdisc *q, uint64_t taker)
    BP__REQUIRES(q->lock)
{
	struct bp__entry *entry;
	struct bp__flow *flow;

	if (q->slots_max > 0)
		return NULL;		/* what is ready is for handlers */
	flow = bp__qdisc_next_locked(q);
	if (!flow)
		return NULL;
	flow->owed = 0;
	entry = flow->first;
	give_out_locked(flow, entry, 1, entry->len, taker);
	return entry;
}

/*
 * Those of the same flow that are next in the order, or as good as: they were queued
 * together with last, and nobody else's is ready, or they are small and the flow owes
 * for them. To ask the discipline about each would cost more than to handle it.
 */
static struct bp__entry *take_run_locked(struct bp__entry *last, int *left,
    size_t *bytes)
    BP__REQUIRES(last->flow->q->lock)
{
	struct bp__flow *flow = last->flow;
	struct bp__entry *first = flow->first, *next = first, *end = NULL;
	bool alone = atomic_load(&flow->q->shown) == 0;
	uint64_t seq = last->seq;
	size_t n = 0, before = *bytes, run = 0;

	if (!flow->q->runs || bp__flow_passed_over_locked(flow))
		return last;
	for (; *left > 0 && *bytes < TAKE_BYTES && next && next->seq == ++seq
	    && next->band == last->band && !next->last; next = next->next) {
		if (!alone && run + bp__entry_weight(next) > RUN_MAX)
			break;
		run += bp__entry_weight(next);
		end = next;
		*bytes += next->len;
		n++;
		--*left;
	}
	if (!end)
		return last;
	if (!alone)
		flow->owed += run;
	give_out_locked(flow, end, n, *bytes - before, atomic_load(&flow->taker));
	last->next = first;
	return end;
}

/*
 * More for who has taken entry: at most n in all, as a chain behind it. Other entries
 * of the same flows may be among them, in the discipline's order as ever; but when
 * this is over those wait until all that were taken are handled.
 */
static int take_more_locked(struct bp__qdisc *q, struct bp__entry *entry, int n)
    BP__REQUIRES(q->lock)
{
	struct bp__entry *last = entry;
	size_t bytes = entry->len;
	int left = n - 1;

	while (left > 0 && bytes < TAKE_BYTES) {
		last = take_run_locked(last, &left, &bytes);
		bp__flow_show_behind_locked(last->flow);
		if (left == 0 || bytes >= TAKE_BYTES)
			break;
		last->next = take_ready_locked(q, bp__this_thread());
		if (!last->next)
			break;
		last = last->next;
		bytes += last->len;
		left--;
	}
	for (; n > 1 && entry; entry = entry->next)
		bp__flow_hide_locked(entry->flow);
	return n - left;
}

/* Nothing comes any more. */
static bool over_locked(const struct bp__qdisc *q)
    BP__REQUIRES(q->lock)
{
	const struct bp__list *link;
	const struct bp__flow *flow;

	if (q->closed && q->live == 0)
		return true;
	if (!q->stopped)
		return false;
	/* what is left is behind events that are out; who holds them all itself
	 * would wait for itself */
	for (link = q->turns.next; link != &q->turns; link = link->next) {
		flow = bp__container_of(link, const struct bp__flow, turn_link);
		if (atomic_load(&flow->taker) != bp__this_thread())
			return false;
	}
	return true;
}

void bp__qdisc_dispatch_locked(struct bp__qdisc *q)
{
	struct consumer *idle;
	struct bp__entry *entry;

	while (!bp__list_empty(&q->consumers)) {
		/* the latest to come: its stack is warm */
		idle = bp__container_of(q->consumers.prev, struct consumer, link);
		entry = take_ready_locked(q, idle->thread);
		if (!entry)
			break;
		idle->entry = entry;
		choose_locked(q, idle);
	}
	if (q->closed && q->live == 0)
		bp__consumers_look_locked(q);
}

static void note_taken(const struct bp__entry *chain)
{
	uint64_t now = bp__now_ns(), n;

	while (chain) {
		const struct bp__entry *first = chain;

		atomic_store_explicit(&first->flow->beat_ns, now,
		    memory_order_relaxed);
		/* what was read together has waited together */
		for (n = 0; chain && chain->arrived_ns == first->arrived_ns
		    && chain->flow == first->flow; chain = chain->next)
			n++;
		bp__flow_note_wait(first->flow, now - first->arrived_ns, n);
	}
}

int bp__qdisc_take(struct bp__qdisc *q, struct bp__entry **ret_chain, int n,
    uint64_t deadline_ns)
{
	struct consumer self = { .thread = bp__this_thread() };
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
		else
			rc = await_entry_locked(q, &self, deadline_ns);
	}
	if (self.entry)
		rc = take_more_locked(q, self.entry, n);
	bp__qdisc_dispatch_locked(q);
	bp__qdisc_leave(q, NULL);
	if (!self.entry)
		return rc;
	note_taken(self.entry);
	*ret_chain = self.entry;
	return rc;
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
	bp__flows_cut_muted_locked(q);
	/* let each look again whether there is anybody left to wait for */
	bp__consumers_look_locked(q);
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
