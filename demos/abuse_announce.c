/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_announce.c - a thousand peers announce 16 MiB each, send all but the last
 * byte as far as they are let, and stall; four polite ones ping beside them.
 *
 * Watch the server's memory against its bound, the pings, and for how long one who
 * was given room for what it announced can sit on it. That it may for rate_ms of
 * grace and as long again is the library's rule; rate_ms is a tenth of the duration
 * here, so that it can be seen several times, and 5 s by default.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_service.h"
#include "abuse_svg.h"

#include <bpthread.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define PING_AIM_NS (20 * NS_PER_MS)
#define RATE_MS_DEFAULT 5000
#define LOOK_MS 500			/* the library looks no less often */
#define LATE_MS 250			/* a look at a thousand connections, and its telling */

static int rate_ms(const struct asked *a)
{
	uint64_t ms = a->duration_ms / 10;

	return ms < 50 ? 50 : ms < RATE_MS_DEFAULT ? (int)ms : RATE_MS_DEFAULT;
}

static void describe(const struct asked *a, char *out, size_t size)
{
	snprintf(out, size, "%llu peers announce %s and stall, %d ping 1 KiB at 100/s; "
	    "rate_ms %.3g s; %.3g s", (unsigned long long)a->conns,
	    text_memory((double)a->size).s, POLITE, rate_ms(a) / 1e3,
	    (double)a->duration_ms / 1e3);
}

static int serve(struct trial *t)
{
	const struct bp_conn_config config = {
		.frame_max = t->asked->size > PING ? t->asked->size : PING,
		.rate_ms = rate_ms(t->asked),
	};

	return service_run(t, &config);
}

static int drive(struct trial *t)
{
	struct polite polite;
	struct crowd crowd;
	char *bytes = calloc(1, HEAD + t->asked->size);

	if (!bytes)
		return compare_failed("make", "a message", -ENOMEM);
	peer_frame(bytes, t->asked->size, 'f');
	if (polite_start(&polite, t) != 0 || crowd_new(&crowd, t, t->asked->conns) != 0)
		return 1;
	crowd.counts_cut = false;	/* they are asking for it */
	phase_run(t, PREPARING, 200);
	phase_run(t, ALONE, 1000);
	phase_begin(t, SETTLING);
	for (uint64_t i = 0; i < t->asked->conns; i++)
		if (crowd_add(&crowd, bytes, HEAD + t->asked->size - 1, true) != 0)
			return 1;
	if (crowd_start(&crowd) != 0)
		return 1;
	if (phase_run(t, SETTLING, 500))
		phase_run(t, MEASURED, t->asked->duration_ms);
	phase_begin(t, OVER);
	crowd_stop(&crowd);
	polite_stop(&polite);
	free(bytes);
	return 0;
}

/* ---- what it came to ------------------------------------------------- */

enum { RESIDENT, BOUND, CHARGED, KERNEL, ALONE_P99, BESIDE_P99, ENDED, LASTED };

static const struct column columns[] = {
	{ "resident", "MiB", "resident_bytes", MIB, 1 },
	{ "bound", "MiB", "bound_bytes", MIB, 1 },
	{ "charged", "MiB", "held_bytes", MIB, 1 },
	{ "kernel", "MiB", "kernel_bytes", MIB, 1 },
	{ "pings alone", "p99, ms", "alone_p99_ns", NS_PER_MS, 2 },
	{ "beside", "p99, ms", "beside_p99_ns", NS_PER_MS, 2 },
	{ "offenders", "ended", "ended", 1, 0 },
	{ "lasted", "at most, s", "lasted_ns", NS_PER_S, 2 },
	{ 0 }
};

static double connections(const struct asked *a)
{
	return (double)(a->conns + POLITE);
}

