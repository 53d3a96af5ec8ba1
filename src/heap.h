/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap.h - an intrusive heap of items: least key first, then least seq.
 */
#ifndef BP_HEAP_H
#define BP_HEAP_H

#include "discipline.h"

struct bp_heap {
	struct bp_item *top;
};

void bp_heap_push(struct bp_heap *heap, struct bp_item *item);
struct bp_item *bp_heap_pop(struct bp_heap *heap);	/* NULL when empty */
void bp_heap_remove(struct bp_heap *heap, struct bp_item *item);

#endif /* BP_HEAP_H */
