/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.h - an endpoint that is watched, and an observer: HTTP by hand over
 * the plain sockets of peer.h, so that what is asked can also be wrong.
 */
#ifndef TEST_MONITOR_H
#define TEST_MONITOR_H

#include <bpthread_monitor.h>
#include <stdbool.h>
#include <stddef.h>

#include "harness.h"
#include "peer.h"

struct watched {
	struct bp_endpoint *ep;
	struct bp_monitor *monitor;
	char addr[ADDR_MAX];		/* of the endpoint, 127.0.0.1 */
	char at[ADDR_MAX];		/* of the monitor, likewise */
};

/* Both configs may be NULL. */
void watch(struct watched *watched, const struct bp_endpoint_config *config,
    const struct bp_conn_config *conn_config);
void unwatch(struct watched *watched);	/* finish() is part of it */

struct answer {
	int status;			/* 0: there was none */
	char *head;			/* a string; from the second line on */
	char *body;			/* a string; may hold zeros, too */
	size_t len;			/* of the body */
};

/* "GET path", with Host: localhost, and more header lines that end with \r\n, or "". */
struct answer get(const char *at, const char *path, const char *more);
/* Whatever it is, to the end of the connection. */
struct answer ask(const char *at, const char *request);
struct answer read_answer(int fd);
void answer_free(struct answer *answer);

/* GET it, with that status; the body is to be freed. */
char *body_of(const char *at, const char *path, const char *more, int status);

/* The value of that header, to the end of its line, is value. */
bool has_header(const struct answer *answer, const char *name, const char *value);

/* Well-formed JSON and nothing else, all of it printable ASCII but for line ends. */
bool is_json(const char *text);

/* The number after "key": in text, the first one; negative: there is none. */
double number_of(const char *text, const char *key);
int count_of(const char *text, const char *what);

#endif /* TEST_MONITOR_H */
