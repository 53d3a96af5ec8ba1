/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * marks.c - when a send has to wait.
 *
 * The level is `queued >= high`, until `queued <= low`. What is counted but not yet
 * in the queue, on its way in or out of it, belongs to a thread that will count it
 * off. Waiting senders are admitted by who clears the level, in order (R5), until
 * it is set again: at most high and one frame are ever queued.
 */
#include "config.h"

#include "callback.h"
#include "conn.h"

struct sender {
	struct bp__waiter waiter;
	size_t bytes;			/* 0: waits for unthrottled, to send nothing */
	bool admitted;
};

/* ---- the level ---------------------------------------------------------- */

static void count_locked(struct bp_conn *c, size_t n)
    BP__REQUIRES(c->lock)
{
	c->queued += n;
	if (c->queued >= c->config.out_high && !c->throttled) {
		c->throttled_since_ns = bp__now_ns();
		c->throttles++;
		atomic_fetch_add(&c->flow.q->throttles, 1);
		atomic_store(&c->throttled, true);
	}
}

static void admit_waiting_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock)
{
	struct bp__list *link = c->senders.next, *next;
	struct sender *sender;

	for (; link != &c->senders; link = next) {
		next = link->next;
		sender = bp__container_of(link, struct sender, waiter.link);
		if (sender->bytes > 0 && c->throttled)
			continue;
		sender->admitted = true;
		count_locked(c, sender->bytes);
		bp__waiter_wake(&sender->waiter);
	}
}

static void clear_level_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock)
{
	uint64_t lasted_ns = bp__now_ns() - c->throttled_since_ns;

	c->throttled_ns += lasted_ns;
	atomic_fetch_add(&c->flow.q->throttled_ns, lasted_ns);
	atomic_fetch_add(&c->flow.q->unthrottles, 1);
	atomic_store(&c->throttled, false);
	c->chores.unblock = true;	/* R12: always */
	if (c->told)
		bp__writer_wake_locked(c);	/* to say unthrottled */
}

void bp__conn_uncount_locked(struct bp_conn *c, size_t n)
{
	if (c->out_dead)
		return;			/* was counted off with all the rest */
	c->queued -= n;
	if (c->throttled && c->queued <= c->config.out_low) {
		clear_level_locked(c);
		admit_waiting_locked(c);
	}
	bp__conn_try_end_locked(c);
}

void bp__conn_drop_out_locked(struct bp_conn *c)
{
	c->out_dead = true;
	c->queued = 0;
	atomic_store(&c->withheld, false);
	if (!c->token)		/* who has it may be sending these bytes just now */
		bp__outq_join(&c->chores.dead, &c->outq);
	if (c->throttled)
		clear_level_locked(c);
}

/* ---- admission ---------------------------------------------------------- */

static int wait_locked(struct bp_conn *c, struct sender *sender, uint64_t deadline_ns)
    BP__REQUIRES(c->lock)
{
	uint64_t since = bp__now_ns();
	bool woken;

	woken = bp__waiter_wait(&sender->waiter, &c->senders, &c->lock, deadline_ns);
	bp__histogram_record(&c->flow.q->send_waits, bp__now_ns() - since, 1);
	if (!woken)
		return -ETIMEDOUT;
	return sender->admitted ? 0 : -EPIPE;
}

int bp__conn_admit_locked(struct bp_conn *c, size_t bytes, int timeout_ms)
{
	struct sender sender = { .bytes = bytes };
	uint64_t deadline_ns;

	if (!bp__conn_sendable(c))
		return -EPIPE;
	if (c->throttled && timeout_ms != 0) {
		if (bp__on_writer(c))
			return -EDEADLK;
		/* this thread's own answers must not wait with it */
		deadline_ns = bp__deadline_ns(timeout_ms);
		bp__conn_unlock(c);
		bp__push_own();
		bp__lock(&c->lock);
		if (!bp__conn_sendable(c))
			return -EPIPE;
		if (c->throttled)
			return wait_locked(c, &sender, deadline_ns);
	}
	if (c->throttled)
		return -EAGAIN;
	count_locked(c, bytes);
	return 0;
}

/* ---- public ------------------------------------------------------------- */

int bp_conn_wait_unthrottled(struct bp_conn *c, int timeout_ms)
{
	int rc;

	bp__lock(&c->lock);
	rc = bp__conn_admit_locked(c, 0, timeout_ms);
	bp__conn_unlock(c);
	return rc;
}

bool bp_conn_throttled(const struct bp_conn *c)
{
	return atomic_load(&c->throttled);
}

size_t bp_conn_pending(const struct bp_conn *conn)
{
	struct bp_conn *c = (struct bp_conn *)(uintptr_t)conn;
	size_t queued;

	bp__lock(&c->lock);
	queued = c->queued;
	bp__unlock(&c->lock);
	return queued;
}
