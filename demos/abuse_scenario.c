/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_scenario.c - tries a scenario under each discipline, one after the other:
 * start a server, start its clients, look at the server's memory every 20 ms until
 * the clients say that it is over, end both. Then table, picture and verdict.
 *
 * A machine that has something else to do now and then can spoil a trial, but
 * cannot make a discipline fair: --check is content if one of three runs holds.
 */
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE			/* MAP_ANONYMOUS */

#include "abuse_scenario.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 10000			/* for a server to listen */
#define OVERTIME_MS 20000		/* for clients to end, after twice the duration */
#define TRIES 3				/* of --check */

/* ---- the two sides --------------------------------------------------- */

static int serve(void *arg)
{
	struct trial *t = arg;

	return t->asked->scenario->serve(t);
}

static int drive(void *arg)
{
	struct trial *t = arg;
	int rc;

	prctl(PR_SET_TIMERSLACK, 1);	/* or each wait is 50 us too long */
	rc = t->asked->scenario->drive(t);
	phase_begin(t, OVER);
	return rc;
}

/* ---- one trial ------------------------------------------------------- */

static struct trial *trial_new(const struct asked *asked, int qdisc, int variant)
{
	struct trial *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (t == MAP_FAILED)
		return NULL;
	t->asked = asked;
	t->qdisc = asked->qdiscs[qdisc];
	t->variant = variant;
	return t;
}

static void trial_free(struct trial *t)
{
	free(t->memory.all);
	munmap(t, sizeof *t);
}

int trial_monitor(const struct trial *t, struct bp_monitor **ret_monitor,
    struct bp_endpoint *ep)
{
	const struct scenario *scenario = t->asked->scenario;
	const char *const *variants = scenario->variants;
	char run[96];

	snprintf(run, sizeof run, "%s, %s%s%s", scenario->name, t->qdisc,
	    variants ? ", " : "", variants ? variants[t->variant] : "");
	return compare_monitor(ret_monitor, t->asked, ep, run);
}

