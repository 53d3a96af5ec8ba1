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

#include "addr.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define EXHAUSTED_MS 100	/* P19: try again, at the latest */

/* ---- the leader ----------------------------------------------------------------------------- */

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
	closed = l->closing;
	bp__unlock(&ep->lock);
	/* a place that came free before the wish was known rang nobody */
	if (!closed && (timeout_ms >= 0 || !bp__qdisc_has_place(&ep->qdisc)))
		wait_for(l, false, timeout_ms);
	bp__lock(&ep->lock);
	l->wants_room = false;
	bp__unlock(&ep->lock);
}

static bool exhausted(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS
	    || rc == -EAGAIN;
}

/* What was accepted cannot be served. */
static void refuse(struct bp_listener *l, struct bp_conn *c, int fd, int rc)
{
	bp__endpoint_refuse(l->ep);
	bp__endpoint_log(l->ep, LOG_NOTICE, "%s: a connection was refused: %s",
	    l->addr, bp_strerror(rc));
	close(fd);
	bp__conn_abandon(c);
}

/*
 * Make the socket a connection, and appoint the next leader: from then on this
 * thread is the connection's reader.
 */
static int welcome(struct bp_listener *l, struct bp_conn *c, int fd)
{
	struct bp_endpoint *ep = l->ep;
	int rc;

	rc = bp__sock_options(fd, &l->config);
	if (rc == 0)
		rc = bp__conn_name(c, fd);
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
	bp__endpoint_opened(ep);
	return 0;
}

/* Accept one. Returns 0 with *ret_conn, to be served; 1: nobody to serve, and no
 * longer the leader; or why there is none: -EAGAIN, -EMFILE, ... */
static int accept_one(struct bp_listener *l, struct bp_conn **ret_conn)
{
	struct bp_conn *c;
	int fd, rc;

	rc = bp__conn_new(&c, &l->ep->qdisc, l->ep, &bp__endpoint_owner, &l->config,
	    l->ep->config.stack_size);
	if (rc < 0)
		return rc;
	fd = bp__sock_accept(l->fd);
	if (fd < 0) {
		bp__conn_abandon(c);
		/* who knocked has gone: that is not for want of anything */
		return fd == -EAGAIN ? -ECONNABORTED : fd;
	}
	rc = welcome(l, c, fd);
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
			    "%s: accepting pauses: %s", l->addr, bp_strerror(rc));
		warned = true;
		await_room(l, EXHAUSTED_MS);
	}
	bp__listener_free(l);
	return NULL;
}

/* ---- opening and closing ---------------------------------------------------------------------- */

/* Nobody listens on that file any more. */
static bool stale(const struct bp__addr *addr)
{
	int fd = bp__sock_open(AF_UNIX), rc;

	if (fd < 0)
		return false;
	rc = connect(fd, (const struct sockaddr *)&addr->sa, addr->len);
	rc = rc < 0 ? errno : 0;
	close(fd);
	return rc == ECONNREFUSED;
}

static int bind_unix(int fd, const struct bp__addr *addr)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->sa;

	if (bind(fd, sa, addr->len) == 0)
		return 0;
	if (errno != EADDRINUSE || !stale(addr))
		return -errno;
	unlink(((const struct sockaddr_un *)sa)->sun_path);
	return bind(fd, sa, addr->len) == 0 ? 0 : -errno;
}

static int bind_inet(int fd, const struct bp__addr *addr, bool reuseport)
{
	int on = 1, off = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0
	    || (reuseport
	    && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0))
		return -errno;
	if (addr->sa.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	return bind(fd, (const struct sockaddr *)&addr->sa, addr->len) == 0
	    ? 0 : -errno;
}

static int open_socket(struct bp_listener *l, const struct bp__addr *addr)
{
	bool is_unix = addr->sa.ss_family == AF_UNIX;
	int rc;

	l->fd = bp__sock_open(addr->sa.ss_family);
	if (l->fd < 0)
		return l->fd;
	/* before listen: what is accepted inherits the buffer, and its window */
	if (l->config.rcvbuf > 0) {
		int bytes = l->config.rcvbuf < INT32_MAX
		    ? (int)l->config.rcvbuf : INT32_MAX;

		setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	}
	rc = is_unix ? bind_unix(l->fd, addr)
	    : bind_inet(l->fd, addr, l->config.reuseport);
	if (rc == 0 && listen(l->fd, l->config.backlog) < 0)
		rc = -errno;
	if (rc < 0) {
		close(l->fd);
		l->fd = -1;
	}
	return rc;
}

