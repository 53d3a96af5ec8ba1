/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_pingpong.c - a message, its answer, the next message; the time of each.
 *
 * One connection blocks in send and in recv, and in nothing else: two system
 * calls a message. Where a message is larger than what the sockets surely hold,
 * the answer may begin before the message has left, so there it polls while it
 * sends. Many connections share one thread and its epoll: a thread for each
 * would take more CPU than the servers.
 */
#include "load.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BLOCKING_MAX ((size_t)64 * 1024)
#define EVENTS 64

struct pinger {
	struct echo echo;
	uint64_t since_ns;
};

static struct histogram times;
static uint64_t messages;

/* Answered is how many have been, now is when. */
static void note(const struct load *load, struct pinger *p, uint64_t now)
{
	if (load->measuring) {
		histogram_add(&times, now - p->since_ns);
		messages++;
	}
	p->since_ns = now;
}

static void exchange_large(struct echo *echo, unsigned char *scratch,
    size_t room)
{
	struct pollfd both = { .fd = echo->fd, .events = POLLIN | POLLOUT };

	while (!echo_send(echo, MSG_DONTWAIT)) {
		if (poll(&both, 1, -1) < 0)
			fail("poll: %m");
		if (both.revents & POLLIN)
			echo_recv(echo, scratch, room, MSG_DONTWAIT);
	}
	while (echo->in < echo->due)
		echo_recv(echo, scratch, room, MSG_WAITALL);
}

static void exchange(struct echo *echo, unsigned char *scratch, size_t room)
{
	echo_send(echo, 0);
	while (echo_recv(echo, scratch, room, 0) == 0)
		;
}

static void ping_one(struct load *load, struct pinger *p,
    unsigned char *scratch)
{
	size_t frame = p->echo.stream->frame;
	uint64_t now;

	span_start(load);
	p->since_ns = now = clock_ns();
	while (span_goes_on(load, now)) {
		echo_allow(&p->echo, 1);
		if (frame <= BLOCKING_MAX)
			exchange(&p->echo, scratch, frame);
		else
			exchange_large(&p->echo, scratch, frame);
		now = clock_ns();
		note(load, p, now);
	}
}

/*
 * Until all is read that had been sent before: what is sent here makes an edge
 * of its own, and the other connections come first.
 */
static void serve(struct load *load, struct pinger *p, unsigned char *scratch)
{
	size_t frame = p->echo.stream->frame;

	do {
		if (echo_recv(&p->echo, scratch, frame, MSG_DONTWAIT) > 0) {
			note(load, p, clock_ns());
			echo_allow(&p->echo, 1);
		}
		echo_send(&p->echo, MSG_DONTWAIT);
	} while (p->echo.more);
}

static void ping_many(struct load *load, struct pinger *pingers,
    unsigned char *scratch)
{
	struct epoll_event events[EVENTS];
	int epoll = wire_epoll();
	unsigned i;
	int n;

	span_start(load);
	for (i = 0; i < load->connections; i++) {
		wire_watch(epoll, pingers[i].echo.fd, &pingers[i]);
		pingers[i].since_ns = clock_ns();
		echo_allow(&pingers[i].echo, 1);
		echo_send(&pingers[i].echo, MSG_DONTWAIT);
	}
	while (span_goes_on(load, clock_ns())) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		if (n < 0)
			fail("epoll_wait: %m");
		while (n-- > 0)
			serve(load, events[n].data.ptr, scratch);
	}
}

void load_pingpong(struct load *load)
{
	struct stream stream;
	struct pinger *pingers = get_memory(load->connections, sizeof *pingers);
	unsigned char *scratch;
	unsigned i;

	stream_init(&stream, load);
	scratch = get_memory(1, stream.frame);
	for (i = 0; i < load->connections; i++) {
		pingers[i].echo.fd = wire_connect(load, 0);
		pingers[i].echo.stream = &stream;
	}
	if (load->connections == 1)
		ping_one(load, pingers, scratch);
	else
		ping_many(load, pingers, scratch);
	report_head(load);
	report_rate(load, messages, messages * load->size);
	report_latency(&times);
	report_cost(load, messages, messages * load->size);
	report_peak(load);
	report_end();
}
