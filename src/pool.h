/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.h - large blocks that are kept for a while when they are given back.
 *
 * A fresh mapping costs three times the copy into it, since each page is touched
 * for the first time; malloc would keep a hole per arena for ever. So a block
 * that is not needed goes to the pool and is taken again by the next who needs
 * one of its size; it goes back to the system when the space it takes is wanted,
 * or when it was idle for a second.
 *
 * Plain data: the caller locks, and unmaps what it is handed after unlocking.
 */
#ifndef BP_POOL_H
#define BP_POOL_H

#include <stdint.h>

#include "list.h"

#define BP__POOLED_MIN ((size_t)16 * 1024)	/* smaller ones come from malloc */
#define BP__POOL_CLASSES 128

struct bp__pool {
	struct bp__list idle[BP__POOL_CLASSES];	/* by size, the latest first */
	struct bp__list by_age;			/* the oldest first */
	size_t idle_bytes;
};

void bp__pool_init(struct bp__pool *pool);

/*
 * What a block for len bytes takes, len >= BP__POOLED_MIN: eight sizes to each
 * power of two, but whole pages: at most an eighth more than was asked for, below
 * 32 KiB a quarter.
 */
size_t bp__pool_size(size_t len);

/* An idle block of that size (as bp__pool_size() gives it), or NULL. */
void *bp__pool_take(struct bp__pool *pool, size_t size);
void bp__pool_give(struct bp__pool *pool, void *block, size_t size, uint64_t now_ns);

/* Move the oldest to victims until at most max bytes are idle. */
void bp__pool_shrink(struct bp__pool *pool, size_t max, struct bp__list *victims);

/* Move those that have been idle since before then. */
void bp__pool_expire(struct bp__pool *pool, uint64_t before_ns,
    struct bp__list *victims);

/* Blocks from and to the system; no lock may be held (R2). */
void *bp__pool_map(size_t size);
void bp__pool_unmap(struct bp__list *victims);

#endif /* BP_POOL_H */
