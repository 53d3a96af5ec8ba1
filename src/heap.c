/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap.c - a pairing heap (Fredman, Sedgewick, Sleator, Tarjan, "The pairing
 * heap: a new form of self-adjusting heap", 1986): no memory but the links in the
 * items, O(1) push, O(log n) amortised pop and remove of any item.
 *
 * Each item links to its first child, its next sibling, and back: to the sibling
 * before it, or to its parent if it is the first child.
 */
#include "config.h"

#include <bpthread_ops.h>

enum { CHILD, NEXT, BACK };

static bool before(const struct bp_item *a, const struct bp_item *b)
{
	return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

/* Two whole heaps into one; either may be NULL. */
static struct bp_item *meld(struct bp_item *a, struct bp_item *b)
{
	struct bp_item *other;

	if (!a || !b)
		return a ? a : b;
	if (before(b, a)) {
		other = a;
		a = b;
		b = other;
	}
	b->link[NEXT] = a->link[CHILD];
	if (b->link[NEXT])
		b->link[NEXT]->link[BACK] = b;
	b->link[BACK] = a;
	a->link[CHILD] = b;
	return a;
}

/* A list of siblings into one heap: in pairs from the left, then from the right. */
static struct bp_item *meld_siblings(struct bp_item *first)
{
	struct bp_item *pairs = NULL, *heap = NULL, *a, *b;

	while ((a = first) != NULL) {
		b = a->link[NEXT];
		first = b ? b->link[NEXT] : NULL;
		a->link[NEXT] = NULL;
		if (b)
			b->link[NEXT] = NULL;
		a = meld(a, b);
		a->link[NEXT] = pairs;
		pairs = a;
	}
	while ((a = pairs) != NULL) {
		pairs = a->link[NEXT];
		a->link[NEXT] = NULL;
		heap = meld(heap, a);
	}
	if (heap)
		heap->link[BACK] = NULL;
	return heap;
}

void bp_heap_push(struct bp_heap *heap, struct bp_item *item)
{
	item->link[CHILD] = item->link[NEXT] = item->link[BACK] = NULL;
	heap->top = meld(heap->top, item);
}

struct bp_item *bp_heap_pop(struct bp_heap *heap)
{
	struct bp_item *top = heap->top;

	if (top)
		heap->top = meld_siblings(top->link[CHILD]);
	return top;
}

void bp_heap_remove(struct bp_heap *heap, struct bp_item *item)
{
	struct bp_item *back = item->link[BACK], *next = item->link[NEXT];

	if (item == heap->top) {
		bp_heap_pop(heap);
		return;
	}
	if (back->link[CHILD] == item)
		back->link[CHILD] = next;
	else
		back->link[NEXT] = next;
	if (next)
		next->link[BACK] = back;
	heap->top = meld(heap->top, meld_siblings(item->link[CHILD]));
}
