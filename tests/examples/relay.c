/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relay: bytes of either side go to the other. A handler that waits in
 * bp_send_buf() is the backpressure; each way has its own thread, so neither way
 * can stop the other. Buffers are handed over, not copied.
 */
#define _POSIX_C_SOURCE 200809L
#include <bpthread.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct pair {
	struct bp_conn *a, *b;		/* a accepted, b made; a reference each */
	atomic_int sides;		/* handlers still to see closed */
};

static const struct bp_conn_ops a_ops, b_ops;
static const char *target;

static void pair_drop(struct pair *p)
{
	if (atomic_fetch_sub(&p->sides, 1) != 1)
		return;
	bp_conn_unref(p->a);
	bp_conn_unref(p->b);
	free(p);
}

static void a_opened(struct bp_conn *conn, void *data)
{
	struct bp_conn_config config = {
		.ops = &b_ops, .half_open = true, .couple = BP_OFF,
		.idle_ms = BP_FOREVER,
	};
	struct pair *p = calloc(1, sizeof *p);

	(void)data;
	bp_conn_set_data(conn, p);
	if (!p) {
		bp_conn_abort(conn, BP_REASON_NO_MEMORY);
		return;
	}
	p->a = bp_conn_ref(conn);
	atomic_init(&p->sides, 2);
	config.data = p;
	/* p->b is written before b's first handler; a's wait for this to return */
	if (bp_connect(bp_conn_endpoint(conn), &p->b, target, &config, 5000) < 0) {
		pair_drop(p);
		bp_conn_abort(conn, BP_REASON_ABORT);
	}
}

static void pass(struct bp_conn *from, struct bp_conn *to, struct bp_buf *buf)
{
	if (bp_send_buf(to, buf, BP_FOREVER) < 0)
		bp_conn_abort(from, BP_REASON_ABORT);
}

static void a_received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	pass(conn, ((struct pair *)data)->b, buf);
}

static void b_received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	pass(conn, ((struct pair *)data)->a, buf);
}

static void a_ended(struct bp_conn *conn, void *data)
{
	(void)conn;
	bp_conn_end(((struct pair *)data)->b);
}

static void b_ended(struct bp_conn *conn, void *data)
{
	(void)conn;
	bp_conn_end(((struct pair *)data)->a);
}

static void gone(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	struct pair *p = data;
	struct bp_conn *other;

	(void)err;
	if (!p)
		return;
	other = conn == p->a ? p->b : p->a;
	if (other && why != BP_REASON_LOCAL && why != BP_REASON_PEER)
		bp_conn_abort(other, why);
	pair_drop(p);
}

static const struct bp_conn_ops a_ops = {
	.opened = a_opened, .received = a_received, .ended = a_ended, .closed = gone,
};
static const struct bp_conn_ops b_ops = {
	.received = b_received, .ended = b_ended, .closed = gone,
};

int main(int argc, char **argv)
{
	struct bp_conn_config config = {
		.ops = &a_ops, .half_open = true, .couple = BP_OFF,
		.idle_ms = BP_FOREVER,
	};
	struct bp_endpoint *ep;
	int rc, sig;
	sigset_t stop;

	if (argc != 3)
		return fprintf(stderr, "usage: relay LISTEN TARGET\n"), 2;
	target = argv[2];
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	if ((rc = bp_endpoint_new(&ep, NULL)) < 0
	    || (rc = bp_listen(ep, NULL, argv[1], &config)) < 0)
		return fprintf(stderr, "relay: %s\n", bp_strerror(rc)), 1;
	sigwait(&stop, &sig);
	bp_endpoint_stop(ep, 2000);
	bp_endpoint_free(ep);
	return 0;
}
