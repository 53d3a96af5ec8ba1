/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_close.c - endings in good order: all that was accepted, then FIN, then CLOSED,
 * and nothing after it. Each in time, whatever the peer does.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdlib.h>

enum { MIB = 1 << 20, ANSWER = 32 * MIB };

/* ---- half-close --------------------------------------------------------- */

static void send_answer(struct bp_conn *conn)
{
	char *piece = malloc(MIB);
	uint64_t sent;

	REQUIRE(piece != NULL);
	for (sent = 0; sent < ANSWER; sent += MIB) {
		pattern_fill(piece, sent, MIB);
		REQUIRE_EQ(bp_send(conn, piece, MIB, BP_FOREVER), 0);
	}
	free(piece);
}

static void answer_request(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	(void)buf, (void)seen;
	send_answer(conn);
}

static void answer_end(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	send_answer(conn);
}

static void request_and_half_close(struct seen *seen)
{
	struct bp_conn_config config = { .ops = &seen_ops, .data = seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);

	peer_send_string(fd, "GET");
	peer_half_close(fd);
	peer_expect_pattern(fd, 0, ANSWER);
	peer_expect_fin(fd);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen->closed) == 1);
	CHECK_EQ(atomic_load(&seen->ended), 1);
	CHECK_EQ(atomic_load(&seen->reason), BP_REASON_PEER);
	CHECK_EQ(atomic_load(&seen->err), 0);
	finish(ep);
}

/* Behaviour 3, P6 */
static void test_a_peer_that_half_closed_gets_the_whole_answer(void)
{
	struct seen seen = { .on_received = answer_request };

	request_and_half_close(&seen);
}

/* Behaviour 3, P6 */
static void test_an_answer_may_begin_when_the_peer_has_ended(void)
{
	struct seen seen = { .on_ended = answer_end };

	request_and_half_close(&seen);
}

static void send_answer_task(void *arg)
{
	send_answer(arg);
}

/* Behaviour 3, P6: the connection closes only once ENDED has been freed */
static void test_a_received_end_keeps_the_connection_until_it_is_freed(void)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	int fd = peer_connect(addr);
	struct bp_event *event;
	struct task *sending;

	peer_send_string(fd, "GET");
	peer_half_close(fd);
	skip_event(ep, BP_OPENED);
	skip_event(ep, BP_RECEIVED);
	event = next_event(ep, BP_ENDED);
	sending = task_start(send_answer_task, event->conn);
	peer_expect_pattern(fd, 0, ANSWER);
	task_join(sending);
	bp_event_free(event);
	peer_expect_fin(fd);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_PEER);
	bp_event_free(event);
	peer_close(fd);
	finish(ep);
}

/* ... and every payload that was kept is released */
static void test_a_kept_payload_keeps_the_connection_open_after_the_end(void)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	int fd = peer_connect(addr);
	struct bp_event *event;
	struct bp_conn *conn;
	struct bp_buf *kept;

	peer_send_string(fd, "request");
	peer_half_close(fd);
	skip_event(ep, BP_OPENED);
	event = next_event(ep, BP_RECEIVED);
	conn = bp_conn_ref(event->conn);
	REQUIRE((kept = bp_buf_ref(event->buf)) != NULL);
	bp_event_free(event);
	skip_event(ep, BP_ENDED);
	CHECK_EQ(bp_receive(ep, &event, 100), -ETIMEDOUT);
	CHECK_EQ(bp_send(conn, "answer to ", 10, 0), 0);
	CHECK_EQ(bp_send_buf(conn, kept, 0), 0);
	bp_buf_unref(kept);
	bp_conn_unref(conn);
	peer_expect_string(fd, "answer to request");
	peer_expect_fin(fd);
	skip_event(ep, BP_CLOSED);
	peer_close(fd);
	finish(ep);
}

static void test_a_half_open_connection_closes_only_when_told(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .half_open = true };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	peer_half_close(fd);
	WAIT_UNTIL(atomic_load(&seen.ended) == 1);
	HOLDS_FOR_MS(atomic_load(&seen.closed) == 0, 100);
	CHECK_EQ(bp_send(conn, "later", 5, 0), 0);
	bp_conn_end(conn);
	bp_conn_unref(conn);
	peer_expect_string(fd, "later");
	peer_expect_fin(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_PEER);
	peer_close(fd);
	finish(ep);
}

static void test_after_an_end_of_ours_reading_goes_on(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	CHECK_EQ(bp_send(conn, "bye", 3, 0), 0);
	bp_conn_end(conn);
	CHECK_EQ(bp_send(conn, "no", 2, 0), -EPIPE);
	CHECK_EQ(bp_conn_wait_unthrottled(conn, 0), -EPIPE);
	peer_expect_string(fd, "bye\n");
	peer_expect_fin(fd);
	peer_send_string(fd, "one\ntwo\n");
	WAIT_UNTIL(atomic_load(&seen.received) == 2);
	CHECK_EQ(atomic_load(&seen.closed), 0);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.ended), 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_LOCAL);
	bp_conn_unref(conn);
	finish(ep);
}

