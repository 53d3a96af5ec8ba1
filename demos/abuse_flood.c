/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_flood.c - the same flood under each discipline, one after the other:
 * start a server, start a client that offers three times what the server handles,
 * look at the server's memory every 20 ms, end both, hear what they have to say.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_flood.h"

#include <bpthread.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define START_MS 10000			/* for a server to listen */
#define OVERTIME_MS 15000		/* for a client to end, after its duration */

/* ---- what the children say ------------------------------------------- */

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

/* ---- one run --------------------------------------------------------- */

static int start_server(const struct flood *f, struct run *run, struct child *server)
{
	uint64_t until = now_ns() + START_MS * NS_PER_MS;
	char rate[24], limit[24], name[96];
	int rc;

	snprintf(rate, sizeof rate, "%" PRIu64, f->asked->handle_rate);
	snprintf(limit, sizeof limit, "%" PRIu64, f->asked->mem_limit);
	snprintf(name, sizeof name, "abuse compare flood, %s", run->qdisc);
	rc = child_start(server, (const char *[]){ "abuse", "server", "127.0.0.1:0",
	    run->qdisc, "--handle-rate", rate, "--mem-limit", limit, "--json",
	    "--monitor", f->asked->monitor_at, "--name", name, NULL });
	if (rc < 0)
		return compare_failed("start", "a server", rc);
	while (child_poll(server, server_says, run) && !run->port[0] && now_ns() < until)
		sleep_until(now_ns() + TICK_NS / 4);
	if (run->port[0])
		return 0;
	/* it has said why on stderr */
	child_finish(server, 0, server_says, run);
	return WIFEXITED(server->status) && WEXITSTATUS(server->status) == 2 ? 2 : 1;
}

static int start_client(const struct flood *f, const struct run *run,
    struct child *client)
{
	char duration[24], size[24], conns[24], rate[24];
	int rc;

	snprintf(duration, sizeof duration, "%" PRIu64 "ms", f->asked->duration_ms);
	snprintf(size, sizeof size, "%" PRIu64, f->asked->size);
	snprintf(conns, sizeof conns, "%" PRIu64, f->asked->conns);
	snprintf(rate, sizeof rate, "%" PRIu64, 3 * f->asked->handle_rate);
	rc = child_start(client, (const char *[]){ "abuse", "client", run->port,
	    "--duration", duration, "--size", size, "--conns", conns, "--rate", rate,
	    "--json", NULL });
	return rc < 0 ? compare_failed("start", "a client", rc) : 0;
}

/* A line for a second, or when that is 0 one that is written over. */
static void tell_progress(const struct flood *f, const struct run *run,
    double seconds, unsigned second)
{
	char line[160];

	if (f->asked->json)
		return;
	snprintf(line, sizeof line, "%s  %.*f of %.4g s  resident %s", run->qdisc,
	    second ? 0 : 1, second ? second : seconds, (double)f->asked->duration_ms / 1e3,
	    run->memory.n ? text_memory(run->memory.all[run->memory.n - 1].resident).s : "-");
	line_print(line, second != 0);
}

/* Until one of the two has ended, or a signal came: returns it. */
static int watch(const struct flood *f, struct run *run, struct child *server,
    struct child *client)
{
	uint64_t start = now_ns(), tick = start, second = start + NS_PER_S;
	uint64_t until = start + (f->asked->duration_ms + OVERTIME_MS) * NS_PER_MS;
	uint64_t now;
	unsigned n;
	bool both = true;
	double seconds;
	int sig;

	do {
		tick = now_ns() > tick + TICK_NS ? now_ns() : tick + TICK_NS;
		if ((sig = signals_wait(tick)))
			return sig;
		both = child_poll(server, server_says, run)
		    && child_poll(client, client_says, run);
		now = now_ns();
		seconds = (double)(now - start) / 1e9;
		/* what is freed at the end is not part of the picture */
		if (!run->met_limit && seconds * 1e3 <= (double)f->asked->duration_ms) {
			samples_take(&run->memory, seconds, server->pid);
			n = now >= second ? seconds_over(start, now, &second) : 0;
			if (n || on_terminal())
				tell_progress(f, run, seconds, on_terminal() ? 0 : n);
		}
	} while (both && now_ns() < until);
	return 0;
}

static void note_ends(struct run *run, const struct child *server,
    const struct child *client)
{
	bool gave_up = run->met_limit && WIFEXITED(server->status)
	    && WEXITSTATUS(server->status) == EXIT_MEM_LIMIT;

	if (!gave_up && child_failed(server, "server", run->error, sizeof run->error))
		return;
	if (!run->done)
		snprintf(run->error, sizeof run->error, "the server did not sum up");
	else if (WIFSIGNALED(client->status))
		child_failed(client, "client", run->error, sizeof run->error);
	else if (WEXITSTATUS(client->status) != 0 && !run->met_limit)
		snprintf(run->error, sizeof run->error, "the client was cut; the server said: %s",
		    run->closed.s[0] ? run->closed.s : "nothing");
}

/* Returns 0, the exit status for a failure to begin, or minus a signal. */
static int run_one(const struct flood *f, struct run *run)
{
	struct child server, client;
	int rc, sig;
	bool cut;

	if ((rc = start_server(f, run, &server)) != 0)
		return rc;
	if ((rc = start_client(f, run, &client)) != 0) {
		child_finish(&server, 0, server_says, run);
		return rc;
	}
	sig = watch(f, run, &server, &client);
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
	judge_run(f, run);
	return -sig;
}

/* ---- the comparison -------------------------------------------------- */

static int report(const struct flood *f, int sig)
{
	int rc = 0, failed;

	if (!f->asked->json)
		line_print("", true);
	(f->asked->json ? report_json : report_table)(f);
	rc |= compare_write(f->asked, "compare.svg", flood_draw, f);
	rc |= compare_write(f->asked, "compare.tsv", report_tsv, f);
	for (int i = 0; i < f->runs_n; i++)
		rc |= f->runs[i].error[0] != 0;
	if (f->asked->check && !sig) {
		failed = judge_all(f);
		rc |= failed != 0;
	}
	return sig ? 128 + sig : rc;
}

static void add_run(struct flood *f, const char *qdisc)
{
	struct bp_endpoint_config config = { 0 };
	struct run *run = &f->runs[f->runs_n++];

	bp_qdisc_parse(&config, qdisc);
	run->qdisc = qdisc;
	run->bounded_by = config.qdisc == &bp_qdisc_unbounded ? BOUND_NONE
	    : config.qdisc == &bp_qdisc_one_place || config.qdisc == &bp_qdisc_bounded
	    ? BOUND_PLACES : BOUND_BUDGET;
	run->places = config.qdisc == &bp_qdisc_one_place ? 1
	    : config.places ? config.places : 1024;
}

static int run_all(struct flood *f)
{
	int rc = 0, planned = f->runs_n;

	for (f->runs_n = 0; f->runs_n < planned && rc == 0;) {
		rc = run_one(f, &f->runs[f->runs_n]);
		if (rc > 0)
			return rc;
		f->runs_n++;
	}
	return report(f, -rc);
}

int flood_run(const struct asked *asked)
{
	struct flood flood = { .asked = asked };
	int rc;

	for (int i = 0; i < asked->qdiscs_n; i++)
		add_run(&flood, asked->qdiscs[i]);
	rc = run_all(&flood);
	for (int i = 0; i < RUNS_MAX; i++)
		free(flood.runs[i].memory.all);
	return rc;
}
