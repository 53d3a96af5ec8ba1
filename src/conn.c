/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn.c - a connection's state and every transition of it. See conn.h.
 */
#include "config.h"

#include "conn.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

static _Atomic uint64_t last_id;	/* ids are never used again in a process */

int bp__conn_new(struct bp_conn **ret_conn, struct bp__qdisc *q,
    struct bp_endpoint *endpoint, const struct bp__conn_owner *owner,
    const struct bp_conn_config *config, size_t stack_size)
{
	struct bp_conn *c = calloc(1, sizeof *c);
	int rc;

	if (!c)
		return -ENOMEM;
	rc = bp__flow_open(&c->flow, q, config, &c->throttled);
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->id = atomic_fetch_add(&last_id, 1) + 1;
	c->config = *config;
	c->endpoint = endpoint;
	c->owner = owner;
	c->sock = &bp__sock_plain;
	c->stack_size = stack_size;
	if (config->ops) {
		c->handlers = config->ops->received != NULL;
		c->notifies = config->ops->throttled || config->ops->unthrottled;
	}
	c->expect = config->expect;
	atomic_init(&c->data, config->data);
	bp__mutex_init(&c->lock);
	bp__cond_init(&c->reader_cond);
	bp__cond_init(&c->writer_cond);
	bp__outq_init(&c->outq);
	bp__outq_init(&c->chores.dead);
	bp__list_init(&c->senders);
	bp__list_init(&c->closed_waiters);
	bp__list_init(&c->link);
	bp__list_init(&c->withhold_link);
	c->fd = -1;
	c->token = true;	/* until it is connected nothing can be written */
	*ret_conn = c;
	return 0;
}

void bp__conn_free(struct bp_conn *c)
{
	assert(c->fd < 0 && bp__list_empty(&c->outq.pieces));
	bp__cond_fini(&c->reader_cond);
	bp__cond_fini(&c->writer_cond);
	bp__mutex_fini(&c->lock);
	free(c->addrs);
	free(c->from_addr);
	free(atomic_load(&c->names));
	bp__flow_fini(&c->flow);
	free(c);
}

void bp__conn_abandon(struct bp_conn *c)
{
	bp__flow_abandon(&c->flow);
	bp_conn_unref(c);
}

static bool any(const struct bp__chores *chores)
{
	return chores->start_writer || chores->unblock
	    || chores->stage != BP__FLOW_OPEN || !bp__list_empty(&chores->dead.pieces);
}

void bp__conn_unlock(struct bp_conn *c)
{
	struct bp__chores chores;
	struct bp__outq dead;

	bp__assert_held(&c->lock);
	if (!any(&c->chores)) {
		bp__unlock(&c->lock);
		return;
	}
	chores = c->chores;
	bp__outq_init(&dead);
	bp__outq_join(&dead, &c->chores.dead);
	c->chores.start_writer = c->chores.unblock = false;
	c->chores.stage = BP__FLOW_OPEN;
	bp__unlock(&c->lock);

	if (chores.start_writer)
		bp__writer_start(c);
	bp__outq_clear(&dead);
	if (chores.stage != BP__FLOW_OPEN)
		bp__flow_end(&c->flow, chores.stage);
	if (chores.unblock)
		bp__flow_unblock(&c->flow);	/* R12 */
}

/* ---- transitions -------------------------------------------------------- */

static void grow_locked(struct bp_conn *c, enum bp__conn_state state,
    enum bp_reason why, int err)
    BP__REQUIRES(c->lock)
{
	bp__assert_held(&c->lock);
	assert(state > c->state);	/* R6 */
	c->state = state;
	if (c->reason == BP_REASON_NONE) {
		c->reason = why;
		c->err = err;
	}
	if (state > BP__OPEN)
		bp__wake_all(&c->senders);	/* they see it, and fail */
	bp__signal(&c->reader_cond);
	bp__signal(&c->writer_cond);
}

