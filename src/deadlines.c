/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * deadlines.c - what a peer has to do in time, checked by the reaper when it looks at
 * a connection. Deadlines that bytes could put off are absolute (header, frame), and
 * progress is a rate, never "a byte moved". Time in which we do not read is not the
 * peer's.
 */
#include "config.h"

#include "endpoint.h"

#define WRITE_MIN ((uint64_t)4096)	/* taken in write_ms, or it is stalled */

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

/* What the peer has sent: of a large frame also what waits for the rest to be read. */
static uint64_t arrived(struct bp_conn *c)
{
	uint64_t bytes;
	bool told = false;

	if (atomic_load_explicit(&c->frame_since_ns, memory_order_relaxed) != 0) {
		bp__lock(&c->lock);
		told = c->fd >= 0 && bp__sock_arrived(c->fd, &bytes);
		bp__conn_unlock(c);
	}
	return told ? bytes : atomic_load(&c->bytes_in);
}

static uint64_t check_idle(struct bp_conn *c, uint64_t now)
{
	uint64_t in = arrived(c), out = atomic_load(&c->bytes_out);
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

static void pause_pace(struct bp__pace *pace, uint64_t now)
{
	if (pace->since_ns != 0 && pace->paused_ns == 0)
		pace->paused_ns = now;
}

/* The window goes on where it was: else a pause now and then would be a new grace. */
static void resume_pace(struct bp__pace *pace, uint64_t now)
{
	if (pace->paused_ns == 0)
		return;
	pace->began_ns += now - pace->paused_ns;
	pace->ends_ns += now - pace->paused_ns;
	pace->paused_ns = 0;
}

/*
 * Is it too slow: below rate_min in the last whole window of rate_ms, the first of
 * which follows on as much grace? since_ns is when what moves the bytes began.
 */
static bool too_slow(struct bp__pace *pace, const struct bp_conn_config *config,
    uint64_t since_ns, uint64_t bytes, uint64_t now, uint64_t *next)
{
	uint64_t window = (uint64_t)config->rate_ms * BP__MS;
	double due;

	if (pace->since_ns != since_ns)
		*pace = (struct bp__pace){
			.since_ns = since_ns, .ends_ns = since_ns + window, .grace = true,
		};
	resume_pace(pace, now);
	if (now >= pace->ends_ns) {
		due = (double)config->rate_min * (double)(now - pace->began_ns) / 1e9;
		pace->slow = !pace->grace && (double)(bytes - pace->bytes) < due;
		pace->grace = false;
		pace->began_ns = now;
		pace->ends_ns = now + window;
		pace->bytes = bytes;
	}
	*next = bp__earlier(*next, pace->ends_ns);
	return pace->slow;
}

/* A frame that was granted memory others wait for has to come. */
static uint64_t check_rate_in(struct bp_conn *c, uint64_t now)
{
	uint64_t since = atomic_load_explicit(&c->frame_since_ns, memory_order_relaxed);
	uint64_t next = BP__NEVER;

	if (since == 0 || c->config.rate_ms < 0)
		return BP__NEVER;
	if (!bp__flow_may_go_on(&c->flow))
		pause_pace(&c->pace_in, now);	/* it is we who do not read */
	else if (too_slow(&c->pace_in, &c->config, since, arrived(c), now, &next)
	    && bp__flow_presses(&c->flow))
		bp__conn_break(c, BP_REASON_STALLED_FRAME, 0);
	return next;
}

/*
 * So has a throttled one's peer to read, while its events hold such memory. It is the
 * same throttling until there was none for a whole window.
 */
static uint64_t check_rate_out(struct bp_conn *c, uint64_t now)
{
	struct bp__pace *pace = &c->pace_out;
	uint64_t since = 0, taken = 0, next = BP__NEVER;

	if (c->config.rate_ms < 0)
		return BP__NEVER;
	bp__lock(&c->lock);
	if (atomic_load(&c->throttled) && c->state == BP__OPEN) {
		since = c->throttled_since_ns;
		if (!bp__sock_taken(c->fd, &taken))
			taken = atomic_load(&c->bytes_out);
	}
	bp__conn_unlock(c);
	if (since == 0) {
		pause_pace(pace, now);
		return BP__NEVER;
	}
	if (pace->paused_ns > 0
	    && now - pace->paused_ns >= (uint64_t)c->config.rate_ms * BP__MS)
		pace->since_ns = 0;
	if (pace->since_ns != 0)
		since = pace->since_ns;
	if (too_slow(pace, &c->config, since, taken, now, &next)
	    && bp__flow_presses(&c->flow))
		bp__conn_break(c, BP_REASON_STALLED_WRITE, 0);
	return next;
}

/* Who does not read does not notice: look at the socket for its reader. */
static void check_broken(struct bp_conn *c)
{
	int err;

	if (atomic_load(&c->whereabouts) != BP__WAITING)
		return;
	bp__lock(&c->lock);
	err = c->out_dead ? c->err : 0;		/* a send has noticed, and taken it */
	if (err == 0 && c->fd >= 0 && bp__sock_broken(c->fd)) {
		err = bp__sock_error(c->fd);
		if (err == 0)
			err = -ECONNRESET;
	}
	bp__conn_unlock(c);
	if (err < 0)
		bp__conn_break(c, BP_REASON_RESET, err);
}

uint64_t bp__conn_look(struct bp_conn *c, uint64_t now)
{
	uint64_t next = now + c->tick_ns;
	enum bp__conn_state state;

	bp__lock(&c->lock);
	next = bp__earlier(next, check_linger_locked(c, now));
	next = bp__earlier(next, check_write_locked(c, now));
	state = c->state;
	bp__conn_unlock(c);
	if (state != BP__OPEN) {
		c->was_active = true;	/* connecting is not idling */
		return next;
	}
	check_broken(c);
	next = bp__earlier(next, check_read(c, now));
	next = bp__earlier(next, check_rate_in(c, now));
	next = bp__earlier(next, check_rate_out(c, now));
	return bp__earlier(next, check_idle(c, now));
}
