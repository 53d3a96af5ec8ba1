/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seen.c - handlers that count, and check the order they are promised (seen.h).
 *
 * Edges come on other threads than the handlers and may overlap those, so each of
 * the two groups has its own guard.
 */
#include "config.h"

#include "seen.h"

#include "harness.h"

static void enter_handler(struct seen *seen)
{
	CHECK_EQ(atomic_fetch_add(&seen->in_handler, 1), 0);
	CHECK_EQ(atomic_load(&seen->opened), 1);
	CHECK_EQ(atomic_load(&seen->closed), 0);
}

static void leave_handler(struct seen *seen)
{
	atomic_fetch_sub(&seen->in_handler, 1);
}

static void opened(struct bp_conn *conn, void *data)
{
	struct seen *seen = data;

	CHECK_EQ(atomic_fetch_add(&seen->opened, 1), 0);
	enter_handler(seen);
	CHECK(bp_conn_data(conn) == data);
	if (seen->on_opened)
		seen->on_opened(conn, seen);
	leave_handler(seen);
}

static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	struct seen *seen = data;

	enter_handler(seen);
	CHECK_EQ(atomic_load(&seen->ended), 0);
	atomic_fetch_add(&seen->bytes, buf->len);
	atomic_fetch_add(&seen->received, 1);
	if (seen->on_received)
		seen->on_received(conn, buf, seen);
	leave_handler(seen);
}

static void ended(struct bp_conn *conn, void *data)
{
	struct seen *seen = data;

	enter_handler(seen);
	CHECK_EQ(atomic_fetch_add(&seen->ended, 1), 0);
	if (seen->on_ended)
		seen->on_ended(conn, seen);
	leave_handler(seen);
}

static void closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	struct seen *seen = data;

	/* no enter_handler(): one that never opened is closed as well */
	CHECK_EQ(atomic_fetch_add(&seen->in_handler, 1), 0);
	CHECK_NE(why, BP_REASON_NONE);
	CHECK_LE(err, 0);
	CHECK_EQ(conn_stats_of(conn).reason, why);
	CHECK_EQ(atomic_load(&seen->in_edge), 0);
	CHECK_EQ(atomic_load(&seen->throttled), atomic_load(&seen->unthrottled));
	atomic_store(&seen->reason, why);
	atomic_store(&seen->err, err);
	if (seen->on_closed)
		seen->on_closed(conn, seen);
	leave_handler(seen);
	/* last: the test may go on, and its struct seen away, once it sees this */
	CHECK_EQ(atomic_fetch_add(&seen->closed, 1), 0);
}

static void throttled(struct bp_conn *conn, void *data)
{
	struct seen *seen = data;

	CHECK_EQ(atomic_fetch_add(&seen->in_edge, 1), 0);
	CHECK_EQ(atomic_load(&seen->closed), 0);
	CHECK_EQ(atomic_fetch_add(&seen->throttled, 1),
	    atomic_load(&seen->unthrottled));
	if (seen->on_throttled)
		seen->on_throttled(conn, seen);
	atomic_fetch_sub(&seen->in_edge, 1);
}

static void unthrottled(struct bp_conn *conn, void *data)
{
	struct seen *seen = data;

	CHECK_EQ(atomic_fetch_add(&seen->in_edge, 1), 0);
	CHECK_EQ(atomic_load(&seen->closed), 0);
	CHECK_EQ(atomic_fetch_add(&seen->unthrottled, 1) + 1,
	    atomic_load(&seen->throttled));
	if (seen->on_unthrottled)
		seen->on_unthrottled(conn, seen);
	atomic_fetch_sub(&seen->in_edge, 1);
}

const struct bp_conn_ops seen_ops = {
	.opened = opened, .received = received, .ended = ended, .closed = closed,
	.throttled = throttled, .unthrottled = unthrottled,
};

const struct bp_conn_ops seen_edges = {
	.throttled = throttled, .unthrottled = unthrottled,
};
