/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_detail_spans.c - how long things lasted, as bp_endpoint_detail() adds it up: that
 * events were with the application, that readers waited for room, that connections were
 * muted, throttled, and that nobody was accepted. Each is told also while it goes on,
 * stands still when it is over, and lies between what is measured within and around it.
 */
#include "config.h"

#include "corners.h"
#include "detail.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#define TICK_NS (20 * MS)	/* the coarse clock's, twice, where it is slowest */
#define LONG_NS (100 * MS)

static char addr[ADDR_MAX], bytes[300000];
static struct bp_endpoint *ep;

static struct bp_conn_config framed(void)
{
	return (struct bp_conn_config){ .framer = &bp_framer_u32be };
}

static void check_between(uint64_t least, uint64_t ns, uint64_t most)
{
	CHECK_GE(ns, least);
	CHECK_LE(ns, most);
}

static void pass(uint64_t ns)
{
	uint64_t until = now_ns() + ns;

	WAIT_UNTIL(now_ns() >= until);
}

/* ---- busy ----------------------------------------------------------------- */

static atomic_bool go_on;
static _Atomic uint64_t inside_ns;	/* that handlers ran, as they saw it */

static void wait_to_go_on(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	uint64_t since = now_ns();

	(void)conn, (void)buf, (void)seen;
	WAIT_UNTIL(atomic_load(&go_on));
	atomic_fetch_add(&inside_ns, now_ns() - since);
}

/* n connections, of which all handlers run at once. */
static void check_busy_handlers(int n)
{
	struct seen seen[2] = {
		{ .on_received = wait_to_go_on }, { .on_received = wait_to_go_on },
	};
	uint64_t before, began, around, busy;
	int fds[2];

	atomic_store(&go_on, false);
	atomic_store(&inside_ns, 0);
	ep = new_endpoint(NULL);
	for (int i = 0; i < n; i++) {
		struct bp_conn_config config = framed();

		config.ops = &seen_ops;
		config.data = &seen[i];
		listen_on(ep, "127.0.0.1:0", &config, addr);
		fds[i] = peer_connect(addr);
		WAIT_UNTIL(detail_of(ep).states[BP_STATE_IDLE] == (unsigned)i + 1);
	}
	before = detail_of(ep).busy_ns;
	began = now_ns();
	for (int i = 0; i < n; i++)
		peer_send_u32be(fds[i], "work", 4);
	for (int i = 0; i < n; i++)
		WAIT_UNTIL(atomic_load(&seen[i].received) == 1);
	/* while they run */
	WAIT_UNTIL(detail_of(ep).busy_ns - before >= (unsigned)n * LONG_NS);
	CHECK_GE(now_ns() - began + TICK_NS, LONG_NS);
	atomic_store(&go_on, true);
	WAIT_UNTIL(detail_of(ep).states[BP_STATE_IDLE] == (unsigned)n);
	CHECK_EQ(detail_of(ep).dequeued_events, n);
	around = now_ns() - began;
	busy = detail_of(ep).busy_ns;
	check_between(atomic_load(&inside_ns) - (unsigned)n * TICK_NS, busy - before,
	    (unsigned)n * (around + TICK_NS));
	pass(TICK_NS);
	CHECK(detail_of(ep).busy_ns == busy);
	for (int i = 0; i < n; i++)
		peer_close(fds[i]);
	finish(ep);
}

static void test_busy_is_the_time_a_handler_runs(void)
{
	check_busy_handlers(1);
}

static void test_busy_counts_twice_what_two_handlers_take_at_once(void)
{
	check_busy_handlers(2);
}

