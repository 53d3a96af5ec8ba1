/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_compare.c - the same abuse under each discipline, one after the other:
 * start a server, start a client that offers three times what the server handles,
 * look at the server's memory every 20 ms, end both, hear what they have to say.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_compare.h"
#include "args.h"

#include <bpthread.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 10000			/* for a server to listen */
#define OVERTIME_MS 15000		/* for a client to end, after its duration */

static const struct args_program program = {
	"abuse compare",
	"usage: abuse compare [OPTION]... [QDISC...]\n"
	"Run server and client once for each discipline (unbounded one_place bytes), the\n"
	"client offering three times what the server handles. Print a table; write the\n"
	"picture compare.svg, memory over time, and its data compare.tsv.\n"
	"\n"
	"  --duration T     of each run, as 10s or 500ms [10s]\n"
	"  --handle-rate N  bytes a second that the server handles [200M]\n"
	"  --size N         bytes in a payload [16M]\n"
	"  --conns N        connections [1]\n"
	"  --mem-limit N    resident memory at which a server gives up [a quarter of the\n"
	"                   machine's or the cgroup's, at most 2G]\n"
	"  --out DIR        where to write [.]\n"
	"  --check          exit with 1 unless every discipline kept to its bound, all\n"
	"                   handled alike, nothing was lost, and unbounded was not\n"
	"  --json           write JSON, an object a line, instead of the table\n"
	"  --help\n"
	"\n"
	"Rates take K, M, G as powers of 1000, sizes as powers of 1024. Ctrl-C stops with\n"
	"the table so far, a second one at once.\n"
};

/* ---- what the children say -------------------------------------------------------- */

static void server_says(const char *line, void *arg)
{
	struct text event = json_word(line, "event"), addr = json_word(line, "addr");
	const char *colon = strrchr(addr.s, ':');
	struct run *run = arg;

	if (strcmp(event.s, "listening") == 0 && colon) {
		snprintf(run->port, sizeof run->port, "%.7s", colon + 1);
		run->base = json_number(line, "base_bytes");
		run->budget = json_number(line, "budget_bytes");
	} else if (strcmp(event.s, "closed") == 0) {
		run->closed = json_word(line, "reason");
	} else if (strcmp(event.s, "mem_limit") == 0) {
		run->met_limit = true;
	} else if (strcmp(event.s, "summary") == 0) {
		run->received = json_number(line, "received_bytes");
		run->handled = json_number(line, "handled_bytes");
		run->queued = json_number(line, "queued_bytes");
		run->in_hand = json_number(line, "in_hand_bytes");
		run->receiving_ns = json_number(line, "receiving_ns");
		run->handling_ns = json_number(line, "handling_ns");
		run->wait_p50_ns = json_number(line, "wait_p50_ns");
		run->wait_p99_ns = json_number(line, "wait_p99_ns");
		if (json_number(line, "peak_bytes") > run->peak)
			run->peak = json_number(line, "peak_bytes");
		run->done = true;
	}
}

static void client_says(const char *line, void *arg)
{
	struct run *run = arg;

	if (strcmp(json_word(line, "event").s, "summary") == 0) {
		run->throttled_share = json_number(line, "throttled_share");
		run->rwnd_limited_share = json_number(line, "rwnd_limited_share");
	}
}

/* ---- one run ------------------------------------------------------------------------ */

static void take_sample(struct run *run, double seconds, pid_t pid)
{
	size_t resident = memory_resident(pid), max;
	struct sample *more;

	if (!resident)
		return;		/* it has just ended */
	if (run->samples_n == run->samples_max) {
		max = run->samples_max ? 2 * run->samples_max : 1024;
		more = realloc(run->samples, max * sizeof *more);
		if (!more)
			return;
		run->samples = more;
		run->samples_max = max;
	}
	run->samples[run->samples_n++] = (struct sample){ seconds, (double)resident };
	if ((double)resident > run->peak)
		run->peak = (double)resident;
}

static int start_server(const struct compare *c, struct run *run, struct child *server)
{
	uint64_t until = now_ns() + START_MS * NS_PER_MS;
	char rate[24], limit[24];
	int rc;

	snprintf(rate, sizeof rate, "%" PRIu64, c->handle_rate);
	snprintf(limit, sizeof limit, "%" PRIu64, c->mem_limit);
	rc = child_start(server, (const char *[]){ "abuse", "server", "127.0.0.1:0",
	    run->qdisc, "--handle-rate", rate, "--mem-limit", limit, "--json", NULL });
	if (rc < 0)
		return args_failed(&program, "start", "a server", rc);
	while (child_poll(server, server_says, run) && !run->port[0] && now_ns() < until)
		sleep_until(now_ns() + TICK_NS / 4);
	if (run->port[0])
		return 0;
	/* it has said why on stderr */
	child_finish(server, 0, server_says, run);
	return WIFEXITED(server->status) && WEXITSTATUS(server->status) == 2 ? 2 : 1;
}

