/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_table.c - what people read: a table for each mode, and all ratios at a
 * glance in two at the end.
 */
#include "compare.h"

#include <string.h>
#include <sys/utsname.h>

#define NAME 18
#define CELL 10

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static const char *const cpu_labels[] = {
	[CPU_PER_MESSAGE] = "CPU us", [CPU_PER_GB] = "CPU s/GB",
};

struct number short_number(double value)
{
	static const char *const units[] = { "", " k", " M", " G" };
	struct number text;
	int unit = 0, digits;

	if (value >= 9999.5)
		for (; unit < 3 && value >= 999.5; unit++)
			value /= 1000;
	digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : value >= 0.9995 ? 2 : 3;
	snprintf(text.s, sizeof text.s, "%.*f%s", digits, value, units[unit]);
	return text;
}

struct phrase conditions(const struct bench *bench)
{
	struct phrase text;
	struct utsname name;

	uname(&name);
	snprintf(text.s, sizeof text.s,
	    "%d round%s of %g s%s; %s %s, %d CPU%s, %s%s%s" COMPILER,
	    bench->rounds, bench->rounds == 1 ? "" : "s", bench->seconds,
	    bench->pin ? ", pinned" : "", name.sysname, name.release, bench->cpus_n,
	    bench->cpus_n == 1 ? "" : "s", *bench->congestion ? "TCP " : "",
	    bench->congestion, *bench->congestion ? ", " : "");
	return text;
}

static void cell(const char *text, size_t width)
{
	printf("  %*s", (int)width, text);
}

static void number_cell(double value, size_t width)
{
	cell(value < 0 ? "" : short_number(value).s, width);
}

static void ratio_cell(double ratio, size_t width)
{
	char text[32];

	snprintf(text, sizeof text, "%.*f", ratio < 0.0995 ? 3 : 2, ratio);
	cell(ratio > 0 ? text : "", width);
}

static size_t width_of(const struct column *column)
{
	size_t label = strlen(column->label);

	return label > CELL ? label : CELL;
}

/* ---- a table for each mode ------------------------------------------- */

static void print_head(const struct mode *mode)
{
	printf("\n%s: %s%s\n%-*s", mode->label, mode->figure.label,
	    mode->less_is_better ? ", less is better" : "", NAME, "");
	cell("median", CELL);
	cell("best", CELL);
	cell("best/raw", CELL);
	cell("med/raw", CELL);
	if (mode->cpu) {
		cell(cpu_labels[mode->cpu], CELL);
		cell("CPU/raw", CELL);
	}
	for (int i = 0; i < MORE_COLUMNS; i++)
		if (mode->more[i].key)
			cell(mode->more[i].label, width_of(&mode->more[i]));
	putchar('\n');
}

static void print_row(const struct bench *bench, int mode, int contender,
    const struct figures *raw)
{
	const struct mode *m = &modes[mode];
	struct figures f;

	figures_of(bench, mode, contender, &f);
	printf("%-*s", NAME, contenders[contender].label);
	if (f.failed == f.runs) {
		cell("failed", CELL);
		putchar('\n');
		return;
	}
	number_cell(f.median, CELL);
	number_cell(f.best, CELL);
	ratio_cell(ratio_of(m, f.best, raw->best), CELL);
	ratio_cell(ratio_of(m, f.median, raw->median), CELL);
	if (m->cpu) {
		number_cell(f.cpu > 0 ? f.cpu : -1, CELL);
		ratio_cell(raw->cpu > 0 ? f.cpu / raw->cpu : 0, CELL);
	}
	for (int i = 0; i < MORE_COLUMNS; i++)
		if (m->more[i].key)
			number_cell(f.more[i], width_of(&m->more[i]));
	if (f.failed)
		printf("  %d of %d failed", f.failed, f.runs);
	putchar('\n');
}

static bool was_run(const struct bench *bench, int mode, int contender)
{
	return bench->has_mode[mode] && bench->has_contender[contender]
	    && takes_part(&contenders[contender], &modes[mode]);
}

static void print_mode(const struct bench *bench, int mode)
{
	struct figures raw;

	figures_of(bench, mode, RAW, &raw);
	print_head(&modes[mode]);
	for (int c = 0; c < contenders_n; c++)
		if (was_run(bench, mode, c))
			print_row(bench, mode, c, &raw);
}

/* ---- all at a glance ------------------------------------------------- */

static void print_matrix_row(const struct bench *bench, int mode,
    double (*ratio)(const struct bench *bench, int mode, int contender))
{
	struct figures f;

	printf("%-32s", modes[mode].label);
	for (int c = RAW + 1; c < contenders_n; c++) {
		if (!bench->has_contender[c])
			continue;
		figures_of(bench, mode, c, &f);
		if (f.runs && f.failed == f.runs)
			cell("failed", 8);
		else
			ratio_cell(ratio(bench, mode, c), 8);
	}
	putchar('\n');
}

static void print_matrix(const struct bench *bench, const char *title, bool cpu,
    double (*ratio)(const struct bench *bench, int mode, int contender))
{
	bool any = false;

	for (int m = 0; m < modes_n; m++)
		any |= bench->has_mode[m] && (!cpu || modes[m].cpu);
	if (!any)
		return;
	printf("\n%s\n%-32s", title, "");
	for (int c = RAW + 1; c < contenders_n; c++)
		if (bench->has_contender[c])
			cell(contenders[c].brief, 8);
	putchar('\n');
	for (int m = 0; m < modes_n; m++)
		if (bench->has_mode[m] && (!cpu || modes[m].cpu))
			print_matrix_row(bench, m, ratio);
}

void print_tables(const struct bench *bench)
{
	printf("%s\n", conditions(bench).s);
	printf("raw is a blocking thread for each connection. best/raw and med/raw\n"
	    "say how many times as good as raw (of memory and p99: how many times\n"
	    "less), CPU/raw how many times its CPU time, of server and client\n"
	    "together.\n");
	for (int m = 0; m < modes_n; m++)
		if (bench->has_mode[m])
			print_mode(bench, m);
	print_matrix(bench, "How many times as good as raw, best of rounds", false,
	    best_ratio);
	print_matrix(bench, "How many times raw's CPU time, medians: less is better",
	    true, cpu_ratio);
}
