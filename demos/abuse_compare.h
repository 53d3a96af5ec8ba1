/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_compare.h - one comparison, as its parts see it: abuse_compare.c runs it,
 * abuse_child.c keeps the processes, abuse_judge.c knows the bounds and the checks,
 * abuse_report.c writes table, TSV and JSON, abuse_svg.c draws.
 */
#ifndef ABUSE_COMPARE_H
#define ABUSE_COMPARE_H

#include <stdio.h>

#include "abuse.h"

#define RUNS_MAX 16

struct sample {
	double seconds;
	double resident;
};

enum run_bound { BOUND_NONE, BOUND_PLACES, BOUND_BUDGET };

/* One discipline: what the server and the client said, what was seen of them. */
struct run {
	const char *qdisc;		/* as given: "bytes:budget=64M" */
	enum run_bound bounded_by;
	uint64_t places;

	struct sample *samples;		/* of the server's resident memory */
	size_t samples_n, samples_max;
	double peak;			/* of them, bytes */
	double slope;			/* of their second half, bytes a second */

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

struct compare {
	uint64_t duration_ms, handle_rate, size, conns, mem_limit;
	const char *out;		/* directory */
	bool check, json;
	struct run runs[RUNS_MAX];
	int runs_n;
};

/* ---- abuse_child.c ---------------------------------------------------------------- */

struct child {
	pid_t pid;
	int fd;				/* its stdout; -1 after the end */
	int status;			/* of waitpid(), once exited */
	bool exited;
	char text[2048];
	size_t have;
};

/* Run this very program with other arguments. Returns a negative errno. */
int child_start(struct child *child, const char *const argv[]);
/* Hand each line it has written to fn; returns whether it still runs. */
bool child_poll(struct child *child, void (*fn)(const char *line, void *arg), void *arg);
/* Await its end, SIGTERM after patience_ms, SIGKILL 5 s later. */
void child_finish(struct child *child, uint64_t patience_ms,
    void (*fn)(const char *line, void *arg), void *arg);

/* ---- abuse_judge.c ---------------------------------------------------------------- */

/* Fill in peak, slope and bound. */
void judge_run(const struct compare *c, struct run *run);
double judge_handled_rate(const struct run *run);	/* bytes a second */
/* Call tell for each check; returns how many failed. */
int judge_all(const struct compare *c,
    void (*tell)(const struct compare *c, bool passed, const char *line));

/* ---- abuse_report.c, abuse_svg.c --------------------------------------------------- */

void report_table(const struct compare *c);
void report_json(const struct compare *c);
void report_tsv(const struct compare *c, FILE *file);
void svg_draw(const struct compare *c, FILE *file);

#endif /* ABUSE_COMPARE_H */
