/* SPDX-License-Identifier: BSD-2-Clause */
/* monitor.c - see monitor.h. */
#include "config.h"

#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define URL "http://"

void watch(struct watched *watched, const struct bp_endpoint_config *config,
    const struct bp_conn_config *conn_config)
{
	const char *url;

	watched->ep = serve(config, conn_config, watched->addr);
	REQUIRE_EQ(bp_monitor_start(&watched->monitor, watched->ep, "127.0.0.1:0",
	    NULL), 0);
	url = bp_monitor_url(watched->monitor);
	REQUIRE(strncmp(url, URL, strlen(URL)) == 0);
	snprintf(watched->at, sizeof watched->at, "%s", url + strlen(URL));
	watched->at[strcspn(watched->at, "/")] = '\0';
}

void unwatch(struct watched *watched)
{
	bp_monitor_stop(watched->monitor);
	finish(watched->ep);
}

/* ---- asking -------------------------------------------------------------- */

static char *read_all(int fd, size_t *ret_len)
{
	size_t size = 1 << 16, len = 0;
	char *data = malloc(size + 1);
	ssize_t n;

	REQUIRE(data != NULL);
	while ((n = peer_recv_some(fd, data + len, size - len)) > 0) {
		len += (size_t)n;
		if (len == size) {
			data = realloc(data, (size *= 2) + 1);
			REQUIRE(data != NULL);
		}
	}
	data[len] = '\0';
	*ret_len = len;
	return data;
}

struct answer read_answer(int fd)
{
	struct answer answer = { 0 };
	size_t len;
	char *all = read_all(fd, &len), *body = strstr(all, "\r\n\r\n");

	if (sscanf(all, "HTTP/1.%*d %d ", &answer.status) != 1 || !body) {
		answer.status = 0;
		answer.head = all;
		answer.body = calloc(1, 1);
		return answer;
	}
	body[2] = '\0';
	body += 4;
	answer.len = len - (size_t)(body - all);
	answer.body = malloc(answer.len + 1);
	REQUIRE(answer.body != NULL);
	memcpy(answer.body, body, answer.len + 1);
	answer.head = all;
	return answer;
}

struct answer ask(const char *at, const char *request)
{
	struct answer answer;
	int fd = peer_connect(at);

	peer_send_some(fd, request, strlen(request));
	answer = read_answer(fd);
	peer_close(fd);
	return answer;
}

struct answer get(const char *at, const char *path, const char *more)
{
	char request[1024];

	snprintf(request, sizeof request,
	    "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n", path,
	    more);
	return ask(at, request);
}

void answer_free(struct answer *answer)
{
	free(answer->head);
	free(answer->body);
}

char *body_of(const char *at, const char *path, const char *more, int status)
{
	struct answer answer = get(at, path, more);

	CHECK_EQ(answer.status, status);
	free(answer.head);
	return answer.body;
}

bool has_header(const struct answer *answer, const char *name, const char *value)
{
	const char *line = answer->head;
	size_t len = strlen(name), value_len = strlen(value);

	while ((line = strstr(line, "\r\n"))) {
		line += 2;
		if (strncasecmp(line, name, len) == 0 && line[len] == ':'
		    && strncmp(line + len + 2, value, value_len) == 0
		    && line[len + 2 + value_len] == '\r')
			return true;
	}
	return false;
}

/* ---- JSON ---------------------------------------------------------------- */

static const char *skip_space(const char *at)
{
	return at + strspn(at, " \n");
}

static const char *skip_string(const char *at)
{
	if (*at++ != '"')
		return NULL;
	for (; *at != '"'; at++) {
		if (*at < ' ' || *at > '~' || strchr("<>&", *at))
			return NULL;
		if (*at != '\\')
			continue;
		if (*++at == 'u' && strspn(at + 1, "0123456789abcdef") >= 4)
			at += 4;
		else if (!*at || !strchr("\"\\/bfnrt", *at))
			return NULL;
	}
	return at + 1;
}

static const char *skip_number(const char *at)
{
	char *end;

	if (*at == '0' && at[1] >= '0' && at[1] <= '9')
		return NULL;
	strtod(at, &end);
	return end;
}

static const char *skip_value(const char *at, int depth);

static const char *skip_members(const char *at, char close, int depth)
{
	for (at = skip_space(at + 1); *at != close; at = skip_space(at + 1)) {
		if (close == '}') {
			at = skip_string(at);
			if (!at || *(at = skip_space(at)) != ':')
				return NULL;
			at = skip_space(at + 1);
		}
		at = skip_value(at, depth - 1);
		if (!at || !strchr(close == '}' ? ",}" : ",]", *(at = skip_space(at)))
		    || !*at)
			return NULL;
		if (*at == close)
			break;
		if (*skip_space(at + 1) == close)
			return NULL;
	}
	return at + 1;
}

static const char *skip_value(const char *at, int depth)
{
	if (depth == 0)
		return NULL;
	if (*at == '{' || *at == '[')
		return skip_members(at, *at == '{' ? '}' : ']', depth);
	if (*at == '"')
		return skip_string(at);
	if (strncmp(at, "true", 4) == 0 || strncmp(at, "null", 4) == 0)
		return at + 4;
	if (strncmp(at, "false", 5) == 0)
		return at + 5;
	return (*at >= '0' && *at <= '9') || *at == '-' ? skip_number(at) : NULL;
}

bool is_json(const char *text)
{
	const char *end = skip_value(skip_space(text), 8);

	return end && !*skip_space(end);
}

double number_of(const char *text, const char *key)
{
	char quoted[64];
	const char *at;

	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	at = strstr(text, quoted);
	return at ? strtod(at + strlen(quoted), NULL) : -1;
}

int count_of(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}
