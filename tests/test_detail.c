/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_detail.c - what bp_endpoint_detail() and bp_conn_detail() tell: states, limits,
 * who came, who was refused. How long things lasted: test_detail_spans.c; how long and
 * how large each was: test_detail_waits.c.
 */
#include "config.h"

#include "corners.h"
#include "detail.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#include "conn.h"

#include <unistd.h>

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static struct bp_conn_config framed(void)
{
	return (struct bp_conn_config){ .framer = &bp_framer_u32be };
}

/* ---- states --------------------------------------------------------------- */

/* It is in that state, or comes to it, and the endpoint says the same. */
static void check_state(struct bp_conn *conn, enum bp_conn_state state)
{
	struct bp_endpoint_detail detail;

	WAIT_UNTIL_TRUE(conn_detail_of(conn).state == state, 8000,
	    bp_conn_state_name(state));
	detail = detail_of(ep);
	CHECK_EQ(detail.states[state], 1);
	CHECK_EQ(sum_of_states(&detail), 1);
}

static void send_begun_frame(int fd)
{
	peer_send(fd, "\0\0\0\5he", 6);
}

/* One after the other, each beside all that came before. */
static void test_state_is_the_first_that_holds(void)
{
	const struct bp_endpoint_config config = { .qdisc = &bp_qdisc_one_place };
	struct bp_conn_config conn_config = narrow_config();
	struct bp_conn *conn;
	int fd;

	conn_config.framer = &bp_framer_u32be;
	conn_config.couple = BP_OFF;
	ep = serve(&config, &conn_config, addr);
	fd = narrow_connect(addr);
	conn = take_opened(ep);
	check_state(conn, BP_STATE_IDLE);
	send_begun_frame(fd);
	check_state(conn, BP_STATE_READING);
	peer_send(fd, "llo", 3);
	peer_send_u32be(fd, "there", 5);
	check_state(conn, BP_STATE_WAITING);
	bp_conn_mute(conn);
	check_state(conn, BP_STATE_MUTED);
	fill_out_queue(conn);
	check_state(conn, BP_STATE_THROTTLED);
	bp_conn_close(conn);
	check_state(conn, BP_STATE_CLOSING);
	peer_reset(fd);
	skip_event(ep, BP_CLOSED);
	WAIT_UNTIL(detail_of(ep).states[BP_STATE_CLOSING] == 0);
	CHECK_EQ(conn_detail_of(conn).state, BP_STATE_CLOSING);
	bp_conn_unref(conn);
	finish(ep);
}