static int start_client(const struct compare *c, const struct run *run,
    struct child *client)
{
	char duration[24], size[24], conns[24], rate[24];
	int rc;

	snprintf(duration, sizeof duration, "%" PRIu64 "ms", c->duration_ms);
	snprintf(size, sizeof size, "%" PRIu64, c->size);
	snprintf(conns, sizeof conns, "%" PRIu64, c->conns);
	snprintf(rate, sizeof rate, "%" PRIu64, 3 * c->handle_rate);
	rc = child_start(client, (const char *[]){ "abuse", "client", run->port,
	    "--duration", duration, "--size", size, "--conns", conns, "--rate", rate,
	    "--json", NULL });
	return rc < 0 ? args_failed(&program, "start", "a client", rc) : 0;
}

static void tell_progress(const struct compare *c, const struct run *run,
    double seconds, bool commit)
{
	char line[160];

	if (c->json)
		return;
	snprintf(line, sizeof line, "%s  %.*f of %.4g s  resident %s", run->qdisc,
	    commit ? 0 : 1, seconds, (double)c->duration_ms / 1e3,
	    run->samples_n ? text_memory(run->samples[run->samples_n - 1].resident).s : "-");
	line_print(line, commit);
}

/* Until one of the two has ended, or a signal came: returns it. */
static int watch(const struct compare *c, struct run *run, struct child *server,
    struct child *client)
{
	uint64_t start = now_ns(), tick = start, second = start + NS_PER_S;
	uint64_t until = start + (c->duration_ms + OVERTIME_MS) * NS_PER_MS;
	bool both = true, whole;
	double seconds;
	int sig;

	do {
		tick = now_ns() > tick + TICK_NS ? now_ns() : tick + TICK_NS;
		if ((sig = signals_wait(tick)))
			return sig;
		both = child_poll(server, server_says, run)
		    && child_poll(client, client_says, run);
		seconds = (double)(now_ns() - start) / 1e9;
		/* what is freed at the end is not part of the picture */
		if (!run->met_limit && seconds * 1e3 <= (double)c->duration_ms) {
			take_sample(run, seconds, server->pid);
			whole = now_ns() >= second;
			second += whole ? NS_PER_S : 0;
			if (whole || on_terminal())
				tell_progress(c, run, seconds, !on_terminal());
		}
	} while (both && now_ns() < until);
	return 0;
}

static void note_ends(struct run *run, const struct child *server,
    const struct child *client)
{
	int expected = run->met_limit ? EXIT_MEM_LIMIT : 0;

	if (WIFSIGNALED(server->status))
		snprintf(run->error, sizeof run->error, "the server was killed by signal %d",
		    WTERMSIG(server->status));
	else if (!run->done || WEXITSTATUS(server->status) != expected)
		snprintf(run->error, sizeof run->error, "the server exited with status %d",
		    WEXITSTATUS(server->status));
	else if (WIFSIGNALED(client->status))
		snprintf(run->error, sizeof run->error, "the client was killed by signal %d",
		    WTERMSIG(client->status));
	else if (WEXITSTATUS(client->status) != 0 && !run->met_limit)
		snprintf(run->error, sizeof run->error, "the client was cut; the server said: %s",
		    run->closed.s[0] ? run->closed.s : "nothing");
}

/* Returns 0, the exit status for a failure to begin, or minus a signal. */
static int run_one(const struct compare *c, struct run *run)
{
	struct child server, client;
	int rc, sig;
	bool cut;

	if ((rc = start_server(c, run, &server)) != 0)
		return rc;
	if ((rc = start_client(c, run, &client)) != 0) {
		child_finish(&server, 0, server_says, run);
		return rc;
	}
	sig = watch(c, run, &server, &client);
	if (sig)
		signals_unblock();
	/* a client that was cut: the server is about to end by itself */
	cut = client.exited && client.status != 0;
	child_finish(&server, cut && !sig ? 3000 : 0, server_says, run);
	child_finish(&client, sig ? 0 : 3000, client_says, run);
	if (sig)
		snprintf(run->error, sizeof run->error, "interrupted");
	else
		note_ends(run, &server, &client);
	judge_run(c, run);
	return -sig;
}

