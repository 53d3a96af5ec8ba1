/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_recent.c - bp_endpoint_closed(): who has left, why, when, and what held it up.
 */
#include "config.h"

#include "corners.h"
#include "detail.h"
#include "harness.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { KEPT = 128 };

static char addr[ADDR_MAX], bytes[40000];
static struct bp_endpoint *ep;
static struct bp_closed closed[KEPT + 10];

static struct bp_conn_config framed(void)
{
	return (struct bp_conn_config){ .framer = &bp_framer_u32be };
}

/* Take what comes until CLOSED, which is freed. */
static void take_closed(void)
{
	struct bp_event *event;
	bool last = false;

	while (!last) {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		last = event->kind == BP_CLOSED;
		bp_event_free(event);
	}
}

/* The latest, once there are n. */
static struct bp_closed await_closed(uint64_t n)
{
	WAIT_UNTIL(stats_of(ep).closed == n);
	memset(closed, 0xA5, sizeof closed);
	REQUIRE(bp_endpoint_closed(ep, closed, 1) == 1);
	return closed[0];
}

/* ---- one ------------------------------------------------------------------ */

static void test_closed_is_told_with_all_that_was_of_it(void)
{
	struct bp_conn_config config = framed();
	char peer[ADDR_MAX];
	struct bp_closed last;
	struct bp_conn *conn;
	uint64_t id, before, between;
	int fd;

	ep = serve(NULL, &config, addr);
	CHECK_EQ(bp_endpoint_closed(ep, closed, 1), 0);
	before = now_ns();
	fd = peer_connect(addr);
	conn = take_opened(ep);
	between = now_ns();
	id = bp_conn_id(conn);
	snprintf(peer, sizeof peer, "%s", bp_conn_peer(conn));
	peer_send_u32be(fd, bytes, 1000);
	skip_event(ep, BP_RECEIVED);
	REQUIRE_EQ(bp_send(conn, bytes, 500, SLOW(8000)), 0);
	peer_recv(fd, bytes, 504);
	CHECK_EQ(bp_endpoint_closed(ep, closed, 1), 0);
	peer_close(fd);
	take_closed();
	last = await_closed(1);
	CHECK_EQ(last.id, id);
	CHECK_STR(last.peer, peer);
	CHECK_EQ(last.reason, BP_REASON_PEER);
	CHECK_EQ(last.err, 0);
	CHECK(last.opened_ns >= before && last.opened_ns <= between);
	CHECK(last.closed_ns >= between && last.closed_ns <= now_ns());
	CHECK_EQ(last.opened_ns, conn_detail_of(conn).opened_ns);
	CHECK_EQ(last.received_bytes, 1000);
	CHECK_EQ(last.sent_bytes, 504);
	CHECK(last.gate_ns == 0 && last.muted_ns == 0 && last.throttled_ns == 0);
	bp_conn_unref(conn);
	finish(ep);
}

/* ---- why ------------------------------------------------------------------ */

static void end_by_reset(int fd, struct bp_conn *conn)
{
	(void)conn;
	peer_reset(fd);
}

static void end_by_abort(int fd, struct bp_conn *conn)
{
	bp_conn_abort(conn, BP_REASON_LIMIT);
	peer_close(fd);
}

static void end_by_close(int fd, struct bp_conn *conn)
{
	bp_conn_close(conn);
	peer_expect_fin(fd);
	peer_close(fd);
}

static void end_within_a_frame(int fd, struct bp_conn *conn)
{
	(void)conn;
	peer_send(fd, "\0\0\0\5he", 6);
	peer_close(fd);
}

static void end_by_a_frame_too_large(int fd, struct bp_conn *conn)
{
	(void)conn;
	peer_send(fd, "\xff\xff\xff\xff", 4);
	peer_expect_reset(fd);
	peer_close(fd);
}

