/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.c - what a test asks of its own process: threads to do something aside,
 * and how many descriptors, threads, bytes and seconds it uses. See harness.h.
 */
#include "config.h"

#include "harness.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct task {
	pthread_t thread;
	void (*fn)(void *arg);
	void *arg;
	atomic_bool done;
};

/* ---- threads ------------------------------------------------------------ */

static void *task_main(void *arg)
{
	struct task *task = arg;

	task->fn(task->arg);
	atomic_store(&task->done, true);
	return NULL;
}

struct task *task_start(void (*fn)(void *arg), void *arg)
{
	struct task *task = calloc(1, sizeof *task);

	REQUIRE(task != NULL);
	task->fn = fn;
	task->arg = arg;
	REQUIRE_EQ(pthread_create(&task->thread, NULL, task_main, task), 0);
	return task;
}

bool task_done(const struct task *task)
{
	return atomic_load(&task->done);
}

void task_join(struct task *task)
{
	WAIT_UNTIL_MS(task_done(task), 30000);
	REQUIRE_EQ(pthread_join(task->thread, NULL), 0);
	free(task);
}

/* ---- the process -------------------------------------------------------- */

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int n = 0;

	REQUIRE(dir != NULL);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

int count_fds(void)
{
	return count_entries("/proc/self/fd") - 1;	/* less the directory's own */
}

int count_threads(void)
{
	return count_entries("/proc/self/task");
}

size_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	REQUIRE(file != NULL);
	REQUIRE_EQ(fscanf(file, "%*u %zu", &pages), 1);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

uint64_t cpu_ns(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

#ifndef __has_feature
#define __has_feature(x) 0
#endif

bool is_sanitized(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ \
    || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#else
	return false;
#endif
}
