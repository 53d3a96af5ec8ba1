/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * list.h - an intrusive, circular, doubly linked list.
 *
 * A head and its members are the same struct; a link that is in no list points
 * at itself, so removing it twice does no harm and "is it in a list?" needs no
 * flag. Nothing is allocated: what may be queued has room for its link (R4).
 */
#ifndef BP_LIST_H
#define BP_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct bp__list {
	struct bp__list *next, *prev;
};

#define bp__container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void bp__list_init(struct bp__list *link)
{
	link->next = link->prev = link;
}

static inline bool bp__list_empty(const struct bp__list *link)
{
	return link->next == link;
}

static inline void bp__list_append(struct bp__list *head, struct bp__list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static inline void bp__list_prepend(struct bp__list *head, struct bp__list *link)
{
	bp__list_append(head->next, link);
}

static inline void bp__list_remove(struct bp__list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	bp__list_init(link);
}

/* The first member, now removed, or NULL. */
static inline struct bp__list *bp__list_shift(struct bp__list *head)
{
	struct bp__list *first = head->next;

	if (first == head)
		return NULL;
	bp__list_remove(first);
	return first;
}

/* Move all members of from, in order, to the end of head. */
static inline void bp__list_splice(struct bp__list *head, struct bp__list *from)
{
	if (bp__list_empty(from))
		return;
	from->next->prev = head->prev;
	from->prev->next = head;
	head->prev->next = from->next;
	head->prev = from->prev;
	bp__list_init(from);
}

#endif /* BP_LIST_H */
