/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_monitor_api.c - what /api/v1 tells, of an endpoint whose connections are
 * known: numbers, order, selection, history, and names that an attacker chose.
 */
#include "config.h"

#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void ignore(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn;
	(void)buf;
	(void)data;
}

static const struct bp_conn_ops ignore_ops = { .received = ignore };

static char *rows_of(const struct watched *w, const char *query)
{
	char path[256], *body;

	snprintf(path, sizeof path, "/api/v1/connections%s", query);
	body = body_of(w->at, path, "", 200);
	CHECK(is_json(body));
	return body;
}

static int count_rows(const struct watched *w, const char *query)
{
	char *body = rows_of(w, query);
	int n = count_of(body, "\"id\":");

	free(body);
	return n;
}

static double total_of(const struct watched *w, const char *query)
{
	char *body = rows_of(w, query);
	double n = number_of(body, "total");

	free(body);
	return n;
}

static double status_number(const struct watched *w, const char *key)
{
	char *body = body_of(w->at, "/api/v1/status", "", 200);
	double n = number_of(body, key);

	free(body);
	return n;
}

/* ---- status -------------------------------------------------------------- */

static void test_status_tells_limits_states_and_metrics(void)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_bytes, .budget = 1 << 20, .conns_max = 7,
	};
	const struct bp_conn_config conn_config = { .ops = &ignore_ops };
	struct watched w;
	char *body;
	int fd;

	watch(&w, &config, &conn_config);
	fd = peer_connect(w.addr);
	WAIT_UNTIL(status_number(&w, "idle") == 1);
	body = body_of(w.at, "/api/v1/status", "", 200);
	CHECK(is_json(body));
	CHECK(strstr(body, "\"version\":\"" BP_VERSION "\"") != NULL);
	CHECK(strstr(body, "\"qdisc\":\"bytes\"") != NULL);
	CHECK(strstr(body, "\"ready\":true,\"ready_says\":\"ok\"") != NULL);
	CHECK_EQ(number_of(body, "budget_bytes"), 1 << 20);
	CHECK_EQ(number_of(body, "connections"), 7);
	CHECK_GE(number_of(body, "at_ns"), 1);
	CHECK_LE(number_of(body, "uptime_s"), 3600);
	CHECK(strstr(body, "{\"name\":\"endpoint.connections.idle\",\"type\":\"gauge\","
	    "\"unit\":\"\",\"value\":1,") != NULL);
	CHECK(strstr(body, "{\"name\":\"endpoint.queue_wait_seconds.p99\"") != NULL);
	free(body);
	peer_close(fd);
	unwatch(&w);
}

static void test_status_counts_who_left_by_reason(void)
{
	const struct bp_conn_config config = { .ops = &ignore_ops };
	struct watched w;
	int fd;

	watch(&w, NULL, &config);
	fd = peer_connect(w.addr);
	peer_close(fd);
	WAIT_UNTIL(status_number(&w, bp_reason_name(BP_REASON_PEER)) == 1);
	unwatch(&w);
}

static void test_ready_says_why_not(void)
{
	const struct bp_endpoint_config config = { .conns_max = 1 };
	const struct bp_conn_config conn_config = { .ops = &ignore_ops };
	struct answer answer;
	struct watched w;
	int fd;

	watch(&w, &config, &conn_config);
	fd = peer_connect(w.addr);
	WAIT_UNTIL((answer = get(w.at, "/readyz", "")).status == 503
	    || (answer_free(&answer), false));
	CHECK_STR(answer.body, "accepting is paused\n");
	answer_free(&answer);
	free(body_of(w.at, "/healthz", "", 200));
	free(body_of(w.at, "http://localhost/healthz", "", 200));
	peer_close(fd);
	WAIT_UNTIL((answer = get(w.at, "/readyz", "")).status == 200
	    || (answer_free(&answer), false));
	answer_free(&answer);

	bp_endpoint_close(w.ep);
	WAIT_UNTIL((answer = get(w.at, "/readyz", "")).status == 503
	    || (answer_free(&answer), false));
	CHECK_STR(answer.body, "closing\n");
	answer_free(&answer);
	free(body_of(w.at, "/healthz", "", 200));
	unwatch(&w);
}

