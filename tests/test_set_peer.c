/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_set_peer.c - whom fair accounts to: a connection, what shares its key, or
 * its host.
 *
 * A peer may hold PEER_MAX here, that is two frames and not three. So of three frames
 * that nobody receives one waits, if they are one peer's.
 */
#include "config.h"

#include "conn.h"
#include "corners.h"
#include "harness.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	FRAME = 200 << 10, PEER_MAX = 600 << 10, NOBODY = 65534,
};

static char addr[ADDR_MAX], path[ADDR_MAX];
static struct bp_endpoint *ep;

static void start(enum bp_peer_by peer_by)
{
	struct bp_endpoint_config config = {
		.peer_by = peer_by, .budget = 8 << 20, .conns_max = 16,
		.guarantee = 4096, .peer_max = PEER_MAX,
	};
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };

	ep = serve(&config, &conn_config, addr);
	if (peer_by == BP_PEER_ADDR) {
		/* where another user comes to it as well */
		snprintf(path, sizeof path, "unix:/tmp/bp-set-peer-%d", (int)getpid());
		listen_on(ep, path, &conn_config, path);
		REQUIRE_EQ(chmod(path + strlen("unix:"), 0777), 0);
	}
}

static void send_frame(void *arg)
{
	static const char zeros[FRAME];

	peer_send_u32be((int)(intptr_t)arg, zeros, sizeof zeros);
}

struct client {
	int fd;
	struct bp_conn *conn;
	struct task *sending[16];
	int n;
};

static struct client client_of(int fd)
{
	return (struct client){ .fd = fd, .conn = take_opened(ep) };
}

static struct client client(void)
{
	return client_of(peer_connect(addr));
}

/* A frame that is queued; or, if its peer holds all it may, waits. */
static void send_one(struct client *c, bool waits)
{
	size_t waiting = stats_of(ep).waiting;
	uint64_t events = stats_of(ep).received_events;

	c->sending[c->n++] = task_start(send_frame, (void *)(intptr_t)c->fd);
	if (waits)
		WAIT_UNTIL(stats_of(ep).waiting == waiting + 1);
	else
		WAIT_UNTIL(stats_of(ep).received_events == events + 1);
}

static void part_from(struct client *c)
{
	bp_conn_unref(c->conn);
	for (int i = 0; i < c->n; i++)
		task_join(c->sending[i]);
	peer_close(c->fd);
}

static struct bp_event *take_frame(void)
{
	struct bp_event *event = next_event(ep, BP_RECEIVED);

	CHECK_EQ(event->buf->len, FRAME);
	return event;
}

/* Of a and b: two frames, and no third until one of them is handled. */
static void check_shared(struct client *a, struct client *b)
{
	size_t waiting = stats_of(ep).waiting;

	send_one(a, false);
	send_one(b, false);
	send_one(a, true);
	send_one(b, true);
	bp_event_free(take_frame());
	WAIT_UNTIL(stats_of(ep).waiting == waiting + 1);
	HOLDS_FOR_MS(stats_of(ep).waiting == waiting + 1, 5);
	bp_event_free(take_frame());
	WAIT_UNTIL(stats_of(ep).waiting == waiting);
	bp_event_free(take_frame());
	bp_event_free(take_frame());
}

/* Each holds two, though the other does. */
static void check_apart(struct client *a, struct client *b)
{
	for (int i = 0; i < 4; i++)
		send_one(i % 2 ? a : b, false);
	send_one(a, true);
	for (int i = 0; i < 5; i++)
		bp_event_free(take_frame());
	WAIT_UNTIL(stats_of(ep).held_bytes == 0);
}

/* ---- keys ---------------------------------------------------------------- */

static unsigned weight_of(struct bp_conn *conn)
{
	unsigned weight;

	bp__lock(&conn->flow.q->lock);
	weight = conn->flow.peer->gate.weight;
	bp__unlock(&conn->flow.q->lock);
	return weight;
}

static void test_peer_is_refused_a_weight_or_band_that_is_none(void)
{
	struct client c;

	start(BP_PEER_KEY);
	c = client();
	CHECK_EQ(weight_of(c.conn), 64);
	CHECK_EQ(bp_conn_set_peer(c.conn, 1, 1024, 7), 0);
	CHECK_EQ(bp_conn_set_peer(c.conn, 1, 1025, 0), -EINVAL);
	CHECK_EQ(bp_conn_set_peer(c.conn, 1, 64, 8), -EINVAL);
	CHECK_EQ(weight_of(c.conn), 1024);
	CHECK_EQ(bp_conn_set_peer(c.conn, 1, 1, 0), 0);
	CHECK_EQ(weight_of(c.conn), 1);
	CHECK_EQ(bp_conn_set_peer(c.conn, 1, 0, 0), 0);
	CHECK_EQ(weight_of(c.conn), 64);
	part_from(&c);
	finish(ep);
}

static void test_weight_of_a_key_is_that_of_all_who_share_it(void)
{
	struct client a, b, c;

	start(BP_PEER_KEY);
	a = client();
	b = client();
	c = client();
	CHECK_EQ(bp_conn_set_peer(a.conn, 5, 10, 0), 0);
	CHECK_EQ(bp_conn_set_peer(b.conn, 5, 20, 0), 0);
	CHECK_EQ(bp_conn_set_peer(c.conn, 6, 30, 0), 0);
	CHECK_EQ(weight_of(a.conn), 20);
	CHECK_EQ(weight_of(c.conn), 30);
	part_from(&a);
	part_from(&b);
	part_from(&c);
	finish(ep);
}

