/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histogram.h - how long things took, in fixed memory, to 3 significant digits.
 *
 * Every power of two is cut into HISTOGRAM_CUTS cells of one width, so a cell
 * is never wider than a 1024th of the values in it; below two times that number
 * every value has a cell of its own. From 1 ns to HISTOGRAM_MAX; what is longer
 * counts as that long, only the maximum is kept as it was.
 */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_CUTS_LOG2 10
#define HISTOGRAM_CUTS (1u << HISTOGRAM_CUTS_LOG2)
#define HISTOGRAM_MAX UINT64_C(100000000000)	/* ns; less than 2^37 */
#define HISTOGRAM_CELLS ((37 - HISTOGRAM_CUTS_LOG2 + 1) * HISTOGRAM_CUTS)

struct histogram {
	uint64_t count, max;
	uint64_t cells[HISTOGRAM_CELLS];
};

static inline unsigned histogram_cell(uint64_t ns)
{
	unsigned shift;

	if (ns < 2 * HISTOGRAM_CUTS)
		return (unsigned)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_CUTS_LOG2;
	return (shift << HISTOGRAM_CUTS_LOG2) + (unsigned)(ns >> shift);
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
	h->count++;
	if (ns > h->max)
		h->max = ns;
	h->cells[histogram_cell(ns < HISTOGRAM_MAX ? ns : HISTOGRAM_MAX)]++;
}

/* Count all of from in h, too. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/*
 * The value that this many of 1000 do not exceed: of n sorted values the one at
 * place n * per_mille / 1000, rounded up, counted from 1; 1000 is the maximum.
 * 0 when there is none.
 */
uint64_t histogram_at(const struct histogram *h, unsigned per_mille);

#endif