static void test_closed_says_why_the_latest_first(void)
{
	static const struct {
		void (*end)(int fd, struct bp_conn *conn);
		enum bp_reason reason;
		int err;
	} ways[] = {
		{ end_by_reset, BP_REASON_RESET, -ECONNRESET },
		{ end_by_abort, BP_REASON_LIMIT, 0 },
		{ end_by_close, BP_REASON_LOCAL, 0 },
		{ end_within_a_frame, BP_REASON_TRUNCATED, 0 },
		{ end_by_a_frame_too_large, BP_REASON_OVERSIZE, 0 },
	};
	struct bp_conn_config config = framed();
	uint64_t ids[COUNT_OF(ways)];

	ep = serve(NULL, &config, addr);
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		int fd = peer_connect(addr);
		struct bp_conn *conn = take_opened(ep);

		ids[i] = bp_conn_id(conn);
		ways[i].end(fd, conn);
		take_closed();
		bp_conn_unref(conn);
		await_closed(i + 1);
	}
	REQUIRE_EQ(bp_endpoint_closed(ep, closed, KEPT), COUNT_OF(ways));
	for (size_t i = 0; i < COUNT_OF(ways); i++) {
		const struct bp_closed *one = &closed[COUNT_OF(ways) - 1 - i];

		CHECK_EQ(one->id, ids[i]);
		CHECK_EQ(one->reason, ways[i].reason);
		CHECK(i == 4 || one->err == ways[i].err);
		CHECK(one == closed || one->closed_ns <= one[-1].closed_ns);
	}
	finish(ep);
}

/* What was never made did not end. */
static void test_closed_has_none_that_never_opened(void)
{
	struct bp_conn *conn;
	char nobody[ADDR_MAX];

	peer_close(peer_listen(nobody));
	ep = new_endpoint(NULL);
	CHECK_EQ(bp_connect(ep, NULL, nobody, NULL, SLOW(8000)), -ECONNREFUSED);
	REQUIRE_EQ(bp_connect(ep, &conn, nobody, NULL, 0), 0);
	skip_event(ep, BP_CLOSED);
	REQUIRE_EQ(bp_conn_wait_closed(conn, SLOW(8000)), 0);
	bp_conn_unref(conn);
	WAIT_UNTIL(stats_of(ep).conns == 0);
	CHECK_EQ(bp_endpoint_closed(ep, closed, KEPT), 0);
	finish(ep);
}

/* ---- many ----------------------------------------------------------------- */

static void test_closed_are_the_last_128(void)
{
	enum { MORE = KEPT + 72 };
	uint64_t ids[MORE];

	ep = serve(NULL, NULL, addr);
	for (unsigned i = 0; i < MORE; i++) {
		int fd = peer_connect(addr);
		struct bp_conn *conn = take_opened(ep);

		ids[i] = bp_conn_id(conn);
		bp_conn_unref(conn);
		peer_reset(fd);
		take_closed();
		await_closed(i + 1);	/* its reader may be behind who takes CLOSED */
		if (i == KEPT - 2) {
			CHECK_EQ(bp_endpoint_closed(ep, closed, KEPT + 10), KEPT - 1);
			CHECK_EQ(closed[KEPT - 2].id, ids[0]);
		}
	}
	REQUIRE_EQ(bp_endpoint_closed(ep, closed, KEPT + 10), KEPT);
	for (int i = 0; i < KEPT; i++)
		CHECK_EQ(closed[i].id, ids[MORE - 1 - i]);
	memset(closed, 0xA5, sizeof closed);
	REQUIRE_EQ(bp_endpoint_closed(ep, closed, 3), 3);
	CHECK_EQ(closed[2].id, ids[MORE - 3]);
	CHECK_EQ(closed[3].id, UINT64_C(0xA5A5A5A5A5A5A5A5));	/* not written */
	CHECK_EQ(bp_endpoint_closed(ep, NULL, 0), 0);
	finish(ep);
}

/* They are told also when the endpoint is stopped. */
static void test_closed_are_told_after_a_stop(void)
{
	int fds[2];

	ep = serve(NULL, NULL, addr);
	for (int i = 0; i < 2; i++) {
		fds[i] = peer_connect(addr);
		skip_event(ep, BP_OPENED);
	}
	REQUIRE_EQ(bp_endpoint_stop(ep, 0), 0);
	REQUIRE_EQ(bp_endpoint_closed(ep, closed, KEPT), 2);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(closed[i].reason, BP_REASON_SHUTDOWN);
		peer_close(fds[i]);
	}
	finish(ep);
}