/* ":port" gives IPv4 first; the IPv6 socket takes both. */
static int open_first(struct bp_listener *l, const struct bp__addr *addrs, size_t n,
    bool any)
{
	int rc = -ENOENT;

	for (size_t i = 0; any && i < n; i++)
		if (addrs[i].sa.ss_family == AF_INET6) {
			rc = open_socket(l, &addrs[i]);
			if (rc == 0 || rc == -EADDRINUSE || rc == -EACCES)
				return rc;
		}
	for (size_t i = 0; i < n; i++) {
		rc = open_socket(l, &addrs[i]);
		if (rc == 0)
			break;
	}
	return rc;
}

/* So that only our own file is removed at the end. */
static void note_path(struct bp_listener *l)
{
	struct stat st;

	if (strncmp(l->addr, "unix:", 5) != 0 || stat(l->addr + 5, &st) < 0)
		return;
	l->path = l->addr + 5;
	l->path_dev = st.st_dev;
	l->path_ino = st.st_ino;
}

static void close_fds(struct bp_listener *l)
{
	if (l->fd >= 0)
		close(l->fd);
	if (l->wake[0] >= 0) {
		close(l->wake[0]);
		close(l->wake[1]);
	}
	free(l->addr);
	free(l);
}

void bp__listener_free(struct bp_listener *l)
{
	bp__lock(&l->ep->lock);
	bp__list_remove(&l->link);
	bp__reaper_ring_locked(l->ep);
	bp__unlock(&l->ep->lock);
	close_fds(l);
}

void bp__listener_close_locked(struct bp_listener *l)
{
	struct stat st;

	if (l->closing)
		return;
	l->closing = true;
	if (l->path && stat(l->path, &st) == 0 && st.st_dev == l->path_dev
	    && st.st_ino == l->path_ino)
		unlink(l->path);
	shutdown(l->fd, SHUT_RDWR);	/* the address is free at once */
	bp__listener_wake_locked(l);
}

static int new_listener(struct bp_listener **ret_l, struct bp_endpoint *ep,
    const char *addr, const struct bp_conn_config *config)
{
	struct bp_listener *l = calloc(1, sizeof *l);
	char text[BP__ADDR_TEXT_MAX];
	struct bp__addr *addrs;
	size_t n;
	int rc;

	if (!l)
		return -ENOMEM;
	l->ep = ep;
	l->config = *config;
	l->fd = l->wake[0] = -1;
	bp__list_init(&l->link);
	rc = bp__addr_resolve(addr, true, &addrs, &n);
	if (rc == 0) {
		rc = open_first(l, addrs, n, addr[0] == ':');
		free(addrs);
	}
	if (rc == 0 && pipe2(l->wake, O_CLOEXEC | O_NONBLOCK) < 0) {
		l->wake[0] = -1;
		rc = -errno;
	}
	if (rc == 0) {
		bp__addr_of_fd(text, l->fd, false);
		l->addr = strdup(text);
		if (!l->addr)
			rc = -ENOMEM;
	}
	if (rc < 0) {
		close_fds(l);
		return rc;
	}
	note_path(l);
	*ret_l = l;
	return 0;
}

int bp_listen(struct bp_endpoint *ep, struct bp_listener **ret_listener,
    const char *addr, const struct bp_conn_config *given)
{
	struct bp_conn_config config;
	struct bp_listener *l = NULL;
	bool closed;
	int rc;

	rc = bp__conn_defaults(&config, given, ep, true);
	if (rc == 0)
		rc = new_listener(&l, ep, addr, &config);
	if (rc < 0)
		return rc;
	bp__lock(&ep->lock);
	closed = ep->closing;
	if (!closed)
		bp__list_append(&ep->listeners, &l->link);
	bp__unlock(&ep->lock);
	rc = closed ? -EPIPE : bp__crew_lead(ep, l);
	if (rc < 0) {
		bp__lock(&ep->lock);
		bp__listener_close_locked(l);
		bp__unlock(&ep->lock);
		bp__listener_free(l);
		return rc;
	}
	if (ret_listener)
		*ret_listener = l;
	return 0;
}

const char *bp_listener_addr(const struct bp_listener *l)
{
	return l->addr;
}

void bp_listener_close(struct bp_listener *l)
{
	struct bp_endpoint *ep;

	if (!l)
		return;
	ep = l->ep;
	bp__lock(&ep->lock);
	bp__listener_close_locked(l);
	bp__unlock(&ep->lock);
}
