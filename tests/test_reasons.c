/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_reasons.c - why a connection ended: each reason there is, what the peer sees
 * of it, and that it is one and the same in CLOSED and in the statistics (seen.c).
 *
 * HEADER, IDLE, STALLED_FRAME and STALLED_WRITE: test_deadlines.c. OVERSIZE and
 * PROTOCOL, as the framer finds them: test_framing.c.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MIB = 1 << 20, ANY_ERR = 1 };

/* One connection, and its reason once it has ended. */
struct one {
	struct seen seen;
	struct bp_endpoint *ep;
	struct bp_conn *conn;
	int fd;
};

static void open_one(struct one *one, const struct bp_framer_ops *framer)
{
	struct bp_conn_config config = { .framer = framer, .ops = &seen_ops,
	    .data = &one->seen };
	char addr[ADDR_MAX];

	*one = (struct one){ .fd = -1 };
	one->ep = serve(NULL, &config, addr);
	one->fd = peer_connect(addr);
	one->conn = only_conn(one->ep);
	WAIT_UNTIL(atomic_load(&one->seen.opened) == 1);
	CHECK_EQ(conn_stats_of(one->conn).reason, BP_REASON_NONE);
}

static void check_end(struct one *one, enum bp_reason reason, int err)
{
	WAIT_UNTIL(atomic_load(&one->seen.closed) == 1);
	CHECK_EQ(atomic_load(&one->seen.reason), reason);
	if (err != ANY_ERR)
		CHECK_EQ(atomic_load(&one->seen.err), err);
	CHECK_EQ(conn_stats_of(one->conn).reason, reason);
	CHECK_EQ(bp_send(one->conn, "x", 1, BP_FOREVER), -EPIPE);
	CHECK_EQ(bp_conn_wait_closed(one->conn, SLOW(8000)), 0);
	bp_conn_unref(one->conn);
	if (one->fd >= 0)
		peer_close(one->fd);
	finish(one->ep);
}

static void test_local_is_a_close_of_ours(void)
{
	struct one one;

	open_one(&one, NULL);
	bp_conn_close(one.conn);
	peer_expect_fin(one.fd);
	peer_half_close(one.fd);
	check_end(&one, BP_REASON_LOCAL, 0);
}

static void test_local_is_an_end_of_ours_that_came_first(void)
{
	struct one one;

	open_one(&one, NULL);
	bp_conn_end(one.conn);
	peer_expect_fin(one.fd);
	peer_half_close(one.fd);
	check_end(&one, BP_REASON_LOCAL, 0);
}

static void test_peer_is_an_end_of_the_peers_that_came_first(void)
{
	struct one one;

	open_one(&one, NULL);
	peer_half_close(one.fd);
	peer_expect_fin(one.fd);
	check_end(&one, BP_REASON_PEER, 0);
}

static void test_shutdown_is_the_closing_of_the_endpoint(void)
{
	struct one one;

	open_one(&one, NULL);
	bp_endpoint_close(one.ep);
	peer_expect_fin(one.fd);
	peer_half_close(one.fd);
	check_end(&one, BP_REASON_SHUTDOWN, 0);
}

static void test_shutdown_is_what_the_grace_of_a_stop_cuts_off(void)
{
	struct one one;
	int end;

	open_one(&one, NULL);
	CHECK_EQ(bp_endpoint_stop(one.ep, 0), 0);
	peer_read_to_end(one.fd, &end);
	CHECK(end == 0 || end == -ECONNRESET);
	check_end(&one, BP_REASON_SHUTDOWN, ANY_ERR);
}

static void test_reset_is_a_connection_that_broke(void)
{
	struct one one;

	open_one(&one, NULL);
	peer_reset(one.fd);
	one.fd = -1;
	check_end(&one, BP_REASON_RESET, -ECONNRESET);
}

static void test_truncated_is_an_end_within_a_frame(void)
{
	struct one one;

	open_one(&one, &bp_framer_u32be);
	peer_send(one.fd, "\0\0\0\1x\0\0", 7);
	peer_half_close(one.fd);
	peer_expect_fin(one.fd);
	check_end(&one, BP_REASON_TRUNCATED, ANY_ERR);
}

static void test_oversize_is_a_length_of_4_gib(void)
{
	struct one one;

	open_one(&one, &bp_framer_u32be);
	peer_send(one.fd, "\xff\xff\xff\xff", 4);
	peer_expect_reset(one.fd);
	check_end(&one, BP_REASON_OVERSIZE, ANY_ERR);
}

/* P5: and the peer sees a reset, with whichever reason */
static void test_an_abort_has_the_reason_it_was_given(void)
{
	static const enum bp_reason yours[] = {
		BP_REASON_ABORT, BP_REASON_PROTOCOL, BP_REASON_SLOW,
		BP_REASON_LIMIT, BP_REASON_OVERSIZE, BP_REASON_NO_MEMORY,
	};
	struct one one;
	size_t i;

	for (i = 0; i < COUNT_OF(yours); i++) {
		open_one(&one, NULL);
		bp_conn_abort(one.conn, yours[i]);
		peer_expect_reset(one.fd);
		check_end(&one, yours[i], ANY_ERR);
	}
}

static void test_the_first_reason_that_held_is_kept(void)
{
	struct one one;

	open_one(&one, NULL);
	bp_conn_abort(one.conn, BP_REASON_SLOW);
	bp_conn_abort(one.conn, BP_REASON_LIMIT);
	bp_conn_close(one.conn);
	bp_endpoint_close(one.ep);
	peer_expect_reset(one.fd);
	check_end(&one, BP_REASON_SLOW, ANY_ERR);
}

static size_t mapped_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	REQUIRE(file != NULL);
	REQUIRE_EQ(fscanf(file, "%zu", &pages), 1);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* P19: harms the connection that needed the memory */
