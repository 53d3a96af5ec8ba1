/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compare_run.c - one run: a server of its own, the load generator against it, and
 * the line that this one printed.
 *
 * Every wait has a deadline, and both processes are reaped before run_once()
 * returns. They die with compare, however that dies.
 */
#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_S 10.0
#define LOAD_EXTRA_S 60.0	/* the load gives up by itself after 30 */
#define TERM_S 5.0
#define ARGS_MAX 32
#define CONNS_MAX 1000		/* beyond them ours is told to take more */

struct process {
	const char *name;
	pid_t pid;
	int out, status;
	bool ended;
	char line[LINE_SIZE];
};

struct words {
	const char *v[ARGS_MAX];
	int n;
	char numbers[8][32];
	int numbers_n;
};

static enum placing placing_of(const struct bench *bench, const struct run *run)
{
	const struct mode *mode = &modes[run->mode];

	return bench->pin && mode->two_cores_if_pinned ? TWO_CORES : mode->placing;
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void complain(const struct run *run, const char *who, const char *what)
{
	fprintf(stderr, "compare: %s, %s, round %d: the %s %s\n",
	    contenders[run->contender].label, modes[run->mode].label, run->round, who,
	    what);
}

/* ---- processes ------------------------------------------------------- */

static _Noreturn void become(const struct words *words, int out, int cpu,
    pid_t parent)
{
	struct rlimit files;
	cpu_set_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		if (sched_setaffinity(0, sizeof set, &set) < 0)
			perror("compare: sched_setaffinity");
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (dup2(out, STDOUT_FILENO) >= 0)
		execv(words->v[0], (char *const *)words->v);
	fprintf(stderr, "compare: %s: %s\n", words->v[0], strerror(errno));
	_exit(127);
}

static bool start(struct process *p, const char *name, const struct words *words,
    int cpu)
{
	pid_t self = getpid();
	int ends[2];

	*p = (struct process){ .name = name, .out = -1, .ended = true };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	p->pid = fork();
	if (p->pid == 0)
		become(words, ends[1], cpu, self);
	close(ends[1]);
	if (p->pid < 0) {
		close(ends[0]);
		return false;
	}
	p->out = ends[0];
	p->ended = false;
	return true;
}

static void look(struct process *p)
{
	if (!p->ended && waitpid(p->pid, &p->status, WNOHANG) == p->pid)
		p->ended = true;
}

static bool await_end(struct process *p, double deadline)
{
	const struct timespec tick = { .tv_nsec = 1000000 };

	for (look(p); !p->ended && now_s() < deadline; look(p))
		nanosleep(&tick, NULL);
	return p->ended;
}

static void end_now(struct process *p)
{
	if (!p->ended) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, &p->status, 0);
		p->ended = true;
	}
	if (p->out >= 0)
		close(p->out);
	p->out = -1;
}

/* The first line it prints. Returns NULL, or why there is none. */
static const char *await_line(struct process *p, double deadline)
{
	struct pollfd ready = { .fd = p->out, .events = POLLIN };
	size_t have = 0;
	double left;
	ssize_t n;

	while (have < sizeof p->line - 1) {
		left = deadline - now_s();
		if (left <= 0)
			return "said nothing in time";
		if (poll(&ready, 1, (int)(left * 1e3) + 1) <= 0)
			continue;
		n = read(p->out, p->line + have, 1);
		if (n <= 0)
			return "ended without its line";
		if (p->line[have] == '\n') {
			p->line[have] = '\0';
			return NULL;
		}
		have++;
	}
	return "wrote a line of a strange length";
}

/* ---- command lines --------------------------------------------------- */

static void add(struct words *w, const char *word)
{
	w->v[w->n++] = word;
}

static void add_number(struct words *w, const char *option, double value)
{
	char *text = w->numbers[w->numbers_n++];

	snprintf(text, sizeof w->numbers[0], "%.10g", value);
	add(w, option);
	add(w, text);
}

static long connections_of(const struct bench *bench, const struct mode *mode)
{
	return strcmp(mode->load, "idle") == 0 ? bench->idle_connections
	    : mode->connections;
}

static void server_words(struct words *w, const struct bench *bench,
    const struct contender *c, const struct mode *mode, const char *path)
{
	long connections = connections_of(bench, mode);

	*w = (struct words){ 0 };
	add(w, path);
	for (size_t i = 0; i < sizeof c->options / sizeof *c->options; i++)
		if (c->options[i])
			add(w, c->options[i]);
	if (c->ours && connections > CONNS_MAX)
		add_number(w, "--conns", (double)(connections + connections / 5));
	add(w, mode->serving);
	add(w, "0");
}

