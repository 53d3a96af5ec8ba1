/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_get.c - a client made with this library: bp_connect() without a timeout only
 * begins, and from there all is events, so one loop with one deadline does it.
 *
 * HTTP/1.0 is asked for: the server may then neither keep the connection nor cut its
 * answer into chunks, and the end of the connection is that of the answer.
 */
#define _POSIX_C_SOURCE 200809L

#include "http_get.h"

#include <bpthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SLICE_MS 100

/* ---- addresses ------------------------------------------------------------- */

/* Nothing that would end a line of the request, or a word of it. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f || strchr("@?#\\", *text))
			return false;
	return true;
}

/*
 * Where the ":PORT" of a host begins: its end when there is none, NULL when it is no
 * host. Nothing can be asked at port 0.
 */
static const char *port_of(const char *host)
{
	const char *name = *host == '[' ? strchr(host, ']') : host, *colon, *port;
	size_t digits;

	colon = name ? strchr(name, ':') : NULL;
	if (!colon)
		return name ? strchr(host, '\0') : NULL;
	port = colon + 1;
	digits = strspn(port, "0123456789");
	return digits >= 1 && digits <= 5 && !port[digits] && atoi(port) >= 1
	    && atoi(port) <= 65535 && colon > host ? colon : NULL;
}

int http_open(struct http_server *ret_server, const char *url)
{
	const char *path, *port;
	bool only_port;
	int host;

	if (strncasecmp(url, "http://", 7) == 0)
		url += 7;
	host = (int)strcspn(url, "/");
	path = url + host;
	if (host == 0 || !is_plain(url) || strlen(url) > sizeof ret_server->host - 32
	    || strstr(url, "//"))
		return -EINVAL;
	only_port = (int)strspn(url, "0123456789") == host;
	snprintf(ret_server->host, sizeof ret_server->host, "%s%.*s",
	    only_port ? "127.0.0.1:" : "", host, url);
	port = port_of(ret_server->host);
	if (!port)
		return -EINVAL;
	snprintf(ret_server->addr, sizeof ret_server->addr, "%s%s", ret_server->host,
	    *port ? "" : ":80");
	snprintf(ret_server->base, sizeof ret_server->base, "%s%s", path,
	    *path && path[strlen(path) - 1] == '/' ? "" : "/");
	return bp_endpoint_new(&ret_server->ep, NULL);
}

void http_close(struct http_server *server)
{
	bp_endpoint_free(server->ep);
	server->ep = NULL;
}

/* ---- one request ----------------------------------------------------------- */

struct get {
	struct http_server *server;
	struct bp_conn *conn;
	char *bytes;			/* the answer, its head included */
	size_t n, max;
	bool over;
	int error;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int ask(struct get *get, const char *path)
{
	const struct http_server *server = get->server;
	char request[1024];
	int len = snprintf(request, sizeof request, "GET %s%s HTTP/1.0\r\nHost: %s\r\n"
	    "Accept: application/json\r\nUser-Agent: libbpthread/" BP_VERSION "\r\n\r\n",
	    server->base, path, server->host);

	return bp_send(get->conn, request, (size_t)len, 0);
}

static int append(struct get *get, const struct bp_buf *buf)
{
	size_t max = get->max;
	char *bytes;

	if (buf->len > HTTP_ANSWER_MAX - get->n)
		return -EMSGSIZE;
	while (max < get->n + buf->len + 1)
		max = max ? 2 * max : 16384;
	bytes = max > get->max ? realloc(get->bytes, max) : get->bytes;
	if (!bytes)
		return -ENOMEM;
	get->bytes = bytes;
	get->max = max;
	memcpy(bytes + get->n, buf->data, buf->len);
	get->n += buf->len;
	bytes[get->n] = '\0';
	return 0;
}

static void take(struct get *get, const struct bp_event *event, const char *path)
{
	int rc = 0;

	if (event->conn != get->conn)
		return;			/* of one that was given up before */
	if (event->kind == BP_OPENED)
		rc = ask(get, path);
	else if (event->kind == BP_RECEIVED)
		rc = append(get, event->buf);
	else if (event->kind == BP_CLOSED && event->reason != BP_REASON_PEER)
		rc = event->err ? event->err : -EPROTO;
	get->over = event->kind == BP_CLOSED || rc < 0;
	get->error = rc;
}

static int wait_for(struct get *get, const char *path, int timeout_ms,
    bool (*give_up)(void *arg), void *arg)
{
	uint64_t until = now_ms() + (uint64_t)timeout_ms, now;
	struct bp_event *event;
	int rc;

	while (!get->over) {
		now = now_ms();
		if (now >= until)
			return -ETIMEDOUT;
		if (give_up && give_up(arg))
			return -ECANCELED;
		rc = bp_receive(get->server->ep, &event,
		    until - now < SLICE_MS ? (int)(until - now) : SLICE_MS);
		if (rc == -ETIMEDOUT)
			continue;
		if (rc < 0)
			return rc;
		take(get, event, path);
		bp_event_free(event);
	}
	return get->error;
}

/* ---- the answer ------------------------------------------------------------ */

static const char *header(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1;
	}
	return NULL;
}

/* Whether all of it has come is told by its length alone. */
static int take_apart(struct get *get, struct http_answer *ret)
{
	char *end = get->bytes ? strstr(get->bytes, "\r\n\r\n") : NULL;
	const char *length;
	size_t len;

	if (!end || strncmp(get->bytes, "HTTP/1.", 7) != 0 || get->bytes[8] != ' ')
		return -EPROTO;
	*end = '\0';
	len = get->n - (size_t)(end + 4 - get->bytes);
	length = header(get->bytes, "Content-Length");
	if (length && strtoull(length, NULL, 10) != len)
		return -EPROTO;
	*ret = (struct http_answer){ atoi(get->bytes + 9), end + 4, len, get->bytes };
	return 0;
}

int http_get(struct http_server *server, const char *path, int timeout_ms,
    bool (*give_up)(void *arg), void *arg, struct http_answer *ret_answer)
{
	const struct bp_conn_config config = { .framer = &bp_framer_raw, .linger_ms = 100 };
	struct get get = { .server = server };
	int rc = bp_connect(server->ep, &get.conn, server->addr, &config, 0);

	if (rc < 0)
		return rc;
	rc = wait_for(&get, path, timeout_ms, give_up, arg);
	bp_conn_abort(get.conn, BP_REASON_ABORT);
	bp_conn_unref(get.conn);
	if (rc == 0)
		rc = take_apart(&get, ret_answer);
	if (rc < 0)
		free(get.bytes);
	return rc;
}

void http_free(struct http_answer *answer)
{
	free(answer->whole);
	*answer = (struct http_answer){ 0 };
}
