/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_svg.c - the picture: the server's memory over time, a line for each
 * discipline, its name at its end. One file without references; its colours follow
 * the reader's preference for light or dark.
 */
#include "abuse_compare.h"

#define WIDTH 960
#define HEIGHT 452
#define LEFT 76.0
#define RIGHT 690.0			/* of the plot; labels lie to its right */
#define TOP 96.0
#define BOTTOM 414.0
#define LABEL_GAP 38.0			/* two lines of text */

static const char style[] =
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;"
    "font-size:13px;fill:#1f2328}\n"
    ".back{fill:#ffffff}.title{font-size:20px;font-weight:600}.name{font-weight:600}\n"
    ".note{fill:#59636e}.num{font-size:12px;fill:#59636e}\n"
    ".grid{stroke:#e4e8ec}.axis{stroke:#aeb6bf}.lead{stroke:#aeb6bf;fill:none}\n"
    ".limit{stroke:#59636e;stroke-dasharray:6 5;stroke-width:1.2}\n"
    ".line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n"
    ".s0{stroke:#cf222e}.s1{stroke:#0969da}.s2{stroke:#1a7f37}.s3{stroke:#8250df}"
    ".s4{stroke:#9a6700}.s5{stroke:#0e7490}\n"
    ".f0{fill:#cf222e}.f1{fill:#0969da}.f2{fill:#1a7f37}.f3{fill:#8250df}"
    ".f4{fill:#9a6700}.f5{fill:#0e7490}\n"
    ".under{fill-opacity:.07}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#e6edf3}.back{fill:#0d1117}.note,.num{fill:#9198a1}\n"
    ".grid{stroke:#21262d}.axis,.lead{stroke:#4b535d}.limit{stroke:#9198a1}\n"
    ".s0{stroke:#ff7b72}.s1{stroke:#58a6ff}.s2{stroke:#56d364}.s3{stroke:#bc8cff}"
    ".s4{stroke:#e3b341}.s5{stroke:#56d4dd}\n"
    ".f0{fill:#ff7b72}.f1{fill:#58a6ff}.f2{fill:#56d364}.f3{fill:#bc8cff}"
    ".f4{fill:#e3b341}.f5{fill:#56d4dd}\n"
    ".under{fill-opacity:.12}\n}\n";

struct plot {
	FILE *file;
	double seconds, bytes;		/* the far ends of the axes */
};

struct label {
	const struct run *run;
	int colour;
	double x, y;			/* the end of its line */
	double text_x, at;		/* where it is written */
};

static double x_of(const struct plot *p, double seconds)
{
	return LEFT + (RIGHT - LEFT) * seconds / p->seconds;
}

static double y_of(const struct plot *p, double bytes)
{
	return BOTTOM - (BOTTOM - TOP) * bytes / p->bytes;
}

/* ---- the axes ------------------------------------------------------------------------ */

static void draw_axes(const struct plot *p, double limit)
{
	static const double steps[] = { 2, 2.5, 2 };	/* 1 2 5 10 20 50 ... */
	double step = MIB / 16, y;
	int k = 0;

	while (p->bytes / step > 6)
		step *= 2;
	for (double v = 0; v <= p->bytes; v += step) {
		y = y_of(p, v);
		fprintf(p->file, "<path class=\"%s\" d=\"M%.0f %.1fH%.0f\"/>\n",
		    v > 0 ? "grid" : "axis", LEFT, y, RIGHT);
		fprintf(p->file, "<text class=\"num\" x=\"%.0f\" y=\"%.1f\" "
		    "text-anchor=\"end\">", LEFT - 10, y + 4);
		if (v >= 1024 * MIB)
			fprintf(p->file, "%g GiB</text>\n", v / MIB / 1024);
		else
			fprintf(p->file, "%g%s</text>\n", v / MIB, v > 0 ? " MiB" : "");
	}
	for (step = 0.01; p->seconds / step > 10.5; k = (k + 1) % 3)
		step *= steps[k];
	for (double t = 0; t <= p->seconds * 1.0001; t += step)
		fprintf(p->file, "<text class=\"num\" x=\"%.1f\" y=\"%.0f\" "
		    "text-anchor=\"middle\">%.4g%s</text>\n", x_of(p, t), BOTTOM + 20, t,
		    t + step > p->seconds * 1.0001 ? " s" : "");

	y = y_of(p, limit);
	fprintf(p->file, "<path class=\"limit\" d=\"M%.0f %.1fH%.0f\"/>\n", LEFT, y, RIGHT);
	fprintf(p->file, "<text class=\"num\" x=\"%.0f\" y=\"%.1f\">memory limit %s</text>\n",
	    LEFT + 8, y - 7, text_memory(limit).s);
}

/* ---- the lines ------------------------------------------------------------------------ */

/* Of samples in a row that look the same only the first and the last are drawn. */
static void draw_points(const struct plot *p, const struct run *run)
{
	double x, y, next, drawn = -1;

	for (size_t i = 0; i < run->samples_n; i++) {
		x = x_of(p, run->samples[i].seconds);
		y = y_of(p, run->samples[i].resident);
		next = i + 1 < run->samples_n ? y_of(p, run->samples[i + 1].resident) : -1;
		if (i > 0 && y - drawn < 0.05 && drawn - y < 0.05
		    && next - y < 0.05 && y - next < 0.05)
			continue;
		fprintf(p->file, "%c%.1f %.1f", i > 0 ? 'L' : 'M', x, y);
		drawn = y;
	}
}

