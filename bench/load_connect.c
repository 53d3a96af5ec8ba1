/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_connect.c - connect, one message, its answer, close, and again: as many
 * at a time as --connections says, each by a thread that blocks. (One thread
 * with epoll cost the same CPU, and would do one greeting after the other where
 * the framing has one.)
 *
 * Who closes first keeps the port for a minute, so the connections are made
 * from one address after the other.
 */
#include "load.h"

#include <pthread.h>
#include <unistd.h>

struct cycler {
	struct load *load;
	const struct stream *stream;
	unsigned char *scratch;
	pthread_t thread;
	unsigned source;
	struct histogram times;
};

static atomic_bool stopping;

static void cycle(const struct cycler *c)
{
	struct echo echo = { .stream = c->stream };

	echo.fd = wire_connect(c->load, c->source);
	echo_allow(&echo, 1);
	echo_send(&echo, 0);
	while (echo_recv(&echo, c->scratch, c->stream->frame, 0) == 0)
		;
	close(echo.fd);
}

static void *cycle_until_stopped(void *arg)
{
	struct cycler *c = arg;
	uint64_t since = clock_ns(), now;

	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
		c->source += c->load->connections;
		cycle(c);
		now = clock_ns();
		if (c->load->measuring)
			histogram_add(&c->times, now - since);
		since = now;
	}
	return NULL;
}

static void start(struct load *load, struct cycler *cyclers,
    const struct stream *stream)
{
	unsigned i;

	for (i = 0; i < load->connections; i++) {
		cyclers[i].load = load;
		cyclers[i].stream = stream;
		cyclers[i].scratch = get_memory(1, stream->frame);
		cyclers[i].source = i;
		if (pthread_create(&cyclers[i].thread, NULL,
		    cycle_until_stopped, &cyclers[i]) != 0)
			fail("no thread for each connection");
	}
}

void load_connect(struct load *load)
{
	static struct histogram times;
	struct stream stream;
	struct cycler *cyclers = get_memory(load->connections, sizeof *cyclers);
	unsigned i;

	stream_init(&stream, load);
	span_start(load);
	start(load, cyclers, &stream);
	span_await(load);
	sleep_until(load->next_ns);
	span_turn(load);
	atomic_store(&stopping, true);
	for (i = 0; i < load->connections; i++) {
		pthread_join(cyclers[i].thread, NULL);
		histogram_merge(&times, &cyclers[i].times);
	}
	report_head(load);
	report_rate(load, times.count, times.count * load->size);
	report_latency(&times);
	report_cost(load, times.count, times.count * load->size);
	report_peak(load);
	report_end();
}
