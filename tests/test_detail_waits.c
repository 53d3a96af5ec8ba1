/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_detail_waits.c - what of each is counted: frames that were taken, how large they
 * were, how long they were queued, how long each wait at the gate and in a send was.
 */
#include "config.h"

#include "corners.h"
#include "detail.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

enum { FRAMES = 5, QUEUED_MS = 50 };

static char addr[ADDR_MAX], bytes[300000];
static struct bp_endpoint *ep;

static struct bp_conn_config framed(void)
{
	return (struct bp_conn_config){ .framer = &bp_framer_u32be };
}

static void pass_ms(uint64_t ms)
{
	uint64_t until = now_ns() + ms * MS;

	WAIT_UNTIL(now_ns() >= until);
}

static bool is_about(uint64_t told, uint64_t value)
{
	return told >= value - value / 16 && told <= value + value / 16;
}

/* ---- what came ------------------------------------------------------------ */

static void test_dequeued_are_frames_that_were_taken(void)
{
	struct bp_conn_config config = framed();
	struct bp_event *events[FRAMES];
	struct bp_conn *conn;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	for (uint32_t i = 0; i < FRAMES; i++)
		peer_send_u32be(fd, bytes, i * 1000);
	WAIT_UNTIL(stats_of(ep).queued_events == FRAMES);
	CHECK_EQ(detail_of(ep).dequeued_events, 0);
	CHECK_EQ(conn_detail_of(conn).queued_events, FRAMES);
	CHECK_EQ(conn_detail_of(conn).queued_bytes, 10000);
	skip_event(ep, BP_RECEIVED);
	skip_event(ep, BP_RECEIVED);
	CHECK_EQ(detail_of(ep).dequeued_events, 2);
	CHECK_EQ(conn_detail_of(conn).queued_events, 3);
	CHECK_EQ(conn_detail_of(conn).queued_bytes, 9000);
	REQUIRE_EQ(bp_receive_many(ep, events, FRAMES, 0), 3);
	CHECK_EQ(detail_of(ep).dequeued_events, 5);
	CHECK_EQ(conn_detail_of(conn).queued_events, 0);
	CHECK_EQ(conn_detail_of(conn).queued_bytes, 0);
	for (int i = 0; i < 3; i++)
		bp_event_free(events[i]);
	peer_close(fd);
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
	CHECK_EQ(detail_of(ep).dequeued_events, FRAMES);
	bp_conn_unref(conn);
	finish(ep);
}

static void test_dequeued_are_frames_that_were_handled(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = framed();
	int fd;

	config.ops = &seen_ops;
	config.data = &seen;
	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	for (uint32_t i = 0; i < FRAMES; i++)
		peer_send_u32be(fd, bytes, i * 60000);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(detail_of(ep).dequeued_events, FRAMES);
	CHECK_EQ(stats_of(ep).received_events, FRAMES);
	finish(ep);
}

/* ---- how large ------------------------------------------------------------ */

static const uint32_t sizes[] = { 0, 1, 2, 3, 4, 7, 8, 1000, 1023, 1024, 65536, 270000 };
static const int size_buckets[] = {
	0, 1, 1, 1, 2, 2, 3, 2, 4, 1, 10, 2, 11, 1, 17, 1, 19, 1, -1,
};

static void check_sizes(void)
{
	struct bp_endpoint_detail detail;
	uint64_t sum = 0;

	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		sum += sizes[i];
	WAIT_UNTIL(stats_of(ep).received_bytes == sum);
	detail = detail_of(ep);
	check_buckets(&detail.frame, size_buckets);
	CHECK_EQ(detail.frame.max, 270000);
	CHECK_EQ(detail.frame.count, detail.stats.received_events);
	CHECK(is_about(detail.frame.sum, sum));
	CHECK(is_about(detail.frame.p50, 7));
	CHECK(is_about(detail.frame.p99, 270000));
}

static int send_sizes(const struct bp_conn_config *config)
{
	int fd;

	ep = serve(NULL, config, addr);
	fd = peer_connect(addr);
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		peer_send_u32be(fd, bytes, sizes[i]);
	return fd;
}

static void test_each_frame_that_is_queued_is_in_its_bucket(void)
{
	struct bp_conn_config config = framed();
	int fd = send_sizes(&config);

	check_sizes();		/* when it is queued, not when it is taken */
	peer_close(fd);
	finish(ep);
}

static void test_each_frame_that_is_handled_is_in_its_bucket(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = framed();
	int fd;

	config.ops = &seen_ops;
	config.data = &seen;
	fd = send_sizes(&config);
	check_sizes();
	CHECK_EQ(detail_of(ep).wait.count, COUNT_OF(sizes));
	peer_close(fd);
	finish(ep);
}

