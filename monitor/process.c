/* SPDX-License-Identifier: BSD-2-Clause */
/* process.c - see process.h. */
#include "config.h"

#include "process.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000u

uint64_t bpm_clock_ns(clockid_t clock)
{
	struct timespec ts = { 0 };

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static bool read_stat(int stat, char *text, size_t size)
{
	ssize_t len = pread(stat, text, size - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* The fields of proc(5) after the second, a name that may hold anything. */
enum field { STATE = 3, THREADS = 20, START_TICKS = 22, VIRTUAL = 23, RESIDENT = 24 };

static void read_fields(struct bpm_process *ret, int stat)
{
	uint64_t value[RESIDENT + 1] = { 0 };
	char text[1024], *at;
	uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);

	if (!read_stat(stat, text, sizeof text) || !(at = strrchr(text, ')')))
		return;
	for (int i = STATE; i <= RESIDENT && (at = strchr(at + 1, ' ')); i++)
		value[i] = strtoull(at + 1, NULL, 10);
	ret->threads = value[THREADS];
	ret->virtual_bytes = value[VIRTUAL];
	ret->resident_bytes = value[RESIDENT] * (uint64_t)sysconf(_SC_PAGESIZE);
	ret->started_ns = bpm_clock_ns(CLOCK_REALTIME) - bpm_clock_ns(CLOCK_BOOTTIME)
	    + value[START_TICKS] * (NS_PER_S / ticks);
	/* Two clocks are read one after the other: a start that moves is a restart. */
	ret->started_ns -= ret->started_ns % (NS_PER_S / ticks);
}

static uint64_t count_fds(DIR *dir)
{
	const struct dirent *entry;
	uint64_t n = 0;

	if (!dir)
		return 0;
	rewinddir(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	return n;
}

void bpm_process_open(struct bpm_process_files *files)
{
	files->stat = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	files->fds = opendir("/proc/self/fd");
}

void bpm_process_close(struct bpm_process_files *files)
{
	if (files->stat >= 0)
		close(files->stat);
	if (files->fds)
		closedir(files->fds);
}

void bpm_process_read(struct bpm_process *ret, const struct bpm_process_files *files)
{
	struct rlimit limit = { 0 };

	memset(ret, 0, sizeof *ret);
	read_fields(ret, files->stat);
	ret->cpu_ns = bpm_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	ret->fds = count_fds(files->fds);
	getrlimit(RLIMIT_NOFILE, &limit);
	ret->fds_max = limit.rlim_cur;
}
