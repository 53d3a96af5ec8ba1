/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - see event.h.
 */
#include "config.h"

#include "conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* BP__EVENT_COST covers a batch of one, and what malloc adds */
static_assert(sizeof(struct bp__batch) + sizeof(struct bp__event) + 16
    <= BP__EVENT_COST, "an event costs more than it is charged");

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

/* ---- batches ------------------------------------------------------------ */

static_assert(sizeof(struct bp__batch) + BP__BATCH_MAX * sizeof(struct bp__event)
    <= BP__POOLED_MIN, "a batch does not fit a block");

/* Through malloc those of a busy server would be mapped and unmapped all the time. */
size_t bp__batch_block(unsigned n)
{
	return n * BP__EVENT_COST < BP__POOLED_MIN ? 0 : BP__POOLED_MIN;
}

struct bp__batch *bp__batch_new(struct bp_conn *conn, struct bp__chunk *chunk,
    unsigned n)
{
	size_t block = bp__batch_block(n);
	struct bp__batch *batch;

	batch = block ? bp__qdisc_block(conn->flow.q, block)
	    : malloc(sizeof *batch + n * sizeof batch->events[0]);
	if (!batch)
		return NULL;
	batch->conn = bp_conn_ref(conn);
	batch->peer = bp__flow_charged(&conn->flow);
	batch->chunk = chunk;
	if (chunk)
		bp__chunk_ref(chunk);
	batch->cost = 0;
	batch->block = block;
	batch->n = 0;
	return batch;
}

void bp__batch_add(struct bp__batch *batch, struct bp__buf *payload, void *data,
    size_t len, uint64_t arrived_ns, unsigned band)
{
	struct bp__event *event = &batch->events[batch->n++];

	batch->cost += BP__EVENT_COST;
	event->batch = batch;
	event->slice = (struct bp__slice){
		.pub = { data, len }, .flow = &batch->conn->flow, .kind = BP__SLICE,
	};
	event->pub = (struct bp_event){
		.kind = BP_RECEIVED, .conn = batch->conn,
		.buf = payload ? &payload->head.pub : &event->slice.pub,
		.arrived_ns = arrived_ns,
	};
	event->entry = (struct bp__entry){
		.flow = &batch->conn->flow, .peer = batch->peer,
		.cost = BP__EVENT_COST, .len = len, .band = band,
		.payload_cost = payload ? payload->charge : 0,
		.next = &event[1].entry, .arrived_ns = arrived_ns,
	};
}

/* Give back what it holds but for its charge and block, which went before. */
static void dissolve(struct bp_conn *conn, struct bp__chunk *chunk)
{
	if (chunk)
		bp__chunk_unref(chunk);
	bp_conn_unref(conn);
}

/* Nobody has anything of it any more. */
static void batch_free(struct bp__batch *batch)
{
	struct bp__chunk *chunk = batch->chunk;
	struct bp_conn *conn = batch->conn;
	size_t block = batch->block;

	bp__flow_release(&conn->flow, batch->peer, batch->cost, BP__HELD_DELIVERED,
	    block ? batch : NULL, block);
	if (!block)
		free(batch);
	dissolve(conn, chunk);
}

static void batch_unref(struct bp__batch *batch)
{
	if (atomic_fetch_sub(&batch->left, 1) == 1)
		batch_free(batch);
}

struct bp__entry *bp__batch_chain(struct bp__batch *batch)
{
	if (batch->n == 0) {
		batch_free(batch);
		return NULL;
	}
	batch->events[batch->n - 1].entry.next = NULL;
	atomic_init(&batch->left, batch->n);
	return &batch->events[0].entry;
}

/* ---- the end of one ----------------------------------------------------- */

void bp__event_purged(struct bp__entry *entry)
{
	struct bp__event *event = event_of(entry);

	if (event->pub.buf)
		bp__buf_done(event->pub.buf);
	if (event->batch)
		batch_unref(event->batch);
	else
		bp_conn_unref(event->pub.conn);
}

/* No event of it is to be answered any more: what was withheld goes. */
static void push_answers(struct bp_conn *conn)
{
	if (atomic_load(&conn->withheld) && bp__flow_turn_over(&conn->flow))
		bp__conn_push(conn);
}

/* The last event of a batch: one visit to Q gives the turn back, and the charge. */
static void free_last(struct bp__batch *batch, struct bp__event *event)
{
	struct bp__chunk *chunk = batch->chunk;
	struct bp_conn *conn = batch->conn;
	size_t block = batch->block;

	bp__flow_turn_back(&event->entry, batch->cost, block ? batch : NULL, block);
	if (!block)
		free(batch);
	push_answers(conn);
	dissolve(conn, chunk);
}

static void free_one_of(struct bp__batch *batch, struct bp__event *event)
{
	if (atomic_load(&batch->left) == 1) {
		free_last(batch, event);
		return;
	}
	bp__flow_turn_back(&event->entry, 0, NULL, 0);
	push_answers(batch->conn);
	batch_unref(batch);
}

void bp_event_free(struct bp_event *pub)
{
	struct bp__event *event;
	struct bp_conn *conn;

	if (!pub)
		return;
	event = bp__container_of(pub, struct bp__event, pub);
	if (pub->buf)
		bp__buf_done(pub->buf);
	if (event->batch) {
		free_one_of(event->batch, event);
		return;
	}
	conn = pub->conn;
	bp__flow_turn_back(&event->entry, 0, NULL, 0);
	push_answers(conn);
	if (pub->kind == BP_ENDED)
		bp__conn_ended_handled(conn);
	bp_conn_unref(conn);
}
