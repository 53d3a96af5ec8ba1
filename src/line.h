/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * line.h - items one behind the other, by the first two of their links. One may leave
 * from anywhere.
 */
#ifndef BP_LINE_H
#define BP_LINE_H

#include <bpthread_ops.h>

struct bp__line {
	struct bp_item *first, *last;
};

enum { BP__LINE_NEXT, BP__LINE_PREV };

static inline void bp__line_append(struct bp__line *line, struct bp_item *item)
{
	item->link[BP__LINE_NEXT] = NULL;
	item->link[BP__LINE_PREV] = line->last;
	*(line->last ? &line->last->link[BP__LINE_NEXT] : &line->first) = item;
	line->last = item;
}

static inline void bp__line_remove(struct bp__line *line, struct bp_item *item)
{
	struct bp_item *next = item->link[BP__LINE_NEXT];
	struct bp_item *prev = item->link[BP__LINE_PREV];

	*(prev ? &prev->link[BP__LINE_NEXT] : &line->first) = next;
	*(next ? &next->link[BP__LINE_PREV] : &line->last) = prev;
}

#endif /* BP_LINE_H */
