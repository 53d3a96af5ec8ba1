/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_throttle.c - the way out: marks, edges, waiting, and what a slow peer does.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

enum { TINY = 10, TINY_WRITES = 200000, MIB = 1 << 20 };

struct sender {
	struct bp_conn *conn;
	size_t piece, n;
};

static void send_pattern_pieces(void *arg)
{
	struct sender *sender = arg;
	char piece[4096];
	size_t i;

	REQUIRE(sender->piece <= sizeof piece);
	for (i = 0; i < sender->n; i++) {
		pattern_fill(piece, i * sender->piece, sender->piece);
		REQUIRE_EQ(bp_send(sender->conn, piece, sender->piece,
		    BP_FOREVER), 0);
	}
}

/* Small buffers of the kernel's, so that it is the out queue that fills. */
static struct bp_conn_config small_kernel_config(struct seen *seen)
{
	return (struct bp_conn_config) {
		.ops = &seen_ops, .data = seen, .sndbuf = 16384,
		.out_high = 65536, .out_low = 16384,
	};
}

static struct bp_conn *throttle(struct bp_conn *conn)
{
	static const char zeros[1024];
	int rc;

	while ((rc = bp_send(conn, zeros, sizeof zeros, 0)) == 0)
		;
	REQUIRE_EQ(rc, -EAGAIN);
	REQUIRE(bp_conn_throttled(conn));
	return conn;
}

/* Until the kernel takes no more, what is pending does not change. */
static size_t settled_pending(struct bp_conn *conn)
{
	uint64_t stable_since = now_ms(), deadline = stable_since + SLOW(8000);
	size_t pending = bp_conn_pending(conn);

	while (now_ms() < stable_since + 50) {
		REQUIRE(wait_tick(deadline));
		if (bp_conn_pending(conn) != pending) {
			pending = bp_conn_pending(conn);
			stable_since = now_ms();
		}
	}
	return pending;
}

/* ---- the marks ---------------------------------------------------------- */

/* Behaviour 1 */
static void test_200000_tiny_writes_to_a_slow_peer_end_unthrottled(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = {
		.ops = &seen_ops, .data = &seen, .sndbuf = 16384,
		.out_high = TINY * TINY_WRITES - 200000,
	};
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct slow_reader reader = {
		.fd = peer_connect_rcvbuf(addr, 32768), .step = 16384,
		.pause_ms = 1, .check_pattern = true,
	};
	struct sender sender = { only_conn(ep), TINY, TINY_WRITES };
	struct task *sending = task_start(send_pattern_pieces, &sender);

	WAIT_UNTIL(atomic_load(&seen.throttled) == 1);
	slow_reader_start(&reader);
	task_join(sending);
	WAIT_UNTIL(atomic_load(&seen.unthrottled) == 1);
	bp_conn_close(sender.conn);
	bp_conn_unref(sender.conn);
	slow_reader_join(&reader);
	CHECK_EQ(atomic_load(&reader.end), 0);
	CHECK_EQ(atomic_load(&reader.total), TINY * TINY_WRITES);
	CHECK_EQ(atomic_load(&seen.throttled), 1);
	peer_close(reader.fd);
	check_quiet(ep);
	finish(ep);
}

/* Behaviour 17: exactly at the mark, not a byte before */
static void test_throttled_is_set_by_the_byte_that_reaches_high(void)
{
	static const char zeros[65536];
	struct seen seen = { 0 };
	struct bp_conn_config config = small_kernel_config(&seen);
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 8192);
	struct bp_conn *conn = only_conn(ep);
	size_t pending;

	while (bp_conn_pending(conn) < 8192)
		REQUIRE_EQ(bp_send(conn, zeros, 4096, 0), 0);
	pending = settled_pending(conn);
	REQUIRE(pending < 65535);
	REQUIRE_EQ(bp_send(conn, zeros, 65535 - pending, 0), 0);
	CHECK_EQ(bp_conn_pending(conn), 65535);
	CHECK(!bp_conn_throttled(conn));
	CHECK_EQ(atomic_load(&seen.throttled), 0);
	CHECK_EQ(bp_conn_wait_unthrottled(conn, 0), 0);

	REQUIRE_EQ(bp_send(conn, zeros, 1, 0), 0);
	CHECK_EQ(bp_conn_pending(conn), 65536);
	CHECK(bp_conn_throttled(conn));
	CHECK_EQ(atomic_load(&seen.throttled), 1);
	CHECK_EQ(conn_stats_of(conn).throttles, 1);
	CHECK_EQ(stats_of(ep).throttled, 1);
	CHECK_EQ(bp_send(conn, zeros, 1, 0), -EAGAIN);
	CHECK_EQ(bp_conn_wait_unthrottled(conn, 0), -EAGAIN);
	CHECK_EQ(bp_conn_wait_unthrottled(conn, 20), -ETIMEDOUT);
	CHECK_EQ(bp_conn_pending(conn), 65536);

	bp_conn_abort(conn, BP_REASON_ABORT);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.unthrottled), 1);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void note_pending(struct bp_conn *conn, struct seen *seen)
{
	atomic_store((atomic_size_t *)seen->own, bp_conn_pending(conn));
}

