/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_svg_memory.c - the picture that most scenarios come down to: the server's
 * memory over time, a line for each run, its name at its end.
 */
#include "abuse_svg.h"

static double last_seconds(const struct samples *samples)
{
	return samples->n ? samples->all[samples->n - 1].seconds : 0;
}

/* Of samples in a row that look the same only the first and the last are drawn. */
static void draw_points(const struct plot *p, const struct samples *samples)
{
	double x, y, next, drawn = -1;

	for (size_t i = 0; i < samples->n; i++) {
		x = svg_x(p, samples->all[i].seconds);
		y = svg_y(p, samples->all[i].resident);
		next = i + 1 < samples->n ? svg_y(p, samples->all[i + 1].resident) : -1;
		if (i > 0 && y - drawn < 0.05 && drawn - y < 0.05
		    && next - y < 0.05 && y - next < 0.05)
			continue;
		fprintf(p->file, "%c%.1f %.1f", i > 0 ? 'L' : 'M', x, y);
		drawn = y;
	}
}

static void draw_series(const struct plot *p, struct svg_series *series)
{
	const struct sample *all = series->samples->all;
	struct svg_label *label = &series->label;
	int colour = label->colour;

	label->x = svg_x(p, last_seconds(series->samples));
	label->y = svg_y(p, all[series->samples->n - 1].resident);
	if (series->filled) {
		fprintf(p->file, "<path class=\"under f%d\" d=\"", colour);
		draw_points(p, series->samples);
		fprintf(p->file, "L%.1f %.0fL%.1f %.0fZ\"/>\n", label->x, p->bottom,
		    svg_x(p, all[0].seconds), p->bottom);
	}
	fprintf(p->file, "<path class=\"line s%d\" d=\"", colour);
	draw_points(p, series->samples);
	fprintf(p->file,
	    "\"/>\n<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n", colour,
	    label->x, label->y);
}

void svg_draw_memory(FILE *file, struct svg_picture *m)
{
	struct plot p = {
		file, 76, SVG_RIGHT, 96, 414,
		.x = { 0, m->seconds, .base = 10, .name = svg_seconds },
		.y = { 0, m->most > m->limit ? m->most : m->limit, .base = 2,
		    .name = svg_memory },
	};
	struct svg_label labels[RUNS_MAX];
	int n = 0;

	for (int i = 0; i < m->n; i++) {
		if (m->series[i].samples->peak > p.y.to)
			p.y.to = m->series[i].samples->peak;
		if (last_seconds(m->series[i].samples) > p.x.to)
			p.x.to = last_seconds(m->series[i].samples);
	}
	p.y.to *= 1.06;
	svg_begin(file, 452, m->title, m->note);
	svg_y_axis(&p);
	svg_x_axis(&p, false);
	if (m->limit > 0)
		svg_limit(&p, m->limit, m->limit_name);
	for (int i = 0; i < m->n; i++) {
		if (!m->series[i].samples->n)
			continue;
		draw_series(&p, &m->series[i]);
		labels[n++] = m->series[i].label;
	}
	svg_labels(&p, labels, n);
	svg_end(file);
}
