/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_compare.c - the command compare: which scenario, with what; and the words
 * that all scenarios have in common when something is said about them.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_compare.h"
#include "abuse_scenario.h"
#include "args.h"
#include "monitor.h"

#include <bpthread.h>
#include <string.h>
#include <unistd.h>

static const struct args_program program = {
	"abuse compare",
	"usage: abuse compare [OPTION]... [QDISC...]\n"
	"Abuse a server in the same way once for each discipline. Print a table; write a\n"
	"picture and its data: compare.svg and compare.tsv, or SCENARIO.svg and .tsv.\n"
	"\n"
	"  --scenario NAME  flood        a client offers three times what the server\n"
	"                                handles: memory over time [the default]\n"
	"                   hog          28 peers flood, 4 ping: the pings' round trips\n"
	"                   mix          32 peers send 4K to 1M each: who gets how much\n"
	"                   announce     1000 peers announce 16M and stall, 4 ping\n"
	"                   slow-reader  10 peers are streamed to, one never reads\n"
	"                   speed        large and small messages, as fast as it goes\n"
	"  --duration T     of each run, as 10s or 500ms\n"
	"  --handle-rate N  bytes a second that the server handles (slow-reader: sends)\n"
	"  --size N         bytes in a payload, the largest if there are several\n"
	"  --conns N        connections of the abusers\n"
	"  --mem-limit N    resident memory at which a server gives up [a quarter of the\n"
	"                   machine's or the cgroup's, at most 2G]\n"
	"  --out DIR        where to write [.]\n"
	"  --check          exit with 1 unless what the library promises held; all but\n"
	"                   flood have three tries\n"
	"  --monitor ADDR   where to watch the runs live: [HOST:]PORT, PORT+ for one of the\n"
	"                   next if it is taken, or off [127.0.0.1:8000+]\n"
	"  --json           write JSON, an object a line, instead of the table\n"
	"  --help\n"
	"\n"
	"Each scenario has its own defaults, and tells with what it ran. Rates take K, M\n"
	"and G as powers of 1000, sizes as powers of 1024. Ctrl-C stops with the table so\n"
	"far, a second one at once.\n"
};

static const struct scenario *const scenarios[] = {
	&scenario_hog, &scenario_mix, &scenario_announce, &scenario_slow_reader,
	&scenario_speed,
};

/* ---- telling --------------------------------------------------------- */

int compare_failed(const char *doing, const char *what, int err)
{
	return args_failed(&program, doing, what, err);
}

int compare_monitor(struct bp_monitor **ret_monitor, const struct asked *asked,
    struct bp_endpoint *ep, const char *run)
{
	return monitor_serve(ret_monitor, &program, ep, asked->monitor_at, run);
}

void compare_verdict(const struct asked *asked, bool passed, const char *line)
{
	if (asked->json)
		printf("{\"event\":\"check\",\"passed\":%s,\"text\":\"%s\"}\n",
		    passed ? "true" : "false", line);
	else
		printf("%-6s  %s\n", passed ? "ok" : "FAILED", line);
}

int compare_write(const struct asked *asked, const char *name,
    void (*write_to)(const void *arg, FILE *file), const void *arg)
{
	char path[4096];
	FILE *file;
	int bad;

	snprintf(path, sizeof path, "%s/%s", asked->out, name);
	file = fopen(path, "w");
	if (!file)
		return compare_failed("write", path, -errno);
	write_to(arg, file);
	bad = ferror(file);
	if (fclose(file) != 0 || bad)
		return compare_failed("write", path, -EIO);
	if (!asked->json)
		printf("wrote %s\n", path);
	return 0;
}

/* ---- what was asked for ---------------------------------------------- */

static const struct scenario *find(const char *name)
{
	if (strcmp(name, "flood") == 0)
		return NULL;
	for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
		if (strcmp(name, scenarios[i]->name) == 0)
			return scenarios[i];
	args_refuse(&program, "--scenario: there is no %s", name);
}

static uint64_t or_usual(uint64_t value, uint64_t usual)
{
	return value ? value : usual;
}

