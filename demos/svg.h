/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svg.h - what pictures are made of: paper, axes and labels. A picture is one file
 * without references; its colours follow the reader's preference for light or dark.
 */
#ifndef SVG_H
#define SVG_H

#include <stdbool.h>
#include <stdio.h>

#define SVG_WIDTH 960.0
#define SVG_RIGHT 690.0		/* of a plot with labels at its right */
#define SVG_COLOURS 6		/* classes s0, f0, s1, ... of lines, areas; 0 is red */

struct svg_tick {
	char s[24];
};

struct axis {
	double from, to;	/* the values at its ends */
	bool logarithmic;
	double base;		/* ticks are its powers; linear: times 1, 2 and 5 if 10 */
	struct svg_tick (*name)(double value);
};

struct plot {
	FILE *file;
	double left, right, top, bottom;
	struct axis x, y;
};

/* What the ticks of an axis are called; 0 is only "0". */
struct svg_tick svg_memory(double bytes);
struct svg_tick svg_traffic(double bytes);
struct svg_tick svg_seconds(double seconds);
struct svg_tick svg_duration(double ns);

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

#endif /* SVG_H */
