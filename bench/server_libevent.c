/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server_libevent.c - one event base in one thread, a bufferevent for each
 * connection, what most users of libevent would write.
 *
 * All whole frames at hand are moved, chain by chain and not copied, from the input
 * to where one writev takes them. Only what that leaves goes to the bufferevent's
 * output, whose own way through the event loop costs two more system calls. While a
 * large frame is incomplete the low-water mark keeps us from being called.
 *
 * What a bufferevent reads at a time is the library's choice: version 2.1 asks the
 * system how much there is and takes 4 KiB at most, whatever
 * bufferevent_set_max_single_read() says; later versions heed it.
 *
 * Backpressure: more than UNSENT_MAX in the output, or any of a large frame, and the
 * connection is not read until the output is empty.
 */
#include "serve.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LARGE ((size_t)64 * 1024)
#define UNSENT_MAX ((size_t)256 * 1024)
#define READ_MAX ((size_t)256 * 1024)

struct peer {
	struct tally tally;
	size_t low;			/* the low-water mark of reading */
	bool last;			/* close when the output is empty */
};

/* Where in the input we look, with what lies contiguous from there. */
struct cursor {
	struct evbuffer *input;
	struct evbuffer_ptr at;
	struct evbuffer_iovec span;
};

static bool sink;
static struct evbuffer *outgoing;	/* empty between two callbacks */

static void finish(struct bufferevent *bev, struct peer *p)
{
	bufferevent_free(bev);
	free(p);
}

/* The number at this offset, from where 4 bytes are known to be. */
static uint32_t head_at(struct cursor *c, size_t offset)
{
	unsigned char head[HEAD_LEN];
	size_t into = offset - (size_t)c->at.pos;

	if (into + HEAD_LEN > c->span.iov_len) {
		evbuffer_ptr_set(c->input, &c->at, into, EVBUFFER_PTR_ADD);
		evbuffer_peek(c->input, HEAD_LEN, &c->at, &c->span, 1);
		into = 0;
	}
	if (into + HEAD_LEN <= c->span.iov_len)
		return get_u32((unsigned char *)c->span.iov_base + into);
	evbuffer_copyout_from(c->input, &c->at, head, sizeof head);
	return get_u32(head);
}

/*
 * How many bytes of whole frames there are, and how large the frame is that begins
 * after them (0: not known yet). False when it must not be.
 */
static bool measure(struct peer *p, struct evbuffer *input, size_t *ret_done,
    size_t *ret_next)
{
	struct cursor c = { .input = input };
	size_t done = 0, len = evbuffer_get_length(input), whole = 0;

	evbuffer_ptr_set(input, &c.at, 0, EVBUFFER_PTR_SET);
	while (len - done >= HEAD_LEN) {
		whole = HEAD_LEN + head_at(&c, done);
		if (whole > HEAD_LEN + FRAME_MAX)
			return false;
		if (len - done < whole)
			break;
		p->tally.frames++;
		p->tally.bytes += whole - HEAD_LEN;
		done += whole;
		whole = 0;
	}
	*ret_done = done;
	*ret_next = whole;
	return true;
}

/* At once what the system takes; what is left waits in the output. */
static bool answer(struct bufferevent *bev, size_t len)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	struct evbuffer *output = bufferevent_get_output(bev);
	int n = 1;

	if (evbuffer_get_length(output) > 0) {
		if (evbuffer_remove_buffer(input, output, len) < 0)
			return false;
	} else {
		if (evbuffer_remove_buffer(input, outgoing, len) < 0)
			return false;
		while (n > 0 && evbuffer_get_length(outgoing) > 0)
			n = evbuffer_write(outgoing, bufferevent_getfd(bev));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (evbuffer_add_buffer(output, outgoing) < 0)
			return false;
	}
	return evbuffer_get_length(output) <= (len > LARGE ? 0 : UNSENT_MAX)
	    || bufferevent_disable(bev, EV_READ) == 0;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(bev);
	struct peer *p = arg;
	size_t done, next, low;

	if (!measure(p, input, &done, &next)
	    || (sink && evbuffer_drain(input, done) < 0)
	    || (!sink && done > 0 && !answer(bev, done))) {
		evbuffer_drain(outgoing, evbuffer_get_length(outgoing));
		finish(bev, p);
		return;
	}
	low = next > LARGE ? next : 0;
	if (low != p->low)
		bufferevent_setwatermark(bev, EV_READ, low, 0);
	p->low = low;
}

/* The output is empty. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct peer *p = arg;

	if (p->last || bufferevent_enable(bev, EV_READ) < 0)
		finish(bev, p);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct evbuffer *output = bufferevent_get_output(bev);
	unsigned char tally[HEAD_LEN + TALLY_LEN];
	struct peer *p = arg;

	if (what & BEV_EVENT_EOF && sink) {
		put_tally(tally, &p->tally);
		evbuffer_add(output, tally, sizeof tally);
	}
	p->last = true;
	if (!(what & BEV_EVENT_EOF) || evbuffer_get_length(output) == 0)
		finish(bev, p);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
    struct sockaddr *addr, int addr_len, void *arg)
{
	struct event_base *base = evconnlistener_get_base(listener);
	struct bufferevent *bev;
	struct peer *p;
	int on = 1;

	(void)addr;
	(void)addr_len;
	(void)arg;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	p = calloc(1, sizeof *p);
	bev = p ? bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE) : NULL;
	if (!bev) {
		free(p);
		evutil_closesocket(fd);
		return;
	}
	bufferevent_setcb(bev, on_read, on_written, on_event, p);
	bufferevent_set_max_single_read(bev, READ_MAX);
	bufferevent_set_max_single_write(bev, HEAD_LEN + FRAME_MAX);
	if (bufferevent_enable(bev, EV_READ | EV_WRITE) < 0)
		finish(bev, p);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	evconnlistener_enable(arg);
}

/* Out of descriptors, most likely: in a while there may be some again. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	static const struct timeval rest = { .tv_usec = 100 * 1000 };

	(void)arg;
	if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT,
		on_rested, listener, &rest) == 0)
		evconnlistener_disable(listener);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base;

	if (!config)
		return NULL;
	event_config_set_flag(config,
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct evconnlistener *listener;
	struct event_base *base;
	struct serve_args args;

	serve_parse(argc, argv, &args);
	sink = args.sink;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(args.port);
	base = new_base();
	outgoing = evbuffer_new();
	if (!base || !outgoing)
		serve_die("libevent");
	listener = evconnlistener_new_bind(base, on_connection, NULL,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
	    4096, (struct sockaddr *)&addr, sizeof addr);
	if (!listener)
		serve_die("evconnlistener_new_bind");
	evconnlistener_set_error_cb(listener, on_accept_error);
	serve_say(serve_port(evconnlistener_get_fd(listener)));
	return event_base_dispatch(base);
}
