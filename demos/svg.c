/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * svg.c - see svg.h.
 */
#define _POSIX_C_SOURCE 200809L

#include "svg.h"

#include <math.h>
#include <string.h>

#define LABEL_GAP 38.0			/* two lines of text */

static const char style[] =
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "font-size:13px;fill:#1f2328}\n"
    ".back{fill:#ffffff}.title{font-size:20px;font-weight:600}.name{font-weight:600}\n"
    ".note{fill:#59636e}.num{font-size:12px;fill:#59636e}"
    ".end{text-anchor:end}.middle{text-anchor:middle}\n"
    ".grid{stroke:#e4e8ec}.axis{stroke:#aeb6bf}.lead{stroke:#aeb6bf;fill:none}\n"
    ".limit{stroke:#59636e;stroke-dasharray:6 5;stroke-width:1.2}\n"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n"
    ".s0{stroke:#cf222e}.s1{stroke:#0969da}.s2{stroke:#1a7f37}.s3{stroke:#8250df}"
    ".s4{stroke:#9a6700}.s5{stroke:#0e7490}\n"
    ".f0{fill:#cf222e}.f1{fill:#0969da}.f2{fill:#1a7f37}.f3{fill:#8250df}"
    ".f4{fill:#9a6700}.f5{fill:#0e7490}\n"
    ".under{fill-opacity:.07}.faint{opacity:.45}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#e6edf3}.back{fill:#0d1117}.note,.num{fill:#9198a1}\n"
    ".grid{stroke:#21262d}.axis,.lead{stroke:#4b535d}.limit{stroke:#9198a1}\n"
    ".s0{stroke:#ff7b72}.s1{stroke:#58a6ff}.s2{stroke:#56d364}.s3{stroke:#bc8cff}"
    ".s4{stroke:#e3b341}.s5{stroke:#56d4dd}\n"
    ".f0{fill:#ff7b72}.f1{fill:#58a6ff}.f2{fill:#56d364}.f3{fill:#bc8cff}"
    ".f4{fill:#e3b341}.f5{fill:#56d4dd}\n"
    ".under{fill-opacity:.12}\n}\n";

/* ---- the names of ticks ---------------------------------------------- */

static struct svg_tick in_units(double value, double step, const char *const *units,
    int n)
{
	struct svg_tick text;
	int i = 0;

	for (; i < n - 1 && value >= step * 0.9999; i++)
		value /= step;
	snprintf(text.s, sizeof text.s, "%.4g%s", value, value > 0 ? units[i] : "");
	return text;
}

struct svg_tick svg_memory(double bytes)
{
	static const char *const units[] = { " B", " KiB", " MiB", " GiB" };

	return in_units(bytes, 1024, units, 4);
}

struct svg_tick svg_traffic(double bytes)
{
	static const char *const units[] = { " B", " kB", " MB", " GB" };

	return in_units(bytes, 1000, units, 4);
}

struct svg_tick svg_duration(double ns)
{
	static const char *const units[] = { " ns", " us", " ms", " s" };

	return in_units(ns, 1000, units, 4);
}

struct svg_tick svg_seconds(double seconds)
{
	struct svg_tick text;

	snprintf(text.s, sizeof text.s, "%.4g%s", seconds, seconds > 0 ? " s" : "");
	return text;
}

/* ---- axes ------------------------------------------------------------ */

static double part(const struct axis *axis, double value)
{
	if (axis->logarithmic)
		return log(fmax(value, axis->from) / axis->from)
		    / log(axis->to / axis->from);
	return (value - axis->from) / (axis->to - axis->from);
}

double svg_x(const struct plot *p, double value)
{
	return p->left + (p->right - p->left) * part(&p->x, value);
}

double svg_y(const struct plot *p, double value)
{
	return p->bottom - (p->bottom - p->top) * part(&p->y, value);
}

/* The tick after this one; ticks are some six to an axis, logarithmic or not. */
static double next_tick(const struct axis *axis, double tick)
{
	static const double steps[] = { 2, 2.5, 2 };	/* 1 2 5 10 20 50 ... */
	double step = axis->base == 2 ? 1.0 / 64 : 1e-6;

	if (axis->logarithmic)
		return tick * axis->base;
	for (int k = 0; (axis->to - axis->from) / step > 7; k++)
		step *= axis->base == 2 ? 2 : steps[k % 3];
	return tick + step;
}

