/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults.h - let the n-th allocation, thread or descriptor fail, count what was
 * allocated and not given back, and let the wall clock jump.
 *
 * Only calls that go through the linker's --wrap are seen, those of the library
 * and of the test program itself; a thread of the test's own that must not be
 * hit is exempt.
 */
#ifndef BP_TEST_FAULTS_H
#define BP_TEST_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum faults_kind {
	FAULTS_MEMORY = 1,	/* malloc and its kin, mmap */
	FAULTS_THREAD = 2,	/* pthread_create */
	FAULTS_FD = 4,		/* socket, accept4, pipe2, eventfd */
	FAULTS_ALL = 7,
};

/*
 * From now on count the calls of these kinds by threads that are not exempt; from
 * the nth (1 is the next) on let times of them fail, with err, or with what is
 * usual for the call if err is 0.
 */
void faults_arm(unsigned kinds, unsigned long nth, unsigned long times, int err);

/* Nothing fails any more. Returns how many did. */
unsigned long faults_disarm(void);

/* How many failed since they were armed; how many calls there were. */
unsigned long faults_hit(void);
unsigned long faults_calls(void);

/* The calling thread's own calls are neither counted nor failed; it nests. */
void faults_exempt(bool exempt);

/* How often the wall clock was asked; each time it has jumped by hours. */
unsigned long faults_wall_clock_asked(void);

/* Blocks and mappings that were allocated through the wrappers and still are. */
size_t faults_live_blocks(void);

#endif
