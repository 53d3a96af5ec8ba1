/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buf.h - payloads, and the chunks that small ones are slices of.
 *
 * Two kinds of references keep a payload. The application's (the event, and each
 * bp_buf_ref) hold its charge at the gate; when the last of them goes, the charge
 * goes back. An out queue's keeps the bytes alive and counts in that connection's
 * marks alone. So a peer that does not read fills its own marks, never the budget
 * of others, and no writer ever touches a gate.
 */
#ifndef BP_BUF_H
#define BP_BUF_H

#include "flow.h"

enum bp__buf_kind {
	BP__SLICE,	/* bytes in a chunk or on the reader's stack; dies with its event */
	BP__HEAP,	/* bytes follow the struct */
	BP__BLOCK,	/* bytes in a large block of the pool */
};

struct bp__chunk {
	struct bp__flow *flow;		/* its reader or events keep it */
	struct bp__peer *peer;		/* charged */
	size_t cap;			/* bytes in all, and its charge */
	atomic_uint refs;		/* the reader, and each batch with slices of it */
	char bytes[];
};

/* What every payload begins with; of a slice it is all. */
struct bp__slice {
	struct bp_buf pub;
	struct bp__flow *flow;		/* referenced while it is charged; or NULL */
	enum bp__buf_kind kind;
};

struct bp__buf {
	struct bp__slice head;
	size_t block_size;
	size_t charge;
	struct bp__peer *peer;		/* charged */
	struct bp__qdisc *q;		/* BLOCK: whose pool it goes back to, referenced */
	atomic_uint holds;		/* the application's references */
	atomic_uint refs;		/* one for all holds, one for each out queue */
};

/*
 * What the gate is asked for before a payload of len bytes is allocated, and how
 * much of it is a large block.
 */
size_t bp__buf_cost(size_t len);
size_t bp__buf_block(size_t len);

/*
 * A payload of len bytes to be read into, for which bp__buf_cost(len) is charged to
 * peer. NULL: no memory; the charge is the caller's still.
 */
struct bp__buf *bp__buf_alloc(struct bp__flow *flow, struct bp__peer *peer, size_t len);

/* The reader gives up a payload that was not delivered. */
void bp__buf_discard(struct bp__buf *buf);

/* A reference for an out queue. */
struct bp__buf *bp__buf_share(struct bp__buf *buf);
void bp__buf_unshare(struct bp__buf *buf);

static inline struct bp__slice *bp__slice_of(struct bp_buf *pub)
{
	return bp__container_of(pub, struct bp__slice, pub);
}

static inline bool bp__buf_is_slice(struct bp_buf *pub)
{
	return bp__slice_of(pub)->kind == BP__SLICE;
}

/* One that is no slice. */
static inline struct bp__buf *bp__buf_of(struct bp_buf *pub)
{
	return bp__container_of(pub, struct bp__buf, head.pub);
}

/* The event is freed, or the handler has returned. */
static inline void bp__buf_done(struct bp_buf *pub)
{
	if (!bp__buf_is_slice(pub))
		bp_buf_unref(pub);
}

/* A chunk for the flow's reader; NULL: there is no room just now, or no memory. */
struct bp__chunk *bp__chunk_new(struct bp__flow *flow);
/* Its reader is through with it; or a batch. */
void bp__chunk_drop(struct bp__chunk *chunk);
static inline void bp__chunk_ref(struct bp__chunk *chunk)
{
	atomic_fetch_add(&chunk->refs, 1);
}
void bp__chunk_unref(struct bp__chunk *chunk);
/* What one costs, and the bytes that fit it; 0: this flow has none. */
size_t bp__chunk_cap(const struct bp__flow *flow);
size_t bp__chunk_room(const struct bp__flow *flow);

#endif /* BP_BUF_H */
