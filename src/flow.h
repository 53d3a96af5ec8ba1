/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.h - a flow: one connection's way in, as the core of a queueing discipline has
 * it. See qdisc.h.
 */
#ifndef BP_FLOW_H
#define BP_FLOW_H

#include "qdisc.h"

/* What stands in a flow's queue; the event around it is its owner's. */
struct bp__entry {
	struct bp__entry *next;
	struct bp__flow *flow;
	struct bp__peer *peer;	/* charged; NULL: nothing is */
	size_t cost;		/* charged; given back by its owner, with the turn or later */
	size_t payload_cost;	/* charged; given back by whoever releases the payload */
	size_t len;
	unsigned band;
	uint64_t seq;		/* order of arrival in the endpoint */
	uint64_t arrived_ns;
	bool last;		/* CLOSED: passes a mute, and is not purged */
	bool in_place;		/* takes one of the discipline's places */
};

/* How far a flow's end has come; it only grows. */
enum bp__flow_stage {
	BP__FLOW_OPEN,
	BP__FLOW_STOPPING,	/* no further read; what was read is delivered */
	BP__FLOW_BROKEN,	/* the same; throttling holds no more; muted, it is cut */
	BP__FLOW_CUT,		/* nothing is delivered but the last entry */
};

struct bp__request {		/* a reader, or a try, at the gate */
	struct bp_item item;
	struct bp__flow *flow;
	struct bp__peer *peer;	/* whom it was charged to, in the end */
	size_t block;		/* the large block that will be taken for it, or 0 */
	bool waiting, granted;
};

/* A frame its reader has in hand, and waits to be allowed to hand to the handler. */
struct bp__wish {
	size_t cost, len;
	unsigned band;
	uint64_t arrived_ns;
	bool last;		/* CLOSED: as in an entry */
};

struct bp__flow {
	/* set by bp__flow_open(), then constant */
	struct bp__qdisc *q;
	const atomic_bool *throttled;	/* the connection's level, read under Q (R12) */
	bool couple;

	/* lock-free */
	atomic_size_t refs;		/* of the connection around it */
	atomic_uint mutes;		/* written under [Q] */
	atomic_int stage;		/* enum bp__flow_stage, written under [Q] */
	atomic_size_t queued;		/* entries, written under [Q] */
	atomic_uint band;		/* of its next frame, if nobody classifies */
	atomic_size_t out;		/* entries that are out, or 1 while its handler runs;
					 * grows under [Q] */
	_Atomic uint64_t taker;		/* bp__this_thread() of who has taken those */
	_Atomic uint64_t beat_ns;	/* when its taker took them, or last answered one */
	struct bp__rough waits;		/* in queue; written by who has its turn */

	/* [Q] under q->lock */
	struct bp__peer *peer;		/* whom its next frame is charged to */
	size_t held;			/* charged for it, to whomever */
	struct bp__request asking;	/* its reader's, one at a time */
	struct bp_item oldest;		/* its oldest entry, as the discipline sees it */
	struct bp__peer *oldest_peer;	/* referenced while that is shown */
	bool shown;			/* oldest is with the discipline */
	struct bp__wish wish;		/* while it is wanting, with handlers */
	size_t owed;			/* cost of what its last turn handled beyond its due */
	struct bp__key host;		/* where it comes from, if that is counted */
	struct bp__list host_link;
	bool watched;			/* tell when it is quiet */
	bool in_place;			/* counts in q->places */
	bool finished;			/* its last entry was freed */
	bool parked;			/* its reader waits: muted or throttled */
	bool wanting;			/* its reader has a frame, and waits for its turn */
	size_t crowded;			/* its reader waits for that much of its guarantee */
	struct bp__entry *first, *last;
	struct bp__cond reader_cond;	/* 1 waiter: its reader */
	struct bp__list turn_link; /* in q->turns while an entry is out */
	struct bp__list filled_link;	/* in q->filled while something is queued */
	size_t reader_held;		/* charged for what its reader has not delivered */
	uint64_t asking_since_ns;
	uint64_t gate_ns, parked_ns;	/* waited so far */
	uint64_t muted_ns, muted_since_ns;
	uint64_t received_bytes, received_frames;
	size_t queued_bytes;
};

static inline enum bp__flow_stage bp__flow_stage(const struct bp__flow *flow)
{
	return atomic_load_explicit(&flow->stage, memory_order_acquire);
}

/* Nothing but the last entry will be delivered. */
static inline bool bp__flow_cut_off(const struct bp__flow *flow)
{
	return bp__flow_stage(flow) == BP__FLOW_CUT;
}

/* Is what is next of it CLOSED, which no mute holds up? */
static inline bool bp__flow_next_is_last(const struct bp__flow *flow)
{
	return flow->first ? flow->first->last : flow->wanting && flow->wish.last;
}

/* ---- one per connection: flow.c ----------------------------------------- */

/*
 * Take a place; config says whether it is coupled, has handlers, its weight and band.
 * Returns -EMFILE, -ENOMEM, -EPIPE (closed). One reference is yours.
 */
