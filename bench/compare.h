/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare.h - the parts of compare: who is compared in what, the runs that were
 * made, the figures drawn from them, and the ways these are told.
 */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdbool.h>
#include <stdio.h>

#define LINE_SIZE 1024
#define MORE_COLUMNS 3
#define ROUNDS_MAX 1000

/* ---- who and in what: compare_lists.c -------------------------------- */

struct contender {
	const char *key;	/* on the command line and in results.tsv */
	const char *label, *brief;
	const char *server;	/* name of its executable */
	const char *options[3];	/* of the server */
	const char *framing;
	bool ours;
	bool spins;		/* takes part in the modes that are for it, only */
};

/* The first is what the others are measured by. */
#define RAW 0
extern const struct contender contenders[];
extern const int contenders_n;

enum placing {
	ANYWHERE,
	ONE_CORE,		/* server and load together */
	TWO_CORES,		/* one each */
};

/* A figure of the load generator's line. */
struct column {
	const char *label, *key;
	double scale;
};

enum cpu_of { NO_CPU, CPU_PER_MESSAGE, CPU_PER_GB };

struct mode {
	const char *key, *label;
	const char *load, *serving;	/* --mode of the load; echo or sink */
	long size, connections, outstanding;	/* 0: the load's default */
	enum placing placing;
	bool two_cores_if_pinned;	/* by --pin */
	bool spin;			/* what the option is meant for */
	bool less_is_better;
	enum cpu_of cpu;
	struct column figure, more[MORE_COLUMNS];
};

extern const struct mode modes[];
extern const int modes_n;
#define MODES_MAX 32
#define CONTENDERS_MAX 16

bool takes_part(const struct contender *contender, const struct mode *mode);

/* ---- the runs: compare.c, compare_run.c ------------------------------ */

struct run {
	int round, mode, contender;
	bool ok;
	char line[LINE_SIZE];		/* of the load: key=value, blanks between */
};

struct bench {
	int rounds;
	double seconds, warmup;
	long idle_connections;
	bool quick, check, pin;
	char bin[4096];			/* where the executables are */
	const char *out;
	int cpus[2], cpus_n;		/* of those we may use */
	char congestion[32];		/* control of TCP; empty: not known */
	bool has_mode[MODES_MAX], has_contender[CONTENDERS_MAX];
	struct run *runs;
	int runs_n;
};

/* A fresh server and the load against it. Says on stderr what went wrong. */
void run_once(const struct bench *bench, struct run *run);

/* Of key=value. Returns false if the line has no such key. */
bool line_number(const char *line, const char *key, double *ret_value);

/* ---- the network: compare_net.c --------------------------------------- */

/* See to it that TCP does not pace itself, where we may, and note how it goes. */
void choose_congestion(struct bench *bench);

/* ---- the figures: compare_figures.c ---------------------------------- */

struct figures {
	int runs, failed;		/* failed are not in what follows */
	double median, best;
	double cpu;			/* median; 0: not measured */
	double more[MORE_COLUMNS];	/* medians; below 0: not measured */
};

void figures_of(const struct bench *bench, int mode, int contender,
    struct figures *ret_figures);

/* How many times as good as raw: 0 when one of the two has no figures. */
double ratio_of(const struct mode *mode, double value, double raw);

/* By best of rounds; and CPU, of which less is better, by medians. */
double best_ratio(const struct bench *bench, int mode, int contender);
double cpu_ratio(const struct bench *bench, int mode, int contender);

/* ---- telling: compare_table.c, compare_tsv.c, compare_svg.c ---------- */

void print_tables(const struct bench *bench);
void write_tsv(const struct bench *bench, FILE *file);
void write_svg(const struct bench *bench, FILE *file);

struct phrase {
	char s[256];
};
struct number {
	char s[24];
};

/* "5 rounds of 1 s; Linux 6.1, 2 CPUs, TCP reno, gcc 12" */
struct phrase conditions(const struct bench *bench);
/* Three digits, or four: "93.2 k", "2931". */
struct number short_number(double value);

/* ---- what must hold anywhere: compare_check.c ------------------------ */

/* Prints a line for each promise. Returns whether all held. */
bool check_all(const struct bench *bench);

#endif