static void measure(struct trial *const *trials, int n, double *v)
{
	const struct trial *t = trials[n - 1];
	uint64_t lasted = t->ended.most > t->still.most ? t->ended.most : t->still.most;

	v[RESIDENT] = t->memory.peak;
	if (t->budget > 0)
		v[BOUND] = t->base + t->budget + connections(t->asked) * CONN_BYTES
		    + SLACK_BYTES;
	v[CHARGED] = t->held_most;
	v[KERNEL] = t->kernel;
	v[ALONE_P99] = spread_at(&t->round_trips[0], 0.99);
	if (t->round_trips[1].n)
		v[BESIDE_P99] = spread_at(&t->round_trips[1], 0.99);
	v[ENDED] = (double)t->ended.n;
	if (lasted)
		v[LASTED] = (double)lasted;
}

static int judge_fair(const struct results *r, int i)
{
	const struct trial *t = r->trials[i];
	int grace = rate_ms(r->asked), failed = 0;
	int look = grace < LOOK_MS ? grace : LOOK_MS;
	double v[COLUMNS_MAX], most = 1e6 * (2 * grace + look + LATE_MS);

	results_values(r, i, v);
	failed += results_verdict(r, v[BESIDE_P99] <= PING_AIM_NS && !t->cut,
	    "%s: p99 of pings %.2f ms beside them, at most 20; polite ones cut: %u",
	    t->qdisc, v[BESIDE_P99] / 1e6, t->cut);
	failed += results_verdict(r, t->ended.n > 0 && v[LASTED] <= most,
	    "%s: %.0f were ended as stalled, %.2f s after their grants at most; may be "
	    "%.2f = 2 x rate_ms + a look",
	    t->qdisc, v[ENDED], v[LASTED] / 1e9, most / 1e9);
	failed += results_verdict(r, t->futile_wakeups == 0,
	    "%s: futile wake-ups: %llu", t->qdisc,
	    (unsigned long long)t->futile_wakeups);
	return failed;
}

static int judge(const struct results *r)
{
	int failed = 0;

	for (int i = 0; i < r->n; i++) {
		if (r->trials[i]->budget > 0)
			failed += results_bound(r, r->trials[i], connections(r->asked));
		if (is_fair(r->trials[i]->qdisc))
			failed += judge_fair(r, i);
	}
	return failed;
}

/* ---- the picture ----------------------------------------------------- */

static void add(struct svg_picture *picture, const struct results *r, int i)
{
	struct svg_series *series = &picture->series[picture->n++];
	struct svg_label *label = &series->label;
	const struct trial *t = r->trials[i];
	double v[COLUMNS_MAX];

	results_values(r, i, v);
	series->samples = &t->memory;
	series->filled = t->budget <= 0;
	label->colour = svg_colour(r->asked, i);
	snprintf(label->name, sizeof label->name, "%s", t->qdisc);
	if (t->met_limit)
		snprintf(label->note, sizeof label->note, "met the limit of %s",
		    text_memory((double)r->asked->mem_limit).s);
	else
		snprintf(label->note, sizeof label->note, "%s, p99 of pings %.2f ms",
		    text_memory(t->memory.peak).s, v[BESIDE_P99] / 1e6);
	if (t->budget > 0) {
		picture->limit = v[BOUND];
		snprintf(picture->limit_name, sizeof picture->limit_name, "bound %s",
		    text_memory(v[BOUND]).s);
	}
}

static void draw(const void *results, FILE *file)
{
	const struct results *r = results;
	char note[256];
	struct svg_picture picture = {
		.title = "Memory of a server, while more is announced than it has",
		.note = note,
		.seconds = (double)r->asked->duration_ms / 1e3,
	};

	describe(r->asked, note, sizeof note);
	for (int i = 0; i < r->n; i++)
		if (r->trials[i]->memory.n)
			add(&picture, r, i);
	svg_draw_memory(file, &picture);
}

static const char *const qdiscs[] = { "unbounded", "bytes", "fair", NULL };

const struct scenario scenario_announce = {
	.name = "announce", .duration_ms = 10000, .handle_rate = HANDLE_RATE_DEFAULT,
	.size = 16 << 20, .size_min = 65536, .conns = 1000,
	.conns_max = PEERS_MAX - POLITE, .rounds = 1, .qdiscs = qdiscs,
	.columns = columns, .describe = describe, .serve = serve, .drive = drive,
	.measure = measure, .judge = judge, .of_fair = true, .draw = draw,
};
