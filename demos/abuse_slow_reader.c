/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_slow_reader.c - a server streams to ten peers, and one of them never reads.
 *
 *	all read	so it is without abuse
 *	try		bp_send() with a timeout of 0: what the slow one has no room for it
 *			does not get, and nobody else notices
 *	wait		bp_send() waits for room: one thread for all peers, so all wait
 *	no marks	out_high unlimited: there is always room, until memory is gone
 *
 * Watch what the others get, how late, and the server's memory. The way out has no
 * discipline: its bound is the mark, for each connection.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_service.h"
#include "abuse_svg.h"

#include <bpthread.h>
#include <math.h>

#define LEAST_RATE 0.95			/* of what the others get when all read */
#define OUT_HIGH ((size_t)256 << 10)

enum { ALL_READ, TRY, WAIT, NO_MARKS };

static const char *const variants[] = { "all read", "try", "wait", "no marks", NULL };

static void describe(const struct asked *a, char *out, size_t size)
{
	snprintf(out, size,
	    "%llu peers, each streamed %.4g MB/s in messages of %s, one never "
	    "reads; out_high %s; %.3g s",
	    (unsigned long long)a->conns,
	    (double)a->handle_rate / (double)a->conns / MB,
	    text_memory((double)a->size).s, text_memory(OUT_HIGH).s,
	    (double)a->duration_ms / 1e3);
}

static int serve(struct trial *t)
{
	return stream_run(t, t->variant == NO_MARKS ? BP_UNLIMITED : OUT_HIGH,
	    t->variant == WAIT ? BP_FOREVER : 0);
}

static int drive(struct trial *t)
{
	return readers_run(t, t->variant == ALL_READ);
}

/* ---- what it came to ------------------------------------------------- */

enum { RATE, P50, P99, PENDING, SKIPPED, RESIDENT };

static const struct column columns[] = {
	{ "each other", "MB/s", "others_rate", MB, 2 },
	{ "message's", "p50, ms", "age_p50_ns", NS_PER_MS, 2 },
	{ "age", "p99, ms", "age_p99_ns", NS_PER_MS, 2 },
	{ "queued at", "most, KiB", "pending_bytes", 1024, 0 },
	{ "not sent", "messages", "skipped", 1, 0 },
	{ "resident", "MiB", "resident_bytes", MIB, 1 },
	{ 0 }
};

static void measure(struct trial *const *trials, int n, double *v)
{
	const struct trial *t = trials[n - 1];
	double readers = (double)t->asked->conns - (t->variant == ALL_READ ? 0 : 1);

	if (readers > 0)
		v[RATE] = t->handled / readers * 1e9 / phase_ns(t, MEASURED);
	if (t->round_trips[1].n) {
		v[P50] = spread_at(&t->round_trips[1], 0.5);
		v[P99] = spread_at(&t->round_trips[1], 0.99);
	}
	v[PENDING] = t->pending_most;
	v[SKIPPED] = (double)t->skipped;
	v[RESIDENT] = t->memory.peak;
}

static int judge(const struct results *r)
{
	const struct trial *t = results_trial(r, 0, 0, TRY);
	double v[COLUMNS_MAX], all[COLUMNS_MAX], frame, bound;
	double conns = (double)r->asked->conns;
	int failed = 0;

	results_values(r, ALL_READ, all);
	results_values(r, TRY, v);
	frame = (double)r->asked->size + HEAD;
	bound = t->base + conns * (CONN_BYTES + OUT_HIGH + frame) + SLACK_BYTES;
	failed += results_verdict(r, v[RATE] >= LEAST_RATE * all[RATE] && !t->cut,
	    "try: each other gets %.2f MB/s, at least 95 %% of %.2f when all read; cut: "
	    "%u",
	    v[RATE] / MB, all[RATE] / MB, t->cut);
	failed += results_verdict(r, v[PENDING] <= OUT_HIGH + frame,
	    "try: %s queued at most, bound %s = out_high + a frame",
	    text_memory(v[PENDING]).s, text_memory(OUT_HIGH + frame).s);
	failed += results_verdict(r, v[RESIDENT] <= bound,
	    "try: resident %s at most, bound %s "
	    "= base %s + (32 KiB + out_high + a frame) x %.0f + 8 MiB",
	    text_memory(v[RESIDENT]).s, text_memory(bound).s, text_memory(t->base).s,
	    conns);
	return failed;
}

/* ---- the picture ----------------------------------------------------- */

static void label(struct svg_label *l, int variant, const double *v)
{
	static const int colours[] = { 1, 2, 3, 0 };

	l->colour = colours[variant];
	snprintf(l->name, sizeof l->name, "%s", variants[variant]);
	if (isnan(v[P99]))
		snprintf(l->note, sizeof l->note, "%s; the others wait, too",
		    text_memory(v[RESIDENT]).s);
	else
		snprintf(l->note, sizeof l->note, "%s; others: %.1f MB/s, p99 %.1f ms",
		    text_memory(v[RESIDENT]).s, v[RATE] / MB, v[P99] / 1e6);
}

static void draw(const void *results, FILE *file)
{
	const struct results *r = results;
	char note[256];
	struct svg_picture picture = {
		.title = "Memory of a server that streams, while one does not read",
		.note = note, .seconds = (double)r->asked->duration_ms / 1e3,
		.most = 16 * MIB,
	};
	struct svg_series *series;
	double v[COLUMNS_MAX];

	describe(r->asked, note, sizeof note);
	for (int i = 0; i < r->n; i++) {
		if (!r->trials[i]->memory.n)
			continue;
		results_values(r, i, v);
		series = &picture.series[picture.n++];
		series->samples = &r->trials[i]->memory;
		series->filled = r->trials[i]->variant == NO_MARKS;
		label(&series->label, r->trials[i]->variant, v);
	}
	svg_draw_memory(file, &picture);
}

static const char *const qdiscs[] = { "fair", NULL };

const struct scenario scenario_slow_reader = {
	.name = "slow-reader", .duration_ms = 4000,
	.handle_rate = HANDLE_RATE_DEFAULT, .size = 64 << 10, .size_min = 1024,
	.conns = 10, .conns_max = 1000, .rounds = 1, .qdiscs = qdiscs,
	.variants = variants, .columns = columns, .describe = describe,
	.serve = serve, .drive = drive, .measure = measure, .judge = judge,
	.draw = draw,
};