static void test_state_is_reading_until_the_last_event_is_freed(void)
{
	struct bp_conn_config config = framed();
	struct bp_event *event;
	struct bp_conn *conn;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	conn = only_conn(ep);
	check_state(conn, BP_STATE_READING);	/* nobody has taken OPENED */
	skip_event(ep, BP_OPENED);
	check_state(conn, BP_STATE_IDLE);
	for (int i = 0; i < 2; i++) {
		send_begun_frame(fd);
		check_state(conn, BP_STATE_READING);
		peer_send(fd, "llo", 3);
		WAIT_UNTIL(stats_of(ep).queued_events == 1);
		check_state(conn, BP_STATE_READING);
		event = next_event(ep, BP_RECEIVED);
		CHECK_EQ(stats_of(ep).queued_events, 0);
		check_state(conn, BP_STATE_READING);
		bp_event_free(event);
		check_state(conn, BP_STATE_IDLE);
	}
	bp_conn_mute(conn);
	check_state(conn, BP_STATE_MUTED);
	bp_conn_unmute(conn);
	check_state(conn, BP_STATE_IDLE);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* The reaper may have no deadline to look at: it has begun all the same. */
static void test_state_is_reading_also_where_a_frame_may_take_for_ever(void)
{
	struct bp_conn_config config = framed();
	struct bp_conn *conn;
	int fd;

	config.header_ms = config.frame_ms = BP_FOREVER;
	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	send_begun_frame(fd);
	check_state(conn, BP_STATE_READING);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static atomic_bool go_on;

static void wait_to_go_on(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)conn, (void)buf, (void)seen;
	WAIT_UNTIL(atomic_load(&go_on));
}

static void test_state_is_reading_while_a_handler_runs(void)
{
	struct seen seen = { .on_received = wait_to_go_on };
	struct bp_conn_config config = framed();
	struct bp_conn *conn;
	int fd;

	config.ops = &seen_ops;
	config.data = &seen;
	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	conn = only_conn(ep);
	check_state(conn, BP_STATE_IDLE);
	peer_send_u32be(fd, "hello", 5);
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	check_state(conn, BP_STATE_READING);
	atomic_store(&go_on, true);
	check_state(conn, BP_STATE_IDLE);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* Its own events fill all there is for it: whatever it waits for, that is the gate. */
static void test_state_is_waiting_also_for_its_own_events(void)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_bytes, .budget = 400000, .conns_max = 1,
	};
	const struct bp_conn_config conn_config = { .expect = 2000 };
	struct bp_conn *conn;
	uint64_t waits;
	int fd;

	ep = serve(&config, &conn_config, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	peer_send_until_stuck(fd, 50);
	check_state(conn, BP_STATE_WAITING);
	CHECK(conn_detail_of(conn).stats.waiting);
	waits = detail_of(ep).gate_waits;
	CHECK(waits > 0);
	bp_conn_abort(conn, BP_REASON_ABORT);
	WAIT_UNTIL(detail_of(ep).gate.count == waits);
	CHECK_EQ(stats_of(ep).waiting, 0);
	CHECK(conn_detail_of(conn).stats.gate_ns == detail_of(ep).gate_ns);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* One that bp_connect() is still about is none yet. */
static void test_states_are_those_of_connections_that_are_open(void)
{
	struct black_hole hole;
	struct bp_conn *conn;
	int fds[3];

	ep = serve(NULL, NULL, addr);
	for (int i = 0; i < 3; i++) {
		struct bp_endpoint_detail detail;

		fds[i] = peer_connect(addr);
		skip_event(ep, BP_OPENED);
		WAIT_UNTIL(detail_of(ep).states[BP_STATE_IDLE] == (size_t)i + 1);
		detail = detail_of(ep);
		CHECK_EQ(sum_of_states(&detail), i + 1);
	}
	black_hole_open(&hole);
	REQUIRE_EQ(bp_connect(ep, &conn, hole.addr, NULL, 0), 0);
	CHECK_EQ(stats_of(ep).conns, 4);
	CHECK_EQ(detail_of(ep).states[BP_STATE_IDLE], 3);
	CHECK_EQ(detail_of(ep).connected, 0);
	bp_conn_abort(conn, BP_REASON_ABORT);
	skip_event(ep, BP_CLOSED);
	bp_conn_unref(conn);
	black_hole_close(&hole);
	CHECK_EQ(stats_of(ep).closed, 0);
	for (int i = 0; i < 3; i++)
		peer_close(fds[i]);
	finish(ep);
}

static void test_each_state_and_refusal_has_a_name(void)
{
	static const char *const states[] = {
		"closing", "throttled", "muted", "waiting", "reading", "idle",
	};
	static const char *const refusals[] = { "address", "setup", "memory" };

	REQUIRE_EQ(COUNT_OF(states), BP_STATES);
	REQUIRE_EQ(COUNT_OF(refusals), BP_REFUSALS);
	for (int i = 0; i < BP_STATES; i++)
		CHECK_STR(bp_conn_state_name((enum bp_conn_state)i), states[i]);
	for (int i = 0; i < BP_REFUSALS; i++)
		CHECK_STR(bp_refusal_name((enum bp_refusal)i), refusals[i]);
	CHECK_STR(bp_conn_state_name((enum bp_conn_state)BP_STATES), "unknown");
	CHECK_STR(bp_refusal_name((enum bp_refusal)-1), "unknown");
}

/* ---- limits --------------------------------------------------------------- */

static void test_limits_are_those_of_the_discipline(void)
{
	enum { BUDGET = 32 << 20, PLACES = 7 };
	static const struct {
		const struct bp_qdisc_ops *qdisc;
		const char *name;
		size_t events_max, bytes_max;
	} cases[] = {
		{ &bp_qdisc_one_place, "one_place", 1, BP_UNLIMITED },
		{ &bp_qdisc_bounded, "bounded", PLACES, BP_UNLIMITED },
		{ &bp_qdisc_unbounded, "unbounded", BP_UNLIMITED, BP_UNLIMITED },
		{ &bp_qdisc_bytes, "bytes", BP_UNLIMITED, BUDGET },
		{ &bp_qdisc_prio, "prio", BP_UNLIMITED, BUDGET },
		{ &bp_qdisc_fair, "fair", BP_UNLIMITED, BUDGET },
		{ NULL, "fair", BP_UNLIMITED, BUDGET },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		const struct bp_endpoint_config config = {
			.qdisc = cases[i].qdisc, .budget = BUDGET, .places = PLACES,
		};
		uint64_t before = now_ns();
		struct bp_endpoint_detail detail;

		ep = new_endpoint(&config);
		detail = detail_of(ep);
		CHECK_STR(detail.qdisc, cases[i].name);
		CHECK_EQ(detail.queue_events_max, cases[i].events_max);
		CHECK_EQ(detail.queue_bytes_max, cases[i].bytes_max);
		CHECK_EQ(detail.stats.budget, cases[i].bytes_max);
		CHECK(detail.since_ns >= before && detail.since_ns <= now_ns());
		CHECK(!detail.closing && !detail.paused && !detail.stalled);
		bp_endpoint_close(ep);
		CHECK(detail_of(ep).closing);
		CHECK(detail_of(ep).since_ns == detail.since_ns);
		finish(ep);
	}
}

/* ---- who came ------------------------------------------------------------- */

static atomic_bool no_memory;

int __real_bp__conn_locate(struct bp_conn *c, const struct bp__addr *where, int fd,
    bool limited);
int __wrap_bp__conn_locate(struct bp_conn *c, const struct bp__addr *where, int fd,
    bool limited);

int __wrap_bp__conn_locate(struct bp_conn *c, const struct bp__addr *where, int fd,
    bool limited)
{
	return atomic_load(&no_memory) ? -ENOMEM
	    : __real_bp__conn_locate(c, where, fd, limited);
}

static int refuse(int fd, void *data)
{
	(void)fd, (void)data;
	return -1;
}

static void check_came(uint64_t accepted, uint64_t connected)
{
	struct bp_endpoint_detail detail = detail_of(ep);

	CHECK_EQ(detail.accepted, accepted);
	CHECK_EQ(detail.connected, connected);
	CHECK_EQ(detail.stats.opened, accepted + connected);
}

static void test_accepted_and_connected_are_counted_apart(void)
{
	const struct bp_conn_config refusing = { .setup = refuse };
	char there[ADDR_MAX];
	int listener = peer_listen(there), fds[4];

	ep = serve(NULL, NULL, addr);
	check_came(0, 0);
	fds[0] = peer_connect(addr);
	skip_event(ep, BP_OPENED);
	check_came(1, 0);
	fds[1] = peer_connect(there);
	REQUIRE_EQ(bp_adopt(ep, NULL, peer_accept(listener), NULL), 0);
	skip_event(ep, BP_OPENED);
	check_came(2, 0);
	REQUIRE_EQ(bp_connect(ep, NULL, there, NULL, SLOW(8000)), 0);
	fds[2] = peer_accept(listener);
	skip_event(ep, BP_OPENED);
	check_came(2, 1);
	REQUIRE_EQ(bp_connect(ep, NULL, there, NULL, 0), 0);
	fds[3] = peer_accept(listener);
	skip_event(ep, BP_OPENED);
	check_came(2, 2);
	/* what comes to nothing is neither, and is not refused */
	CHECK_EQ(bp_connect(ep, NULL, there, &refusing, SLOW(8000)), -EPERM);
	peer_close(listener);
	CHECK_EQ(bp_connect(ep, NULL, there, NULL, SLOW(8000)), -ECONNREFUSED);
	check_came(2, 2);
	CHECK_EQ(stats_of(ep).refused, 0);
	for (int i = 0; i < 4; i++)
		peer_close(fds[i]);
	finish(ep);
}

static void check_refused(uint64_t by_address, uint64_t by_setup, uint64_t by_memory)
{
	struct bp_endpoint_detail detail;

	WAIT_UNTIL(stats_of(ep).refused == by_address + by_setup + by_memory);
	detail = detail_of(ep);
	CHECK_EQ(detail.refusals[BP_REFUSED_ADDRESS], by_address);
	CHECK_EQ(detail.refusals[BP_REFUSED_SETUP], by_setup);
	CHECK_EQ(detail.refusals[BP_REFUSED_MEMORY], by_memory);
	CHECK_EQ(detail.accepted, 1);
	CHECK_EQ(sum_of_states(&detail), 1);
}

static void test_refusals_are_counted_by_reason(void)
{
	const struct bp_endpoint_config config = { .conns_per_addr = 1 };
	const struct bp_conn_config refusing = { .setup = refuse };
	char other[ADDR_MAX];
	int fd;

	ep = serve(&config, NULL, addr);
	listen_on(ep, "127.0.0.1:0", &refusing, other);
	fd = peer_connect(addr);
	skip_event(ep, BP_OPENED);
	check_refused(0, 0, 0);
	peer_close(peer_connect(addr));
	check_refused(1, 0, 0);
	peer_close(peer_connect_from("127.0.0.2", other));
	peer_close(peer_connect_from("127.0.0.2", other));
	check_refused(1, 2, 0);
	atomic_store(&no_memory, true);
	for (int i = 0; i < 3; i++)
		peer_close(peer_connect_from("127.0.0.2", addr));
	check_refused(1, 2, 3);
	atomic_store(&no_memory, false);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_state_is_the_first_that_holds),
		TEST(test_state_is_reading_until_the_last_event_is_freed),
		TEST(test_state_is_reading_also_where_a_frame_may_take_for_ever),
		TEST(test_state_is_reading_while_a_handler_runs),
		TEST(test_state_is_waiting_also_for_its_own_events),
		TEST(test_states_are_those_of_connections_that_are_open),
		TEST(test_each_state_and_refusal_has_a_name),
		TEST(test_limits_are_those_of_the_discipline),
		TEST(test_accepted_and_connected_are_counted_apart),
		TEST(test_refusals_are_counted_by_reason),
	};

	return run_suite("detail", tests, COUNT_OF(tests), argc, argv);
}