static void test_no_memory_is_a_frame_that_there_is_no_memory_for(void)
{
	struct rlimit limit, before;
	struct one one;

	if (is_sanitized())
		skip_test("RLIMIT_AS does not go with a sanitizer");
	open_one(&one, &bp_framer_u32be);
	REQUIRE_EQ(getrlimit(RLIMIT_AS, &before), 0);
	limit = before;
	limit.rlim_cur = mapped_bytes() + 8 * MIB;
	REQUIRE_EQ(setrlimit(RLIMIT_AS, &limit), 0);
	peer_send(one.fd, "\0\0\0\1x\1\0\0\0", 9);
	peer_expect_reset(one.fd);
	WAIT_UNTIL(atomic_load(&one.seen.closed) == 1);
	REQUIRE_EQ(setrlimit(RLIMIT_AS, &before), 0);
	CHECK_EQ(atomic_load(&one.seen.received), 1);
	check_end(&one, BP_REASON_NO_MEMORY, -ENOMEM);
}

static void test_reset_is_also_a_connection_that_was_never_made(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	struct bp_endpoint *ep = new_endpoint(NULL);
	char addr[ADDR_MAX];
	struct bp_conn *conn;

	peer_close(peer_listen(addr));	/* nobody is there now */
	REQUIRE_EQ(bp_connect(ep, &conn, addr, &config, 0), 0);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.opened), 0);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_RESET);
	CHECK_EQ(atomic_load(&seen.err), -ECONNREFUSED);
	bp_conn_unref(conn);
	finish(ep);
}

static void test_every_reason_has_a_name_of_its_own(void)
{
	int a, b;

	for (a = BP_REASON_NONE; a <= BP_REASON_NO_MEMORY; a++) {
		CHECK(bp_reason_name(a) != NULL && bp_reason_name(a)[0]);
		for (b = BP_REASON_NONE; b < a; b++)
			CHECK(strcmp(bp_reason_name(a), bp_reason_name(b)));
	}
	CHECK_STR(bp_reason_name(BP_REASON_STALLED_WRITE), "stalled write");
	CHECK(bp_reason_name((enum bp_reason)999) != NULL);
	CHECK(strlen(bp_strerror(-EPIPE)) > 0);
	CHECK(strcmp(bp_strerror(-EPIPE), bp_strerror(-EAGAIN)) != 0);
	CHECK(bp_strerror(-99999) != NULL);
}

/* ---- the log -------------------------------------------------------------- */

static char logged[1000];
static atomic_int lines;

static void keep_line(int level, const char *line, void *arg)
{
	(void)level, (void)arg;
	snprintf(logged, sizeof logged, "%s", line);
	atomic_fetch_add(&lines, 1);
}

static struct sockaddr_un unix_address(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	REQUIRE(strlen(path) < sizeof un.sun_path);
	memcpy(un.sun_path, path, strlen(path));
	return un;
}

/* A client that is bound to a path of its own. */
static int connect_from(const char *path, const char *to)
{
	struct sockaddr_un from = unix_address(path);
	struct sockaddr_un at = unix_address(to + strlen("unix:"));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	REQUIRE_EQ(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	REQUIRE_EQ(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

/* A name is its peer's choice; and one that never was a connection is none's end. */
static void test_log_has_a_printable_line_whatever_a_peer_calls_itself(void)
{
	const struct bp_endpoint_config config = { .log = keep_line };
	struct bp_endpoint *ep = new_endpoint(&config);
	char name[ADDR_MAX], addr[ADDR_MAX], path[100], wanted[200];
	struct bp_conn *conn;
	int fd;

	snprintf(name, sizeof name, "unix:/tmp/bp_reasons.%d", (int)getpid());
	snprintf(path, sizeof path, "/tmp/bp_reasons.%d\n<0>\033[31m\xff", (int)getpid());
	listen_on(ep, name, NULL, addr);
	fd = connect_from(path, addr);
	unlink(path);
	skip_event(ep, BP_OPENED);
	conn = only_conn(ep);
	bp_conn_abort(conn, BP_REASON_LIMIT);
	WAIT_UNTIL(atomic_load(&lines) == 1);
	snprintf(wanted, sizeof wanted, "connection %llu, %s\\x0a<0>\\x1b[31m\\xff: %s",
	    (unsigned long long)bp_conn_id(conn), name, bp_reason_name(BP_REASON_LIMIT));
	CHECK_STR(logged, wanted);
	bp_conn_unref(conn);
	peer_close(fd);
	CHECK_EQ(bp_connect(ep, &conn, "unix:/nowhere/at/all", NULL, SLOW(1000)), -ENOENT);
	CHECK_EQ(atomic_load(&lines), 1);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_local_is_a_close_of_ours),
		TEST(test_local_is_an_end_of_ours_that_came_first),
		TEST(test_peer_is_an_end_of_the_peers_that_came_first),
		TEST(test_shutdown_is_the_closing_of_the_endpoint),
		TEST(test_shutdown_is_what_the_grace_of_a_stop_cuts_off),
		TEST(test_reset_is_a_connection_that_broke),
		TEST(test_truncated_is_an_end_within_a_frame),
		TEST(test_oversize_is_a_length_of_4_gib),
		TEST(test_an_abort_has_the_reason_it_was_given),
		TEST(test_the_first_reason_that_held_is_kept),
		TEST(test_no_memory_is_a_frame_that_there_is_no_memory_for),
		TEST(test_reset_is_also_a_connection_that_was_never_made),
		TEST(test_every_reason_has_a_name_of_its_own),
		TEST(test_log_has_a_printable_line_whatever_a_peer_calls_itself),
	};

	return run_suite("reasons", tests, COUNT_OF(tests), argc, argv);
}
