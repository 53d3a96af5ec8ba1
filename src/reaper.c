/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reaper.c - the endpoint's only clock, and the only one that closes descriptors
 * of connections (R3).
 *
 * It wakes when a connection rings (its descriptor can be closed, or its reader is
 * through with it), when a worker has left, and to look at the deadlines. How often
 * it looks follows from the deadlines: what begins after one look cannot end before
 * the next if that is no farther off than the shortest of them. So nobody has to
 * tell it that a frame has begun.
 */
#include "config.h"

#include "endpoint.h"

#include <syslog.h>

#define WRITE_MIN ((uint64_t)4096)	/* taken in write_ms, or it is stalled */
#define TICK_NS (1000 * BP__MS)		/* for blocks that are idle */
#define WITHHOLD_NS (3 * BP__MS)	/* answers are handed to the writer after it */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t after_ms(uint64_t ns, int ms)
{
	return ms < 0 ? BP__NEVER : ns + (uint64_t)ms * BP__MS;
}

/* ---- deadlines: each returns when to look again, at the latest ---------- */

/* Close: our FIN was sent, and the peer's does not come; or no connection comes. */
static uint64_t check_linger_locked(struct bp_conn *c, uint64_t now)
    BP__REQUIRES(c->lock)
{
	if (c->linger_deadline_ns == 0 || (c->state != BP__CLOSING
	    && !(c->state == BP__CONNECTING && c->close_wanted)))
		return BP__NEVER;
	if (now < c->linger_deadline_ns)
		return c->linger_deadline_ns;
	if (c->state == BP__CLOSING && bp__sock_all_taken(c->fd))
		bp__conn_abort_locked(c, c->reason, c->err, BP__FLOW_BROKEN);
	else
		bp__conn_abort_locked(c, BP_REASON_STALLED_WRITE, 0, BP__FLOW_BROKEN);
	return BP__NEVER;
}

/* Progress is a rate, never "a byte moved". */
static uint64_t check_write_locked(struct bp_conn *c, uint64_t now)
    BP__REQUIRES(c->lock)
{
	uint64_t taken, deadline;

	if (c->queued == 0 || c->state < BP__OPEN || c->state > BP__CLOSING) {
		c->was_pending = false;
		return BP__NEVER;
	}
	if (!bp__sock_taken(c->fd, &taken))
		taken = atomic_load(&c->bytes_out);
	if (!c->was_pending || taken - c->taken >= WRITE_MIN) {
		c->was_pending = true;
		c->taken = taken;
		c->taken_since_ns = now;
	}
	deadline = after_ms(c->taken_since_ns, c->config.write_ms);
	if (now < deadline)
		return deadline;
	bp__conn_abort_locked(c, BP_REASON_STALLED_WRITE, 0, BP__FLOW_BROKEN);
	return BP__NEVER;
}

static uint64_t check_read(struct bp_conn *c, uint64_t now)
{
	uint64_t deadline = atomic_load_explicit(&c->read_deadline_ns,
	    memory_order_relaxed);

	if (deadline == 0)
		return BP__NEVER;
	if (now < deadline)
		return deadline;
	bp__conn_break(c, deadline & 1 ? BP_REASON_HEADER : BP_REASON_STALLED_FRAME, 0);
	return BP__NEVER;
}

static uint64_t check_idle(struct bp_conn *c, uint64_t now)
{
	uint64_t in = atomic_load(&c->bytes_in), out = atomic_load(&c->bytes_out);
	uint64_t deadline;
	/* idle only while it is the peer's turn to do something */
	bool active = in != c->seen_in || out != c->seen_out
	    || atomic_load(&c->whereabouts) != BP__IN_RECV;

	/* what was going on at the last look may have ended just before this one */
	if (active || c->was_active)
		c->alive_ns = now;
	c->was_active = active;
	c->seen_in = in;
	c->seen_out = out;
	deadline = after_ms(c->alive_ns, c->config.idle_ms);
	if (now < deadline)
		return deadline;
	bp__conn_break(c, BP_REASON_IDLE, 0);
	return BP__NEVER;
}

/*
 * Is it too slow: below rate_min, over rate_ms, after as much grace? since_ns is when
 * what moves the bytes began, 0: there is nothing that should move. A window that was
 * good enough is followed by another; one that was not goes on until it is.
 */
