/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * send.c - the way into a connection's out queue, once the marks admit it (marks.c).
 *
 *	inline	nothing is queued and the token is free: the kernel is tried at once
 *	append	else, and for what the kernel refused: to the queue, and the writer
 */
#include "config.h"

#include "callback.h"
#include "conn.h"
#include "framer.h"

#define IOV_INLINE 16			/* entries of a send that is tried inline */
#define WITHHOLD_MAX ((size_t)64 * 1024)

/* A frame on its way out: its parts, and the payload they came from, if shared. */
struct message {
	struct bp__envelope env;
	struct iovec iov[IOV_INLINE];
	int n;
	size_t total;
	struct bp__buf *buf;		/* iov[1] is this one's bytes; NULL: copy them */
};

/* ---- the queue ---------------------------------------------------------- */

/* What of the message comes after the first skip bytes, as pieces. */
static int make_pieces(struct bp__outq *pieces, const struct message *m, size_t skip)
{
	size_t head = m->env.head_len, payload;
	int rc;

	/* a small payload is copied: a page of pieces costs less than its references */
	if (!m->buf || m->iov[1].iov_len < 4096)
		return bp__outq_copy(pieces, m->iov, m->n, skip);
	if (skip < head) {
		rc = bp__outq_copy_exactly(pieces, m->iov, 1, skip);
		if (rc < 0)
			return rc;
		skip = head;
	}
	skip -= head;
	payload = m->iov[1].iov_len;
	if (skip < payload) {
		rc = bp__outq_share(pieces, m->buf,
		    (const char *)m->iov[1].iov_base + skip, payload - skip);
		if (rc < 0)
			return rc;
		skip = payload;
	}
	return bp__outq_copy(pieces, m->iov + 2, m->n - 2, skip - payload);
}

/* This thread has taken events of it, handles them quickly, and there are more. */
static bool answers_quickly(struct bp_conn *c)
{
	struct bp__flow *flow = &c->flow;
	size_t out = atomic_load(&flow->out);
	uint64_t now, before;

	if (atomic_load(&flow->taker) != bp__this_thread() || out == 0
	    || (out == 1 && atomic_load(&flow->queued) == 0))
		return false;
	now = bp__now_ns();
	before = atomic_exchange_explicit(&flow->beat_ns, now, memory_order_relaxed);
	return now - before < BP__QUICK_NS;
}

/* More is to be answered at once: it may wait for that. */
static bool may_withhold_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock)
{
	if (c->config.gather != BP_ON || c->state != BP__OPEN || c->throttled
	    || c->queued >= WITHHOLD_MAX)
		return false;
	return c->handlers ? bp__in_handler() == c && c->gathers : answers_quickly(c);
}

static int append_locked(struct bp_conn *c, const struct message *m)
    BP__REQUIRES(c->lock)
{
	struct bp__outq pieces;
	int rc;

	if (!bp__outq_squeeze(&c->outq, m->iov, m->n)) {
		bp__outq_init(&pieces);
		bp__conn_unlock(c);
		rc = make_pieces(&pieces, m, 0);
		bp__lock(&c->lock);
		if (rc == 0 && !bp__conn_sendable(c))
			rc = -EPIPE;
		if (rc < 0) {
			bp__outq_join(&c->chores.dead, &pieces);
			bp__conn_uncount_locked(c, m->total);
			return rc;
		}
		bp__outq_join(&c->outq, &pieces);
	}
	return 0;
}

void bp__conn_give_token_locked(struct bp_conn *c)
{
	c->token = false;
	if (c->state >= BP__CLOSING)
		bp__signal(&c->reader_cond);	/* it may wait for the token */
	if (c->out_dead)
		bp__outq_join(&c->chores.dead, &c->outq);
	else if (c->outq.bytes > 0)
		bp__writer_wake_locked(c);
	else
		bp__conn_try_end_locked(c);
}

/* The token is ours: try the kernel, queue what it refuses. */
static int send_inline_locked(struct bp_conn *c, const struct message *m)
    BP__REQUIRES(c->lock)
{
	struct bp__outq rest;
	ssize_t sent;
	int rc = 0;

	c->token = true;
	bp__unlock(&c->lock);		/* the edge is told after the attempt */
	bp__outq_init(&rest);
	sent = c->sock->write_some(c->fd, m->iov, m->n, false);
	if (sent == -EAGAIN)
		sent = 0;
	if (sent >= 0 && (size_t)sent < m->total)
		rc = make_pieces(&rest, m, (size_t)sent);
	bp__lock(&c->lock);
	if (sent < 0) {
		bp__conn_out_failed_locked(c, (int)sent);
		rc = -EPIPE;
	} else if (rc < 0) {
		bp__outq_join(&c->chores.dead, &rest);
		if (sent > 0)		/* half a frame is out: the stream is broken */
			bp__conn_abort_locked(c, BP_REASON_NO_MEMORY, rc,
			    BP__FLOW_BROKEN);
		bp__conn_uncount_locked(c, m->total);
	} else if (c->out_dead) {
		bp__outq_join(&c->chores.dead, &rest);
		if (rest.bytes > 0)
			rc = -EPIPE;
	} else {
		bp__conn_sent(c, (size_t)sent);
		bp__outq_join_front(&c->outq, &rest);
		bp__conn_uncount_locked(c, (size_t)sent);
	}
	bp__conn_give_token_locked(c);
	return rc;
}

