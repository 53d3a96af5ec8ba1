/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo.c - sends back whatever arrives: the file to copy when you begin a server.
 *
 * Run	demos/echo --monitor 8000 7777	and in other terminals
 *	nc localhost 7777		type, and read it back
 *	socat -u /dev/zero TCP:localhost:7777	writes for ever and never reads
 *
 * Watch at http://127.0.0.1:8000/ what the second client costs: its marks, then
 * nothing more. Its answers are not taken, so it is throttled, so it is not read, so
 * TCP stops it; and the first is answered as before.
 */
#define _POSIX_C_SOURCE 200809L

#include <bpthread_ops.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "monitor.h"

static struct args_program program = {
	"echo",
	"usage: echo [OPTION]... [ADDR:]PORT\n"
	"Send back whatever arrives.\n"
	"\n"
	"  --frame raw|line|u32be   what is sent back at a time: what was read, a line,\n"
	"                           or a payload behind its 4-byte length [raw]\n"
	"  --mode handler|receive   each connection's own thread answers, or one thread\n"
	"                           for all [handler]\n"
	"  --qdisc NAME[:KEY=VALUE,...]  as \"bytes:budget=64M\" [fair]\n"
	"  --conns N                connections at a time, at most 10000 [1024]\n"
	"  --monitor [HOST:]PORT    watch it live in a browser [off]\n"
	"  --help\n"
	"\n"
	"ADDR may be a name, an address or [v6]; unix:/path listens on a Unix socket.\n"
	"Ctrl-C stops in good order, a second one at once.\n"
};

/* ---- the two ways to be given data: choose one ------------------------------- */

/* On the connection's own thread; while it waits the peer is not read. */
static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send_buf(conn, buf, BP_FOREVER);
}

static const struct bp_conn_ops handlers = { .received = received };

/*
 * One thread for all. The send never waits for a peer that does not read: what
 * a throttled connection has sent is not delivered until its answers are taken.
 */
static void *receive_loop(void *arg)
{
	struct bp_endpoint *ep = arg;
	struct bp_event *event;

	while (bp_receive(ep, &event, BP_FOREVER) == 0) {
		if (event->kind == BP_RECEIVED)
			bp_send_buf(event->conn, event->buf, BP_FOREVER);
		bp_event_free(event);
	}
	return NULL;
}

/* ---- the program -------------------------------------------------------------- */

static const struct bp_framer_ops *framer_named(const char *name)
{
	const struct bp_framer_ops *framers[] =
	    { &bp_framer_raw, &bp_framer_line, &bp_framer_u32be };

	for (int i = 0; i < 3; i++)
		if (strcmp(framers[i]->name, name) == 0)
			return framers[i];
	args_refuse(&program, "--frame: '%s' is not raw, line or u32be", name);
}

static int serve(struct bp_endpoint *ep, const char *addr,
    const struct bp_conn_config *config, const sigset_t *stop_signals)
{
	struct bp_listener *listener;
	pthread_t receiver;
	int rc, sig;

	if ((rc = bp_listen(ep, &listener, addr, config)) < 0)
		return args_failed(&program, "listen on", addr, rc);
	if (!config->ops && (rc = pthread_create(&receiver, NULL, receive_loop, ep)) != 0)
		return args_failed(&program, "start", "a thread", -rc);
	printf("echo: listening on %s\n", bp_listener_addr(listener));

	sigwait(stop_signals, &sig);
	signal(SIGINT, SIG_DFL);	/* a shell's background begins with it ignored */
	pthread_sigmask(SIG_UNBLOCK, stop_signals, NULL);	/* the second one kills */
	printf("echo: stopping\n");
	bp_endpoint_stop(ep, 2000);
	if (!config->ops)
		pthread_join(receiver, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	const char *addr, *frame = "raw", *mode = "handler", *qdisc = NULL;
	const char *monitor_at = "off";
	struct bp_endpoint_config config = { .log = args_log, .log_arg = &program };
	struct bp_conn_config conn_config = { 0 };
	struct bp_endpoint *ep;
	struct bp_monitor *monitor;
	sigset_t stop_signals;
	uint64_t conns = 0;
	int rc;
	const struct args_option options[] = {
		{ "frame", .text = &frame }, { "mode", .text = &mode },
		{ "qdisc", .text = &qdisc }, { "monitor", .text = &monitor_at },
		{ "conns", .number = &conns, .min = 1, .max = 10000 }, { 0 },
	};

	args_parse(&program, argc, argv, options, &addr, 1, 1);
	addr = args_addr(&program, addr);
	conn_config.framer = framer_named(frame);
	if (strcmp(mode, "handler") == 0)
		conn_config.ops = &handlers;
	else if (strcmp(mode, "receive") != 0)
		args_refuse(&program, "--mode: '%s' is not handler or receive", mode);
	if (qdisc)
		args_qdisc(&program, &config, qdisc);
	config.conns_max = conns;	/* 0: the default */
	stop_signals = args_server(&program);	/* before the library starts a thread */

	if ((rc = bp_endpoint_new(&ep, &config)) < 0)
		return args_failed(&program, "serve with", qdisc ? qdisc : "fair", rc);
	monitor = monitor_start(&program, ep, monitor_at, addr);
	rc = serve(ep, addr, &conn_config, &stop_signals);
	monitor_stop(monitor);
	bp_endpoint_free(ep);
	return rc;
}
