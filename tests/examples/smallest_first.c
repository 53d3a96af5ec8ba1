/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A discipline: of all connections' next messages the smallest first; one that
 * waits ages, each message let past is worth 4 KiB, so none starves. Nothing is dropped;
 * memory is bounded by the gate of `bytes`, which is inherited.
 */
#include <bpthread_ops.h>
#include <stdio.h>
#include <stdlib.h>

struct queue {
	struct bp_heap heap;
	uint64_t takes;
};

static void put(void *q, struct bp_item *item)
{
	struct queue *queue = q;

	/* least key first: each take that passes it by is worth 4 KiB */
	item->key = queue->takes * 4096 + item->len;
	bp_heap_push(&queue->heap, item);
}

static struct bp_item *take(void *q)
{
	struct queue *queue = q;

	queue->takes++;
	return bp_heap_pop(&queue->heap);
}

static void take_back(void *q, struct bp_item *item)
{
	bp_heap_remove(&((struct queue *)q)->heap, item);
}

static const struct bp_qdisc_ops smallest_first = {
	.name = "smallest_first", .state_size = sizeof(struct queue),
	.put = put, .take = take, .remove = take_back,
};

int main(int argc, char **argv)
{
	struct bp_endpoint_config config = {
		.qdisc = &smallest_first, .budget = 16u << 20,
	};
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };
	struct bp_endpoint *ep;
	struct bp_event *event;

	if (argc > 1 && bp_qdisc_check(&smallest_first, &config,
	    (unsigned)atoi(argv[1]), 1000000) < 0)
		return 1;
	if (bp_endpoint_new(&ep, &config) < 0
	    || bp_listen(ep, NULL, ":7777", &conn_config) < 0)
		return 1;
	while (bp_receive(ep, &event, BP_FOREVER) == 0) {
		if (event->kind == BP_RECEIVED)
			printf("%s: %zu\n", bp_conn_peer(event->conn), event->buf->len);
		bp_event_free(event);
	}
	bp_endpoint_free(ep);
	return 0;
}
