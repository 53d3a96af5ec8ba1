/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_receive_many.c - several events at a time: those of one connection in order,
 * to one consumer, and its next ones not before all of them are freed.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "tagged.h"

#include <stdlib.h>

enum { MANY = 16, FRAME_MAX = 40000 };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static void start(const struct bp_qdisc_ops *qdisc)
{
	struct bp_endpoint_config config = { .qdisc = qdisc };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };

	ep = serve(&config, &conn_config, addr);
}

static int connect_one(void)
{
	int fd = peer_connect(addr);

	skip_event(ep, BP_OPENED);
	return fd;
}

static void queue(int fd, uint32_t source, uint32_t n)
{
	uint64_t before = stats_of(ep).received_events;

	for (uint32_t seq = 0; seq < n; seq++)
		tagged_send(fd, source, seq, 200);
	WAIT_UNTIL(stats_of(ep).received_events == before + n);
}

/* A connection with n frames queued behind OPENED, which was taken. */
static int connect_and_queue(uint32_t source, uint32_t n)
{
	int fd = connect_one();

	queue(fd, source, n);
	return fd;
}

static int receive(struct bp_event **events, int n)
{
	return bp_receive_many(ep, events, n, 0);
}

static void check_frame(const struct bp_event *event, uint32_t source, uint32_t seq)
{
	uint32_t got_source = 99, got_seq = 99;

	REQUIRE_EQ(event->kind, BP_RECEIVED);
	CHECK(tagged_check(event->buf->data, event->buf->len, 200, &got_source,
	    &got_seq));
	CHECK_EQ(got_source, source);
	CHECK_EQ(got_seq, seq);
}

static void free_all(struct bp_event **events, int n)
{
	while (n > 0)
		bp_event_free(events[--n]);
}

/* ---- how many ------------------------------------------------------------ */

static void test_many_refuses_less_than_one(void)
{
	struct bp_event *events[MANY] = { NULL };
	int fd;

	start(&bp_qdisc_fair);
	fd = connect_and_queue(0, 1);
	CHECK_EQ(receive(events, 0), -EINVAL);
	CHECK_EQ(receive(events, -1), -EINVAL);
	CHECK_EQ(bp_receive_many(ep, events, 0, BP_FOREVER), -EINVAL);
	CHECK(events[0] == NULL);
	CHECK_EQ(stats_of(ep).queued_events, 1);
	peer_close(fd);
	finish(ep);
}

static void test_many_without_events_is_not_now_or_not_in_time(void)
{
	struct bp_event *events[MANY] = { NULL };

	start(&bp_qdisc_fair);
	CHECK_EQ(receive(events, MANY), -EAGAIN);
	CHECK_EQ(bp_receive_many(ep, events, MANY, 20), -ETIMEDOUT);
	CHECK(events[0] == NULL);
	finish(ep);
}

static void test_many_takes_what_there_is_and_no_more_than_asked(void)
{
	struct bp_event *events[MANY] = { NULL };
	int fd;

	start(&bp_qdisc_fair);
	fd = connect_and_queue(0, 10);
	REQUIRE_EQ(receive(events, 4), 4);
	CHECK(events[4] == NULL);
	CHECK_EQ(stats_of(ep).queued_events, 6);
	for (int i = 0; i < 4; i++)
		check_frame(events[i], 0, (uint32_t)i);
	free_all(events, 4);
	REQUIRE_EQ(receive(events, MANY), 6);
	for (int i = 0; i < 6; i++)
		check_frame(events[i], 0, (uint32_t)i + 4);
	CHECK_EQ(receive(events + 6, 1), -EAGAIN);
	free_all(events, 6);
	peer_close(fd);
	finish(ep);
}

static struct bp_event *batch[MANY];
static atomic_int taken;

static void receive_blocking(void *arg)
{
	(void)arg;
	atomic_store(&taken, bp_receive_many(ep, batch, MANY, SLOW(8000)));
}

/* It waits for one, never for n. */
static void test_many_that_waits_is_woken_by_the_first(void)
{
	struct task *waiting;
	int fd;

	start(&bp_qdisc_fair);
	fd = connect_one();
	waiting = task_start(receive_blocking, NULL);
	HOLDS_FOR_MS(!task_done(waiting), 20);
	tagged_send(fd, 0, 0, 200);
	task_join(waiting);
	REQUIRE_EQ(atomic_load(&taken), 1);
	check_frame(batch[0], 0, 0);
	bp_event_free(batch[0]);
	peer_close(fd);
	finish(ep);
}