/*
 * Behaviour 17: and cleared at the low mark, neither before nor much after. A call
 * of the writer moves at most 256 KiB, and is counted when it is over.
 */
static void test_throttled_lasts_until_low_is_reached(void)
{
	atomic_size_t at_unthrottled = SIZE_MAX;
	struct seen seen = { .on_unthrottled = note_pending,
	    .own = &at_unthrottled };
	struct bp_conn_config config = small_kernel_config(&seen);
	char addr[ADDR_MAX], piece[16384];
	struct bp_endpoint *ep;
	struct bp_conn *conn;
	int fd;

	config.out_high = 2 * MIB;
	config.out_low = MIB;
	ep = serve(NULL, &config, addr);
	fd = peer_connect_rcvbuf(addr, 32768);
	conn = throttle(only_conn(ep));
	CHECK_LE(bp_conn_pending(conn), 2 * MIB + 1024);
	/* nothing sends now, so pending only falls; so the order of the looks */
	while (bp_conn_pending(conn) > MIB) {
		bool throttled = bp_conn_throttled(conn);

		if (bp_conn_pending(conn) > MIB)
			CHECK(throttled);
		if (peer_unread(fd))
			REQUIRE(peer_recv_some(fd, piece, sizeof piece) > 0);
	}
	WAIT_UNTIL(atomic_load(&at_unthrottled) != SIZE_MAX);
	CHECK(!bp_conn_throttled(conn));
	CHECK_LE(atomic_load(&at_unthrottled), MIB);
	CHECK_GE(atomic_load(&at_unthrottled), MIB - 256 * 1024);
	CHECK_EQ(bp_conn_wait_unthrottled(conn, 0), 0);
	bp_conn_abort(conn, BP_REASON_ABORT);
	bp_conn_unref(conn);
	peer_close(fd);
	check_quiet(ep);
	finish(ep);
}

/* Behaviour 17 */
static void test_64_sends_of_16_mib_make_no_more_than_a_cycle_each(void)
{
	const int n = is_sanitized() ? 16 : 64;
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct slow_reader reader = {
		.fd = peer_connect(addr), .step = 65536,
	};
	struct bp_conn *conn = only_conn(ep);
	struct bp_buf *buf;
	int i;

	REQUIRE_EQ(bp_buf_new(&buf, 16 * MIB), 0);
	memset(buf->data, 0, buf->len);
	slow_reader_start(&reader);
	for (i = 0; i < n; i++)
		REQUIRE_EQ(bp_send_buf(conn, buf, BP_FOREVER), 0);
	bp_buf_unref(buf);
	bp_conn_close(conn);
	slow_reader_join(&reader);
	CHECK_EQ(atomic_load(&reader.total), (uint64_t)n * 16 * MIB);
	CHECK_EQ(conn_stats_of(conn).throttles, n);
	/* a level that came and went while nobody looked is not told */
	CHECK_LE(atomic_load(&seen.throttled), conn_stats_of(conn).throttles);
	bp_conn_unref(conn);
	peer_close(reader.fd);
	check_quiet(ep);
	finish(ep);
}

/* P12: between the marks no oscillation */
static void test_a_cycle_moves_at_least_high_less_low(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = small_kernel_config(&seen);
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct slow_reader reader = {
		.fd = peer_connect_rcvbuf(addr, 32768), .step = 32768,
		.check_pattern = true,
	};
	struct sender sender = { only_conn(ep), 1000, 4000 };

	slow_reader_start(&reader);
	send_pattern_pieces(&sender);
	bp_conn_close(sender.conn);
	slow_reader_join(&reader);
	CHECK_EQ(atomic_load(&reader.total), 4000000);
	CHECK_LE(conn_stats_of(sender.conn).throttles,
	    4000000 / (65536 - 16384) + 1);
	CHECK_LE(atomic_load(&seen.throttled),
	    conn_stats_of(sender.conn).throttles);
	bp_conn_unref(sender.conn);
	peer_close(reader.fd);
	check_quiet(ep);
	finish(ep);
}

/* ---- waiting ------------------------------------------------------------ */

