/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - what bp_receive() gives: an entry of a flow, with what the application
 * sees of it. OPENED, ENDED and CLOSED lie inside their connection (R4).
 */
#ifndef BP_EVENT_H
#define BP_EVENT_H

#include "buf.h"
#include "flow.h"

struct bp__event {
	struct bp_event pub;
	struct bp__entry entry;
	struct bp__buf slice;		/* RECEIVED, when it has no payload of its own */
};

/*
 * A received frame, to be queued: payload, or NULL for a slice of len bytes at data
 * in chunk. Its cost, BP__EVENT_COST and the payload's, is reserved. NULL: no memory.
 */
struct bp__event *bp__event_new(struct bp_conn *conn, struct bp__buf *payload,
    struct bp__chunk *chunk, void *data, size_t len, uint64_t arrived_ns);

/* One of those inside the connection. */
void bp__event_init(struct bp__event *event, struct bp_conn *conn,
    enum bp_event_kind kind, uint64_t arrived_ns);

/* The hook for entries that were purged. */
void bp__event_purged(struct bp__entry *entry);

#endif /* BP_EVENT_H */
