/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_api.c - the public functions of a connection but those that send.
 */
#include "config.h"

#include "callback.h"
#include "conn.h"

#include <string.h>

void bp_conn_end(struct bp_conn *c)
{
	bp__conn_push_withheld(c);
	bp__lock(&c->lock);
	if (c->state < BP__CLOSING && !c->end_wanted) {
		if (c->first_end == BP_REASON_NONE)
			c->first_end = BP_REASON_LOCAL;
		bp__conn_end_out_locked(c);
		if (c->ended_handled)
			bp__conn_close_locked(c, c->first_end, 0, BP__FLOW_OPEN);
	}
	bp__conn_unlock(c);
}

void bp_conn_close(struct bp_conn *c)
{
	bp__conn_push_withheld(c);
	bp__lock(&c->lock);
	bp__conn_close_locked(c, BP_REASON_LOCAL, 0, BP__FLOW_CUT);
	c->chores.stage = BP__FLOW_CUT;	/* even if it has ended already */
	bp__conn_unlock(c);
}

void bp_conn_abort(struct bp_conn *c, enum bp_reason why)
{
	if (why == BP_REASON_NONE)
		why = BP_REASON_ABORT;
	bp__lock(&c->lock);
	bp__conn_abort_locked(c, why, 0, BP__FLOW_CUT);
	c->chores.stage = BP__FLOW_CUT;
	bp__conn_unlock(c);
}

/* Is this thread in a slot that the connection's last handler may have to wait for? */
static bool has_slot_of(const struct bp_conn *c)
{
	const struct bp_conn *handled = bp__in_handler();

	return handled && handled->flow.q == c->flow.q && c->flow.q->slots_max > 0;
}

int bp_conn_wait_closed(struct bp_conn *c, int timeout_ms)
{
	uint64_t deadline_ns = bp__deadline_ns(timeout_ms);
	struct bp__waiter waiter;
	int rc = 0;

	if (bp__in_callback(c) || has_slot_of(c))
		return -EDEADLK;
	bp__push_own();
	bp__lock(&c->lock);
	if (!c->handlers_done) {
		if (timeout_ms == 0)
			rc = -EAGAIN;
		else if (!bp__waiter_wait(&waiter, &c->closed_waiters, &c->lock,
		    deadline_ns))
			rc = -ETIMEDOUT;
	}
	bp__conn_unlock(c);
	return rc;
}

int bp_conn_set_peer(struct bp_conn *c, uint64_t key, unsigned weight, unsigned band)
{
	if (weight > BP__WEIGHT_MAX || band >= c->flow.q->bands)
		return -EINVAL;
	return bp__flow_set_peer(&c->flow, key, weight ? weight : BP__WEIGHT_DEFAULT,
	    band);
}

void bp_conn_mute(struct bp_conn *c)
{
	bp__flow_mute(&c->flow);
}

void bp_conn_unmute(struct bp_conn *c)
{
	bp__flow_unmute(&c->flow);
}

int bp_conn_expect(struct bp_conn *c, size_t len)
{
	if (bp__in_handler() != c || !c->expecting
	    || c->config.framer != &bp_framer_raw)
		return -EPERM;
	if (len != BP_ANY && len > c->config.frame_max)
		return -EMSGSIZE;
	c->expect = len;
	return 0;
}

struct bp_conn *bp_conn_ref(struct bp_conn *c)
{
	bp__flow_ref(&c->flow);
	return c;
}

void bp_conn_unref(struct bp_conn *c)
{
	if (c)
		bp__flow_unref(&c->flow);
}

uint64_t bp_conn_id(const struct bp_conn *c)
{
	return c->id;
}

const char *bp_conn_peer(const struct bp_conn *c)
{
	const char *names = atomic_load(&c->names);

	return names ? names : "";
}

const char *bp_conn_local(const struct bp_conn *c)
{
	const char *names = atomic_load(&c->names);

	return names ? names + strlen(names) + 1 : "";
}

struct bp_endpoint *bp_conn_endpoint(const struct bp_conn *c)
{
	return c->endpoint;
}

void *bp_conn_data(const struct bp_conn *c)
{
	return atomic_load(&c->data);
}

void bp_conn_set_data(struct bp_conn *c, void *data)
{
	atomic_store(&c->data, data);
}
