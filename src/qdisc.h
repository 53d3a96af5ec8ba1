/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc.h - the blocking core around a discipline: the lock Q, the flows that
 * feed it, the readers that wait at its gate, the consumers that wait for an
 * event, turns, mutes, what is charged, and the large blocks that hold it.
 *
 * A flow is what is kept in order, one per connection. At most one of its events
 * is out at a time, with a consumer or with the handler: that is its turn. The
 * core knows flows and peers, never connections or events; it calls upward
 * through hooks, without a lock.
 *
 *	reader:   may_read -> reserve -> (recv) -> put ............ or: turn, handler, turn_end
 *	consumer: take -> (handle) -> turn_back
 *	anyone:   mute, unmute, unblock, end, release
 *
 * Files: flow.c is the reader's side and all that changes one flow, turn.c its turns
 * where handlers are called, gate.c what is charged to it, order.c its queue, peer.c
 * whom that is accounted to, consumers.c those who receive, qdisc.c what there is once
 * per endpoint.
 */
#ifndef BP_QDISC_H
#define BP_QDISC_H

#include <stdatomic.h>

#include <bpthread_ops.h>

#include "list.h"
#include "peer.h"
#include "pool.h"
#include "sync.h"
#include "waits.h"

struct bp__flow;
struct bp__qdisc;

/* What stands in a flow's queue; the event around it is its owner's. */
struct bp__entry {
	struct bp__entry *next;
	struct bp__flow *flow;
	struct bp__peer *peer;	/* charged; NULL: nothing is */
	size_t cost;		/* charged; given back with the turn */
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

struct bp__qdisc_hooks {
	/* Stopping or watched, and nothing of it is queued, out or kept any more. */
	void (*quiet)(struct bp__flow *flow);
	/* Free an entry that was purged; its cost went back, its payload's did not. */
	void (*purged)(struct bp__entry *entry);
	/* A place for a connection has come free. */
	void (*room)(struct bp__qdisc *q);
	void (*flow_gone)(struct bp__flow *flow);	/* its last reference went */
	void (*qdisc_gone)(struct bp__qdisc *q);
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

	/* [Q] under q->lock */
	struct bp__peer *peer;		/* whom its next frame is charged to */
	size_t held;			/* charged for it, to whomever */
	struct bp__request asking;	/* its reader's, one at a time */
	struct bp_item oldest;		/* its oldest entry, as the discipline sees it */
	struct bp__peer *oldest_peer;	/* referenced while that is shown */
	bool shown;			/* oldest is with the discipline */
	size_t out;			/* entries that are out, or 1 while its handler runs */
	struct bp__wish wish;		/* while it is wanting, with handlers */
	size_t owed;			/* cost of what its last turn handled beyond its due */
	struct bp__key host;		/* where it comes from, if that is counted */
	struct bp__list host_link;
	bool watched;			/* tell when it is quiet */
	bool in_place;			/* counts in q->places */
	bool finished;			/* its last entry was freed */
	bool parked;			/* its reader waits: muted or throttled */
	bool wanting;			/* its reader has a frame, and waits for its turn */
	struct bp__entry *first, *last;
	struct bp__cond reader_cond;	/* 1 waiter: its reader */
	struct bp__list turn_link; /* in q->turns while an entry is out */
	struct bp__list filled_link;	/* in q->filled while something is queued */
	pthread_t turn_taker;
	size_t reader_held;		/* charged for what its reader has not delivered */
	uint64_t asking_since_ns;
	uint64_t gate_ns, parked_ns;	/* waited so far */
	uint64_t muted_ns, muted_since_ns;
	uint64_t received_bytes, received_frames;
};

struct bp__lever {
	const struct bp_qdisc_ops *ops;
	void *state;			/* itself under [Q] */
};

struct bp__qdisc {
	/* set by bp__qdisc_init(), then constant */
	const struct bp__qdisc_hooks *hooks;
	struct bp__lever gate, order;	/* most often the same discipline's */
	size_t budget;			/* BP_UNLIMITED when there is none */
	size_t guarantee;
	size_t cost_max;		/* what an empty pool can admit */
	size_t places_max;		/* connections */
	size_t slots_max;		/* handlers at once; 0: no limit */
	size_t conns_per_addr;		/* 0: no limit */
	unsigned bands;
	enum bp_peer_by peer_by;

	/* lock-free */
	atomic_size_t refs;		/* of the endpoint around it */
	struct bp__waits waits;		/* time in queue */
	_Atomic uint64_t sent_bytes;	/* by all connections, ever */
	atomic_size_t shown;		/* flows with the discipline; written under [Q] */
	atomic_size_t waiting;		/* readers at the gate; written under [Q] */

