/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_libuv.c - one loop in one thread, the way libuv is usually run.
 *
 * A read buffer belongs to a connection only while there are bytes of it in there:
 * idle connections have none, and busy ones take turns with one that is warm in the
 * cache. All whole frames of a read are answered from where they lie by one
 * uv_try_write(); a frame that does not fit is read straight into memory of the
 * connection's own and answered from there. Nothing is copied but the beginning of
 * such a frame and of one that came in parts.
 *
 * Backpressure: what the system did not take at once goes to uv_write(), and the
 * connection is not read until that is done. So it never holds more than one buffer
 * or one large frame, and its bytes may stay where they are.
 */
#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BUFFER ((size_t)64 * 1024)

struct peer {
	uv_tcp_t tcp;
	uv_read_cb on_read;		/* what reading resumes with */
	uv_write_t rest;		/* the one write that may be under way */
	bool unsent;			/* it is */
	bool last;			/* close when it is done */
	struct tally tally;
	unsigned char tally_frame[HEAD_LEN + TALLY_LEN];
	unsigned char *buffer;		/* lent, while there is something in it */
	size_t begin, end;		/* there: what is not answered yet */
	unsigned char *large;		/* a frame with its head, once one came */
	size_t have, whole;		/* of that; whole is 0 while none is read */
};

static bool sink;
static unsigned char *spare;		/* the buffer to lend next, if any */

static void lend(struct peer *p)
{
	p->buffer = spare ? spare : malloc(BUFFER);
	spare = NULL;
}

static void give_back(struct peer *p)
{
	if (spare)
		free(p->buffer);
	else
		spare = p->buffer;
	p->buffer = NULL;
	p->begin = p->end = 0;
}

static void give_back_if_empty(struct peer *p)
{
	if (p->buffer && p->begin == p->end && !p->unsent)
		give_back(p);
}

static void on_closed(uv_handle_t *handle)
{
	struct peer *p = handle->data;

	if (p->buffer)
		give_back(p);
	free(p->large);
	free(p);
}

static void finish(struct peer *p)
{
	if (!uv_is_closing((uv_handle_t *)&p->tcp))
		uv_close((uv_handle_t *)&p->tcp, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
	struct peer *p = handle->data;

	(void)suggested;
	if (p->whole) {
		ret_buf->base = (char *)p->large + p->have;
		ret_buf->len = p->whole - p->have;
		return;
	}
	if (!p->buffer)
		lend(p);
	if (!p->buffer)
		return;		/* no room: the read ends in UV_ENOBUFS */
	p->end -= p->begin;
	memmove(p->buffer, p->buffer + p->begin, p->end);
	p->begin = 0;
	ret_buf->base = (char *)p->buffer + p->end;
	ret_buf->len = BUFFER - p->end;
}

static void on_written(uv_write_t *rest, int status)
{
	struct peer *p = rest->data;

	p->unsent = false;
	give_back_if_empty(p);
	if (status < 0 || p->last
	    || uv_read_start((uv_stream_t *)&p->tcp, on_alloc, p->on_read) < 0)
		finish(p);
}

/* The bytes stay where they are until all are sent: nothing is read meanwhile. */
static bool answer(struct peer *p, unsigned char *bytes, size_t len)
{
	uv_stream_t *stream = (uv_stream_t *)&p->tcp;
	uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)len);
	int n;

	n = uv_try_write(stream, &buf, 1);
	if (n < 0 && n != UV_EAGAIN)
		return false;
	if (n > 0) {
		buf.base += n;
		buf.len -= (size_t)n;
	}
	if (buf.len == 0)
		return true;
	uv_read_stop(stream);
	p->unsent = true;
	return uv_write(&p->rest, stream, &buf, 1, on_written) == 0;
}

static void count(struct peer *p, size_t payload)
{
	p->tally.frames++;
	p->tally.bytes += payload;
}

/* One of which a part is all that is left in the buffer. */
static bool begin_large(struct peer *p, size_t whole)
{
	if (!p->large)
		p->large = malloc(HEAD_LEN + FRAME_MAX);
	if (!p->large)
		return false;
	p->have = p->end - p->begin;
	p->whole = whole;
	memcpy(p->large, p->buffer + p->begin, p->have);
	p->begin = p->end;
	return true;
}

static bool serve_large(struct peer *p, size_t n)
{
	size_t whole = p->whole;

	p->have += n;
	if (p->have < whole)
		return true;
	p->whole = 0;
	count(p, whole - HEAD_LEN);
	return sink || answer(p, p->large, whole);
}

/* The whole frames at hand. */
static bool serve_frames(struct peer *p, size_t n)
{
	size_t from = p->begin, whole = 0;

	p->end += n;
	while (p->end - p->begin >= HEAD_LEN) {
		whole = HEAD_LEN + get_u32(p->buffer + p->begin);
		if (whole > HEAD_LEN + FRAME_MAX)
			return false;
		if (p->end - p->begin < whole)
			break;
		count(p, whole - HEAD_LEN);
		p->begin += whole;
	}
	if (!sink && p->begin > from
	    && !answer(p, p->buffer + from, p->begin - from))
		return false;
	return p->end - p->begin < HEAD_LEN || whole <= BUFFER
	    || begin_large(p, whole);
}

/* False when the tally is sent, or cannot be: in both cases it is over. */
static bool answer_tally(struct peer *p)
{
	put_tally(p->tally_frame, &p->tally);
	p->last = true;
	return answer(p, p->tally_frame, sizeof p->tally_frame) && p->unsent;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct peer *p = stream->data;
	bool more = true;

	(void)buf;
	if (n > 0)
		more = p->whole ? serve_large(p, (size_t)n)
				: serve_frames(p, (size_t)n);
	else if (n < 0)
		more = n == UV_EOF && sink && answer_tally(p);
	give_back_if_empty(p);
	if (!more)
		finish(p);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct peer *p;

	if (status < 0)
		return;
	p = calloc(1, sizeof *p);
	if (!p)
		serve_die("calloc");	/* who does not accept is never called again */
	uv_tcp_init(listener->loop, &p->tcp);
	p->tcp.data = p;
	p->rest.data = p;
	p->on_read = on_read;
	if (uv_accept(listener, (uv_stream_t *)&p->tcp) < 0
	    || uv_tcp_nodelay(&p->tcp, 1) < 0
	    || uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read) < 0)
		finish(p);
}

static void check(int rc, const char *what)
{
	if (rc < 0) {
		fprintf(stderr, "%s: %s\n", what, uv_strerror(rc));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct serve_args args;
	struct sockaddr_in addr;
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;
	uv_os_fd_t fd;

	serve_parse(argc, argv, &args);
	sink = args.sink;
	uv_ip4_addr("127.0.0.1", args.port, &addr);
	check(uv_tcp_init(loop, &listener), "uv_tcp_init");
	check(uv_tcp_bind(&listener, (struct sockaddr *)&addr, 0), "uv_tcp_bind");
	check(uv_listen((uv_stream_t *)&listener, 4096, on_connection), "uv_listen");
	check(uv_fileno((uv_handle_t *)&listener, &fd), "uv_fileno");
	serve_say(serve_port(fd));
	return uv_run(loop, UV_RUN_DEFAULT);
}
