/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_top.c - the live monitor in a terminal: asks what the page in the browser asks,
 * once a second, and draws it; or writes a line a second where there is no terminal.
 *
 * It is a client like any other, so it needs no monitor in its own build, and watches
 * whatever serves one. A server that is gone is asked again until it is back.
 */
#define _GNU_SOURCE

#include "abuse_top.h"
#include "args.h"
#include "http_get.h"
#include "screen.h"

#include <bpthread.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define USUAL_URL "http://127.0.0.1:8000/"
#define TIMEOUT_MS 2000			/* of a request */

static const struct args_program program = {
	"abuse top",
	"usage: abuse top [OPTION]... [URL]\n"
	"Watch a server in the terminal: what its live monitor serves at URL, which is\n"
	"http://127.0.0.1:8000/ unless given. HOST:PORT will do, or PORT.\n"
	"\n"
	"  -1, --once    show it once; exit with 1 when there is no server\n"
	"  -j, --json    write JSON, an object a line\n"
	"  --sort NAME   connections by held, received, sent, wait, out or age [held]\n"
	"  --help\n"
	"\n"
	"Once a second; a line a second where stdout is no terminal. q or Ctrl-C ends.\n"
};

enum { STATUS, HISTORY, ROWS };

struct answer {
	struct http_answer http;
	struct json json;
};

struct top {
	struct http_server server;
	char url[640];			/* whatever was given for it */
	bool once, json;
	const struct top_sort *sort;
	struct screen screen;
	struct top_view view;
	struct answer answers[3];	/* the last ones */
	char trouble[128];		/* "": none */
	char said[128];			/* of it, on stderr */
	int signals;			/* descriptor */
	bool keys;			/* stdin is a terminal, and still there */
	bool over;
	bool hopeless;			/* no address, however long one asks */
	unsigned lines;
};

/* ---- the terminal ---------------------------------------------------------- */

static void show(struct top *top)
{
	if (top->screen.live || (top->once && !top->json))
		top_draw(&top->screen, &top->view, top->url, top->sort,
		    top->trouble[0] ? top->trouble : NULL);
}

static void pause_job(struct top *top)
{
	screen_leave(&top->screen);
	kill(getpid(), SIGSTOP);
	screen_enter(&top->screen);
	show(top);
}

