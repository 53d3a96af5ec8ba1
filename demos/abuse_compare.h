/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_compare.h - what all scenarios of compare share: what was asked for, the
 * processes they run, the memory they are seen to have, and the words of a verdict.
 */
#ifndef ABUSE_COMPARE_H
#define ABUSE_COMPARE_H

#include <stdio.h>

#include "abuse.h"

#define RUNS_MAX 16

struct bp_endpoint;
struct bp_monitor;
struct scenario;		/* abuse_scenario.h */

/* The command line, with the scenario's defaults where it says nothing. */
struct asked {
	const struct scenario *scenario;	/* NULL: flood */
	uint64_t duration_ms, handle_rate, size, conns, mem_limit;
	const char *out;			/* directory */
	char monitor_at[300];			/* of each server: --monitor, or "off" */
	bool check, json;
	const char *qdiscs[RUNS_MAX];		/* as given: "bytes:budget=64M" */
	int qdiscs_n;
};

/* Each runs, reports and returns the exit status. */
int flood_run(const struct asked *asked);
int scenario_run(const struct asked *asked);

/* ---- telling: abuse_compare.c ---------------------------------------- */

/* Says what could not be done, and returns the exit status for it. */
int compare_failed(const char *doing, const char *what, int err);
/* Let a run be watched: what it is heads the page. Returns an exit status. */
int compare_monitor(struct bp_monitor **ret_monitor, const struct asked *asked,
    struct bp_endpoint *ep, const char *run);
void compare_verdict(const struct asked *asked, bool passed, const char *line);
/* Write a file in the directory asked for. Returns the exit status. */
int compare_write(const struct asked *asked, const char *name,
    void (*write_to)(const void *arg, FILE *file), const void *arg);

/* ---- memory over time: abuse_memory.c -------------------------------- */

struct sample {
	double seconds;
	double resident;
};

struct samples {
	struct sample *all;
	size_t n, max;
	double peak;		/* bytes */
};

/* A process that has just ended has no memory, and gives no sample. */
void samples_take(struct samples *samples, double seconds, pid_t pid);

/* ---- processes: abuse_child.c ---------------------------------------- */

struct child {
	pid_t pid;
	int fd;				/* its stdout; -1 without, or after the end */
	int status;			/* of waitpid(), once exited */
	bool exited;
	char text[2048];
	size_t have;
};

/* Run this very program with other arguments. Returns a negative errno. */
int child_start(struct child *child, const char *const argv[]);
/* Run fn in a copy of this process, which shares only what is mapped shared. */
int child_fork(struct child *child, int (*fn)(void *arg), void *arg);
/* Hand each line it has written to fn; returns whether it still runs. */
bool child_poll(struct child *child, void (*fn)(const char *line, void *arg), void *arg);
/* Await its end, SIGTERM after patience_ms, SIGKILL 5 s later. */
void child_finish(struct child *child, uint64_t patience_ms,
    void (*fn)(const char *line, void *arg), void *arg);
/* What was wrong with its end: false when nothing was. */
bool child_failed(const struct child *child, const char *who, char *out, size_t size);

#endif /* ABUSE_COMPARE_H */
