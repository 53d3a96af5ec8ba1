/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults.c - failures on demand, for test_faults alone.
 *
 * That program is linked with these symbols wrapped (-Wl,--wrap=SYMBOL each):
 *
 *	malloc calloc realloc posix_memalign aligned_alloc strdup free
 *	mmap munmap pthread_create socket accept4 pipe2 eventfd
 *	clock_gettime gettimeofday time
 *
 * What libc allocates within itself is not seen. Each block is remembered by its
 * address, so that what libc gave and we free does not confuse the count.
 */
#include "config.h"

#include "faults.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LIVE_MAX (1u << 16)	/* a power of two, far above what a scenario holds */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned armed_kinds;			/* [lock], like all below */
static unsigned long calls, first, failures, failed, wall_asked;
static int armed_err;
static const void *live[LIVE_MAX];		/* open addressing; gone is a grave */
static size_t live_count;
static const char gone;

static _Thread_local unsigned exemptions;

/* What the linker calls the wrapped and the wrapping. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_posix_memalign(void **ret, size_t align, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __real_munmap(void *at, size_t len);
int __real_pthread_create(pthread_t *ret, const pthread_attr_t *attr,
    void *(*run)(void *), void *arg);
int __real_socket(int domain, int type, int protocol);
int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __real_pipe2(int fds[2], int flags);
int __real_eventfd(unsigned value, int flags);
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __real_gettimeofday(struct timeval *ret, void *zone);
time_t __real_time(time_t *ret);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_posix_memalign(void **ret, size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_munmap(void *at, size_t len);
int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr,
    void *(*run)(void *), void *arg);
int __wrap_socket(int domain, int type, int protocol);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_pipe2(int fds[2], int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_gettimeofday(struct timeval *ret, void *zone);
time_t __wrap_time(time_t *ret);

/* Is this the call that fails? Returns its errno, or 0. */
static int fault(enum faults_kind kind, int usual)
{
	int err = 0;

	if (exemptions)
		return 0;
	pthread_mutex_lock(&lock);
	if (armed_kinds & kind) {
		calls++;
		if (calls >= first && calls - first < failures) {
			failed++;
			err = armed_err ? armed_err : usual;
		}
	}
	pthread_mutex_unlock(&lock);
	return err;
}

static size_t slot_of(const void *block)
{
	return (size_t)(((uintptr_t)block >> 4) * 2654435761u) & (LIVE_MAX - 1);
}

static void *born(void *block)
{
	size_t i;

	if (!block)
		return NULL;
	pthread_mutex_lock(&lock);
	for (i = slot_of(block); live[i] && live[i] != &gone; )
		i = (i + 1) & (LIVE_MAX - 1);
	live[i] = block;
	if (++live_count == LIVE_MAX / 2)
		abort();		/* a test of this kind holds no such crowd */
	pthread_mutex_unlock(&lock);
	return block;
}

static void died(const void *block)
{
	size_t i, seen = 0;

	if (!block)
		return;
	pthread_mutex_lock(&lock);
	for (i = slot_of(block); live[i] && seen < LIVE_MAX; seen++) {
		if (live[i] == block) {
			live[i] = &gone;
			if (--live_count == 0)
				memset(live, 0, sizeof live);	/* graves too */
			break;
		}
		i = (i + 1) & (LIVE_MAX - 1);
	}
	pthread_mutex_unlock(&lock);
}

/* For a call that says NULL and errno. */
static bool refused(enum faults_kind kind, int usual)
{
	int err = fault(kind, usual);

	if (err)
		errno = err;
	return err != 0;
}