/* ---- nothing after closed ----------------------------------------------- */

static void close_it(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)buf, (void)seen;
	bp_conn_close(conn);
}

static void abort_it(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)buf, (void)seen;
	bp_conn_abort(conn, BP_REASON_LIMIT);
}

static void end_in_first_of_50(struct seen *seen, enum bp_reason reason)
{
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = seen };
	char addr[ADDR_MAX], lines[100];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr), i;

	for (i = 0; i < 100; i += 2)
		memcpy(lines + i, "x\n", 2);
	peer_send(fd, lines, sizeof lines);
	peer_read_to_end(fd, NULL);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen->closed) == 1);
	CHECK_EQ(atomic_load(&seen->received), 1);
	CHECK_EQ(atomic_load(&seen->ended), 0);
	CHECK_EQ(atomic_load(&seen->reason), reason);
	finish(ep);
	CHECK_EQ(atomic_load(&seen->closed), 1);
}

/* Behaviour 5 */
static void test_close_in_the_first_handler_of_a_batch_ends_it(void)
{
	struct seen seen = { .on_received = close_it };

	end_in_first_of_50(&seen, BP_REASON_LOCAL);
}

/* Behaviour 5, P5 */
static void test_abort_in_the_first_handler_of_a_batch_ends_it(void)
{
	struct seen seen = { .on_received = abort_it };

	end_in_first_of_50(&seen, BP_REASON_LIMIT);
}

/* Behaviour 5, with a queue between */
static void test_close_while_holding_an_event_drops_what_is_queued(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_line };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_event *event;

	peer_send_string(fd, "a\nb\nc\nd\n");
	skip_event(ep, BP_OPENED);
	WAIT_UNTIL(stats_of(ep).received_events == 4);
	event = next_event(ep, BP_RECEIVED);
	bp_conn_close(event->conn);
	bp_event_free(event);
	peer_expect_fin(fd);
	peer_close(fd);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_LOCAL);
	bp_event_free(event);
	CHECK_EQ(bp_receive(ep, &event, 50), -ETIMEDOUT);
	finish(ep);
}

/* ---- a peer that does not answer our end -------------------------------- */

/* Behaviour 8; the peer has all of it, so the end is in good order */
static void test_close_with_a_silent_peer_ends_at_the_linger_deadline(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .linger_ms = 150 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	uint64_t began = now_ms();

	CHECK_EQ(bp_send(conn, "bye", 3, 0), 0);
	bp_conn_close(conn);
	bp_conn_close(conn);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(8000)), 0);
	CHECK_GE(now_ms() - began, 140);
	CHECK_LE(now_ms() - began, SLOW(150 + 250));
	CHECK_EQ(atomic_load(&seen.closed), 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_LOCAL);
	peer_expect_string(fd, "bye");
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void send_for_ever(void *arg)
{
	static const char zeros[4096];
	int fd = *(int *)arg;

	while (peer_send_some(fd, zeros, sizeof zeros) == sizeof zeros)
		;
}

/* Behaviour 8: nor does a peer that goes on and on keep it open */
static void test_close_with_a_talking_peer_ends_at_the_linger_deadline(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .linger_ms = 150 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	struct task *talking = task_start(send_for_ever, &fd);
	uint64_t began, received;

	WAIT_UNTIL(atomic_load(&seen.received) > 10);
	began = now_ms();
	bp_conn_close(conn);
	received = atomic_load(&seen.received);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_LE(now_ms() - began, SLOW(150 + 250));
	/* one handler may have been about to begin */
	CHECK_LE(atomic_load(&seen.received), received + 1);
	task_join(talking);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* P4: unread input cannot turn the close into a reset */
static void test_close_with_unread_input_still_delivers_the_last_bytes(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	bp_conn_mute(conn);
	peer_send_pattern(fd, 0, 200000);
	CHECK_EQ(bp_send(conn, "last words", 10, 0), 0);
	bp_conn_close(conn);
	peer_send_pattern(fd, 200000, 100000);
	peer_expect_string(fd, "last words");
	peer_expect_fin(fd);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_LOCAL);
	bp_conn_unref(conn);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_peer_that_half_closed_gets_the_whole_answer),
		TEST(test_an_answer_may_begin_when_the_peer_has_ended),
		TEST(test_a_received_end_keeps_the_connection_until_it_is_freed),
		TEST(test_a_kept_payload_keeps_the_connection_open_after_the_end),
		TEST(test_a_half_open_connection_closes_only_when_told),
		TEST(test_after_an_end_of_ours_reading_goes_on),
		TEST(test_close_in_the_first_handler_of_a_batch_ends_it),
		TEST(test_abort_in_the_first_handler_of_a_batch_ends_it),
		TEST(test_close_while_holding_an_event_drops_what_is_queued),
		TEST(test_close_with_a_silent_peer_ends_at_the_linger_deadline),
		TEST(test_close_with_a_talking_peer_ends_at_the_linger_deadline),
		TEST(test_close_with_unread_input_still_delivers_the_last_bytes),
	};

	return run_suite("close", tests, COUNT_OF(tests), argc, argv);
}
