/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_svg.h - the parts that the pictures are made of. A picture is one file
 * without references; its colours follow the reader's preference for light or dark.
 */
#ifndef ABUSE_SVG_H
#define ABUSE_SVG_H

#include <stdio.h>

#include "abuse_compare.h"

#define SVG_WIDTH 960.0
#define SVG_RIGHT 690.0		/* of a plot with labels at its right */

struct axis {
	double from, to;	/* the values at its ends */
	bool logarithmic;
	double base;		/* ticks are its powers; linear: times 1, 2 and 5 if 10 */
	struct text (*name)(double value);
};

struct plot {
	FILE *file;
	double left, right, top, bottom;
	struct axis x, y;
};

/* Of the i-th discipline asked for: its own, in all pictures; red has no bound. */
int svg_colour(const struct asked *asked, int i);

/* What the ticks of an axis are called; 0 is only "0". */
struct text svg_memory(double bytes);
struct text svg_traffic(double bytes);
struct text svg_seconds(double seconds);
struct text svg_duration(double ns);

double svg_x(const struct plot *p, double value);
double svg_y(const struct plot *p, double value);

/* The note is what the picture was made with; height is that of the whole. */
void svg_begin(FILE *file, double height, const char *title, const char *note);
void svg_end(FILE *file);
void svg_text(FILE *file, const char *class, double x, double y, const char *text);
void svg_x_axis(const struct plot *p, bool grid);
void svg_y_axis(const struct plot *p);
void svg_limit(const struct plot *p, double y_value, const char *text);

/* A name and a note, at the right of what they belong to. */
struct svg_label {
	int colour;
	double x, y;		/* where that is */
	char name[96], note[96];
	double text_x, at;	/* where they are written: svg_labels() sees to that */
};

/* Far enough apart, in the order of what they belong to, at the plot's right if
 * that ends there. Sorts them. */
void svg_labels(const struct plot *p, struct svg_label *labels, int n);

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
