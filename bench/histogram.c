/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histogram.c - see histogram.h.
 */
#include "histogram.h"

void histogram_merge(struct histogram *h, const struct histogram *from)
{
	unsigned i;

	h->count += from->count;
	if (from->max > h->max)
		h->max = from->max;
	for (i = 0; i < HISTOGRAM_CELLS; i++)
		h->cells[i] += from->cells[i];
}

/* The middle of a cell: off by half its width at most. */
static uint64_t cell_value(unsigned cell)
{
	unsigned shift;
	uint64_t least;

	if (cell < 2 * HISTOGRAM_CUTS)
		return cell;
	shift = (cell >> HISTOGRAM_CUTS_LOG2) - 1;
	least = (uint64_t)(cell - (shift << HISTOGRAM_CUTS_LOG2)) << shift;
	return least + (UINT64_C(1) << shift) / 2;
}

uint64_t histogram_at(const struct histogram *h, unsigned per_mille)
{
	uint64_t place, seen = 0, value;
	unsigned i;

	/* in two parts, for a count times 1000 need not fit */
	place = h->count / 1000 * per_mille
	    + (h->count % 1000 * per_mille + 999) / 1000;
	if (place == 0)
		place = 1;
	if (place >= h->count)
		return h->max;
	for (i = 0; i < HISTOGRAM_CELLS; i++) {
		seen += h->cells[i];
		if (seen >= place)
			break;
	}
	value = cell_value(i);
	return value < h->max ? value : h->max;
}