/* ---- the next ones wait -------------------------------------------------- */

static void test_many_next_wait_until_all_are_freed(void)
{
	struct bp_event *events[MANY], *next;
	int fd;

	start(&bp_qdisc_fair);
	fd = connect_and_queue(0, 8);
	REQUIRE_EQ(receive(events, 4), 4);
	CHECK_EQ(bp_receive(ep, &next, 0), -EAGAIN);
	/* in any order; the third is the last to go */
	bp_event_free(events[3]);
	bp_event_free(events[0]);
	bp_event_free(events[1]);
	CHECK_EQ(bp_receive(ep, &next, 0), -EAGAIN);
	CHECK_EQ(bp_receive_many(ep, &next, 1, 0), -EAGAIN);
	bp_event_free(events[2]);
	REQUIRE_EQ(bp_receive(ep, &next, 0), 0);
	check_frame(next, 0, 4);
	/* so do those behind one that was taken alone */
	CHECK_EQ(receive(events, MANY), -EAGAIN);
	bp_event_free(next);
	REQUIRE_EQ(receive(events, MANY), 3);
	free_all(events, 3);
	peer_close(fd);
	finish(ep);
}

/* Taken in turn from two: what is next of either is behind what was taken of it. */
static void test_many_of_several_connections_hold_up_each(void)
{
	struct bp_event *events[MANY], *next;
	int a, b;

	start(&bp_qdisc_bytes);
	a = connect_one();
	b = connect_one();
	for (int i = 0; i < 2; i++) {
		queue(a, 1, 1);
		queue(b, 2, 1);
	}
	REQUIRE_EQ(receive(events, 2), 2);
	check_frame(events[0], 1, 0);
	check_frame(events[1], 2, 0);
	CHECK_EQ(bp_receive(ep, &next, 0), -EAGAIN);
	bp_event_free(events[0]);
	REQUIRE_EQ(receive(events, MANY), 1);
	CHECK(events[0]->conn != events[1]->conn);	/* that is still out */
	CHECK_EQ(receive(events + 2, MANY - 2), -EAGAIN);
	free_all(events, 2);
	REQUIRE_EQ(receive(events, MANY), 1);
	free_all(events, 1);
	peer_close(a);
	peer_close(b);
	finish(ep);
}

