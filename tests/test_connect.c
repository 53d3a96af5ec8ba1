/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_connect.c - connections that are made, or adopted: how it goes well, how it
 * fails, and what ends one that is still being made.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel has given up on one, or on several, though time is left. */
static atomic_int given_up;

int __real_bp__sock_error(int fd);
int __wrap_bp__sock_error(int fd);

int __wrap_bp__sock_error(int fd)
{
	return atomic_load(&given_up) > 0 && atomic_fetch_sub(&given_up, 1) > 0
	    ? -ETIMEDOUT : __real_bp__sock_error(fd);
}

/* ---- it goes well ------------------------------------------------------- */

static void test_a_connection_that_is_made_exchanges_frames(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	struct bp_endpoint *ep = new_endpoint(NULL);
	char addr[ADDR_MAX];
	int listener = peer_listen(addr), fd;
	struct bp_conn *conn;

	REQUIRE_EQ(bp_connect(ep, &conn, addr, &config, SLOW(5000)), 0);
	fd = peer_accept(listener);
	CHECK_STR(bp_conn_peer(conn), addr);
	CHECK_EQ(bp_send(conn, "hello", 5, 0), 0);
	peer_expect_string(fd, "hello\n");
	peer_send_string(fd, "you\n");
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	CHECK_EQ(atomic_load(&seen.opened), 1);
	bp_conn_close(conn);
	peer_expect_fin(fd);
	peer_close(fd);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(5000)), 0);
	CHECK_EQ(atomic_load(&seen.closed), 1);
	bp_conn_unref(conn);
	peer_close(listener);
	finish(ep);
}

static struct bp_conn *made_conn;

static void check_made(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	CHECK(conn == made_conn);	/* written before the first handler */
}

static void test_connecting_with_timeout_0_tells_by_opened(void)
{
	struct seen seen = { .on_opened = check_made };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	struct bp_endpoint *ep = new_endpoint(NULL);
	char addr[ADDR_MAX];
	int listener = peer_listen(addr), fd;

	REQUIRE_EQ(bp_connect(ep, &made_conn, addr, &config, 0), 0);
	fd = peer_accept(listener);
	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	CHECK_EQ(bp_send(made_conn, "hello", 5, BP_FOREVER), 0);
	peer_expect_string(fd, "hello");
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	bp_conn_unref(made_conn);
	peer_close(listener);
	finish(ep);
}

static void test_a_name_is_resolved_and_each_address_tried(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	char addr[ADDR_MAX], name[ADDR_MAX];
	int listener = peer_listen(addr), fd, rc;
	struct bp_conn *conn;

	/* where localhost is ::1 first, nobody is there */
	snprintf(name, sizeof name, "localhost%s", strrchr(addr, ':'));
	rc = bp_connect(ep, &conn, name, NULL, SLOW(5000));
	if (rc == -ENOENT)
		skip_test("localhost does not resolve here");
	REQUIRE_EQ(rc, 0);
	fd = peer_accept(listener);
	CHECK_STR(bp_conn_peer(conn), addr);
	bp_conn_unref(conn);
	skip_event(ep, BP_OPENED);
	peer_close(fd);
	peer_close(listener);
	finish(ep);
}

/* ":port" is the host itself by IPv6, then by IPv4. */
static void test_the_next_address_is_tried_where_the_kernel_gives_up_on_one(void)
{
	static const int timeouts[] = { 5000, 0 };

	for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
		char addr[ADDR_MAX];
		struct bp_endpoint *there = new_endpoint(NULL), *ep = new_endpoint(NULL);
		struct bp_conn *conn;

		listen_on(there, ":0", NULL, addr);
		if (addr[0] != '[')
			skip_test("there is no IPv6");
		atomic_store(&given_up, 1);
		REQUIRE_EQ(bp_connect(ep, &conn, strrchr(addr, ':'), NULL,
		    SLOW(timeouts[i])), 0);
		skip_event(ep, BP_OPENED);
		CHECK_EQ(atomic_load(&given_up), 0);
		bp_conn_unref(conn);
		finish(ep);
		atomic_store(&given_up, 2);
		if (timeouts[i] > 0) {
			ep = new_endpoint(NULL);
			CHECK_EQ(bp_connect(ep, &conn, strrchr(addr, ':'), NULL,
			    SLOW(5000)), -ETIMEDOUT);
			finish(ep);
		}
		finish(there);
	}
}

