/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_flood.h - the scenario flood, as its parts see it: abuse_flood.c runs it,
 * abuse_flood_judge.c knows the bounds and the checks, abuse_flood_report.c writes
 * table, TSV and JSON, abuse_flood_svg.c draws.
 */
#ifndef ABUSE_FLOOD_H
#define ABUSE_FLOOD_H

#include "abuse_compare.h"

enum run_bound { BOUND_NONE, BOUND_PLACES, BOUND_BUDGET };

/* One discipline: what the server and the client said, what was seen of them. */
struct run {
	const char *qdisc;
	enum run_bound bounded_by;
	uint64_t places;

	struct samples memory;		/* the server's, resident */
	double peak;			/* of it, bytes */
	double slope;			/* of its second half, bytes a second */

	char port[8];
	double base, budget;		/* bytes */
	double received, handled, queued, in_hand;	/* bytes */
	double receiving_ns, handling_ns, wait_p50_ns, wait_p99_ns;
	double throttled_share, rwnd_limited_share;
	bool met_limit;			/* --mem-limit ended it */
	bool done;			/* both have summed up */
	struct text closed;		/* the reason the server gave for an end, if any */
	char error[96];			/* what else went wrong; "" if nothing */

	double bound;			/* bytes; 0 is none */
	char bound_why[192];
};

struct flood {
	const struct asked *asked;
	struct run runs[RUNS_MAX];
	int runs_n;
};

/* ---- abuse_flood_judge.c --------------------------------------------- */

/* Fill in peak, slope and bound. */
void judge_run(const struct flood *f, struct run *run);
double judge_handled_rate(const struct run *run);	/* bytes a second */
/* Say of each check whether it holds; returns how many do not. */
int judge_all(const struct flood *f);

/* ---- abuse_flood_report.c, abuse_flood_svg.c ------------------------- */

void report_table(const struct flood *f);
void report_json(const struct flood *f);
void report_tsv(const void *flood, FILE *file);
void flood_draw(const void *flood, FILE *file);

#endif /* ABUSE_FLOOD_H */
