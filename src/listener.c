/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listener.c - accepting.
 *
 * One thread at a time, the leader, polls the listening socket and a pipe that
 * wakes it, and accepts without blocking: a thread blocked in accept(2) could not
 * be woken, and would take a connection beyond the limit. A place is taken before
 * accept is called. When there is none, or the process is out of descriptors or
 * memory, the leader waits for room on its pipe alone: who knocks stays in the
 * backlog, and is served, not dropped.
 */
#include "config.h"

#include "endpoint.h"

#include <poll.h>
#include <syslog.h>
#include <unistd.h>

#define EXHAUSTED_MS 100	/* P19: try again, at the latest */

/* ---- the leader --------------------------------------------------------- */

void bp__listener_wake_locked(struct bp_listener *l)
{
	bp__assert_held(&l->ep->lock);
	while (write(l->wake[1], "", 1) < 0 && errno == EINTR)
		;			/* a full pipe wakes as well */
}

void bp__listener_room_locked(struct bp_listener *l)
{
	if (l->wants_room)
		bp__listener_wake_locked(l);
}

static bool closing(struct bp_listener *l)
{
	bool yes;

	bp__lock(&l->ep->lock);
	yes = l->closing;
	bp__unlock(&l->ep->lock);
	return yes;
}

/* Wait on the pipe, and on the socket too if there is room. */
static void wait_for(struct bp_listener *l, bool socket_too, int timeout_ms)
{
	struct pollfd fds[2] = {
		{ .fd = l->wake[0], .events = POLLIN },
		{ .fd = l->fd, .events = POLLIN },
	};
	char bytes[64];

	if (poll(fds, socket_too ? 2 : 1, timeout_ms) > 0
	    && fds[0].revents & POLLIN)
		while (read(l->wake[0], bytes, sizeof bytes) == sizeof bytes)
			;
}

/* Wait on the pipe alone, until there is room, or for timeout_ms if not -1. */
static void await_room(struct bp_listener *l, int timeout_ms)
{
	struct bp_endpoint *ep = l->ep;
	bool closed;

	bp__lock(&ep->lock);
	l->wants_room = true;
	bp__lasting_begin(&ep->pausing, bp__now_ns());
	closed = l->closing;
	bp__unlock(&ep->lock);
	/* a place that came free before the wish was known rang nobody */
	if (!closed && (timeout_ms >= 0 || !bp__qdisc_has_place(&ep->qdisc)))
		wait_for(l, false, timeout_ms);
	bp__lock(&ep->lock);
	l->wants_room = false;
	bp__lasting_end(&ep->pausing, bp__now_ns());
	bp__unlock(&ep->lock);
}

static bool exhausted(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS
	    || rc == -EAGAIN;
}

/* -EAGAIN is what the system says when there is no thread to be had. */
static const char *words_for(int rc)
{
	return rc == -EAGAIN ? "no thread"
	    : rc == -EUSERS ? "too many come from its address" : bp_strerror(rc);
}

/* What was accepted cannot be served. */
static void refuse(struct bp_listener *l, struct bp_conn *c, int fd, int rc)
{
	bp__endpoint_refuse(l->ep, rc);
	bp__endpoint_log(l->ep, LOG_NOTICE, "%s: a connection was refused: %s",
	    l->addr, words_for(rc));
	close(fd);
	bp__conn_abandon(c);
}

/*
 * Make the socket a connection, and appoint the next leader: from then on this
 * thread is the connection's reader.
 */
static int welcome(struct bp_listener *l, struct bp_conn *c, int fd,
    const struct bp__addr *peer)
{
	struct bp_endpoint *ep = l->ep;
	char text[BP__ADDR_TEXT_MAX];
	struct bp__addr local;
	int rc;

	if (l->any) {
		bp__addr_of_fd(&local, fd, false);
		bp__addr_format(text, &local);
	}
	/* on Unix sockets nothing is inherited */
	rc = peer->sa.ss_family == AF_UNIX ? bp__sock_options(fd, &l->config) : 0;
	if (rc == 0)
		rc = bp__endpoint_setup(ep, fd, &l->config);
	if (rc == 0)
		rc = bp__conn_name(c, peer, l->any ? text : l->addr);
	if (rc == 0)
		rc = bp__conn_locate(c, peer, fd, true);
	if (rc == 0)
		rc = bp__crew_lead(ep, l);
	if (rc < 0)
		return rc;
	/* l may be gone from here on */
	bp__conn_opened(c, fd);
	if (bp__endpoint_add(ep, c) < 0) {
		/* closed since: nobody was told of it, and nobody will be */
		bp__conn_set_fd(c, -1);
		close(fd);
		bp__conn_abandon(c);
		return 1;
	}
	bp__endpoint_opened(ep, true);
	return 0;
}

/* Accept one. Returns 0 with *ret_conn, to be served; 1: nobody to serve, and no
 * longer the leader; or why there is none: -EAGAIN, -EMFILE, ... */
static int accept_one(struct bp_listener *l, struct bp_conn **ret_conn)
{
	struct bp__addr peer;
	struct bp_conn *c;
	int fd, rc;

	/* who is accepted has to be served: not before there is a thread for it */
	rc = bp__crew_ready(l->ep);
	if (rc < 0)
		return rc;
	rc = bp__conn_new(&c, &l->ep->qdisc, l->ep, &bp__endpoint_owner, &l->config,
	    l->ep->config.stack_size);
	if (rc < 0)
		return rc;
	fd = bp__sock_accept(l->fd, &peer);
	if (fd < 0) {
		bp__conn_abandon(c);
		/* who knocked has gone: that is not for want of anything */
		return fd == -EAGAIN ? -ECONNABORTED : fd;
	}
	rc = welcome(l, c, fd, &peer);
	if (rc < 0)
		refuse(l, c, fd, rc);
	else
		*ret_conn = c;
	return rc;
}

struct bp_conn *bp__listener_lead(struct bp_listener *l)
{
	struct bp_conn *c = NULL;
	bool warned = false;
	int rc;

	while (!closing(l)) {
		if (!bp__qdisc_has_place(&l->ep->qdisc)) {
			await_room(l, -1);
			continue;
		}
		wait_for(l, true, -1);
		if (closing(l))
			break;
		rc = accept_one(l, &c);
		if (rc >= 0)
			return rc == 0 ? c : NULL;
		if (!exhausted(rc))
			continue;
		if (!warned)
			bp__endpoint_log(l->ep, LOG_WARNING,
			    "%s: accepting pauses: %s", l->addr, words_for(rc));
		warned = true;
		await_room(l, EXHAUSTED_MS);
	}
	bp__listener_ended(l);
	return NULL;
}