	/* [Q] */
	struct bp__mutex lock;
	struct bp__list consumers;	/* idle, the latest first */
	struct bp__list turns;		/* flows with an entry out */
	struct bp__list filled;		/* flows with something queued */
	struct bp__pool pool;
	struct bp__list victims;	/* blocks to unmap after unlocking */
	struct bp__entry *purged;	/* entries to free after unlocking */
	struct bp__list gone;		/* peers to free after unlocking */
	struct bp__table peers;		/* by key; none when each connection is its own */
	struct bp__table hosts;		/* flows by where they come from, if it is limited */
	size_t guarantees;		/* that no peer has */
	size_t slots_used;
	size_t places;			/* taken */
	size_t live;			/* flows whose last entry was not yet taken */
	bool closed, stopped;
	bool abandoned;			/* nobody receives any more */
	bool room;			/* tell the hook after unlocking */
	uint64_t seq;			/* of entries */
	uint64_t asked;			/* requests so far: their seq */
	size_t held, queued_events, queued_bytes;
	size_t reading;			/* held for frames that are being read */
	size_t promised;		/* held for blocks that were not yet taken */
	size_t muted;
	uint64_t received_bytes, received_events;
	uint64_t futile_wakeups, stalls;
	uint64_t moves, moves_seen;	/* grants, puts, turns; to tell a stall */
	uint64_t stalled_since_ns;
};

/* ---- one per endpoint: qdisc.c ------------------------------------------ */

/* Does its gate keep what is held within config->budget? */
static inline bool bp__qdisc_budgeted(const struct bp_qdisc_ops *ops)
{
	return !ops->after_read && ops != &bp_qdisc_unbounded;
}

/*
 * The largest request that is ever granted: it has to fit an empty pool, and what one
 * peer may hold beside what may fill its guarantee (I4).
 */
static inline size_t bp__qdisc_cost_max(const struct bp_endpoint_config *config)
{
	size_t pool, peer_room;

	if (!bp__qdisc_budgeted(config->qdisc) || config->budget == BP_UNLIMITED)
		return BP_UNLIMITED;
	pool = config->budget - config->conns_max * config->guarantee;
	if (config->qdisc != &bp_qdisc_fair)
		return pool;
	peer_room = config->peer_max > config->guarantee
	    ? config->peer_max - config->guarantee : 0;
	return peer_room < pool ? peer_room : pool;
}

/* config with every default filled in. Returns -EINVAL, -ENOMEM, or what the
 * discipline's init does. */
int bp__qdisc_init(struct bp__qdisc *q, const struct bp_endpoint_config *config,
    const struct bp__qdisc_hooks *hooks);
void bp__qdisc_fini(struct bp__qdisc *q);
void bp__qdisc_ref(struct bp__qdisc *q);
void bp__qdisc_unref(struct bp__qdisc *q);

/*
 * Take the next entries, at most n, as a chain; the caller has their turns. Returns how
 * many, -EAGAIN, -ETIMEDOUT, -EPIPE.
 */
int bp__qdisc_take(struct bp__qdisc *q, struct bp__entry **ret_chain, int n,
    uint64_t deadline_ns);

/* No flow comes any more: consumers end with the last one. */
void bp__qdisc_close(struct bp__qdisc *q);
/* Every thread of ours is gone: what is ready is all there will be. */
void bp__qdisc_stop(struct bp__qdisc *q);
/* Nobody receives any more: purge all that is queued, the last entries too. */
void bp__qdisc_drain(struct bp__qdisc *q);

/* Is a place free? */
bool bp__qdisc_has_place(struct bp__qdisc *q);

/*
 * The large block that was reserved; size as bp__pool_size() gives it. NULL: no
 * memory. unclaim: it will not be taken after all.
 */
void *bp__qdisc_block(struct bp__qdisc *q, size_t size);
void bp__qdisc_unclaim(struct bp__qdisc *q, size_t size);
void bp__qdisc_block_back(struct bp__qdisc *q, void *block, size_t size);

/*
 * The reaper's tick: blocks idle for a second go back to the system; returns true
 * when it has found a stall: readers wait, nothing that is ready is queued, and
 * nothing has moved for five seconds. In use: somebody has a place still.
 */
bool bp__qdisc_tick(struct bp__qdisc *q, uint64_t now_ns, bool *ret_in_use);

void bp__qdisc_stats(struct bp__qdisc *q, struct bp_endpoint_stats *ret);

/* Shared by qdisc.c, flow.c, gate.c and order.c. */
void bp__qdisc_pump_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
void bp__qdisc_shrink_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
void bp__qdisc_dispatch_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
/* Unlock, then do what was decided under the lock; flow may be NULL. */
void bp__qdisc_leave(struct bp__qdisc *q, struct bp__flow *flow)
    BP__ATTRIBUTE(release_capability(q->lock));
bool bp__flow_passed_over_locked(const struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Take the first entry off the queue. */
struct bp__entry *bp__flow_shift_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
void bp__flow_append_locked(struct bp__flow *flow, struct bp__entry *entry)
    BP__REQUIRES(flow->q->lock);
/* Let the discipline see the oldest entry, if it may be received now; or not. */
void bp__flow_show_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Also behind one that is out, to whom has that. */
void bp__flow_show_behind_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
void bp__flow_hide_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* The flow that is next, no longer shown; NULL: none is ready. */
struct bp__flow *bp__qdisc_next_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
/* The entry is in the queue no more: the place it took there is free. */
void bp__flow_leave_queue_locked(struct bp__entry *entry)
    BP__REQUIRES(entry->flow->q->lock);
/* Purge all but the last entry; or one that is in no queue. */
void bp__flow_purge_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
void bp__flow_purge_entry_locked(struct bp__flow *flow, struct bp__entry *entry)
    BP__REQUIRES(flow->q->lock);
void bp__flow_uncharge_locked(struct bp__flow *flow, struct bp__peer *peer,
    size_t cost)
    BP__REQUIRES(flow->q->lock);
/* Wait for the grant of flow->asking; false when the flow ends first. */
bool bp__flow_pass_gate_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Wait for what lets its reader go on: one condition, whatever it is. */
void bp__flow_park_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* The reader delivers what it held; and gives its place back, if all is over. */
void bp__flow_hand_over_locked(struct bp__flow *flow, size_t cost)
    BP__REQUIRES(flow->q->lock);
void bp__flow_leave_place_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);

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
 * Charge cost if that needs no waiting. within: of the guarantee alone. Returns whom it
 * was charged to, or NULL.
 */
struct bp__peer *bp__flow_try_reserve(struct bp__flow *flow, size_t cost,
    size_t block, bool within);

#define BP__EVENT_COST ((size_t)288)	/* an event, as allocated */

enum bp__holder { BP__HELD_DELIVERED, BP__HELD_FRAME, BP__HELD_CHUNK };

/*
 * Give a charge back: a payload's, an undelivered frame's, or a chunk's; and with it
 * the large block it was for, if there is one.
 */
void bp__flow_release(struct bp__flow *flow, struct bp__peer *peer, size_t cost,
    enum bp__holder holder, void *block, size_t size);

/* Does it hold what others wait for: memory of the shared pool? */
bool bp__flow_presses(struct bp__flow *flow);

/*
 * Reader: queue a chain of entries, whose costs are charged; each waits for its
 * place where the discipline has places. What no longer can be delivered is purged.
 */
void bp__flow_put(struct bp__flow *flow, struct bp__entry *chain);

/* The entry was handled: its cost and its turn go back. */
void bp__flow_turn_back(struct bp__entry *entry);

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
/* Give free slots to those who are next. */
void bp__qdisc_fill_slots_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);

/* ---- whom it is accounted to: peer.c ------------------------------------ */

/*
 * Where it comes from: it counts there, and belongs to that peer if addresses are.
 * Returns -ENOMEM, and if it is limited -EUSERS: too many do.
 */
int bp__flow_locate(struct bp__flow *flow, const struct bp__key *host, bool limited);
/* Whom it is, for its next frames. Returns -ENOMEM. */
int bp__flow_set_peer(struct bp__flow *flow, uint64_t key, unsigned weight,
    unsigned band);

/* A peer nobody has yet, or NULL: no memory. No lock is needed. */
struct bp__peer *bp__peer_new(const struct bp__qdisc *q, const struct bp__key *key,
    unsigned weight);
void bp__peer_add_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
struct bp__peer *bp__peer_find_locked(struct bp__qdisc *q, const struct bp__key *key)
    BP__REQUIRES(q->lock);
void bp__peer_ref_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
void bp__peer_unref_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
/* After something was given back: was that the last of it? */
void bp__peer_check_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
void bp__peers_free(struct bp__list *gone);

#endif /* BP_QDISC_H */
