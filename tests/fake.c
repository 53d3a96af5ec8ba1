/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake.c - see fake.h. One thread serves one after the other, which is as top asks.
 */
#include "config.h"

#include "fake.h"

#include "peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct fake fake;

#define HISTORY(name, a, b) "\"" name "\":[" #a "," #b "]"
static const char good_history[] = "{\"boot\":\"b\",\"columns\":{"
    HISTORY("at_ns", 1000000000, 2000000000) ","
    HISTORY("resident_bytes", 31457280, 52428800) "," HISTORY("cpu_ns", 0, 250000000) ","
    HISTORY("held_bytes", 0, 33554432) "," HISTORY("queued_bytes", 0, 16777216) ","
    HISTORY("queued_events", 0, 3) "," HISTORY("wait_p50_ns", 0, 159000000) ","
    HISTORY("wait_p99_ns", 0, 243000000) "," HISTORY("wait_max_ns", 0, 260000000) ","
    HISTORY("received_bytes", 0, 200000000) "," HISTORY("sent_bytes", 0, 5000000) ","
    HISTORY("busy_ns", 0, 990000000) "," HISTORY("stalls", 0, 0) "}}";

#define STATUS(name, qdisc, says, ready) "{\"name\":\"" name "\",\"qdisc\":\"" qdisc "\"," \
	"\"boot\":\"b\",\"uptime_s\":192.5,\"ready\":" ready ",\"ready_says\":\"" says "\"," \
	"\"limits\":{\"budget_bytes\":134217728,\"connections\":1024}," \
	"\"states\":{\"closing\":0,\"throttled\":1,\"muted\":0,\"waiting\":2," \
	"\"reading\":0,\"idle\":4},\"refused\":{\"address\":5},"
#define ROWS(peer, state) "{\"at_ns\":2000000000,\"total\":3,\"rows\":[{\"id\":42," \
	"\"peer\":\"" peer "\",\"state\":\"" state "\",\"received_bytes\":70000000," \
	"\"sent_bytes\":0,\"held_bytes\":1048576,\"gate_ns\":500000000,\"muted_ns\":0," \
	"\"throttled_ns\":0,\"rwnd_limited_us\":0,\"age_ms\":1000}]}"
#define HARM "\\u001b]0;owned\\u0007\\u001b[31m\xc2\x9b" "2J\\u009b\\n\\r\xe2\x80\xae\x7f"

static const char *good_answer(const char *path)
{
	return strstr(path, "/history") ? good_history
	    : strstr(path, "/connections") ? ROWS("127.0.0.1:40001", "waiting")
	    : STATUS("abuse server :7777", "one_place", "ok", "true")
	    "\"closed\":{\"closed by the peer\":12}}";
}

static const char *hostile_answer(const char *path)
{
	return strstr(path, "/history") ? good_history
	    : strstr(path, "/connections") ? ROWS(HARM, HARM)
	    : STATUS(HARM, HARM, HARM, "false") "\"closed\":{\"" HARM "\":1}}";
}

static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void answer_json(int fd, const char *json)
{
	char head[128];

	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
	    strlen(json));
	say(fd, head);
	say(fd, json);
}

static void answer_endlessly(int fd)
{
	static char zeros[1 << 16];

	say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	while (send(fd, zeros, sizeof zeros, MSG_NOSIGNAL) > 0)
		;
}

static void wait_until_it_leaves(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

static void answer(int fd, const char *path)
{
	char deep[2000];

	switch ((enum behaviour)atomic_load(&fake.behaviour)) {
	case HOSTILE:
		return answer_json(fd, hostile_answer(path));
	case NOT_FOUND:
		return say(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	case NO_HTTP:
		return say(fd, "220 mail.example ESMTP\r\n\r\n");
	case NO_JSON:
		return answer_json(fd, "<html>");
	case OTHER_JSON:
		return answer_json(fd, "[{\"states\":1}]");
	case DEEP:
		memset(deep, '[', sizeof deep - 1);
		deep[sizeof deep - 1] = '\0';
		return answer_json(fd, deep);
	case CUT_OFF:
		return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{}");
	case ENDLESS:
		return answer_endlessly(fd);
	case SILENT:
		return wait_until_it_leaves(fd);
	default:
		return answer_json(fd, good_answer(path));
	}
}

static void serve_one(int fd)
{
	char head[2048] = "";
	size_t n = 0;
	ssize_t got;

	while (!strstr(head, "\r\n\r\n") && n < sizeof head - 1) {
		got = recv(fd, head + n, sizeof head - 1 - n, 0);
		if (got <= 0)
			return;
		n += (size_t)got;
		head[n] = '\0';
	}
	if (fake.served == 0)
		memcpy(fake.last, head, sizeof head);
	fake.served++;
	head[strcspn(head, "\r")] = '\0';
	answer(fd, head);
}

static void serve_all(void *arg)
{
	struct timeval patience = { .tv_sec = 5 };
	int fd;

	(void)arg;
	while ((fd = accept(fake.listener, NULL, NULL)) >= 0 && !fake.over) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		serve_one(fd);
		close(fd);
	}
	if (fd >= 0)
		close(fd);
}

void fake_begin(enum behaviour behaviour)
{
	int on = 1;

	fake.listener = peer_listen(fake.addr);
	setsockopt(fake.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	snprintf(fake.url, sizeof fake.url, "http://%s/", fake.addr);
	fake.behaviour = behaviour;
	fake.task = task_start(serve_all, NULL);
}

void fake_end(void)
{
	fake.over = true;
	shutdown(fake.listener, SHUT_RDWR);
	task_join(fake.task);
	close(fake.listener);
}

void fake_begin_again(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	int on = 1, port = atoi(strrchr(fake.addr, ':') + 1);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons((uint16_t)port);
	fake.over = false;
	fake.listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fake.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	REQUIRE_EQ(bind(fake.listener, (struct sockaddr *)&in, sizeof in), 0);
	REQUIRE_EQ(listen(fake.listener, 8), 0);
	fake.task = task_start(serve_all, NULL);
}

bool fake_begin_on_ipv6(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	socklen_t len = sizeof in6;

	fake.listener = socket(AF_INET6, SOCK_STREAM, 0);
	if (fake.listener < 0)
		return false;
	if (bind(fake.listener, (struct sockaddr *)&in6, sizeof in6) != 0) {
		close(fake.listener);
		return false;
	}
	REQUIRE_EQ(listen(fake.listener, 8), 0);
	REQUIRE_EQ(getsockname(fake.listener, (struct sockaddr *)&in6, &len), 0);
	snprintf(fake.addr, sizeof fake.addr, "[::1]:%d", ntohs(in6.sin6_port));
	fake.task = task_start(serve_all, NULL);
	return true;
}

void fake_take_out_glyphs(char *text)
{
	char *to = text;

	while (*text)
		if (strncmp(text, "\xe2\x96", 2) == 0)
			text += 3;
		else if (strncmp(text, "\xc2\xb7", 2) == 0)
			text += 2;
		else
			*to++ = *text++;
	*to = '\0';
}