static void test_busy_in_slots_is_the_time_handlers_run(void)
{
	const struct bp_endpoint_config config = { .handlers_max = 1 };
	struct seen seen[2] = {
		{ .on_received = wait_to_go_on }, { .on_received = wait_to_go_on },
	};
	uint64_t before, began, around;
	int fds[2];

	ep = new_endpoint(&config);
	for (int i = 0; i < 2; i++) {
		struct bp_conn_config conn_config = framed();

		conn_config.ops = &seen_ops;
		conn_config.data = &seen[i];
		listen_on(ep, "127.0.0.1:0", &conn_config, addr);
		fds[i] = peer_connect(addr);
		WAIT_UNTIL(detail_of(ep).states[BP_STATE_IDLE] == (unsigned)i + 1);
	}
	before = detail_of(ep).busy_ns;
	began = now_ns();
	for (int i = 0; i < 2; i++)
		peer_send_u32be(fds[i], "work", 4);
	/* one of them runs, the other waits for the slot */
	WAIT_UNTIL(detail_of(ep).busy_ns - before >= LONG_NS);
	CHECK_GE(now_ns() - began + TICK_NS, LONG_NS);
	atomic_store(&go_on, true);
	WAIT_UNTIL(detail_of(ep).dequeued_events == 2
	    && detail_of(ep).states[BP_STATE_IDLE] == 2);
	around = now_ns() - began;
	check_between(atomic_load(&inside_ns) - 2 * TICK_NS,
	    detail_of(ep).busy_ns - before, around + 2 * TICK_NS);
	for (int i = 0; i < 2; i++)
		peer_close(fds[i]);
	finish(ep);
}

/* From bp_receive() until all that was taken of a connection is freed. */
static void test_busy_is_the_time_events_are_out(void)
{
	struct bp_conn_config config = framed();
	struct bp_event *events[2];
	uint64_t began, within, busy;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	skip_event(ep, BP_OPENED);
	peer_send_u32be(fd, "some", 4);
	peer_send_u32be(fd, "work", 4);
	WAIT_UNTIL(stats_of(ep).queued_events == 2);
	busy = detail_of(ep).busy_ns;
	pass(TICK_NS);
	CHECK(detail_of(ep).busy_ns == busy);	/* queued they are with nobody */
	began = now_ns();
	REQUIRE_EQ(bp_receive_many(ep, events, 2, 0), 2);
	within = now_ns();
	WAIT_UNTIL(detail_of(ep).busy_ns >= LONG_NS / 2);
	bp_event_free(events[0]);
	WAIT_UNTIL(detail_of(ep).busy_ns >= LONG_NS);
	within = now_ns() - within;
	bp_event_free(events[1]);
	busy = detail_of(ep).busy_ns;
	check_between(within - TICK_NS, busy, now_ns() - began + 2 * TICK_NS);
	pass(TICK_NS);
	CHECK(detail_of(ep).busy_ns == busy);
	peer_close(fd);
	finish(ep);
}

/* ---- waiting for room ----------------------------------------------------- */

