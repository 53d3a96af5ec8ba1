/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_svg.c - the summary as a picture: a row for each mode, and in it how each
 * contender stands to raw. Ours are filled and in the upper half of a row, the others
 * are outlines in the lower one: colour says of what kind, shape says which.
 *
 * The axes are the same in every picture, so that two can be laid side by side; what
 * is beyond one stands outside its end, by an arrow, in the order of how far it is.
 */
#define _POSIX_C_SOURCE 200809L

#include "compare.h"
#include "svg.h"

#include <stdlib.h>
#include <string.h>

#define LEFT 290.0
#define MIDDLE_LEFT 652.0	/* between the panels */
#define MIDDLE_RIGHT 724.0
#define RIGHT 908.0
#define TOP 150.0
#define ROW 38.0
#define LANE 8.0		/* from a row's middle */
#define NEAR 9.0		/* so near to another that both step aside */
#define BESIDE 12.0		/* between those beyond an end */

/* Drawn around 0 0. */
struct look {
	const char *key;
	int colour;
	const char *path;
};

#define CIRCLE "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z"
#define SQUARE "M-4 -4H4V4H-4Z"
#define UPWARDS "M0 -5L5 4H-5Z"
#define DIAMOND "M0 -5.5L5 0L0 5.5L-5 0Z"
#define CROSS "M-4 -4L4 4M-4 4L4 -4"
#define PLUS "M-5 0H5M0 -5V5"

static const struct look looks[] = {
	{ "bpthread-handler", 1, CIRCLE },	/* ours */
	{ "bpthread-receive", 2, DIAMOND },
	{ "bpthread-spin", 3, UPWARDS },
	{ "libuv", 4, CIRCLE },			/* loops */
	{ "libevent", 4, SQUARE },
	{ "asio", 4, UPWARDS },
	{ "go", 5, DIAMOND },			/* threads of a language */
	{ "nng", 0, CROSS },			/* a framing of their own */
	{ "zeromq", 0, PLUS },
};

struct mark {
	int contender;
	double ratio;
};

struct row {
	struct mark marks[CONTENDERS_MAX];
	int n;
};

static const struct look *look_of(int contender)
{
	for (size_t i = 0; i < sizeof looks / sizeof *looks; i++)
		if (strcmp(looks[i].key, contenders[contender].key) == 0)
			return &looks[i];
	return &looks[0];
}

static void draw_mark(FILE *file, int contender, double x, double y, double ratio)
{
	const struct look *look = look_of(contender);

	fprintf(file, "<path class=\"%s%d\" transform=\"translate(%.1f %.1f)\" "
	    "d=\"%s\">", contenders[contender].ours ? "f" : "line s", look->colour,
	    x, y, look->path);
	if (ratio > 0)
		fprintf(file, "<title>%s: %.2f</title>", contenders[contender].label,
		    ratio);
	fprintf(file, "</path>\n");
}

/* ---- a row of a panel ------------------------------------------------ */

static int by_ratio(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	return (x->ratio > y->ratio) - (x->ratio < y->ratio);
}

static void collect(const struct bench *bench, int mode, bool ours,
    double (*ratio)(const struct bench *bench, int mode, int contender),
    struct row *ret_row)
{
	struct mark mark;

	ret_row->n = 0;
	for (int c = RAW + 1; c < contenders_n; c++) {
		if (!bench->has_contender[c] || contenders[c].ours != ours)
			continue;
		mark = (struct mark){ c, ratio(bench, mode, c) };
		if (mark.ratio > 0)
			ret_row->marks[ret_row->n++] = mark;
	}
	qsort(ret_row->marks, (size_t)ret_row->n, sizeof ret_row->marks[0], by_ratio);
}

/* Outwards from an end of the axis, and the arrow behind the last of them. */
static void draw_beyond(FILE *file, const struct mark *marks, int n, double end,
    double y, double way)
{
	double x = end;

	for (int i = 0; i < n; i++) {
		x += way * BESIDE;
		draw_mark(file, marks[way > 0 ? i : n - 1 - i].contender, x, y,
		    marks[way > 0 ? i : n - 1 - i].ratio);
	}
	if (n > 0)
		fprintf(file, "<path class=\"lead\" stroke-width=\"1.5\" "
		    "d=\"M%.1f %.1fl%.1f 4l%.1f 4\"/>\n", x + way * 8, y - 4,
		    way * 4, -way * 4);
}

