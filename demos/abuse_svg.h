/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_svg.h - what the pictures of the scenarios have in common.
 */
#ifndef ABUSE_SVG_H
#define ABUSE_SVG_H

#include "abuse_compare.h"
#include "svg.h"

/* Of the i-th discipline asked for: its own, in all pictures; red has no bound. */
int svg_colour(const struct asked *asked, int i);

/* The memory of a process over time. */
struct svg_series {
	const struct samples *samples;
	bool filled;
	struct svg_label label;		/* colour, name and note are given */
};

struct svg_picture {
	const char *title, *note;
	double seconds, most;		/* ends of the axes: at least */
	double limit;			/* a dashed line, 0: none */
	char limit_name[64];
	struct svg_series series[RUNS_MAX];
	int n;
};

void svg_draw_memory(FILE *file, struct svg_picture *picture);

#endif /* ABUSE_SVG_H */
