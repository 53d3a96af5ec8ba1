/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpthread_stats.h - all an observer needs: what an endpoint and its connections have
 * done and are doing, how long things took, what went before, and who has left.
 *
 *	bp_endpoint_detail()	now: limits, states, counters, histograms
 *	bp_conn_detail()	one connection; bp_endpoint_each() gives all
 *	bp_endpoint_closed()	the last that have ended, and why
 *	bp_history_*()		every second and every ten seconds, ten minutes and 100
 *
 * Everything but the history is counted always, where it happens. Asking takes each
 * lock for a moment, one after the other: it waits for nobody who waits, so it answers
 * also when the program is stalled. Counters are since bp_endpoint_new() and only grow.
 * libbpthread-monitor shows all this: bpthread_monitor.h.
 */
#ifndef BPTHREAD_STATS_H
#define BPTHREAD_STATS_H

#include <bpthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- how long, how large ------------------------------------------------- */

#define BP_HISTOGRAM_BUCKETS 65

/* Times in nanoseconds, or sizes in bytes. sum and the percentiles are derived from
 * finer buckets, and right within a sixteenth; the sum of sizes is exact. */
struct bp_histogram {
	uint64_t count, sum, max;
	uint64_t p50, p99;
	uint64_t buckets[BP_HISTOGRAM_BUCKETS];	/* [i]: below 2^i, from 2^(i - 1) on */
};

/* ---- an endpoint --------------------------------------------------------- */

enum bp_conn_state {		/* the first that holds */
	BP_STATE_CLOSING,	/* by us, or broken: what was read may come still, CLOSED will */
	BP_STATE_THROTTLED,	/* what it was sent, it does not read */
	BP_STATE_MUTED,
	BP_STATE_WAITING,	/* its reader, at the gate, for room or its turn */
	BP_STATE_READING,	/* a frame of it has begun, is queued or being handled */
	BP_STATE_IDLE,
};
#define BP_STATES (BP_STATE_IDLE + 1)

enum bp_refusal {		/* why what was accepted was closed at once */
	BP_REFUSED_ADDRESS,	/* conns_per_addr */
	BP_REFUSED_SETUP,	/* your setup said so */
	BP_REFUSED_MEMORY,	/* or no thread */
};
#define BP_REFUSALS (BP_REFUSED_MEMORY + 1)

struct bp_endpoint_detail {
	struct bp_endpoint_stats stats;		/* as bp_endpoint_stats() gives them */
	const char *qdisc;			/* its name; as long as the endpoint lives */
	uint64_t since_ns;			/* bp_endpoint_new(), CLOCK_MONOTONIC */
	size_t queue_events_max, queue_bytes_max; /* or BP_UNLIMITED */
	bool closing;				/* bp_endpoint_close() was called */
	bool paused;				/* a listener accepts nobody, for want of room */
	bool stalled;				/* see stalls of bp_endpoint_stats */
	size_t states[BP_STATES];		/* connections in each; sums up to those open */
	uint64_t accepted, connected;		/* connections: with bp_adopt(); bp_connect() */
	uint64_t refusals[BP_REFUSALS];
	uint64_t paused_ns;			/* that listeners did not accept, added up */
	uint64_t dequeued_events;		/* taken by bp_receive() or handled */
	uint64_t busy_ns;			/* that events were with you: from bp_receive() to
						 * bp_event_free(), or in a handler; of all
						 * connections, added up */
	uint64_t throttles, unthrottles;	/* edges */
	uint64_t gate_waits;			/* begun */
	uint64_t gate_ns, throttled_ns, muted_ns; /* of all connections, added up */
	struct bp_histogram wait;		/* ns from arrival to bp_receive(), there of every
						 * kind of event, or to the handler of a frame */
	struct bp_histogram gate;		/* ns of each wait at the gate */
	struct bp_histogram send;		/* ns of each wait while throttled, in a send or
						 * bp_conn_wait_unthrottled() */
	struct bp_histogram frame;		/* bytes of each frame received */
	uint64_t reserved[8];
};

BP_API void bp_endpoint_detail(struct bp_endpoint *ep, struct bp_endpoint_detail *ret);

/* ---- a connection -------------------------------------------------------- */

struct bp_conn_detail {
	struct bp_conn_stats stats;		/* as bp_conn_stats() gives them */
	enum bp_conn_state state;
	uint64_t opened_ns;			/* CLOCK_MONOTONIC */
	size_t queued_events, queued_bytes;	/* not yet taken */
	uint64_t wait_p50_ns, wait_p99_ns;	/* in queue; right within a quarter, to 4 min */
	uint64_t reserved[8];
};

BP_API void bp_conn_detail(struct bp_conn *conn, struct bp_conn_detail *ret);

#define BP_PEER_MAX 128				/* with "unix:", a path, and the final 0 */

struct bp_closed {
	uint64_t id;				/* of the connection */
	char peer[BP_PEER_MAX];
	enum bp_reason reason;
	int err;				/* a negative errno, or 0 */
	uint64_t opened_ns, closed_ns;		/* CLOCK_MONOTONIC */
	uint64_t received_bytes, sent_bytes;
	uint64_t gate_ns, muted_ns, throttled_ns;
	uint64_t rwnd_limited_us, sndbuf_limited_us;
	uint64_t reserved[4];
};

/* The last n that have ended, the latest first; up to 128 are kept. Returns how many. */
BP_API size_t bp_endpoint_closed(struct bp_endpoint *ep, struct bp_closed *ret, size_t n);

/* ---- history ------------------------------------------------------------- */

enum bp_resolution { BP_EVERY_SECOND, BP_EVERY_10_SECONDS };
#define BP_HISTORY_MAX 600			/* samples kept of each */

/*
 * One moment. What is a counter grows; the rest is of that moment, but of ten seconds
 * the largest value, and wait percentiles are of what was taken since the last sample.
 */
struct bp_sample {
	uint64_t at_ns;				/* CLOCK_MONOTONIC */
	uint64_t resident_bytes, cpu_ns;	/* of the process; cpu_ns a counter */
	uint64_t held_bytes, queued_bytes, queued_events, out_bytes;
	uint64_t states[BP_STATES];
	uint64_t wait_p50_ns, wait_p99_ns, wait_max_ns;
	uint64_t received_bytes, received_events, sent_bytes;		/* counters */
	uint64_t accepted, connected, closed, refused;			/* counters */
	uint64_t busy_ns, gate_ns, throttled_ns, muted_ns, paused_ns;	/* counters */
	uint64_t throttles, gate_waits, stalls;				/* counters */
};

struct bp_history;

/*
 * Begin to keep the history of an endpoint, which must outlive it, with a thread and a
 * descriptor of its own. The thread wakes once a second and allocates nothing. Returns
 * -ENOMEM, -EMFILE, -EAGAIN (no thread).
 */
BP_API int bp_history_new(struct bp_history **ret_history, struct bp_endpoint *ep);
/* Joins the thread; blocks for a moment. */
BP_API void bp_history_free(struct bp_history *history);

/* Copy the last n samples that are later than after_ns, oldest first; how many. */
BP_API size_t bp_history_read(struct bp_history *history, enum bp_resolution resolution,
    uint64_t after_ns, struct bp_sample *ret, size_t n);

BP_API const char *bp_conn_state_name(enum bp_conn_state state);	/* "throttled" */
BP_API const char *bp_refusal_name(enum bp_refusal why);		/* "address" */

#ifdef __cplusplus
}
#endif
#endif /* BPTHREAD_STATS_H */