static void draw_row(const struct plot *p, const struct row *row, double y)
{
	int first = 0, end = row->n;
	double x, before = -NEAR, aside = 0;
	bool near;

	while (first < end && row->marks[first].ratio < p->x.from)
		first++;
	while (end > first && row->marks[end - 1].ratio > p->x.to)
		end--;
	draw_beyond(p->file, row->marks, first, p->left, y, -1);
	draw_beyond(p->file, row->marks + end, row->n - end, p->right, y, 1);
	for (int i = first; i < end; i++) {
		x = svg_x(p, row->marks[i].ratio);
		near = i + 1 < end && svg_x(p, row->marks[i + 1].ratio) - x < NEAR;
		if (x - before >= NEAR)
			aside = near ? -3 : 0;
		else
			aside = aside > 0 ? -3 : 3;
		draw_mark(p->file, row->marks[i].contender, x, y + aside,
		    row->marks[i].ratio);
		before = x;
	}
}

static void draw_panel(const struct plot *p, const struct bench *bench,
    double (*ratio)(const struct bench *bench, int mode, int contender))
{
	double y = TOP + ROW / 2;
	struct row row;

	svg_x_axis(p, true);
	fprintf(p->file, "<path class=\"limit\" d=\"M%.1f %.0fV%.0f\"/>\n", svg_x(p, 1),
	    p->top, p->bottom);
	for (int m = 0; m < modes_n; m++) {
		if (!bench->has_mode[m])
			continue;
		for (int ours = 0; ours < 2; ours++) {
			collect(bench, m, ours, ratio, &row);
			draw_row(p, &row, y + (ours ? -LANE : LANE));
		}
		y += ROW;
	}
}

/* ---- what is around -------------------------------------------------- */

static struct svg_tick ratio_name(double value)
{
	struct svg_tick text;

	snprintf(text.s, sizeof text.s, "%g", value);
	return text;
}

static void draw_names(const struct bench *bench, FILE *file)
{
	double y = TOP + ROW / 2;
	struct figures raw;
	char note[128];

	for (int m = 0; m < modes_n; m++) {
		if (!bench->has_mode[m])
			continue;
		figures_of(bench, m, RAW, &raw);
		snprintf(note, sizeof note, "raw %s %s", short_number(raw.best).s,
		    modes[m].figure.label);
		svg_text(file, "name", 24, y - 2, modes[m].label);
		svg_text(file, "num", 24, y + 13, raw.best > 0 ? note : "");
		fprintf(file, "<path class=\"grid\" d=\"M24 %.1fH936\"/>\n",
		    y + ROW / 2);
		y += ROW;
	}
}

static void draw_legend(const struct bench *bench, FILE *file)
{
	double x[2] = { 30, 30 };
	int ours;

	for (int c = RAW + 1; c < contenders_n; c++) {
		if (!bench->has_contender[c])
			continue;
		ours = contenders[c].ours;
		draw_mark(file, c, x[ours], ours ? 86 : 108, 0);
		svg_text(file, ours ? "name" : "", x[ours] + 11, ours ? 90 : 112,
		    contenders[c].label);
		x[ours] += 46 + 7.2 * (double)strlen(contenders[c].label);
	}
}

void write_svg(const struct bench *bench, FILE *file)
{
	struct plot rate = {
		.file = file, .left = LEFT, .right = MIDDLE_LEFT, .top = TOP,
		.bottom = TOP,
		.x = { .from = 0.25, .to = 4, .logarithmic = true, .base = 2,
		    .name = ratio_name },
	};
	struct plot cpu = rate;

	cpu.left = MIDDLE_RIGHT;
	cpu.right = RIGHT;
	cpu.x.from = 0.5;
	for (int m = 0; m < modes_n; m++)
		rate.bottom += bench->has_mode[m] ? ROW : 0;
	cpu.bottom = rate.bottom;
	svg_begin(file, rate.bottom + 40,
	    "Measured by a blocking thread for each connection", conditions(bench).s);
	draw_legend(bench, file);
	svg_text(file, "num", rate.left, TOP - 14,
	    "times as good as raw, best of rounds; right is better");
	svg_text(file, "num", cpu.left, TOP - 14,
	    "times raw's CPU time; left is better");
	draw_names(bench, file);
	draw_panel(&rate, bench, best_ratio);
	draw_panel(&cpu, bench, cpu_ratio);
	svg_end(file);
}
