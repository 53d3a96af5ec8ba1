/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * relay.c - a TCP relay: what either side sends the other gets, both ways at once.
 *
 * Run	demos/relay --monitor 8000 7777 localhost:80	with a web server there, and
 *	curl -o /dev/null localhost:7777/large		and while that runs
 *	kill -STOP $(pidof curl); sleep 30; kill -CONT $(pidof curl)
 *
 * Watch at localhost:8000 what the stopped one costs: its marks, then nothing more;
 * and every byte arrives. While 256 KiB wait for one side the other is muted, so TCP
 * stops it; the two ways share nothing, so who writes much before it reads is served
 * as well. Silence is no fault: there is no idle limit. But a side that takes under
 * 4 KiB in 60 s of what waits for it (write_ms) is cut, and the other with it.
 */
#define _POSIX_C_SOURCE 200809L

#include <bpthread.h>
#include <signal.h>
#include <stdio.h>

#include "args.h"
#include "monitor.h"

static struct args_program program = {
	"relay",
	"usage: relay [OPTION]... LISTEN TARGET\n"
	"Connect each client of LISTEN to TARGET, and pass on what either sends.\n"
	"\n"
	"  --qdisc NAME[:KEY=VALUE,...]  as \"bytes:budget=64M\", for each side\n"
	"  --monitor [HOST:]PORT         watch the clients' side live in a browser [off]\n"
	"  --help\n"
	"\n"
	"LISTEN and TARGET are [ADDR:]PORT or unix:/path; ADDR is a name, an address\n"
	"or [v6]. Ctrl-C stops at once: what is under way is reset on both sides.\n"
};

static struct bp_endpoint *clients, *servers;	/* each with its own places */
static struct bp_conn_config side_config =
    { .half_open = true, .couple = BP_OFF, .idle_ms = BP_FOREVER };
static char target[300];

/* Handlers of both sides; their data is the other one, with a reference to it. */

static void opened(struct bp_conn *conn, void *client)
{
	struct bp_conn_config config = side_config;
	struct bp_conn *server;
	int rc;

	if (client) {		/* the server has it: before it throttles the client */
		bp_conn_set_data(client, conn);
		return;
	}
	config.data = bp_conn_ref(conn);
	if ((rc = bp_connect(servers, &server, target, &config, 5000)) == 0) {
		bp_conn_set_data(conn, server);
		return;
	}
	if (rc != -EPIPE)	/* we are stopping */
		args_failed(&program, "connect to", target, rc);
	bp_conn_abort(conn, BP_REASON_ABORT);
	bp_conn_unref(conn);
}

static void received(struct bp_conn *conn, struct bp_buf *buf, void *other)
{
	/* -EPIPE: it is ending, and when all it sent is read its closed ends us */
	if (bp_send_buf(other, buf, BP_FOREVER) == -ENOMEM)
		bp_conn_abort(conn, BP_REASON_NO_MEMORY);
}

static void ended(struct bp_conn *conn, void *other)
{
	(void)conn;
	bp_conn_end(other);
}

/* The send would wait, too; but in a handler one does not notice one's own reset. */
static void throttled(struct bp_conn *conn, void *other)
{
	(void)conn;
	bp_conn_mute(other);
}

static void unthrottled(struct bp_conn *conn, void *other)
{
	(void)conn;
	bp_conn_unmute(other);
}

static void closed(struct bp_conn *conn, enum bp_reason why, int err, void *other)
{
	struct args_text peer;

	(void)err;
	if (!other)
		return;		/* it was never connected */
	if (why > BP_REASON_RESET)
		fprintf(stderr, "relay: %s: %s\n",
		    args_visible(&peer, bp_conn_peer(conn)), bp_reason_name(why));
	if (why == BP_REASON_RESET && bp_conn_wait_unthrottled(other, 0) == -EPIPE)
		bp_conn_close(other);	/* told the end before: it still gets all */
	else if (why != BP_REASON_LOCAL && why != BP_REASON_PEER)
		bp_conn_abort(other, BP_REASON_ABORT);
	if (bp_conn_endpoint(conn) == clients)
		bp_conn_wait_closed(other, BP_FOREVER);	/* one place for both */
	bp_conn_unref(other);
}

static bool reset(struct bp_conn *conn, void *none)
{
	(void)none;
	bp_conn_abort(conn, BP_REASON_SHUTDOWN);
	return true;
}

int main(int argc, char **argv)
{
	static const struct bp_conn_ops ops =
	    { opened, received, ended, closed, throttled, unthrottled };
	struct bp_endpoint_config config = { .log = args_log, .log_arg = &program };
	const char *words[2], *qdisc = NULL, *monitor_at = "off";
	const struct args_option options[] =
	    { { "qdisc", .text = &qdisc }, { "monitor", .text = &monitor_at }, { 0 } };
	struct bp_listener *listener;
	struct bp_monitor *monitor;
	sigset_t stop_signals;
	int rc, sig;

	args_parse(&program, argc, argv, options, words, 2, 2);
	snprintf(target, sizeof target, "%s", args_target(&program, words[1]));
	words[0] = args_addr(&program, words[0]);
	if (qdisc)
		args_qdisc(&program, &config, qdisc);
	stop_signals = args_server(&program);
	side_config.ops = &ops;
	if ((rc = bp_endpoint_new(&clients, &config)) < 0
	    || (rc = bp_endpoint_new(&servers, &config)) < 0)
		return args_failed(&program, "use", qdisc ? qdisc : "defaults", rc);
	monitor = monitor_start(&program, clients, monitor_at, words[0]);
	if ((rc = bp_listen(clients, &listener, words[0], &side_config)) < 0)
		return args_failed(&program, "listen on", words[0], rc);
	printf("relay: listening on %s\n", bp_listener_addr(listener));
	sigwait(&stop_signals, &sig);
	bp_endpoint_each(servers, reset, NULL);	/* an end would pass for the stream's */
	bp_endpoint_stop(servers, 0);
	monitor_stop(monitor);
	bp_endpoint_free(clients);
	bp_endpoint_free(servers);
	return 0;
}
