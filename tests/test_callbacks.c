/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_callbacks.c - any function may be called from any callback (P16): each of
 * the six callbacks of a connection makes each of the calls below, and what would
 * wait for its own thread says -EDEADLK instead of hanging.
 *
 * One connection is led through a whole life, so that all six come: its handler
 * fills the out queue (throttled), the peer reads (unthrottled), then ends (ended,
 * closed). A call that cuts that life short must still leave it in order, which the
 * handlers of seen.h check.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdio.h>
#include <sys/socket.h>

enum callback { OPENED, RECEIVED, ENDED, CLOSED, THROTTLED, UNTHROTTLED, CALLBACKS };

static const char *const callback_names[CALLBACKS] = {
	"opened", "received", "ended", "closed", "throttled", "unthrottled",
};

/* ---- the calls ------------------------------------------------------------------ */

struct call {
	const char *name;
	int (*make)(struct bp_conn *conn);
	unsigned may_be;	/* which of the answers below are right */
};

enum { OK = 1, AGAIN = 2, EPIPED = 4, EDEADLKED = 8 };

static char other_addr[ADDR_MAX];	/* a socket of the peer's that listens */

static int call_wait_closed(struct bp_conn *conn)
{
	return bp_conn_wait_closed(conn, BP_FOREVER);
}

static int call_stop(struct bp_conn *conn)
{
	return bp_endpoint_stop(bp_conn_endpoint(conn), 60000);
}

static int call_free(struct bp_conn *conn)
{
	bp_endpoint_free(bp_conn_endpoint(conn));
	return 0;
}

static int call_endpoint_close(struct bp_conn *conn)
{
	bp_endpoint_close(bp_conn_endpoint(conn));
	return 0;
}

static int call_close(struct bp_conn *conn)
{
	bp_conn_close(conn);
	return 0;
}

static int call_abort(struct bp_conn *conn)
{
	bp_conn_abort(conn, BP_REASON_SLOW);
	return 0;
}

static int call_end(struct bp_conn *conn)
{
	bp_conn_end(conn);
	return 0;
}

static int call_mute_unmute(struct bp_conn *conn)
{
	bp_conn_mute(conn);
	bp_conn_unmute(conn);
	return 0;
}

static int call_try_send(struct bp_conn *conn)
{
	return bp_send(conn, "more", 4, 0);
}

static int call_wait_unthrottled(struct bp_conn *conn)
{
	return bp_conn_wait_unthrottled(conn, BP_FOREVER);
}

static int call_send(struct bp_conn *conn)
{
	return bp_send(conn, "more", 4, BP_FOREVER);
}

static int call_receive(struct bp_conn *conn)
{
	struct bp_event *event;

	return bp_receive(bp_conn_endpoint(conn), &event, 1);
}

static int call_connect_and_abort(struct bp_conn *conn)
{
	struct bp_conn *made;
	int rc = bp_connect(bp_conn_endpoint(conn), &made, other_addr,
	    &(struct bp_conn_config){ .ops = &seen_ops,
	    .data = ((struct seen *)bp_conn_data(conn))->own }, SLOW(5000));

	if (rc == 0) {
		bp_conn_abort(made, BP_REASON_ABORT);
		bp_conn_unref(made);
	}
	return rc;
}

static int call_listen_and_close(struct bp_conn *conn)
{
	struct bp_listener *listener;
	int rc = bp_listen(bp_conn_endpoint(conn), &listener, "127.0.0.1:0", NULL);

	if (rc == 0)
		bp_listener_close(listener);
	return rc;
}

static bool count_one(struct bp_conn *conn, void *arg)
{
	(void)conn;
	return ++*(int *)arg < 1000;
}

static int call_watch(struct bp_conn *conn)
{
	struct bp_endpoint_stats stats;
	struct bp_conn_stats conn_stats;
	int n = 0;

	bp_endpoint_stats(bp_conn_endpoint(conn), &stats);
	bp_conn_stats(conn, &conn_stats);
	bp_endpoint_each(bp_conn_endpoint(conn), count_one, &n);
	return strlen(bp_conn_peer(conn)) > 0 && stats.opened == 1 ? 0 : -EINVAL;
}

static const struct call calls[] = {
	{ "bp_conn_wait_closed", call_wait_closed, EDEADLKED },
	{ "bp_endpoint_stop", call_stop, EDEADLKED },
	{ "bp_endpoint_free", call_free, OK },
	{ "bp_endpoint_close", call_endpoint_close, OK },
	{ "bp_conn_close", call_close, OK },
	{ "bp_conn_abort", call_abort, OK },
	{ "bp_conn_end", call_end, OK },
	{ "bp_conn_mute, unmute", call_mute_unmute, OK },
	{ "bp_send, trying", call_try_send, OK | AGAIN | EPIPED },
	{ "bp_send, waiting", call_send, OK | EPIPED | EDEADLKED },
	{ "bp_conn_wait_unthrottled", call_wait_unthrottled,
	    OK | EPIPED | EDEADLKED },
	{ "bp_receive", call_receive, AGAIN },
	{ "bp_connect", call_connect_and_abort, OK },
	{ "bp_listen", call_listen_and_close, OK },
	{ "bp_endpoint_each, stats", call_watch, OK },
};

/* ---- a life ----------------------------------------------------------------------- */

