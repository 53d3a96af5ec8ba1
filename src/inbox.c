/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inbox.c - see inbox.h.
 */
#include "config.h"

#include "callback.h"
#include "inbox.h"

#include <string.h>

#define ANY_MAX ((size_t)64 * 1024)	/* a frame of whatever arrives */
#define CLASSIFY_LEN ((size_t)64)	/* of a frame, to tell its band by */

void bp__inbox_init(struct bp__inbox *in, struct bp_conn *c)
{
	/* not all of it: the small buffer's page need not be touched yet */
	memset(in, 0, offsetof(struct bp__inbox, small));
	in->c = c;
	in->base = in->small;
	in->cap = BP__SMALL;
	in->arrived_ns = bp__now_ns();	/* an empty frame may come before the first read */
	bp__spin_init(&in->spin, c);
}

void bp__inbox_drop_chunk(struct bp__inbox *in)
{
	if (in->chunk)
		bp__chunk_drop(in->chunk);
	in->chunk = NULL;
	in->base = in->small;
	in->cap = BP__SMALL;
	in->start = in->end = 0;
}

void bp__inbox_fini(struct bp__inbox *in)
{
	bp__inbox_drop_chunk(in);
}

/* ---- frames ------------------------------------------------------------- */

static int cut_expected(const struct bp__inbox *in, struct bp__frame *frame)
{
	size_t have = in->end - in->start;

	*frame = (struct bp__frame){ .len = in->c->expect };
	/* before its first byte a frame is nothing to ask memory for */
	if (have == 0 && frame->len > 0)
		return BP__CUT_NONE;
	return have >= frame->len ? BP__CUT_WHOLE : BP__CUT_PART;
}

/*
 * How much to ask for when nobody says how much is wanted: not more than the
 * guarantee, or it would wait for the pool beside peers that hold all of it.
 */
static size_t any_max(const struct bp__inbox *in)
{
	size_t share = in->c->flow.q->guarantee / 8 * 7;

	if (share < 2 * BP__SMALL + BP__EVENT_COST)
		return BP__SMALL;
	share -= BP__SMALL + BP__EVENT_COST;
	return share < ANY_MAX ? share : ANY_MAX;
}

/* Whatever arrives: what is at hand, and without a chunk what the kernel has, too. */
static int cut_any(const struct bp__inbox *in, struct bp__frame *frame)
{
	size_t have = in->end - in->start, max = in->c->config.frame_max;

	*frame = (struct bp__frame){ .len = have < max ? have : max };
	if (have == 0)
		return BP__CUT_NONE;
	if (in->no_chunk && have == BP__SMALL) {
		frame->len += in->c->sock->pending(in->c->fd);
		if (frame->len > max)
			frame->len = max;
		if (frame->len > any_max(in))
			frame->len = any_max(in);
	}
	return frame->len <= have ? BP__CUT_WHOLE : BP__CUT_PART;
}

int bp__inbox_cut(struct bp__inbox *in, struct bp__frame *frame)
{
	const struct bp_conn_config *config = &in->c->config;
	const struct bp_framer_ops *framer = config->framer;
	size_t have = in->end - in->start;
	int rc;

	if (framer == &bp_framer_raw)
		return in->c->expect == BP_ANY ? cut_any(in, frame)
		    : cut_expected(in, frame);
	if (have == 0)
		return BP__CUT_NONE;
	rc = framer->cut(in->base + in->start, have, &in->scanned, &frame->head,
	    &frame->len, &frame->tail);
	in->in_header = rc == 0 && framer->head_max > 0;
	if (rc < 0)
		return -EPROTO;
	if (rc == 0)
		return have >= config->frame_max + framer->head_max + framer->tail_max
		    ? -EMSGSIZE : BP__CUT_NONE;
	if (frame->len > config->frame_max)
		return -EMSGSIZE;
	if (frame->head > framer->head_max || frame->tail > framer->tail_max)
		return -EPROTO;		/* not what it said of itself */
	if (frame->head + frame->len + frame->tail == 0)
		return -EPROTO;		/* there would be no end of those */
	return have >= frame->head + frame->len + frame->tail
	    ? BP__CUT_WHOLE : BP__CUT_PART;
}

/* ---- bands -------------------------------------------------------------- */

static size_t whole_len(const struct bp__frame *frame)
{
	return frame->len == BP_ANY ? BP_ANY : frame->head + frame->len + frame->tail;
}

