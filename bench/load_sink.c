/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_sink.c - messages one way, as fast as the server takes them; a thread
 * for each connection that blocks in send.
 *
 * Small messages leave by the batch, which is made once; a large one is its
 * head and the one payload all share, in one call. At the end the server tells
 * what it has got, and only then the span that is measured ends.
 *
 * The warm-up is a round of its own, on other connections: megabytes wait in
 * sockets, and those of the warm-up would be read within the span and not be
 * counted. So the sockets are empty at both ends of it.
 */
#include "load.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH ((size_t)64 * 1024)

struct sender {
	const struct load *load;
	const unsigned char *batch;	/* whole messages; NULL: one by one */
	size_t batch_messages;
	const unsigned char *payload;
	pthread_t thread;
	int fd;
	uint64_t messages;
	struct tally tally;
};

static atomic_bool stopping;

/* All of head and payload, whatever a call leaves over. */
static void send_large(int fd, struct iovec *parts, unsigned n)
{
	struct msghdr msg = { .msg_iov = parts, .msg_iovlen = n };
	ssize_t sent;

	while (msg.msg_iovlen > 0) {
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (sent < 0)
			fail("sendmsg: %m");
		while (msg.msg_iovlen > 0
		    && (size_t)sent >= msg.msg_iov->iov_len) {
			sent -= (ssize_t)msg.msg_iov->iov_len;
			msg.msg_iov++;
			msg.msg_iovlen--;
		}
		if (msg.msg_iovlen > 0) {
			msg.msg_iov->iov_base =
			    (char *)msg.msg_iov->iov_base + sent;
			msg.msg_iov->iov_len -= (size_t)sent;
		}
	}
}

static void send_one(const struct sender *s)
{
	unsigned char head[WIRE_HEAD_MAX];
	const struct load *load = s->load;
	struct iovec parts[2] = {
		{ head, wire_head_len(load->framing, load->size) },
		{ (unsigned char *)s->payload, load->size },
	};

	wire_put_head(load->framing, head, load->size);
	send_large(s->fd, parts, 2);
}

static void *send_until_stopped(void *arg)
{
	struct sender *s = arg;
	const struct load *load = s->load;
	size_t frame = wire_head_len(load->framing, load->size) + load->size;

	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
		if (s->batch) {
			wire_send(s->fd, s->batch, s->batch_messages * frame);
			s->messages += s->batch_messages;
		} else {
			send_one(s);
			s->messages++;
		}
	}
	wire_tally(load, s->fd, &s->tally);
	return NULL;
}

static void prepare(struct sender *s)
{
	const struct load *load = s->load;
	size_t head = wire_head_len(load->framing, load->size), i;
	unsigned char *batch;

	s->batch_messages = BATCH / (head + load->size);
	if (s->batch_messages < 2) {
		batch = get_memory(1, load->size);
		memset(batch, 'x', load->size);
		s->payload = batch;
		return;
	}
	batch = get_memory(s->batch_messages, head + load->size);
	s->batch = batch;
	for (i = 0; i < s->batch_messages; i++, batch += head + load->size) {
		wire_put_head(load->framing, batch, load->size);
		memset(batch + head, 'x', load->size);
	}
}

static void check_tally(const struct load *load, const struct sender *s)
{
	if (s->tally.frames != s->messages
	    || s->tally.bytes != s->messages * load->size)
		fail("sent %llu messages, the server says %llu, of %llu bytes",
		    (unsigned long long)s->messages,
		    (unsigned long long)s->tally.frames,
		    (unsigned long long)s->tally.bytes);
}

static void connect_all(const struct load *load, struct sender *senders)
{
	unsigned i;

	for (i = 0; i < load->connections; i++) {
		senders[i] = senders[0];
		senders[i].messages = 0;
		senders[i].fd = wire_connect(load, 0);
	}
}

/* Until every tally has come. */
static void send_for(const struct load *load, struct sender *senders,
    uint64_t ns)
{
	uint64_t end = clock_ns() + ns;
	unsigned i;

	atomic_store(&stopping, false);
	for (i = 0; i < load->connections; i++)
		if (pthread_create(&senders[i].thread, NULL, send_until_stopped,
		    &senders[i]) != 0)
			fail("no thread for each connection");
	sleep_until(end);
	atomic_store(&stopping, true);
	for (i = 0; i < load->connections; i++)
		pthread_join(senders[i].thread, NULL);
}

static uint64_t close_all(const struct load *load, const struct sender *senders)
{
	uint64_t messages = 0;
	unsigned i;

	for (i = 0; i < load->connections; i++) {
		check_tally(load, &senders[i]);
		messages += senders[i].messages;
		close(senders[i].fd);
	}
	return messages;
}

void load_sink(struct load *load)
{
	struct sender *senders = get_memory(load->connections, sizeof *senders);
	uint64_t messages;

	senders[0].load = load;
	prepare(&senders[0]);
	if (load->warmup_ns > 0) {
		connect_all(load, senders);
		send_for(load, senders, load->warmup_ns);
		close_all(load, senders);
	}
	connect_all(load, senders);
	span_turn(load);
	send_for(load, senders, load->seconds_ns);
	span_turn(load);
	messages = close_all(load, senders);
	report_head(load);
	report_rate(load, messages, messages * load->size);
	report_cost(load, messages, messages * load->size);
	report_peak(load);
	report_end();
}
