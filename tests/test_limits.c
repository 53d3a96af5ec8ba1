/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_limits.c - every limit is on by default, and 0 never means none (P20).
 *
 * Of the defaults those are tried that can be met in a short test; what the minutes
 * among the deadlines are is seen where they are set to milliseconds.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

static char addr[ADDR_MAX];

/* P20 */
static void test_limits_of_an_endpoint_are_on_by_default(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct rlimit files;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
	CHECK_EQ(stats_of(ep).budget, 128 * MIB);
	CHECK_LE(stats_of(ep).conns_max, 1024);
	CHECK(stats_of(ep).conns_max < files.rlim_cur);
	if (files.rlim_cur > 2048)
		CHECK_EQ(stats_of(ep).conns_max, 1024);
	finish(ep);
}

/* P20: no more connections than there can be descriptors */
static void test_limits_of_descriptors_bound_the_connections(void)
{
	struct bp_endpoint_config config = { .conns_max = 1000 };
	struct rlimit files;
	struct bp_endpoint *ep;

	REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
	files.rlim_cur = 100;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &files) == 0);
	ep = new_endpoint(&config);
	CHECK(stats_of(ep).conns_max < 100);
	CHECK_GE(stats_of(ep).conns_max, 10);
	finish(ep);
}

static void check_closed_for(struct bp_endpoint *ep, enum bp_reason reason)
{
	struct bp_event *event = next_event(ep, BP_CLOSED);

	CHECK_EQ(event->reason, reason);
	bp_event_free(event);
}

/* P20: 16 MiB */
static void test_limits_a_frame_by_default(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	uint32_t over = htonl(16 * MIB + 1), most = htonl(16 * MIB);
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);

	peer_send(fd, &over, sizeof over);
	skip_event(ep, BP_OPENED);
	check_closed_for(ep, BP_REASON_OVERSIZE);
	peer_close(fd);
	fd = peer_connect(addr);
	peer_send(fd, &most, sizeof most);
	skip_event(ep, BP_OPENED);
	WAIT_UNTIL(stats_of(ep).held_bytes >= 16 * MIB);
	peer_close(fd);
	check_closed_for(ep, BP_REASON_TRUNCATED);
	finish(ep);
}

/* P20: what the budget can never admit is refused by default, not waited for */
static void test_limits_a_frame_by_the_budget_when_that_is_less(void)
{
	struct bp_endpoint_config config = { .budget = 1 * MIB, .guarantee = 4 * KIB,
	    .conns_max = 16 };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };
	uint32_t head = htonl(1 * MIB);
	struct bp_endpoint *ep = serve(&config, &conn_config, addr);
	int fd = peer_connect(addr);

	peer_send(fd, &head, sizeof head);
	skip_event(ep, BP_OPENED);
	check_closed_for(ep, BP_REASON_OVERSIZE);
	peer_close(fd);
	finish(ep);
}

/* P20: throttled at 256 KiB, and no more than that and a frame is ever queued */
static void test_limits_the_out_queue_by_default(void)
{
	struct bp_conn_config config = { .sndbuf = 16 * KIB };
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 16 * KIB);
	struct bp_conn *conn = take_opened(ep);

	fill_out_queue(conn);
	CHECK_GE(bp_conn_pending(conn), 192 * KIB);	/* the kernel took some since */
	CHECK_LE(bp_conn_pending(conn), (256 + 8) * KIB);
	CHECK_EQ(stats_of(ep).out_bytes, bp_conn_pending(conn));
	bp_conn_unref(conn);
	peer_reset(fd);
	finish(ep);
}

static void ask_without_reading(struct bp_endpoint *ep, int fd, bool coupled)
{
	struct bp_conn *conn = take_opened(ep);
	struct bp_event *event;

	fill_out_queue(conn);
	peer_send(fd, "ask\n", 4);
	if (coupled) {
		CHECK_EQ(bp_receive(ep, &event, 150), -ETIMEDOUT);
		CHECK(bp_conn_throttled(conn));
	} else {
		skip_event(ep, BP_RECEIVED);
		CHECK(bp_conn_throttled(conn));
	}
	bp_conn_unref(conn);
}

/* P20, P10: who asks and never reads is not heard; for made connections it is off */
static void test_limits_by_coupling_accepted_connections_by_default(void)
{
	struct bp_conn_config config = { .sndbuf = 16 * KIB, .rcvbuf = 16 * KIB };
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 16 * KIB), listener;

	ask_without_reading(ep, fd, true);
	peer_reset(fd);
	finish(ep);

	listener = peer_listen(addr);
	peer_set_option(listener, SOL_SOCKET, SO_RCVBUF, 16 * KIB);
	ep = new_endpoint(NULL);
	REQUIRE_EQ(bp_connect(ep, NULL, addr, &config, SLOW(2000)), 0);
	fd = peer_accept(listener);
	ask_without_reading(ep, fd, false);
	peer_reset(fd);
	peer_close(listener);
	finish(ep);
}

/* P20: parameters that contradict each other are refused, not mended in silence */
static void test_limits_that_contradict_each_other_are_refused(void)
{
	const struct bp_conn_config wrong[] = {
		{ .out_high = 1000, .out_low = 1000 },
		{ .out_high = 1000, .out_low = 2000 },
		{ .frame_max = 128 * MIB },		/* the whole budget */
		{ .frame_max = 1000, .expect = 1001 },
		{ .framer = &bp_framer_line, .expect = 8 },
		{ .header_ms = -2 }, { .frame_ms = -2 }, { .idle_ms = -2 },
		{ .write_ms = -2 }, { .linger_ms = -2 },
	};
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_listener *listener = NULL;
	struct bp_conn *conn = NULL;

	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		CHECK_EQ(bp_listen(ep, &listener, "127.0.0.1:0", &wrong[i]), -EINVAL);
		CHECK_EQ(bp_connect(ep, &conn, "127.0.0.1:1", &wrong[i], 0), -EINVAL);
	}
	CHECK(listener == NULL);
	CHECK(conn == NULL);
	CHECK_EQ(stats_of(ep).opened, 0);
	finish(ep);
}

/* P20: no limit is a word, and only where it is written */
static void test_limits_go_away_only_when_told_so(void)
{
	struct bp_endpoint_config config = { .budget = BP_UNLIMITED,
	    .conns_max = 100 };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be,
	    .out_high = BP_UNLIMITED, .sndbuf = 16 * KIB };
	struct bp_endpoint *ep = serve(&config, &conn_config, addr);
	int fd = peer_connect_rcvbuf(addr, 16 * KIB);
	struct bp_conn *conn = take_opened(ep);
	static char large[1 * MIB];

	CHECK_EQ(stats_of(ep).budget, BP_UNLIMITED);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(bp_send(conn, large, sizeof large, 0), 0);
	CHECK(!bp_conn_throttled(conn));
	CHECK_GE(bp_conn_pending(conn), 4 * MIB);
	bp_conn_unref(conn);
	peer_reset(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_limits_of_an_endpoint_are_on_by_default),
		TEST(test_limits_of_descriptors_bound_the_connections),
		TEST(test_limits_a_frame_by_default),
		TEST(test_limits_a_frame_by_the_budget_when_that_is_less),
		TEST(test_limits_the_out_queue_by_default),
		TEST(test_limits_by_coupling_accepted_connections_by_default),
		TEST(test_limits_that_contradict_each_other_are_refused),
		TEST(test_limits_go_away_only_when_told_so),
	};

	return run_suite("limits", tests, COUNT_OF(tests), argc, argv);
}
