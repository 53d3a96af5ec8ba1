/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_beginnings.c - what is asked of a connection that is not made yet, or never
 * will be, and a listener that finds somebody's file where it was to be.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KIB = 1024, IDLE_MS = 400 };

/* Keeps a connection connecting until it is let on: its setup does not return. */
static struct {
	atomic_bool entered, let_on;
} hold;

static int hold_on(int fd, void *data)
{
	(void)fd, (void)data;
	atomic_store(&hold.entered, true);
	WAIT_UNTIL(atomic_load(&hold.let_on));
	return 0;
}

/* ---- listening where a file is ------------------------------------------ */

static void test_a_file_that_is_no_socket_is_left_where_it_is(void)
{
	char dir[] = "/tmp/bpthread-test-XXXXXX", addr[ADDR_MAX], text[5] = "";
	struct bp_endpoint *ep = new_endpoint(NULL);
	const char *path = addr + strlen("unix:");
	struct stat st;
	int fd;

	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(addr, sizeof addr, "unix:%s/precious", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	REQUIRE(fd >= 0);
	REQUIRE_EQ(write(fd, "data", 4), 4);
	CHECK_EQ(bp_listen(ep, NULL, addr, NULL), -EADDRINUSE);
	finish(ep);
	REQUIRE_EQ(lstat(path, &st), 0);
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, 4);
	CHECK_EQ(pread(fd, text, 4, 0), 4);
	CHECK_STR(text, "data");
	close(fd);
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(rmdir(dir), 0);
}

/* ---- sending while it is being connected -------------------------------- */

static struct {
	struct bp_conn *conn;
	int rc;
} late;

static void send_late(void *arg)
{
	(void)arg;
	late.rc = bp_send(late.conn, "late", 4, SLOW(8000));
}

static void test_a_send_that_waits_while_connecting_is_admitted_in_the_end(void)
{
	struct bp_conn_config config = { .setup = hold_on };
	struct bp_endpoint *ep = new_endpoint(NULL);
	const size_t size = 300 * KIB;
	char addr[ADDR_MAX], *data = malloc(size);
	int listener = peer_listen(addr), fd;
	struct task *sending;

	REQUIRE(data != NULL);
	pattern_fill(data, 0, size);
	REQUIRE_EQ(bp_connect(ep, &late.conn, addr, &config, 0), 0);
	REQUIRE_EQ(bp_send(late.conn, data, size, 0), 0);
	free(data);
	CHECK(bp_conn_throttled(late.conn));
	sending = task_start(send_late, NULL);
	HOLDS_FOR_MS(!task_done(sending), 100);
	atomic_store(&hold.let_on, true);
	fd = peer_accept(listener);
	peer_expect_pattern(fd, 0, size);
	peer_expect_string(fd, "late");
	task_join(sending);
	CHECK_EQ(late.rc, 0);
	bp_conn_unref(late.conn);
	peer_close(fd);
	peer_close(listener);
	finish(ep);
}

/* ---- a connection that is not made after all ---------------------------- */

static struct {
	struct bp_endpoint *ep;
	char addr[ADDR_MAX];
	int rc;
} failing;

static void connect_in_vain(void *arg)
{
	struct bp_conn_config config = { .setup = hold_on };

	(void)arg;
	failing.rc = bp_connect(failing.ep, NULL, failing.addr, &config, SLOW(8000));
}

static bool count_one(struct bp_conn *conn, void *arg)
{
	(void)conn;
	++*(int *)arg;
	return true;
}

/* Nobody hears of it when it fails: so nobody may get hold of it before. */
static void test_a_connection_half_made_is_not_shown(void)
{
	struct task *connecting;
	int shown = 0;

	peer_close(peer_listen(failing.addr));	/* nobody is there now */
	failing.ep = new_endpoint(NULL);
	connecting = task_start(connect_in_vain, NULL);
	WAIT_UNTIL(atomic_load(&hold.entered));
	bp_endpoint_each(failing.ep, count_one, &shown);
	CHECK_EQ(shown, 0);
	CHECK_EQ(stats_of(failing.ep).conns, 1);
	atomic_store(&hold.let_on, true);
	task_join(connecting);
	CHECK_EQ(failing.rc, -ECONNREFUSED);
	WAIT_UNTIL(stats_of(failing.ep).conns == 0);
	finish(failing.ep);
}

static void test_what_was_sent_to_a_connection_never_made_is_dropped(void)
{
	struct bp_conn_config config = { .setup = hold_on };
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_event *event;
	struct bp_conn *conn;
	char addr[ADDR_MAX];

	peer_close(peer_listen(addr));
	REQUIRE_EQ(bp_connect(ep, &conn, addr, &config, 0), 0);
	WAIT_UNTIL(atomic_load(&hold.entered));
	CHECK_EQ(bp_send(conn, "lost", 4, 0), 0);
	CHECK_EQ(bp_conn_pending(conn), 4);
	CHECK_EQ(bp_conn_wait_closed(conn, 0), -EAGAIN);
	atomic_store(&hold.let_on, true);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(8000)), 0);
	CHECK_EQ(bp_conn_pending(conn), 0);
	CHECK_EQ(bp_send(conn, "x", 1, BP_FOREVER), -EPIPE);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_RESET);
	CHECK_EQ(event->err, -ECONNREFUSED);
	bp_event_free(event);
	bp_conn_unref(conn);
	finish(ep);
}

/* ---- time --------------------------------------------------------------- */

static void test_connecting_is_not_idling(void)
{
	struct bp_conn_config config = { .setup = hold_on, .idle_ms = IDLE_MS };
	struct bp_endpoint *ep = new_endpoint(NULL);
	char addr[ADDR_MAX];
	int listener = peer_listen(addr), fd;
	struct bp_event *event;
	uint64_t opened_ns;

	REQUIRE_EQ(bp_connect(ep, NULL, addr, &config, 0), 0);
	WAIT_UNTIL(atomic_load(&hold.entered));
	HOLDS_FOR_MS(stats_of(ep).queued_events == 0, 2 * IDLE_MS);
	atomic_store(&hold.let_on, true);
	fd = peer_accept(listener);
	event = next_event(ep, BP_OPENED);
	opened_ns = event->arrived_ns;
	bp_event_free(event);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_IDLE);
	CHECK_GE(event->arrived_ns - opened_ns, (IDLE_MS - 20) * 1000000);
	bp_event_free(event);
	peer_close(fd);
	peer_close(listener);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_file_that_is_no_socket_is_left_where_it_is),
		TEST(test_a_send_that_waits_while_connecting_is_admitted_in_the_end),
		TEST(test_a_connection_half_made_is_not_shown),
		TEST(test_what_was_sent_to_a_connection_never_made_is_dropped),
		TEST(test_connecting_is_not_idling),
	};

	return run_suite("beginnings", tests, COUNT_OF(tests), argc, argv);
}
