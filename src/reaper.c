/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reaper.c - the endpoint's only clock, and who joins its threads (R3).
 *
 * It wakes when a worker has left, when answers are withheld for the first time, and to
 * look at the deadlines. How often it looks follows from the deadlines: what begins after
 * one look cannot end before the next if that is no farther off than the shortest of
 * them. So nobody has to tell it that a frame has begun.
 */
#include "config.h"

#include "endpoint.h"

#include <syslog.h>

#define TICK_NS (1000 * BP__MS)		/* for blocks that are idle */
#define WITHHOLD_NS (3 * BP__MS)	/* answers are handed to the writer after it */

/* ---- the look at all connections ---------------------------------------- */

/* When the next look is due; ep->look_ns is that, or NEVER while this looks. */
static bool look_due(struct bp_endpoint *ep, uint64_t now)
{
	bool due;

	bp__lock(&ep->lock);
	due = now >= ep->look_ns;
	if (due)
		ep->look_ns = BP__NEVER;
	bp__unlock(&ep->lock);
	return due;
}

static void look_at_all(struct bp_endpoint *ep, uint64_t now)
{
	struct bp_conn *c = NULL;
	uint64_t next = BP__NEVER;
	bool in_use;

	while ((c = bp__endpoint_next(ep, c)) != NULL)
		next = bp__earlier(next, bp__conn_look(c, now));
	if (bp__qdisc_tick(&ep->qdisc, now, &in_use))
		bp__endpoint_log(ep, LOG_WARNING, "stalled: readers wait for memory, and "
		    "all that is held is with the application");
	if (in_use)		/* a payload may outlive all connections */
		next = bp__earlier(next, now + TICK_NS);
	bp__lock(&ep->lock);
	ep->look_ns = bp__earlier(ep->look_ns, next);
	bp__unlock(&ep->lock);
}

/* ---- answers that are withheld ------------------------------------------ */

static void withholds(struct bp_conn *c)
{
	struct bp_endpoint *ep = c->endpoint;

	atomic_fetch_add(&c->withholds, 1);
	if (atomic_exchange(&c->watched_withhold, true))
		return;
	bp__lock(&ep->lock);
	/* meanwhile it may have finished, and be in no list */
	if (!bp__list_empty(&c->link) && bp__list_empty(&c->withhold_link)) {
		if (bp__list_empty(&ep->withholding))
			bp__reaper_ring_locked(ep);
		bp__list_append(&ep->withholding, &c->withhold_link);
	}
	bp__unlock(&ep->lock);
}

/* Is it the same answers as at the last look that still wait? Then they go. */
static void look_at_withheld(struct bp_conn *c)
{
	uint64_t withholds_now = atomic_load(&c->withholds);

	if (atomic_load(&c->withheld) && withholds_now == c->withholds_seen) {
		bp__lock(&c->lock);
		if (atomic_load(&c->withheld) && !c->token && c->outq.bytes > 0)
			bp__writer_wake_locked(c);
		bp__conn_unlock(c);
	}
	c->withholds_seen = withholds_now;
}

/* Nobody withholds answers of it any more: look no longer. */
static bool unwatch(struct bp_conn *c)
{
	if (atomic_load(&c->withholds) != c->withholds_seen || atomic_load(&c->withheld))
		return false;
	atomic_store(&c->watched_withhold, false);
	/* it may have begun again just before it could know */
	return !atomic_load(&c->withheld) || atomic_exchange(&c->watched_withhold, true);
}

/* Look at one, which then is watched on, unless there is no more to see. */
static void look_again_at(struct bp_endpoint *ep, struct bp_conn *c)
{
	if (unwatch(c))
		return;
	look_at_withheld(c);
	bp__lock(&ep->lock);
	if (!bp__list_empty(&c->link))
		bp__list_append(&ep->withholding, &c->withhold_link);
	bp__unlock(&ep->lock);
}

/* due_ns: when to look; returns when the next time. */
static uint64_t look_at_withholding(struct bp_endpoint *ep, uint64_t now,
    uint64_t due_ns)
{
	struct bp__list list, *link;
	struct bp_conn *c;
	bool any;

	bp__list_init(&list);
	bp__lock(&ep->lock);
	if (now >= due_ns)
		bp__list_splice(&list, &ep->withholding);
	while ((link = bp__list_shift(&list)) != NULL) {
		c = bp_conn_ref(bp__container_of(link, struct bp_conn, withhold_link));
		bp__unlock(&ep->lock);
		look_again_at(ep, c);
		bp_conn_unref(c);
		bp__lock(&ep->lock);
	}
	any = !bp__list_empty(&ep->withholding);
	bp__unlock(&ep->lock);
	if (!any)
		return BP__NEVER;
	return due_ns > now && due_ns != BP__NEVER ? due_ns : now + WITHHOLD_NS;
}

