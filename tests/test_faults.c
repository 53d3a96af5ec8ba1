/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_faults.c - no memory, no thread, no descriptor: that harms the connection that
 * needed it, with a reason, and nobody else (P19). Each call of the kind fails once,
 * the first, the second, ... until none is left that could; nothing leaks, nothing
 * hangs, and every failure is told.
 */
#include "config.h"

#include "corners.h"
#include "faults.h"
#include "harness.h"
#include "peer.h"

#include <limits.h>
#include <stdio.h>

enum { FRAME = 200 << 10, FRAMES = 3, SMALL = 100 };

/* ---- a scenario: two endpoints, one connection, echo, an end in good order - */

struct outcome {
	int rc;			/* of the first call that failed, or 0 */
	enum bp_reason client, server;	/* NONE: no CLOSED came */
	uint64_t echoed;
};

static atomic_int server_reason;

static void echo(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	struct bp_buf *kept = bp_buf_ref(buf);

	(void)data;
	if (!kept || bp_send_buf(conn, kept, SLOW(2000)) < 0)
		bp_conn_abort(conn, BP_REASON_NO_MEMORY);
	bp_buf_unref(kept);
}

static void note_reason(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	(void)conn, (void)err, (void)data;
	atomic_store(&server_reason, why);
}

static int send_all(struct bp_conn *conn)
{
	static char frame[FRAME];
	int rc = bp_send(conn, frame, SMALL, SLOW(2000));

	for (int i = 0; i < FRAMES && rc == 0; i++)
		rc = bp_send(conn, frame, sizeof frame, SLOW(2000));
	if (rc == 0)
		bp_conn_end(conn);
	else
		bp_conn_abort(conn, BP_REASON_ABORT);
	return rc;
}

/* Take what comes back until the end of it, whatever that is. */
static void take_echo(struct bp_endpoint *client, struct outcome *out)
{
	struct bp_event *event;

	while (out->client == BP_REASON_NONE) {
		int rc = bp_receive(client, &event, SLOW(3000));

		if (rc < 0) {
			CHECK_NE(rc, -ETIMEDOUT);	/* somebody waits in vain */
			break;
		}
		if (event->kind == BP_RECEIVED)
			out->echoed += event->buf->len;
		if (event->kind == BP_CLOSED)
			out->client = event->reason;
		bp_event_free(event);
	}
}

static int converse(struct bp_endpoint *server, struct bp_endpoint *client,
    struct outcome *out)
{
	static const struct bp_conn_ops ops = { .received = echo, .closed = note_reason };
	struct bp_conn_config accepted = { .framer = &bp_framer_u32be, .ops = &ops };
	struct bp_conn_config made = { .framer = &bp_framer_u32be };
	struct bp_listener *listener;
	struct bp_conn *conn;
	int rc = bp_listen(server, &listener, "127.0.0.1:0", &accepted);

	if (rc < 0)
		return rc;
	rc = bp_connect(client, &conn, bp_listener_addr(listener), &made, SLOW(2000));
	if (rc < 0)
		return rc;
	rc = send_all(conn);
	take_echo(client, out);
	bp_conn_unref(conn);
	return rc;
}

static struct outcome run_scenario(void)
{
	struct outcome out = { 0 };
	struct bp_endpoint *server = NULL, *client = NULL;

	atomic_store(&server_reason, BP_REASON_NONE);
	out.rc = bp_endpoint_new(&server, NULL);
	if (out.rc == 0)
		out.rc = bp_endpoint_new(&client, NULL);
	if (out.rc == 0)
		out.rc = converse(server, client, &out);
	if (client)
		CHECK_EQ(bp_endpoint_stop(client, 200), 0);
	if (server)
		CHECK_EQ(bp_endpoint_stop(server, 200), 0);
	bp_endpoint_free(client);
	bp_endpoint_free(server);
	out.server = (enum bp_reason)atomic_load(&server_reason);
	return out;
}

static void check_told(const struct outcome *out, unsigned long nth)
{
	static const int errors[] = { 0, -ENOMEM, -EAGAIN, -EMFILE, -EPIPE };
	char text[160];
	bool known = false;

	for (size_t i = 0; i < COUNT_OF(errors); i++)
		known |= out->rc == errors[i];
	snprintf(text, sizeof text, "call %lu failed: error %d, client %s, server %s, "
	    "%" PRIu64 " echoed: is told", nth, out->rc, bp_reason_name(out->client),
	    bp_reason_name(out->server), out->echoed);
	if (out->rc == 0 && out->client == BP_REASON_LOCAL)
		known &= out->echoed == SMALL + FRAMES * FRAME;
	else if (out->rc == 0)
		known &= out->client == BP_REASON_NO_MEMORY
		    || out->client == BP_REASON_RESET
		    || out->client == BP_REASON_PEER;
	check_true(known, __FILE__, __LINE__, text);
}

