/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_batches_memory.c - batches that there is no memory for, in whole or in part,
 * and blocks of batches: nothing of them is lost.
 *
 * This program is linked with -Wl,--wrap= each of malloc, mmap, munmap.
 */
#include "config.h"

#include "batches.h"

#include <stdlib.h>
#include <sys/mman.h>

/* ---- the allocation that fails -------------------------------------------- */

static atomic_size_t refused_size;	/* the nth of that size; nth 0: none */
static atomic_int refused_nth;
static atomic_int mapped;		/* blocks */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t len);
int __wrap_munmap(void *at, size_t len);

static void refuse(size_t size, int nth)
{
	atomic_store(&refused_size, size);
	atomic_store(&refused_nth, nth);
}

static bool is_refused(size_t size)
{
	return atomic_load(&refused_nth) > 0 && size == atomic_load(&refused_size)
	    && atomic_fetch_sub(&refused_nth, 1) == 1;
}

void *__wrap_malloc(size_t size)
{
	return is_refused(size) ? NULL : __real_malloc(size);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (is_refused(len))
		return MAP_FAILED;
	atomic_fetch_add(&mapped, 1);
	return __real_mmap(at, len, prot, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t len)
{
	atomic_fetch_sub(&mapped, 1);
	return __real_munmap(at, len);
}

static size_t batch_size(unsigned n)
{
	return sizeof(struct bp__batch) + n * sizeof(struct bp__event);
}

/* ---- no memory ------------------------------------------------------------ */

static void end_without_memory(int fd)
{
	struct bp_event *event = next_event(ep, BP_CLOSED);

	CHECK_EQ(event->reason, BP_REASON_NO_MEMORY);
	bp_event_free(event);
	CHECK_EQ(held(), 0);
	end(fd);
}

/* n are read; those before the one that there is no memory for are delivered. */
static void check_refused(size_t size, int nth, uint32_t n, int delivered)
{
	int fd = start();

	refuse(size, nth);
	send_burst(fd, 0, n);
	WAIT_UNTIL(stats_of(ep).queued_events == (size_t)delivered + 1);
	CHECK_EQ(atomic_load(&refused_nth), 0);
	if (delivered > 0)
		take(0, delivered);
	CHECK_EQ(held(), (size_t)delivered * (BP__EVENT_COST + bp__buf_cost(LEN)));
	free_all(delivered);
	end_without_memory(fd);
}

static void test_batches_that_there_is_no_memory_for_leave_nothing(void)
{
	check_refused(batch_size(FEW), 1, FEW, 0);
	check_refused(batch_size(MIDDLE), 1, MIDDLE, 0);
	check_refused(sizeof(struct bp__buf) + LEN, 1, FEW, 0);
	check_refused(sizeof(struct bp__buf) + LEN, 4, FEW, 3);
	check_refused(sizeof(struct bp__buf) + LEN, FEW, FEW, FEW - 1);
	check_refused(CHUNK, 2, MANY, 0);	/* the first is the chunk itself */
}

static void test_batches_that_there_is_no_chunk_for_are_copied(void)
{
	int fd = start();

	refuse(CHUNK, 1);
	queue(fd, 0, MANY);
	CHECK_EQ(atomic_load(&refused_nth), 0);
	take(0, MANY);
	free_all(MANY);
	end(fd);
}

static void test_batches_that_there_is_no_memory_for_drop_a_large_frame(void)
{
	static char frame[200000];
	int fd = start();

	refuse(batch_size(1), 1);
	peer_send_u32be(fd, frame, sizeof frame);
	end_without_memory(fd);
}

/* ---- blocks --------------------------------------------------------------- */

static void test_blocks_of_batches_are_used_again(void)
{
	int before = atomic_load(&mapped), most = 0, fd = start();

	for (uint32_t round = 0; round < 100; round++) {
		queue(fd, round * MANY, MANY);
		take(round * MANY, MANY);
		CHECK_EQ(bp__container_of(events[0], struct bp__event, pub)
		    ->batch->block, BP__POOLED_MIN);
		if (atomic_load(&mapped) - before > most)
			most = atomic_load(&mapped) - before;
		free_all(MANY);
	}
	CHECK_EQ(ep->qdisc.promised, 0);
	CHECK_LE(most, 3);		/* a batch, its chunk, the reader's next one */
	end(fd);
	CHECK_EQ(atomic_load(&mapped), before);
}

/* n of it are out when it is cut, and so many of those were freed before. */
static void check_cut(int n, int freed)
{
	int before = atomic_load(&mapped), fd = start();

	queue(fd, 0, MANY);
	if (n > 0)
		take(0, n);
	for (int i = 0; i < freed; i++)
		bp_event_free(events[--n]);
	bp_conn_abort(conn, BP_REASON_ABORT);
	/* CLOSED alone, and its reader has let go of the chunk */
	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	CHECK_EQ(held(), n > 0 ? CHUNK + MANY * BP__EVENT_COST : 0);
	free_all(n);
	CHECK_EQ(held(), 0);
	skip_event(ep, BP_CLOSED);
	end(fd);
	CHECK_EQ(atomic_load(&mapped), before);
}

static void test_blocks_of_batches_that_are_cut_come_back(void)
{
	check_cut(0, 0);
	check_cut(3, 0);
	check_cut(3, 3);
	check_cut(3, 2);
	check_cut(MANY, 1);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_batches_that_there_is_no_memory_for_leave_nothing),
		TEST(test_batches_that_there_is_no_chunk_for_are_copied),
		TEST(test_batches_that_there_is_no_memory_for_drop_a_large_frame),
		TEST(test_blocks_of_batches_are_used_again),
		TEST(test_blocks_of_batches_that_are_cut_come_back),
	};

	return run_suite("batches_memory", tests, COUNT_OF(tests), argc, argv);
}