static bool too_slow(struct bp__pace *pace, const struct bp_conn_config *config,
    uint64_t since_ns, uint64_t bytes, uint64_t now, uint64_t *next)
{
	uint64_t window = (uint64_t)config->rate_ms * BP__MS, elapsed;

	if (since_ns == 0 || config->rate_ms < 0) {
		pace->since_ns = 0;
		return false;
	}
	if (pace->since_ns != since_ns) {
		pace->since_ns = since_ns;
		pace->from_ns = since_ns + window;
		pace->measured = false;
	}
	if (!pace->measured && now >= pace->from_ns) {
		pace->measured = true;
		pace->from_ns = now;
		pace->bytes = bytes;
	}
	if (!pace->measured || now < pace->from_ns + window) {
		*next = earlier(*next, pace->from_ns + (pace->measured ? window : 0));
		return false;
	}
	elapsed = now - pace->from_ns;
	if ((double)(bytes - pace->bytes) * 1e9
	    < (double)config->rate_min * (double)elapsed)
		return true;
	pace->from_ns = now;
	pace->bytes = bytes;
	*next = earlier(*next, now + window);
	return false;
}

/* A frame that was granted memory others wait for has to come. */
static uint64_t check_rate_in(struct bp_conn *c, uint64_t now)
{
	uint64_t since = atomic_load_explicit(&c->frame_since_ns, memory_order_relaxed);
	uint64_t next = BP__NEVER;

	if (!bp__flow_may_go_on(&c->flow))
		since = 0;		/* it is we who do not read */
	if (too_slow(&c->pace_in, &c->config, since, atomic_load(&c->bytes_in), now,
	    &next) && bp__flow_presses(&c->flow))
		bp__conn_break(c, BP_REASON_STALLED_FRAME, 0);
	return next;
}

/* So has a throttled one's peer to read, while its events hold such memory. */
static uint64_t check_rate_out(struct bp_conn *c, uint64_t now)
{
	uint64_t since = 0, taken = 0, next = BP__NEVER;

	bp__lock(&c->lock);
	if (atomic_load(&c->throttled) && c->state == BP__OPEN) {
		since = c->throttled_since_ns;
		if (!bp__sock_taken(c->fd, &taken))
			taken = atomic_load(&c->bytes_out);
	}
	bp__conn_unlock(c);
	if (too_slow(&c->pace_out, &c->config, since, taken, now, &next)
	    && bp__flow_presses(&c->flow))
		bp__conn_break(c, BP_REASON_STALLED_WRITE, 0);
	return next;
}

/* Who does not read does not notice: look at the socket for its reader. */
static void check_broken(struct bp_conn *c)
{
	int err = 0;

	if (atomic_load(&c->whereabouts) != BP__WAITING)
		return;
	bp__lock(&c->lock);
	if (c->out_dead)		/* a send has noticed, and taken the error */
		err = c->err;
	bp__conn_unlock(c);
	if (err == 0 && bp__sock_broken(c->fd)) {
		err = bp__sock_error(c->fd);
		if (err == 0)
			err = -ECONNRESET;
	}
	if (err < 0)
		bp__conn_break(c, BP_REASON_RESET, err);
}

