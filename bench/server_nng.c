/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_nng.c - nng in its own framing: a REP0 socket and asynchronous contexts,
 * each of which takes one request at a time, from whichever connection, and answers
 * it with the same message, not copied. nng's threads run the callbacks.
 *
 * An echo has CONTEXTS requests at work. A sink has one context, as two could come to
 * a request for the tally before the last message is counted. There is no half-close
 * in this framing: an empty payload asks for the tally, and a new count begins.
 *
 * Backpressure: an answer's connection keeps the context until it takes the answer,
 * a connection reads on when a context took its last request, so memory is bounded by
 * contexts and connections. The contexts are shared: when those who do not read their
 * answers have all of them, everybody waits. The answers to requests that a peer has
 * outstanding at once may come in another order; it tells them apart by their id.
 */
#include "serve.h"

#include <arpa/inet.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONTEXTS 256
#define REQUEST_ID ((size_t)4)

struct worker {
	nng_ctx ctx;
	nng_aio *aio;
	bool answering;
};

struct counted {
	int pipe;
	struct tally tally;
};

static bool sink;
/* by pipe; touched by the one context of a sink only */
static void *all_counted;

static void check(const char *what, int error)
{
	if (error == 0)
		return;
	fprintf(stderr, "%s: %s\n", what, nng_strerror(error));
	exit(1);
}

static int compare_pipes(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	return (x->pipe > y->pipe) - (x->pipe < y->pipe);
}

/* That of a pipe, from zero at first; NULL when there is no memory. */
static struct counted *counted_of(int pipe)
{
	struct counted *c, key = { .pipe = pipe };
	void *found = tfind(&key, &all_counted, compare_pipes);

	if (found)
		return *(struct counted **)found;
	c = malloc(sizeof *c);
	if (!c)
		return NULL;
	*c = key;
	if (!tsearch(c, &all_counted, compare_pipes)) {
		free(c);
		return NULL;
	}
	return c;
}

/* Whether msg is to be sent back, as the tally it asked for. */
static bool count(nng_msg *msg)
{
	struct counted *c = counted_of(nng_pipe_id(nng_msg_get_pipe(msg)));
	unsigned char tally[HEAD_LEN + TALLY_LEN];

	if (!c)
		return false;
	if (nng_msg_len(msg) > 0) {
		c->tally.frames++;
		c->tally.bytes += nng_msg_len(msg);
		return false;
	}
	put_tally(tally, &c->tally);
	tdelete(c, &all_counted, compare_pipes);
	free(c);
	return nng_msg_append(msg, tally + HEAD_LEN, TALLY_LEN) == 0;
}

static void receive(struct worker *w)
{
	w->answering = false;
	nng_ctx_recv(w->ctx, w->aio);
}

static void received(struct worker *w)
{
	nng_msg *msg = nng_aio_get_msg(w->aio);

	if (sink && !count(msg)) {
		nng_msg_free(msg);
		receive(w);
		return;
	}
	w->answering = true;
	nng_aio_set_msg(w->aio, msg);
	nng_ctx_send(w->ctx, w->aio);
}

/* An answer that could not be sent is still ours. */
static void answered(struct worker *w)
{
	if (nng_aio_result(w->aio) != 0)
		nng_msg_free(nng_aio_get_msg(w->aio));
	receive(w);
}

static void done(void *arg)
{
	struct worker *w = arg;

	if (w->answering)
		answered(w);
	else if (nng_aio_result(w->aio) == 0)
		received(w);
	else if (nng_aio_result(w->aio) != NNG_ECLOSED)
		receive(w);
}

static void start_worker(nng_socket socket)
{
	struct worker *w = calloc(1, sizeof *w);

	if (!w)
		serve_die("calloc");
	check("nng_aio_alloc", nng_aio_alloc(&w->aio, done, w));
	check("nng_ctx_open", nng_ctx_open(&w->ctx, socket));
	receive(w);
}

/* TCP_NODELAY is nng's default. */
static unsigned short start_listening(nng_socket socket, unsigned short port)
{
	char url[sizeof "tcp://127.0.0.1:65535"];
	nng_listener listener;
	nng_sockaddr addr;

	snprintf(url, sizeof url, "tcp://127.0.0.1:%hu", port);
	check("nng_listener_create", nng_listener_create(&listener, socket, url));
	check(url, nng_listener_start(listener, 0));
	check("nng_listener_get_addr",
	    nng_listener_get_addr(listener, NNG_OPT_LOCADDR, &addr));
	return ntohs(addr.s_in.sa_port);
}

int main(int argc, char **argv)
{
	struct serve_args args;
	unsigned short port;
	nng_socket socket;
	int workers;

	serve_parse(argc, argv, &args);
	sink = args.sink;
	workers = sink ? 1 : CONTEXTS;
	check("nng_rep0_open", nng_rep0_open(&socket));
	check("nng_socket_set_size", nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ,
	    REQUEST_ID + FRAME_MAX));
	for (int i = 0; i < workers; i++)
		start_worker(socket);
	port = start_listening(socket, args.port);
	serve_say(port);
	for (;;)
		pause();
}