static void check_left(size_t blocks, int fds, int threads, unsigned long nth)
{
	char text[60];

	snprintf(text, sizeof text, "call %lu failed and nothing is left", nth);
	check_true(faults_live_blocks() == blocks && count_fds() == fds,
	    __FILE__, __LINE__, text);
	WAIT_UNTIL(count_threads() == threads);
}

/* Let the nth call fail, for each n, times in a row. */
static void fail_each(unsigned kinds, unsigned long times, unsigned long calls_min)
{
	int fds = count_fds(), threads = count_threads();
	size_t blocks = faults_live_blocks();
	unsigned long nth = 0, hit;
	struct outcome out;

	do {
		faults_arm(kinds, ++nth, times, 0);
		out = run_scenario();
		hit = faults_disarm();
		check_told(&out, nth);
		check_left(blocks, fds, threads, nth);
	} while (hit > 0 && nth < 1000);
	CHECK_EQ(out.rc, 0);
	CHECK_EQ(out.client, BP_REASON_LOCAL);
	CHECK_EQ(out.server, BP_REASON_PEER);
	CHECK_GE(nth, calls_min);
}

/* P19 */
static void test_faults_of_memory_are_told_and_leak_nothing(void)
{
	fail_each(FAULTS_MEMORY, 1, 8);
}

/* P19 */
static void test_faults_of_threads_are_told_and_leak_nothing(void)
{
	fail_each(FAULTS_THREAD, 1, 5);
}

/* P19 */
static void test_faults_of_descriptors_are_told_and_leak_nothing(void)
{
	fail_each(FAULTS_FD, 1, 4);
}

/* P19: a drought of three calls of any kind */
static void test_faults_in_a_row_are_told_and_leak_nothing(void)
{
	fail_each(FAULTS_ALL, 3, 15);
}

/* ---- accepting ------------------------------------------------------------- */

enum { WAITING = 4, RECOVERY_MS = 200 };

static struct bp_endpoint *echo_server(char addr[ADDR_MAX])
{
	static const struct bp_conn_ops ops = { .received = echo };
	struct bp_conn_config config = { .ops = &ops };

	return serve(NULL, &config, addr);
}

/* Clients that wait in the backlog while accept fails are served once it does not. */
static void drought(int err)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = echo_server(addr);
	int fds[WAITING];
	uint64_t start;

	faults_arm(FAULTS_FD, 1, ULONG_MAX, err);
	faults_exempt(true);
	for (size_t i = 0; i < WAITING; i++) {
		fds[i] = peer_connect(addr);
		peer_send_string(fds[i], "are you there?");
	}
	faults_exempt(false);
	WAIT_UNTIL(faults_hit() > 0);
	HOLDS_FOR_MS(stats_of(ep).opened == 0, 300);
	CHECK_LE(faults_calls(), 10);		/* paced: no busy loop */
	faults_disarm();
	start = now_ms();
	for (size_t i = 0; i < WAITING; i++)
		peer_expect_string(fds[i], "are you there?");
	CHECK_LE(now_ms() - start, SLOW(RECOVERY_MS));
	for (size_t i = 0; i < WAITING; i++)
		peer_close(fds[i]);
	finish(ep);
}

/* P19: nobody has to knock again, and nothing spins */
static void test_faults_of_accept_keep_clients_waiting_and_lose_none(void)
{
	static const int errors[] = { EMFILE, ENFILE, ENOMEM, ENOBUFS };

	for (size_t i = 0; i < COUNT_OF(errors); i++)
		drought(errors[i]);
}

/* P19: a client that went before it was accepted is no reason to pause */
static void test_faults_of_one_client_do_not_make_others_wait(void)
{
	static const int errors[] = { ECONNABORTED, EPROTO, EINTR };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = echo_server(addr);

	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		int fd;

		faults_arm(FAULTS_FD, 2, 3, errors[i]);
		fd = peer_connect(addr);	/* its socket is the first call */
		peer_send_string(fd, "hello");
		peer_expect_string(fd, "hello");
		CHECK_EQ(faults_disarm(), 3);
		peer_close(fd);
	}
	finish(ep);
}