void *__wrap_malloc(size_t size)
{
	return refused(FAULTS_MEMORY, ENOMEM) ? NULL : born(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
	return refused(FAULTS_MEMORY, ENOMEM) ? NULL
	    : born(__real_calloc(n, size));
}

void *__wrap_realloc(void *old, size_t size)
{
	void *block;

	if (refused(FAULTS_MEMORY, ENOMEM))
		return NULL;
	died(old);			/* before another can be given its address */
	block = __real_realloc(old, size);
	born(block ? block : size ? old : NULL);
	return block;
}

int __wrap_posix_memalign(void **ret, size_t align, size_t size)
{
	int err = fault(FAULTS_MEMORY, ENOMEM);

	if (!err && !(err = __real_posix_memalign(ret, align, size)))
		born(*ret);
	return err;
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return refused(FAULTS_MEMORY, ENOMEM) ? NULL
	    : born(__real_aligned_alloc(align, size));
}

char *__wrap_strdup(const char *text)
{
	return refused(FAULTS_MEMORY, ENOMEM) ? NULL : born(__real_strdup(text));
}

void __wrap_free(void *block)
{
	died(block);
	__real_free(block);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	void *map;

	if (refused(FAULTS_MEMORY, ENOMEM))
		return MAP_FAILED;
	map = __real_mmap(at, len, prot, flags, fd, off);
	return map == MAP_FAILED ? map : born(map);
}

int __wrap_munmap(void *at, size_t len)
{
	died(at);
	return __real_munmap(at, len);
}

int __wrap_pthread_create(pthread_t *ret, const pthread_attr_t *attr,
    void *(*run)(void *), void *arg)
{
	int err = fault(FAULTS_THREAD, EAGAIN);

	return err ? err : __real_pthread_create(ret, attr, run, arg);
}

int __wrap_socket(int domain, int type, int protocol)
{
	return refused(FAULTS_FD, EMFILE) ? -1
	    : __real_socket(domain, type, protocol);
}

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return refused(FAULTS_FD, EMFILE) ? -1
	    : __real_accept4(fd, addr, len, flags);
}

int __wrap_pipe2(int fds[2], int flags)
{
	return refused(FAULTS_FD, EMFILE) ? -1 : __real_pipe2(fds, flags);
}

int __wrap_eventfd(unsigned value, int flags)
{
	return refused(FAULTS_FD, EMFILE) ? -1 : __real_eventfd(value, flags);
}

/* An hour back, two hours on, three hours back: wherever it is asked. */
static time_t wall_jump(void)
{
	time_t jump;

	pthread_mutex_lock(&lock);
	wall_asked++;
	jump = (time_t)wall_asked * 3600;
	jump = wall_asked % 2 ? -jump : jump;
	pthread_mutex_unlock(&lock);
	return jump;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int rc = __real_clock_gettime(clock, ret);

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		ret->tv_sec += wall_jump();
	return rc;
}

int __wrap_gettimeofday(struct timeval *ret, void *zone)
{
	int rc = __real_gettimeofday(ret, zone);

	ret->tv_sec += wall_jump();
	return rc;
}

time_t __wrap_time(time_t *ret)
{
	time_t now = __real_time(NULL) + wall_jump();

	if (ret)
		*ret = now;
	return now;
}

unsigned long faults_wall_clock_asked(void)
{
	unsigned long n;

	pthread_mutex_lock(&lock);
	n = wall_asked;
	pthread_mutex_unlock(&lock);
	return n;
}

void faults_arm(unsigned kinds, unsigned long nth, unsigned long times, int err)
{
	pthread_mutex_lock(&lock);
	armed_kinds = kinds;
	calls = failed = 0;
	first = nth;
	failures = times;
	armed_err = err;
	pthread_mutex_unlock(&lock);
}

unsigned long faults_disarm(void)
{
	unsigned long n;

	pthread_mutex_lock(&lock);
	armed_kinds = 0;
	n = failed;
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned long faults_hit(void)
{
	unsigned long n;

	pthread_mutex_lock(&lock);
	n = failed;
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned long faults_calls(void)
{
	unsigned long n;

	pthread_mutex_lock(&lock);
	n = calls;
	pthread_mutex_unlock(&lock);
	return n;
}

void faults_exempt(bool exempt)
{
	exemptions += exempt ? 1 : -1;
}

size_t faults_live_blocks(void)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = live_count;
	pthread_mutex_unlock(&lock);
	return n;
}
