/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_slow.c - peers that send and do not read: does the server stop to take
 * more, and does all come back, once they read?
 *
 * First nothing is read. A server that waits for its peer has closed the window
 * when no connection could send for STALL_MS; one that takes all of it is found
 * by its memory. The sockets on this side hold little, or much of it would wait
 * here. Then everything is read, the rest is sent, and each byte is compared:
 * every message is another, by its connection, its number and the place in it.
 */
#include "load.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define PUMPED ((size_t)8 * 1024 * 1024)	/* bytes of payload, on each */
#define STALL_MS 300
#define SOCKET_BUFFER (64 * 1024)

struct slow {
	int fd;
	uint32_t number;	/* of the connection */
	size_t sent, got;	/* whole messages */
	size_t out, in;		/* bytes of the one after these */
	unsigned char *to_send, *received;
	bool *came;		/* of each message */
};

struct pump {
	const struct load *load;
	size_t head, frame;
	size_t messages;	/* on each connection */
	struct slow *slow;
	struct pollfd *polls;
	unsigned char *expected;
};

static void fill(const struct pump *pump, unsigned char *p, uint32_t conn,
    uint32_t number)
{
	uint64_t word = (uint64_t)conn << 32 | number;
	size_t i;

	wire_put_head(pump->load->framing, p, pump->load->size);
	p += pump->head;
	word *= UINT64_C(0xbf58476d1ce4e5b9);
	for (i = 0; i + sizeof word <= pump->load->size; i += sizeof word) {
		word += UINT64_C(0x9e3779b97f4a7c15);
		memcpy(p + i, &word, sizeof word);
	}
	memset(p + i, (int)number, pump->load->size - i);
	put_u32(p, conn);
	put_u32(p + 4, number);
}

/* Until all is sent or the socket is full. */
static void send_some(const struct pump *pump, struct slow *s)
{
	ssize_t n;

	while (s->sent < pump->messages) {
		if (s->out == 0)
			fill(pump, s->to_send, s->number, (uint32_t)s->sent);
		n = send(s->fd, s->to_send + s->out, pump->frame - s->out,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			fail("send: %m");
		s->out += (size_t)n;
		if (s->out == pump->frame) {
			s->sent++;
			s->out = 0;
		}
	}
}

/* Which it is, it tells; in sp they come in any order, otherwise in theirs. */
static void check(const struct pump *pump, struct slow *s)
{
	uint32_t number = get_u32(s->received + pump->head + 4);

	if (number >= pump->messages || s->came[number]
	    || (pump->load->framing != FRAMING_SP && number != s->got))
		fail("not the message %zu of connection %u", s->got, s->number);
	fill(pump, pump->expected, s->number, number);
	if (memcmp(s->received, pump->expected, pump->frame) != 0)
		fail("message %u of connection %u is not as it was sent",
		    number, s->number);
	s->came[number] = true;
}

static void receive_some(const struct pump *pump, struct slow *s)
{
	ssize_t n = recv(s->fd, s->received + s->in, pump->frame - s->in,
	    MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0)
		fail("recv: %m");
	if (n == 0)
		fail("the server closed a connection");
	s->in += (size_t)n;
	if (s->in == pump->frame) {
		check(pump, s);
		s->got++;
		s->in = 0;
	}
}

/* How many connections can go on in time. */
static int wait_for(struct pump *pump, bool reading, int timeout_ms)
{
	unsigned i;
	int n;

	for (i = 0; i < pump->load->connections; i++) {
		const struct slow *s = &pump->slow[i];

		pump->polls[i].fd = s->fd;
		pump->polls[i].events = 0;
		if (s->sent < pump->messages)
			pump->polls[i].events |= POLLOUT;
		if (reading && s->got < pump->messages)
			pump->polls[i].events |= POLLIN;
		if (pump->polls[i].events == 0)
			pump->polls[i].fd = -1;
	}
	n = poll(pump->polls, pump->load->connections, timeout_ms);
	if (n < 0)
		fail("poll: %m");
	return n;
}

static bool all_is(const struct pump *pump, bool reading)
{
	unsigned i;

	for (i = 0; i < pump->load->connections; i++)
		if (pump->slow[i].sent < pump->messages
		    || (reading && pump->slow[i].got < pump->messages))
			return false;
	return true;
}

static uint64_t sent_bytes(const struct pump *pump)
{
	uint64_t bytes = 0;
	unsigned i;

	for (i = 0; i < pump->load->connections; i++)
		bytes += pump->slow[i].sent * pump->frame + pump->slow[i].out;
	return bytes;
}

static void run(struct pump *pump, bool reading, int timeout_ms)
{
	unsigned i;

	while (!all_is(pump, reading)
	    && wait_for(pump, reading, timeout_ms) > 0)
		for (i = 0; i < pump->load->connections; i++) {
			if (pump->polls[i].revents & ~POLLOUT)
				receive_some(pump, &pump->slow[i]);
			if (pump->polls[i].revents & POLLOUT)
				send_some(pump, &pump->slow[i]);
		}
}

static int connect_narrow(const struct load *load)
{
	int fd = wire_connect(load, 0), bytes = SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) < 0
	    || setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) < 0)
		fail("setsockopt: %m");
	return fd;
}

static void prepare(struct pump *pump)
{
	const struct load *load = pump->load;
	unsigned i;

	if (load->size < 8 || load->size > PUMPED)
		fail("slow needs messages of 8 bytes to %zu", PUMPED);
	pump->head = wire_head_len(load->framing, load->size);
	pump->frame = pump->head + load->size;
	pump->messages = PUMPED / load->size;
	pump->slow = get_memory(load->connections, sizeof *pump->slow);
	pump->polls = get_memory(load->connections, sizeof *pump->polls);
	pump->expected = get_memory(1, pump->frame);
	for (i = 0; i < load->connections; i++) {
		pump->slow[i].fd = connect_narrow(load);
		pump->slow[i].number = i;
		pump->slow[i].to_send = get_memory(1, pump->frame);
		pump->slow[i].received = get_memory(1, pump->frame);
		pump->slow[i].came = get_memory(pump->messages, sizeof(bool));
	}
}

void load_slow(struct load *load)
{
	struct pump pump = { .load = load };
	uint64_t before_stall;

	prepare(&pump);
	run(&pump, false, STALL_MS);
	before_stall = sent_bytes(&pump);
	run(&pump, true, -1);
	report_head(load);
	report_number("bytes",
	    (uint64_t)load->connections * pump.messages * load->size);
	report_number("sent_before_stall_bytes", before_stall);
	report_peak(load);
	report_number("verified", 1);
	report_end();
}