/* What the kernel has for all its TCP sockets, in bytes. */
static double kernel_bytes(void)
{
	FILE *file = fopen("/proc/net/sockstat", "re");
	unsigned long pages = 0;
	char line[256], *mem;

	if (!file)
		return 0;
	while (fgets(line, sizeof line, file))
		if (strncmp(line, "TCP:", 4) == 0 && (mem = strstr(line, " mem ")))
			pages = strtoul(mem + 5, NULL, 10);
	fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void tell_progress(const struct trial *t, double seconds)
{
	const char *const *variants = t->asked->scenario->variants;
	char line[160];

	if (t->asked->json || !on_terminal() || !t->memory.n)
		return;
	snprintf(line, sizeof line, "%s %s  %.1f s  resident %s", t->qdisc,
	    variants ? variants[t->variant] : "", seconds,
	    text_memory(t->memory.all[t->memory.n - 1].resident).s);
	line_print(line, false);
}

static int start_server(struct trial *t, struct child *server)
{
	uint64_t until = now_ns() + START_MS * NS_PER_MS;
	int rc = child_fork(server, serve, t);

	if (rc < 0)
		return compare_failed("start", "a server", rc);
	while (!t->port && child_poll(server, NULL, NULL) && now_ns() < until)
		sleep_until(now_ns() + TICK_NS / 4);
	if (t->port)
		return 0;
	child_finish(server, 0, NULL, NULL);	/* it has said why on stderr */
	return WIFEXITED(server->status) && WEXITSTATUS(server->status) == 2 ? 2 : 1;
}

/* Until it is over, or a signal came: returns it. */
static int watch(struct trial *t, struct child *server, struct child *client)
{
	uint64_t start = now_ns(), tick = start;
	uint64_t until = start + (2 * t->asked->duration_ms + OVERTIME_MS) * NS_PER_MS;
	double kernel = kernel_bytes(), seconds, more;
	int sig;

	while (phase_now(t) != OVER && now_ns() < until
	    && child_poll(server, NULL, NULL) && child_poll(client, NULL, NULL)) {
		seconds = (double)(now_ns() - start) / 1e9;
		samples_take(&t->memory, seconds, server->pid);
		more = kernel_bytes() - kernel;
		t->kernel = more > t->kernel ? more : t->kernel;
		tell_progress(t, seconds);
		tick = now_ns() > tick + TICK_NS ? now_ns() : tick + TICK_NS;
		if ((sig = signals_wait(tick)))
			return sig;
	}
	if (phase_now(t) != OVER)
		snprintf(t->error, sizeof t->error, "did not come to its end");
	return 0;
}

/* Returns 0, the exit status for a failure to begin, or minus a signal. */
static int run_one(struct trial *t)
{
	struct child server, client;
	int rc, sig;

	if ((rc = start_server(t, &server)) != 0)
		return rc;
	if ((rc = child_fork(&client, drive, t)) < 0) {
		child_finish(&server, 0, NULL, NULL);
		return compare_failed("start", "a client", rc);
	}
	sig = watch(t, &server, &client);
	if (sig)
		signals_unblock();
	phase_begin(t, OVER);
	child_finish(&client, 3000, NULL, NULL);
	child_finish(&server, 10000, NULL, NULL);
	if (sig)
		snprintf(t->error, sizeof t->error, "interrupted");
	else if (!t->error[0]
	    && !child_failed(&server, "server", t->error, sizeof t->error))
		child_failed(&client, "client", t->error, sizeof t->error);
	return -sig;
}

/* ---- the scenario ---------------------------------------------------- */

static void results_clear(struct results *r)
{
	while (r->n)
		trial_free(r->trials[--r->n]);
}

static int try_variants(struct results *r, int qdisc)
{
	const char *const *variants = r->asked->scenario->variants;
	int i = 0, rc = 0;

	do {
		r->trials[r->n] = trial_new(r->asked, qdisc, i);
		if (!r->trials[r->n])
			return compare_failed("make", "a trial", -ENOMEM);
		rc = run_one(r->trials[r->n++]);
		i++;
	} while (rc == 0 && variants && variants[i]);
	return rc;
}

static int try_all(struct results *r)
{
	int rounds = r->asked->scenario->rounds, rc = 0;

	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < r->asked->qdiscs_n && rc == 0; k++)
			rc = try_variants(r, k);
	return rc;
}

static int report(const struct results *r)
{
	const struct scenario *s = r->asked->scenario;
	char name[64];
	int rc = 0;

	if (!r->asked->json)
		line_print("", true);
	(r->asked->json ? results_json : results_table)(r);
	snprintf(name, sizeof name, "%s.svg", s->name);
	rc |= compare_write(r->asked, name, s->draw, r);
	snprintf(name, sizeof name, "%s.tsv", s->name);
	rc |= compare_write(r->asked, name, results_tsv, r);
	for (int i = 0; i < r->n; i++)
		rc |= r->trials[i]->error[0] != 0;
	return rc;
}

/* Returns an exit status, and whether another try is worth it. */
static int try_once(struct results *r, bool *ret_again)
{
	int rc = try_all(r), sig = rc < 0 ? -rc : 0;

	*ret_again = false;
	if (rc > 0)
		return rc;
	rc = report(r);
	if (sig)
		return 128 + sig;
	if (r->asked->check && r->asked->scenario->judge(r) != 0)
		rc = 1;
	*ret_again = r->asked->check && rc == 1;
	return rc;
}

int scenario_run(const struct asked *asked)
{
	struct results results = { .asked = asked };
	bool again = true;
	int rc = 0;

	results.per_round = results_rows(&results);
	for (int i = 1; i <= TRIES && again; i++) {
		if (i > 1 && !asked->json)
			printf("once more: the best of %d counts\n", TRIES);
		rc = try_once(&results, &again);
		results_clear(&results);
	}
	return rc;
}
