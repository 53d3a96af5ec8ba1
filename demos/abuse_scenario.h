/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_scenario.h - one way of abusing a server: what each side does, what is
 * measured, and what has to hold. abuse_scenario.c tries it under each discipline.
 *
 * A trial has a server and a client, processes of their own. What they tell they
 * write into struct trial, which compare shares with both; the client says when a
 * phase begins.
 */
#ifndef ABUSE_SCENARIO_H
#define ABUSE_SCENARIO_H

#include <stdatomic.h>

#include "abuse_compare.h"

#define PEERS_MAX 4096
#define COLUMNS_MAX 12
#define TRIALS_MAX 256
#define CONN_BYTES (32 * 1024.0)	/* resident, for each connection */
#define SLACK_BYTES (8 * MIB)		/* code, stacks and heap first used under load */

enum phase {
	PREPARING,
	ALONE,			/* only the polite ones */
	SETTLING,		/* the abuse has begun */
	MEASURED,
	OVER,
};
#define PHASES (OVER + 1)

/* How durations, or anything else, are spread: within 2 % however many there are. */
#define SPREAD_STEPS 32
struct spread {
	uint64_t n, most;
	uint64_t counts[64 * SPREAD_STEPS];
};

void spread_add(struct spread *spread, uint64_t value);
double spread_at(const struct spread *spread, double part);	/* 0.5: the median */

/* A connection of the server's. */
struct peer {
	double handled;			/* bytes, MEASURED */
	uint64_t opened_ns;
	uint64_t largest;		/* bytes of a message */
};

struct trial {
	/* set before there are processes */
	const struct asked *asked;
	const char *qdisc;
	int variant;

	/* compare only */
	struct samples memory;		/* the server's, resident */
	double kernel;			/* bytes the system's sockets grew by, at most */
	char error[96];			/* "": all went well */

	/* the client's, or of who gives up */
	atomic_int phase;
	_Atomic uint64_t since_ns[PHASES];
	struct spread round_trips[2];	/* of those sent ALONE, MEASURED */
	atomic_uint cut;		/* connections that should have stayed */

	/* the server's */
	atomic_uint port;		/* set when all above it is */
	double base, budget;		/* bytes; 0 is none */
	double held_most;		/* bytes charged, at most */
	double handled;			/* bytes, MEASURED */
	bool met_limit;
	uint64_t futile_wakeups, stalls;
	struct spread ended, still;	/* how long stalled ones lasted, or have by now */
	double pending_most;		/* bytes queued for the one that does not read */
	uint64_t skipped;		/* messages that were not sent to it */
	unsigned peers_n;
	struct peer peers[PEERS_MAX];
};

struct run_name {
	char s[96];
};

struct results {
	const struct asked *asked;
	struct trial *trials[TRIALS_MAX];	/* a round after the other */
	int n, per_round;
};

struct column {
	const char *top, *bottom;	/* two lines at the head of a table */
	const char *key;		/* in JSON and TSV */
	double unit;			/* of the table */
	int digits;
};

struct scenario {
	const char *name;
	uint64_t duration_ms, handle_rate, size, conns;	/* unless others are asked for */
	uint64_t size_min, conns_max;
	int rounds;
	bool of_fair;			/* what judge() looks for is what fair promises */
	const char *const *qdiscs;	/* likewise; ends with NULL */
	const char *const *variants;	/* each is tried in all of them; NULL: in one way */
	const struct column *columns;	/* ends without a top */

	/* The parameters in words, for table and picture. */
	void (*describe)(const struct asked *asked, char *out, size_t size);
	/* The two sides; they return an exit status. The server's tells port last. */
	int (*serve)(struct trial *t);
	int (*drive)(struct trial *t);
	/* Fill in a value for each column; NAN is none. trials[0..n-1]: one per round. */
	void (*measure)(struct trial *const *trials, int n, double *ret_values);
	/* Say of each promise whether it held; returns how many did not. */
	int (*judge)(const struct results *r);
	void (*draw)(const void *results, FILE *file);
};

extern const struct scenario scenario_hog, scenario_mix, scenario_announce,
	scenario_slow_reader, scenario_speed;

/* Let the server of a trial be watched. Returns an exit status. */
int trial_monitor(const struct trial *t, struct bp_monitor **ret_monitor,
    struct bp_endpoint *ep);

/* ---- phases: abuse_phase.c ------------------------------------------- */

/* Begin a phase and see it to its end; false when the trial ends early. */
bool phase_run(struct trial *t, enum phase phase, uint64_t ms);
enum phase phase_now(const struct trial *t);
void phase_begin(struct trial *t, enum phase phase);
/* How long it took, for those that another has followed. */
double phase_ns(const struct trial *t, enum phase phase);

/* ---- results: abuse_results.c ---------------------------------------- */

struct trial *results_trial(const struct results *r, int round, int qdisc, int variant);
/* The trials of a row, one per round; returns how many there were. */
int results_row(const struct results *r, int row, struct trial **ret_trials);
int results_rows(const struct results *r);
struct run_name results_name(const struct results *r, int row);
void results_values(const struct results *r, int row, double *ret_values);
bool is_fair(const char *qdisc);

void results_table(const struct results *r);
void results_json(const struct results *r);
void results_tsv(const void *results, FILE *file);

/* Count a promise that did not hold, and say what was seen of it. */
int results_verdict(const struct results *r, bool held, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Resident memory against base + budget + 32 KiB a connection, accounted against budget. */
int results_bound(const struct results *r, const struct trial *t, double conns);

#endif /* ABUSE_SCENARIO_H */
