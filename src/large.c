/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * large.c - frames with a buffer of their own: memory is granted first, and what is
 * not yet read is read straight into its place.
 */
#include "config.h"

#include "inbox.h"

#include <string.h>

#define SMALL_STEP (BP__SMALL - 64)	/* what it reads too much fits the stack */
#define LEAST ((size_t)256 * 1024)	/* of a large frame in one read */
#define LEAST_FROM (8 * LEAST)		/* of a frame that is so large */

static int reserve(struct bp__inbox *in, size_t len, size_t extra, unsigned band)
{
	struct bp__flow *flow = &in->c->flow;
	int rc;

	bp__whereabouts(in->c, BP__WAITING);
	rc = bp__flow_reserve(flow, bp__buf_cost(len) + extra, band,
	    bp__buf_block(len));
	bp__whereabouts(in->c, BP__ELSEWHERE);
	return rc;
}

void bp__inbox_give_back(struct bp__inbox *in, size_t cost)
{
	struct bp__flow *flow = &in->c->flow;

	bp__flow_release(flow, bp__flow_charged(flow), cost, BP__HELD_FRAME, NULL, 0);
}

static int allocate(struct bp__inbox *in, size_t len, size_t extra, unsigned band,
    struct bp__buf **ret_buf)
{
	struct bp__flow *flow = &in->c->flow;
	int rc = reserve(in, len, extra, band);

	if (rc < 0)
		return rc;
	*ret_buf = bp__buf_alloc(flow, bp__flow_charged(flow), len);
	if (*ret_buf)
		return 0;
	bp__inbox_give_back(in, bp__buf_cost(len) + extra);
	return -ENOMEM;
}

static void give_up(struct bp__inbox *in, struct bp__buf *buf, size_t extra)
{
	if (extra > 0)
		bp__inbox_give_back(in, extra);
	bp__buf_discard(buf);
}

/* Take up to max bytes of what is at hand. */
static size_t take_bytes(struct bp__inbox *in, char *to, size_t max)
{
	size_t n = in->end - in->start;

	if (n > max)
		n = max;
	memcpy(to, in->base + in->start, n);
	in->start += n;
	return n;
}

/*
 * Read what is missing of a payload into its place, and what follows it onto the stack:
 * the next header costs no system call then.
 *
 * Of a large one the socket tells nothing until there is much of it, since each time the
 * reader wakes costs. But not of its last part: the peer may send no more after it. And
 * that part is of up to twice LEAST: a recv that has found some already goes to sleep
 * with it, and is woken by the kernel when there is LEAST more, not what it lacks.
 */
static int read_rest(struct bp__inbox *in, char *payload, size_t len)
{
	struct bp_conn *c = in->c;
	bool patient = len >= LEAST_FROM;
	struct iovec iov[2];
	ssize_t n = 1;

	if (patient)
		c->sock->set_least(c->fd, LEAST);
	while (len > 0 && n > 0) {
		if (patient && len < 2 * LEAST) {
			c->sock->set_least(c->fd, 1);
			patient = false;
		}
		iov[0] = (struct iovec){ payload, len };
		iov[1] = (struct iovec){ in->small, BP__SMALL };
		n = bp__inbox_read(in, iov, 2);
		if (n > 0 && (size_t)n > len) {
			in->end = (size_t)n - len;
			n = (ssize_t)len;
		}
		if (n > 0) {
			payload += n;
			len -= (size_t)n;
		}
	}
	if (patient)
		c->sock->set_least(c->fd, 1);
	return n > 0 ? 1 : (int)n;
}

static int read_known(struct bp__inbox *in, const struct bp__frame *frame,
    char *payload)
{
	size_t have;
	int rc;

	in->start += frame->head;
	have = take_bytes(in, payload, frame->len);
	if (have == frame->len) {
		/* its tail alone is missing */
		in->skip = frame->tail;
		bp__inbox_skip_tail(in);
		return 1;
	}
	bp__inbox_drop_chunk(in);		/* while this is read, nothing else is */
	rc = read_rest(in, payload + have, frame->len - have);
	if (rc <= 0)
		return rc;
	in->skip = frame->tail;
	bp__inbox_skip_tail(in);
	/* after a large one the next header comes alone: its payload uncopied */
	in->busy = frame->len <= bp__chunk_room(&in->c->flow) / 2;
	return 1;
}

/*
 * A frame whose size no header tells, and no chunk to look for its end in: read
 * into a buffer of the largest size, in small steps, since what is read beyond the
 * end has to fit the stack.
 */
static int read_unknown(struct bp__inbox *in, struct bp__buf *buf)
{
	const struct bp_framer_ops *framer = in->c->config.framer;
	struct bp__frame frame = { 0 };
	char *bytes = buf->head.pub.data;
	size_t have, whole = 0, step;
	struct iovec room;
	ssize_t n;
	int rc;

	have = take_bytes(in, bytes, buf->head.pub.len);
	bp__inbox_drop_chunk(in);
	for (;;) {
		rc = framer->cut(bytes, have, &in->scanned, &frame.head, &frame.len,
		    &frame.tail);
		if (rc < 0)
			return -EPROTO;
		whole = frame.head + frame.len + frame.tail;
		if (rc > 0 && frame.len > in->c->config.frame_max)
			return -EMSGSIZE;
		if (rc > 0 && have >= whole)
			break;
		if (have == buf->head.pub.len)
			return -EMSGSIZE;
		step = buf->head.pub.len - have;
		room = (struct iovec){ bytes + have, step < SMALL_STEP ? step : SMALL_STEP };
		n = bp__inbox_read(in, &room, 1);
		if (n <= 0)
			return (int)n;
		have += (size_t)n;
	}
	if (have - whole > BP__SMALL)
		return -EPROTO;		/* it has looked too far ahead */
	memcpy(in->small, bytes + whole, have - whole);
	in->end = have - whole;
	memmove(bytes, bytes + frame.head, frame.len);
	buf->head.pub.len = frame.len;
	in->busy = true;
	return 1;
}

int bp__inbox_large(struct bp__inbox *in, const struct bp__frame *frame, size_t extra,
    struct bp__buf **ret_buf, unsigned *ret_band)
{
	const struct bp_conn_config *config = &in->c->config;
	bool known = frame->len != BP_ANY;
	struct bp__buf *buf;
	size_t len;
	int band, rc;

	band = bp__inbox_band(in, frame);
	if (band < 0)
		return band;
	/* who waits holds as little of its guarantee as can be: it may fit that then */
	if (in->chunk && in->end - in->start <= BP__SMALL)
		bp__inbox_to_small(in);
	len = known ? frame->len : config->frame_max + config->framer->head_max
	    + config->framer->tail_max;
	rc = allocate(in, len, extra, (unsigned)band, &buf);
	if (rc < 0)
		return rc;
	atomic_store_explicit(&in->c->frame_since_ns, bp__now_ns(),
	    memory_order_relaxed);
	rc = known ? read_known(in, frame, buf->head.pub.data) : read_unknown(in, buf);
	atomic_store_explicit(&in->c->frame_since_ns, 0, memory_order_relaxed);
	if (rc <= 0) {
		give_up(in, buf, extra);
		return rc;
	}
	if (config->framer == &bp_framer_raw)
		in->c->expect = config->expect;
	bp__inbox_next_frame(in);
	*ret_buf = buf;
	*ret_band = (unsigned)band;
	return 1;
}
