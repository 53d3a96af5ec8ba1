/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.h - what the kernel knows of this process, under the names that
 * Prometheus' stock boards expect.
 */
#ifndef BPM_PROCESS_H
#define BPM_PROCESS_H

#include <dirent.h>
#include <stdint.h>
#include <time.h>

struct bpm_process {
	uint64_t cpu_ns;
	uint64_t resident_bytes, virtual_bytes;
	uint64_t fds, fds_max, threads;
	uint64_t started_ns;		/* since 1970 */
};

uint64_t bpm_clock_ns(clockid_t clock);

/* Kept open: when descriptors are exhausted this is what one wants to know. */
struct bpm_process_files {
	int stat;			/* or -1 */
	DIR *fds;			/* or NULL */
};

void bpm_process_open(struct bpm_process_files *files);
void bpm_process_close(struct bpm_process_files *files);

/* What cannot be read is 0. */
void bpm_process_read(struct bpm_process *ret, const struct bpm_process_files *files);

#endif /* BPM_PROCESS_H */
