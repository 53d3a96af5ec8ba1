/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pool.c - see pool.h. An idle block keeps the pool's links in its own first
 * page, which is resident anyway.
 */
#include "config.h"

#include "pool.h"

#include <sys/mman.h>

struct idle {
	struct bp__list same_size, by_age;
	size_t size;
	uint64_t since_ns;
};

#define MIN_BITS 14			/* of BP__POOLED_MIN */
#define PAGE ((size_t)4096)

static unsigned bits(size_t n)		/* floor of the logarithm to base 2 */
{
	unsigned b = 0;

	while (n >>= 1)
		b++;
	return b;
}

size_t bp__pool_size(size_t len)
{
	size_t step = (size_t)1 << (bits(len) - 3);

	if (step < PAGE)
		step = PAGE;
	return (len + step - 1) / step * step;
}

static unsigned class_of(size_t size)
{
	unsigned b = bits(size);
	unsigned class = (b - MIN_BITS) * 8 + (unsigned)(size >> (b - 3)) - 8;

	/* past some GiB sizes share the last list; take looks for the exact one */
	return class < BP__POOL_CLASSES ? class : BP__POOL_CLASSES - 1;
}

void bp__pool_init(struct bp__pool *pool)
{
	for (unsigned i = 0; i < BP__POOL_CLASSES; i++)
		bp__list_init(&pool->idle[i]);
	bp__list_init(&pool->by_age);
	pool->idle_bytes = 0;
}

static void forget(struct bp__pool *pool, struct idle *block)
{
	bp__list_remove(&block->same_size);
	bp__list_remove(&block->by_age);
	pool->idle_bytes -= block->size;
}

void *bp__pool_take(struct bp__pool *pool, size_t size)
{
	struct bp__list *list = &pool->idle[class_of(size)], *link;

	for (link = list->next; link != list; link = link->next) {
		struct idle *block = bp__container_of(link, struct idle, same_size);

		if (block->size == size) {
			forget(pool, block);
			return block;
		}
	}
	return NULL;
}

void bp__pool_give(struct bp__pool *pool, void *memory, size_t size, uint64_t now_ns)
{
	struct idle *block = memory;

	block->size = size;
	block->since_ns = now_ns;
	bp__list_init(&block->same_size);
	bp__list_init(&block->by_age);
	bp__list_prepend(&pool->idle[class_of(size)], &block->same_size);
	bp__list_append(&pool->by_age, &block->by_age);
	pool->idle_bytes += size;
}

static void evict(struct bp__pool *pool, struct idle *block, struct bp__list *victims)
{
	forget(pool, block);
	bp__list_append(victims, &block->by_age);
}

static struct idle *oldest(const struct bp__pool *pool)
{
	return bp__container_of(pool->by_age.next, struct idle, by_age);
}

void bp__pool_shrink(struct bp__pool *pool, size_t max, struct bp__list *victims)
{
	while (pool->idle_bytes > max)
		evict(pool, oldest(pool), victims);
}

void bp__pool_expire(struct bp__pool *pool, uint64_t before_ns,
    struct bp__list *victims)
{
	while (!bp__list_empty(&pool->by_age)
	    && oldest(pool)->since_ns < before_ns)
		evict(pool, oldest(pool), victims);
}

void *bp__pool_map(size_t size)
{
	void *block = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return block == MAP_FAILED ? NULL : block;
}

void bp__pool_unmap(struct bp__list *victims)
{
	struct bp__list *link;
	struct idle *block;
	size_t size;

	while ((link = bp__list_shift(victims)) != NULL) {
		block = bp__container_of(link, struct idle, by_age);
		size = block->size;
		/* a process at its limit of mappings may not split one */
		if (munmap(block, size) < 0)
			madvise(block, size, MADV_DONTNEED);
	}
}
