/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_memory.c - how much memory a process has, and how much the experiment may
 * take: what belongs to the machine is not what belongs to the cgroup we run in,
 * and the kernel's killer looks at the smaller of the two.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_compare.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MOST ((size_t)2 << 30)

size_t memory_resident(pid_t pid)
{
	unsigned long long size = 0, resident = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof path, "/proc/%ld/statm", (long)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &size, &resident) != 2)
		resident = 0;
	fclose(file);
	return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* "max", a file that is not there and a huge number all mean: no limit. */
static size_t limit_in(const char *path)
{
	unsigned long long limit;
	FILE *file = fopen(path, "re");
	size_t result = SIZE_MAX;

	if (!file)
		return SIZE_MAX;
	if (fscanf(file, "%llu", &limit) == 1 && limit < SIZE_MAX)
		result = (size_t)limit;
	fclose(file);
	return result;
}

/* The least limit of a cgroup and of those it lies in. */
static size_t limit_above(const char *mount, char *group, const char *name)
{
	size_t least = SIZE_MAX, limit;
	char path[1024], *slash;

	for (;;) {
		snprintf(path, sizeof path, "%s%s/%s", mount, group, name);
		limit = limit_in(path);
		if (limit < least)
			least = limit;
		slash = strrchr(group, '/');
		if (!slash)
			return least;
		*slash = '\0';
	}
}

static size_t cgroup_limit(void)
{
	size_t least = SIZE_MAX, limit;
	char line[512], *controllers, *group;
	FILE *file = fopen("/proc/self/cgroup", "re");

	if (!file)
		return SIZE_MAX;
	while (fgets(line, sizeof line, file)) {	/* "4:memory:/path" or "0::/path" */
		line[strcspn(line, "\n")] = '\0';
		controllers = strchr(line, ':');
		group = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		if (!controllers[1])
			limit = limit_above("/sys/fs/cgroup", group, "memory.max");
		else if (strcmp(controllers + 1, "memory") == 0)
			limit = limit_above("/sys/fs/cgroup/memory", group,
			    "memory.limit_in_bytes");
		else
			continue;
		if (limit < least)
			least = limit;
	}
	fclose(file);
	return least;
}

size_t memory_limit_default(void)
{
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	size_t group = cgroup_limit();

	if (group < memory)
		memory = group;
	return memory / 4 < LIMIT_MOST ? memory / 4 : LIMIT_MOST;
}

void samples_take(struct samples *samples, double seconds, pid_t pid)
{
	double resident = (double)memory_resident(pid);
	struct sample *more;
	size_t max;

	if (resident <= 0)
		return;
	if (samples->n == samples->max) {
		max = samples->max ? 2 * samples->max : 1024;
		more = realloc(samples->all, max * sizeof *more);
		if (!more)
			return;
		samples->all = more;
		samples->max = max;
	}
	samples->all[samples->n++] = (struct sample){ seconds, resident };
	if (resident > samples->peak)
		samples->peak = resident;
}