size_t bp__inbox_ahead(const struct bp__inbox *in, const struct bp__frame *frame)
{
	size_t whole = whole_len(frame);

	if (!in->c->config.classify)
		return frame->head;	/* its payload comes after that */
	return whole < CLASSIFY_LEN ? whole : CLASSIFY_LEN;
}

static int classify(const struct bp__inbox *in, const struct bp__frame *frame)
{
	struct bp_conn *c = in->c;
	size_t ahead = bp__inbox_ahead(in, frame), have = in->end - in->start;
	const char *outer = atomic_load_explicit(&c->handler, memory_order_relaxed);
	struct bp__callback callback;
	int band;

	atomic_store_explicit(&c->handler, "classify", memory_order_relaxed);
	bp__callback_enter(&callback, c->endpoint, c, BP__IN_OTHER);
	band = c->config.classify(c, in->base + in->start, have < ahead ? have : ahead,
	    bp_conn_data(c));
	bp__callback_leave(&callback);
	atomic_store_explicit(&c->handler, outer, memory_order_relaxed);
	if (band < 0)
		return -EPROTO;
	return band < (int)c->flow.q->bands ? band : (int)c->flow.q->bands - 1;
}

int bp__inbox_band(struct bp__inbox *in, const struct bp__frame *frame)
{
	if (!in->c->config.classify)
		return (int)atomic_load_explicit(&in->c->flow.band,
		    memory_order_relaxed);
	if (!in->classified)
		in->band = classify(in, frame);
	in->classified = true;
	return in->band;
}

/* ---- one after the other ------------------------------------------------ */

static uint64_t waited_ns(const struct bp__inbox *in)
{
	return in->c->flow.gate_ns + in->c->flow.parked_ns;
}

/* The frame at start is another one. */
void bp__inbox_next_frame(struct bp__inbox *in)
{
	in->scanned = 0;
	in->in_header = false;
	in->classified = false;
	in->began_ns = in->end > in->start ? in->arrived_ns : 0;
	in->waited_ns = waited_ns(in);
}

char *bp__inbox_take(struct bp__inbox *in, const struct bp__frame *frame)
{
	char *payload = in->base + in->start + frame->head;

	in->start += frame->head + frame->len + frame->tail;
	if (in->c->config.framer == &bp_framer_raw)
		in->c->expect = in->c->config.expect;	/* it held for this one */
	bp__inbox_next_frame(in);
	return payload;
}

/* ---- room --------------------------------------------------------------- */

/* Nobody but the reader looks at the area's bytes. */
static bool alone(const struct bp__inbox *in)
{
	return !in->chunk || atomic_load(&in->chunk->refs) == 1;
}

static void compact(struct bp__inbox *in)
{
	memmove(in->base, in->base + in->start, in->end - in->start);
	in->end -= in->start;
	in->start = 0;
}

void bp__inbox_to_small(struct bp__inbox *in)
{
	size_t have = in->end - in->start;

	memmove(in->small, in->base + in->start, have);
	bp__inbox_drop_chunk(in);
	in->end = have;
}

static bool to_chunk(struct bp__inbox *in)
{
	struct bp__chunk *chunk = bp__chunk_new(&in->c->flow);
	size_t have = in->end - in->start;

	if (!chunk)
		return false;
	memcpy(chunk->bytes, in->base + in->start, have);
	bp__inbox_drop_chunk(in);
	in->chunk = chunk;
	in->base = chunk->bytes;
	in->cap = chunk->cap - sizeof *chunk;
	in->end = have;
	return true;
}

/*
 * A chunk, if need be by waiting until the reader's own events leave room for it: frame
 * by frame from the pool would be far slower. Who waits has no more than fits the stack.
 */
static bool to_chunk_at_last(struct bp__inbox *in)
{
	struct bp_conn *c = in->c;

	if (to_chunk(in))
		return true;
	if (in->end - in->start > BP__SMALL || bp__chunk_cap(&c->flow) == 0)
		return false;
	bp__inbox_to_small(in);
	bp__whereabouts(c, BP__WAITING);
	/* half of it: to be woken for each chunk costs more than the chunk does */
	bp__flow_await_guarantee(&c->flow, c->flow.q->guarantee / 2);
	bp__whereabouts(c, BP__ELSEWHERE);
	return to_chunk(in);
}