static void test_connections_of_one_key_share_what_a_peer_may_hold(void)
{
	struct client a, b;

	start(BP_PEER_KEY);
	a = client();
	b = client();
	check_apart(&a, &b);
	CHECK_EQ(bp_conn_set_peer(a.conn, 7, 0, 0), 0);
	CHECK_EQ(bp_conn_set_peer(b.conn, 8, 0, 0), 0);
	check_apart(&a, &b);
	CHECK_EQ(bp_conn_set_peer(b.conn, 7, 0, 0), 0);
	check_shared(&a, &b);
	part_from(&a);
	part_from(&b);
	finish(ep);
}

static void test_key_counts_from_the_next_frame_on(void)
{
	struct client c;

	start(BP_PEER_KEY);
	c = client();
	send_one(&c, false);
	send_one(&c, false);
	CHECK_EQ(bp_conn_set_peer(c.conn, 7, 0, 0), 0);
	send_one(&c, false);
	send_one(&c, false);		/* what it held before is another's */
	CHECK_GE(stats_of(ep).held_bytes, 4 * FRAME);
	send_one(&c, true);
	CHECK_EQ(bp_conn_set_peer(c.conn, 8, 0, 0), 0);
	HOLDS_FOR_MS(stats_of(ep).waiting == 1, 5);	/* that one is asked for */
	bp_event_free(take_frame());
	bp_event_free(take_frame());
	HOLDS_FOR_MS(stats_of(ep).waiting == 1, 5);	/* those were not its */
	for (int i = 0; i < 3; i++)
		bp_event_free(take_frame());
	WAIT_UNTIL(stats_of(ep).held_bytes == 0);
	part_from(&c);
	finish(ep);
}

static void test_what_is_kept_stays_with_its_key_when_its_connection_has_gone(void)
{
	struct bp_buf *kept[2];
	struct client a, b;

	start(BP_PEER_KEY);
	a = client();
	b = client();
	CHECK_EQ(bp_conn_set_peer(a.conn, 7, 0, 0), 0);
	CHECK_EQ(bp_conn_set_peer(b.conn, 7, 0, 0), 0);
	for (int i = 0; i < 2; i++) {
		struct bp_event *event;

		send_one(&a, false);
		event = take_frame();
		kept[i] = bp_buf_ref(event->buf);
		bp_event_free(event);
	}
	bp_conn_abort(a.conn, BP_REASON_ABORT);
	skip_event(ep, BP_CLOSED);
	part_from(&a);
	send_one(&b, true);
	bp_buf_unref(kept[0]);
	WAIT_UNTIL(stats_of(ep).waiting == 0);
	bp_buf_unref(kept[1]);
	bp_event_free(take_frame());
	part_from(&b);
	finish(ep);
}

static void test_key_is_nothing_where_connections_are_peers(void)
{
	struct client a, b;

	start(BP_PEER_CONN);
	a = client();
	b = client();
	CHECK_EQ(bp_conn_set_peer(a.conn, 7, 0, 0), 0);
	CHECK_EQ(bp_conn_set_peer(b.conn, 7, 3, 0), 0);
	CHECK_EQ(weight_of(a.conn), 64);
	check_apart(&a, &b);
	part_from(&a);
	part_from(&b);
	finish(ep);
}

/* ---- hosts --------------------------------------------------------------- */

static void test_connections_of_one_host_share_what_a_peer_may_hold(void)
{
	struct client a, b, c;

	start(BP_PEER_ADDR);
	a = client();
	b = client();
	c = client_of(peer_connect_from("127.0.0.2", addr));
	check_shared(&a, &b);
	check_apart(&a, &c);
	part_from(&a);
	part_from(&b);
	part_from(&c);
	finish(ep);
}

/* This thread alone becomes another user, for as long as it takes to connect. */
static int connect_as_nobody(void)
{
	int fd;

	if (syscall(SYS_setresuid, -1, NOBODY, -1) < 0)
		return -1;
	fd = peer_connect(path);
	REQUIRE_EQ(syscall(SYS_setresuid, -1, getuid(), -1), 0);
	return fd;
}

static void test_unix_sockets_of_one_user_share_what_a_peer_may_hold(void)
{
	struct client a, b, c, nobody;
	int fd;

	start(BP_PEER_ADDR);
	a = client_of(peer_connect(path));
	b = client_of(peer_connect(path));
	c = client();
	check_shared(&a, &b);
	check_apart(&a, &c);
	fd = connect_as_nobody();
	if (fd >= 0) {
		nobody = client_of(fd);
		check_apart(&a, &nobody);
		part_from(&nobody);
	}
	part_from(&a);
	part_from(&b);
	part_from(&c);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_peer_is_refused_a_weight_or_band_that_is_none),
		TEST(test_weight_of_a_key_is_that_of_all_who_share_it),
		TEST(test_connections_of_one_key_share_what_a_peer_may_hold),
		TEST(test_key_counts_from_the_next_frame_on),
		TEST(test_what_is_kept_stays_with_its_key_when_its_connection_has_gone),
		TEST(test_key_is_nothing_where_connections_are_peers),
		TEST(test_connections_of_one_host_share_what_a_peer_may_hold),
		TEST(test_unix_sockets_of_one_user_share_what_a_peer_may_hold),
	};

	return run_suite("set_peer", tests, COUNT_OF(tests), argc, argv);
}
