/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * count.c - a load that is the same each time: so many messages, and the end. What a
 * server did for them can be counted, in system calls and instructions, and does not
 * depend on how fast or busy the machine is. load measures time, this does not.
 *
 *	count MODE MESSAGES PORT
 *
 * Each step waits for its answers before the next begins, so that the server finds
 * as much at a time whatever its speed. Only a sink has no answers to wait for.
 */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SMALL ((size_t)64)
#define OUTSTANDING 64u		/* in pipeline, sent at once */
#define BATCH 960u		/* small frames in sink, sent at once: nearly 64 KiB */
#define DEADLINE_S 60

struct run {
	uint64_t messages;
	unsigned short port;
	size_t frame;			/* bytes, with its head */
	unsigned at_once;
	unsigned char *out;		/* at_once frames */
	unsigned char *in;		/* room for as many */
};

static void fail(const char *what)
{
	fprintf(stderr, "count: %s\n", what);
	exit(1);
}

static int open_connection(const struct run *run)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd, on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(run->port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		serve_die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		serve_die("connect");
	return fd;
}

static void send_all(int fd, const unsigned char *bytes, size_t len)
{
	ssize_t n;

	for (; len > 0; bytes += n, len -= (size_t)n) {
		n = send(fd, bytes, len, MSG_NOSIGNAL);
		if (n < 0)
			serve_die("send");
	}
}

static void recv_all(int fd, unsigned char *bytes, size_t len)
{
	ssize_t n = recv(fd, bytes, len, MSG_WAITALL);

	if (n < 0)
		serve_die("recv");
	if ((size_t)n < len)
		fail("the server closed the connection");
}

static void exchange(const struct run *run, int fd, uint64_t messages)
{
	size_t len = run->frame * messages;

	send_all(fd, run->out, len);
	recv_all(fd, run->in, len);
	if (memcmp(run->in, run->out, len) != 0)
		fail("an answer other than its message");
}

static uint64_t next_step(const struct run *run, uint64_t left)
{
	return left < run->at_once ? left : run->at_once;
}

static void echo(const struct run *run)
{
	uint64_t left, step;
	int fd = open_connection(run);

	for (left = run->messages; left > 0; left -= step) {
		step = next_step(run, left);
		exchange(run, fd, step);
	}
	close(fd);
}

static void sink(const struct run *run)
{
	unsigned char told[HEAD_LEN + TALLY_LEN], expected[HEAD_LEN + TALLY_LEN];
	struct tally tally = { run->messages, run->messages * (run->frame - HEAD_LEN) };
	uint64_t left, step;
	int fd = open_connection(run);

	for (left = run->messages; left > 0; left -= step) {
		step = next_step(run, left);
		send_all(fd, run->out, run->frame * step);
	}
	if (shutdown(fd, SHUT_WR) < 0)
		serve_die("shutdown");
	recv_all(fd, told, sizeof told);
	put_tally(expected, &tally);
	if (memcmp(told, expected, sizeof told) != 0)
		fail("the tally is not what was sent");
	close(fd);
}

/* A server that has closed its side has done what it does for a connection. */
static void reconnect(const struct run *run)
{
	uint64_t left;
	int fd;

	for (left = run->messages; left > 0; left--) {
		fd = open_connection(run);
		exchange(run, fd, 1);
		if (shutdown(fd, SHUT_WR) < 0)
			serve_die("shutdown");
		if (recv(fd, run->in, 1, 0) != 0)
			fail("no end after the answer");
		close(fd);
	}
}

static const struct mode {
	const char *name;
	size_t size;
	unsigned at_once;
	void (*go)(const struct run *run);
} modes[] = {
	{ "ping-pong", SMALL, 1, echo },
	{ "pipelined", SMALL, OUTSTANDING, echo },
	{ "sink", SMALL, BATCH, sink },
	{ "sink-large", FRAME_MAX, 1, sink },
	{ "connect", SMALL, 1, reconnect },
};

static void make_frames(struct run *run, const struct mode *mode)
{
	size_t i, len;

	run->frame = HEAD_LEN + mode->size;
	run->at_once = mode->at_once;
	len = run->frame * run->at_once;
	run->out = malloc(len);
	run->in = malloc(len);
	if (!run->out || !run->in)
		serve_die("malloc");
	for (i = 0; i < len; i++)
		run->out[i] = (unsigned char)(i * 7 + i / 256);
	for (i = 0; i < run->at_once; i++)
		put_u32(run->out + i * run->frame, (uint32_t)mode->size);
}

static const struct mode *mode_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	fail("ping-pong, pipelined, sink, sink-large or connect?");
	return NULL;
}

int main(int argc, char **argv)
{
	const struct mode *mode;
	struct run run = { 0 };

	if (argc != 4)
		fail("usage: count MODE MESSAGES PORT");
	mode = mode_of(argv[1]);
	run.messages = strtoull(argv[2], NULL, 10);
	run.port = (unsigned short)strtoul(argv[3], NULL, 10);
	make_frames(&run, mode);
	alarm(DEADLINE_S);
	mode->go(&run);
	return 0;
}
