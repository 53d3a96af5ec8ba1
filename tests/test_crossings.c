/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_crossings.c - two things at once: a close with malformed input behind it, an
 * edge that rises while the other is told, a close while it connects.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { MIB = 1 << 20, ANSWER = MIB, PROMPT_MS = 300 };

/* ---- a close, and input that is no matter any more ---------------------- */

static void answer_and_close(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	char *answer = calloc(1, ANSWER);

	(void)buf, (void)seen;
	REQUIRE(answer != NULL);
	CHECK_EQ(bp_send(conn, answer, ANSWER, BP_FOREVER), 0);
	bp_conn_close(conn);
	free(answer);
}

/* P4: an announcement of 4 GiB lies behind the frame that is answered */
static void test_a_close_is_not_undone_by_malformed_input_behind_it(void)
{
	struct seen seen = { .on_received = answer_and_close };
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .ops = &seen_ops, .data = &seen, .out_high = 4 * MIB };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr), end;

	peer_send(fd, "\0\0\0\1x\377\377\377\377", 9);
	CHECK_EQ(peer_read_to_end(fd, &end), 4 + ANSWER);
	CHECK_EQ(end, 0);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_LOCAL);
	finish(ep);
}

/* ---- the writer tells of both edges ------------------------------------- */

static atomic_bool in_unthrottled, raised;
static atomic_int answer;

static void rise_meanwhile(struct bp_conn *conn, struct seen *seen)
{
	(void)conn, (void)seen;
	if (!atomic_exchange(&in_unthrottled, true))
		WAIT_UNTIL(atomic_load(&raised));
}

/* The second time it is told by the writer, right after unthrottled. */
static void send_where_it_is_told(struct bp_conn *conn, struct seen *seen)
{
	if (atomic_load(&seen->throttled) == 2)
		atomic_store(&answer, bp_send(conn, "x", 1, SLOW(3000)));
}

/* P16: a send that waited there would wait for its own thread */
static void test_a_send_in_throttled_does_not_wait_for_its_own_thread(void)
{
	struct seen seen = { .on_unthrottled = rise_meanwhile,
	    .on_throttled = send_where_it_is_told };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .out_high = 65536 };
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct slow_reader reader = { .step = 65536 };
	char *big = calloc(1, MIB), piece[16384];
	struct bp_conn *conn;
	int fds[2];

	REQUIRE(big != NULL);
	atomic_store(&answer, 1);
	REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	peer_set_deadline(fds[1], SLOW(8000));
	REQUIRE_EQ(bp_adopt(ep, &conn, fds[0], &config), 0);
	reader.fd = fds[1];
	CHECK_EQ(bp_send(conn, big, MIB, BP_FOREVER), 0);
	CHECK_EQ(atomic_load(&seen.throttled), 1);
	while (!atomic_load(&in_unthrottled))
		if (peer_unread(fds[1]))
			REQUIRE(peer_recv_some(fds[1], piece, sizeof piece) > 0);
	/* nobody reads now: the level rises, and stays */
	CHECK_EQ(bp_send(conn, big, MIB, BP_FOREVER), 0);
	REQUIRE(bp_conn_throttled(conn));
	atomic_store(&raised, true);
	slow_reader_start(&reader);
	WAIT_UNTIL(atomic_load(&answer) != 1);
	CHECK(atomic_load(&answer) == -EDEADLK || atomic_load(&answer) == 0);
	bp_conn_close(conn);
	slow_reader_join(&reader);
	bp_conn_unref(conn);
	peer_close(fds[1]);
	finish(ep);
	free(big);
}

/* ---- close while it connects -------------------------------------------- */

/* What was accepted would be sent, but not for ever: write_ms bounds it. */
static void test_a_close_while_connecting_has_an_end(void)
{
	struct bp_conn_config config = { .write_ms = PROMPT_MS };
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct black_hole hole;
	struct bp_event *event;
	struct bp_conn *conn;

	black_hole_open(&hole);
	REQUIRE_EQ(bp_connect(ep, &conn, hole.addr, &config, 0), 0);
	CHECK_EQ(bp_send(conn, "hello", 5, 0), 0);
	bp_conn_close(conn);
	CHECK_EQ(bp_send(conn, "x", 1, 0), -EPIPE);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(10 * PROMPT_MS)), 0);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_STALLED_WRITE);
	bp_event_free(event);
	bp_conn_unref(conn);
	black_hole_close(&hole);
	finish(ep);
}

/* P4: and it is sent, if the connection comes about */
static void test_a_close_while_connecting_sends_what_was_accepted(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	char addr[ADDR_MAX];
	int listener = peer_listen(addr), fd;
	struct bp_event *event;
	struct bp_conn *conn;

	REQUIRE_EQ(bp_connect(ep, &conn, addr, NULL, 0), 0);
	CHECK_EQ(bp_send(conn, "hello", 5, 0), 0);
	bp_conn_close(conn);
	fd = peer_accept(listener);
	peer_expect_string(fd, "hello");
	peer_expect_fin(fd);
	peer_close(fd);
	do {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		CHECK(event->kind != BP_RECEIVED);
		if (event->kind == BP_CLOSED)
			break;
		bp_event_free(event);
	} while (true);
	CHECK_EQ(event->reason, BP_REASON_LOCAL);
	bp_event_free(event);
	bp_conn_unref(conn);
	peer_close(listener);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_close_is_not_undone_by_malformed_input_behind_it),
		TEST(test_a_send_in_throttled_does_not_wait_for_its_own_thread),
		TEST(test_a_close_while_connecting_has_an_end),
		TEST(test_a_close_while_connecting_sends_what_was_accepted),
	};

	return run_suite("crossings", tests, COUNT_OF(tests), argc, argv);
}
