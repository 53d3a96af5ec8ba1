/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.c - listening sockets: opened, and closed by their last leader.
 */
#include "config.h"

#include "endpoint.h"

#include "addr.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Nobody listens on that file any more. */
static bool stale(const struct bp__addr *addr)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->sa;
	struct stat st;
	int fd, rc;

	/* connecting to what is no socket is refused, too */
	if (lstat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	fd = bp__sock_open(AF_UNIX);
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
	/* before listen: over TCP what is accepted inherits all, the window among it */
	rc = bp__sock_options(l->fd, &l->config);
	if (rc == 0)
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
	l->fd = l->wake[0] = l->wake[1] = -1;
}

static void free_listener(struct bp_listener *l)
{
	free(l->addr);
	free(l);
}

void bp__listener_ended(struct bp_listener *l)
{
	struct bp_endpoint *ep = l->ep;
	bool dropped;

	bp__lock(&ep->lock);
	bp__list_remove(&l->link);	/* nobody wakes it from here on */
	bp__unlock(&ep->lock);
	close_fds(l);
	bp__lock(&ep->lock);
	dropped = l->dropped;
	if (!dropped)
		bp__list_append(&ep->listeners, &l->link);
	l->led = false;
	ep->n_led--;
	bp__reaper_ring_locked(ep);
	bp__unlock(&ep->lock);
	if (dropped)
		free_listener(l);
}

void bp__listeners_free(struct bp_endpoint *ep)
{
	struct bp__list *link;

	while ((link = bp__list_shift(&ep->listeners)) != NULL)
		free_listener(bp__container_of(link, struct bp_listener, link));
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
	struct bp__addr *addrs, bound;
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
		bp__addr_of_fd(&bound, l->fd, false);
		bp__addr_format(text, &bound);
		l->any = bp__addr_is_any(&bound);
		l->addr = strdup(text);
		if (!l->addr)
			rc = -ENOMEM;
	}
	if (rc < 0) {
		close_fds(l);
		free_listener(l);
		return rc;
	}
	note_path(l);
	*ret_l = l;
	return 0;
}

void bp_listener_close(struct bp_listener *l)
{
	struct bp_endpoint *ep;
	bool led;

	if (!l)
		return;
	ep = l->ep;
	bp__lock(&ep->lock);
	l->dropped = true;
	led = l->led;
	if (led)
		bp__listener_close_locked(l);
	else
		bp__list_remove(&l->link);
	bp__unlock(&ep->lock);
	if (!led)
		free_listener(l);
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
	bp__list_append(&ep->listeners, &l->link);
	l->led = true;
	ep->n_led++;
	bp__unlock(&ep->lock);
	rc = closed ? -EPIPE : bp__crew_lead(ep, l);
	if (rc < 0) {
		bp_listener_close(l);
		bp__listener_ended(l);
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