static void test_many_pass_over_what_is_muted_behind_them(void)
{
	struct bp_event *events[MANY];
	struct bp_conn *conn;
	int fd;

	start(&bp_qdisc_fair);
	fd = connect_and_queue(0, 6);
	REQUIRE_EQ(receive(events, 2), 2);
	conn = bp_conn_ref(events[0]->conn);
	bp_conn_mute(conn);
	free_all(events, 2);
	CHECK_EQ(receive(events, MANY), -EAGAIN);
	bp_conn_unmute(conn);
	REQUIRE_EQ(receive(events, MANY), 4);
	check_frame(events[0], 0, 2);
	free_all(events, 4);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- ends ---------------------------------------------------------------- */

static void test_many_has_closed_last_and_its_place_until_all_are_freed(void)
{
	struct bp_event *events[MANY];
	int fd;

	start(&bp_qdisc_fair);
	fd = connect_and_queue(0, 3);
	peer_reset(fd);
	WAIT_UNTIL(stats_of(ep).queued_events == 4);
	REQUIRE_EQ(receive(events, MANY), 4);
	for (uint32_t i = 0; i < 3; i++)
		check_frame(events[i], 0, i);
	CHECK_EQ(events[3]->kind, BP_CLOSED);
	CHECK_EQ(events[3]->reason, BP_REASON_RESET);
	bp_event_free(events[3]);
	CHECK_EQ(stats_of(ep).conns, 1);
	free_all(events, 3);
	check_quiet(ep);
	finish(ep);
}

/* P14: what is behind ones this thread holds itself is not waited for */
static void test_many_after_stop_is_what_is_queued_then_epipe(void)
{
	struct bp_event *events[MANY], *more[MANY];
	int fd;

	start(&bp_qdisc_fair);
	fd = connect_and_queue(0, 6);
	REQUIRE_EQ(receive(events, 4), 4);
	REQUIRE_EQ(bp_endpoint_stop(ep, 0), 0);
	CHECK_EQ(bp_receive_many(ep, more, MANY, SLOW(8000)), -EPIPE);
	CHECK_EQ(receive(more, MANY), -EPIPE);
	free_all(events, 4);
	REQUIRE_EQ(receive(more, MANY), 3);
	check_frame(more[0], 0, 4);
	check_frame(more[1], 0, 5);
	CHECK_EQ(more[2]->kind, BP_CLOSED);
	free_all(more, 3);
	CHECK_EQ(receive(more, MANY), -EPIPE);
	CHECK_EQ(bp_receive_many(ep, more, MANY, BP_FOREVER), -EPIPE);
	peer_close(fd);
	finish(ep);
}

/* ---- many consumers ------------------------------------------------------ */

enum { PEERS = 6, FRAMES = 80, CONSUMERS = 4 };

/* Without a lock: a connection's events are one consumer's at a time. */
static uint32_t next_seq[PEERS];
static atomic_int n_closed;

static void send_all(void *arg)
{
	uint32_t source = (uint32_t)(uintptr_t)arg;
	int fd = peer_connect(addr);

	for (uint32_t seq = 0; seq < FRAMES; seq++)
		tagged_send(fd, source, seq, FRAME_MAX);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

static void check_in_order(const struct bp_event *event)
{
	uint32_t source = PEERS, seq = 0;

	if (event->kind == BP_RECEIVED) {
		CHECK(tagged_check(event->buf->data, event->buf->len, FRAME_MAX,
		    &source, &seq));
		REQUIRE(source < PEERS);
		CHECK_EQ(seq, next_seq[source]);
		next_seq[source]++;
	} else if (event->kind == BP_CLOSED) {
		atomic_fetch_add(&n_closed, 1);
	}
}

static void consume(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	struct bp_event *events[MANY];
	int n, i;

	while ((n = bp_receive_many(ep, events,
	    1 + (int)random_below(&state, MANY), SLOW(8000))) > 0) {
		for (i = 0; i < n; i++)
			check_in_order(events[i]);
		while (n > 0) {		/* in whatever order */
			i = (int)random_below(&state, (unsigned)n);
			bp_event_free(events[i]);
			events[i] = events[--n];
		}
	}
	CHECK_EQ(n, -EPIPE);
}

static void run_consumers(const struct bp_qdisc_ops *qdisc)
{
	struct task *peers[PEERS], *consumers[CONSUMERS];

	memset(next_seq, 0, sizeof next_seq);
	atomic_store(&n_closed, 0);
	start(qdisc);
	for (uintptr_t i = 0; i < CONSUMERS; i++)
		consumers[i] = task_start(consume, (void *)i);
	for (uintptr_t i = 0; i < PEERS; i++)
		peers[i] = task_start(send_all, (void *)i);
	for (int i = 0; i < PEERS; i++)
		task_join(peers[i]);
	WAIT_UNTIL(atomic_load(&n_closed) == PEERS);
	REQUIRE_EQ(bp_endpoint_stop(ep, 1000), 0);
	for (int i = 0; i < CONSUMERS; i++)
		task_join(consumers[i]);
	for (int i = 0; i < PEERS; i++)
		CHECK_EQ(next_seq[i], FRAMES);
	finish(ep);
}

/* P1, P15 */
static void test_many_consumers_each_have_a_connection_to_themselves(void)
{
	static const struct bp_qdisc_ops *const disciplines[] = {
		&bp_qdisc_fair, &bp_qdisc_prio, &bp_qdisc_bytes, &bp_qdisc_bounded,
		&bp_qdisc_one_place, &bp_qdisc_unbounded,
	};

	for (size_t i = 0; i < COUNT_OF(disciplines); i++)
		run_consumers(disciplines[i]);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_many_refuses_less_than_one),
		TEST(test_many_without_events_is_not_now_or_not_in_time),
		TEST(test_many_takes_what_there_is_and_no_more_than_asked),
		TEST(test_many_that_waits_is_woken_by_the_first),
		TEST(test_many_next_wait_until_all_are_freed),
		TEST(test_many_of_several_connections_hold_up_each),
		TEST(test_many_pass_over_what_is_muted_behind_them),
		TEST(test_many_has_closed_last_and_its_place_until_all_are_freed),
		TEST(test_many_after_stop_is_what_is_queued_then_epipe),
		TEST_WITHIN(test_many_consumers_each_have_a_connection_to_themselves,
		    40),
	};

	return run_suite("receive_many", tests, COUNT_OF(tests), argc, argv);
}
