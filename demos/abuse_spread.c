/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_spread.c - a histogram whose steps grow with the value, 32 to a power of
 * two: any number of values in 16 KiB, and each told within 2 %.
 */
#include "abuse_scenario.h"

static unsigned step_of(uint64_t value)
{
	unsigned shift;

	if (value < 2 * SPREAD_STEPS)
		return (unsigned)value;
	shift = 63 - (unsigned)__builtin_clzll(value) - 5;	/* leaves 32 to 63 */
	return shift * SPREAD_STEPS + (unsigned)(value >> shift);
}

static double middle_of(unsigned step)
{
	unsigned shift = step < 2 * SPREAD_STEPS ? 0 : step / SPREAD_STEPS - 1;

	if (shift == 0)
		return step;
	return ((double)(step - shift * SPREAD_STEPS) + 0.5) * (double)(1ull << shift);
}

void spread_add(struct spread *spread, uint64_t value)
{
	spread->n++;
	spread->counts[step_of(value)]++;
	if (value > spread->most)
		spread->most = value;
}

double spread_at(const struct spread *spread, double part)
{
	uint64_t before = 0, rank = (uint64_t)(part * (double)spread->n);
	double value, most = (double)spread->most;

	for (unsigned i = 0; i < sizeof spread->counts / sizeof *spread->counts; i++) {
		before += spread->counts[i];
		if (before > rank) {
			value = middle_of(i);
			return value < most ? value : most;
		}
	}
	return most;
}
