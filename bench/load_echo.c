/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_echo.c - a stream of messages that must come back as it was sent.
 *
 * What is sent is known by its place in the stream, and so is what must come
 * back: nothing is parsed, no connection has a buffer, and a message that is
 * lost, late or another's is seen as a difference of bytes.
 */
#include "load.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define PERIOD ((size_t)128 * 1024)
#define COMPARED_FRAME_MAX ((size_t)16 * 1024)
#define END ((size_t)64)	/* of what is larger, that is compared */

static void fill_frame(unsigned char *p, const struct load *load,
    uint32_t number)
{
	size_t i, head = wire_head_len(load->framing, load->size);

	wire_put_head(load->framing, p, load->size);
	p += head;
	for (i = 0; i < load->size; i++)
		p[i] = (unsigned char)(i * 7 + i / 256);
	if (load->size >= sizeof number)
		put_u32(p, number);
}

void stream_init(struct stream *stream, const struct load *load)
{
	size_t i, different = 1;

	stream->frame = wire_head_len(load->framing, load->size) + load->size;
	if (load->framing != FRAMING_SP && stream->frame < PERIOD)
		different = PERIOD / stream->frame;
	stream->period = different * stream->frame;
	stream->bytes = get_memory(2, stream->period);
	for (i = 0; i < 2 * different; i++)
		fill_frame(stream->bytes + i * stream->frame, load,
		    (uint32_t)(i % different));
}

static const unsigned char *place(const struct stream *stream, uint64_t at)
{
	return stream->bytes + at % stream->period;
}

static size_t least(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

bool echo_send(struct echo *echo, int flags)
{
	const struct stream *stream = echo->stream;
	ssize_t n;

	while (echo->out < echo->due) {
		n = send(echo->fd, place(stream, echo->out),
		    least(echo->due - echo->out, stream->period),
		    flags | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			fail("send: %m");
		echo->out += (uint64_t)n;
	}
	return true;
}

static bool is_same(const struct stream *stream, const unsigned char *got,
    uint64_t at, size_t len)
{
	const unsigned char *expected = place(stream, at);

	if (stream->frame <= COMPARED_FRAME_MAX || len <= 2 * END)
		return memcmp(got, expected, len) == 0;
	return memcmp(got, expected, END) == 0
	    && memcmp(got + len - END, expected + len - END, END) == 0;
}

uint64_t echo_recv(struct echo *echo, unsigned char *scratch, size_t room,
    int flags)
{
	const struct stream *stream = echo->stream;
	uint64_t before = echo->in / stream->frame;
	ssize_t n;

	room = least(echo->out - echo->in, least(stream->period, room));
	echo->more = false;
	if (room == 0)
		return 0;
	n = recv(echo->fd, scratch, room, flags);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0)
		fail("recv: %m");
	if (n == 0)
		fail("the server closed a connection");
	if (!is_same(stream, scratch, echo->in, (size_t)n))
		fail("an answer other than its message");
	echo->in += (uint64_t)n;
	echo->more = (size_t)n == room && echo->in < echo->out;
	return echo->in / stream->frame - before;
}