static void load_words(struct words *w, const struct bench *bench,
    const struct contender *c, const struct mode *mode, const char *path)
{
	long connections = connections_of(bench, mode);

	*w = (struct words){ 0 };
	add(w, path);
	add(w, "--mode");
	add(w, mode->load);
	add(w, "--framing");
	add(w, c->framing);
	if (mode->size)
		add_number(w, "--size", (double)mode->size);
	if (connections)
		add_number(w, "--connections", (double)connections);
	if (mode->outstanding)
		add_number(w, "--outstanding", (double)mode->outstanding);
	add_number(w, "--seconds", bench->seconds);
	add_number(w, "--warmup", bench->warmup);
}

/* ---- a run ----------------------------------------------------------- */

/* Returns the port, or 0 after saying why there is none. */
static int start_server(const struct bench *bench, const struct run *run,
    struct process *server)
{
	const struct contender *c = &contenders[run->contender];
	const struct mode *mode = &modes[run->mode];
	struct words words;
	char path[8192];
	const char *why;
	int port = 0;

	snprintf(path, sizeof path, "%s/%s", bench->bin, c->server);
	server_words(&words, bench, c, mode, path);
	if (!start(server, "server", &words,
	    placing_of(bench, run) == ANYWHERE ? -1 : bench->cpus[0])) {
		complain(run, "server", "cannot be started");
		return 0;
	}
	why = await_line(server, now_s() + START_S);
	if (!why && (sscanf(server->line, "listening on %d", &port) != 1 || port <= 0))
		why = "does not say where it listens";
	if (why)
		complain(run, "server", why);
	return why ? 0 : port;
}

static bool run_load(const struct bench *bench, struct run *run, pid_t server, int port)
{
	static const int core_of[] = { [ONE_CORE] = 0, [TWO_CORES] = 1 };
	const struct mode *mode = &modes[run->mode];
	enum placing placing = placing_of(bench, run);
	double deadline = now_s() + bench->seconds + bench->warmup + LOAD_EXTRA_S;
	struct process load;
	struct words words;
	char path[8192], number[16];
	const char *why;

	snprintf(path, sizeof path, "%s/load", bench->bin);
	load_words(&words, bench, &contenders[run->contender], mode, path);
	add_number(&words, "--server-pid", (double)server);
	snprintf(number, sizeof number, "%d", port);
	add(&words, number);
	if (!start(&load, "load", &words,
	    placing == ANYWHERE ? -1 : bench->cpus[core_of[placing]])) {
		complain(run, "load", "cannot be started");
		return false;
	}
	why = await_line(&load, deadline);
	if (!why && !await_end(&load, deadline))
		why = "does not end";
	if (!why && (!WIFEXITED(load.status) || WEXITSTATUS(load.status) != 0))
		why = "failed";
	if (why)
		complain(run, "load", why);
	memcpy(run->line, load.line, sizeof run->line);
	end_now(&load);
	return !why;
}

/* It was to serve until it was told to end. */
static bool stop_server(const struct run *run, struct process *server)
{
	char what[64];

	look(server);
	if (server->ended) {
		snprintf(what, sizeof what, "ended by itself, %s %d",
		    WIFSIGNALED(server->status) ? "by signal" : "with status",
		    WIFSIGNALED(server->status) ? WTERMSIG(server->status)
		    : WEXITSTATUS(server->status));
		complain(run, "server", what);
		return false;
	}
	kill(server->pid, SIGTERM);
	if (await_end(server, now_s() + TERM_S))
		return true;
	complain(run, "server", "does not end by SIGTERM");
	return false;
}

void run_once(const struct bench *bench, struct run *run)
{
	const struct mode *mode = &modes[run->mode];
	struct process server;
	double value;
	int port;

	run->ok = false;
	run->line[0] = '\0';
	port = start_server(bench, run, &server);
	if (port > 0)
		run->ok = run_load(bench, run, server.pid, port);
	if (port > 0 && !stop_server(run, &server))
		run->ok = false;
	end_now(&server);
	if (run->ok && !line_number(run->line, mode->figure.key, &value)) {
		complain(run, "load", "left out the main figure");
		run->ok = false;
	}
}

bool line_number(const char *line, const char *key, double *ret_value)
{
	size_t len = strlen(key);
	const char *at = line;
	char *end;
	double value;

	while (at && (strncmp(at, key, len) != 0 || at[len] != '=')) {
		at = strchr(at, ' ');
		at += at ? 1 : 0;
	}
	if (!at)
		return false;
	value = strtod(at + len + 1, &end);
	if (end == at + len + 1)
		return false;
	*ret_value = value;
	return true;
}
