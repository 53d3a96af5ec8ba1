/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connect.c - connections that are made, and sockets that are adopted.
 *
 * The name is resolved on the caller's thread. With a timeout the rest is done
 * there, too, and then a reader takes over; with timeout 0 the reader does it, and
 * OPENED or CLOSED tells. While it is being connected the socket is the
 * connection's, so that an abort, or the endpoint's end, wakes who waits for it.
 */
#include "config.h"

#include "endpoint.h"

#include "addr.h"
#include "callback.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#define UNIX_SLICE_MS 100	/* between two looks whether it was aborted */

static bool connecting(struct bp_conn *c)
{
	bool yes;

	bp__lock(&c->lock);
	yes = c->state == BP__CONNECTING;
	bp__conn_unlock(c);
	return yes;
}

/* Wait for the handshake, or for an abort, which breaks the socket. */
static int await_handshake(struct bp_conn *c, int fd, uint64_t deadline_ns)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
	int n;

	/* before connect() there was nothing that it could have broken */
	if (!connecting(c))
		return -EPIPE;
	do
		n = poll(&pollfd, 1, bp__poll_ms(deadline_ns));
	while ((n < 0 && errno == EINTR) || (n == 0 && bp__poll_ms(deadline_ns) != 0));
	if (!connecting(c))
		return -EPIPE;
	return n > 0 ? bp__sock_error(fd) : -ETIMEDOUT;
}

/* The kernel neither reports nor breaks a wait for a full backlog: wait in slices. */
static int connect_unix(struct bp_conn *c, int fd, const struct bp__addr *addr,
    uint64_t deadline_ns)
{
	struct timeval slice = { .tv_usec = UNIX_SLICE_MS * 1000 }, none = { 0 };
	int rc;

	rc = bp__sock_set_blocking(fd, true);
	if (rc < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof slice) < 0)
		return rc < 0 ? rc : -errno;
	for (;;) {
		rc = connect(fd, (const struct sockaddr *)&addr->sa, addr->len) < 0
		    ? -errno : 0;
		if (rc != -EAGAIN && rc != -EINTR)
			break;
		if (!connecting(c))
			return -EPIPE;
		if (bp__poll_ms(deadline_ns) == 0)
			return -ETIMEDOUT;
	}
	if (rc == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none) < 0)
		rc = -errno;
	return rc;
}

static int connect_inet(struct bp_conn *c, int fd, const struct bp__addr *addr,
    uint64_t deadline_ns)
{
	int rc = 0;

	if (c->from_addr && bind(fd, (struct sockaddr *)&c->from_addr->sa,
	    c->from_addr->len) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&addr->sa, addr->len) < 0)
		rc = errno == EINPROGRESS || errno == EINTR
		    ? await_handshake(c, fd, deadline_ns) : -errno;
	return rc < 0 ? rc : bp__sock_set_blocking(fd, true);
}

static int try_one(struct bp_conn *c, const struct bp__addr *addr, uint64_t deadline_ns)
{
	int fd = bp__sock_open(addr->sa.ss_family), rc;

	if (fd < 0)
		return fd;
	rc = bp__conn_set_fd(c, fd);
	if (rc == 0) {
		rc = bp__sock_options(fd, &c->config);
		if (rc == 0)
			rc = bp__endpoint_setup(c->endpoint, fd, &c->config);
		if (rc == 0)
			rc = addr->sa.ss_family == AF_UNIX
			    ? connect_unix(c, fd, addr, deadline_ns)
			    : connect_inet(c, fd, addr, deadline_ns);
		if (rc == 0)
			rc = bp__conn_identify(c, fd, false);
		if (rc == 0)
			rc = bp__conn_opened(c, fd);
		if (rc < 0)
			bp__conn_set_fd(c, -1);
	}
	if (rc < 0)
		close(fd);
	return rc;
}

int bp__connect_try(struct bp_conn *c, uint64_t deadline_ns)
{
	int rc = -ENOENT;

	for (size_t i = 0; i < c->n_addrs; i++) {
		rc = try_one(c, &c->addrs[i], deadline_ns);
		if (rc == 0) {
			bp__endpoint_opened(c->endpoint, false);
			return 0;
		}
		/* the kernel may give up on one address with -ETIMEDOUT, too */
		if (rc == -EPIPE || rc == -ENOMEM || bp__poll_ms(deadline_ns) == 0)
			break;
	}
	bp__conn_break(c, BP_REASON_RESET, rc);
	return rc;
}

