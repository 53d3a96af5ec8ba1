/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_pipeline.c - always the same number of messages under way on each
 * connection: for as many as were answered at once, as many are sent at once.
 */
#include "load.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define ROOM ((size_t)256 * 1024)
#define EVENTS 64

static uint64_t messages;

/*
 * Until all is read that had been sent before: what is sent here makes an edge
 * of its own, and the other connections come first.
 */
static void serve(const struct load *load, struct echo *echo,
    unsigned char *scratch)
{
	uint64_t answered;

	do {
		answered = echo_recv(echo, scratch, ROOM, MSG_DONTWAIT);
		if (load->measuring)
			messages += answered;
		echo_allow(echo, answered);
		echo_send(echo, MSG_DONTWAIT);
	} while (echo->more);
}

static void run(struct load *load, struct echo *echoes, unsigned char *scratch)
{
	struct epoll_event events[EVENTS];
	int epoll = wire_epoll();
	unsigned i;
	int n;

	span_start(load);
	for (i = 0; i < load->connections; i++) {
		wire_watch(epoll, echoes[i].fd, &echoes[i]);
		echo_allow(&echoes[i], load->outstanding);
		echo_send(&echoes[i], MSG_DONTWAIT);
	}
	while (span_goes_on(load, clock_ns())) {
		n = epoll_wait(epoll, events, EVENTS, -1);
		if (n < 0)
			fail("epoll_wait: %m");
		while (n-- > 0)
			serve(load, events[n].data.ptr, scratch);
	}
}

void load_pipeline(struct load *load)
{
	struct stream stream;
	struct echo *echoes = get_memory(load->connections, sizeof *echoes);
	unsigned char *scratch = get_memory(1, ROOM);
	unsigned i;

	stream_init(&stream, load);
	for (i = 0; i < load->connections; i++) {
		echoes[i].fd = wire_connect(load, 0);
		echoes[i].stream = &stream;
	}
	run(load, echoes, scratch);
	report_head(load);
	report_number("outstanding", load->outstanding);
	report_rate(load, messages, messages * load->size);
	report_cost(load, messages, messages * load->size);
	report_peak(load);
	report_end();
}
