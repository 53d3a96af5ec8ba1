/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc.h - the blocking core around a discipline: the lock Q, the flows that
 * feed it, the readers that wait at its gate, the consumers that wait for an
 * event, turns, mutes, what is charged, and the large blocks that hold it.
 *
 * A flow is what is kept in order, one per connection. Of its events one is out at
 * a time, with the handler or a consumer, or several that this one took at once:
 * that is its turn. The core knows flows and peers, never connections or events;
 * it calls upward through hooks, without a lock.
 *
 *	reader:   may_read -> reserve -> (recv) -> put ............ or: turn, handler, turn_end
 *	consumer: take -> (handle) -> turn_back
 *	anyone:   mute, unmute, unblock, end, release
 *
 * Files: flow.c is the reader's side and all that changes one flow, turn.c its turns
 * where handlers are called, gate.c what is charged to it, order.c its queue, peer.c
 * whom that is accounted to, consumers.c those who receive, qdisc.c what there is once
 * per endpoint. flow.h is what a connection has of it, locked.h what these files do
 * for each other under Q.
 */
#ifndef BP_QDISC_H
#define BP_QDISC_H

#include <stdatomic.h>

#include <bpthread_ops.h>

#include "histogram.h"
#include "list.h"
#include "peer.h"
#include "pool.h"
#include "sync.h"

struct bp__entry;
struct bp__flow;
struct bp__qdisc;

struct bp__qdisc_hooks {
	/* Stopping or watched, and nothing of it is queued, out or kept any more. */
	void (*quiet)(struct bp__flow *flow);
	/* Free an entry that was purged, and give back what is charged for it. */
	void (*purged)(struct bp__entry *entry);
	/* A place for a connection has come free. */
	void (*room)(struct bp__qdisc *q);
	void (*flow_gone)(struct bp__flow *flow);	/* its last reference went */
	void (*qdisc_gone)(struct bp__qdisc *q);
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
	bool runs;			/* its order allows them: consumers.c */

	/* lock-free */
	atomic_size_t refs;		/* of the endpoint around it */
	struct bp__histogram waits;	/* ns in queue */
	struct bp__histogram gate_waits; /* ns of each wait of a reader for room */
	struct bp__histogram send_waits; /* ns of each wait of a send */
	struct bp__histogram frames;	/* bytes of each frame received */
	/* by all connections, ever */
	_Atomic uint64_t sent_bytes, throttles, unthrottles, throttled_ns;
	atomic_size_t shown;		/* flows with the discipline; written under [Q] */
	atomic_size_t waiting;		/* readers at the gate; written under [Q] */
	atomic_size_t places;		/* taken, by connections; written under [Q] */

	/* [Q] */
	struct bp__mutex lock;
	struct bp__list consumers;	/* idle, the latest last */
	struct bp__list chosen;		/* to be roused after unlocking */
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
	size_t live;			/* flows whose last entry was not yet taken */
	bool closed, stopped;
	bool abandoned;			/* nobody receives any more */
	bool room;			/* tell the hook after unlocking */
	uint64_t seq;			/* of entries */
	uint64_t asked;			/* requests so far: their seq */
	size_t held, queued_events, queued_bytes;
	size_t reading;			/* held for frames that are being read */
	size_t promised;		/* held for blocks that were not yet taken */
	struct bp__lasting gating, muting; /* flows that wait for room; that are muted */
	struct bp__lasting busy;	/* turns that are out */
	uint64_t received_bytes, received_events, dequeued_events;
	uint64_t futile_wakeups, stalls;
	uint64_t moves, moves_seen;	/* grants, puts, turns; to tell a stall */
	size_t taken_seen;		/* likewise, events that were out */
	uint64_t stalled_since_ns;
	bool stalled;
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

	if (!bp__qdisc_budgeted(config->qdisc))
		return BP_UNLIMITED;
	pool = config->budget == BP_UNLIMITED ? BP_UNLIMITED
	    : config->budget - config->conns_max * config->guarantee;
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

/* What it knows of an endpoint's details; of the histograms, that of time in queue. */
void bp__qdisc_detail(struct bp__qdisc *q, struct bp_endpoint_detail *ret);

/* One of those that have a name in bp_qdisc_parse(): qdisc_parse.c. */
bool bp__qdisc_is_ours(const struct bp_qdisc_ops *qdisc);

#endif /* BP_QDISC_H */
