/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_hog.c - hogs beside polite ones: some peers send as much as they are let,
 * four send 1 KiB a hundred times a second and wait for the answers.
 *
 * Watch how long a ping takes, alone and beside the hogs. First come first served
 * puts it behind all that the hogs have queued; who is fair, behind a message or two.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_service.h"
#include "abuse_svg.h"

#include <bpthread.h>
#include <math.h>
#include <stdlib.h>

#define QUANTUM 65536.0			/* a turn: bytes */
#define ALONE_MOST (5.0 * NS_PER_MS)	/* what is above it was the machine's own doing */
#define LEAST_PINGS 200			/* or there is no 99th of 100 */

static void describe(const struct asked *a, char *out, size_t size)
{
	snprintf(out, size,
	    "%llu peers flood with messages of %s, %d ping 1 KiB at 100/s; "
	    "handled at %.4g MB/s; alone %.3g s, beside them %.3g s",
	    (unsigned long long)a->conns, text_memory((double)a->size).s, POLITE,
	    (double)a->handle_rate / MB, (double)a->duration_ms / 4e3,
	    (double)a->duration_ms * 0.75e-3);
}

static int serve(struct trial *t)
{
	const struct bp_conn_config config = {
		.frame_max = t->asked->size > PING ? t->asked->size : PING,
	};

	return service_run(t, &config);
}

static int drive(struct trial *t)
{
	uint64_t ms = t->asked->duration_ms;
	struct polite polite;
	struct crowd crowd;
	size_t len;
	char *bytes = peer_stream(t->asked->size, &len);

	if (!bytes || polite_start(&polite, t) != 0
	    || crowd_new(&crowd, t, t->asked->conns) != 0)
		return 1;
	for (uint64_t i = 0; i < t->asked->conns; i++)
		if (crowd_add(&crowd, bytes, len, false) != 0)
			return 1;
	phase_run(t, PREPARING, 200);
	phase_run(t, ALONE, ms / 4);
	phase_begin(t, SETTLING);
	if (crowd_start(&crowd) != 0)
		return 1;
	if (phase_run(t, SETTLING, 500))
		phase_run(t, MEASURED, ms - ms / 4);
	phase_begin(t, OVER);
	crowd_stop(&crowd);
	polite_stop(&polite);
	free(bytes);
	return 0;
}

/* ---- what it came to ------------------------------------------------- */

enum { ALONE_P50, ALONE_P99, BESIDE_P50, BESIDE_P99, AIM, PINGS, HANDLED, HELD };

static const struct column columns[] = {
	{ "alone", "p50, ms", "alone_p50_ns", NS_PER_MS, 2 },
	{ "alone", "p99, ms", "alone_p99_ns", NS_PER_MS, 2 },
	{ "beside", "p50, ms", "beside_p50_ns", NS_PER_MS, 2 },
	{ "beside", "p99, ms", "beside_p99_ns", NS_PER_MS, 2 },
	{ "aim", "ms", "aim_ns", NS_PER_MS, 2 },
	{ "pings", "beside", "pings", 1, 0 },
	{ "handled", "MB/s", "handled_rate", MB, 1 },
	{ "held", "MiB", "held_bytes", MIB, 1 },
	{ 0 }
};

static void measure(struct trial *const *trials, int n, double *v)
{
	const struct trial *t = trials[n - 1];
	double ns_per_byte = 1e9 / (double)t->asked->handle_rate;

	v[ALONE_P50] = spread_at(&t->round_trips[0], 0.5);
	v[ALONE_P99] = spread_at(&t->round_trips[0], 0.99);
	v[BESIDE_P50] = spread_at(&t->round_trips[1], 0.5);
	v[BESIDE_P99] = spread_at(&t->round_trips[1], 0.99);
	v[AIM] = fmin(v[ALONE_P99], ALONE_MOST)
	    + (2 * (double)t->asked->size + QUANTUM) * ns_per_byte;
	v[PINGS] = (double)t->round_trips[1].n;
	v[HANDLED] = t->handled * 1e9 / phase_ns(t, MEASURED);
	v[HELD] = t->held_most;
}

