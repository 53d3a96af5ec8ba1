/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_bpthread.c - libbpthread, with nothing set that a user would not set:
 *
 *	server_bpthread [--by handler|receive] [--spin] [--conns N] [--qdisc TEXT]
 *	    echo|sink PORT
 *
 * by handler (the default) each connection's own thread serves its frames, by
 * receive one thread takes those of all connections from the queue. More than 1024
 * connections are said with --conns, as they would be to the library.
 */
#include "serve.h"

#include <bpthread.h>

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64			/* events taken at once */

static bool sink;

static struct tally *tally_of(struct bp_conn *conn)
{
	struct tally *tally = bp_conn_data(conn);

	if (!tally) {
		tally = calloc(1, sizeof *tally);
		if (!tally)
			serve_die("calloc");
		bp_conn_set_data(conn, tally);
	}
	return tally;
}

static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	struct tally *tally = data;

	if (!sink) {
		bp_send_buf(conn, buf, BP_FOREVER);
		return;
	}
	if (!tally)
		tally = tally_of(conn);
	tally->frames++;
	tally->bytes += buf->len;
}

static void ended(struct bp_conn *conn, void *data)
{
	unsigned char frame[HEAD_LEN + TALLY_LEN];

	(void)data;
	if (sink) {
		put_tally(frame, tally_of(conn));
		bp_send(conn, frame + HEAD_LEN, TALLY_LEN, BP_FOREVER);
	}
}

static void closed(struct bp_conn *conn, enum bp_reason reason, int err, void *data)
{
	(void)conn;
	(void)reason;
	(void)err;
	free(data);
}

static void serve_event(const struct bp_event *event)
{
	void *data = bp_conn_data(event->conn);

	switch (event->kind) {
	case BP_RECEIVED:
		received(event->conn, event->buf, data);
		break;
	case BP_ENDED:
		ended(event->conn, data);
		break;
	case BP_CLOSED:
		closed(event->conn, event->reason, event->err, data);
		break;
	default:
		break;
	}
}

static void receive(struct bp_endpoint *ep)
{
	struct bp_event *events[BATCH];
	int n;

	while ((n = bp_receive_many(ep, events, BATCH, BP_FOREVER)) > 0) {
		for (int i = 0; i < n; i++) {
			serve_event(events[i]);
			bp_event_free(events[i]);
		}
	}
}

static int try(const char *what, int rc)
{
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", what, bp_strerror(rc));
		exit(1);
	}
	return rc;
}

static int usage(const char *name)
{
	fprintf(stderr, "usage: %s [--by handler|receive] [--spin] [--conns N] "
	    "[--qdisc TEXT] echo|sink PORT\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct bp_conn_ops ops = {
		.received = received, .ended = ended, .closed = closed,
	};
	static const struct option options[] = {
		{ "by", required_argument, NULL, 'b' },
		{ "spin", no_argument, NULL, 's' },
		{ "conns", required_argument, NULL, 'c' },
		{ "qdisc", required_argument, NULL, 'q' },
		{ 0 },
	};
	struct bp_endpoint_config config = { 0 };
	struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .ops = &ops,
	};
	struct bp_listener *listener;
	struct bp_endpoint *ep;
	struct serve_args args;
	char addr[32];
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'b' && strcmp(optarg, "receive") == 0)
			conn_config.ops = NULL;
		else if (option == 's')
			conn_config.spin = BP_ON;
		else if (option == 'c')
			config.conns_max = (size_t)atol(optarg);
		else if (option == 'q')
			try("--qdisc", bp_qdisc_parse(&config, optarg));
		else if (option != 'b' || strcmp(optarg, "handler") != 0)
			return usage(argv[0]);
	}
	serve_parse(argc, argv, &args);
	sink = args.sink;
	try("endpoint", bp_endpoint_new(&ep, &config));
	snprintf(addr, sizeof addr, "127.0.0.1:%hu", args.port);
	try("listen", bp_listen(ep, &listener, addr, &conn_config));
	serve_say((unsigned short)atoi(strrchr(bp_listener_addr(listener), ':') + 1));
	if (!conn_config.ops)
		receive(ep);
	else
		pause();
	return 0;
}