enum { TINY = 3000 };

/* Many in one read, of sizes that are often alike. */
static void send_many_tiny(int fd)
{
	static char wire[TINY * 3];
	size_t len = 0;

	for (int i = 0; i < TINY; i++) {
		if (i % 10 == 0)
			wire[len++] = 'x';
		wire[len++] = 'x';
		wire[len++] = '\n';
	}
	peer_send(fd, wire, len);
}

static void check_tiny(void)
{
	static const int buckets[] = { 1, TINY - TINY / 10, 2, TINY / 10, -1 };
	struct bp_endpoint_detail detail = detail_of(ep);

	check_buckets(&detail.frame, buckets);
	CHECK_EQ(detail.frame.sum, TINY + TINY / 10);
	CHECK_EQ(detail.dequeued_events, TINY);
}

/* OPENED waits for its turn as well. */
static void test_each_frame_of_a_batch_counts(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_line };
	struct bp_event *events[100];
	int fd, n = 0, some;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	skip_event(ep, BP_OPENED);
	send_many_tiny(fd);
	while (n < TINY) {
		some = bp_receive_many(ep, events, COUNT_OF(events), SLOW(8000));
		REQUIRE(some > 0);
		n += some;
		for (int i = 0; i < some; i++)
			bp_event_free(events[i]);
	}
	check_tiny();
	CHECK_EQ(detail_of(ep).wait.count, TINY + 1);
	peer_close(fd);
	finish(ep);
}

static void test_each_frame_of_a_run_of_handlers_counts(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = {
		.framer = &bp_framer_line, .ops = &seen_ops, .data = &seen,
	};
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	send_many_tiny(fd);
	WAIT_UNTIL(detail_of(ep).dequeued_events == TINY);
	check_tiny();
	CHECK_EQ(detail_of(ep).wait.count, TINY);
	peer_close(fd);
	finish(ep);
}

/* ---- how long in the queue ------------------------------------------------ */

static void test_wait_is_from_arrival_until_it_is_received(void)
{
	struct bp_conn_config config = framed();
	struct bp_endpoint_detail detail;
	struct bp_conn_detail conn_detail;
	uint64_t began, most, arrived;
	struct bp_event *event;
	struct bp_conn *conn;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	CHECK_EQ(detail_of(ep).wait.count, 1);
	began = now_ns();
	for (int i = 0; i < 3; i++)
		peer_send_u32be(fd, bytes, 10);
	WAIT_UNTIL(stats_of(ep).queued_events == 3);
	pass_ms(QUEUED_MS);
	event = next_event(ep, BP_RECEIVED);
	arrived = event->arrived_ns;
	most = now_ns() - arrived;
	bp_event_free(event);
	detail = detail_of(ep);
	CHECK_EQ(detail.wait.count, 2);
	CHECK_GE(detail.wait.max, QUEUED_MS * MS);
	CHECK(detail.wait.max <= most && most <= now_ns() - began);
	CHECK_EQ(detail.stats.wait_p50_ns, detail.wait.p50);
	CHECK_EQ(detail.stats.wait_p99_ns, detail.wait.p99);
	skip_event(ep, BP_RECEIVED);
	skip_event(ep, BP_RECEIVED);
	detail = detail_of(ep);
	CHECK_EQ(detail.wait.count, 4);
	CHECK_GE(detail.wait.p50, QUEUED_MS * MS * 15 / 16);
	CHECK_GE(detail.wait.sum, 3 * QUEUED_MS * MS * 15 / 16);
	conn_detail = conn_detail_of(conn);
	CHECK_GE(conn_detail.wait_p50_ns, QUEUED_MS * MS * 4 / 5);
	CHECK(conn_detail.wait_p50_ns <= conn_detail.wait_p99_ns);
	CHECK(conn_detail.wait_p99_ns <= detail.wait.max + detail.wait.max / 4 + MS);
	CHECK(conn_detail.opened_ns > 0 && conn_detail.opened_ns < arrived);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* Of a connection only what was its own. */
static void test_wait_of_a_connection_is_its_own(void)
{
	struct bp_conn_config config = framed();
	struct bp_conn *conns[2];
	uint64_t opened_max;
	int fds[2];

	ep = serve(NULL, &config, addr);
	for (int i = 0; i < 2; i++) {
		fds[i] = peer_connect(addr);
		conns[i] = take_opened(ep);
	}
	opened_max = detail_of(ep).wait.max;
	for (int i = 0; i < 10; i++)
		peer_send_u32be(fds[1], bytes, 10);
	WAIT_UNTIL(stats_of(ep).queued_events == 10);
	pass_ms(4 * QUEUED_MS);
	for (int i = 0; i < 10; i++)
		skip_event(ep, BP_RECEIVED);
	CHECK_GE(conn_detail_of(conns[1]).wait_p50_ns, 4 * QUEUED_MS * MS * 4 / 5);
	CHECK_LE(conn_detail_of(conns[0]).wait_p99_ns, opened_max + opened_max / 4 + MS);
	CHECK_EQ(detail_of(ep).wait.count, 12);
	for (int i = 0; i < 2; i++) {
		bp_conn_unref(conns[i]);
		peer_close(fds[i]);
	}
	finish(ep);
}

static atomic_bool go_on;

static void wait_to_go_on(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)conn, (void)buf, (void)seen;
	WAIT_UNTIL(atomic_load(&go_on));
}