static int judge(const struct results *r)
{
	double v[COLUMNS_MAX];
	const struct trial *t;
	int failed = 0;

	for (int i = 0; i < r->n; i++) {
		t = r->trials[i];
		if (!is_fair(t->qdisc))
			continue;
		results_values(r, i, v);
		failed += results_verdict(r, v[PINGS] >= LEAST_PINGS && !t->cut,
		    "%s: %.0f pings, at least %d; connections cut: %u", t->qdisc,
		    v[PINGS], LEAST_PINGS, t->cut);
		failed += results_verdict(r, v[BESIDE_P99] <= v[AIM],
		    "%s: p99 of pings %.2f ms beside the hogs, at most %.2f = alone "
		    "%.2f + what 2 messages and a quantum take",
		    t->qdisc, v[BESIDE_P99] / 1e6, v[AIM] / 1e6, v[ALONE_P99] / 1e6);
		failed += results_verdict(r, t->futile_wakeups == 0,
		    "%s: futile wake-ups: %llu", t->qdisc,
		    (unsigned long long)t->futile_wakeups);
	}
	return failed;
}

/* ---- the picture ----------------------------------------------------- */

static void draw_range(const struct plot *p, double y, int colour, bool alone,
    double from, double to)
{
	char label[96];

	fprintf(p->file,
	    "<path class=\"line s%d%s\" stroke-width=\"6\" "
	    "d=\"M%.1f %.1fH%.1f\"/>\n",
	    colour, alone ? " faint" : "", svg_x(p, from), y, svg_x(p, to));
	fprintf(p->file, "<circle class=\"f%d%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n"
	    "<circle class=\"f%d%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"6\"/>\n", colour,
	    alone ? " faint" : "", svg_x(p, from), y, colour, alone ? " faint" : "",
	    svg_x(p, to), y);
	snprintf(label, sizeof label, "%s  %s / %s", alone ? "alone" : "beside them",
	    svg_duration(from).s, svg_duration(to).s);
	svg_text(p->file, "num", p->right + 20, y + 4, label);
}

static void draw(const void *results, FILE *file)
{
	const struct results *r = results;
	struct plot p = {
		file, 150, SVG_RIGHT + 30, 84, 108 + 64.0 * r->n,
		.x = { 1e4, 1e7, true, 10, svg_duration },
	};
	double v[COLUMNS_MAX], y;
	char note[256], class[16];
	int colour;

	for (int i = 0; i < r->n; i++) {
		results_values(r, i, v);
		p.x.to = fmax(p.x.to, 1.3 * v[BESIDE_P99]);
	}
	describe(r->asked, note, sizeof note);
	svg_begin(file, p.bottom + 40, "How long a ping takes: median and 99th of 100",
	    note);
	svg_x_axis(&p, true);
	for (int i = 0; i < r->n; i++) {
		results_values(r, i, v);
		y = p.top + 36 + 64 * i;
		colour = svg_colour(r->asked, i);
		snprintf(class, sizeof class, "name end f%d", colour);
		svg_text(file, class, p.left - 20, y + 14, results_name(r, i).s);
		draw_range(&p, y, colour, true, v[ALONE_P50], v[ALONE_P99]);
		draw_range(&p, y + 22, colour, false, v[BESIDE_P50], v[BESIDE_P99]);
	}
	svg_end(file);
}

static const char *const qdiscs[] = { "bytes", "prio", "fair", NULL };

const struct scenario scenario_hog = {
	.name = "hog", .duration_ms = 8000, .handle_rate = 100000000,
	.size = 64 << 10, .size_min = 1, .conns = 28, .conns_max = 1000, .rounds = 1,
	.qdiscs = qdiscs, .columns = columns, .describe = describe, .serve = serve,
	.drive = drive, .measure = measure, .of_fair = true, .judge = judge,
	.draw = draw,
};
