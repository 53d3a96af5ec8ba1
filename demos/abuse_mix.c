/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_mix.c - who gets how much: peers that all want more than they can have,
 * each with messages of one size, from 4 KiB to 1 MiB; then all with the same size.
 *
 * Watch Jain's index, (sum x)^2 / (n sum x^2): 1 when all get as many bytes, 1/n when
 * one gets all. First come first served gives to each as many messages, so those
 * whose messages are large get the most.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_service.h"
#include "abuse_svg.h"

#include <bpthread.h>
#include <math.h>
#include <stdlib.h>

#define SMALLEST 4096.0
#define EQUAL ((uint64_t)64 << 10)
#define JAIN_MIXED 0.95
#define JAIN_EQUAL 0.99

enum { MIXED_SIZES, EQUAL_SIZES };

static void describe(const struct asked *a, char *out, size_t size)
{
	snprintf(out, size,
	    "%llu peers send as fast as they are let, messages of 4 KiB to %s "
	    "(equal: 64 KiB); handled at %.4g MB/s; %.3g s",
	    (unsigned long long)a->conns, text_memory((double)a->size).s,
	    (double)a->handle_rate / MB, (double)a->duration_ms / 1e3);
}

static int serve(struct trial *t)
{
	const struct bp_conn_config config = {
		.frame_max = t->asked->size > EQUAL ? t->asked->size : EQUAL,
	};

	return service_run(t, &config);
}

/* Sizes are spread evenly over the powers of two. */
static size_t message_size(const struct trial *t, uint64_t i)
{
	double last = t->asked->conns > 1 ? (double)(t->asked->conns - 1) : 1;

	if (t->variant == EQUAL_SIZES)
		return EQUAL;
	return (size_t)(SMALLEST
	    * pow((double)t->asked->size / SMALLEST, (double)i / last));
}

static int drive(struct trial *t)
{
	struct crowd crowd;
	size_t len;
	char *bytes;

	if (crowd_new(&crowd, t, t->asked->conns) != 0)
		return 1;
	for (uint64_t i = 0; i < t->asked->conns; i++) {
		bytes = peer_stream(message_size(t, i), &len);
		if (!bytes || crowd_add(&crowd, bytes, len, false) != 0)
			return 1;
	}
	if (crowd_start(&crowd) != 0)
		return 1;
	if (phase_run(t, SETTLING, 1000))
		phase_run(t, MEASURED, t->asked->duration_ms);
	phase_begin(t, OVER);
	crowd_stop(&crowd);
	return 0;		/* what they sent goes with the process */
}

/* ---- what it came to ------------------------------------------------- */

enum { JAIN, LEAST, MEDIAN, MOST, HANDLED, HELD };

static const struct column columns[] = {
	{ "Jain's", "index", "jain", 1, 3 },
	{ "least", "MB", "least_bytes", MB, 1 },
	{ "median", "MB", "median_bytes", MB, 1 },
	{ "most", "MB", "most_bytes", MB, 1 },
	{ "handled", "MB/s", "handled_rate", MB, 1 },
	{ "held", "MiB", "held_bytes", MIB, 1 },
	{ 0 }
};

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(struct trial *const *trials, int n, double *v)
{
	const struct trial *t = trials[n - 1];
	double got[PEERS_MAX], sum = 0, squares = 0;
	unsigned peers = t->peers_n;

	for (unsigned i = 0; i < peers; i++) {
		got[i] = t->peers[i].handled;
		sum += got[i];
		squares += got[i] * got[i];
	}
	if (!peers || squares <= 0)
		return;
	qsort(got, peers, sizeof *got, ascending);
	v[JAIN] = sum * sum / ((double)peers * squares);
	v[LEAST] = got[0];
	v[MEDIAN] = got[peers / 2];
	v[MOST] = got[peers - 1];
	v[HANDLED] = t->handled * 1e9 / phase_ns(t, MEASURED);
	v[HELD] = t->held_most;
}

