/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_batches_shared.c - threads that free events of one batch at once, while their
 * reader queues more and others receive. A connection is one taker's at a time: the
 * next of its events come when all that are out are freed, not before, and in order.
 */
#include "config.h"

#include "corners.h"
#include "endpoint.h"
#include "harness.h"
#include "peer.h"
#include "tagged.h"

#include <arpa/inet.h>
#include <pthread.h>

enum { LEN = 8, WIRE = 4 + LEN, MANY = 32, THREADS = 4, CONNS = 4 };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static void start(const struct bp_qdisc_ops *qdisc)
{
	struct bp_endpoint_config config = { .qdisc = qdisc };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };

	ep = serve(&config, &conn_config, addr);
}

/* Frames whose payload is their number. */
static void send_numbers(int fd, uint64_t first, uint64_t n)
{
	static _Thread_local char bytes[5000 * WIRE];
	const uint32_t len = htonl(LEN);
	uint64_t at = 0;

	for (uint64_t seq = first; seq < first + n; seq++) {
		memcpy(bytes + at, &len, 4);
		memcpy(bytes + at + 4, &seq, LEN);
		at += WIRE;
		if (at == sizeof bytes || seq == first + n - 1) {
			peer_send(fd, bytes, at);
			at = 0;
		}
	}
}

static uint64_t number_of(const struct bp_event *event)
{
	uint64_t seq;

	REQUIRE_EQ(event->kind, BP_RECEIVED);
	REQUIRE_EQ(event->buf->len, LEN);
	memcpy(&seq, event->buf->data, LEN);
	return seq;
}

static struct bp_event *events[MANY];

static void queue(int fd, uint64_t first, uint64_t n)
{
	size_t queued = stats_of(ep).queued_events;

	send_numbers(fd, first, n);
	WAIT_UNTIL(stats_of(ep).queued_events == queued + n);
}

/* ---- several batches, one taker ------------------------------------------- */

static struct bp_conn *conn;

static void receive_next(void *ret_event)
{
	CHECK_EQ(bp_receive(ep, ret_event, SLOW(8000)), 0);
}

static bool has_turn(void)
{
	bool has;

	bp__lock(&ep->qdisc.lock);
	has = !bp__list_empty(&conn->flow.turn_link);
	bp__unlock(&ep->qdisc.lock);
	return has;
}

/* After a stop as well, when who holds none waits for who holds some. */
static void test_shared_turns_last_beyond_the_first_batch(void)
{
	struct bp_event *next = NULL;
	struct task *task;
	int fd;

	start(&bp_qdisc_fair);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	queue(fd, 0, 5);
	queue(fd, 5, 6);
	REQUIRE_EQ(bp_receive_many(ep, events, 10, 0), 10);
	REQUIRE_EQ(bp_endpoint_stop(ep, 0), 0);
	for (int i = 0; i < 5; i++)
		bp_event_free(events[i]);
	CHECK(has_turn());
	task = task_start(receive_next, &next);
	HOLDS_FOR_MS(!task_done(task), 20);
	for (int i = 5; i < 10; i++)
		bp_event_free(events[i]);
	task_join(task);
	CHECK_EQ(number_of(next), 10);
	bp_event_free(next);
	CHECK(!has_turn());
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- one batch, many threads ---------------------------------------------- */

enum { ROUNDS = 300 };

static pthread_barrier_t taken, freed;

static void free_each_fourth(void *arg)
{
	uintptr_t me = (uintptr_t)arg;

	for (int round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&taken);
		for (size_t i = me; i < MANY; i += THREADS)
			bp_event_free(events[i]);
		pthread_barrier_wait(&freed);
	}
}

static void check_round(int fd, uint64_t first, size_t n)
{
	struct bp_event *next;

	queue(fd, first, n + 1);
	REQUIRE_EQ(bp_receive_many(ep, events, (int)n, 0), n);
	CHECK_EQ(bp_receive(ep, &next, 0), -EAGAIN);
	pthread_barrier_wait(&taken);
	pthread_barrier_wait(&freed);
	REQUIRE_EQ(bp_receive(ep, &next, 0), 0);
	CHECK_EQ(number_of(next), first + n);
	bp_event_free(next);
	CHECK_LE(stats_of(ep).held_bytes, 16 * 1024);	/* its reader's chunk */
}