static const struct call *current;
static enum callback caller;
static atomic_int answer, answers;
static atomic_bool filled;	/* received has sent all it could */

/* Where a send may wait depends on where we are; nowhere else may it be refused. */
static unsigned may_be(const struct call *call, enum callback from)
{
	unsigned set = call->may_be;

	if (from != UNTHROTTLED && !(set == EDEADLKED))
		set &= ~(unsigned)EDEADLKED;
	if (from == CLOSED && set & EPIPED)
		set = EPIPED;
	else if (from != CLOSED && from != UNTHROTTLED)	/* it may end meanwhile */
		set &= ~(unsigned)EPIPED;
	return set;
}

static unsigned kind_of(int rc)
{
	switch (rc) {
	case 0:
		return OK;
	case -EAGAIN:
	case -ETIMEDOUT:
		return AGAIN;
	case -EPIPE:
		return EPIPED;
	case -EDEADLK:
		return EDEADLKED;
	}
	return 0;
}

static void call_from(enum callback from, struct bp_conn *conn)
{
	if (from == caller && atomic_fetch_add(&answers, 1) == 0)
		atomic_store(&answer, current->make(conn));
}

static void from_opened(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	call_from(OPENED, conn);
}

static void from_received(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	static const char zeros[8 << 10];

	(void)buf;
	call_from(RECEIVED, conn);
	while (bp_send(conn, zeros, sizeof zeros, 0) == 0
	    && atomic_load(&seen->throttled) == 0)
		;
	atomic_store(&filled, true);
}

static void from_ended(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	call_from(ENDED, conn);
}

static void from_closed(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	call_from(CLOSED, conn);
}

static void from_throttled(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	call_from(THROTTLED, conn);
}

static void from_unthrottled(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	call_from(UNTHROTTLED, conn);
}

/* Lead a connection through its life, as far as the call leaves it one. */
static void live(const char *addr, struct seen *seen)
{
	struct slow_reader reader = { .fd = narrow_connect(addr) };

	atomic_store(&reader.step, 64 << 10);
	peer_send_some(reader.fd, "x", 1);
	WAIT_UNTIL(atomic_load(&seen->throttled) || atomic_load(&filled)
	    || atomic_load(&seen->closed));
	slow_reader_start(&reader);
	WAIT_UNTIL((atomic_load(&filled)
	    && atomic_load(&seen->unthrottled) == atomic_load(&seen->throttled))
	    || atomic_load(&seen->closed));
	shutdown(reader.fd, SHUT_WR);
	WAIT_UNTIL(atomic_load(&seen->closed));
	slow_reader_join(&reader);
	peer_close(reader.fd);
}

static void try_call(const struct call *call, enum callback from)
{
	struct seen other = { 0 }, seen = {
		.on_opened = from_opened, .on_received = from_received,
		.on_ended = from_ended, .on_closed = from_closed,
		.on_throttled = from_throttled, .on_unthrottled = from_unthrottled,
		.own = &other,
	};
	struct bp_conn_config config = narrow_config();
	char addr[ADDR_MAX], what[100];
	struct bp_endpoint *ep;

	config.framer = NULL;
	config.ops = &seen_ops;
	config.data = &seen;
	config.linger_ms = 50;
	current = call;
	caller = from;
	atomic_store(&answers, 0);
	atomic_store(&filled, false);
	ep = serve(NULL, &config, addr);
	live(addr, &seen);
	WAIT_UNTIL(stats_of(ep).conns == 0);
	snprintf(what, sizeof what, "%s from %s: answer %d is right", call->name,
	    callback_names[from], atomic_load(&answer));
	check_true(atomic_load(&answers) > 0
	    && (kind_of(atomic_load(&answer)) & may_be(call, from)),
	    __FILE__, __LINE__, what);
	CHECK_EQ(atomic_load(&seen.closed), 1);
	CHECK_EQ(atomic_load(&other.closed), call->make == call_connect_and_abort);
	finish(ep);
}

static void try_all_calls(enum callback from)
{
	int listener = peer_listen(other_addr);

	for (size_t i = 0; i < COUNT_OF(calls); i++)
		try_call(&calls[i], from);
	peer_close(listener);
}

/* P16 */
static void test_callbacks_opened_may_call_anything(void)
{
	try_all_calls(OPENED);
}

/* P16 */
static void test_callbacks_received_may_call_anything(void)
{
	try_all_calls(RECEIVED);
}

/* P16 */
static void test_callbacks_ended_may_call_anything(void)
{
	try_all_calls(ENDED);
}

/* P16 */
static void test_callbacks_closed_may_call_anything(void)
{
	try_all_calls(CLOSED);
}

/* P16 */
static void test_callbacks_throttled_may_call_anything(void)
{
	try_all_calls(THROTTLED);
}

/* P16 */
static void test_callbacks_unthrottled_may_call_anything(void)
{
	try_all_calls(UNTHROTTLED);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_callbacks_opened_may_call_anything),
		TEST(test_callbacks_received_may_call_anything),
		TEST(test_callbacks_ended_may_call_anything),
		TEST(test_callbacks_closed_may_call_anything),
		TEST(test_callbacks_throttled_may_call_anything),
		TEST(test_callbacks_unthrottled_may_call_anything),
	};

	return run_suite("callbacks", tests, COUNT_OF(tests), argc, argv);
}
