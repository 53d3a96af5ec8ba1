/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http_get.h - one GET after the other from an HTTP server that may be anything: a
 * deadline over all of it, an answer of bounded size, nothing of it trusted.
 */
#ifndef HTTP_GET_H
#define HTTP_GET_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_ANSWER_MAX ((size_t)4 << 20)

struct bp_endpoint;

struct http_server {
	char addr[300];			/* as bp_connect() takes it */
	char host[300];			/* as Host wants it */
	char base[300];			/* "/", or more: begins and ends with one */
	struct bp_endpoint *ep;
};

struct http_answer {
	int status;			/* 200 */
	char *body;			/* ends with a NUL that is not of it */
	size_t len;
	char *whole;			/* to be freed */
};

/* "http://HOST[:PORT][/PATH]", "HOST:PORT" or "PORT". Returns -EINVAL, -ENOMEM. */
int http_open(struct http_server *ret_server, const char *url);
void http_close(struct http_server *server);

/*
 * Get what is at base and path. give_up is asked ten times a second. Returns 0 with
 * an answer, whatever its status; -ETIMEDOUT, -ECONNREFUSED, -ECANCELED (given up),
 * -EPROTO (that is no HTTP, or was cut off), -EMSGSIZE, ...
 */
int http_get(struct http_server *server, const char *path, int timeout_ms,
    bool (*give_up)(void *arg), void *arg, struct http_answer *ret_answer);
void http_free(struct http_answer *answer);

#endif /* HTTP_GET_H */