static void take_qdiscs(struct asked *asked, const char *const *names, int n)
{
	struct bp_endpoint_config config;

	for (asked->qdiscs_n = 0; asked->qdiscs_n < n; asked->qdiscs_n++) {
		config = (struct bp_endpoint_config){ 0 };
		args_qdisc(&program, &config, names[asked->qdiscs_n]);
		asked->qdiscs[asked->qdiscs_n] = names[asked->qdiscs_n];
	}
}

static void fill_in(struct asked *asked)
{
	static const char *const floods[] = { "unbounded", "one_place", "bytes", NULL };
	static const struct scenario flood = {
		.duration_ms = 10000, .handle_rate = HANDLE_RATE_DEFAULT,
		.name = "flood", .size = PAYLOAD_DEFAULT, .conns = 1, .conns_max = 10000,
		.qdiscs = floods,
	};
	const struct scenario *usual = asked->scenario ? asked->scenario : &flood;
	int n = 0;

	asked->duration_ms = or_usual(asked->duration_ms, usual->duration_ms);
	asked->handle_rate = or_usual(asked->handle_rate, usual->handle_rate);
	asked->size = or_usual(asked->size, usual->size);
	asked->conns = or_usual(asked->conns, usual->conns);
	if (asked->conns > usual->conns_max)
		args_refuse(&program, "--conns: %s has at most %llu", usual->name,
		    (unsigned long long)usual->conns_max);
	if (asked->size < usual->size_min)
		args_refuse(&program, "--size: %s has at least %llu", usual->name,
		    (unsigned long long)usual->size_min);
	if (asked->qdiscs_n)
		return;
	while (usual->qdiscs[n])
		n++;
	take_qdiscs(asked, usual->qdiscs, n);
}

static bool has_fair(const struct asked *asked)
{
	for (int i = 0; i < asked->qdiscs_n; i++)
		if (is_fair(asked->qdiscs[i]))
			return true;
	return false;
}

int abuse_compare(int argc, char **argv)
{
	struct asked asked = { .mem_limit = memory_limit_default(), .out = "." };
	const char *words[RUNS_MAX], *name = "flood", *monitor = MONITOR_USUAL;
	const struct args_option options[] = {
		{ "scenario", .text = &name },
		{ "duration", .number = &asked.duration_ms, .unit = ARGS_MS, .min = 100,
		    .max = 3600000 },
		{ "handle-rate", .number = &asked.handle_rate, .unit = ARGS_RATE,
		    .min = 1, .max = RATE_MAX / 3 },
		{ "size", .number = &asked.size, .unit = ARGS_BYTES, .min = 1,
		    .max = (uint64_t)2 << 30 },
		{ "conns", .number = &asked.conns, .min = 1, .max = 10000 },
		{ "mem-limit", .number = &asked.mem_limit, .unit = ARGS_BYTES,
		    .min = 1 << 20, .max = (uint64_t)1 << 46 },
		{ "out", .text = &asked.out }, { "check", .flag = &asked.check },
		{ "monitor", .text = &monitor }, { "json", .flag = &asked.json }, { 0 },
	};
	int n = args_parse(&program, argc, argv, options, words, 0, RUNS_MAX), rc;

	asked.scenario = find(name);
	take_qdiscs(&asked, words, n);
	fill_in(&asked);
	if (asked.check && asked.scenario && asked.scenario->of_fair
	    && !has_fair(&asked))
		args_refuse(&program, "--check is about fair, which is not among them");
	if (access(asked.out, W_OK | X_OK) != 0)
		args_refuse(&program, "--out: cannot write in %s: %s", asked.out,
		    strerror(errno));
	monitor_check(&program, monitor);
	args_raise_files(&program);
	if ((rc = monitor_choose(&program, monitor, asked.json, asked.monitor_at,
	    sizeof asked.monitor_at)) != 0)
		return rc;
	signals_block();
	rc = asked.scenario ? scenario_run(&asked) : flood_run(&asked);
	return args_written(&program, rc);
}
