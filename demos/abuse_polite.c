/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_polite.c - peers that send a small message now and then, and wait for the
 * answers: what everybody else is like.
 *
 * A ping is sent when it is due, answered or not what was sent before, so slow
 * answers do not make for fewer pings. Its time runs from the first attempt to write
 * it. One that is never answered counts with the time that has passed.
 */
#define _GNU_SOURCE			/* ppoll() */

#include "abuse_service.h"

#include <bpthread.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_MAX 8192			/* pings sent and not answered: more are not sent */

struct pinger {
	int fd;
	uint64_t due_ns;
	size_t to_write, to_read;	/* bytes: of pings begun, of answers to come */
	uint64_t sent_ns[OUT_MAX];	/* a ring */
	unsigned char phases[OUT_MAX];
	size_t first, out;
};

/* All pings are the same, so what is left of several is the end of a long one. */
static void push(struct pinger *p, const char *ping)
{
	size_t at, len;
	ssize_t n;

	while (p->to_write) {
		len = p->to_write % (HEAD + PING) ? p->to_write % (HEAD + PING)
		    : HEAD + PING;
		at = HEAD + PING - len;
		n = send(p->fd, ping + at, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			return;		/* full; or ended, which reading tells */
		p->to_write -= (size_t)n;
	}
}

static void file(struct trial *t, struct pinger *p, uint64_t now)
{
	unsigned char phase = p->phases[p->first];

	if (phase == ALONE || phase == MEASURED)
		spread_add(&t->round_trips[phase == MEASURED],
		    now - p->sent_ns[p->first]);
	p->first = (p->first + 1) % OUT_MAX;
	p->out--;
}

/* Returns false when the server has ended it. */
static bool pull(struct trial *t, struct pinger *p)
{
	char answers[8 * (HEAD + PING)];
	ssize_t n = recv(p->fd, answers, sizeof answers, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	for (p->to_read += (size_t)n; p->to_read >= HEAD + PING && p->out;
	    p->to_read -= HEAD + PING)
		file(t, p, now_ns());
	return true;
}

static void ping_if_due(struct trial *t, struct pinger *p, const char *ping)
{
	uint64_t now = now_ns();
	size_t last = (p->first + p->out) % OUT_MAX;

	if (now < p->due_ns)
		return;
	p->due_ns += PING_EVERY_NS;
	if (p->out == OUT_MAX)
		return;
	p->sent_ns[last] = now;
	p->phases[last] = (unsigned char)phase_now(t);
	p->out++;
	p->to_write += HEAD + PING;
	push(p, ping);
}

/* Until the next ping is due, or an answer comes. */
static void await(struct pinger *pingers, struct pollfd *polls)
{
	uint64_t now = now_ns(), next = now + PING_EVERY_NS;
	struct timespec left;

	for (int i = 0; i < POLITE; i++) {
		polls[i].fd = pingers[i].fd;
		polls[i].events = POLLIN | (pingers[i].to_write ? POLLOUT : 0);
		next = pingers[i].due_ns < next ? pingers[i].due_ns : next;
	}
	left = (struct timespec){ .tv_nsec = next > now ? (long)(next - now) : 0 };
	ppoll(polls, POLITE, &left, NULL);
}

static void *ping_all(void *arg)
{
	struct polite *polite = arg;
	struct trial *t = polite->trial;
	struct pinger *p;
	struct pollfd polls[POLITE];
	char ping[HEAD + PING];

	peer_frame(ping, PING, 'p');
	while (phase_now(t) != OVER) {
		await(polite->pingers, polls);
		for (int i = 0; i < POLITE; i++) {
			p = &polite->pingers[i];
			if (polls[i].revents & POLLOUT)
				push(p, ping);
			if (polls[i].revents & ~POLLOUT && !pull(t, p)) {
				t->cut += phase_now(t) != OVER;
				close(p->fd);
				p->fd = -1;
			}
			if (p->fd >= 0)
				ping_if_due(t, p, ping);
		}
	}
	for (int i = 0; i < POLITE; i++)
		while (polite->pingers[i].out)
			file(t, &polite->pingers[i], now_ns());
	return NULL;
}

int polite_start(struct polite *polite, struct trial *t)
{
	uint64_t start;
	int rc;

	polite->trial = t;
	polite->pingers = calloc(POLITE, sizeof *polite->pingers);
	if (!polite->pingers)
		return compare_failed("make", "peers", -ENOMEM);
	for (int i = 0; i < POLITE; i++)
		if ((polite->pingers[i].fd = peer_connect(t)) < 0)
			return 1;
	start = now_ns() + PING_EVERY_NS;
	for (int i = 0; i < POLITE; i++)
		polite->pingers[i].due_ns = start
		    + (uint64_t)i * PING_EVERY_NS / POLITE;
	rc = pthread_create(&polite->thread, NULL, ping_all, polite);
	return rc ? compare_failed("start", "a thread", -rc) : 0;
}

void polite_stop(struct polite *polite)
{
	pthread_join(polite->thread, NULL);
	for (int i = 0; i < POLITE; i++)
		if (polite->pingers[i].fd >= 0)
			close(polite->pingers[i].fd);
	free(polite->pingers);
}
