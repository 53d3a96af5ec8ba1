/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_pipeline.c - both ways at once: who asks without waiting for answers, and
 * who answers more than was asked. Neither may stop the other for ever; and what
 * waits on a full queue can still be stopped.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdlib.h>

enum { REQUESTS = 20000, REQUEST = 128, TIMES = 8 };

/* ---- behaviour 25 ------------------------------------------------------- */

static void answer_eight_times(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	int i;

	(void)data;
	for (i = 0; i < TIMES; i++)
		if (bp_send_buf(conn, buf, BP_FOREVER) < 0)
			return;
}

static const struct bp_conn_ops answering = { .received = answer_eight_times };

static void answer_events(void *arg)
{
	struct bp_event *event;

	while (bp_receive(arg, &event, BP_FOREVER) == 0) {
		if (event->kind == BP_RECEIVED)
			answer_eight_times(event->conn, event->buf, NULL);
		bp_event_free(event);
	}
}

static void check_answer(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	uint64_t n = (uint64_t)atomic_load(&seen->received) - 1, got;

	(void)conn;
	REQUIRE_EQ(buf->len, REQUEST);
	memcpy(&got, buf->data, sizeof got);
	REQUIRE_EQ(got, n / TIMES);
}

static void send_requests(struct bp_conn *conn, uint64_t n)
{
	char request[REQUEST] = { 0 };
	uint64_t i;

	for (i = 0; i < n; i++) {
		memcpy(request, &i, sizeof i);
		REQUIRE_EQ(bp_send(conn, request, sizeof request, BP_FOREVER), 0);
	}
	bp_conn_end(conn);
}

static void pipeline_against(struct bp_endpoint *server, const char *addr)
{
	struct seen seen = { .on_received = check_answer };
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .ops = &seen_ops, .data = &seen };
	const int n = is_sanitized() ? REQUESTS / 10 : REQUESTS;
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_conn *conn;

	REQUIRE_EQ(bp_connect(ep, &conn, addr, &config, SLOW(5000)), 0);
	send_requests(conn, (uint64_t)n);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), n * TIMES);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_LOCAL);
	bp_conn_unref(conn);
	finish(ep);
	WAIT_UNTIL(stats_of(server).conns == 0);
}

/* Behaviour 25 */
static void test_eightfold_answers_of_a_handler_do_not_lock_up_the_client(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .ops = &answering };
	char addr[ADDR_MAX];
	struct bp_endpoint *server = serve(NULL, &config, addr);

	pipeline_against(server, addr);
	finish(server);
}

/* Behaviour 25 */
static void test_eightfold_answers_of_a_consumer_do_not_lock_up_the_client(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX];
	struct bp_endpoint *server = serve(NULL, &config, addr);
	struct task *answers = task_start(answer_events, server);

	pipeline_against(server, addr);
	bp_endpoint_close(server);
	task_join(answers);
	finish(server);
}

/* Behaviour 25: client and server in one endpoint, so in one queue and one budget */
static void test_a_pipeline_within_one_endpoint_does_not_lock_up(void)
{
	struct seen seen = { .on_received = check_answer };
	struct bp_conn_config server = { .framer = &bp_framer_u32be,
	    .ops = &answering };
	struct bp_conn_config client = { .framer = &bp_framer_u32be,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &server, addr);
	struct bp_conn *conn;

	REQUIRE_EQ(bp_connect(ep, &conn, addr, &client, SLOW(5000)), 0);
	send_requests(conn, 2000);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), 2000 * TIMES);
	bp_conn_unref(conn);
	check_quiet(ep);
	finish(ep);
}

/* ---- behaviour 21 ------------------------------------------------------- */

static void receive_to_the_end(void *arg)
{
	struct bp_event *event;
	int rc;

	while ((rc = bp_receive(arg, &event, BP_FOREVER)) == 0)
		bp_event_free(event);
	CHECK_EQ(rc, -EPIPE);
	CHECK_EQ(bp_receive(arg, &event, BP_FOREVER), -EPIPE);
	CHECK_EQ(bp_receive(arg, &event, 0), -EPIPE);
}

/* Behaviour 21 */
static void test_stop_returns_while_receivers_wait(void)
{
	struct bp_endpoint_config config = { .qdisc = &bp_qdisc_one_place };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&config, NULL, addr);
	struct task *receivers[3];
	uint64_t began;
	int i, fd = peer_connect(addr);

	for (i = 0; i < 3; i++)
		receivers[i] = task_start(receive_to_the_end, ep);
	WAIT_UNTIL(stats_of(ep).opened == 1);
	HOLDS_FOR_MS(!task_done(receivers[0]) && !task_done(receivers[1])
	    && !task_done(receivers[2]), 30);
	began = now_ms();
	CHECK_EQ(bp_endpoint_stop(ep, 0), 0);
	CHECK_LE(now_ms() - began, SLOW(250));
	for (i = 0; i < 3; i++)
		task_join(receivers[i]);
	peer_close(fd);
	finish(ep);
}

/* Behaviour 21, P14: what was queued is still there, then -EPIPE, every time */
static void test_stop_returns_with_the_one_place_full_and_readers_waiting(void)
{
	enum { PEERS = 3 };
	struct bp_endpoint_config config = { .qdisc = &bp_qdisc_one_place };
	struct bp_conn_config lines = { .framer = &bp_framer_line };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&config, &lines, addr);
	int fds[PEERS], i, closed = 0, rc;
	struct bp_event *event;
	uint64_t began;

	for (i = 0; i < PEERS; i++) {
		fds[i] = peer_connect(addr);
		peer_send_string(fds[i], "a\nb\nc\nd\ne\n");
	}
	WAIT_UNTIL(stats_of(ep).opened == PEERS
	    && stats_of(ep).waiting >= PEERS - 1);
	began = now_ms();
	CHECK_EQ(bp_endpoint_stop(ep, 50), 0);
	CHECK_LE(now_ms() - began, SLOW(50 + 250));
	while ((rc = bp_receive(ep, &event, 0)) == 0) {
		closed += event->kind == BP_CLOSED;
		bp_event_free(event);
	}
	CHECK_EQ(rc, -EPIPE);
	CHECK_EQ(closed, PEERS);
	for (i = 0; i < 3; i++)
		CHECK_EQ(bp_receive(ep, &event, i == 0 ? BP_FOREVER : 10), -EPIPE);
	for (i = 0; i < PEERS; i++)
		peer_close(fds[i]);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_eightfold_answers_of_a_handler_do_not_lock_up_the_client),
		TEST(test_eightfold_answers_of_a_consumer_do_not_lock_up_the_client),
		TEST(test_a_pipeline_within_one_endpoint_does_not_lock_up),
		TEST(test_stop_returns_while_receivers_wait),
		TEST(test_stop_returns_with_the_one_place_full_and_readers_waiting),
	};

	return run_suite("pipeline", tests, COUNT_OF(tests), argc, argv);
}
