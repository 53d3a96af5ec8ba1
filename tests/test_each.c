/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_each.c - bp_endpoint_each(), and what the numbers are like, while connections
 * come and go under them.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "tagged.h"

#define STAY 8			/* connections that live all the time */
#define PASSES 300

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;
static int fds[STAY];

static void echo(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send(conn, buf->data, buf->len, 0);
}

static const struct bp_conn_ops echo_ops = { .received = echo };

static void connect_some(void)
{
	const struct bp_conn_config config = { .ops = &echo_ops };
	int i;

	ep = serve(NULL, &config, addr);
	for (i = 0; i < STAY; i++)
		fds[i] = peer_connect(addr);
	WAIT_UNTIL(stats_of(ep).opened == STAY);
}

static void close_all(void)
{
	int i;

	for (i = 0; i < STAY; i++)
		peer_close(fds[i]);
	finish(ep);
}

/* ---- one pass ------------------------------------------------------------- */

struct visits {
	uint64_t ids[1000];
	int n, until;		/* how many; after which to stop, or 0 */
};

static bool visit(struct bp_conn *conn, void *arg)
{
	struct visits *visits = arg;
	uint64_t id = bp_conn_id(conn);

	if (visits->n < 1000)
		visits->ids[visits->n++] = id;
	return visits->n != visits->until;
}

static bool visited(const struct visits *visits, uint64_t id, int times)
{
	int i;

	for (i = 0; i < visits->n; i++)
		times -= visits->ids[i] == id;
	return times == 0;
}

static void test_each_visits_every_connection_once(void)
{
	struct visits visits = { .n = 0 };
	int i;

	connect_some();
	bp_endpoint_each(ep, visit, &visits);
	CHECK_EQ(visits.n, STAY);
	for (i = 0; i < visits.n; i++)
		CHECK(visited(&visits, visits.ids[i], 1));
	close_all();
}

static void test_each_stops_when_told(void)
{
	struct visits visits = { .until = 3 };

	connect_some();
	bp_endpoint_each(ep, visit, &visits);
	CHECK_EQ(visits.n, 3);
	close_all();
}

static void test_each_of_an_endpoint_without_connections_visits_none(void)
{
	struct visits visits = { .n = 0 };

	ep = new_endpoint(NULL);
	bp_endpoint_each(ep, visit, &visits);
	CHECK_EQ(visits.n, 0);
	finish(ep);
}

/* No lock is held: also not while it goes through them again, or ends them. */
static bool do_what_needs_locks(struct bp_conn *conn, void *arg)
{
	struct visits inner = { .n = 0 };

	bp_endpoint_each(ep, visit, &inner);
	CHECK_GE(inner.n, 1);
	CHECK_GE(stats_of(ep).conns, 1);
	CHECK_EQ(conn_stats_of(conn).reason, BP_REASON_NONE);
	bp_conn_mute(conn);
	bp_conn_unmute(conn);
	CHECK_EQ(bp_send(conn, "x", 1, 0), 0);
	bp_conn_close(conn);
	CHECK_EQ(bp_conn_wait_closed(conn, 0), -EAGAIN);
	++*(int *)arg;
	return true;
}

static void test_each_allows_any_call(void)
{
	int n = 0, i;

	connect_some();
	bp_endpoint_each(ep, do_what_needs_locks, &n);
	CHECK_EQ(n, STAY);
	for (i = 0; i < STAY; i++) {
		peer_expect_string(fds[i], "x");
		peer_expect_fin(fds[i]);
	}
	close_all();
}

/* ---- while they come and go ------------------------------------------------ */

static atomic_bool over;

static void come_and_go(void *arg)
{
	uint64_t state = (uintptr_t)arg;

	while (!atomic_load(&over)) {
		int fd = peer_connect(addr);

		if (random_below(&state, 2)) {
			peer_send_string(fd, "hello");
			peer_expect_string(fd, "hello");
		}
		if (random_below(&state, 2))
			peer_reset(fd);
		else
			peer_close(fd);
	}
}

static struct task *coming[2];

static void start_coming_and_going(void)
{
	size_t i;

	for (i = 0; i < COUNT_OF(coming); i++)
		coming[i] = task_start(come_and_go, (void *)(uintptr_t)(i + 1));
	WAIT_UNTIL(stats_of(ep).closed > 3);
}

static void end_coming_and_going(void)
{
	size_t i;

	atomic_store(&over, true);
	for (i = 0; i < COUNT_OF(coming); i++)
		task_join(coming[i]);
}

static void test_each_misses_none_that_stays_while_others_come_and_go(void)
{
	struct visits staying = { .n = 0 }, visits;
	int pass, i;

	connect_some();
	bp_endpoint_each(ep, visit, &staying);
	REQUIRE_EQ(staying.n, STAY);
	start_coming_and_going();
	for (pass = 0; pass < PASSES; pass++) {
		visits.n = 0;
		visits.until = 0;
		bp_endpoint_each(ep, visit, &visits);
		for (i = 0; i < STAY; i++)
			CHECK(visited(&visits, staying.ids[i], 1));
		for (i = 0; i < visits.n; i++)
			CHECK(visited(&visits, visits.ids[i], 1));
	}
	end_coming_and_going();
	close_all();
}

static void test_each_counter_of_an_endpoint_never_runs_backwards(void)
{
	struct bp_endpoint_stats last, now;
	int pass;

	connect_some();
	start_coming_and_going();
	last = stats_of(ep);
	for (pass = 0; pass < 10 * PASSES; pass++) {
		now = stats_of(ep);
		CHECK(now.received_bytes >= last.received_bytes);
		CHECK(now.received_events >= last.received_events);
		CHECK(now.sent_bytes >= last.sent_bytes);
		CHECK(now.opened >= last.opened);
		CHECK(now.closed >= last.closed && now.closed <= now.opened);
		last = now;
	}
	end_coming_and_going();
	WAIT_UNTIL(stats_of(ep).conns == STAY);
	/* what came in went out again, unless its peer was gone */
	CHECK(stats_of(ep).sent_bytes <= stats_of(ep).received_bytes);
	close_all();
}

/* ---- times under their clock's nose ---------------------------------------- */

static void mute_and_unmute(void *arg)
{
	struct bp_conn *conn = arg;

	while (!atomic_load(&over)) {
		bp_conn_mute(conn);
		bp_conn_unmute(conn);
	}
}

static void test_each_time_told_is_less_than_what_has_passed(void)
{
	struct bp_conn_stats stats;
	struct bp_conn *conn;
	struct task *task;
	uint64_t began, last = 0;
	int fd, pass;

	ep = serve(NULL, NULL, addr);
	fd = peer_connect(addr);
	conn = only_conn(ep);
	began = now_ns();
	task = task_start(mute_and_unmute, conn);
	for (pass = 0; pass < 100 * PASSES; pass++) {
		stats = conn_stats_of(conn);
		if (!CHECK(stats.muted_ns <= now_ns() - began)
		    || !CHECK(stats.muted_ns >= last))
			break;
		last = stats.muted_ns;
	}
	atomic_store(&over, true);
	task_join(task);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_each_visits_every_connection_once),
		TEST(test_each_stops_when_told),
		TEST(test_each_of_an_endpoint_without_connections_visits_none),
		TEST(test_each_allows_any_call),
		TEST(test_each_misses_none_that_stays_while_others_come_and_go),
		TEST(test_each_counter_of_an_endpoint_never_runs_backwards),
		TEST(test_each_time_told_is_less_than_what_has_passed),
	};

	return run_suite("each", tests, COUNT_OF(tests), argc, argv);
}