static struct bp_conn *second;

static void keep_conn(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)buf, (void)seen;
	second = bp_conn_ref(conn);
}

/* The second frame has come, but the first one's handler has the only slot. */
static void test_wait_for_a_handler_is_that_for_its_turn(void)
{
	const struct bp_endpoint_config config = { .handlers_max = 1 };
	struct seen seen[2] = {
		{ .on_received = wait_to_go_on }, { .on_received = keep_conn },
	};
	struct bp_conn_config conn_config = framed();
	struct bp_endpoint_detail detail;
	uint64_t began;
	int fds[2];

	ep = new_endpoint(&config);
	conn_config.ops = &seen_ops;
	for (int i = 0; i < 2; i++) {
		conn_config.data = &seen[i];
		listen_on(ep, "127.0.0.1:0", &conn_config, addr);
		fds[i] = peer_connect(addr);
		WAIT_UNTIL(detail_of(ep).states[BP_STATE_IDLE] == (unsigned)i + 1);
	}
	began = now_ns();
	peer_send_u32be(fds[0], bytes, 10);
	WAIT_UNTIL(atomic_load(&seen[0].received) == 1);
	peer_send_u32be(fds[1], bytes, 10);
	WAIT_UNTIL(detail_of(ep).states[BP_STATE_READING] == 2);
	pass_ms(QUEUED_MS);
	atomic_store(&go_on, true);
	WAIT_UNTIL(detail_of(ep).dequeued_events == 2);
	detail = detail_of(ep);
	CHECK_EQ(detail.wait.count, 2);
	CHECK_GE(detail.wait.max, QUEUED_MS * MS);
	CHECK_LE(detail.wait.max, now_ns() - began);
	CHECK_GE(conn_detail_of(second).wait_p50_ns, QUEUED_MS * MS * 4 / 5);
	bp_conn_unref(second);
	for (int i = 0; i < 2; i++)
		peer_close(fds[i]);
	finish(ep);
}

/* ---- how long in a send --------------------------------------------------- */

static void test_each_wait_of_a_send_is_counted(void)
{
	struct bp_conn_config config = narrow_config();
	struct bp_endpoint_detail detail;
	struct bp_conn *conn;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = narrow_connect(addr);
	conn = take_opened(ep);
	while (!bp_conn_throttled(conn))
		REQUIRE_EQ(bp_send(conn, bytes, 8 << 10, BP_FOREVER), 0);
	CHECK_EQ(detail_of(ep).send.count, 0);	/* none of these had to wait */
	CHECK_EQ(bp_send(conn, bytes, 10, 0), -EAGAIN);
	CHECK_EQ(detail_of(ep).send.count, 0);
	while (bp_send(conn, bytes, 10, 50) == 0)	/* it drains into the kernel */
		;
	detail = detail_of(ep);
	CHECK_GE(detail.send.count, 1);
	CHECK_GE(detail.send.max, 49 * MS);
	CHECK_EQ(bp_conn_wait_unthrottled(conn, 150), -ETIMEDOUT);
	CHECK_EQ(detail_of(ep).send.count, detail.send.count + 1);
	CHECK(detail_of(ep).send.max >= 149 * MS);
	bp_conn_abort(conn, BP_REASON_ABORT);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_dequeued_are_frames_that_were_taken),
		TEST(test_dequeued_are_frames_that_were_handled),
		TEST(test_each_frame_that_is_queued_is_in_its_bucket),
		TEST(test_each_frame_that_is_handled_is_in_its_bucket),
		TEST(test_each_frame_of_a_batch_counts),
		TEST(test_each_frame_of_a_run_of_handlers_counts),
		TEST(test_wait_is_from_arrival_until_it_is_received),
		TEST(test_wait_of_a_connection_is_its_own),
		TEST(test_wait_for_a_handler_is_that_for_its_turn),
		TEST(test_each_wait_of_a_send_is_counted),
	};

	return run_suite("detail_waits", tests, COUNT_OF(tests), argc, argv);
}
