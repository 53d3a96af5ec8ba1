/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_stream.c - a server that streams messages to peers, one thread for all of
 * them, each message at its time; and peers that read them, all but one perhaps.
 *
 * A message begins with the time at which it is sent: how old it is when the last of
 * it has come is what its reader notices of the others.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_service.h"
#include "monitor.h"

#include <bpthread.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the server ------------------------------------------------------ */

struct streamer {
	struct trial *t;
	struct bp_endpoint *ep;
	struct bp_conn **conns;
	int timeout_ms;			/* of each send */
	char *rest;			/* of a message, after the time it is sent */
	pthread_t thread;
};

static void stream_one(struct streamer *s, uint64_t i)
{
	struct trial *t = s->t;
	uint64_t now = now_ns();
	struct iovec parts[] = {
		{ &now, sizeof now }, { s->rest, t->asked->size - sizeof now },
	};
	int rc = bp_sendv(s->conns[i], parts, 2, s->timeout_ms);
	double pending = (double)bp_conn_pending(s->conns[i]);

	if (rc == -EAGAIN)
		t->skipped++;
	else if (rc != 0 && phase_now(t) != OVER)
		t->cut++;
	if (pending > t->pending_most)
		t->pending_most = pending;
}

/* A message to each in turn, all of them at the rate. */
static void *stream_all(void *arg)
{
	struct streamer *s = arg;
	const struct asked *a = s->t->asked;
	uint64_t start = now_ns(), sent = 0;

	while (phase_now(s->t) != OVER
	    && sleep_until(due_ns(start, sent * a->size, a->handle_rate)))
		stream_one(s, sent++ % a->conns);
	return NULL;
}

/* Returns false when they do not come. */
static bool await_all(struct streamer *s)
{
	uint64_t n = 0, until = now_ns() + 10 * NS_PER_S;
	struct bp_event *event;

	while (n < s->t->asked->conns && now_ns() < until) {
		if (bp_receive(s->ep, &event, 100) != 0)
			continue;
		if (event->kind == BP_OPENED)
			s->conns[n++] = bp_conn_ref(event->conn);
		bp_event_free(event);
	}
	return n == s->t->asked->conns;
}

static int stream(struct streamer *s)
{
	int rc;

	if (!await_all(s))
		return compare_failed("await", "the peers", -ETIMEDOUT);
	if ((rc = pthread_create(&s->thread, NULL, stream_all, s)) != 0)
		return compare_failed("start", "a thread", -rc);
	while (phase_now(s->t) != OVER && !signals_wait(now_ns() + TICK_NS))
		if (memory_resident(getpid()) >= s->t->asked->mem_limit) {
			s->t->met_limit = true;
			break;
		}
	phase_begin(s->t, OVER);
	halt();
	bp_endpoint_stop(s->ep, 0);		/* a send that waits returns */
	pthread_join(s->thread, NULL);
	return 0;
}

int stream_run(struct trial *t, size_t out_high, int timeout_ms)
{
	struct bp_endpoint_config config = { 0 };
	struct bp_conn_config conn = {
		.framer = &bp_framer_u32be, .out_high = out_high,
	};
	struct bp_listener *listener;
	struct bp_monitor *monitor;
	struct streamer s = { .t = t, .timeout_ms = timeout_ms };
	int rc;

	prctl(PR_SET_TIMERSLACK, 1);
	bp_qdisc_parse(&config, t->qdisc);
	s.conns = calloc(t->asked->conns, sizeof *s.conns);
	s.rest = calloc(1, t->asked->size);
	if (!s.conns || !s.rest)
		return compare_failed("make", "messages", -ENOMEM);
	if ((rc = bp_endpoint_new(&s.ep, &config)) < 0
	    || (rc = bp_listen(s.ep, &listener, "127.0.0.1:0", &conn)) < 0)
		return compare_failed("serve with", t->qdisc, rc);
	if ((rc = trial_monitor(t, &monitor, s.ep)) != 0)
		return rc;
	t->base = (double)memory_resident(getpid());
	t->port = (unsigned)atoi(strrchr(bp_listener_addr(listener), ':') + 1);
	rc = stream(&s);
	for (uint64_t i = 0; i < t->asked->conns; i++)
		bp_conn_unref(s.conns[i]);
	monitor_stop(monitor);
	bp_endpoint_free(s.ep);
	free(s.conns);
	free(s.rest);
	return rc;
}

/* ---- the peers ------------------------------------------------------- */

struct reader {
	size_t at;			/* in the message and its head */
	uint64_t sent_ns;
};

/* Take what has come apart into messages, and file how old each is. */
static void take(struct trial *t, struct reader *l, const char *bytes, size_t n)
{
	const size_t whole = HEAD + t->asked->size, stamped = HEAD + sizeof l->sent_ns;
	size_t part;

	for (; n; n -= part, bytes += part) {
		part = l->at < stamped ? 1 : whole - l->at < n ? whole - l->at : n;
		if (l->at >= HEAD && l->at < stamped)
			((char *)&l->sent_ns)[l->at - HEAD] = *bytes;
		l->at += part;
		if (phase_now(t) == MEASURED)
			t->handled += (double)part;
		if (l->at < whole)
			continue;
		if (phase_now(t) == MEASURED)
			spread_add(&t->round_trips[1], now_ns() - l->sent_ns);
		l->at = 0;
	}
}

struct readers {
	struct trial *t;
	struct pollfd *polls;
	struct reader *all;
};

static void *read_all(void *arg)
{
	struct readers *l = arg;
	static char bytes[256 << 10];
	ssize_t n;

	while (phase_now(l->t) != OVER) {
		if (poll(l->polls, l->t->asked->conns, (int)(TICK_NS / NS_PER_MS)) <= 0)
			continue;
		for (uint64_t i = 0; i < l->t->asked->conns; i++) {
			if (!l->polls[i].revents)
				continue;
			n = recv(l->polls[i].fd, bytes, sizeof bytes, MSG_DONTWAIT);
			if (n > 0)
				take(l->t, &l->all[i], bytes, (size_t)n);
			else
				l->polls[i].fd = -1;
		}
	}
	return NULL;
}

int readers_run(struct trial *t, bool all)
{
	struct readers l = { .t = t };
	pthread_t thread;
	int rc;

	l.polls = calloc(t->asked->conns, sizeof *l.polls);
	l.all = calloc(t->asked->conns, sizeof *l.all);
	if (!l.polls || !l.all)
		return compare_failed("make", "peers", -ENOMEM);
	for (uint64_t i = 0; i < t->asked->conns; i++)
		if ((l.polls[i] = (struct pollfd){ peer_connect(t), POLLIN, 0 }).fd < 0)
			return 1;
	if (!all)
		l.polls[0].fd = -1;	/* stays open, and is never looked at again */
	if ((rc = pthread_create(&thread, NULL, read_all, &l)) != 0)
		return compare_failed("start", "a thread", -rc);
	if (phase_run(t, SETTLING, 500))
		phase_run(t, MEASURED, t->asked->duration_ms);
	phase_begin(t, OVER);
	pthread_join(thread, NULL);
	free(l.polls);
	free(l.all);
	return 0;
}