static void take_signal(struct top *top)
{
	struct signalfd_siginfo info;

	if (read(top->signals, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGTSTP)
		pause_job(top);
	else if (info.ssi_signo == SIGWINCH)
		show(top);
	else
		top->over = true;
}

static void take_key(struct top *top)
{
	char key;

	if (read(STDIN_FILENO, &key, 1) != 1) {
		top->keys = false;
	} else if (key == 'q' || key == 'Q') {
		top->over = true;
	} else if (key == 's') {
		top->sort = top->sort[1].key ? top->sort + 1 : top_sorts;
		show(top);
	}
}

/* Until then, or until it is over. */
static void await(struct top *top, uint64_t until_ns)
{
	struct pollfd polls[2] = { { top->signals, POLLIN, 0 },
	    { top->keys ? STDIN_FILENO : -1, POLLIN, 0 } };
	uint64_t now;
	int timeout;

	do {
		now = now_ns();
		timeout = until_ns > now ? (int)((until_ns - now) / NS_PER_MS) + 1 : 0;
		if (poll(polls, 2, timeout) <= 0)
			continue;
		if (polls[0].revents)
			take_signal(top);
		if (polls[1].revents)
			take_key(top);
		polls[1].fd = top->keys ? STDIN_FILENO : -1;
	} while (!top->over && now_ns() < until_ns);
}

static bool give_up(void *arg)
{
	struct top *top = arg;

	await(top, 0);
	return top->over;
}

/* ---- asking ---------------------------------------------------------------- */

static bool ask(struct top *top, int which, const char *path,
    bool (*take)(struct top_view *view, const struct json *json))
{
	struct answer *answer = &top->answers[which];
	int rc;

	json_free(&answer->json);
	http_free(&answer->http);
	rc = http_get(&top->server, path, TIMEOUT_MS, give_up, top, &answer->http);
	top->hopeless = rc == -EINVAL;
	if (rc < 0)
		snprintf(top->trouble, sizeof top->trouble, "%s", bp_strerror(rc));
	else if (answer->http.status != 200)
		snprintf(top->trouble, sizeof top->trouble, "no monitor, answers %d to /%s",
		    answer->http.status, path);
	else if (json_read(&answer->json, answer->http.body, answer->http.len) != 0
	    || !take(&top->view, &answer->json))
		snprintf(top->trouble, sizeof top->trouble, "no monitor, by its /%s", path);
	else
		return true;
	return false;
}

/* Status first: it tells whether it is still the same server. */
static bool ask_all(struct top *top)
{
	char history[96], rows[96];
	double since;

	if (!ask(top, STATUS, "api/v1/status", top_read_status))
		return false;
	since = top->view.samples_n ? top_last(&top->view)->at_ns : 0;
	snprintf(history, sizeof history, "api/v1/history?step=1&since=%.0f", since);
	snprintf(rows, sizeof rows, "api/v1/connections?sort=%s&limit=%d", top->sort->key,
	    TOP_ROWS);
	if (!ask(top, HISTORY, history, top_read_history)
	    || !ask(top, ROWS, rows, top_read_rows))
		return false;
	top->trouble[0] = '\0';
	return true;
}

/* ---- showing --------------------------------------------------------------- */

static void write_number(const char *name, double value)
{
	if (value == value)
		printf(",\"%s\":%.0f", name, value);
	else
		printf(",\"%s\":null", name);
}

static void write_json(struct top *top)
{
	const struct top_sample *last = top_last(&top->view);

	fputs("{\"event\":\"second\"", stdout);
	write_number("resident_bytes", last->resident);
	write_number("received_rate", TOP_RATE(&top->view, received));
	write_number("sent_rate", TOP_RATE(&top->view, sent));
	fputs(",\"status\":", stdout);
	json_write(&top->answers[STATUS].json, 0, stdout);
	fputs(",\"connections\":", stdout);
	json_write(&top->answers[ROWS].json, 0, stdout);
	puts("}");
}

/* Where lines are written, trouble is told when it begins. */
static void tell(struct top *top)
{
	if (top->trouble[0] && (top->once || strcmp(top->trouble, top->said) != 0))
		fprintf(stderr, "%s: %s: %s%s\n", program.name, top->url, top->trouble,
		    top->once ? "" : "; trying again");
	snprintf(top->said, sizeof top->said, "%s", top->trouble);
	if (top->trouble[0])
		return;
	if (top->json) {
		write_json(top);
	} else if (!top->once) {
		if (top->lines++ % 20 == 0)
			top_line_head(&top->view, top->url);
		top_line(&top->view);
	}
	fflush(stdout);
}

/* ---- the command ----------------------------------------------------------- */

/* Returns an exit status. */
static int watch(struct top *top)
{
	uint64_t next = now_ns();
	bool good;

	do {
		good = ask_all(top);
		if (top->over || top->hopeless)
			break;
		if (!top->screen.live)
			tell(top);
		if (good || !top->once)
			show(top);
		if (top->once)
			return good ? 0 : 1;
		next += NS_PER_S;
		next = now_ns() > next ? now_ns() : next;
		await(top, next);
	} while (!top->over && (top->screen.live || !ferror(stdout)));
	if (!top->hopeless)
		return 0;
	screen_leave(&top->screen);
	return args_failed(&program, "watch", top->url, -EINVAL);
}

static const struct top_sort *sort_named(const char *name)
{
	for (const struct top_sort *sort = top_sorts; sort->key; sort++)
		if (strcmp(sort->says, name) == 0)
			return sort;
	args_refuse(&program, "--sort: '%s' is not one of them", name);
}

static void open_signals(struct top *top, bool live)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigaddset(&signals, SIGWINCH);
	if (live)
		sigaddset(&signals, SIGTSTP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	top->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int abuse_top(int argc, char **argv)
{
	struct top top = { 0 };
	const char *url = USUAL_URL, *sort = top_sorts[0].says;
	const struct args_option options[] = {
		{ "once", .flag = &top.once, .letter = '1' },
		{ "json", .flag = &top.json, .letter = 'j' }, { "sort", .text = &sort },
		{ 0 },
	};
	bool live;
	int rc;

	args_parse(&program, argc, argv, options, &url, 0, 1);
	top.sort = sort_named(sort);
	live = on_terminal() && !top.once && !top.json;
	open_signals(&top, live);
	if ((rc = http_open(&top.server, url)) == -EINVAL)
		args_refuse(&program, "'%s' is not http://HOST:PORT/", url);
	if (rc < 0)
		return args_failed(&program, "watch", url, rc);
	snprintf(top.url, sizeof top.url, "http://%s%s", top.server.host, top.server.base);
	screen_open(&top.screen, live);
	top.keys = live && isatty(STDIN_FILENO);
	rc = watch(&top);
	screen_leave(&top.screen);
	rc = args_written(&program, rc);
	http_close(&top.server);
	for (int i = 0; i < 3; i++) {
		json_free(&top.answers[i].json);
		http_free(&top.answers[i].http);
	}
	return rc;
}
