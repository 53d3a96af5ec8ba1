/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reader.c - the life of a connection, as its reader thread lives it: OPENED,
 * frames until there are no more, ENDED, the wait for the end, CLOSED.
 */
#include "config.h"

#include "inbox.h"

/* ---- reading ------------------------------------------------------------ */

static int deliver_large(struct bp__inbox *in, const struct bp__frame *frame)
{
	size_t extra = in->c->handlers ? 0 : BP__EVENT_COST;
	struct bp__buf *buf;
	unsigned band;
	int rc = bp__inbox_large(in, frame, extra, &buf, &band);

	if (rc <= 0)
		return rc;
	rc = bp__deliver_large(in, buf, band);
	return rc < 0 ? rc : 1;
}

/* Deliver or read on. Returns 1, 0 at the peer's end, or why there is no going on. */
static int step(struct bp__inbox *in)
{
	static const struct bp__frame unknown = { .len = BP_ANY };
	struct bp__frame frame;
	size_t have, need;
	int cut, rc;

	cut = bp__inbox_cut(in, &frame);
	if (cut < 0)
		return cut;
	if (cut == BP__CUT_WHOLE) {
		bp__inbox_top_up(in);
		rc = bp__deliver_frames(in, frame);
		return rc < 0 ? rc : 1;
	}
	have = in->end - in->start;
	need = cut == BP__CUT_PART ? frame.head + frame.len + frame.tail : have + 1;
	if (cut == BP__CUT_PART && have < bp__inbox_ahead(in, &frame))
		need = bp__inbox_ahead(in, &frame);
	if (have > 0 && !bp__inbox_room(in, need))
		return deliver_large(in, cut == BP__CUT_PART ? &frame : &unknown);
	rc = (int)bp__inbox_fill(in);
	return rc > 0 ? 1 : rc;
}

/* The stream is over, or broken: which of the two, and does a frame lie in pieces? */
static void read_ended(struct bp_conn *c, int rc, bool in_frame)
{
	/* once we are ending, what is wrong with the rest is no matter */
	if ((rc == -EPROTO || rc == -EMSGSIZE || rc == -ENOMEM)
	    && !bp__flow_open_still(&c->flow))
		rc = -EPIPE;
	switch (rc) {
	case 0:
		bp__conn_peer_ended(c);
		if (in_frame)
			bp__conn_close(c, BP_REASON_TRUNCATED, 0);
		else
			bp__tell_ended(c);
		break;
	case -EPIPE:		/* nothing is to be read any more */
		break;
	case -EPROTO:
		bp__conn_break(c, BP_REASON_PROTOCOL, rc);
		break;
	case -EMSGSIZE:
		bp__conn_break(c, BP_REASON_OVERSIZE, rc);
		break;
	case -ENOMEM:
		bp__conn_break(c, BP_REASON_NO_MEMORY, rc);
		break;
	default:
		bp__conn_read_failed(c, rc);
	}
}

static void read_frames(struct bp_conn *c)
{
	struct bp__inbox in;
	bool in_frame;
	int rc;

	bp__inbox_init(&in, c);
	do
		rc = step(&in);
	while (rc > 0);
	in_frame = in.began_ns > 0 || in.skip > 0;
	bp__inbox_fini(&in);
	read_ended(c, rc, in_frame);
}

/* ---- the end ------------------------------------------------------------ */

static bool discarding(struct bp_conn *c)
{
	bool yes;

	bp__lock(&c->lock);
	yes = c->state == BP__CLOSING && !c->peer_ended;
	bp__conn_unlock(c);
	return yes;
}

/* Unread input must not turn our FIN into a reset. */
static void discard_to_end(struct bp_conn *c)
{
	char nowhere[BP__SMALL];
	struct iovec iov = { nowhere, sizeof nowhere };
	ssize_t n;

	while (discarding(c)) {
		n = c->sock->read_some(c->fd, &iov, 1, true);
		if (n > 0)
			continue;
		if (n == 0)
			bp__conn_peer_ended(c);
		else
			bp__conn_read_failed(c, (int)n);
	}
}

/* The writer has seen that there is nothing more to do; it may still be starting. */
static void join_writer(struct bp_conn *c)
{
	bool runs;

	bp__lock(&c->lock);
	while (c->writer_state == BP__WRITER_STARTING || c->token)
		bp__wait(&c->reader_cond, &c->lock);
	runs = c->writer_state == BP__WRITER_RUNS;
	bp__conn_unlock(c);
	if (runs)
		pthread_join(c->writer, NULL);
}

static void wait_for_end(struct bp_conn *c)
{
	bp__lock(&c->lock);
	if (!c->was_open)
		c->token = false;	/* nobody has written anything */
	while (c->state < BP__CLOSING)
		bp__wait(&c->reader_cond, &c->lock);
	bp__conn_unlock(c);
	discard_to_end(c);
	bp__lock(&c->lock);
	while (c->state == BP__CLOSING && !c->end_sent && !c->out_dead)
		bp__wait(&c->reader_cond, &c->lock);
	bp__conn_ended_locked(c);
	bp__conn_unlock(c);
}

void bp__reader_serve(struct bp_conn *c)
{
	bool open;

	bp__lock(&c->lock);
	open = c->state == BP__OPEN;
	bp__conn_unlock(c);
	if (open) {
		bp__tell_opened(c);
		read_frames(c);
	}
	bp__whereabouts(c, BP__WAITING);
	wait_for_end(c);
	join_writer(c);
	bp__notify_settle(c);

	bp__conn_close_fd(c);		/* R3: before closed is called */
	bp__tell_closed(c);
	bp__conn_finished(c);
	c->owner->finished(c);
}
