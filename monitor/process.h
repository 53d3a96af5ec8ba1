/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.h - what the kernel knows of this process, under the names that
 * Prometheus' stock boards expect.
 */
#ifndef BPM_PROCESS_H
#define BPM_PROCESS_H

#include <stdint.h>

struct bpm_process {
	uint64_t cpu_ns;
	uint64_t resident_bytes, virtual_bytes;
	uint64_t fds, fds_max, threads;
	uint64_t started_ns;		/* since 1970 */
};

/* What cannot be read is 0. */
void bpm_process_read(struct bpm_process *ret);

#endif /* BPM_PROCESS_H */