bool bp__inbox_room(struct bp__inbox *in, size_t need)
{
	size_t chunk_room = bp__chunk_room(&in->c->flow);

	if (need <= in->cap - in->start)
		return true;
	if (need <= in->cap && alone(in)) {
		compact(in);
		return true;
	}
	/* half a chunk or more is better read into its own buffer, uncopied */
	if (need <= chunk_room / 2 || (need <= chunk_room && in->start == in->end))
		if (to_chunk_at_last(in))
			return true;
	if (need > BP__SMALL)
		return false;
	bp__inbox_to_small(in);
	return true;
}

/* Nothing is at hand: begin at the beginning, with a chunk if the peer is busy. */
static void rewind_area(struct bp__inbox *in)
{
	if (in->chunk && !alone(in) && in->cap - in->end >= BP__SMALL
	    && in->busy)
		return;
	if (in->chunk && (!in->busy || !alone(in)))
		bp__inbox_drop_chunk(in);
	in->start = in->end = 0;
	in->no_chunk = in->busy && !in->chunk && !to_chunk_at_last(in);
}

/* ---- reading ------------------------------------------------------------ */

/* When the peer has to be through with what it has begun, for the reaper. */
static uint64_t read_deadline_ns(const struct bp__inbox *in)
{
	const struct bp_conn_config *config = &in->c->config;
	int ms = in->in_header ? config->header_ms : config->frame_ms;
	uint64_t deadline;

	if (in->began_ns == 0)
		return 0;
	if (ms < 0)
		return BP__NEVER;	/* it has begun all the same */
	deadline = in->began_ns + (uint64_t)ms * BP__MS
	    + waited_ns(in) - in->waited_ns;
	/* the lowest bit tells which of the two it is */
	return (deadline & ~UINT64_C(1)) | in->in_header;
}

ssize_t bp__inbox_read(struct bp__inbox *in, const struct iovec *iov, int n_iov)
{
	struct bp_conn *c = in->c;
	ssize_t n;

	bp__whereabouts(c, BP__WAITING);
	n = bp__flow_may_read(&c->flow);
	if (n == 0) {
		atomic_store_explicit(&c->read_deadline_ns, read_deadline_ns(in),
		    memory_order_relaxed);
		bp__whereabouts(c, BP__IN_RECV);
		n = bp__spin_read(&in->spin, c, iov, n_iov);
		atomic_store_explicit(&c->read_deadline_ns, 0, memory_order_relaxed);
	}
	bp__whereabouts(c, BP__ELSEWHERE);
	if (n <= 0)
		return n;
	/* the flow ended while it read: that was one read too many */
	if (!bp__flow_open_still(&c->flow))
		return -EPIPE;
	in->arrived_ns = bp__now_ns();
	if (in->began_ns == 0) {
		in->began_ns = in->arrived_ns;
		in->waited_ns = waited_ns(in);
	}
	atomic_fetch_add_explicit(&c->bytes_in, (uint64_t)n, memory_order_relaxed);
	return n;
}

void bp__inbox_skip_tail(struct bp__inbox *in)
{
	size_t n = in->end - in->start;

	if (in->skip == 0)
		return;
	if (n > in->skip)
		n = in->skip;
	in->start += n;
	in->skip -= n;
	bp__inbox_next_frame(in);
}

static struct iovec room_of(const struct bp__inbox *in)
{
	return (struct iovec){ in->base + in->end, in->cap - in->end };
}

ssize_t bp__inbox_fill(struct bp__inbox *in)
{
	struct iovec room;
	ssize_t n;

	if (in->start == in->end)
		rewind_area(in);
	else if (in->busy && !in->chunk)
		to_chunk(in);
	room = room_of(in);
	n = bp__inbox_read(in, &room, 1);
	if (n <= 0)
		return n;
	in->busy = (size_t)n == room.iov_len || n >= BP__SMALL;
	in->end += (size_t)n;
	bp__inbox_skip_tail(in);
	return n;
}

void bp__inbox_top_up(struct bp__inbox *in)
{
	struct iovec room;
	ssize_t n;

	if (in->chunk || in->end < in->cap || in->c->sock->pending(in->c->fd) == 0
	    || !bp__flow_may_go_on(&in->c->flow) || !to_chunk(in))
		return;
	room = room_of(in);
	n = bp__inbox_read(in, &room, 1);
	if (n > 0)
		in->end += (size_t)n;
	/* else what is at hand goes its way first; the next read meets the same */
}