static void test_the_local_address_can_be_chosen(void)
{
	struct bp_conn_config config = { .local = "127.0.0.9:0" };
	struct bp_endpoint *ep = new_endpoint(NULL);
	char addr[ADDR_MAX];
	int listener = peer_listen(addr), fd;
	struct bp_conn *conn;

	REQUIRE_EQ(bp_connect(ep, &conn, addr, &config, SLOW(5000)), 0);
	fd = peer_accept(listener);
	CHECK(strncmp(bp_conn_local(conn), "127.0.0.9:", 10) == 0);
	bp_conn_unref(conn);
	peer_close(fd);
	peer_close(listener);
	finish(ep);
}

static void test_an_adopted_socket_counts_as_accepted(void)
{
	struct bp_endpoint_config one = { .conns_max = 1 };
	struct seen seen = { 0 };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	struct bp_endpoint *ep = new_endpoint(&one);
	struct bp_conn *conn;
	int pair[2], other[2];

	REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other), 0);
	REQUIRE_EQ(bp_adopt(ep, &conn, pair[0], &config), 0);
	CHECK_EQ(bp_adopt(ep, NULL, other[0], &config), -EMFILE);
	CHECK_EQ(close(other[0]), 0);		/* it stayed ours */
	CHECK_EQ(close(other[1]), 0);
	peer_set_deadline(pair[1], SLOW(5000));
	peer_send_string(pair[1], "in\n");
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	CHECK_EQ(bp_send(conn, "out", 3, 0), 0);
	peer_expect_string(pair[1], "out\n");
	peer_close(pair[1]);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_PEER);
	bp_conn_unref(conn);
	finish(ep);
}

/* ---- it fails ----------------------------------------------------------- */

static void test_connecting_fails_with_the_cause(void)
{
	struct bp_endpoint_config one = { .conns_max = 1 };
	struct bp_conn *const untouched = (struct bp_conn *)&one;
	struct bp_endpoint *ep = new_endpoint(&one);
	struct bp_conn *conn = untouched;
	char addr[ADDR_MAX];
	int listener = peer_listen(addr), fd;

	CHECK_EQ(bp_connect(ep, &conn, "nonsense", NULL, 1000), -EINVAL);
	CHECK_EQ(bp_connect(ep, &conn, "no-such-name.invalid:1", NULL, 1000),
	    -ENOENT);
	CHECK_EQ(bp_connect(ep, &conn, "unix:/no/such/file", NULL, 1000),
	    -ENOENT);
	peer_close(listener);
	CHECK_EQ(bp_connect(ep, &conn, addr, NULL, 1000), -ECONNREFUSED);
	CHECK(conn == untouched);

	listener = peer_listen(addr);
	REQUIRE_EQ(bp_connect(ep, &conn, addr, NULL, SLOW(5000)), 0);
	CHECK_EQ(bp_connect(ep, NULL, addr, NULL, 1000), -EMFILE);
	fd = peer_accept(listener);
	bp_conn_unref(conn);
	peer_close(fd);
	peer_close(listener);
	finish(ep);
}

static void test_connecting_times_out_when_nobody_answers(void)
{
	struct black_hole nobody;
	struct bp_endpoint *ep = new_endpoint(NULL);
	uint64_t began = now_ms();

	black_hole_open(&nobody);
	CHECK_EQ(bp_connect(ep, NULL, nobody.addr, NULL, 150), -ETIMEDOUT);
	CHECK_GE(now_ms() - began, 149);
	CHECK_LE(now_ms() - began, SLOW(150 + 250));
	CHECK_EQ(bp_receive(ep, &(struct bp_event *){ NULL }, 0), -EAGAIN);
	black_hole_close(&nobody);
	check_quiet(ep);
	finish(ep);
}

/* ---- ended while connecting --------------------------------------------- */

enum ending { BY_CLOSE, BY_ABORT, BY_ENDPOINT_CLOSE, BY_STOP };

static void end_by(enum ending how, struct bp_endpoint *ep, struct bp_conn *conn)
{
	uint64_t began = now_ms();

	switch (how) {
	case BY_CLOSE:
		bp_conn_close(conn);
		break;
	case BY_ABORT:
		bp_conn_abort(conn, BP_REASON_SLOW);
		break;
	case BY_ENDPOINT_CLOSE:
		bp_endpoint_close(ep);
		break;
	case BY_STOP:
		CHECK_EQ(bp_endpoint_stop(ep, 0), 0);
		CHECK_LE(now_ms() - began, SLOW(250));
		break;
	}
}

