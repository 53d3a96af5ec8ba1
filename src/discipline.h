/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * discipline.h - what a queueing discipline is: plain data that answers two
 * questions, whose frame may be read next (the gate) and whose event is received
 * next (the order). It has no thread, no lock and no socket; qdisc.c does the
 * locking, the waiting and the waking, and calls every function under one lock,
 * so none may block, allocate without bound, or call back.
 *
 * It sees at most one item of a connection in each queue, the oldest: wire order
 * within a connection is kept by the core and cannot be broken here.
 *
 *	ask -> grant -> (frame is read) -> put -> take -> (released) -> release
 *	   \-> cancel                         \-> remove -> put ...
 *
 * release comes in parts: the overhead with the event, the payload with its last
 * reference. OPENED, ENDED and CLOSED cost nothing and are put without asking.
 */
#ifndef BP_DISCIPLINE_H
#define BP_DISCIPLINE_H

#include <bpthread.h>

struct bp_peer {
	void *state;		/* peer_size bytes, zeroed when the peer appears */
	size_t held;		/* charged now; the core updates it before a call */
};

struct bp_item {
	struct bp_peer *peer;
	size_t cost;		/* to be charged: payload as allocated, and overhead */
	size_t len;		/* of the payload; OPENED, ENDED and CLOSED have 0 */
	uint64_t seq;		/* order of arrival in the endpoint */
	uint64_t key;		/* the discipline's; what a heap sorts by */
	struct bp_item *link[3]; /* the heap's or list's it is in */
};

struct bp_qdisc_ops {
	const char *name;
	const char *help;	/* name and purpose in a line, for bp_qdisc_help() */
	size_t state_size;	/* bytes for q, zeroed before init */
	size_t peer_size;
	bool budgeted;		/* the gate keeps what is held within config->budget */
	bool after_read;	/* ask with the frame in hand; cost is 1, a place, and
				 * is released when the item is taken */

	/* Refuse parameters with -EINVAL. fini follows a successful init. */
	int (*init)(void *q, const struct bp_endpoint_config *config);
	void (*fini)(void *q);

	/* The gate. grant returns an item that may go on, now charged, or NULL: none
	 * may. It is called after each ask, release and cancel until it says NULL. */
	void (*ask)(void *q, struct bp_item *item);
	struct bp_item *(*grant)(void *q);
	void (*cancel)(void *q, struct bp_item *item);	/* asked, not granted: gone */
	void (*release)(void *q, struct bp_peer *peer, size_t cost);

	/* The order. take removes and returns the next item; NULL only when empty. */
	void (*put)(void *q, struct bp_item *item);
	struct bp_item *(*take)(void *q);
	void (*remove)(void *q, struct bp_item *item);	/* muted, throttled or gone */
};

#endif /* BP_DISCIPLINE_H */