static void end_flow_locked(struct bp_conn *c, enum bp__flow_stage stage)
    BP__REQUIRES(c->lock)
{
	if (stage > c->chores.stage)
		c->chores.stage = stage;
}

void bp__conn_try_end_locked(struct bp_conn *c)
{
	if (!c->end_wanted || c->end_sent || c->out_dead || c->token
	    || c->queued > 0 || c->fd < 0)
		return;
	c->sock->end(c->fd);
	c->end_sent = true;
	if (c->state == BP__CLOSING)
		c->linger_deadline_ns = bp__deadline_ns(c->config.linger_ms);
	bp__signal(&c->reader_cond);
	bp__signal(&c->writer_cond);
}

/* Send no more: write what was accepted, then FIN. */
void bp__conn_end_out_locked(struct bp_conn *c)
{
	c->end_wanted = true;
	bp__wake_all(&c->senders);
	if (c->queued > 0 && !c->token)
		bp__writer_wake_locked(c);	/* what is withheld goes first */
	else
		bp__conn_try_end_locked(c);
}

void bp__conn_close_locked(struct bp_conn *c, enum bp_reason why, int err,
    enum bp__flow_stage stage)
{
	if (c->state >= BP__CLOSING)
		return;
	if (c->state == BP__CONNECTING && c->queued > 0 && !c->out_dead) {
		/* what was accepted is sent still, if it comes to that */
		c->close_wanted = c->end_wanted = true;
		c->linger_deadline_ns = bp__deadline_ns(c->config.write_ms);
		bp__wake_all(&c->senders);
		end_flow_locked(c, stage);
		return;
	}
	if (c->state == BP__CONNECTING || c->out_dead) {
		bp__conn_abort_locked(c, why, err, stage);
		return;
	}
	grow_locked(c, BP__CLOSING, why, err);
	end_flow_locked(c, stage);
	if (c->end_sent)
		c->linger_deadline_ns = bp__deadline_ns(c->config.linger_ms);
	else
		bp__conn_end_out_locked(c);
}

void bp__conn_abort_locked(struct bp_conn *c, enum bp_reason why, int err,
    enum bp__flow_stage stage)
{
	if (c->state >= BP__ABORTED)
		return;
	if (c->state == BP__CLOSING) {
		/* a close that came to nothing */
		c->reason = why;
		c->err = err;
	}
	grow_locked(c, BP__ABORTED, why, err);
	end_flow_locked(c, stage);
	bp__conn_drop_out_locked(c);
	if (c->fd >= 0) {
		/* a reset clears what the kernel has counted */
		bp__sock_stats(c->fd, &c->last_stats);
		bp__sock_reset(c->fd);
		c->was_reset = true;
	}
}

void bp__conn_close(struct bp_conn *c, enum bp_reason why, int err)
{
	bp__lock(&c->lock);
	bp__conn_close_locked(c, why, err, BP__FLOW_OPEN);
	bp__conn_unlock(c);
}

void bp__conn_break(struct bp_conn *c, enum bp_reason why, int err)
{
	bp__lock(&c->lock);
	bp__conn_abort_locked(c, why, err, BP__FLOW_BROKEN);
	bp__conn_unlock(c);
}

void bp__conn_out_failed_locked(struct bp_conn *c, int err)
{
	if (c->out_dead)
		return;
	if (c->reason == BP_REASON_NONE || !c->end_sent) {
		c->reason = BP_REASON_RESET;
		c->err = err;
	}
	bp__conn_drop_out_locked(c);
	bp__wake_all(&c->senders);
	bp__signal(&c->reader_cond);
	bp__signal(&c->writer_cond);
	/* our FIN will not come, or nobody reads on to find out */
	if (c->state == BP__CLOSING ? !c->end_sent : c->peer_ended)
		bp__conn_abort_locked(c, BP_REASON_RESET, err, BP__FLOW_BROKEN);
}

void bp__conn_ended_locked(struct bp_conn *c)
{
	bp__conn_drop_out_locked(c);
	grow_locked(c, BP__ENDED, BP_REASON_LOCAL, 0);
}

