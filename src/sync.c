/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sync.c - see sync.h. A pthread call that fails here was misused by us: the
 * program is broken, and goes on in no case.
 */
#include "config.h"

#include "sync.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The one lock this thread holds (R1), or NULL. */
static _Thread_local const struct bp__mutex *held;

static void must(int rc)
{
	if (rc != 0)
		abort();
}

void bp__mutex_init(struct bp__mutex *lock)
{
	pthread_mutexattr_t attr;

	must(pthread_mutexattr_init(&attr));
#if HAVE_DECL_PTHREAD_MUTEX_ADAPTIVE_NP
	/* what a lock is held for is shorter than going to sleep and being woken */
	must(pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP));
#endif
	must(pthread_mutex_init(&lock->mutex, &attr));
	must(pthread_mutexattr_destroy(&attr));
}

void bp__mutex_fini(struct bp__mutex *lock)
{
	must(pthread_mutex_destroy(&lock->mutex));
}

void bp__lock(struct bp__mutex *lock)
    BP__ATTRIBUTE(no_thread_safety_analysis)
{
	assert(held == NULL);
	must(pthread_mutex_lock(&lock->mutex));
	held = lock;
}

void bp__unlock(struct bp__mutex *lock)
    BP__ATTRIBUTE(no_thread_safety_analysis)
{
	assert(held == lock);
	held = NULL;
	must(pthread_mutex_unlock(&lock->mutex));
}

void bp__assert_held(const struct bp__mutex *lock)
{
	assert(held == lock);
	(void)lock;
}

void bp__cond_init(struct bp__cond *cond)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr));
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	must(pthread_cond_init(&cond->cond, &attr));
	must(pthread_condattr_destroy(&attr));
}

void bp__cond_fini(struct bp__cond *cond)
{
	must(pthread_cond_destroy(&cond->cond));
}

void bp__signal(struct bp__cond *cond)
{
	must(pthread_cond_signal(&cond->cond));
}

void bp__wait(struct bp__cond *cond, struct bp__mutex *lock)
{
	bp__assert_held(lock);
	must(pthread_cond_wait(&cond->cond, &lock->mutex));
}

bool bp__wait_until(struct bp__cond *cond, struct bp__mutex *lock,
    uint64_t deadline_ns)
{
	struct timespec at;
	int rc;

	if (deadline_ns == BP__NEVER) {
		bp__wait(cond, lock);
		return true;
	}
	bp__assert_held(lock);
	at.tv_sec = (time_t)(deadline_ns / 1000000000);
	at.tv_nsec = (long)(deadline_ns % 1000000000);
	rc = pthread_cond_timedwait(&cond->cond, &lock->mutex, &at);
	if (rc == ETIMEDOUT)
		return false;
	must(rc);
	return true;
}

bool bp__waiter_wait(struct bp__waiter *waiter, struct bp__list *list,
    struct bp__mutex *lock, uint64_t deadline_ns)
{
	bp__cond_init(&waiter->cond);
	waiter->woken = false;
	bp__list_append(list, &waiter->link);
	while (!waiter->woken && bp__wait_until(&waiter->cond, lock, deadline_ns))
		;
	bp__list_remove(&waiter->link);
	bp__cond_fini(&waiter->cond);
	return waiter->woken;
}

void bp__waiter_wake(struct bp__waiter *waiter)
{
	bp__list_remove(&waiter->link);
	waiter->woken = true;
	bp__signal(&waiter->cond);
}

void bp__wake_all(struct bp__list *waiters)
{
	while (!bp__list_empty(waiters))
		bp__waiter_wake(bp__container_of(waiters->next,
		    struct bp__waiter, link));
}

static long futex(atomic_uint *word, int op, unsigned value, const struct timespec *at)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, at, NULL,
	    FUTEX_BITSET_MATCH_ANY);
}

bool bp__sleep(struct bp__sleep *sleep, uint64_t deadline_ns)
{
	struct timespec at;

	assert(held == NULL);
	at.tv_sec = (time_t)(deadline_ns / 1000000000);
	at.tv_nsec = (long)(deadline_ns % 1000000000);
	while (atomic_load(&sleep->over) == 0)
		/* of all FUTEX_WAITs the one with an absolute time, CLOCK_MONOTONIC */
		if (futex(&sleep->over, FUTEX_WAIT_BITSET, 0,
		    deadline_ns == BP__NEVER ? NULL : &at) < 0 && errno == ETIMEDOUT)
			return atomic_load(&sleep->over) != 0;
	return true;
}

void bp__rouse(struct bp__sleep *sleep)
{
	atomic_store(&sleep->over, 1);
	futex(&sleep->over, FUTEX_WAKE, 1, NULL);
}

uint64_t bp__this_thread(void)
{
	static _Atomic uint64_t last;
	static _Thread_local uint64_t number;

	if (number == 0)
		number = atomic_fetch_add(&last, 1) + 1;
	return number;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	must(clock_gettime(clock, &now));
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t bp__now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t bp__about_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}

uint64_t bp__deadline_ns(int timeout_ms)
{
	return timeout_ms < 0 ? BP__NEVER
	    : bp__now_ns() + (uint64_t)timeout_ms * BP__MS;
}

int bp__poll_ms(uint64_t deadline_ns)
{
	uint64_t now, ms;

	if (deadline_ns == BP__NEVER)
		return -1;
	now = bp__now_ns();
	if (deadline_ns <= now)
		return 0;
	ms = (deadline_ns - now + BP__MS - 1) / BP__MS;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

int bp__thread_start(pthread_t *ret_thread, size_t stack_size,
    void *(*main)(void *arg), void *arg)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	pthread_attr_t attr;
	sigset_t all, before;
	int rc;

	must(pthread_attr_init(&attr));
	stack_size = (stack_size + page - 1) / page * page;
	rc = pthread_attr_setstacksize(&attr, stack_size);
	if (rc == 0) {
		/* a thread inherits its creator's mask */
		sigfillset(&all);
		must(pthread_sigmask(SIG_SETMASK, &all, &before));
		rc = pthread_create(ret_thread, &attr, main, arg);
		must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	}
	must(pthread_attr_destroy(&attr));
	return -rc;
}