static void test_shared_batches_are_freed_by_all_at_once(void)
{
	struct task *tasks[THREADS];
	int fd;

	pthread_barrier_init(&taken, NULL, THREADS + 1);
	pthread_barrier_init(&freed, NULL, THREADS + 1);
	start(&bp_qdisc_fair);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	for (uintptr_t i = 0; i < THREADS; i++)
		tasks[i] = task_start(free_each_fourth, (void *)i);
	for (uint64_t round = 0; round < ROUNDS; round++)
		check_round(fd, round * (MANY + 1), MANY);
	for (int i = 0; i < THREADS; i++)
		task_join(tasks[i]);
	CHECK_EQ(atomic_load(&conn->flow.out), 0);
	CHECK(!has_turn());
	pthread_barrier_destroy(&taken);
	pthread_barrier_destroy(&freed);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- many batches, many takers -------------------------------------------- */

struct stream {
	uint64_t next;		/* its taker's alone: TSan sees to that */
	atomic_int out;		/* taken, and not yet begun to be freed */
	uint64_t n;
	struct task *sender;
};

static struct stream streams[CONNS];
static atomic_int n_opened, n_closed;

/* Who frees an event may be another one than its taker: it is left here for him. */
static _Atomic(struct bp_event *) left_behind[THREADS];

static void send_stream(void *arg)
{
	struct stream *stream = arg;
	int fd = peer_connect(addr);

	send_numbers(fd, 0, stream->n);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

static void look_at(struct bp_event *event)
{
	struct stream *stream = bp_conn_data(event->conn);

	switch (event->kind) {
	case BP_RECEIVED:
		REQUIRE_EQ(number_of(event), stream->next);
		stream->next++;
		break;
	case BP_CLOSED:
		CHECK_EQ(stream->next, stream->n);
		atomic_fetch_add(&n_closed, 1);
		break;
	default:
		break;
	}
}

static void let_go(struct bp_event *event)
{
	struct stream *stream;

	if (!event)
		return;
	stream = bp_conn_data(event->conn);
	atomic_fetch_sub(&stream->out, 1);
	bp_event_free(event);
}

/* Nothing of its connections may be out with another. */
static void begin(struct bp_event **chain, int n)
{
	int of[CONNS] = { 0 };

	for (int i = 0; i < n; i++) {
		if (chain[i]->kind == BP_OPENED)
			bp_conn_set_data(chain[i]->conn,
			    &streams[atomic_fetch_add(&n_opened, 1)]);
		of[(struct stream *)bp_conn_data(chain[i]->conn) - streams]++;
	}
	for (int i = 0; i < CONNS; i++)
		if (of[i] > 0)
			CHECK_EQ(atomic_fetch_add(&streams[i].out, of[i]), 0);
}

static void consume(void *arg)
{
	uint64_t state = (uintptr_t)arg;
	struct bp_event *chain[MANY];
	int n, wait_ms = 0;

	for (;;) {
		n = bp_receive_many(ep, chain, 1 + (int)random_below(&state, MANY),
		    wait_ms);
		if (n == -EAGAIN) {
			/* who waits leaves nothing behind */
			for (int i = 0; i < THREADS; i++)
				let_go(atomic_exchange(&left_behind[i], NULL));
			wait_ms = random_below(&state, 2) ? 1 : SLOW(8000);
			continue;
		}
		if (n == -ETIMEDOUT) {
			CHECK_EQ(wait_ms, 1);	/* or somebody was not woken */
			wait_ms = 0;
			continue;
		}
		if (n < 0)
			break;
		wait_ms = 0;
		begin(chain, n);
		for (int i = 0; i < n; i++)
			look_at(chain[i]);
		for (int i = 0; i < n; i++)
			let_go(atomic_exchange(&left_behind[random_below(&state,
			    THREADS)], chain[i]));
	}
	CHECK_EQ(n, -EPIPE);
}

static void check_streams(const struct bp_qdisc_ops *qdisc, uint64_t n)
{
	struct task *consumers[THREADS];

	atomic_store(&n_opened, 0);
	atomic_store(&n_closed, 0);
	start(qdisc);
	for (uintptr_t i = 0; i < THREADS; i++)
		consumers[i] = task_start(consume, (void *)i);
	for (int i = 0; i < CONNS; i++) {
		streams[i] = (struct stream){ .n = n };
		streams[i].sender = task_start(send_stream, &streams[i]);
	}
	WAIT_UNTIL_MS(atomic_load(&n_closed) == CONNS, 40000);
	for (int i = 0; i < CONNS; i++)
		task_join(streams[i].sender);
	REQUIRE_EQ(bp_endpoint_stop(ep, 1000), 0);
	for (int i = 0; i < THREADS; i++)
		task_join(consumers[i]);
	finish(ep);
}

static void test_shared_batches_keep_the_order_of_millions(void)
{
	check_streams(&bp_qdisc_fair, is_sanitized() ? 20000 : 500000);
}

static void test_shared_batches_keep_the_order_under_each_discipline(void)
{
	static const struct bp_qdisc_ops *const disciplines[] = {
		&bp_qdisc_prio, &bp_qdisc_bytes, &bp_qdisc_bounded,
		&bp_qdisc_one_place, &bp_qdisc_unbounded,
	};

	for (size_t i = 0; i < COUNT_OF(disciplines); i++)
		check_streams(disciplines[i], is_sanitized() ? 2000 : 20000);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_shared_turns_last_beyond_the_first_batch),
		TEST_WITHIN(test_shared_batches_are_freed_by_all_at_once, 30),
		TEST_WITHIN(test_shared_batches_keep_the_order_of_millions, 60),
		TEST_WITHIN(test_shared_batches_keep_the_order_under_each_discipline,
		    60),
	};

	return run_suite("batches_shared", tests, COUNT_OF(tests), argc, argv);
}