/* ---- the end of connections --------------------------------------------- */

#define ESCAPED_MAX (4 * BP__ADDR_TEXT_MAX)

/* A Unix peer chooses its name: no byte of it may end the line, or move a terminal. */
static void escape(char to[ESCAPED_MAX], const char *name)
{
	static const char digits[] = "0123456789abcdef";

	for (; *name; name++) {
		unsigned char byte = (unsigned char)*name;

		if (byte >= ' ' && byte < 0x7f) {
			*to++ = *name;
			continue;
		}
		*to++ = '\\';
		*to++ = 'x';
		*to++ = digits[byte >> 4];
		*to++ = digits[byte & 15];
	}
	*to = '\0';
}

/* One that was never made, its maker is told of. */
static void log_end(struct bp_endpoint *ep, struct bp_conn *c)
{
	char peer[ESCAPED_MAX];

	if (c->reason <= BP_REASON_SHUTDOWN || !c->was_open)
		return;
	escape(peer, bp_conn_peer(c));
	bp__endpoint_log(ep, LOG_INFO, "connection %llu, %s: %s%s%s",
	    (unsigned long long)c->id, peer, bp_reason_name(c->reason),
	    c->err ? ": " : "", c->err ? bp_strerror(c->err) : "");
}

static void closed(struct bp_conn *c)
{
	bp__endpoint_room(c->endpoint);		/* for another descriptor */
}

static void finished(struct bp_conn *c)
{
	struct bp_endpoint *ep = c->endpoint;
	struct bp_closed summary;

	log_end(ep, c);
	bp__conn_sum_up(c, &summary);
	bp__lock(&ep->lock);
	bp__list_remove(&c->link);
	bp__list_remove(&c->withhold_link);
	if (c->was_open) {
		ep->recent[ep->closed++ % BP__RECENT] = summary;
		ep->ended[c->reason]++;
	}
	if (--ep->n_conns == 0 && ep->closing)
		bp__reaper_ring_locked(ep);
	bp__unlock(&ep->lock);
	bp_conn_unref(c);
}

const struct bp__conn_owner bp__endpoint_owner = {
	.closed = closed, .finished = finished, .withholds = withholds,
};

/* What is queued can be received still; no handler is begun any more. */
static void abort_all(struct bp_endpoint *ep)
{
	struct bp_conn *c = NULL;

	while ((c = bp__endpoint_next(ep, c)) != NULL) {
		bp__lock(&c->lock);
		bp__conn_abort_locked(c, BP_REASON_SHUTDOWN, 0,
		    c->handlers ? BP__FLOW_CUT : BP__FLOW_BROKEN);
		bp__conn_unlock(c);
	}
}

/* ---- the thread --------------------------------------------------------- */

void bp__reaper_ring_locked(struct bp_endpoint *ep)
{
	bp__assert_held(&ep->lock);
	ep->rings = true;
	bp__signal(&ep->reaper_cond);
}

static bool all_gone_locked(const struct bp_endpoint *ep)
    BP__REQUIRES(ep->lock)
{
	return ep->closing && ep->n_conns == 0 && ep->n_workers == 0
	    && ep->n_led == 0;
}

/* Wait until rung for or until then; false: there is nothing left to do, ever. */
static bool wait_for_work(struct bp_endpoint *ep, uint64_t until_ns)
{
	bool more;

	bp__lock(&ep->lock);
	ep->reaper_wakes_ns = bp__earlier(until_ns,
	    bp__earlier(ep->look_ns, ep->stop_deadline_ns));
	while (!ep->rings && !all_gone_locked(ep)
	    && bp__wait_until(&ep->reaper_cond, &ep->lock, ep->reaper_wakes_ns))
		;
	ep->rings = false;
	more = !all_gone_locked(ep);
	if (!more) {
		ep->stopped = true;
		bp__wake_all(&ep->stop_waiters);
	}
	bp__unlock(&ep->lock);
	return more;
}

/* Once: is the grace over? */
static bool grace_over(struct bp_endpoint *ep, uint64_t now)
{
	bool over;

	bp__lock(&ep->lock);
	over = now >= ep->stop_deadline_ns;
	if (over)
		ep->stop_deadline_ns = BP__NEVER;
	bp__unlock(&ep->lock);
	return over;
}

void *bp__reaper_main(void *arg)
{
	uint64_t now, withheld_ns = BP__NEVER;
	struct bp_endpoint *ep = arg;

	do {
		bp__crew_join(ep);
		now = bp__now_ns();
		if (grace_over(ep, now))
			abort_all(ep);
		if (look_due(ep, now))
			look_at_all(ep, now);
		withheld_ns = look_at_withholding(ep, now, withheld_ns);
	} while (wait_for_work(ep, withheld_ns));
	return NULL;
}