/* ---- the comparison ------------------------------------------------------------------ */

static void tell_check(const struct compare *c, bool passed, const char *line)
{
	printf(c->json ? "{\"event\":\"check\",\"passed\":%s,\"text\":\"%s\"}\n" : "%-6s  %s\n",
	    c->json ? passed ? "true" : "false" : passed ? "ok" : "FAILED", line);
}

static int write_file(const struct compare *c, const char *name,
    void (*write_to)(const struct compare *c, FILE *file))
{
	char path[4096];
	FILE *file;
	int bad;

	snprintf(path, sizeof path, "%s/%s", c->out, name);
	file = fopen(path, "w");
	if (!file)
		return args_failed(&program, "write", path, -errno);
	write_to(c, file);
	bad = ferror(file);
	if (fclose(file) != 0 || bad)
		return args_failed(&program, "write", path, -EIO);
	if (!c->json)
		printf("wrote %s\n", path);
	return 0;
}

static int report(const struct compare *c, int sig)
{
	int rc = 0, failed;

	if (!c->json)
		line_print("", true);
	(c->json ? report_json : report_table)(c);
	rc |= write_file(c, "compare.svg", svg_draw);
	rc |= write_file(c, "compare.tsv", report_tsv);
	for (int i = 0; i < c->runs_n; i++)
		rc |= c->runs[i].error[0] != 0;
	if (c->check && !sig) {
		failed = judge_all(c, tell_check);
		rc |= failed != 0;
	}
	return sig ? 128 + sig : rc;
}

static void add_run(struct compare *c, const char *qdisc)
{
	struct bp_endpoint_config config = { 0 };
	struct run *run = &c->runs[c->runs_n++];

	if (bp_qdisc_parse(&config, qdisc) < 0)
		args_refuse(&program, "'%s' is not a discipline; see abuse list", qdisc);
	run->qdisc = qdisc;
	run->bounded_by = config.qdisc == &bp_qdisc_unbounded ? BOUND_NONE
	    : config.qdisc == &bp_qdisc_one_place || config.qdisc == &bp_qdisc_bounded
	    ? BOUND_PLACES : BOUND_BUDGET;
	run->places = config.qdisc == &bp_qdisc_one_place ? 1
	    : config.places ? config.places : 1024;
}

static int run_all(struct compare *c)
{
	int rc = 0, planned = c->runs_n;

	for (c->runs_n = 0; c->runs_n < planned && rc == 0;) {
		rc = run_one(c, &c->runs[c->runs_n]);
		if (rc > 0)
			return rc;
		c->runs_n++;
	}
	return report(c, -rc);
}

int abuse_compare(int argc, char **argv)
{
	struct compare c = {
		.duration_ms = 10000, .handle_rate = HANDLE_RATE_DEFAULT,
		.size = PAYLOAD_DEFAULT, .conns = 1, .mem_limit = memory_limit_default(),
		.out = ".",
	};
	static const char *const usual[] = { "unbounded", "one_place", "bytes" };
	const char *words[RUNS_MAX];
	const struct args_option options[] = {
		{ "duration", .number = &c.duration_ms, .unit = ARGS_MS, .min = 100,
		    .max = 3600000 },
		{ "handle-rate", .number = &c.handle_rate, .unit = ARGS_RATE, .min = 1,
		    .max = RATE_MAX / 3 },
		{ "size", .number = &c.size, .unit = ARGS_BYTES, .min = 1, .max = (uint64_t)2 << 30 },
		{ "conns", .number = &c.conns, .min = 1, .max = 10000 },
		{ "mem-limit", .number = &c.mem_limit, .unit = ARGS_BYTES, .min = 1 << 20,
		    .max = (uint64_t)1 << 46 },
		{ "out", .text = &c.out }, { "check", .flag = &c.check },
		{ "json", .flag = &c.json }, { 0 },
	};
	int n = args_parse(&program, argc, argv, options, words, 0, RUNS_MAX), rc;

	for (int i = 0; i < (n ? n : 3); i++)
		add_run(&c, n ? words[i] : usual[i]);
	if (access(c.out, W_OK | X_OK) != 0)
		args_refuse(&program, "--out: cannot write in %s: %s", c.out, strerror(errno));
	args_raise_files(&program);
	signals_block();
	rc = run_all(&c);
	for (int i = 0; i < RUNS_MAX; i++)
		free(c.runs[i].samples);
	return rc;
}
