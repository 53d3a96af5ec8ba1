/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_heap.c - the heap, against a plain search for the least.
 */
#include "config.h"

#include "harness.h"
#include "tagged.h"

#include <bpthread_ops.h>
#include <stdlib.h>

#define ITEMS 300

static struct bp_heap heap;
static struct bp_item items[ITEMS];
static bool inside[ITEMS];

static bool before(const struct bp_item *a, const struct bp_item *b)
{
	return a->key < b->key || (a->key == b->key && a->seq < b->seq);
}

static struct bp_item *least(void)
{
	struct bp_item *best = NULL;
	int i;

	for (i = 0; i < ITEMS; i++)
		if (inside[i] && (!best || before(&items[i], best)))
			best = &items[i];
	return best;
}

static void push(struct bp_item *item, uint64_t key, uint64_t seq)
{
	item->key = key;
	item->seq = seq;
	/* what was left in the links is no concern of the heap's */
	item->link[0] = item->link[1] = item->link[2] = item;
	bp_heap_push(&heap, item);
	inside[item - items] = true;
}

static void pop_the_least(void)
{
	struct bp_item *best = least();

	CHECK(bp_heap_pop(&heap) == best);
	if (best)
		inside[best - items] = false;
}

static void empty_it(void)
{
	while (least())
		pop_the_least();
	CHECK(bp_heap_pop(&heap) == NULL);
	CHECK(heap.top == NULL);
}

static void test_heap_without_items_has_none_to_give(void)
{
	CHECK(bp_heap_pop(&heap) == NULL);
	CHECK(bp_heap_pop(&heap) == NULL);
	push(&items[0], 1, 1);
	pop_the_least();
	CHECK(bp_heap_pop(&heap) == NULL);
}

static void test_heap_gives_equal_keys_in_order_of_arrival(void)
{
	int i;

	for (i = 0; i < ITEMS; i++)
		push(&items[i * 7 % ITEMS], (uint64_t)(i % 3), (uint64_t)i);
	empty_it();
}

static void test_heap_orders_whatever_order_they_came_in(void)
{
	int i;

	for (i = 0; i < ITEMS; i++)
		push(&items[i], (uint64_t)i, 0);
	empty_it();
	for (i = 0; i < ITEMS; i++)
		push(&items[i], UINT64_MAX - (uint64_t)i, 0);
	empty_it();
}

/* The top, an only child, the first and the last of siblings, a whole subtree. */
static void test_heap_item_may_be_removed_from_wherever_it_is(void)
{
	int n, pops, gone, i;

	for (n = 1; n <= 12; n++)
		for (pops = 0; pops < 2 && pops < n; pops++)
			for (gone = 0; gone < n; gone++) {
				for (i = 0; i < n; i++)
					push(&items[i], (uint64_t)(i * 5 % n),
					    (uint64_t)i);
				if (pops)
					pop_the_least();
				if (inside[gone]) {
					bp_heap_remove(&heap, &items[gone]);
					inside[gone] = false;
				}
				empty_it();
			}
}

static void test_heap_agrees_with_a_search_through_it_all(void)
{
	uint64_t state, seq = 0, seed;
	int step;

	for (seed = 1; seed <= 10; seed++) {
		state = seed;
		for (step = 0; step < 5000; step++) {
			int i = (int)random_below(&state, ITEMS);

			if (!inside[i]) {
				push(&items[i], random_below(&state, 20), seq++);
			} else if (random_below(&state, 3) == 0) {
				pop_the_least();
			} else {
				bp_heap_remove(&heap, &items[i]);
				inside[i] = false;
			}
		}
		empty_it();
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_heap_without_items_has_none_to_give),
		TEST(test_heap_gives_equal_keys_in_order_of_arrival),
		TEST(test_heap_orders_whatever_order_they_came_in),
		TEST(test_heap_item_may_be_removed_from_wherever_it_is),
		TEST(test_heap_agrees_with_a_search_through_it_all),
	};

	return run_suite("heap", tests, COUNT_OF(tests), argc, argv);
}
