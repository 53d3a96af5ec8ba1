/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_results.c - what a scenario found: a row for each discipline and variant,
 * as a table for people, as JSON for programs, as TSV for those who draw.
 */
#include "abuse_scenario.h"

#include <bpthread.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

/* ---- rows ------------------------------------------------------------ */

static int variants_n(const struct results *r)
{
	const char *const *variants = r->asked->scenario->variants;
	int n = 0;

	while (variants && variants[n])
		n++;
	return n ? n : 1;
}

int results_rows(const struct results *r)
{
	return r->asked->qdiscs_n * variants_n(r);
}

struct trial *results_trial(const struct results *r, int round, int qdisc, int variant)
{
	int i = round * r->per_round + qdisc * variants_n(r) + variant;

	return i < r->n ? r->trials[i] : NULL;
}

int results_row(const struct results *r, int row, struct trial **ret_trials)
{
	int n = 0;

	for (int i = row; i < r->n; i += r->per_round)
		ret_trials[n++] = r->trials[i];
	return n;
}

struct run_name results_name(const struct results *r, int row)
{
	const char *const *variants = r->asked->scenario->variants;
	const char *qdisc = r->asked->qdiscs[row / variants_n(r)];
	struct run_name name;

	if (variants && r->asked->qdiscs_n == 1)
		snprintf(name.s, sizeof name.s, "%s", variants[row]);
	else
		snprintf(name.s, sizeof name.s, "%s%s%s", qdisc, variants ? ", " : "",
		    variants ? variants[row % variants_n(r)] : "");
	return name;
}

void results_values(const struct results *r, int row, double *ret_values)
{
	struct trial *trials[TRIALS_MAX];
	int n = results_row(r, row, trials);

	for (int i = 0; i < COLUMNS_MAX; i++)
		ret_values[i] = NAN;
	if (n)
		r->asked->scenario->measure(trials, n, ret_values);
}

bool is_fair(const char *qdisc)
{
	struct bp_endpoint_config config = { 0 };

	return bp_qdisc_parse(&config, qdisc) == 0 && config.qdisc == &bp_qdisc_fair;
}

/* ---- telling --------------------------------------------------------- */

static int name_width(const struct results *r)
{
	size_t width = strlen("discipline"), len;

	for (int i = 0; i < results_rows(r); i++) {
		len = strlen(results_name(r, i).s);
		width = len > width ? len : width;
	}
	return (int)width;
}

static void print_head(const struct column *columns, int width, bool top)
{
	printf("%*s", -width, top ? "" : "discipline");
	for (const struct column *c = columns; c->top; c++)
		printf("%12s", top ? c->top : c->bottom);
	printf("\n");
}

static void print_row(const struct column *columns, const double *values)
{
	for (int i = 0; columns[i].top; i++)
		if (isnan(values[i]))
			printf("%12s", "-");
		else
			printf("%12.*f", columns[i].digits,
			    values[i] / columns[i].unit);
	printf("\n");
}

void results_table(const struct results *r)
{
	const struct scenario *s = r->asked->scenario;
	double values[COLUMNS_MAX];
	struct trial *t;
	char about[256];
	int width = name_width(r);

	s->describe(r->asked, about, sizeof about);
	printf("%s\n\n", about);
	print_head(s->columns, width, true);
	print_head(s->columns, width, false);
	for (int i = 0; i < results_rows(r) && i < r->n; i++) {
		results_values(r, i, values);
		printf("%*s", -width, results_name(r, i).s);
		print_row(s->columns, values);
	}
	printf("\n");
	for (int i = 0; i < r->n; i++) {
		t = r->trials[i];
		if (t->met_limit)
			printf("%s met the memory limit of %s.\n",
			    results_name(r, i % r->per_round).s,
			    text_memory((double)r->asked->mem_limit).s);
		if (t->error[0])
			printf("%s: %s.\n", results_name(r, i % r->per_round).s,
			    t->error);
	}
}

void results_json(const struct results *r)
{
	const struct column *c = r->asked->scenario->columns;
	double values[COLUMNS_MAX];

	for (int i = 0; i < results_rows(r) && i < r->n; i++) {
		results_values(r, i, values);
		printf("{\"event\":\"run\",\"scenario\":\"%s\",\"run\":\"%s\"",
		    r->asked->scenario->name, results_name(r, i).s);
		for (int k = 0; c[k].top; k++)
			if (!isnan(values[k]))
				printf(",\"%s\":%.6g", c[k].key, values[k]);
		printf(",\"met_limit\":%s,\"error\":\"%s\"}\n",
		    r->trials[i]->met_limit ? "true" : "false", r->trials[i]->error);
	}
}

void results_tsv(const void *results, FILE *file)
{
	const struct results *r = results;
	const struct column *c = r->asked->scenario->columns;
	double values[COLUMNS_MAX];
	char about[256];

	r->asked->scenario->describe(r->asked, about, sizeof about);
	fprintf(file, "# %s\nrun", about);
	for (int k = 0; c[k].top; k++)
		fprintf(file, "\t%s", c[k].key);
	fprintf(file, "\n");
	for (int i = 0; i < results_rows(r) && i < r->n; i++) {
		results_values(r, i, values);
		fprintf(file, "%s", results_name(r, i).s);
		for (int k = 0; c[k].top; k++)
			fprintf(file, "\t%.6g", values[k]);
		fprintf(file, "\n");
	}
}

/* ---- verdicts -------------------------------------------------------- */

int results_verdict(const struct results *r, bool held, const char *format, ...)
{
	char line[320];
	va_list values;

	va_start(values, format);
	vsnprintf(line, sizeof line, format, values);
	va_end(values);
	compare_verdict(r->asked, held, line);
	return !held;
}

int results_bound(const struct results *r, const struct trial *t, double conns)
{
	double bound = t->base + t->budget + conns * CONN_BYTES + SLACK_BYTES;
	int failed = 0;

	failed += results_verdict(r, t->held_most <= t->budget,
	    "%s: charged %s at most, budget %s", t->qdisc, text_memory(t->held_most).s,
	    text_memory(t->budget).s);
	failed += results_verdict(r, t->memory.peak <= bound,
	    "%s: resident %s at most, bound %s = base %s + budget + 32 KiB x %.0f "
	    "+ 8 MiB",
	    t->qdisc, text_memory(t->memory.peak).s, text_memory(bound).s,
	    text_memory(t->base).s, conns);
	return failed;
}
