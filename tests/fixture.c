/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fixture.c - what tests do with endpoints over and over: make one that listens,
 * find its connection, take the next event, and see that nothing is left at its end.
 * Declared in harness.h.
 */
#include "config.h"

#include "harness.h"

#include <stdio.h>

struct bp_endpoint *new_endpoint(const struct bp_endpoint_config *config)
{
	struct bp_endpoint *ep = NULL;

	REQUIRE_EQ(bp_endpoint_new(&ep, config), 0);
	REQUIRE(ep != NULL);
	return ep;
}

void listen_on(struct bp_endpoint *ep, const char *addr,
    const struct bp_conn_config *config, char ret_addr[ADDR_MAX])
{
	struct bp_listener *listener = NULL;

	REQUIRE_EQ(bp_listen(ep, &listener, addr, config), 0);
	snprintf(ret_addr, ADDR_MAX, "%s", bp_listener_addr(listener));
}

struct bp_endpoint *serve(const struct bp_endpoint_config *config,
    const struct bp_conn_config *conn_config, char ret_addr[ADDR_MAX])
{
	struct bp_endpoint *ep = new_endpoint(config);

	listen_on(ep, "127.0.0.1:0", conn_config, ret_addr);
	return ep;
}

static bool take_first(struct bp_conn *conn, void *arg)
{
	struct bp_conn **first = arg;

	*first = bp_conn_ref(conn);
	return false;
}

static struct bp_conn *find_first(struct bp_endpoint *ep)
{
	struct bp_conn *conn = NULL;

	bp_endpoint_each(ep, take_first, &conn);
	return conn;
}

struct bp_conn *only_conn(struct bp_endpoint *ep)
{
	struct bp_conn *conn = NULL;

	WAIT_UNTIL((conn = find_first(ep)) != NULL);
	REQUIRE_EQ(stats_of(ep).conns, 1);
	return conn;
}

struct bp_endpoint_stats stats_of(struct bp_endpoint *ep)
{
	struct bp_endpoint_stats stats;

	bp_endpoint_stats(ep, &stats);
	return stats;
}

struct bp_conn_stats conn_stats_of(struct bp_conn *conn)
{
	struct bp_conn_stats stats;

	bp_conn_stats(conn, &stats);
	return stats;
}

struct bp_event *next_event(struct bp_endpoint *ep, enum bp_event_kind kind)
{
	struct bp_event *event = NULL;

	REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
	REQUIRE_EQ(event->kind, kind);
	CHECK_EQ(event->buf != NULL, kind == BP_RECEIVED);
	CHECK_EQ(event->reason != BP_REASON_NONE, kind == BP_CLOSED);
	return event;
}

void skip_event(struct bp_endpoint *ep, enum bp_event_kind kind)
{
	bp_event_free(next_event(ep, kind));
}

void check_quiet(struct bp_endpoint *ep)
{
	struct bp_endpoint_stats stats;

	WAIT_UNTIL(stats_of(ep).conns == 0);
	WAIT_UNTIL(stats_of(ep).held_bytes == 0);
	stats = stats_of(ep);
	CHECK_EQ(stats.queued_events, 0);
	CHECK_EQ(stats.queued_bytes, 0);
	CHECK_EQ(stats.out_bytes, 0);
	CHECK_EQ(stats.waiting, 0);
	CHECK_EQ(stats.throttled, 0);
	CHECK_EQ(stats.muted, 0);
}

void finish(struct bp_endpoint *ep)
{
	struct bp_event *event;
	int rc;

	REQUIRE_EQ(bp_endpoint_stop(ep, 200), 0);
	while ((rc = bp_receive(ep, &event, 0)) == 0)
		bp_event_free(event);
	CHECK_EQ(rc, -EPIPE);
	check_quiet(ep);
	bp_endpoint_free(ep);
}
