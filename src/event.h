/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - what bp_receive() gives: an entry of a flow, with what the application
 * sees of it. OPENED, ENDED and CLOSED lie inside their connection (R4); the frames
 * of one read are made, charged and freed together, as a batch.
 */
#ifndef BP_EVENT_H
#define BP_EVENT_H

#include "buf.h"
#include "flow.h"

struct bp__batch;

struct bp__event {
	struct bp_event pub;
	struct bp__entry entry;
	struct bp__slice slice;		/* RECEIVED, when it has no payload of its own */
	struct bp__batch *batch;	/* NULL: inside its connection */
};

struct bp__batch {
	struct bp_conn *conn;		/* referenced */
	struct bp__peer *peer;		/* charged */
	struct bp__chunk *chunk;	/* referenced, if their payloads are slices of it */
	size_t cost;			/* goes back with the last of them */
	size_t block;			/* it lies in a large block of that size; 0: malloc's */
	atomic_uint left;		/* not yet freed */
	unsigned n;
	struct bp__event events[];
};

#define BP__BATCH_MAX 96		/* with its head it fits a block */

/*
 * For n frames of conn, for which BP__EVENT_COST each was reserved, and a block of
 * bp__batch_block(n); their payloads are slices of chunk if that is not NULL. NULL: no
 * memory.
 */
struct bp__batch *bp__batch_new(struct bp_conn *conn, struct bp__chunk *chunk,
    unsigned n);
size_t bp__batch_block(unsigned n);

/* Add a frame: payload, or NULL for a slice of len bytes at data. */
void bp__batch_add(struct bp__batch *batch, struct bp__buf *payload, void *data,
    size_t len, uint64_t arrived_ns, unsigned band);

/* Their entries, as a chain to be queued; NULL: there was none, and no batch now. */
struct bp__entry *bp__batch_chain(struct bp__batch *batch);

/* One of those inside the connection. */
void bp__event_init(struct bp__event *event, struct bp_conn *conn,
    enum bp_event_kind kind, uint64_t arrived_ns);

/* The hook for entries that were purged. */
void bp__event_purged(struct bp__entry *entry);

#endif /* BP_EVENT_H */
