/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * writer.c - the way out of a connection's out queue: the writer thread with its
 * blocking sends, started when a connection first has to wait, and the push of
 * gathered answers, which tries the kernel once without waiting.
 *
 * Either holds the token while it is in the system call, not the lock; so the
 * bytes of one are never within those of another.
 */
#include "config.h"

#include "callback.h"
#include "conn.h"

#define IOV_MAX_OUT 64

/* Take the token and describe what goes out next. */
static int begin_locked(struct bp_conn *c, struct iovec iov[IOV_MAX_OUT])
    BP__REQUIRES(c->lock)
{
	c->token = true;
	atomic_store(&c->withheld, false);
	return bp__outq_peek(&c->outq, iov, IOV_MAX_OUT, c->write_max);
}

/* What the system call said; the token goes back. */
static void end_locked(struct bp_conn *c, ssize_t sent)
    BP__REQUIRES(c->lock)
{
	if (sent == -EAGAIN)
		sent = 0;
	if (sent < 0) {
		bp__conn_out_failed_locked(c, (int)sent);
	} else if (!c->out_dead) {
		bp__conn_sent(c, (size_t)sent);
		bp__outq_consume(&c->outq, (size_t)sent, &c->chores.dead);
		c->token = false;
		bp__conn_uncount_locked(c, (size_t)sent);
	}
	bp__conn_give_token_locked(c);
}

void bp__conn_push(struct bp_conn *c)
{
	struct iovec iov[IOV_MAX_OUT];
	ssize_t sent;
	int n;

	bp__lock(&c->lock);
	if (!c->token && c->outq.bytes > 0 && !c->out_dead) {
		n = begin_locked(c, iov);
		bp__unlock(&c->lock);
		sent = c->sock->write_some(c->fd, iov, n, false);
		bp__lock(&c->lock);
		end_locked(c, sent);
	}
	bp__conn_unlock(c);
}

void bp__push_own(void)
{
	struct bp_conn *c = bp__in_handler();

	if (c)
		bp__conn_push_withheld(c);
}

/* ---- the thread --------------------------------------------------------- */

static bool writer_done(const struct bp_conn *c)
{
	return c->out_dead || c->end_sent || c->state >= BP__ABORTED;
}

static void *writer_main(void *arg)
{
	struct iovec iov[IOV_MAX_OUT];
	struct bp_conn *c = arg;
	ssize_t sent;
	int n;

	bp__lock(&c->lock);
	while (!writer_done(c) || c->told) {
		if (c->told && !c->throttled && !c->telling) {
			bp__conn_unlock(c);
			bp__notify(c, true);
			bp__lock(&c->lock);
			continue;
		}
		if (writer_done(c) || c->token || c->outq.bytes == 0) {
			bp__wait(&c->writer_cond, &c->lock);
			continue;
		}
		n = begin_locked(c, iov);
		bp__unlock(&c->lock);
		sent = c->sock->write_some(c->fd, iov, n, true);
		bp__lock(&c->lock);
		end_locked(c, sent);
		bp__conn_unlock(c);
		bp__lock(&c->lock);
	}
	bp__conn_unlock(c);
	return NULL;
}

void bp__writer_wake_locked(struct bp_conn *c)
{
	if (c->writer_state == BP__NO_WRITER) {
		if (c->out_dead)
			return;		/* R4: an end starts no thread */
		c->writer_state = BP__WRITER_STARTING;
		c->chores.start_writer = true;
	} else {
		bp__signal(&c->writer_cond);
	}
}

void bp__writer_start(struct bp_conn *c)
{
	pthread_t writer;
	int rc;

	/* it may be that it runs, ends, and is not yet joined before this returns:
	 * the reader waits while the state says that it is starting */
	rc = bp__thread_start(&writer, c->stack_size, writer_main, c);
	bp__lock(&c->lock);
	if (rc == 0) {
		c->writer = writer;
		c->writer_state = BP__WRITER_RUNS;
	} else {
		c->writer_state = BP__NO_WRITER;
		bp__conn_abort_locked(c, BP_REASON_NO_MEMORY, rc, BP__FLOW_BROKEN);
	}
	bp__signal(&c->reader_cond);
	bp__conn_unlock(c);
}