static uint64_t look_at(struct bp_conn *c, uint64_t now)
{
	uint64_t next = now + c->tick_ns;
	enum bp__conn_state state;

	bp__lock(&c->lock);
	next = earlier(next, check_linger_locked(c, now));
	next = earlier(next, check_write_locked(c, now));
	state = c->state;
	bp__conn_unlock(c);
	if (state != BP__OPEN) {
		c->was_active = true;	/* connecting is not idling */
		return next;
	}
	/* the descriptor is ours to close: it stays what it is */
	check_broken(c);
	next = earlier(next, check_read(c, now));
	next = earlier(next, check_rate_in(c, now));
	next = earlier(next, check_rate_out(c, now));
	return earlier(next, check_idle(c, now));
}

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
		next = earlier(next, look_at(c, now));
	if (bp__qdisc_tick(&ep->qdisc, now, &in_use))
		bp__endpoint_log(ep, LOG_WARNING, "stalled: readers wait for memory, and "
		    "all that is held is with the application");
	if (in_use)		/* a payload may outlive all connections */
		next = earlier(next, now + TICK_NS);
	bp__lock(&ep->lock);
	ep->look_ns = earlier(ep->look_ns, next);
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
	if (bp__list_empty(&c->withhold_link)) {
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

static uint64_t look_at_withholding(struct bp_endpoint *ep, uint64_t now)
{
	struct bp__list list, *link;
	struct bp_conn *c;
	bool any;

	bp__list_init(&list);
	bp__lock(&ep->lock);
	bp__list_splice(&list, &ep->withholding);
	bp__unlock(&ep->lock);
	while ((link = bp__list_shift(&list)) != NULL) {
		c = bp__container_of(link, struct bp_conn, withhold_link);
		if (atomic_load(&c->withholds) == c->withholds_seen
		    && !atomic_load(&c->withheld)) {
			atomic_store(&c->watched_withhold, false);
			/* it may have begun again just before it could know */
			if (!atomic_load(&c->withheld)
			    || atomic_exchange(&c->watched_withhold, true))
				continue;
		}
		look_at_withheld(c);
		bp__lock(&ep->lock);
		bp__list_append(&ep->withholding, &c->withhold_link);
		bp__unlock(&ep->lock);
	}
	bp__lock(&ep->lock);
	any = !bp__list_empty(&ep->withholding);
	bp__unlock(&ep->lock);
	return any ? now + WITHHOLD_NS : BP__NEVER;
}

/* ---- the end of connections --------------------------------------------- */

static void ring_conn_locked(struct bp_endpoint *ep, struct bp_conn *c)
    BP__REQUIRES(ep->lock)
{
	if (bp__list_empty(&c->rung_link))
		bp__list_append(&ep->rung, &c->rung_link);
	bp__reaper_ring_locked(ep);
}

static void let_go(struct bp_conn *c)
{
	bp__lock(&c->endpoint->lock);
	ring_conn_locked(c->endpoint, c);
	bp__unlock(&c->endpoint->lock);
}

static void finished(struct bp_conn *c)
{
	struct bp_endpoint *ep = c->endpoint;

	bp__lock(&ep->lock);
	c->finished = true;
	ring_conn_locked(ep, c);
	bp__unlock(&ep->lock);
}

const struct bp__conn_owner bp__endpoint_owner = {
	.let_go = let_go, .finished = finished, .withholds = withholds,
};

static void log_end(struct bp_endpoint *ep, const struct bp_conn *c)
{
	if (c->reason <= BP_REASON_SHUTDOWN)
		return;
	bp__endpoint_log(ep, LOG_INFO, "connection %llu, %s: %s%s%s",
	    (unsigned long long)c->id, bp_conn_peer(c), bp_reason_name(c->reason),
	    c->err ? ": " : "", c->err ? bp_strerror(c->err) : "");
}

/* Close what can be closed; free those that are through. */
static void reap(struct bp_endpoint *ep)
{
	struct bp__list *link;
	struct bp_conn *c;
	bool gone;

	for (;;) {
		bp__lock(&ep->lock);
		link = bp__list_shift(&ep->rung);
		if (!link) {
			bp__unlock(&ep->lock);
			return;
		}
		c = bp__container_of(link, struct bp_conn, rung_link);
		gone = c->finished;
		bp__unlock(&ep->lock);

		if (bp__conn_close_fd(c))
			bp__endpoint_room(ep);
		if (!gone)
			continue;
		log_end(ep, c);
		bp__lock(&ep->lock);
		bp__list_remove(&c->link);
		bp__list_remove(&c->withhold_link);
		ep->n_conns--;
		if (c->was_open) {
			ep->closed++;
			ep->ended[c->reason]++;
		}
		bp__unlock(&ep->lock);
		bp_conn_unref(c);
	}
}

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
	ep->reaper_wakes_ns = earlier(until_ns,
	    earlier(ep->look_ns, ep->stop_deadline_ns));
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
	uint64_t now, withheld_ns;
	struct bp_endpoint *ep = arg;

	do {
		reap(ep);
		bp__crew_join(ep);
		now = bp__now_ns();
		if (grace_over(ep, now))
			abort_all(ep);
		if (look_due(ep, now))
			look_at_all(ep, now);
		withheld_ns = look_at_withholding(ep, now);
	} while (wait_for_work(ep, withheld_ns));
	return NULL;
}