/* ---- connections --------------------------------------------------------- */

#define PEERS 5

static void test_connections_are_sorted_limited_and_selected(void)
{
	const struct bp_conn_config config = { .ops = &ignore_ops };
	struct watched w;
	int fds[PEERS];
	char *body;
	double last;

	watch(&w, NULL, &config);
	for (int i = 0; i < PEERS; i++) {
		fds[i] = peer_connect(w.addr);
		for (int n = 0; n <= (i + 2) % PEERS; n++)
			peer_send(fds[i], "0123456789", 10);
	}
	WAIT_UNTIL(status_number(&w, "idle") == PEERS
	    && stats_of(w.ep).received_bytes == 150);
	CHECK_EQ(count_rows(&w, ""), PEERS);
	CHECK_EQ(count_rows(&w, "?limit=2"), 2);
	CHECK_EQ(total_of(&w, "?limit=2"), PEERS);
	CHECK_EQ(count_rows(&w, "?state=idle"), PEERS);
	CHECK_EQ(total_of(&w, "?state=throttled"), 0);

	body = rows_of(&w, "?sort=received_bytes");
	last = 60;
	for (const char *at = body; (at = strstr(at, "\"received_bytes\":")); at++) {
		CHECK_EQ(number_of(at, "received_bytes"), last - 10);
		last -= 10;
	}
	CHECK_EQ(last, 10);
	free(body);
	body = rows_of(&w, "?sort=id&limit=1000&state=idle");
	last = 0;
	for (const char *at = body; (at = strstr(at, "\"id\":")); at++) {
		CHECK(number_of(at, "id") > last);
		last = number_of(at, "id");
	}
	free(body);
	for (int i = 0; i < PEERS; i++)
		peer_close(fds[i]);
	unwatch(&w);
}

static void test_closed_connections_come_latest_first(void)
{
	const struct bp_conn_config config = { .ops = &ignore_ops };
	struct watched w;
	const char *second;
	char *body;

	watch(&w, NULL, &config);
	peer_close(peer_connect(w.addr));
	WAIT_UNTIL(total_of(&w, "?state=closed") == 1);
	peer_reset(peer_connect(w.addr));
	WAIT_UNTIL(total_of(&w, "?state=closed") == 2);
	body = rows_of(&w, "?state=closed");
	second = strstr(strstr(body, "\"reason\":\"") + 1, "\"reason\":\"");
	REQUIRE(second != NULL);
	CHECK(strstr(body, bp_reason_name(BP_REASON_PEER)) > second);
	CHECK(strstr(second, "\"error\":null") != NULL);
	CHECK(number_of(body, "id") > number_of(second, "id"));
	CHECK_GE(number_of(body, "closed_ago_ms"), 0);
	free(body);
	CHECK_EQ(count_rows(&w, "?state=closed&limit=1"), 1);
	unwatch(&w);
}

static void test_a_parameter_that_is_none_is_told_apart(void)
{
	static const char *const wrong[] = {
		"/api/v1/status?x=1", "/api/v1/history?step=5", "/api/v1/history?step=",
		"/api/v1/history?step", "/api/v1/history?since=-1",
		"/api/v1/history?since=1e3",
		"/api/v1/history?since=99999999999999999999",
		"/api/v1/history?limit=1", "/api/v1/connections?limit=0",
		"/api/v1/connections?limit=1001", "/api/v1/connections?limit=ten",
		"/api/v1/connections?sort=peer", "/api/v1/connections?sort=",
		"/api/v1/connections?state=open", "/api/v1/connections?order=id",
		"/api/v1/connections?limit=1&limit=0",
		"/api/v1/connections?%3Cscript%3E=1", "/api/v1/connections?=",
	};
	struct answer answer;
	struct watched w;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		answer = get(w.at, wrong[i], "");
		CHECK_EQ(answer.status, 400);
		CHECK(has_header(&answer, "Content-Type", "text/plain; charset=utf-8"));
		CHECK_EQ(count_of(answer.body, "\n"), 1);
		CHECK(strstr(answer.body, "script") == NULL);
		answer_free(&answer);
	}
	unwatch(&w);
}

