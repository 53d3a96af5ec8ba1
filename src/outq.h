/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outq.h - pieces that wait to be sent: copied bytes, and references to payloads.
 *
 * Plain data: a connection's queue is under its lock, a queue that is being made
 * up is its maker's. Small copies share a piece, so that many tiny sends cost
 * what they weigh (200 000 of one byte are not 200 000 allocations).
 */
#ifndef BP_OUTQ_H
#define BP_OUTQ_H

#include <sys/uio.h>

#include "buf.h"
#include "list.h"

struct bp__outq {
	struct bp__list pieces;
	size_t bytes;
};

void bp__outq_init(struct bp__outq *outq);
/* Free all pieces. No lock may be held. */
void bp__outq_clear(struct bp__outq *outq);

/* Append the bytes to the last piece if it has room for all of them. */
bool bp__outq_squeeze(struct bp__outq *outq, const struct iovec *iov, int n);

/*
 * Append a copy of what iov has after the first skip bytes, a small one with room for
 * others behind it; exactly: without, since a payload follows. Returns -ENOMEM.
 */
int bp__outq_copy(struct bp__outq *outq, const struct iovec *iov, int n, size_t skip);
int bp__outq_copy_exactly(struct bp__outq *outq, const struct iovec *iov, int n,
    size_t skip);

/* Append len bytes of a payload from data on, by reference. Returns -ENOMEM. */
int bp__outq_share(struct bp__outq *outq, struct bp__buf *buf, const char *data,
    size_t len);

/* Move all of from to the end, or before the beginning, of outq. */
void bp__outq_join(struct bp__outq *outq, struct bp__outq *from);
void bp__outq_join_front(struct bp__outq *outq, struct bp__outq *from);

/* Describe at most max bytes from the beginning; returns how many entries. */
int bp__outq_peek(const struct bp__outq *outq, struct iovec *iov, int n, size_t max);

/* Take n bytes from the beginning; finished pieces go to dead, to be cleared. */
void bp__outq_consume(struct bp__outq *outq, size_t n, struct bp__outq *dead);

#endif /* BP_OUTQ_H */
