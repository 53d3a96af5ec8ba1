/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buf.c - see buf.h. Who keeps a slice gets a copy: 64 bytes must not pin a
 * chunk. Large payloads are blocks of the endpoint's pool, never of malloc,
 * which would keep what a storm has left behind.
 */
#include "config.h"

#include "buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX ((size_t)64 * 1024)
#define CHUNK_MIN ((size_t)1024)	/* a smaller one is not worth its struct */
#define MALLOC_COST ((size_t)16)	/* what malloc adds to what it returns */

static size_t heap_size(size_t len)
{
	return (sizeof(struct bp__buf) + len + MALLOC_COST + 15) & ~(size_t)15;
}

size_t bp__buf_cost(size_t len)
{
	return len < BP__POOLED_MIN ? heap_size(len)
	    : heap_size(0) + bp__pool_size(len);
}

size_t bp__buf_block(size_t len)
{
	return len < BP__POOLED_MIN ? 0 : bp__pool_size(len);
}

static struct bp__buf *new_buf(size_t len, size_t extra)
{
	struct bp__buf *buf = malloc(sizeof *buf + extra);

	if (!buf)
		return NULL;
	memset(buf, 0, sizeof *buf);
	buf->head.kind = BP__HEAP;
	buf->head.pub.data = buf + 1;
	buf->head.pub.len = len;
	atomic_init(&buf->holds, 1);
	atomic_init(&buf->refs, 1);
	return buf;
}

struct bp__buf *bp__buf_alloc(struct bp__flow *flow, struct bp__peer *peer, size_t len)
{
	size_t block_size = bp__buf_block(len);
	struct bp__buf *buf = new_buf(len, block_size ? 0 : len);

	if (!buf) {
		if (block_size)
			bp__qdisc_unclaim(flow->q, block_size);
		return NULL;
	}
	if (block_size) {
		buf->head.kind = BP__BLOCK;
		buf->block_size = block_size;
		buf->head.pub.data = bp__qdisc_block(flow->q, buf->block_size);
		if (!buf->head.pub.data) {
			free(buf);
			return NULL;
		}
		buf->q = flow->q;
		bp__qdisc_ref(buf->q);
	}
	buf->charge = bp__buf_cost(len);
	buf->head.flow = flow;
	buf->peer = peer;
	bp__flow_ref(flow);
	return buf;
}

/* The application's last reference went: the charge goes back, then the bytes. */
static void release(struct bp__buf *buf, enum bp__holder holder)
{
	struct bp__flow *flow = buf->head.flow;
	struct bp__peer *peer = buf->peer;
	struct bp__qdisc *q = buf->q;
	size_t charge = buf->charge, size = buf->block_size;
	void *block = buf->head.kind == BP__BLOCK ? buf->head.pub.data : NULL;

	if (atomic_fetch_sub(&buf->refs, 1) == 1)
		free(buf);
	else
		q = NULL, block = NULL;		/* an out queue needs the bytes */
	if (flow) {
		bp__flow_release(flow, peer, charge, holder, block, size);
		bp__flow_unref(flow);
	}
	if (q)
		bp__qdisc_unref(q);
}

void bp__buf_discard(struct bp__buf *buf)
{
	release(buf, BP__HELD_FRAME);
}

struct bp__buf *bp__buf_share(struct bp__buf *buf)
{
	atomic_fetch_add(&buf->refs, 1);
	return buf;
}

void bp__buf_unshare(struct bp__buf *buf)
{
	if (atomic_fetch_sub(&buf->refs, 1) != 1)
		return;
	if (buf->head.kind == BP__BLOCK) {
		bp__qdisc_block_back(buf->q, buf->head.pub.data, buf->block_size);
		bp__qdisc_unref(buf->q);
	}
	free(buf);
}

static struct bp_buf *copy(struct bp__slice *slice)
{
	size_t cost = bp__buf_cost(slice->pub.len);
	struct bp__peer *peer;
	struct bp__buf *buf;

	peer = bp__flow_try_reserve(slice->flow, cost, bp__buf_block(slice->pub.len),
	    false);
	if (!peer)
		return NULL;
	buf = bp__buf_alloc(slice->flow, peer, slice->pub.len);
	if (!buf) {
		bp__flow_release(slice->flow, peer, cost, BP__HELD_DELIVERED, NULL, 0);
		return NULL;
	}
	memcpy(buf->head.pub.data, slice->pub.data, slice->pub.len);
	return &buf->head.pub;
}

struct bp_buf *bp_buf_ref(struct bp_buf *pub)
{
	if (bp__buf_is_slice(pub))
		return copy(bp__slice_of(pub));
	atomic_fetch_add(&bp__buf_of(pub)->holds, 1);
	return pub;
}

void bp_buf_unref(struct bp_buf *pub)
{
	struct bp__buf *buf;

	if (!pub)
		return;
	assert(!bp__buf_is_slice(pub));	/* that one was only shown to you */
	buf = bp__buf_of(pub);
	if (atomic_fetch_sub(&buf->holds, 1) == 1)
		release(buf, BP__HELD_DELIVERED);
}

int bp_buf_new(struct bp_buf **ret_buf, size_t len)
{
	struct bp__buf *buf = NULL;

	if (len <= SIZE_MAX / 2)
		buf = new_buf(len, len);
	if (!buf)
		return -ENOMEM;
	*ret_buf = &buf->head.pub;
	return 0;
}

/* ---- chunks ------------------------------------------------------------- */

size_t bp__chunk_cap(const struct bp__flow *flow)
{
	/* one is handled while the next is filled; the rest of the guarantee is for
	 * the overhead of their slices */
	size_t cap = flow->q->guarantee / 4;

	if (cap > CHUNK_MAX)
		cap = CHUNK_MAX;
	if (cap < CHUNK_MIN)
		return 0;
	return cap < BP__POOLED_MIN ? cap : cap & ~(size_t)4095;
}

size_t bp__chunk_room(const struct bp__flow *flow)
{
	size_t cap = bp__chunk_cap(flow);

	return cap == 0 ? 0 : cap - sizeof(struct bp__chunk);
}

struct bp__chunk *bp__chunk_new(struct bp__flow *flow)
{
	size_t cap = bp__chunk_cap(flow);
	bool block = cap >= BP__POOLED_MIN;
	struct bp__chunk *chunk;
	struct bp__peer *peer;

	if (cap == 0)
		return NULL;
	peer = bp__flow_try_reserve(flow, cap, block ? cap : 0, true);
	if (!peer)
		return NULL;
	chunk = block ? bp__qdisc_block(flow->q, cap) : malloc(cap);
	if (!chunk) {
		atomic_fetch_sub(&peer->in_hand, cap);
		bp__flow_release(flow, peer, cap, BP__HELD_CHUNK, NULL, 0);
		return NULL;
	}
	chunk->flow = flow;
	chunk->peer = peer;
	chunk->cap = cap;
	atomic_init(&chunk->refs, 1);
	return chunk;
}

void bp__chunk_drop(struct bp__chunk *chunk)
{
	atomic_fetch_sub(&chunk->peer->in_hand, chunk->cap);
	bp__chunk_unref(chunk);
}

void bp__chunk_unref(struct bp__chunk *chunk)
{
	struct bp__flow *flow = chunk->flow;
	struct bp__peer *peer = chunk->peer;
	size_t cap = chunk->cap;

	if (atomic_fetch_sub(&chunk->refs, 1) != 1)
		return;
	if (cap < BP__POOLED_MIN) {
		free(chunk);
		chunk = NULL;
	}
	bp__flow_release(flow, peer, cap, BP__HELD_CHUNK, chunk, cap);
}