/* A connection with the addresses it is to try. */
static int new_conn(struct bp_conn **ret_conn, struct bp_endpoint *ep,
    const char *addr, const struct bp_conn_config *given)
{
	struct bp__addr *addrs = NULL, *from = NULL;
	struct bp_conn_config config;
	struct bp_conn *c;
	size_t n, n_from;
	int rc;

	rc = bp__conn_defaults(&config, given, ep, false);
	if (rc == 0)
		rc = bp__addr_resolve(addr, false, &addrs, &n);
	if (rc == 0 && config.local)
		rc = bp__addr_resolve(config.local, true, &from, &n_from);
	if (rc == 0)
		rc = bp__conn_new(&c, &ep->qdisc, ep, &bp__endpoint_owner, &config,
		    ep->config.stack_size);
	if (rc < 0) {
		free(addrs);
		free(from);
		return rc;
	}
	c->addrs = addrs;
	c->n_addrs = n;
	c->from_addr = from;
	rc = bp__endpoint_add(ep, c);
	if (rc < 0)
		bp__conn_abandon(c);
	else
		*ret_conn = c;
	return rc;
}

/* It was listed, and comes to nothing: nobody hears of it. */
static void give_up(struct bp_conn *c)
{
	bp__conn_break(c, BP_REASON_NO_MEMORY, 0);
	bp__flow_abandon(&c->flow);
	bp__lock(&c->lock);
	c->token = false;
	bp__conn_ended_locked(c);
	bp__conn_unlock(c);
	bp__conn_close_fd(c);
	bp__conn_finished(c);
	bp__endpoint_owner.finished(c);
}

/*
 * To a reader. *ret_conn is written before the first handler can run, and again if
 * none will; an adopted socket stays its owner's then.
 */
static int hand_over(struct bp_endpoint *ep, struct bp_conn *c,
    struct bp_conn **ret_conn, bool adopted)
{
	struct bp_conn *before = ret_conn ? *ret_conn : NULL;
	int rc;

	if (ret_conn)
		*ret_conn = bp_conn_ref(c);
	rc = bp__crew_serve(ep, c);
	if (rc == 0)
		return 0;
	if (ret_conn) {
		*ret_conn = before;
		bp_conn_unref(c);
	}
	if (adopted)
		bp__conn_set_fd(c, -1);
	give_up(c);
	return rc;
}

int bp_connect(struct bp_endpoint *ep, struct bp_conn **ret_conn, const char *addr,
    const struct bp_conn_config *config, int timeout_ms)
{
	uint64_t deadline_ns = bp__deadline_ns(timeout_ms);
	struct bp_conn *c;
	int rc;

	bp__push_own();
	rc = new_conn(&c, ep, addr, config);
	if (rc < 0)
		return rc;
	if (timeout_ms != 0) {
		rc = bp__connect_try(c, deadline_ns);
		if (rc < 0) {
			give_up(c);
			return rc;
		}
		free(c->addrs);
		c->addrs = NULL;
	}
	return hand_over(ep, c, ret_conn, false);
}

static int check_adopted(int fd)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(int), sa_len = sizeof sa;
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0
	    || getpeername(fd, (struct sockaddr *)&sa, &sa_len) < 0)
		return -errno;
	if (type != SOCK_STREAM)
		return -EINVAL;
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return bp__sock_set_blocking(fd, true);
}

int bp_adopt(struct bp_endpoint *ep, struct bp_conn **ret_conn, int fd,
    const struct bp_conn_config *given)
{
	struct bp_conn_config config;
	struct bp_conn *c;
	int rc;

	rc = bp__conn_defaults(&config, given, ep, true);
	if (rc == 0)
		rc = check_adopted(fd);
	if (rc == 0)
		rc = bp__conn_new(&c, &ep->qdisc, ep, &bp__endpoint_owner, &config,
		    ep->config.stack_size);
	if (rc < 0)
		return rc;
	rc = bp__sock_options(fd, &config);
	if (rc == 0)
		rc = bp__endpoint_setup(ep, fd, &config);
	if (rc == 0)
		rc = bp__conn_identify(c, fd, true);
	if (rc == -EUSERS)
		rc = -EMFILE;
	if (rc == 0)
		rc = bp__conn_opened(c, fd);
	if (rc == 0)
		rc = bp__endpoint_add(ep, c);
	if (rc < 0) {
		bp__conn_set_fd(c, -1);
		bp__conn_abandon(c);
		return rc;
	}
	bp__endpoint_opened(ep, true);
	return hand_over(ep, c, ret_conn, true);
}