/* P19: without threads those are cut who needed one; the next is served again */
static void test_faults_of_threads_while_accepting_are_overcome(void)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = echo_server(addr);
	int fds[WAITING * 4], fd;
	uint64_t start;

	faults_arm(FAULTS_THREAD, 1, ULONG_MAX, 0);
	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		fds[i] = peer_connect(addr);
		peer_send_some(fds[i], "hello", 5);
	}
	WAIT_UNTIL(faults_hit() > 0);
	HOLDS_FOR_MS(stats_of(ep).conns <= COUNT_OF(fds), 100);
	CHECK_LE(faults_calls(), 10 * COUNT_OF(fds));
	faults_disarm();
	start = now_ms();
	fd = peer_connect(addr);
	peer_send_string(fd, "hello");
	peer_expect_string(fd, "hello");
	CHECK_LE(now_ms() - start, SLOW(RECOVERY_MS));
	peer_close(fd);
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		peer_close(fds[i]);
	finish(ep);
}

/* ---- sending and receiving ------------------------------------------------- */

/* P19: a send without memory leaves the stream whole, or ends it with its reason */
static void test_faults_of_memory_never_leave_half_a_frame_in_the_stream(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .sndbuf = 16 << 10, .linger_ms = 200 };
	static char frame[200000];	/* more than the kernel takes at once */

	for (unsigned long nth = 1; nth <= 6; nth++) {
		char addr[ADDR_MAX];
		struct bp_endpoint *ep = serve(NULL, &config, addr);
		int fd = peer_connect_rcvbuf(addr, 16 << 10), end = 0, rc, frames = 0;
		struct bp_conn *conn = take_opened(ep);
		uint64_t got;

		faults_arm(FAULTS_MEMORY, nth, ULONG_MAX, 0);
		while ((rc = bp_send(conn, frame, sizeof frame, 0)) == 0)
			frames++;
		CHECK(rc == -ENOMEM || rc == -EAGAIN || rc == -EPIPE);
		faults_disarm();
		bp_conn_close(conn);
		got = peer_read_to_end(fd, &end);
		if (end == 0)
			CHECK_EQ(got, frames * (sizeof frame + 4));
		else
			CHECK_EQ(conn_stats_of(conn).reason, BP_REASON_NO_MEMORY);
		bp_conn_unref(conn);
		peer_close(fd);
		finish(ep);
	}
}

/* P19: a frame there is no memory for ends its own connection only */
static void test_faults_of_memory_harm_the_connection_that_needed_it(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	static char frame[FRAME];
	int large = peer_connect(addr), small;
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	small = peer_connect(addr);
	skip_event(ep, BP_OPENED);
	faults_arm(FAULTS_MEMORY, 1, ULONG_MAX, 0);
	peer_send(large, "\0\3\x20\0", 4);
	peer_send_some(large, frame, sizeof frame);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_NO_MEMORY);
	CHECK_EQ(event->err, -ENOMEM);
	bp_event_free(event);
	CHECK_GE(faults_disarm(), 1);
	peer_send_u32be(small, "alive", 5);
	event = next_event(ep, BP_RECEIVED);
	CHECK(memcmp(event->buf->data, "alive", 5) == 0);
	bp_event_free(event);
	peer_close(large);
	peer_close(small);
	finish(ep);
}

/* ---- the clock: P18 -------------------------------------------------------- */

/* P18: while the wall clock jumps by hours nothing comes sooner or later for it */
static void test_faults_of_the_wall_clock_change_nothing(void)
{
	struct bp_conn_config config = { .idle_ms = 200 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	uint64_t start = now_ns();
	int fd = peer_connect(addr);
	struct bp_event *event = next_event(ep, BP_OPENED);

	CHECK(event->arrived_ns >= start && event->arrived_ns <= now_ns());
	bp_event_free(event);
	start = now_ns();
	CHECK_EQ(bp_receive(ep, &event, 60), -ETIMEDOUT);
	CHECK_GE(now_ns() - start, 60 * 1000000);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_IDLE);
	CHECK_GE(now_ns() - start, 100 * 1000000);
	CHECK_LE(now_ns() - start, SLOW(1000) * UINT64_C(1000000));
	bp_event_free(event);
	CHECK_EQ(faults_wall_clock_asked(), 0);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_faults_of_memory_are_told_and_leak_nothing, 60),
		TEST_WITHIN(test_faults_of_threads_are_told_and_leak_nothing, 60),
		TEST_WITHIN(test_faults_of_descriptors_are_told_and_leak_nothing, 60),
		TEST_WITHIN(test_faults_in_a_row_are_told_and_leak_nothing, 60),
		TEST(test_faults_of_accept_keep_clients_waiting_and_lose_none),
		TEST(test_faults_of_one_client_do_not_make_others_wait),
		TEST(test_faults_of_threads_while_accepting_are_overcome),
		TEST(test_faults_of_memory_never_leave_half_a_frame_in_the_stream),
		TEST(test_faults_of_memory_harm_the_connection_that_needed_it),
		TEST(test_faults_of_the_wall_clock_change_nothing),
	};

	return run_suite("faults", tests, COUNT_OF(tests), argc, argv);
}
