/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn.h - a connection: its state, its way out, and how it ends.
 *
 *	CONNECTING ---> OPEN ---> CLOSING ---> ENDED
 *	     \            \           \         ^
 *	      `------------`-----------`-> ABORTED
 *
 * State only grows (R6). CLOSING writes what was accepted, sends FIN, and discards
 * what the peer sends until its end, or linger_ms. The reader takes it to ENDED
 * when that is done, or broken; the descriptor goes once all have let go of it.
 *
 * What a locked section decides that has to be done without the lock (start the
 * writer, visit Q, free memory) it leaves in the chores; bp__conn_unlock() does
 * them, so R1 and R12 cannot be forgotten.
 *
 * Files: conn.c every transition, identify.c who it is with, conn_api.c what the
 * application calls, marks.c when a send waits, send.c the way in to the out queue,
 * writer.c the way out of it, notify.c throttled and unthrottled, reader.c the reader's
 * life, inbox.c and large.c frames out of bytes, deliver.c frames to handlers or the
 * queue, event.c what bp_receive() gives.
 */
#ifndef BP_CONN_H
#define BP_CONN_H

#include <bpthread_ops.h>

#include "event.h"
#include "flow.h"
#include "outq.h"
#include "sock.h"
#include "sync.h"

enum bp__conn_state {
	BP__CONNECTING,
	BP__OPEN,
	BP__CLOSING,
	BP__ABORTED,
	BP__ENDED,
};

/* What its reader is doing, for the reaper's deadlines. */
enum bp__whereabouts {
	BP__ELSEWHERE,		/* in a handler, or not started */
	BP__IN_RECV,		/* the peer's time runs */
	BP__WAITING,		/* ours: at the gate, muted, throttled, or after ENDED */
};

enum bp__writer_state { BP__NO_WRITER, BP__WRITER_STARTING, BP__WRITER_RUNS };

/* Whom a connection belongs to; called without a lock. */
struct bp__conn_owner {
	/* Its descriptor was closed. */
	void (*closed)(struct bp_conn *conn);
	/* Its reader is through with it, and will not touch it again. */
	void (*finished)(struct bp_conn *conn);
	/* It has begun to hold back answers. */
	void (*withholds)(struct bp_conn *conn);
};

/* How fast something goes, as the reaper measures it. */
struct bp__pace {
	uint64_t since_ns;		/* what it is measured of began then */
	uint64_t began_ns, ends_ns;	/* the window */
	uint64_t paused_ns;		/* since when it need not move; or 0 */
	uint64_t bytes;			/* that had gone when it began */
	bool grace;			/* this window is, and not measured */
	bool slow;			/* the last one was */
};

struct bp__chores {
	bool start_writer, unblock;
	enum bp__flow_stage stage;	/* OPEN: nothing to do */
	struct bp__outq dead;		/* pieces to free */
};

#define BP__QUICK_NS (50 * 1000)	/* a few system calls' worth: answers may wait */

struct bp_conn {
	/* set before anybody else sees it, then constant */
	uint64_t id;
	struct bp_conn_config config;	/* with every default filled in */
	struct bp_endpoint *endpoint;
	const struct bp__conn_owner *owner;
	const struct bp__sock_ops *sock;
	bool handlers;			/* they are called, instead of events */
	bool notifies;
	size_t stack_size;		/* of its writer */
	size_t write_max;		/* bytes in one blocking send; set before OPEN */

	struct bp__flow flow;		/* its way in; also counts the references */

	/* lock-free */
	_Atomic(void *) data;
	_Atomic(char *) names;		/* once: the peer's address, 0, ours, 0 */
	atomic_bool throttled;		/* written under [C] */
	atomic_int whereabouts;		/* enum bp__whereabouts */
	_Atomic uint64_t read_deadline_ns; /* of header or frame, or 0; see reader.c */
	_Atomic uint64_t frame_since_ns; /* when the frame it reads was granted, or 0 */
	_Atomic uint64_t bytes_in, bytes_out; /* read and written, for telling life */
	atomic_bool withheld;		/* answers wait for more; written under [C] */
	_Atomic(const char *) handler, notification; /* those that run, for the log */

	/* [C] under lock */
	struct bp__mutex lock;
	int fd;				/* -1 before connect, and once its reader closed it */
	enum bp__conn_state state;
	enum bp_reason reason;
	enum bp_reason first_end;	/* LOCAL or PEER: who ended first, in good order */
	int err;
	bool stopping;			/* the endpoint is closing */
	bool end_wanted;		/* FIN after what was accepted */
	bool end_sent;
	bool peer_ended;		/* its FIN was read */
	bool ended_handled;		/* ENDED was freed, or its handler returned */
	bool out_dead;			/* nothing can be written any more */
	bool token;			/* somebody writes to the socket */
	bool handlers_done;		/* the last one has returned */
	bool was_open, was_reset;
	bool close_wanted;		/* as soon as it is connected */
	struct bp__outq outq;
	size_t queued;			/* bytes accepted and not yet written */
	struct bp__list senders;	/* who waits to send, or for unthrottled */
	struct bp__list closed_waiters;
	struct bp__cond reader_cond;	/* 1 waiter: its reader */
	struct bp__cond writer_cond;	/* 1 waiter: its writer */
	enum bp__writer_state writer_state;
	pthread_t writer;
	bool told, telling;		/* R7: what was told, and that somebody tells */
	struct bp__chores chores;
	uint64_t opened_ns, linger_deadline_ns;
	uint64_t sent_frames, throttled_ns, throttled_since_ns, throttles;
	struct bp_conn_stats last_stats;	/* the kernel's part, before reset or close */

	/* its reader only */
	size_t expect;			/* raw: bytes of the next frame */
	bool expecting;			/* in opened or received: expect may be set */
	bool gathers;			/* the next frame is at hand, handlers are quick */

	/* the owner's */
	struct bp__list link, withhold_link;
	uint64_t seq;			/* order in its list */
	atomic_bool watched_withhold;	/* in its list */
	_Atomic uint64_t withholds;	/* how often so far */
	uint64_t withholds_seen;
	uint64_t tick_ns;		/* how often the reaper looks at it */
	uint64_t seen_in, seen_out, alive_ns;	/* the reaper's notes */
	uint64_t taken, taken_since_ns;
	bool was_pending, was_active;
	struct bp__pace pace_in, pace_out;
	struct bp__addr *addrs;		/* to be tried, or NULL */
	size_t n_addrs;
	struct bp__addr *from_addr;	/* to connect from, or NULL */

	struct bp__event opened, ended, closed;	/* R4: always have room */
};

/* ---- life: conn.c ------------------------------------------------------- */

/*
 * Returns -EMFILE (no place), -ENOMEM, -EPIPE (the endpoint is closed). config has
 * its defaults; one reference is yours.
 */
int bp__conn_new(struct bp_conn **ret_conn, struct bp__qdisc *q,
    struct bp_endpoint *endpoint, const struct bp__conn_owner *owner,
    const struct bp_conn_config *config, size_t stack_size);
void bp__conn_free(struct bp_conn *c);		/* its last reference went */
/* It never came to anything: give its place back, and the caller's reference. */
void bp__conn_abandon(struct bp_conn *c);

void bp__conn_unlock(struct bp_conn *c) BP__ATTRIBUTE(release_capability(c->lock));

/* A socket that is being connected, so that an abort can wake who waits; or -1.
 * Returns -EPIPE: it has ended. */
int bp__conn_set_fd(struct bp_conn *c, int fd);
/* Connected, on fd: sends begin. Returns -EPIPE: it has ended. */
int bp__conn_opened(struct bp_conn *c, int fd);

void bp__conn_close_locked(struct bp_conn *c, enum bp_reason why, int err,
    enum bp__flow_stage stage)
    BP__REQUIRES(c->lock);
void bp__conn_abort_locked(struct bp_conn *c, enum bp_reason why, int err,
    enum bp__flow_stage stage)
    BP__REQUIRES(c->lock);
/* The same, without the lock. */
void bp__conn_close(struct bp_conn *c, enum bp_reason why, int err);
void bp__conn_break(struct bp_conn *c, enum bp_reason why, int err);

/* A write has failed: nothing goes out any more, what comes in is still read. */
void bp__conn_out_failed_locked(struct bp_conn *c, int err)
    BP__REQUIRES(c->lock);

/* A read has failed: a break, unless we are closing and discard what comes. */
void bp__conn_read_failed(struct bp_conn *c, int err);

/* The peer's FIN was read; ENDED was handled; nothing is out or kept. */
void bp__conn_peer_ended(struct bp_conn *c);
void bp__conn_ended_handled(struct bp_conn *c);
void bp__conn_quiet(struct bp__flow *flow);
/* The endpoint closes: no further read, close when quiet. */
void bp__conn_stop(struct bp_conn *c);

/* Its reader is through: ENDED. And: CLOSED was told, its last handler returned. */
void bp__conn_ended_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock);
void bp__conn_finished(struct bp_conn *c);
/* Its reader's, when all others have let go: close the descriptor, if there is one. */
void bp__conn_close_fd(struct bp_conn *c);

/* Send no more: write what was accepted, then FIN. */
void bp__conn_end_out_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock);
/* FIN, if it is wanted and everything before it is written. */
void bp__conn_try_end_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock);

static inline void bp__whereabouts(struct bp_conn *c, enum bp__whereabouts where)
{
	atomic_store_explicit(&c->whereabouts, (int)where, memory_order_relaxed);
}

static inline struct bp_conn *bp__conn_of_flow(struct bp__flow *flow)
{
	return bp__container_of(flow, struct bp_conn, flow);
}

/* ---- who it is with: identify.c ----------------------------------------- */

/* Note the addresses of its ends. Returns -ENOMEM. */
int bp__conn_name(struct bp_conn *c, const struct bp__addr *peer, const char *local);
/* Account it to its host, if hosts are. Returns -ENOMEM; limited: -EUSERS. */
int bp__conn_locate(struct bp_conn *c, const struct bp__addr *peer, int fd,
    bool limited);
/* Both, as fd tells them. */
int bp__conn_identify(struct bp_conn *c, int fd, bool limited);

/* ---- out: marks.c, send.c, writer.c, notify.c --------------------------- */

/* n bytes went to the socket. */
static inline void bp__conn_sent(struct bp_conn *c, size_t n)
{
	atomic_fetch_add_explicit(&c->bytes_out, n, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->flow.q->sent_bytes, n, memory_order_relaxed);
}

static inline bool bp__conn_sendable(const struct bp_conn *c)
{
	return c->state <= BP__OPEN && !c->end_wanted && !c->out_dead;
}

/* Wait while throttled, then count bytes; 0 waits only. -EPIPE, -EAGAIN, -ETIMEDOUT,
 * -EDEADLK. */
int bp__conn_admit_locked(struct bp_conn *c, size_t bytes, int timeout_ms)
    BP__REQUIRES(c->lock);
/* n bytes accepted were written, or will not be. */
void bp__conn_uncount_locked(struct bp_conn *c, size_t n)
    BP__REQUIRES(c->lock);
/* Drop what is queued, let waiting senders fail, clear the level. */
void bp__conn_drop_out_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock);
/* Give the token back; who takes it next is told. */
void bp__conn_give_token_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock);

/* Send what is withheld, now, as far as the kernel takes it; the writer the rest. */
void bp__conn_push(struct bp_conn *c);
/* If anything is. Before an end, too: else a writer, a thread, were started for it. */
static inline void bp__conn_push_withheld(struct bp_conn *c)
{
	if (atomic_load(&c->withheld))
		bp__conn_push(c);
}
/* The same for the connection whose handler this thread is in: before any wait. */
void bp__push_own(void);

void bp__writer_start(struct bp_conn *c);
void bp__writer_wake_locked(struct bp_conn *c)
    BP__REQUIRES(c->lock);

/*
 * Carry the level to the callbacks until what was told is what is (R7): throttled on
 * any thread, unthrottled only where the caller is the writer, or its successor.
 */
void bp__notify(struct bp_conn *c, bool writer);
/* The last time: returns when unthrottled was told, and nobody tells any more. */
void bp__notify_settle(struct bp_conn *c);

/* ---- in: reader.c ------------------------------------------------------- */

/* Everything its reader does, from OPENED to CLOSED. */
void bp__reader_serve(struct bp_conn *c);

#endif /* BP_CONN_H */
