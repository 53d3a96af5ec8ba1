/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_flood_judge.c - what each discipline may take, computed before it is looked at,
 * and whether it kept to that.
 *
 *	places	(places + 1 in each reader's hand + 1 being handled) frames,
 *		and the mappings that the library keeps for the next ones
 *	budget	the budget, in which those mappings are counted
 *	both	+ what was resident before the first connection
 *		+ 32 KiB for each connection, and stacks and code not touched before
 */
#include "abuse_flood.h"


#define SLACK (8 * MIB)			/* code, stacks and heap first used under load */
#define IDLE_MAPPINGS (64 * MIB)	/* the library keeps no more of them idle */
#define CONN_BYTES (32 * 1024.0)
#define SLOPE_PART 0.05			/* of the bound, in 10 s */
#define RATES_APART 1.10
#define UNBOUNDED_PAYLOADS 4		/* a second: less is no demonstration */

/* ---- one run --------------------------------------------------------- */

/* Least squares over the samples from the middle of the run on. */
static double second_half_slope(const struct run *run)
{
	double half, n = 0, t = 0, m = 0, tt = 0, tm = 0, det;
	const struct sample *s;

	if (!run->memory.n)
		return 0;
	half = run->memory.all[run->memory.n - 1].seconds / 2;
	for (size_t i = 0; i < run->memory.n; i++) {
		s = &run->memory.all[i];
		if (s->seconds < half)
			continue;
		n++;
		t += s->seconds;
		m += s->resident;
		tt += s->seconds * s->seconds;
		tm += s->seconds * s->resident;
	}
	det = n * tt - t * t;
	return det > 0 ? (n * tm - t * m) / det : 0;
}

static void bound_places(const struct flood *f, struct run *run)
{
	double frames = (double)(run->places + f->asked->conns + 1);

	run->bound = run->base + frames * (double)f->asked->size + IDLE_MAPPINGS
	    + (double)f->asked->conns * CONN_BYTES + SLACK;
	snprintf(run->bound_why, sizeof run->bound_why,
	    "base %s + %.0f frames of %s + 64 MiB of idle mappings + 32 KiB x %.0f + 8 MiB",
	    text_memory(run->base).s, frames, text_memory((double)f->asked->size).s,
	    (double)f->asked->conns);
}

static void bound_budget(const struct flood *f, struct run *run)
{
	run->bound = run->base + run->budget + (double)f->asked->conns * CONN_BYTES + SLACK;
	snprintf(run->bound_why, sizeof run->bound_why,
	    "base %s + budget %s + 32 KiB x %.0f + 8 MiB", text_memory(run->base).s,
	    text_memory(run->budget).s, (double)f->asked->conns);
}

void judge_run(const struct flood *f, struct run *run)
{
	if (run->memory.peak > run->peak)
		run->peak = run->memory.peak;
	run->slope = second_half_slope(run);
	if (run->bounded_by == BOUND_PLACES)
		bound_places(f, run);
	else if (run->bounded_by == BOUND_BUDGET)
		bound_budget(f, run);
}

double judge_handled_rate(const struct run *run)
{
	return run->handling_ns > 0 ? run->handled * 1e9 / run->handling_ns : 0;
}

/* ---- the checks ------------------------------------------------------ */

struct judge {
	const struct flood *flood;
	int failed;
};

static void verdict(struct judge *j, bool passed, const char *line)
{
	j->failed += !passed;
	compare_verdict(j->flood->asked, passed, line);
}

static bool check_ended_well(struct judge *j, const struct run *run)
{
	char line[256];
	bool may = run->bounded_by == BOUND_NONE || !run->met_limit;
	bool well = !run->error[0] && run->done && may;

	snprintf(line, sizeof line, "%s: %s", run->qdisc, run->error[0] ? run->error
	    : !run->met_limit ? "ran to its end"
	    : may ? "met the memory limit, as it should" : "met the memory limit");
	verdict(j, well, line);
	return well;
}

static void check_bound(struct judge *j, const struct run *run)
{
	double most = SLOPE_PART * run->bound;
	char line[512];

	snprintf(line, sizeof line, "%s: peak %s, bound %s = %s", run->qdisc,
	    text_memory(run->peak).s, text_memory(run->bound).s, run->bound_why);
	verdict(j, run->peak > 0 && run->peak <= run->bound, line);
	snprintf(line, sizeof line, "%s: its second half grows by %s in 10 s, at most %s",
	    run->qdisc, text_memory(run->slope * 10).s, text_memory(most).s);
	verdict(j, run->slope * 10 <= most, line);
}

static void check_growth(struct judge *j, const struct run *run)
{
	double least = UNBOUNDED_PAYLOADS * (double)j->flood->asked->size;
	char line[256];

	snprintf(line, sizeof line, "%s: grows by %s a second, more than %s%s", run->qdisc,
	    text_memory(run->slope).s, text_memory(least).s,
	    run->met_limit ? ", or met the limit: it did" : "");
	verdict(j, run->met_limit || run->slope > least, line);
}

static void check_sum(struct judge *j, const struct run *run)
{
	char line[256];

	snprintf(line, sizeof line,
	    "%s: received %.0f = handled %.0f + queued %.0f + in hand %.0f", run->qdisc,
	    run->received, run->handled, run->queued, run->in_hand);
	verdict(j, run->handled > 0
	    && run->received == run->handled + run->queued + run->in_hand, line);
}

static void check_rates(struct judge *j)
{
	double least = 0, most = 0, rate;
	char line[128];

	for (int i = 0; i < j->flood->runs_n; i++) {
		rate = judge_handled_rate(&j->flood->runs[i]);
		least = i == 0 || rate < least ? rate : least;
		most = rate > most ? rate : most;
	}
	snprintf(line, sizeof line, "all: handled between %s and %s, within 10 %%",
	    text_rate(least, 1e9).s, text_rate(most, 1e9).s);
	verdict(j, least > 0 && most <= least * RATES_APART, line);
}

int judge_all(const struct flood *f)
{
	struct judge j = { f, 0 };
	const struct run *run;

	for (int i = 0; i < f->runs_n; i++) {
		run = &f->runs[i];
		if (!check_ended_well(&j, run))
			continue;
		if (run->bounded_by == BOUND_NONE)
			check_growth(&j, run);
		else
			check_bound(&j, run);
		check_sum(&j, run);
	}
	check_rates(&j);
	return j.failed;
}
