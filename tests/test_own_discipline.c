/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_own_discipline.c - disciplines of the application's in a real server: whole,
 * with the gate or the order inherited, and refused with the rule they break.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <bpthread_ops.h>
#include <stdio.h>
#include <stdlib.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* ---- an order: the largest first, and whoever waits gains 1 KiB a take ----- */

struct largest_first {
	struct bp_heap heap;
	uint64_t takes;
};

static void largest_put(void *q, struct bp_item *item)
{
	struct largest_first *queue = q;

	item->key = (1u << 30) + queue->takes * KIB - item->len;
	bp_heap_push(&queue->heap, item);
}

static struct bp_item *largest_take(void *q)
{
	struct largest_first *queue = q;

	queue->takes++;
	return bp_heap_pop(&queue->heap);
}

static void largest_remove(void *q, struct bp_item *item)
{
	bp_heap_remove(&((struct largest_first *)q)->heap, item);
}

static const struct bp_qdisc_ops largest_first = {
	.name = "largest_first", .state_size = sizeof(struct largest_first),
	.put = largest_put, .take = largest_take, .remove = largest_remove,
};

/* ---- a gate: one at a time, whatever it costs ------------------------------ */

struct one_at_a_time {
	struct bp_heap waiting;
	size_t used;
	unsigned *peers;		/* in memory of its own */
};

static int one_init(void *q, const struct bp_endpoint_config *config)
{
	struct one_at_a_time *gate = q;

	gate->peers = calloc(1, sizeof *gate->peers);
	return config->budget > 0 && gate->peers ? 0 : -ENOMEM;
}

static void one_fini(void *q)
{
	free(((struct one_at_a_time *)q)->peers);
}

static void one_ask(void *q, struct bp_item *item)
{
	item->key = 0;
	bp_heap_push(&((struct one_at_a_time *)q)->waiting, item);
	*(bool *)item->peer->state = true;
}

static struct bp_item *one_grant(void *q)
{
	struct one_at_a_time *gate = q;

	if (gate->used > 0 || !gate->waiting.top)
		return NULL;
	gate->used = gate->waiting.top->cost;
	return bp_heap_pop(&gate->waiting);
}

static void one_cancel(void *q, struct bp_item *item)
{
	bp_heap_remove(&((struct one_at_a_time *)q)->waiting, item);
}

static void one_release(void *q, struct bp_peer *peer, size_t cost)
{
	(void)peer;
	((struct one_at_a_time *)q)->used -= cost;
}

static void one_peer_gone(void *q, struct bp_peer *peer)
{
	if (*(bool *)peer->state)	/* it has asked */
		++*((struct one_at_a_time *)q)->peers;
}

static const struct bp_qdisc_ops one_at_a_time = {
	.name = "one_at_a_time",
	.state_size = sizeof(struct one_at_a_time), .peer_size = sizeof(bool),
	.init = one_init, .fini = one_fini,
	.ask = one_ask, .grant = one_grant, .cancel = one_cancel,
	.release = one_release, .peer_gone = one_peer_gone,
};

/* ---- both ------------------------------------------------------------------ */

struct whole {
	struct one_at_a_time gate;	/* first: its functions are taken as they are */
	struct largest_first order;
};

static void whole_put(void *q, struct bp_item *item)
{
	largest_put(&((struct whole *)q)->order, item);
}

static struct bp_item *whole_take(void *q)
{
	return largest_take(&((struct whole *)q)->order);
}

static void whole_remove(void *q, struct bp_item *item)
{
	largest_remove(&((struct whole *)q)->order, item);
}

/* ---- in a server ----------------------------------------------------------- */

enum { PEERS = 4, MANY = 60 };	/* MANY of 100 KiB of each exceed the budget */

static struct bp_endpoint *ep;
static int fds[PEERS];

static void begin(const struct bp_qdisc_ops *qdisc)
{
	const struct bp_endpoint_config config = { .qdisc = qdisc, .budget = 16 * MIB };
	const struct bp_conn_config u32be = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX];

	ep = serve(&config, &u32be, addr);
	for (int i = 0; i < PEERS; i++) {
		fds[i] = peer_connect(addr);
		skip_event(ep, BP_OPENED);
	}
}

static void send_frame(int i, size_t len)
{
	static char zeros[128 * KIB];

	peer_send_u32be(fds[i], zeros, (uint32_t)len);
}

static void expect_frame(size_t len)
{
	struct bp_event *event = next_event(ep, BP_RECEIVED);

	CHECK_EQ(event->buf->len, len);
	bp_event_free(event);
}