/* ---- history ------------------------------------------------------------- */

static void test_history_has_a_sample_a_second_and_begins_where_asked(void)
{
	struct watched w;
	char *body = NULL, path[128];
	double first;

	watch(&w, NULL, NULL);
	WAIT_UNTIL((free(body), body = body_of(w.at, "/api/v1/history", "", 200),
	    count_of(body, ",") > 3 * 30));		/* of each column two */
	CHECK(is_json(body));
	CHECK_EQ(number_of(body, "step_s"), 1);
	REQUIRE(strstr(body, "\"columns\":{\"at_ns\":[") != NULL);
	CHECK(strstr(body, "\"state_idle\":[0,0") != NULL);
	first = strtod(strstr(body, "\"at_ns\":[") + 9, NULL);
	free(body);

	snprintf(path, sizeof path, "/api/v1/history?step=1&since=%.0f", first);
	body = body_of(w.at, path, "", 200);
	CHECK(strtod(strstr(body, "\"at_ns\":[") + 9, NULL) > first);
	free(body);
	body = body_of(w.at, "/api/v1/history?since=9223372036854775807&step=10", "",
	    200);
	CHECK(is_json(body));
	CHECK_EQ(number_of(body, "step_s"), 10);
	CHECK(strstr(body, "\"resident_bytes\":[]") != NULL);
	free(body);
	unwatch(&w);
}

/* ---- hostile names ------------------------------------------------------- */

static int connect_named(const char *addr, const char *path)
{
	struct sockaddr_un from = { .sun_family = AF_UNIX };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(strlen(path) < sizeof from.sun_path);
	strcpy(from.sun_path, path);
	strcpy(to.sun_path, addr + strlen("unix:"));
	unlink(path);
	REQUIRE_EQ(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	REQUIRE_EQ(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

static void test_a_hostile_name_is_text_and_nothing_else(void)
{
	static const char *const names[] = {
		"<img src=x onerror=alert(1)>", "\"},{\"id\":\"", "a\nb\r\tc",
		"\xff\xfe\xc3(", "\xe2\x80\xa8\xe2\x80\xae", "</script>", "\\u003c",
		"\x1b]0;title\x07",
	};
	const struct bp_conn_config config = { .ops = &ignore_ops };
	char dir[] = "/tmp/bp-monitor-XXXXXX", path[128], listens[128], addr[ADDR_MAX];
	struct watched w;
	char *body;
	int fd;

	REQUIRE(mkdtemp(dir) != NULL);
	watch(&w, NULL, &config);
	snprintf(listens, sizeof listens, "unix:%s/listens", dir);
	listen_on(w.ep, listens, &config, addr);
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		/* a / would be a directory */
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		for (char *c = path + strlen(dir) + 1; *c; c++)
			if (*c == '/')
				*c = '|';
		fd = connect_named(addr, path);
		WAIT_UNTIL(total_of(&w, "") == 1);
		body = rows_of(&w, "");			/* is_json() is part of it */
		CHECK_EQ(count_of(body, "\"id\":"), 1);
		CHECK_EQ(count_of(body, "\"peer\":\"unix:/tmp/bp-monitor-"), 1);
		free(body);
		peer_close(fd);
		WAIT_UNTIL(total_of(&w, "?state=closed") == (double)(i + 1));
		CHECK_EQ(count_rows(&w, "?state=closed"), (int)(i + 1));
		WAIT_UNTIL(total_of(&w, "") == 0);
		unlink(path);
	}
	unwatch(&w);
	CHECK_EQ(rmdir(dir), 0);
}

/* ---- */

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_status_tells_limits_states_and_metrics),
		TEST(test_status_counts_who_left_by_reason),
		TEST(test_ready_says_why_not),
		TEST(test_connections_are_sorted_limited_and_selected),
		TEST(test_closed_connections_come_latest_first),
		TEST(test_a_parameter_that_is_none_is_told_apart),
		TEST(test_history_has_a_sample_a_second_and_begins_where_asked),
		TEST(test_a_hostile_name_is_text_and_nothing_else),
	};

	return run_suite("monitor_api", tests, COUNT_OF(tests), argc, argv);
}
