/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - see event.h.
 */
#include "config.h"

#include "conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* BP__EVENT_COST covers the event, and what malloc adds */
static_assert(sizeof(struct bp__event) + 16 <= BP__EVENT_COST,
    "an event costs more than it is charged");

static struct bp__event *event_of(struct bp__entry *entry)
{
	return bp__container_of(entry, struct bp__event, entry);
}

void bp__event_init(struct bp__event *event, struct bp_conn *conn,
    enum bp_event_kind kind, uint64_t arrived_ns)
{
	memset(event, 0, sizeof *event);
	event->pub.kind = kind;
	event->pub.conn = bp_conn_ref(conn);
	event->pub.arrived_ns = arrived_ns;
	event->entry.flow = &conn->flow;
	event->entry.arrived_ns = arrived_ns;
}

struct bp__event *bp__event_new(struct bp_conn *conn, struct bp__buf *payload,
    struct bp__chunk *chunk, void *data, size_t len, uint64_t arrived_ns)
{
	struct bp__event *event = malloc(sizeof *event);

	if (!event)
		return NULL;
	bp__event_init(event, conn, BP_RECEIVED, arrived_ns);
	event->entry.peer = bp__flow_charged(&conn->flow);
	event->entry.cost = BP__EVENT_COST;
	event->entry.len = len;
	if (payload) {
		event->entry.payload_cost = payload->charge;
		event->pub.buf = &payload->pub;
	} else {
		bp__buf_slice(&event->slice, &conn->flow, chunk, data, len);
		event->pub.buf = &event->slice.pub;
	}
	return event;
}

/* The event is no more; its conn may go with it. */
static void dispose(struct bp__event *event)
{
	struct bp_conn *conn = event->pub.conn;

	if (event->pub.kind == BP_RECEIVED)
		free(event);
	bp_conn_unref(conn);
}

void bp__event_purged(struct bp__entry *entry)
{
	struct bp__event *event = event_of(entry);

	if (event->pub.buf)
		bp__buf_done(bp__buf_of(event->pub.buf));
	dispose(event);
}

void bp_event_free(struct bp_event *pub)
{
	struct bp__event *event;

	if (!pub)
		return;
	event = bp__container_of(pub, struct bp__event, pub);
	if (pub->buf)
		bp__buf_done(bp__buf_of(pub->buf));
	bp__flow_turn_back(&event->entry);
	if (pub->kind == BP_ENDED)
		bp__conn_ended_handled(pub->conn);
	dispose(event);
}
