/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_zeromq.c - ZeroMQ in its own framing: a ROUTER socket that one thread
 * receives from and sends to, beside the usual single thread for input and output.
 * What is received, the sender's identity and the payload, is sent back as it is,
 * moved and not copied.
 *
 * There is no half-close in this framing: in a sink an empty payload asks for the
 * tally, and a new count begins.
 *
 * Backpressure: a peer's queues end at the default high-water mark of 1000 messages,
 * of any size, one in and one out. Beyond it a ROUTER drops answers without a word;
 * with ZMQ_ROUTER_MANDATORY it blocks until there is room, which is what is done here.
 * So one who does not read his answers keeps all waiting once his queue is full: a
 * ROUTER cannot stop taking from one peer only. And as it does not notice that a peer
 * has gone while its queue in is full, too, waiting for ever would wait for the dead:
 * who takes nothing for SEND_TIMEOUT_MS loses answers until there is room again.
 */
#include "serve.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define IDENTITY_MAX 255
#define SEND_TIMEOUT_MS 5000

struct peer {
	struct tally tally;
	size_t len;
	unsigned char identity[IDENTITY_MAX];
};

/* trees of peers by identity */
static void *counted;
static void *stuck;		/* who took nothing for SEND_TIMEOUT_MS */

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
	exit(1);
}

static int compare_identities(const void *a, const void *b)
{
	const struct peer *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp(x->identity, y->identity, x->len);
}

static struct peer key_of(zmq_msg_t *identity)
{
	struct peer key = { .len = zmq_msg_size(identity) };

	memcpy(key.identity, zmq_msg_data(identity), key.len);
	return key;
}

static struct peer *find(void **tree, zmq_msg_t *identity)
{
	struct peer key = key_of(identity);
	struct peer **found = tfind(&key, tree, compare_identities);

	return found ? *found : NULL;
}

static struct peer *add(void **tree, zmq_msg_t *identity)
{
	struct peer *p = malloc(sizeof *p);

	if (!p)
		serve_die("malloc");
	*p = key_of(identity);
	if (!tsearch(p, tree, compare_identities))
		serve_die("tsearch");
	return p;
}

static void forget(void **tree, struct peer *p)
{
	tdelete(p, tree, compare_identities);
	free(p);
}

/* Whether payload is to be sent back, as the tally it asked for. */
static bool count(zmq_msg_t *identity, zmq_msg_t *payload)
{
	struct peer *p = find(&counted, identity);
	unsigned char tally[HEAD_LEN + TALLY_LEN];

	if (!p)
		p = add(&counted, identity);
	if (zmq_msg_size(payload) > 0) {
		p->tally.frames++;
		p->tally.bytes += zmq_msg_size(payload);
		return false;
	}
	put_tally(tally, &p->tally);
	forget(&counted, p);
	zmq_msg_close(payload);
	if (zmq_msg_init_size(payload, TALLY_LEN) < 0)
		die("zmq_msg_init_size");
	memcpy(zmq_msg_data(payload), tally + HEAD_LEN, TALLY_LEN);
	return true;
}

/* What was sent is empty afterwards, what was not is as it was. */
static bool send_part(void *socket, zmq_msg_t *part, int flags)
{
	int rc;

	do
		rc = zmq_msg_send(part, socket, flags);
	while (rc < 0 && zmq_errno() == EINTR);
	return rc >= 0;
}

/* The identity is refused when its queue is full, or when that peer has gone. */
static void answer(void *socket, zmq_msg_t *identity, zmq_msg_t *payload)
{
	struct peer *p = stuck ? find(&stuck, identity) : NULL;
	bool sent;

	sent = send_part(socket, identity, ZMQ_SNDMORE | (p ? ZMQ_DONTWAIT : 0));
	if (sent)
		send_part(socket, payload, 0);
	else if (!p && zmq_errno() == EAGAIN)
		add(&stuck, identity);
	if (p && (sent || zmq_errno() != EAGAIN))
		forget(&stuck, p);
}

static void receive(void *socket, zmq_msg_t *part)
{
	while (zmq_msg_recv(part, socket, 0) < 0)
		if (zmq_errno() != EINTR)
			die("zmq_msg_recv");
}

/* A message of more parts than one is not of this protocol. */
static void drop_rest(void *socket, zmq_msg_t *part)
{
	do
		receive(socket, part);
	while (zmq_msg_more(part));
}

static void serve(void *socket, bool sink)
{
	zmq_msg_t identity, payload;

	zmq_msg_init(&identity);
	zmq_msg_init(&payload);
	for (;;) {
		receive(socket, &identity);
		receive(socket, &payload);
		if (zmq_msg_more(&payload))
			drop_rest(socket, &payload);
		else if (!sink || count(&identity, &payload))
			answer(socket, &identity, &payload);
	}
}

static void set_option(void *socket, int option, int value)
{
	if (zmq_setsockopt(socket, option, &value, sizeof value) < 0)
		die("zmq_setsockopt");
}

static void set_options(void *socket)
{
	int64_t max = FRAME_MAX;

	set_option(socket, ZMQ_ROUTER_MANDATORY, 1);
	set_option(socket, ZMQ_SNDTIMEO, SEND_TIMEOUT_MS);
	set_option(socket, ZMQ_BACKLOG, 4096);
	if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) < 0)
		die("ZMQ_MAXMSGSIZE");
}

/* TCP_NODELAY is always set by ZeroMQ. */
static unsigned short start_listening(void *socket, unsigned short port)
{
	char endpoint[sizeof "tcp://127.0.0.1:65535"];
	size_t len = sizeof endpoint;

	snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%hu", port);
	if (zmq_bind(socket, endpoint) < 0)
		die(endpoint);
	if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len) < 0)
		die("ZMQ_LAST_ENDPOINT");
	return (unsigned short)strtoul(strrchr(endpoint, ':') + 1, NULL, 10);
}

int main(int argc, char **argv)
{
	struct serve_args args;
	void *context, *socket;

	serve_parse(argc, argv, &args);
	context = zmq_ctx_new();
	socket = context ? zmq_socket(context, ZMQ_ROUTER) : NULL;
	if (!socket)
		die("zmq_socket");
	set_options(socket);
	serve_say(start_listening(socket, args.port));
	serve(socket, args.sink);
}
