/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_check.c - what must hold on any machine in any mood, of raw and of ours;
 * no word on speed. The load generator compares every tally and every answer, and
 * fails where one is wrong: so a run that ended well was right.
 */
#include "compare.h"

#include <string.h>

#define BUDGET_MIB 128			/* what the library may hold, by default */

static bool judge(bool held, const char *who, const char *what)
{
	printf("%-6s  %s: %s\n", held ? "ok" : "FAILED", who, what);
	return held;
}

static bool check_ended(const struct bench *bench, int contender)
{
	int runs = 0, well = 0;
	char what[96];

	for (int i = 0; i < bench->runs_n; i++)
		if (bench->runs[i].contender == contender) {
			runs++;
			well += bench->runs[i].ok;
		}
	snprintf(what, sizeof what,
	    "%d of %d runs ended well, answers and tallies right", well, runs);
	return judge(runs > 0 && well == runs, contenders[contender].label, what);
}

static double most_memory(const struct bench *bench, int mode, int contender,
    bool *ret_verified)
{
	double most = 0, kib, verified;
	const struct run *run;

	*ret_verified = true;
	for (int i = 0; i < bench->runs_n; i++) {
		run = &bench->runs[i];
		if (run->mode != mode || run->contender != contender)
			continue;
		if (!line_number(run->line, "verified", &verified) || verified < 1
		    || !line_number(run->line, "server_peak_kib", &kib) || kib <= 0) {
			*ret_verified = false;
			continue;
		}
		most = kib > most ? kib : most;
	}
	return most / 1024;
}

static bool check_slow(const struct bench *bench, int mode, int contender)
{
	bool verified, raw_verified, ok;
	double peak = most_memory(bench, mode, contender, &verified);
	double limit = 3 * most_memory(bench, mode, RAW, &raw_verified) + BUDGET_MIB;
	char what[96];

	ok = judge(verified, contenders[contender].label,
	    "every byte compared, with slow readers");
	snprintf(what, sizeof what,
	    "peak memory with slow readers %.1f MiB, limit %.1f", peak, limit);
	return judge(peak > 0 && peak <= limit, contenders[contender].label, what)
	    && ok;
}

bool check_all(const struct bench *bench)
{
	bool ok = true;

	for (int c = 0; c < contenders_n; c++) {
		if (!bench->has_contender[c] || (c != RAW && !contenders[c].ours))
			continue;
		ok = check_ended(bench, c) && ok;
		for (int m = 0; m < modes_n; m++)
			if (bench->has_mode[m] && strcmp(modes[m].load, "slow") == 0
			    && takes_part(&contenders[c], &modes[m]))
				ok = check_slow(bench, m, c) && ok;
	}
	return ok;
}
