/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seen.h - handlers that count what they see, and check what is always true.
 *
 * One struct seen for one connection, given as its config.data. The checks: opened
 * comes first and once, handlers do not overlap, edges alternate and do not overlap,
 * all is paired at closed, closed comes once and nothing after it. A test adds what
 * it wants to do by the hooks.
 */
#ifndef TEST_SEEN_H
#define TEST_SEEN_H

#include <bpthread.h>
#include <stdatomic.h>

struct seen {
	atomic_int opened, received, ended, closed;
	atomic_int throttled, unthrottled;
	atomic_uint_fast64_t bytes;	/* of the frames received */
	atomic_int reason, err;		/* as closed told */
	atomic_int in_handler, in_edge;	/* now */

	/* of the test's own, run after the counting; none may be set later */
	void (*on_opened)(struct bp_conn *conn, struct seen *seen);
	void (*on_received)(struct bp_conn *conn, struct bp_buf *buf,
	    struct seen *seen);
	void (*on_ended)(struct bp_conn *conn, struct seen *seen);
	void (*on_closed)(struct bp_conn *conn, struct seen *seen);
	void (*on_throttled)(struct bp_conn *conn, struct seen *seen);
	void (*on_unthrottled)(struct bp_conn *conn, struct seen *seen);
	void *own;
};

extern const struct bp_conn_ops seen_ops;	/* handlers and edges */
extern const struct bp_conn_ops seen_edges;	/* edges only: use bp_receive() */

#endif /* TEST_SEEN_H */
