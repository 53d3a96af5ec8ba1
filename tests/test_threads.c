/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_threads.c - every function on every thread (P15): several threads call
 * whatever they like on the same connections, while those live and while they end.
 * The handlers of seen.h check what must hold: no overlap, strict alternation,
 * nothing after closed.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"
#include "tagged.h"

#include <stdio.h>
#include <stdlib.h>

enum { CALLERS = 4, PEERS = 4, ROUNDS = 1200, CONNS = 64 };

static char addr[ADDR_MAX];
static atomic_int lives_begun, lives_ended;
static atomic_bool over;

/* ---- connections that come and go; each has its own struct seen ----------------------- */

static void opened(struct bp_conn *conn, void *data)
{
	struct seen *seen = calloc(1, sizeof *seen);

	(void)data;
	REQUIRE(seen != NULL);
	atomic_fetch_add(&lives_begun, 1);
	bp_conn_set_data(conn, seen);
	seen_ops.opened(conn, seen);
}

static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	seen_ops.received(conn, buf, data);
	bp_send_buf(conn, buf, 20);
}

static void ended(struct bp_conn *conn, void *data)
{
	seen_ops.ended(conn, data);
}

static void closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	if (!data)		/* it ended before it could be opened */
		return;
	seen_ops.closed(conn, why, err, data);
	bp_conn_set_data(conn, NULL);
	atomic_fetch_add(&lives_ended, 1);
	free(data);
}

static void throttled(struct bp_conn *conn, void *data)
{
	seen_ops.throttled(conn, data);
}

static void unthrottled(struct bp_conn *conn, void *data)
{
	seen_ops.unthrottled(conn, data);
}

static const struct bp_conn_ops ops = {
	.opened = opened, .received = received, .ended = ended, .closed = closed,
	.throttled = throttled, .unthrottled = unthrottled,
};

/* ---- callers ---------------------------------------------------------------------------- */

struct pick {
	struct bp_conn *conn;
	unsigned skip;
};

/* One that has been opened: nobody sends before, so the edges have their data. */
static bool pick_one(struct bp_conn *conn, void *arg)
{
	struct pick *pick = arg;

	if (!bp_conn_data(conn) || pick->skip-- > 0)
		return true;
	pick->conn = bp_conn_ref(conn);
	return false;
}

static void send_some(struct bp_conn *conn, uint64_t *state)
{
	static const char zeros[20000];
	size_t len = random_below(state, sizeof zeros);
	struct iovec iov[2] = { { (void *)(uintptr_t)zeros, len },
	    { (void *)(uintptr_t)zeros, 7 } };
	int timeout_ms = (int)random_below(state, 3), rc;
	struct bp_buf *buf;

	switch (random_below(state, 3)) {
	case 0:
		rc = bp_send(conn, zeros, len, timeout_ms);
		break;
	case 1:
		rc = bp_sendv(conn, iov, 2, timeout_ms);
		break;
	default:
		REQUIRE_EQ(bp_buf_new(&buf, len), 0);
		memset(buf->data, 0, len);
		rc = bp_send_buf(conn, buf, timeout_ms);
		bp_buf_unref(buf);
	}
	CHECK(rc == 0 || rc == -EPIPE || rc == (timeout_ms ? -ETIMEDOUT : -EAGAIN));
}

static void look(struct bp_endpoint *ep, struct bp_conn *conn)
{
	struct bp_conn_stats stats = conn_stats_of(conn);

	CHECK(bp_conn_endpoint(conn) == ep);
	CHECK(strlen(bp_conn_peer(conn)) > 0 && strlen(bp_conn_local(conn)) > 0);
	CHECK_LE(stats.out_bytes, (64 << 10) + 5 * 20100);
	CHECK_LE(stats_of(ep).held_bytes, stats_of(ep).budget);
	(void)bp_conn_throttled(conn);
	(void)bp_conn_pending(conn);
	(void)bp_conn_data(conn);
}

static void end_somehow(struct bp_conn *conn, uint64_t *state)
{
	switch (random_below(state, 4)) {
	case 0:
		bp_conn_abort(conn, BP_REASON_ABORT);
		break;
	case 1:
		bp_conn_end(conn);
		break;
	default:
		bp_conn_close(conn);
	}
	bp_conn_wait_closed(conn, (int)random_below(state, 3));
}

