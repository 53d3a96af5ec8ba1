/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_phase.c - which part of a trial it is: one number, and since when. Its
 * client leads; the server, or compare, may end it before.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_scenario.h"

enum phase phase_now(const struct trial *t)
{
	return (enum phase)atomic_load(&t->phase);
}

void phase_begin(struct trial *t, enum phase phase)
{
	int now = atomic_load(&t->phase);

	/* only onwards: nobody goes on with what another has ended */
	while (now < (int)phase)
		if (atomic_compare_exchange_weak(&t->phase, &now, (int)phase)) {
			t->since_ns[phase] = now_ns();
			return;
		}
}

bool phase_run(struct trial *t, enum phase phase, uint64_t ms)
{
	uint64_t until = now_ns() + ms * NS_PER_MS, now;

	phase_begin(t, phase);
	while (phase_now(t) == phase && (now = now_ns()) < until)
		if (signals_wait(until - now < TICK_NS ? until : now + TICK_NS))
			phase_begin(t, OVER);
	return phase_now(t) == phase;
}

double phase_ns(const struct trial *t, enum phase phase)
{
	int next = (int)phase + 1;

	if (!t->since_ns[phase])
		return 0;
	while (next < OVER && !t->since_ns[next])
		next++;
	return (double)t->since_ns[next] - (double)t->since_ns[phase];
}