static void draw_line(const struct plot *p, const struct label *label)
{
	const struct run *run = label->run;

	if (run->bounded_by == BOUND_NONE) {
		fprintf(p->file, "<path class=\"under f%d\" d=\"", label->colour);
		draw_points(p, run);
		fprintf(p->file, "L%.1f %.0fL%.1f %.0fZ\"/>\n", label->x, BOTTOM,
		    x_of(p, run->samples[0].seconds), BOTTOM);
	}
	fprintf(p->file, "<path class=\"line s%d\" d=\"", label->colour);
	draw_points(p, run);
	fprintf(p->file, "\"/>\n<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n",
	    label->colour, label->x, label->y);
}

/* ---- the labels ------------------------------------------------------------------------ */

static void print_escaped(FILE *file, const char *text)
{
	for (; *text; text++)
		if (*text == '<' || *text == '>' || *text == '&')
			fprintf(file, "&#%d;", *text);
		else
			fputc(*text, file);
}

static void draw_label(const struct plot *p, const struct label *label)
{
	const struct run *run = label->run;
	double x = label->text_x;

	fprintf(p->file, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n",
	    label->x + 7, label->y, x - 6, label->at);
	fprintf(p->file, "<text class=\"name f%d\" x=\"%.1f\" y=\"%.1f\">", label->colour,
	    x, label->at);
	print_escaped(p->file, run->qdisc);
	fprintf(p->file, "</text>\n<text class=\"num\" x=\"%.1f\" y=\"%.1f\">", x,
	    label->at + 16);
	if (run->met_limit)
		fprintf(p->file, "met the limit after %.1f s</text>\n",
		    run->samples[run->samples_n - 1].seconds);
	else
		fprintf(p->file, "%s, sender held back %.0f %%</text>\n",
		    text_memory(run->peak).s, 100 * run->throttled_share);
}

/* Labels in the order of their lines' ends, from the top, and far enough apart. */
static void place_labels(struct label *labels, int n)
{
	struct label moving;
	int i, k;

	for (i = 1; i < n; i++) {
		moving = labels[i];
		for (k = i; k > 0 && labels[k - 1].at > moving.at; k--)
			labels[k] = labels[k - 1];
		labels[k] = moving;
	}
	for (i = 1; i < n; i++)
		if (labels[i].at < labels[i - 1].at + LABEL_GAP)
			labels[i].at = labels[i - 1].at + LABEL_GAP;
	if (n && labels[n - 1].at > BOTTOM - 12)
		labels[n - 1].at = BOTTOM - 12;
	for (i = n - 1; i > 0; i--)
		if (labels[i - 1].at > labels[i].at - LABEL_GAP)
			labels[i - 1].at = labels[i].at - LABEL_GAP;
}

static int make_labels(const struct compare *c, const struct plot *p,
    struct label *labels)
{
	const struct sample *last;
	const struct run *run;
	int n = 0, colour = 0;

	for (int i = 0; i < c->runs_n; i++) {
		run = &c->runs[i];
		if (!run->samples_n)
			continue;
		last = &run->samples[run->samples_n - 1];
		labels[n].run = run;
		labels[n].colour = run->bounded_by == BOUND_NONE ? 0 : 1 + colour++ % 5;
		labels[n].x = x_of(p, last->seconds);
		labels[n].y = y_of(p, last->resident);
		/* those that ran to the end stand in a column */
		labels[n].text_x = (labels[n].x > RIGHT - 20 ? RIGHT : labels[n].x) + 26;
		/* below the dashed line, not across it */
		labels[n].at = labels[n].y + (run->met_limit ? 26 : 4);
		n++;
	}
	place_labels(labels, n);
	return n;
}

/* ---- the picture ------------------------------------------------------------------------ */

static double far_end(const struct compare *c)
{
	double most = (double)c->mem_limit;

	for (int i = 0; i < c->runs_n; i++)
		most = c->runs[i].peak > most ? c->runs[i].peak : most;
	return most * 1.06;
}

void svg_draw(const struct compare *c, FILE *file)
{
	struct plot p = { file, (double)c->duration_ms / 1e3, far_end(c) };
	struct label labels[RUNS_MAX];
	int n = make_labels(c, &p, labels);

	fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
	    "width=\"%d\" height=\"%d\" role=\"img\">\n"
	    "<title>Resident memory of a server that is fed faster than it handles, for "
	    "each queueing discipline</title>\n<style>\n%s</style>\n"
	    "<rect class=\"back\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n",
	    WIDTH, HEIGHT, WIDTH, HEIGHT, style, WIDTH, HEIGHT);
	fprintf(file, "<text class=\"title\" x=\"24\" y=\"40\">Fed three times faster than it "
	    "handles</text>\n<text class=\"note\" x=\"24\" y=\"62\">Resident memory of a server: "
	    "payloads of %s offered at %.4g MB/s, handled at %.4g MB/s</text>\n",
	    text_memory((double)c->size).s, 3e-6 * (double)c->handle_rate,
	    1e-6 * (double)c->handle_rate);
	draw_axes(&p, (double)c->mem_limit);
	for (int i = 0; i < n; i++)
		draw_line(&p, &labels[i]);
	for (int i = 0; i < n; i++)
		draw_label(&p, &labels[i]);
	fprintf(file, "</svg>\n");
}
