/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * endpoint.h - an endpoint: a queueing discipline and the connections that feed
 * it, their listeners, their threads, and the reaper that ends them.
 *
 * Files: endpoint.c its life, crew.c the reader threads, listen.c and listener.c
 * accepting, connect.c connecting, deadlines.c what peers have to do in time, reaper.c
 * when that is looked at and the end of connections, defaults.c every default and what
 * contradicts what, stats.c watching, history.c what went before.
 */
#ifndef BP_ENDPOINT_H
#define BP_ENDPOINT_H

#include "conn.h"
#include "framer.h"
#include "histogram.h"

/* A reader thread: it serves one connection after the other, or leads a listener. */
struct bp__worker {
	struct bp__list link;		/* idle, or leaving */
	struct bp__cond cond;		/* 1 waiter: itself, while idle */
	pthread_t thread;
	struct bp_endpoint *ep;
	struct bp_conn *conn;		/* its task: one of the two, */
	struct bp_listener *listener;	/* or neither: leave */
	bool tasked;
};

#define BP__RECENT 128		/* connections that ended and are remembered */

struct bp_endpoint {
	struct bp__qdisc qdisc;		/* also counts the references */

	/* set by bp_endpoint_new(), then constant */
	uint64_t since_ns;
	struct bp_endpoint_config config;
	pthread_t reaper;

	/* lock-free */
	atomic_uint in_setup;		/* setup callbacks that run */

	/* [E] under lock */
	struct bp__mutex lock;
	struct bp__list conns;		/* appended by anyone, removed by their readers */
	struct bp__list withholding;	/* conns that gather answers */
	struct bp__list listeners;
	size_t n_led;			/* listeners that have a leader */
	struct bp__list idle;		/* workers without a task, the latest first */
	struct bp__list leaving;	/* workers to be joined */
	size_t n_conns, n_idle, n_workers;
	struct bp__cond reaper_cond;	/* 1 waiter: the reaper */
	uint64_t reaper_wakes_ns;	/* when it will wake by itself */
	uint64_t look_ns;		/* when the next look at all connections is due */
	bool rings;			/* it has to look now */
	bool closing, stopped;
	bool reaper_joined;
	uint64_t stop_deadline_ns;
	struct bp__list stop_waiters;
	uint64_t accepted, connected, closed;
	uint64_t refusals[BP_REFUSALS];
	uint64_t ended[BP_REASONS];	/* of those closed */
	struct bp_closed recent[BP__RECENT];	/* the last one that closed is at closed - 1 */
	struct bp__lasting pausing;	/* listeners that wait for room */
	uint64_t throttled_ns;		/* as it was last told: it must not shrink */
	uint64_t last_seq;
};

struct bp_listener {
	struct bp__list link;
	struct bp_endpoint *ep;
	struct bp_conn_config config;
	char *addr;			/* as it is bound */
	bool any;			/* to all addresses: each connection has its own */
	char *path;			/* of a Unix socket file of ours, or NULL */
	uint64_t path_dev, path_ino;
	int fd;				/* closed by its last leader, if it had one */
	int wake[2];			/* a pipe */
	bool closing;			/* [E] */
	bool led;			/* [E] has a leader, who closes fd */
	bool dropped;			/* [E] the application has let go of it */
	bool wants_room;		/* [E] its leader waits on the pipe alone */
};

/* ---- defaults.c --------------------------------------------------------- */

/* Fill in every default. Returns -EINVAL. */
int bp__endpoint_defaults(struct bp_endpoint_config *config,
    const struct bp_endpoint_config *given);
int bp__conn_defaults(struct bp_conn_config *config,
    const struct bp_conn_config *given, const struct bp_endpoint *ep, bool accepted);

/* How often the reaper has to look, so that no deadline that begins between two looks
 * is missed: what begins now ends no sooner. */
uint64_t bp__conn_tick_ns(const struct bp_conn_config *config);

/* ---- crew.c ------------------------------------------------------------- */

/* See that a worker is idle, or about to be. -EAGAIN, -ENOMEM: no thread. */
int bp__crew_ready(struct bp_endpoint *ep);
/* Give a task to an idle worker or a new one. Returns -EAGAIN, -ENOMEM: no thread. */
int bp__crew_serve(struct bp_endpoint *ep, struct bp_conn *conn);
int bp__crew_lead(struct bp_endpoint *ep, struct bp_listener *listener);
/* Idle workers leave, now and from now on. */
void bp__crew_dismiss_locked(struct bp_endpoint *ep)
    BP__REQUIRES(ep->lock);
/* The reaper's: join those that have left. */
void bp__crew_join(struct bp_endpoint *ep);

/* ---- listener.c, listen.c, connect.c ------------------------------------ */

/* Accept until one came, which the caller then serves; NULL: the listener is closed. */
struct bp_conn *bp__listener_lead(struct bp_listener *listener);
/* Wake its leader; only if that waits for room. */
void bp__listener_wake_locked(struct bp_listener *listener)
    BP__REQUIRES(listener->ep->lock);
void bp__listener_room_locked(struct bp_listener *listener)
    BP__REQUIRES(listener->ep->lock);
/* It has no leader any more: close it; its memory is the application's still. */
void bp__listener_ended(struct bp_listener *listener);
/* The endpoint is being freed, and its listeners with it. */
void bp__listeners_free(struct bp_endpoint *ep);
void bp__listener_close_locked(struct bp_listener *listener)
    BP__REQUIRES(listener->ep->lock);

/* Try its addresses; it is then open, or broken with the error that is returned. */
int bp__connect_try(struct bp_conn *c, uint64_t deadline_ns);

/* ---- endpoint.c, stats.c, reaper.c ----------------------------------- */

extern const struct bp__conn_owner bp__endpoint_owner;

/* A connection belongs to it now, with the caller's reference. -EPIPE: it closes. */
int bp__endpoint_add(struct bp_endpoint *ep, struct bp_conn *c);
void bp__endpoint_opened(struct bp_endpoint *ep, bool accepted);
/*
 * The connection after that one, NULL: the first; no lock is held between, and
 * connections may come and go. Takes a reference, and back the one of after.
 */
struct bp_conn *bp__endpoint_next(struct bp_endpoint *ep, struct bp_conn *after);
/* What was accepted was closed at once, for want of what -EUSERS, -EPERM, ... say. */
void bp__endpoint_refuse(struct bp_endpoint *ep, int err);
/* A place, or a descriptor, has come free: leaders that wait for it look again. */
void bp__endpoint_room(struct bp_endpoint *ep);
/* Call setup, if there is one: a callback of this endpoint. -EPERM: it refuses. */
int bp__endpoint_setup(struct bp_endpoint *ep, int fd,
    const struct bp_conn_config *config);
void bp__endpoint_log(struct bp_endpoint *ep, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What is remembered of a connection that has ended. */
void bp__conn_sum_up(struct bp_conn *c, struct bp_closed *ret);

void bp__reaper_ring_locked(struct bp_endpoint *ep)
    BP__REQUIRES(ep->lock);
void *bp__reaper_main(void *ep);
/* Hold it to its deadlines; returns when to look again, at the latest. */
uint64_t bp__conn_look(struct bp_conn *c, uint64_t now);

#endif /* BP_ENDPOINT_H */
