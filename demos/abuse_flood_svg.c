/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_flood_svg.c - the picture of flood: what grows is red and filled.
 */
#include "abuse_flood.h"
#include "abuse_svg.h"

static void add(struct svg_picture *picture, const struct asked *asked,
    const struct run *run, int i)
{
	struct svg_series *series = &picture->series[picture->n];
	struct svg_label *label = &series->label;

	if (!run->memory.n)
		return;
	picture->n++;
	series->samples = &run->memory;
	series->filled = run->bounded_by == BOUND_NONE;
	label->colour = svg_colour(asked, i);
	snprintf(label->name, sizeof label->name, "%s", run->qdisc);
	if (run->met_limit) {
		snprintf(label->note, sizeof label->note, "met the limit after %.1f s",
		    run->memory.all[run->memory.n - 1].seconds);
		label->at = 22;		/* below the dashed line, not across it */
	} else {
		snprintf(label->note, sizeof label->note, "%s, sender held back %.0f %%",
		    text_memory(run->peak).s, 100 * run->throttled_share);
	}
}

void flood_draw(const void *flood, FILE *file)
{
	const struct flood *f = flood;
	char note[160];
	struct svg_picture picture = {
		.title = "Fed three times faster than it handles", .note = note,
		.seconds = (double)f->asked->duration_ms / 1e3,
		.limit = (double)f->asked->mem_limit,
	};

	snprintf(note, sizeof note, "Resident memory of a server: payloads of %s offered at "
	    "%.4g MB/s, handled at %.4g MB/s", text_memory((double)f->asked->size).s,
	    3e-6 * (double)f->asked->handle_rate, 1e-6 * (double)f->asked->handle_rate);
	snprintf(picture.limit_name, sizeof picture.limit_name, "memory limit %s",
	    text_memory((double)f->asked->mem_limit).s);
	for (int i = 0; i < f->runs_n; i++)
		add(&picture, f->asked, &f->runs[i], i);
	svg_draw_memory(file, &picture);
}