static void call_something(struct bp_endpoint *ep, struct bp_conn *conn,
    uint64_t *state)
{
	struct bp_event *event;

	switch (random_below(state, 12)) {
	case 0:
		bp_conn_mute(conn);
		send_some(conn, state);
		bp_conn_unmute(conn);
		break;
	case 1:
		bp_conn_wait_unthrottled(conn, (int)random_below(state, 3));
		break;
	case 2:
		CHECK_EQ(bp_receive(ep, &event, 0), -EAGAIN);	/* all have handlers */
		break;
	case 3:
		if (random_below(state, 8) == 0)
			end_somehow(conn, state);
		break;
	case 4:
	case 5:
		look(ep, conn);
		break;
	default:
		send_some(conn, state);
	}
}

static void call_much(void *arg)
{
	static atomic_int callers;
	uint64_t state = (uint64_t)atomic_fetch_add(&callers, 1);

	for (int i = 0; i < ROUNDS; i++) {
		struct pick pick = { NULL, random_below(&state, PEERS) };

		bp_endpoint_each(arg, pick_one, &pick);
		if (!pick.conn) {
			wait_tick(now_ms() + 1);
			continue;
		}
		call_something(arg, pick.conn, &state);
		bp_conn_unref(pick.conn);
	}
}

/* A peer that talks and listens until it is cut off, and then comes again. */
static void come_again(void *arg)
{
	static const char zeros[3000];
	static char sink[PEERS][32 << 10];
	char *into = sink[(size_t)(uintptr_t)arg];

	while (!atomic_load(&over)) {
		int fd = narrow_connect(addr);

		peer_set_deadline(fd, 20);
		while (!atomic_load(&over)
		    && peer_send_some(fd, zeros, sizeof zeros) == sizeof zeros
		    && peer_recv_some(fd, into, sizeof sink[0]) != 0)
			;
		peer_close(fd);
	}
}

/* P15 */
static void test_threads_may_call_every_function_at_once(void)
{
	struct bp_conn_config config = narrow_config();
	struct bp_endpoint_config limits = { .conns_max = CONNS };
	struct task *peers[PEERS], *callers[CALLERS];
	struct bp_endpoint *ep;

	config.ops = &ops;
	config.framer = NULL;
	config.linger_ms = 100;
	ep = serve(&limits, &config, addr);
	for (size_t i = 0; i < PEERS; i++)
		peers[i] = task_start(come_again, (void *)(uintptr_t)i);
	for (size_t i = 0; i < CALLERS; i++)
		callers[i] = task_start(call_much, ep);
	for (size_t i = 0; i < CALLERS; i++)
		task_join(callers[i]);
	atomic_store(&over, true);
	for (size_t i = 0; i < PEERS; i++)
		task_join(peers[i]);
	finish(ep);
	CHECK_GE(atomic_load(&lives_begun), PEERS);
	CHECK_EQ(atomic_load(&lives_ended), atomic_load(&lives_begun));
}

/* ---- a notification may be what a handler waits for ----------------------------------------- */

static void fill_and_wait(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)buf;
	fill_out_queue(conn);
	atomic_store((atomic_bool *)seen->own, true);
	WAIT_UNTIL(atomic_load(&seen->unthrottled) == 1);
	CHECK_EQ(atomic_load(&seen->in_handler), 1);
}

/* P15: unthrottled comes while the handler that made it necessary runs */
static void test_threads_unthrottled_comes_while_a_handler_waits_for_it(void)
{
	atomic_bool filled = false;
	struct seen seen = { .on_received = fill_and_wait, .own = &filled };
	struct bp_conn_config config = narrow_config();
	struct slow_reader reader = { 0 };
	struct bp_endpoint *ep;

	config.ops = &seen_ops;
	config.data = &seen;
	ep = serve(NULL, &config, addr);
	reader.fd = narrow_connect(addr);
	peer_send_u32be(reader.fd, "?", 1);
	WAIT_UNTIL(atomic_load(&filled));
	atomic_store(&reader.step, 4096);
	slow_reader_start(&reader);
	WAIT_UNTIL(atomic_load(&seen.unthrottled) == 1);
	peer_half_close(reader.fd);
	slow_reader_join(&reader);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	peer_close(reader.fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_threads_may_call_every_function_at_once, 40),
		TEST(test_threads_unthrottled_comes_while_a_handler_waits_for_it),
	};

	return run_suite("threads", tests, COUNT_OF(tests), argc, argv);
}
