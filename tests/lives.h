/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lives.h - peers of an echo server who come, talk and go in every way there is:
 * in good order, by a reset, without reading, slowly, without a word. Each life has
 * a number that its frames carry, and each echo is checked.
 */
#ifndef TEST_LIVES_H
#define TEST_LIVES_H

#include "harness.h"

enum { LIVES_MAX = 1 << 16, LIFE_FRAME_MAX = 60000 };

/* What the server notes of each life, for its peer to compare. */
struct note {
	atomic_uint accepted;		/* echoes its sends took */
	atomic_bool meddled;		/* somebody else ended it as well */
	atomic_int reason;		/* as CLOSED told; NONE until then */
};

struct crowd {
	char addr[ADDR_MAX];
	uint64_t seed;
	atomic_bool over;		/* set: no new life begins */
	atomic_uint members;		/* tasks that have begun */
	atomic_uint lives;		/* numbers given out */
	atomic_uint whole;		/* lives that ended in good order */
	atomic_uint cut;		/* lives the server cut short, by a reset */
	struct note notes[LIVES_MAX];
};

/* A task: one life after the other, until the crowd is over. */
void live_on(void *crowd);

#endif /* TEST_LIVES_H */