int bp__flow_open(struct bp__flow *flow, struct bp__qdisc *q,
    const struct bp_conn_config *config, const atomic_bool *throttled);
/* No event of it was or will be delivered: its place goes back. */
void bp__flow_abandon(struct bp__flow *flow);
void bp__flow_ref(struct bp__flow *flow);
void bp__flow_unref(struct bp__flow *flow);
void bp__flow_fini(struct bp__flow *flow);

/*
 * Reader: wait while muted, or throttled and coupled. Returns -EPIPE when nothing
 * is to be read any more.
 */
int bp__flow_may_read(struct bp__flow *flow);
/* Is anything to be read still? Without a lock. */
bool bp__flow_open_still(const struct bp__flow *flow);

/*
 * Reader: charge cost, waiting at the gate if need be; block of it (or 0) is a large
 * block that will be taken. Returns -EPIPE when the flow ended while it waited,
 * -EMSGSIZE for what an empty pool could not admit.
 */
int bp__flow_reserve(struct bp__flow *flow, size_t cost, unsigned band, size_t block);

/* Whom that was charged to, until its reader reserves again. */
static inline struct bp__peer *bp__flow_charged(const struct bp__flow *flow)
{
	return flow->asking.peer;
}

/*
 * Charge cost if that needs no waiting. chunk: it is one, which the reader may hold while
 * it waits; what the readers of a peer so hold stays within its guarantee, so that once
 * its events are handled nothing of the pool is held by who waits (R8). Returns whom it
 * was charged to, or NULL.
 */
struct bp__peer *bp__flow_try_reserve(struct bp__flow *flow, size_t cost,
    size_t block, bool chunk);

#define BP__EVENT_COST ((size_t)224)	/* an event, as allocated */

enum bp__holder { BP__HELD_DELIVERED, BP__HELD_FRAME, BP__HELD_CHUNK };

/*
 * Give a charge back: a payload's, an undelivered frame's, or a chunk's; and with it
 * the large block it was for, if there is one.
 */
void bp__flow_release(struct bp__flow *flow, struct bp__peer *peer, size_t cost,
    enum bp__holder holder, void *block, size_t size);

/*
 * Reader: wait until cost fits the guarantee, as long as events of its own are what
 * fills that: until they are handled nothing more could be delivered anyway.
 */
void bp__flow_await_guarantee(struct bp__flow *flow, size_t cost);

/* Does it hold what others wait for now: memory of the shared pool? */
bool bp__flow_presses(struct bp__flow *flow);

/*
 * Reader: queue a chain of entries, whose costs are charged; each waits for its
 * place where the discipline has places. What no longer can be delivered is purged.
 */
void bp__flow_put(struct bp__flow *flow, struct bp__entry *chain);

/*
 * The entry was handled: its turn goes back, and cost, charged to its peer, and a large
 * block, if that is where it lay. What is next waits until all that are out are handled.
 */
void bp__flow_turn_back(struct bp__entry *entry, size_t cost, void *block, size_t size);
/* Nothing of it is out any more, nor will be given out soon. Without a lock. */
bool bp__flow_turn_over(const struct bp__flow *flow);

/* What this thread has the turn for has waited so long; n events at once. */
void bp__flow_note_wait(struct bp__flow *flow, uint64_t ns, uint64_t n);

void bp__flow_mute(struct bp__flow *flow);
void bp__flow_unmute(struct bp__flow *flow);
/* R12: the level was cleared; what is parked goes on. */
void bp__flow_unblock(struct bp__flow *flow);
void bp__flow_end(struct bp__flow *flow, enum bp__flow_stage stage);
/* Tell the hook, now or later, when the flow is quiet. */
void bp__flow_watch(struct bp__flow *flow);

/* ---- with handlers: turn.c ---------------------------------------------- */

/*
 * Reader: wait for the turn, in the discipline's order where handlers_max limits how
 * many run; payload_cost is that of the frame it is for, no longer the reader's.
 * Returns -EPIPE: deliver no more.
 */
int bp__flow_turn(struct bp__flow *flow, const struct bp__wish *wish,
    size_t payload_cost);
/* What was handled; last: nothing follows. */
void bp__flow_turn_end(struct bp__flow *flow, uint64_t bytes, uint64_t frames,
    bool last);
/* Within the turn, without a lock: may the next frame be delivered? */
bool bp__flow_may_go_on(const struct bp__flow *flow);
/* The same: does another wait for a slot to run in? */
bool bp__flow_is_waited_for(const struct bp__flow *flow);

/* ---- whom it is accounted to: peer.c ------------------------------------ */

/*
 * Where it comes from, or goes: it belongs to that peer if addresses are peers; and if
 * it is limited it counts there. Returns -ENOMEM, -EUSERS: too many do.
 */
int bp__flow_locate(struct bp__flow *flow, const struct bp__key *host, bool limited);
/* Whom it is, for its next frames. Returns -ENOMEM. */
int bp__flow_set_peer(struct bp__flow *flow, uint64_t key, unsigned weight,
    unsigned band);

#endif /* BP_FLOW_H */