/* ---- names ---------------------------------------------------------------- */

/* As long as the system lets it be. */
static int connect_from_long_path(const char *dir, char path[BP_PEER_MAX])
{
	struct sockaddr_un from = { .sun_family = AF_UNIX };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = sizeof from.sun_path;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	memset(from.sun_path, 'x', len - 1);
	memcpy(from.sun_path, dir, strlen(dir));
	from.sun_path[strlen(dir)] = '/';
	snprintf(to.sun_path, sizeof to.sun_path, "%s/server", dir);
	REQUIRE_EQ(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	REQUIRE_EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	snprintf(path, BP_PEER_MAX, "unix:%.*s", (int)len, from.sun_path);
	return fd;
}

static void test_closed_has_the_whole_name_of_a_unix_peer(void)
{
	char dir[] = "/tmp/bp_recent.XXXXXX", server[ADDR_MAX], path[BP_PEER_MAX];
	struct bp_closed last;
	int fd;

	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(server, sizeof server, "unix:%s/server", dir);
	ep = new_endpoint(NULL);
	listen_on(ep, server, NULL, addr);
	fd = connect_from_long_path(dir, path);
	skip_event(ep, BP_OPENED);
	peer_close(fd);
	take_closed();
	last = await_closed(1);
	CHECK_EQ(strlen(last.peer), 5 + 107);
	CHECK_STR(last.peer, path);
	finish(ep);
	CHECK_EQ(unlink(path + 5), 0);
	CHECK_EQ(rmdir(dir), 0);
}

/* ---- what held it up ------------------------------------------------------ */

static void test_closed_tells_what_held_it_up(void)
{
	const struct bp_endpoint_config config = { .qdisc = &bp_qdisc_one_place };
	struct bp_conn_config conn_config = narrow_config();
	struct bp_conn_detail detail;
	struct bp_closed last;
	struct bp_conn *conn;
	int fd;

	conn_config.couple = BP_OFF;
	ep = serve(&config, &conn_config, addr);
	fd = narrow_connect(addr);
	conn = take_opened(ep);
	for (int i = 0; i < 2; i++)
		peer_send_u32be(fd, bytes, 10);
	WAIT_UNTIL(conn_detail_of(conn).stats.gate_ns > 2 * MS);
	bp_conn_mute(conn);
	fill_out_queue(conn);
	WAIT_UNTIL(conn_detail_of(conn).stats.muted_ns > 2 * MS
	    && conn_detail_of(conn).stats.throttled_ns > 2 * MS
	    && conn_detail_of(conn).stats.rwnd_limited_us > 2000);
	detail = conn_detail_of(conn);
	bp_conn_abort(conn, BP_REASON_SLOW);
	last = await_closed(1);
	CHECK_EQ(last.reason, BP_REASON_SLOW);
	CHECK(last.gate_ns >= detail.stats.gate_ns && last.gate_ns > 2 * MS);
	CHECK(last.muted_ns >= detail.stats.muted_ns);
	CHECK(last.throttled_ns >= detail.stats.throttled_ns);
	CHECK(last.rwnd_limited_us >= detail.stats.rwnd_limited_us);
	/* and no longer than it lived */
	CHECK(last.gate_ns <= last.closed_ns - last.opened_ns);
	CHECK(last.muted_ns <= last.closed_ns - last.opened_ns);
	CHECK(last.throttled_ns <= last.closed_ns - last.opened_ns);
	CHECK(last.rwnd_limited_us <= (last.closed_ns - last.opened_ns) / 1000 + 20000);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_closed_is_told_with_all_that_was_of_it),
		TEST(test_closed_says_why_the_latest_first),
		TEST(test_closed_has_none_that_never_opened),
		TEST(test_closed_are_the_last_128),
		TEST(test_closed_are_told_after_a_stop),
		TEST(test_closed_has_the_whole_name_of_a_unix_peer),
		TEST(test_closed_tells_what_held_it_up),
	};

	return run_suite("recent", tests, COUNT_OF(tests), argc, argv);
}
