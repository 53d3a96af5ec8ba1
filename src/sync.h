/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync.h - locks, conditions, deadlines and threads, as this library uses them.
 *
 * R1 says that no thread holds two locks. That makes one pointer per thread
 * enough to check every lock rule there is: taking a lock asserts that none is
 * held, a function whose name ends in _locked asserts that the right one is.
 * NDEBUG switches the checks off. A wait is always
 *
 *	while (!predicate)
 *		bp__wait(&cond, &lock);
 *
 * and a signal is sent with the lock held (R5); only bp__sleep() can be ended without.
 * All times are CLOCK_MONOTONIC.
 */
#ifndef BP_SYNC_H
#define BP_SYNC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "list.h"

/* clang -Wthread-safety checks what these say; other compilers skip them. */
#if defined __clang__
#define BP__ATTRIBUTE(x) __attribute__((x))
#else
#define BP__ATTRIBUTE(x)
#endif
#define BP__REQUIRES(lock) BP__ATTRIBUTE(requires_capability(lock))

struct BP__ATTRIBUTE(capability("mutex")) bp__mutex {
	pthread_mutex_t mutex;
};

struct bp__cond {
	pthread_cond_t cond;
};

#define BP__NEVER UINT64_MAX		/* a deadline that does not come */
#define BP__MS UINT64_C(1000000)	/* nanoseconds */

void bp__mutex_init(struct bp__mutex *lock);
void bp__mutex_fini(struct bp__mutex *lock);
void bp__lock(struct bp__mutex *lock) BP__ATTRIBUTE(acquire_capability(lock));
void bp__unlock(struct bp__mutex *lock) BP__ATTRIBUTE(release_capability(lock));
void bp__assert_held(const struct bp__mutex *lock)
    BP__ATTRIBUTE(assert_capability(lock));

void bp__cond_init(struct bp__cond *cond);
void bp__cond_fini(struct bp__cond *cond);
void bp__signal(struct bp__cond *cond);
void bp__wait(struct bp__cond *cond, struct bp__mutex *lock) BP__REQUIRES(lock);

/* Like bp__wait(); returns false once the deadline has passed. */
bool bp__wait_until(struct bp__cond *cond, struct bp__mutex *lock,
    uint64_t deadline_ns) BP__REQUIRES(lock);

/*
 * One thread that waits, on its own stack and its own condition: with several
 * on one condition glibc may lose a signal (bug 25847), and wakes the wrong one.
 */
struct bp__waiter {
	struct bp__list link;
	struct bp__cond cond;
	bool woken;
};

/* Wait in list until woken (true) or the deadline has passed (false). */
bool bp__waiter_wait(struct bp__waiter *waiter, struct bp__list *list,
    struct bp__mutex *lock, uint64_t deadline_ns) BP__REQUIRES(lock);
void bp__waiter_wake(struct bp__waiter *waiter);
void bp__wake_all(struct bp__list *waiters);

/*
 * A thread that sleeps until another rouses it, which may be after that has given the
 * lock back: who is woken with the lock held by its waker goes to sleep again at once.
 * It may live on the sleeper's stack: the waker's store is the last it does to it, and
 * waking an address where nobody waits any more does no harm.
 */
struct bp__sleep {
	atomic_uint over;
};

/* Until roused (true) or the deadline has passed (false). No lock is held. */
bool bp__sleep(struct bp__sleep *sleep, uint64_t deadline_ns);
void bp__rouse(struct bp__sleep *sleep);

/* A number that no other thread has or will have. */
uint64_t bp__this_thread(void);

uint64_t bp__now_ns(void);

/*
 * The same clock, at a fifth of the cost, as it was at the last tick of some ms: begins
 * and ends read so are right on the average. Never later than bp__now_ns().
 */
uint64_t bp__about_now_ns(void);

static inline uint64_t bp__earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* timeout_ms as the public functions take it; BP_FOREVER gives BP__NEVER. */
uint64_t bp__deadline_ns(int timeout_ms);

/* Milliseconds from now to the deadline, rounded up, for poll(2); -1: no end. */
int bp__poll_ms(uint64_t deadline_ns);

/*
 * A joinable thread that no signal of the host process is delivered to (R11). Not on
 * a stack of our own: sanitizers need more than an application asks for, and take it
 * where glibc makes the stack. Returns -EAGAIN, -ENOMEM, -EINVAL.
 */
int bp__thread_start(pthread_t *ret_thread, size_t stack_size,
    void *(*main)(void *arg), void *arg);

#endif /* BP_SYNC_H */