static int judge(const struct results *r)
{
	double v[COLUMNS_MAX], aim;
	const struct trial *t;
	int failed = 0;

	for (int i = 0; i < r->n; i++) {
		t = r->trials[i];
		if (!is_fair(t->qdisc))
			continue;
		aim = t->variant == EQUAL_SIZES ? JAIN_EQUAL : JAIN_MIXED;
		results_values(r, i, v);
		failed += results_verdict(r, t->peers_n == t->asked->conns && !t->cut,
		    "%s: %u peers of %llu were served, %u cut", results_name(r, i).s,
		    t->peers_n, (unsigned long long)t->asked->conns, t->cut);
		failed += results_verdict(r, v[JAIN] >= aim,
		    "%s: Jain's index %.3f, at least %.2f", results_name(r, i).s,
		    v[JAIN], aim);
	}
	return failed;
}

/* ---- the picture ----------------------------------------------------- */

static void draw_peers(const struct plot *p, const struct trial *t, int colour)
{
	const struct peer *peer;

	for (unsigned i = 0; i < t->peers_n; i++) {
		peer = &t->peers[i];
		fprintf(p->file,
		    "<circle class=\"f%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n",
		    colour, svg_x(p, (double)peer->largest), svg_y(p, peer->handled));
	}
}

static void label_peers(const struct plot *p, const struct results *r, int qdisc,
    struct svg_label *label)
{
	const struct trial *mixed = results_trial(r, 0, qdisc, MIXED_SIZES);
	double v[COLUMNS_MAX], v_equal[COLUMNS_MAX];

	results_values(r, 2 * qdisc, v);
	results_values(r, 2 * qdisc + 1, v_equal);
	*label = (struct svg_label){
		.colour = svg_colour(r->asked, qdisc),
		.x = p->right,
		.y = svg_y(p, mixed->peers_n ? mixed->peers[mixed->peers_n - 1].handled
		    : 0),
	};
	snprintf(label->name, sizeof label->name, "%s", mixed->qdisc);
	snprintf(label->note, sizeof label->note, "Jain %.3f, equal sizes %.3f",
	    v[JAIN], v_equal[JAIN]);
}

static void draw(const void *results, FILE *file)
{
	const struct results *r = results;
	struct plot p = {
		file, 76, SVG_RIGHT, 96, 414,
		.x = { SMALLEST, fmax((double)r->asked->size, 2 * SMALLEST), true, 2,
		    svg_memory },
		.y = { 0, 1, .base = 10, .name = svg_traffic },
	};
	struct svg_label labels[RUNS_MAX];
	double v[COLUMNS_MAX];
	char note[256];
	int n = r->n / 2;

	for (int i = 0; i < n; i++) {
		results_values(r, 2 * i, v);
		p.y.to = fmax(p.y.to, 1.1 * v[MOST]);
	}
	describe(r->asked, note, sizeof note);
	svg_begin(file, 460, "Bytes that each peer gets, by the size of its messages",
	    note);
	svg_y_axis(&p);
	svg_x_axis(&p, false);
	for (int i = 0; i < n; i++) {
		draw_peers(&p, results_trial(r, 0, i, MIXED_SIZES),
		    svg_colour(r->asked, i));
		label_peers(&p, r, i, &labels[i]);
	}
	svg_labels(&p, labels, n);
	svg_end(file);
}

static const char *const qdiscs[] = { "bytes", "fair", NULL };
static const char *const variants[] = { "mixed", "equal", NULL };

const struct scenario scenario_mix = {
	.name = "mix", .duration_ms = 5000, .handle_rate = 200000000, .size = 1 << 20,
	.size_min = 8192, .conns = 32, .conns_max = 1000, .rounds = 1,
	.qdiscs = qdiscs, .variants = variants, .columns = columns,
	.describe = describe, .serve = serve, .drive = drive, .measure = measure,
	.judge = judge, .of_fair = true, .draw = draw,
};
