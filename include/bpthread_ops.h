/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpthread_ops.h - disciplines and framers of your own.
 *
 * A discipline is plain data: it answers two questions, whose frame may be read
 * next (the gate) and whose event is received next (the order). The library does
 * the locking, the waiting and the waking; it calls every function under one lock,
 * so none may block, allocate without bound, or call back into the library.
 *
 * It sees at most one event of a connection, the oldest: wire order within a connection
 * is kept by the library and cannot be broken here. At the gate a reader asks for one
 * frame at a time; a small one that is kept (bp_buf_ref) asks beside it, and cancels at
 * once if it is not granted. An event of a connection that is muted or throttled (and
 * coupled) is not shown, nor one behind what a consumer has in hand, but to that
 * consumer itself while it takes several at once.
 */
#ifndef BPTHREAD_OPS_H
#define BPTHREAD_OPS_H

#include <bpthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- disciplines -------------------------------------------------------- */

struct bp_peer {
	void *state;		/* peer_size bytes, zeroed when the peer appears */
	unsigned weight;
	size_t held;		/* charged now; the library updates it before a call */
	size_t guarantee;	/* of the budget, set aside for it; 0: all were taken */
};

struct bp_item {
	struct bp_peer *peer;
	size_t cost;		/* to be charged: payload, rounded, and overhead; a chunk */
	size_t len;		/* of the payload; OPENED, ENDED and CLOSED have 0 */
	unsigned band;
	uint64_t seq;		/* order of arrival in the endpoint */
	uint64_t arrived_ns;	/* of an event or turn: CLOCK_MONOTONIC, when it was read */
	uint64_t key;		/* yours; what a bp_heap sorts by */
	struct bp_item *link[3];	/* yours, or the heap's or list's it is in */
};

/*
 *	ask -> grant -> (frame is read) -> put -> take -> (released) -> release
 *	   \-> cancel                         \-> remove -> put ...
 *
 * release comes in parts: the overhead with the event, the payload with its last
 * reference. OPENED, ENDED and CLOSED cost nothing and are put without being asked for.
 *
 * Gate and order can each be left out, all of its functions NULL: the gate is then
 * that of bp_qdisc_bytes with config->budget, the order first come first served.
 */
struct bp_qdisc_ops {
	const char *name;
	size_t state_size;	/* bytes for q, zeroed before init */
	size_t peer_size;
	bool after_read;	/* ask with the frame in hand; cost is 1, a place, and is
				 * released when the item is taken */

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

	void (*peer_gone)(void *q, struct bp_peer *peer);	/* may be NULL */
	void (*reserved[4])(void);
};

/* For your own use: an intrusive heap, least key first, then least seq. */
struct bp_heap {
	struct bp_item *top;
};

BP_API void bp_heap_push(struct bp_heap *heap, struct bp_item *item);
BP_API struct bp_item *bp_heap_pop(struct bp_heap *heap);
BP_API void bp_heap_remove(struct bp_heap *heap, struct bp_item *item);

/*
 * Drive a discipline through rounds random steps and check the contract: nothing
 * lost, doubled or starved, memory bounded, cancel and remove at any moment. Returns
 * 0, or -1 with the seed and the broken rule on stderr.
 */
BP_API int bp_qdisc_check(const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *config, unsigned seed, unsigned rounds);

/* ---- framers ------------------------------------------------------------ */

struct bp_framer_ops {
	const char *name;

	/*
	 * Look at the first have bytes of the stream; *scanned, 0 for a new frame,
	 * keeps what you tell it between calls on the same frame. Returns
	 *   1	*ret_head bytes to skip, *ret_len of payload, *ret_tail to skip after;
	 *	all three 0 is malformed
	 *   0	more is needed to tell
	 *   -EPROTO	malformed: the connection ends
	 * On the reader thread, without a lock. A frame whose length cannot be told
	 * from its first head_max bytes costs frame_max; its end must be told from the
	 * 64 bytes after it at the latest.
	 */
	int (*cut)(const void *bytes, size_t have, size_t *scanned,
	    size_t *ret_head, size_t *ret_len, size_t *ret_tail);

	/* What to write before and after a payload of len bytes. Either may be NULL. */
	size_t (*head)(void *out, size_t len);
	size_t (*tail)(void *out, size_t len);

	size_t head_max, tail_max;	/* at most 64, 16 */
	size_t len_max;			/* longest payload that can be written */
	void (*reserved[2])(void);
};

#ifdef __cplusplus
}
#endif

#endif /* BPTHREAD_OPS_H */