void svg_text(FILE *file, const char *class, double x, double y, const char *text)
{
	fprintf(file, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
	for (; *text; text++)
		if (*text == '<' || *text == '>' || *text == '&')
			fprintf(file, "&#%d;", *text);
		else
			fputc(*text, file);
	fprintf(file, "</text>\n");
}

void svg_y_axis(const struct plot *p)
{
	for (double v = p->y.from; v <= p->y.to * 1.0001; v = next_tick(&p->y, v)) {
		fprintf(p->file, "<path class=\"%s\" d=\"M%.0f %.1fH%.0f\"/>\n",
		    v > p->y.from ? "grid" : "axis", p->left, svg_y(p, v), p->right);
		svg_text(p->file, "num end", p->left - 10, svg_y(p, v) + 4,
		    p->y.name(v).s);
	}
}

void svg_x_axis(const struct plot *p, bool grid)
{
	for (double v = p->x.from; v <= p->x.to * 1.0001; v = next_tick(&p->x, v)) {
		if (grid)
			fprintf(p->file, "<path class=\"grid\" d=\"M%.1f %.0fV%.0f\"/>\n",
			    svg_x(p, v), p->top, p->bottom);
		svg_text(p->file, "num middle", svg_x(p, v), p->bottom + 20,
		    p->x.name(v).s);
	}
}

void svg_limit(const struct plot *p, double y_value, const char *text)
{
	double y = svg_y(p, y_value);

	fprintf(p->file, "<path class=\"limit\" d=\"M%.0f %.1fH%.0f\"/>\n", p->left, y,
	    p->right);
	svg_text(p->file, "num", p->left + 8, y - 7, text);
}

/* ---- labels ---------------------------------------------------------- */

static void sort(struct svg_label *labels, int n)
{
	struct svg_label moving;
	int k;

	for (int i = 1; i < n; i++) {
		moving = labels[i];
		for (k = i; k > 0 && labels[k - 1].at > moving.at; k--)
			labels[k] = labels[k - 1];
		labels[k] = moving;
	}
}

static void place(const struct plot *p, struct svg_label *labels, int n)
{
	for (int i = 0; i < n; i++) {
		/* those that ran to the end stand in a column */
		labels[i].text_x = fmin(fmax(labels[i].x + 26, 0), p->right + 26);
		if (labels[i].x > p->right - 20)
			labels[i].text_x = p->right + 26;
		labels[i].at += labels[i].y + 4;
	}
	sort(labels, n);
	for (int i = 1; i < n; i++)
		labels[i].at = fmax(labels[i].at, labels[i - 1].at + LABEL_GAP);
	if (n)
		labels[n - 1].at = fmin(labels[n - 1].at, p->bottom - 12);
	for (int i = n - 1; i > 0; i--)
		labels[i - 1].at = fmin(labels[i - 1].at, labels[i].at - LABEL_GAP);
}

void svg_labels(const struct plot *p, struct svg_label *labels, int n)
{
	const struct svg_label *l;
	char class[16];

	place(p, labels, n);
	for (int i = 0; i < n; i++) {
		l = &labels[i];
		snprintf(class, sizeof class, "name f%d", l->colour);
		fprintf(p->file, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
		    l->x + 7, l->y, l->text_x - 6, l->at);
		svg_text(p->file, class, l->text_x, l->at, l->name);
		svg_text(p->file, "num", l->text_x, l->at + 16, l->note);
	}
}

/* ---- the paper ------------------------------------------------------- */

void svg_begin(FILE *file, double height, const char *title, const char *note)
{
	fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" "
	    "width=\"%.0f\" height=\"%.0f\" role=\"img\">\n<title>%s: %s</title>\n"
	    "<style>\n%s</style>\n"
	    "<rect class=\"back\" width=\"%.0f\" height=\"%.0f\" rx=\"8\"/>\n",
	    SVG_WIDTH, height, SVG_WIDTH, height, title, note, style, SVG_WIDTH, height);
	svg_text(file, "title", 24, 40, title);
	svg_text(file, "note", 24, 62, note);
}

void svg_end(FILE *file)
{
	fprintf(file, "</svg>\n");
}