/* Behaviour 18 */
static void test_a_timed_send_that_runs_out_leaves_the_stream_intact(void)
{
	enum { FRAME = 1000 };
	struct seen seen = { 0 };
	struct bp_conn_config config = small_kernel_config(&seen);
	char addr[ADDR_MAX], frame[FRAME];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 8192);
	struct bp_conn *conn = only_conn(ep);
	uint64_t accepted = 0, began;
	size_t pending;
	int rc, i;

	for (;;) {
		pattern_fill(frame, accepted, FRAME);
		if ((rc = bp_send(conn, frame, FRAME, 0)) < 0)
			break;
		accepted += FRAME;
	}
	REQUIRE_EQ(rc, -EAGAIN);
	settled_pending(conn);
	for (i = 0; i < 3; i++) {
		struct iovec iov[2] = { { frame, 10 }, { frame + 10, 990 } };

		pending = bp_conn_pending(conn);
		began = now_ms();
		CHECK_EQ(bp_sendv(conn, iov, 2, 50), -ETIMEDOUT);
		CHECK_GE(now_ms() - began, 50);
		CHECK_LE(now_ms() - began, SLOW(50 + 250));
		CHECK_EQ(bp_conn_pending(conn), pending);
	}
	/* what was refused is sent again, and nothing of it was there before */
	peer_expect_pattern(fd, 0, accepted - FRAME);
	REQUIRE_EQ(bp_send(conn, frame, FRAME, SLOW(5000)), 0);
	bp_conn_close(conn);
	peer_expect_pattern(fd, accepted - FRAME, 2 * FRAME);
	peer_expect_fin(fd);
	bp_conn_unref(conn);
	peer_close(fd);
	check_quiet(ep);
	finish(ep);
}

static void wait_unthrottled(void *arg)
{
	CHECK_EQ(bp_conn_wait_unthrottled(arg, BP_FOREVER), 0);
}

static void test_waiting_for_unthrottled_ends_with_the_draining(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = small_kernel_config(&seen);
	char addr[ADDR_MAX], piece[4096];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 8192);
	struct bp_conn *conn = throttle(only_conn(ep));
	struct task *waiting[3];
	size_t i;

	for (i = 0; i < COUNT_OF(waiting); i++)
		waiting[i] = task_start(wait_unthrottled, conn);
	while (bp_conn_throttled(conn)) {
		for (i = 0; i < COUNT_OF(waiting); i++)
			CHECK(!task_done(waiting[i]) || !bp_conn_throttled(conn));
		if (peer_unread(fd))
			REQUIRE(peer_recv_some(fd, piece, sizeof piece) > 0);
	}
	for (i = 0; i < COUNT_OF(waiting); i++)
		task_join(waiting[i]);
	bp_conn_abort(conn, BP_REASON_ABORT);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void send_within_edge(struct bp_conn *conn, struct seen *seen)
{
	static const char zeros[1024];

	/* it may be told once more, when all has ended */
	if (atomic_exchange((atomic_bool *)seen->own, true))
		return;
	/* nothing drains meanwhile: this is the writer thread */
	throttle(conn);
	CHECK_EQ(bp_send(conn, zeros, 1, BP_FOREVER), -EDEADLK);
	CHECK_EQ(bp_send(conn, zeros, 1, 1000), -EDEADLK);
	CHECK_EQ(bp_conn_wait_unthrottled(conn, BP_FOREVER), -EDEADLK);
	bp_conn_abort(conn, BP_REASON_ABORT);
}

static void test_a_send_that_would_wait_within_unthrottled_is_a_deadlock(void)
{
	atomic_bool sent = false;
	struct seen seen = { .on_unthrottled = send_within_edge, .own = &sent };
	struct bp_conn_config config = small_kernel_config(&seen);
	char addr[ADDR_MAX], piece[4096];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 8192);
	struct bp_conn *conn = throttle(only_conn(ep));

	while (!atomic_load(&sent))
		if (peer_recv_some(fd, piece, sizeof piece) <= 0)
			break;
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_GE(atomic_load(&seen.unthrottled), 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_ABORT);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_200000_tiny_writes_to_a_slow_peer_end_unthrottled),
		TEST(test_throttled_is_set_by_the_byte_that_reaches_high),
		TEST(test_throttled_lasts_until_low_is_reached),
		TEST(test_64_sends_of_16_mib_make_no_more_than_a_cycle_each),
		TEST(test_a_cycle_moves_at_least_high_less_low),
		TEST(test_a_timed_send_that_runs_out_leaves_the_stream_intact),
		TEST(test_waiting_for_unthrottled_ends_with_the_draining),
		TEST(test_a_send_that_would_wait_within_unthrottled_is_a_deadlock),
	};

	return run_suite("throttle", tests, COUNT_OF(tests), argc, argv);
}
