/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_raw.c - the floor: a thread for each connection that blocks in recv and in
 * send, and nothing else. All whole frames of a recv are answered by one send; a
 * frame that does not fit the buffer is read straight into memory of its own.
 *
 * Backpressure is the loop's own: who blocks in send does not read.
 */
#include "serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER ((size_t)64 * 1024)

struct peer {
	int fd;
	struct tally tally;
	size_t have;			/* bytes in buffer, from its beginning */
	unsigned char *large;		/* a frame with its head, once one came */
	unsigned char buffer[BUFFER];
};

static bool sink;

static bool send_all(int fd, const unsigned char *bytes, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static bool recv_all(int fd, unsigned char *bytes, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = recv(fd, bytes, len, 0);
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static bool answer(struct peer *p, const unsigned char *bytes, size_t len)
{
	return sink || send_all(p->fd, bytes, len);
}

static void count(struct peer *p, size_t payload)
{
	p->tally.frames++;
	p->tally.bytes += payload;
}

/* One of which a part is at the buffer's beginning. */
static bool serve_large(struct peer *p, size_t whole)
{
	if (!p->large)
		p->large = malloc(HEAD_LEN + FRAME_MAX);
	if (!p->large)
		return false;
	memcpy(p->large, p->buffer, p->have);
	if (!recv_all(p->fd, p->large + p->have, whole - p->have))
		return false;
	p->have = 0;
	count(p, whole - HEAD_LEN);
	return answer(p, p->large, whole);
}

/* The whole frames at hand; what is left moves to the beginning. */
static bool serve_frames(struct peer *p)
{
	size_t done = 0, whole = 0;

	while (p->have - done >= HEAD_LEN) {
		whole = HEAD_LEN + get_u32(p->buffer + done);
		if (whole > HEAD_LEN + FRAME_MAX)
			return false;
		if (p->have - done < whole)
			break;
		count(p, whole - HEAD_LEN);
		done += whole;
	}
	if (done > 0 && !answer(p, p->buffer, done))
		return false;
	p->have -= done;
	memmove(p->buffer, p->buffer + done, p->have);
	return p->have < HEAD_LEN || whole <= BUFFER || serve_large(p, whole);
}

static void *serve(void *arg)
{
	unsigned char tally[HEAD_LEN + TALLY_LEN];
	struct peer *p = arg;
	ssize_t n;

	do {
		n = recv(p->fd, p->buffer + p->have, BUFFER - p->have, 0);
		if (n > 0)
			p->have += (size_t)n;
	} while (n > 0 && serve_frames(p));
	if (n == 0 && sink) {
		put_tally(tally, &p->tally);
		send_all(p->fd, tally, sizeof tally);
	}
	close(p->fd);
	free(p->large);
	free(p);
	return NULL;
}

static void accept_one(int listener, const pthread_attr_t *detached)
{
	struct peer *p;
	pthread_t thread;
	int fd, on = 1;

	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	p = malloc(sizeof *p);
	if (!p) {
		close(fd);
		return;
	}
	p->fd = fd;
	p->tally = (struct tally){ 0 };
	p->have = 0;
	p->large = NULL;
	if (pthread_create(&thread, detached, serve, p) != 0) {
		close(fd);
		free(p);
	}
}

int main(int argc, char **argv)
{
	struct serve_args args;
	pthread_attr_t detached;
	int listener;

	serve_parse(argc, argv, &args);
	sink = args.sink;
	listener = serve_listen(&args);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&detached, 64 * 1024);
	serve_say(serve_port(listener));
	for (;;)
		accept_one(listener, &detached);
}
