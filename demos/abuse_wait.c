/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_wait.c - waiting, always for an absolute time on the monotonic clock, and
 * always so that it can be ended: the main thread waits for signals, the others
 * for the program to be halted. There is no signal handler.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t halting;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_halted;

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S),
	};
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t due_ns(uint64_t start_ns, uint64_t bytes, uint64_t rate)
{
	return start_ns + bytes / rate * NS_PER_S + bytes % rate * NS_PER_S / rate;
}

unsigned seconds_over(uint64_t start_ns, uint64_t at_ns, uint64_t *ret_next_ns)
{
	uint64_t n = (at_ns - start_ns) / NS_PER_S;

	*ret_next_ns = start_ns + (n + 1) * NS_PER_S;
	return (unsigned)n;
}

/* ---- signals ----------------------------------------------------------------- */

static sigset_t stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return set;
}

void signals_block(void)
{
	sigset_t set = stop_signals();

	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int signals_wait(uint64_t until_ns)
{
	sigset_t set = stop_signals();
	struct timespec left;
	uint64_t now;
	int sig;

	do {
		now = now_ns();
		left = timespec_of(until_ns > now ? until_ns - now : 0);
		sig = sigtimedwait(&set, NULL, &left);
	} while (sig < 0 && now < until_ns);
	return sig < 0 ? 0 : sig;
}

void signals_unblock(void)
{
	sigset_t set = stop_signals();

	/* a shell without job control starts its background with SIGINT ignored */
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- the other threads --------------------------------------------------------- */

static void init(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&halting, &attr);
	pthread_condattr_destroy(&attr);
}

bool sleep_until(uint64_t until_ns)
{
	struct timespec until = timespec_of(until_ns);
	bool slept;

	pthread_once(&once, init);
	pthread_mutex_lock(&lock);
	while (!is_halted && now_ns() < until_ns)
		pthread_cond_timedwait(&halting, &lock, &until);
	slept = !is_halted;
	pthread_mutex_unlock(&lock);
	return slept;
}

void halt(void)
{
	pthread_once(&once, init);
	pthread_mutex_lock(&lock);
	is_halted = true;
	pthread_cond_broadcast(&halting);
	pthread_mutex_unlock(&lock);
}

bool halted(void)
{
	bool halted_now;

	pthread_mutex_lock(&lock);
	halted_now = is_halted;
	pthread_mutex_unlock(&lock);
	return halted_now;
}