static const enum bp_reason reason_of[] = {
	BP_REASON_LOCAL, BP_REASON_SLOW, BP_REASON_SHUTDOWN, BP_REASON_SHUTDOWN,
};

static void end_while_connecting_with_handlers(enum ending how)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct black_hole nobody;
	struct bp_conn *conn;
	uint64_t began;

	black_hole_open(&nobody);
	REQUIRE_EQ(bp_connect(ep, &conn, nobody.addr, &config, 0), 0);
	HOLDS_FOR_MS(atomic_load(&seen.opened) + atomic_load(&seen.closed) == 0,
	    30);
	began = now_ms();
	end_by(how, ep, conn);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(5000)), 0);
	CHECK_LE(now_ms() - began, SLOW(250));
	CHECK_EQ(atomic_load(&seen.opened), 0);
	CHECK_EQ(atomic_load(&seen.closed), 1);
	CHECK_EQ(atomic_load(&seen.reason), reason_of[how]);
	bp_conn_unref(conn);
	black_hole_close(&nobody);
	finish(ep);
	CHECK_EQ(atomic_load(&seen.closed), 1);
}

static void end_while_connecting_with_events(enum ending how)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct black_hole nobody;
	struct bp_event *event;
	struct bp_conn *conn;
	int rc;

	black_hole_open(&nobody);
	REQUIRE_EQ(bp_connect(ep, &conn, nobody.addr, NULL, 0), 0);
	CHECK_EQ(bp_receive(ep, &event, 30), -ETIMEDOUT);
	end_by(how, ep, conn);
	event = next_event(ep, BP_CLOSED);
	CHECK(event->conn == conn);
	CHECK_EQ(event->reason, reason_of[how]);
	bp_event_free(event);
	rc = bp_receive(ep, &event, 30);
	CHECK_EQ(rc, how <= BY_ABORT ? -ETIMEDOUT : -EPIPE);
	bp_conn_unref(conn);
	black_hole_close(&nobody);
	finish(ep);
}

/* Behaviour 14 */
static void test_whatever_ends_it_while_connecting_there_is_one_closed(void)
{
	enum ending how;

	for (how = BY_CLOSE; how <= BY_STOP; how++) {
		end_while_connecting_with_handlers(how);
		end_while_connecting_with_events(how);
	}
}

struct connecting {
	struct bp_endpoint *ep;
	const char *addr;
	int rc;
};

static void connect_for_ever(void *arg)
{
	struct connecting *c = arg;

	c->rc = bp_connect(c->ep, NULL, c->addr, NULL, BP_FOREVER);
}

/* Behaviour 14: the caller who waits is told by the call alone */
static void test_a_connect_that_waits_is_ended_by_stop(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct black_hole nobody;
	struct connecting c = { ep, nobody.addr, 0 };
	struct task *waiting;

	black_hole_open(&nobody);
	waiting = task_start(connect_for_ever, &c);
	HOLDS_FOR_MS(!task_done(waiting), 50);
	CHECK_EQ(bp_endpoint_stop(ep, 0), 0);
	task_join(waiting);
	CHECK_EQ(c.rc, -EPIPE);
	CHECK_EQ(bp_receive(ep, &(struct bp_event *){ NULL }, 0), -EPIPE);
	CHECK_EQ(bp_connect(ep, NULL, nobody.addr, NULL, 0), -EPIPE);
	CHECK_EQ(bp_listen(ep, NULL, "127.0.0.1:0", NULL), -EPIPE);
	black_hole_close(&nobody);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_connection_that_is_made_exchanges_frames),
		TEST(test_connecting_with_timeout_0_tells_by_opened),
		TEST(test_a_name_is_resolved_and_each_address_tried),
		TEST(test_the_next_address_is_tried_where_the_kernel_gives_up_on_one),
		TEST(test_the_local_address_can_be_chosen),
		TEST(test_an_adopted_socket_counts_as_accepted),
		TEST(test_connecting_fails_with_the_cause),
		TEST(test_connecting_times_out_when_nobody_answers),
		TEST(test_whatever_ends_it_while_connecting_there_is_one_closed),
		TEST(test_a_connect_that_waits_is_ended_by_stop),
	};

	return run_suite("connect", tests, COUNT_OF(tests), argc, argv);
}
