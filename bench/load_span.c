/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_span.c - the span that is measured: it begins when the warm-up is over,
 * and the CPU time of both sides is read at both its ends.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		fail("clock_gettime: %m");
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void sleep_until(uint64_t ns)
{
	struct timespec t = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		;
}

static struct usage get_usage(const struct load *load)
{
	struct usage usage = { 0 };
	clockid_t clock;

	usage.client = read_clock(CLOCK_PROCESS_CPUTIME_ID);
	if (load->server_pid == 0)
		return usage;
	errno = clock_getcpuclockid(load->server_pid, &clock);
	if (errno != 0)
		fail("the server's CPU time: %m");
	usage.server = read_clock(clock);
	return usage;
}

void span_start(struct load *load)
{
	load->measuring = false;
	load->next_ns = clock_ns() + load->warmup_ns;
	if (load->warmup_ns == 0)
		span_turn(load);
}

bool span_turn(struct load *load)
{
	if (load->measuring) {
		load->end_ns = clock_ns();
		load->usage_end = get_usage(load);
		load->measuring = false;
		return false;
	}
	load->usage_begin = get_usage(load);
	load->begin_ns = clock_ns();
	load->next_ns = load->begin_ns + load->seconds_ns;
	load->measuring = true;
	return true;
}

void span_await(struct load *load)
{
	if (!load->measuring) {
		sleep_until(load->next_ns);
		span_turn(load);
	}
}

/* The number on a line "key: 123 kB" of such a file; 0 when there is none. */
static uint64_t read_number(const char *path, const char *key)
{
	unsigned long long n = 0;
	char line[256];
	size_t len = strlen(key);
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof line, file))
		if (strncmp(line, key, len) == 0 && line[len] == ':') {
			n = strtoull(line + len + 1, NULL, 10);
			break;
		}
	fclose(file);
	return n;
}

/*
 * The sum over all mappings is exact where it may be read; the count in status
 * may lag behind by some pages of each processor.
 */
struct memory server_memory(const struct load *load)
{
	struct memory memory = { 0 };
	char status[64], sum[64];

	if (load->server_pid == 0)
		return memory;
	snprintf(status, sizeof status, "/proc/%d/status",
	    (int)load->server_pid);
	snprintf(sum, sizeof sum, "/proc/%d/smaps_rollup",
	    (int)load->server_pid);
	memory.resident = read_number(sum, "Rss");
	if (memory.resident == 0)
		memory.resident = read_number(status, "VmRSS");
	if (memory.resident == 0)
		fail("the server's memory cannot be read: has it ended?");
	memory.peak = read_number(status, "VmHWM");
	if (memory.peak < memory.resident)
		memory.peak = memory.resident;
	memory.threads = (unsigned)read_number(status, "Threads");
	return memory;
}

/*
 * Sockets, descriptors and threads are in the slabs; a thread's stack is not.
 */
uint64_t kernel_memory(void)
{
	static const char path[] = "/proc/meminfo";

	return read_number(path, "Slab") + read_number(path, "KernelStack")
	    + read_number(path, "PageTables");
}
