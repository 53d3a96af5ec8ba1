/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_figures.c - from runs to figures. The best of rounds says what a contender
 * can do on a machine where others disturb; the median, what it did.
 */
#include "compare.h"

#include <stdlib.h>

/* Messages may be many and small, so CPU is told in microseconds of one. */
static bool cpu_of_line(const char *line, enum cpu_of unit, double *ret_cpu)
{
	double client, server, per;

	if (unit == NO_CPU || !line_number(line, "client_cpu_s", &client)
	    || !line_number(line, "server_cpu_s", &server)
	    || !line_number(line, unit == CPU_PER_GB ? "bytes" : "messages", &per)
	    || per <= 0)
		return false;
	*ret_cpu = (client + server) / per * (unit == CPU_PER_GB ? 1e9 : 1e6);
	return true;
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts them. */
static double median(double *values, int n, double none)
{
	if (n == 0)
		return none;
	qsort(values, (size_t)n, sizeof *values, by_size);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static bool value_of(const struct run *run, const struct column *column,
    double *ret_value)
{
	if (!column->key || !line_number(run->line, column->key, ret_value))
		return false;
	*ret_value *= column->scale;
	return true;
}

static bool counts(const struct run *run, int mode, int contender)
{
	return run->mode == mode && run->contender == contender;
}

static double median_of(const struct bench *bench, int mode, int contender,
    const struct column *column)
{
	double values[ROUNDS_MAX];
	int n = 0;

	for (int i = 0; i < bench->runs_n; i++)
		if (counts(&bench->runs[i], mode, contender) && bench->runs[i].ok
		    && value_of(&bench->runs[i], column, &values[n]))
			n++;
	return median(values, n, -1);
}

void figures_of(const struct bench *bench, int mode, int contender,
    struct figures *ret_figures)
{
	const struct mode *m = &modes[mode];
	double main[ROUNDS_MAX], cpu[ROUNDS_MAX];
	int main_n = 0, cpu_n = 0;
	const struct run *run;
	struct figures f = { 0 };

	for (int i = 0; i < bench->runs_n; i++) {
		run = &bench->runs[i];
		if (!counts(run, mode, contender))
			continue;
		f.runs++;
		f.failed += !run->ok;
		if (run->ok && value_of(run, &m->figure, &main[main_n]))
			main_n++;
		if (run->ok && cpu_of_line(run->line, m->cpu, &cpu[cpu_n]))
			cpu_n++;
	}
	f.median = median(main, main_n, 0);
	if (main_n)
		f.best = main[m->less_is_better ? 0 : main_n - 1];
	f.cpu = median(cpu, cpu_n, 0);
	for (int i = 0; i < MORE_COLUMNS; i++)
		f.more[i] = median_of(bench, mode, contender, &m->more[i]);
	*ret_figures = f;
}

double ratio_of(const struct mode *mode, double value, double raw)
{
	if (value <= 0 || raw <= 0)
		return 0;
	return mode->less_is_better ? raw / value : value / raw;
}

double best_ratio(const struct bench *bench, int mode, int contender)
{
	struct figures f, raw;

	figures_of(bench, mode, contender, &f);
	figures_of(bench, mode, RAW, &raw);
	return ratio_of(&modes[mode], f.best, raw.best);
}

double cpu_ratio(const struct bench *bench, int mode, int contender)
{
	struct figures f, raw;

	figures_of(bench, mode, contender, &f);
	figures_of(bench, mode, RAW, &raw);
	return raw.cpu > 0 ? f.cpu / raw.cpu : 0;
}