void bp__conn_finished(struct bp_conn *c)
{
	bp__lock(&c->lock);
	c->handlers_done = true;
	bp__wake_all(&c->closed_waiters);
	bp__conn_unlock(c);
}

void bp__conn_close_fd(struct bp_conn *c)
{
	bool closed = false;

	bp__lock(&c->lock);
	assert(!c->token && c->state == BP__ENDED);	/* R3 */
	if (c->fd >= 0) {
		if (!c->was_reset)
			bp__sock_stats(c->fd, &c->last_stats);
		close(c->fd);
		c->fd = -1;
		closed = true;
	}
	bp__conn_unlock(c);
	if (closed)
		c->owner->closed(c);
}

int bp__conn_set_fd(struct bp_conn *c, int fd)
{
	int rc = -EPIPE;

	bp__lock(&c->lock);
	if (c->state == BP__CONNECTING || fd < 0) {
		c->fd = fd;
		rc = 0;
	}
	bp__conn_unlock(c);
	return rc;
}

int bp__conn_opened(struct bp_conn *c, int fd)
{
	int rc = -EPIPE;

	bp__lock(&c->lock);
	if (c->state == BP__CONNECTING) {
		grow_locked(c, BP__OPEN, BP_REASON_NONE, 0);
		c->fd = fd;
		c->was_open = true;
		c->opened_ns = bp__now_ns();
		bp__conn_give_token_locked(c);	/* sends were queued meanwhile */
		if (c->close_wanted) {
			c->linger_deadline_ns = 0;
			bp__conn_close_locked(c, BP_REASON_LOCAL, 0, BP__FLOW_CUT);
		}
		rc = 0;
	}
	bp__conn_unlock(c);
	return rc;
}

void bp__conn_peer_ended(struct bp_conn *c)
{
	bp__lock(&c->lock);
	c->peer_ended = true;
	if (c->first_end == BP_REASON_NONE)
		c->first_end = BP_REASON_PEER;
	if (c->out_dead)
		bp__conn_abort_locked(c, BP_REASON_RESET, c->err, BP__FLOW_BROKEN);
	bp__conn_unlock(c);
}

void bp__conn_read_failed(struct bp_conn *c, int err)
{
	bp__lock(&c->lock);
	if (c->state == BP__CLOSING) {
		c->peer_ended = true;
		bp__conn_out_failed_locked(c, err);
	} else {
		bp__conn_abort_locked(c, BP_REASON_RESET, err, BP__FLOW_BROKEN);
	}
	bp__conn_unlock(c);
}

void bp__conn_ended_handled(struct bp_conn *c)
{
	bp__lock(&c->lock);
	c->ended_handled = true;
	if (c->end_wanted)	/* both sides have ended */
		bp__conn_close_locked(c, c->first_end, 0, BP__FLOW_OPEN);
	bp__conn_unlock(c);
	if (!c->config.half_open)
		bp__flow_watch(&c->flow);
}

void bp__conn_quiet(struct bp__flow *flow)
{
	struct bp_conn *c = bp__conn_of_flow(flow);

	bp__lock(&c->lock);
	if (c->stopping)
		/* what its reader has got just now comes too late to be answered */
		bp__conn_close_locked(c, BP_REASON_SHUTDOWN, 0, BP__FLOW_CUT);
	else if (c->ended_handled)
		bp__conn_close_locked(c, c->first_end, 0, BP__FLOW_OPEN);
	bp__conn_unlock(c);
}

void bp__conn_stop(struct bp_conn *c)
{
	bp__lock(&c->lock);
	c->stopping = true;
	if (c->state == BP__CONNECTING)
		bp__conn_abort_locked(c, BP_REASON_SHUTDOWN, 0, BP__FLOW_CUT);
	else
		end_flow_locked(c, BP__FLOW_STOPPING);
	bp__conn_unlock(c);
}