static void test_gate_is_the_time_readers_wait_for_room(void)
{
	const struct bp_endpoint_config config = { .qdisc = &bp_qdisc_one_place };
	struct bp_conn_config conn_config = framed();
	struct bp_endpoint_detail detail;
	uint64_t began, within;
	struct bp_conn *conn;
	int fd;

	ep = serve(&config, &conn_config, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	peer_send_u32be(fd, bytes, 10);
	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	detail = detail_of(ep);
	CHECK(detail.gate_waits == 0 && detail.gate_ns == 0);
	for (unsigned i = 1; i <= 2; i++) {
		began = now_ns();
		peer_send_u32be(fd, bytes, 10);
		WAIT_UNTIL(detail_of(ep).gate_waits == i);
		within = now_ns();
		WAIT_UNTIL(detail_of(ep).gate_ns - detail.gate_ns >= LONG_NS);
		CHECK_GE(conn_detail_of(conn).stats.gate_ns, i * LONG_NS);
		CHECK_EQ(detail_of(ep).gate.count, i - 1);	/* of those that ended */
		within = now_ns() - within;
		skip_event(ep, BP_RECEIVED);
		check_between(within, detail_of(ep).gate_ns - detail.gate_ns,
		    now_ns() - began);
		detail = detail_of(ep);
		CHECK_EQ(detail.gate_waits, i);
		CHECK_EQ(detail.gate.count, i);
		CHECK(conn_detail_of(conn).stats.gate_ns == detail.gate_ns);
		CHECK(i == 2 || detail.gate.max == detail.gate_ns);
	}
	skip_event(ep, BP_RECEIVED);
	CHECK(detail_of(ep).gate_ns == detail.gate_ns);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* One that ends while it waits has waited as long. */
static void test_gate_counts_waits_that_were_in_vain(void)
{
	const struct bp_endpoint_config config = {
		.budget = 500000, .conns_max = 2, .qdisc = &bp_qdisc_bytes,
	};
	struct bp_conn_config conn_config = framed();
	struct bp_endpoint_detail detail;
	struct bp_event *event;
	struct bp_conn *conn;
	int fd;

	ep = serve(&config, &conn_config, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	peer_send_u32be(fd, bytes, sizeof bytes);
	peer_send_u32be(fd, bytes, sizeof bytes);	/* there is room for one */
	event = next_event(ep, BP_RECEIVED);
	WAIT_UNTIL(detail_of(ep).gate_ns > 10 * MS);
	bp_conn_abort(conn, BP_REASON_ABORT);
	WAIT_UNTIL(detail_of(ep).gate.count == 1);
	detail = detail_of(ep);
	CHECK_EQ(detail.gate_waits, 1);
	CHECK(detail.gate.max == detail.gate_ns && detail.gate_ns > 10 * MS);
	CHECK(conn_detail_of(conn).stats.gate_ns == detail.gate_ns);
	CHECK_EQ(detail.stats.waiting, 0);
	bp_event_free(event);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- muted ---------------------------------------------------------------- */

static void test_muted_is_added_up_over_all_connections(void)
{
	uint64_t began, within, sum = 0;
	struct bp_conn *conns[2];
	int fds[2];

	ep = serve(NULL, NULL, addr);
	for (int i = 0; i < 2; i++) {
		fds[i] = peer_connect(addr);
		conns[i] = take_opened(ep);
	}
	CHECK(detail_of(ep).muted_ns == 0);
	began = now_ns();
	for (int i = 0; i < 2; i++) {
		bp_conn_mute(conns[i]);
		bp_conn_mute(conns[i]);
	}
	within = now_ns();
	WAIT_UNTIL(detail_of(ep).muted_ns >= LONG_NS);
	within = now_ns() - within;
	for (int i = 0; i < 2; i++) {
		bp_conn_unmute(conns[i]);
		CHECK_EQ(detail_of(ep).stats.muted, 2 - i);
		bp_conn_unmute(conns[i]);
		bp_conn_unmute(conns[i]);	/* one too many does nothing */
		sum += conn_detail_of(conns[i]).stats.muted_ns;
	}
	check_between(2 * within, sum, 2 * (now_ns() - began));
	CHECK(detail_of(ep).muted_ns == sum);
	/* it is over also with the connection */
	bp_conn_mute(conns[0]);
	bp_conn_abort(conns[0], BP_REASON_ABORT);
	skip_event(ep, BP_CLOSED);
	CHECK_EQ(detail_of(ep).stats.muted, 0);
	CHECK(detail_of(ep).muted_ns > sum);
	sum = detail_of(ep).muted_ns;
	CHECK(conn_detail_of(conns[0]).stats.muted_ns
	    + conn_detail_of(conns[1]).stats.muted_ns == sum);
	for (int i = 0; i < 2; i++) {
		bp_conn_unref(conns[i]);
		peer_close(fds[i]);
	}
	finish(ep);
}

/* ---- throttled ------------------------------------------------------------ */

static void check_edges(uint64_t throttles, uint64_t unthrottles)
{
	struct bp_endpoint_detail detail;

	WAIT_UNTIL(detail_of(ep).unthrottles == unthrottles);
	detail = detail_of(ep);
	CHECK_EQ(detail.throttles, throttles);
	CHECK_EQ(detail.stats.throttled, throttles - unthrottles);
}

static void test_throttled_is_counted_by_edges_and_time(void)
{
	struct bp_conn_config config = narrow_config();
	uint64_t began, within, told, sum = 0;
	struct bp_conn *conns[2];
	int fds[2];

	ep = serve(NULL, &config, addr);
	for (int i = 0; i < 2; i++) {
		fds[i] = narrow_connect(addr);
		conns[i] = take_opened(ep);
	}
	check_edges(0, 0);
	CHECK(detail_of(ep).throttled_ns == 0);
	began = now_ns();
	for (unsigned i = 0; i < 2; i++) {
		fill_out_queue(conns[i]);
		check_edges(i + 1, 0);
	}
	within = now_ns();
	WAIT_UNTIL(detail_of(ep).throttled_ns >= LONG_NS);
	within = now_ns() - within;
	/* one drains; the other breaks: its time does not go with it */
	bp_conn_end(conns[0]);
	peer_read_to_end(fds[0], NULL);
	check_edges(2, 1);
	told = detail_of(ep).throttled_ns;
	bp_conn_abort(conns[1], BP_REASON_SLOW);
	check_edges(2, 2);
	CHECK(detail_of(ep).throttled_ns >= told);
	REQUIRE_EQ(bp_conn_wait_closed(conns[1], SLOW(8000)), 0);
	for (int i = 0; i < 2; i++)
		sum += conn_detail_of(conns[i]).stats.throttled_ns;
	check_between(2 * within, sum, 2 * (now_ns() - began));
	CHECK(detail_of(ep).throttled_ns == sum);
	for (int i = 0; i < 2; i++) {
		bp_conn_unref(conns[i]);
		peer_close(fds[i]);
	}
	finish(ep);
}

/* ---- nobody is accepted --------------------------------------------------- */

static void test_paused_is_while_no_place_is_free(void)
{
	const struct bp_endpoint_config config = { .conns_max = 1 };
	uint64_t began, within = 0, told;
	int fds[2];

	ep = serve(&config, NULL, addr);
	CHECK(!detail_of(ep).paused && detail_of(ep).paused_ns == 0);
	began = now_ns();
	fds[0] = peer_connect(addr);
	fds[1] = peer_connect(addr);
	for (unsigned i = 0; i < 2; i++) {
		WAIT_UNTIL(detail_of(ep).accepted == i + 1 && detail_of(ep).paused);
		within += now_ns();
		told = detail_of(ep).paused_ns;
		WAIT_UNTIL(detail_of(ep).paused_ns >= told + LONG_NS);
		within -= now_ns();
		skip_event(ep, BP_OPENED);
		peer_close(fds[i]);
		skip_event(ep, BP_ENDED);
		skip_event(ep, BP_CLOSED);
	}
	WAIT_UNTIL(!detail_of(ep).paused);
	told = detail_of(ep).paused_ns;
	check_between(-within, told, now_ns() - began);
	pass(MS);
	CHECK(detail_of(ep).paused_ns == told);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_busy_is_the_time_a_handler_runs),
		TEST(test_busy_counts_twice_what_two_handlers_take_at_once),
		TEST(test_busy_in_slots_is_the_time_handlers_run),
		TEST(test_busy_is_the_time_events_are_out),
		TEST(test_gate_is_the_time_readers_wait_for_room),
		TEST(test_gate_counts_waits_that_were_in_vain),
		TEST(test_muted_is_added_up_over_all_connections),
		TEST(test_throttled_is_counted_by_edges_and_time),
		TEST(test_paused_is_while_no_place_is_free),
	};

	return run_suite("detail_spans", tests, COUNT_OF(tests), argc, argv);
}
