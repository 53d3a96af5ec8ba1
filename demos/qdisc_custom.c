/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc_custom.c - a discipline of one's own: of all connections that have a line
 * ready, the one that was served the longest ago. A line is answered in 2 ms, by one
 * thread, and waits for at most one of each other connection, however many they send.
 *
 * Run	demos/qdisc_custom --check 7		does it keep its contract?
 *	demos/qdisc_custom 7777			and in other terminals
 *	yes | nc localhost 7777 >/dev/null	two or three of these
 *	nc localhost 7777			type, and read it back
 *
 * Watch how soon you are answered: at once. With --fifo what you type waits behind all
 * that the others have sent, for half a minute. Neither takes more memory than the
 * budget: the gate is that of "bytes".
 */
#define _POSIX_C_SOURCE 200809L

#include <bpthread_ops.h>
#include <stdio.h>
#include <time.h>

#include "args.h"

/* ---- the discipline: plain data; the library has the lock ------------------------ */

struct queue {
	struct bp_heap ready;		/* least key first, then first come first served */
	uint64_t takes;
};

struct turn { uint64_t last; };		/* of each peer, 0 when it appears */

static void put(void *q, struct bp_item *item)
{
	struct turn *turn = item->peer->state;
	struct queue *queue = q;

	if (turn->last == 0)	/* new: after all who wait, or new ones starve them */
		turn->last = queue->takes + 1;
	item->key = turn->last;
	bp_heap_push(&queue->ready, item);
}

static struct bp_item *take(void *q)
{
	struct queue *queue = q;
	struct bp_item *item = bp_heap_pop(&queue->ready);

	if (item)
		((struct turn *)item->peer->state)->last = ++queue->takes;
	return item;
}

static void take_back(void *q, struct bp_item *item)
{
	bp_heap_remove(&((struct queue *)q)->ready, item);
}

static const struct bp_qdisc_ops longest_ago = {
	.name = "longest_ago", .state_size = sizeof(struct queue),
	.peer_size = sizeof(struct turn), .put = put, .take = take, .remove = take_back,
};

static const struct args_program program = {
	"qdisc_custom", "usage: qdisc_custom [--fifo] [ADDR:]PORT | --check SEED\n"
};

int main(int argc, char **argv)
{
	bool fifo = false;
	uint64_t seed = 1;
	const struct args_option options[] = { { "fifo", .flag = &fifo },
		{ "check", .number = &seed, .min = 1, .max = 1000000000 }, { 0 } };
	struct bp_conn_config lines = { .framer = &bp_framer_line };
	struct bp_endpoint_config config = { .qdisc = &longest_ago, .budget = 8 << 20 };
	const struct timespec work = { .tv_nsec = 2000000 };
	struct bp_listener *listener;
	struct bp_endpoint *ep;
	struct bp_event *event;
	const char *addr;
	int rc;

	if (args_parse(&program, argc, argv, options, &addr, 0, 1) == 0)
		return bp_qdisc_check(&longest_ago, &config, (unsigned)seed, 1000000) < 0
		    || args_written(&program, puts("longest_ago keeps its contract") < 0);
	if (fifo)
		config.qdisc = &bp_qdisc_bytes;
	if ((rc = bp_endpoint_new(&ep, &config)) < 0
	    || (rc = bp_listen(ep, &listener, args_addr(&program, addr), &lines)) < 0)
		return args_failed(&program, "serve on", addr, rc);
	printf("qdisc_custom: listening on %s\n", bp_listener_addr(listener));
	fflush(stdout);
	while (bp_receive(ep, &event, BP_FOREVER) == 0) {
		if (event->kind == BP_RECEIVED && nanosleep(&work, NULL) == 0)
			bp_send_buf(event->conn, event->buf, BP_FOREVER);
		bp_event_free(event);
	}
	return 0;
}