/* What is left to do without the lock. */
struct aftermath {
	bool withheld, push, tell;
};

/* It was admitted: out with it at once, or to the queue. */
static int dispatch_locked(struct bp_conn *c, const struct message *m,
    struct aftermath *after)
    BP__REQUIRES(c->lock)
{
	bool withhold = may_withhold_locked(c);
	int rc;

	if (!withhold && !c->token && c->outq.bytes == 0)
		return send_inline_locked(c, m);
	rc = append_locked(c, m);
	if (rc < 0 || c->token)
		return rc;	/* who has the token sees to what has come meanwhile */
	if (withhold)
		after->withheld = !atomic_exchange(&c->withheld, true);
	else
		after->push = true;
	return 0;
}

static int send_message(struct bp_conn *c, const struct message *m, int timeout_ms)
{
	struct aftermath after = { false };
	int rc;

	bp__lock(&c->lock);
	rc = bp__conn_admit_locked(c, m->total, timeout_ms);
	if (rc == 0 && m->total > 0) {
		if (bp__conn_sendable(c)) {
			rc = dispatch_locked(c, m, &after);
		} else {	/* it ended between the admission and now */
			bp__conn_uncount_locked(c, m->total);
			rc = -EPIPE;
		}
		if (rc == 0)
			c->sent_frames++;
	}
	after.tell = rc == 0 && c->notifies && c->throttled && !c->told
	    && !c->telling;
	bp__conn_unlock(c);
	if (after.tell)
		bp__notify(c, false);
	if (after.push)
		bp__conn_push(c);
	if (after.withheld)
		c->owner->withholds(c);
	return rc;
}

/* ---- public ------------------------------------------------------------- */

/* Its size, and what the framer puts around it. */
static int envelop(struct message *m, struct bp_conn *c, const struct iovec *iov, int n)
{
	size_t len = 0;
	int rc;

	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > SIZE_MAX / 2 - len)
			return -EMSGSIZE;
		len += iov[i].iov_len;
	}
	rc = bp__envelope_make(&m->env, c->config.framer, len);
	if (rc == 0)
		m->total = m->env.head_len + len + m->env.tail_len;
	return rc;
}

static int send_enveloped(struct bp_conn *c, struct message *m, const struct iovec *iov,
    int n, int timeout_ms)
{
	m->iov[0] = (struct iovec){ m->env.head, m->env.head_len };
	for (int i = 0; i < n; i++)
		m->iov[i + 1] = iov[i];
	m->iov[n + 1] = (struct iovec){ m->env.tail, m->env.tail_len };
	m->n = n + 2;
	return send_message(c, m, timeout_ms);
}

int bp_sendv(struct bp_conn *c, const struct iovec *iov, int n, int timeout_ms)
{
	struct message m = { .buf = NULL };
	struct bp__outq whole;
	struct iovec one;
	int rc;

	if (n < 0)
		return -EINVAL;
	rc = envelop(&m, c, iov, n);
	if (rc < 0)
		return rc;
	if (n <= IOV_INLINE - 2)
		return send_enveloped(c, &m, iov, n, timeout_ms);
	/* many parts: make one of them first */
	bp__outq_init(&whole);
	rc = bp__outq_copy(&whole, iov, n, 0);
	if (rc < 0)
		return rc;
	n = bp__outq_peek(&whole, &one, 1, SIZE_MAX);
	rc = send_enveloped(c, &m, &one, n, timeout_ms);
	bp__outq_clear(&whole);
	return rc;
}

int bp_send(struct bp_conn *c, const void *data, size_t len, int timeout_ms)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };

	return bp_sendv(c, &iov, 1, timeout_ms);
}

int bp_send_buf(struct bp_conn *c, struct bp_buf *buf, int timeout_ms)
{
	struct iovec iov = { buf->data, buf->len };
	struct message m = { .buf = bp__buf_is_slice(buf) ? NULL : bp__buf_of(buf) };
	int rc = envelop(&m, c, &iov, 1);

	return rc < 0 ? rc : send_enveloped(c, &m, &iov, 1, timeout_ms);
}
