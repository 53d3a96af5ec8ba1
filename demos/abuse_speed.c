/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_speed.c - what a discipline costs: a few peers send as fast as they are let,
 * large messages and then small ones, and the server does nothing with them.
 *
 * A machine is not as fast now as it was a moment ago. So the disciplines take turns,
 * in short rounds, and of each the best round counts.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_service.h"
#include "abuse_svg.h"

#include <bpthread.h>
#include <math.h>
#include <stdlib.h>

#define SMALL 1024
#define LARGE_AIM 0.85			/* of the first discipline's rate */
#define SMALL_AIM 0.70

enum { LARGE_MESSAGES, SMALL_MESSAGES };

static void describe(const struct asked *a, char *out, size_t size)
{
	snprintf(out, size,
	    "%llu peers send as fast as they are let, messages of %s (small: "
	    "1 KiB), which are only taken; the best of %d rounds of %.3g s",
	    (unsigned long long)a->conns, text_memory((double)a->size).s,
	    a->scenario->rounds, (double)a->duration_ms / 1e3);
}

static int serve(struct trial *t)
{
	const struct bp_conn_config config = {
		.frame_max = t->asked->size > SMALL ? t->asked->size : SMALL,
	};

	return service_run(t, &config);
}

static int drive(struct trial *t)
{
	struct crowd crowd;
	size_t len;
	char *bytes;

	bytes = peer_stream(t->variant == SMALL_MESSAGES ? SMALL : t->asked->size, &len);
	if (!bytes || crowd_new(&crowd, t, t->asked->conns) != 0)
		return 1;
	for (uint64_t i = 0; i < t->asked->conns; i++)
		if (crowd_add(&crowd, bytes, len, false) != 0)
			return 1;
	if (crowd_start(&crowd) != 0)
		return 1;
	if (phase_run(t, SETTLING, 100))
		phase_run(t, MEASURED, t->asked->duration_ms);
	phase_begin(t, OVER);
	crowd_stop(&crowd);
	free(bytes);
	return 0;
}

/* ---- what it came to ------------------------------------------------- */

enum { BEST, WORST, MESSAGES };

static const struct column columns[] = {
	{ "best", "MB/s", "best_rate", MB, 0 },
	{ "worst", "MB/s", "worst_rate", MB, 0 },
	{ "messages", "k/s", "messages_rate", 1e3, 0 },
	{ 0 }
};

static double rate_of(const struct trial *t)
{
	return t->handled * 1e9 / phase_ns(t, MEASURED);
}

static void measure(struct trial *const *trials, int n, double *v)
{
	const struct asked *a = trials[0]->asked;
	double size = trials[0]->variant == SMALL_MESSAGES ? SMALL : (double)a->size;

	v[BEST] = v[WORST] = rate_of(trials[0]);
	for (int i = 1; i < n; i++) {
		v[BEST] = fmax(v[BEST], rate_of(trials[i]));
		v[WORST] = fmin(v[WORST], rate_of(trials[i]));
	}
	v[MESSAGES] = v[BEST] / size;
}

/* Of the first discipline, at the same size. */
static double ratio(const struct results *r, int row)
{
	double v[COLUMNS_MAX], first[COLUMNS_MAX];

	results_values(r, row, v);
	results_values(r, row % 2, first);
	return v[BEST] / first[BEST];
}

static int judge(const struct results *r)
{
	double aim;
	int failed = results_verdict(r,
	    r->per_round > 2 && !is_fair(r->asked->qdiscs[0]),
	    "fair is compared with the first discipline: %s", r->asked->qdiscs[0]);

	for (int i = 2; i < r->per_round; i++) {
		if (!is_fair(r->asked->qdiscs[i / 2]))
			continue;
		aim = i % 2 == SMALL_MESSAGES ? SMALL_AIM : LARGE_AIM;
		failed += results_verdict(r, ratio(r, i) >= aim,
		    "%s: %.0f %% of the rate of %s, at least %.0f",
		    results_name(r, i).s, 100 * ratio(r, i), r->asked->qdiscs[0],
		    100 * aim);
	}
	return failed;
}

/* ---- the picture ----------------------------------------------------- */

static void draw(const void *results, FILE *file)
{
	const struct results *r = results;
	struct plot p = {
		file, 190, SVG_RIGHT, 84, 100 + 44.0 * r->per_round,
		.x = { 0, 1, .base = 10, .name = svg_traffic },
	};
	double v[COLUMNS_MAX], y;
	char text[256];

	for (int i = 0; i < r->per_round; i++) {
		results_values(r, i, v);
		p.x.to = fmax(p.x.to, 1.05 * v[BEST]);
	}
	describe(r->asked, text, sizeof text);
	svg_begin(file, p.bottom + 40, "Bytes a second through each discipline", text);
	svg_x_axis(&p, true);
	for (int i = 0; i < r->per_round; i++) {
		results_values(r, i, v);
		y = p.top + 14 + 44 * i;
		fprintf(file,
		    "<rect class=\"f%d%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
		    "height=\"24\"/>\n",
		    svg_colour(r->asked, i / 2),
		    i % 2 == SMALL_MESSAGES ? " faint" : "", p.left, y,
		    svg_x(&p, v[BEST]) - p.left);
		svg_text(file, "name end", p.left - 14, y + 17, results_name(r, i).s);
		snprintf(text, sizeof text, "%.0f MB/s, %.0f %%", v[BEST] / MB,
		    100 * ratio(r, i));
		svg_text(file, "num", p.right + 20, y + 17, text);
	}
	svg_end(file);
}

static const char *const qdiscs[] = { "unbounded", "fair", NULL };
static const char *const variants[] = { "large", "small", NULL };

const struct scenario scenario_speed = {
	.name = "speed", .duration_ms = 500, .size = 64 << 10, .size_min = 1,
	.conns = 4, .conns_max = 1000, .rounds = 5, .qdiscs = qdiscs,
	.variants = variants, .columns = columns, .describe = describe,
	.serve = serve, .drive = drive, .measure = measure, .judge = judge,
	.of_fair = true, .draw = draw,
};