static void end(void)
{
	for (int i = 0; i < PEERS; i++)
		peer_close(fds[i]);
	finish(ep);
}

static void test_own_order_is_that_of_the_server(void)
{
	begin(&largest_first);
	for (int i = 0; i < PEERS; i++)
		send_frame(i, (size_t)(1 + i) * 10 * KIB);
	WAIT_UNTIL(stats_of(ep).queued_events == PEERS);
	for (int i = PEERS; i > 0; i--)
		expect_frame((size_t)i * 10 * KIB);
	end();
}

static void send_many(void *arg)
{
	for (int n = 0; n < MANY; n++)
		send_frame(*(int *)arg, 100 * KIB);
}

/* The gate is then that of bytes: who would exceed the budget waits. */
static void test_own_order_inherits_the_budget(void)
{
	static int numbers[PEERS];
	struct task *senders[PEERS];
	int i;

	begin(&largest_first);
	for (i = 0; i < PEERS; i++) {
		numbers[i] = i;
		senders[i] = task_start(send_many, &numbers[i]);
	}
	WAIT_UNTIL(stats_of(ep).waiting == PEERS);
	for (i = 0; i < PEERS * MANY; i++) {
		CHECK_LE(stats_of(ep).held_bytes, 16 * MIB);
		expect_frame(100 * KIB);
	}
	for (i = 0; i < PEERS; i++)
		task_join(senders[i]);
	end();
}

static void check_one_at_a_time(const struct bp_qdisc_ops *qdisc)
{
	struct bp_event *event;

	begin(qdisc);
	send_frame(0, 64 * KIB);
	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	for (int i = 1; i < PEERS; i++) {
		send_frame(i, 64 * KIB + (size_t)i);
		WAIT_UNTIL(stats_of(ep).waiting == (size_t)i);
	}
	for (int i = 0; i < PEERS; i++) {
		event = next_event(ep, BP_RECEIVED);
		CHECK_EQ(event->buf->len, 64 * KIB + (size_t)i);
		CHECK_EQ(stats_of(ep).queued_events, 0);
		CHECK_EQ(stats_of(ep).waiting, (size_t)(PEERS - 1 - i));
		bp_event_free(event);
	}
	end();
}

/* And the order first come first served. */
static void test_own_gate_is_that_of_the_server(void)
{
	check_one_at_a_time(&one_at_a_time);
}

static void test_own_discipline_may_be_whole(void)
{
	struct bp_qdisc_ops ops = one_at_a_time;

	ops.name = "whole";
	ops.state_size = sizeof(struct whole);
	ops.put = whole_put;
	ops.take = whole_take;
	ops.remove = whole_remove;
	check_one_at_a_time(&ops);
}

/* ---- refused --------------------------------------------------------------- */

static char logged[256];

static void keep_line(int level, const char *line, void *arg)
{
	(void)level, (void)arg;
	snprintf(logged, sizeof logged, "%s", line);
}

static void check_refused(struct bp_qdisc_ops qdisc, const char *rule)
{
	const struct bp_endpoint_config config = { .qdisc = &qdisc, .log = keep_line };
	struct bp_endpoint *none = NULL;

	logged[0] = '\0';
	CHECK_EQ(bp_endpoint_new(&none, &config), -EINVAL);
	CHECK(none == NULL);
	CHECK(strstr(logged, rule) != NULL);
	CHECK(!qdisc.name || strstr(logged, qdisc.name) != NULL);
}

static void forget(void *q, struct bp_item *item)
{
	(void)q, (void)item;
}

static void test_own_discipline_that_breaks_a_rule_is_refused_with_it(void)
{
	struct bp_qdisc_ops qdisc = largest_first;

	qdisc.put = forget;
	qdisc.remove = forget;
	check_refused(qdisc, "take returned NULL while");
	qdisc = largest_first;
	qdisc.remove = NULL;
	check_refused(qdisc, "all of them or none");
	qdisc = one_at_a_time;
	qdisc.name = NULL;
	check_refused(qdisc, "no name");
	check_refused((struct bp_qdisc_ops){ .name = "empty" }, "neither");
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_own_order_is_that_of_the_server),
		TEST(test_own_order_inherits_the_budget),
		TEST(test_own_gate_is_that_of_the_server),
		TEST(test_own_discipline_may_be_whole),
		TEST(test_own_discipline_that_breaks_a_rule_is_refused_with_it),
	};

	return run_suite("own_discipline", tests, COUNT_OF(tests), argc, argv);
}
