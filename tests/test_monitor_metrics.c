/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_monitor_metrics.c - the metrics in each of their formats: for
 * Prometheus, old and OpenMetrics, and as EKG gave them.
 */
#include "config.h"

#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>

#define OPEN "Accept: application/openmetrics-text; version=1.0.0,text/plain;q=0.5\r\n"
#define PROMETHEUS "Accept: application/openmetrics-text;version=1.0.0," \
	"application/openmetrics-text;version=0.0.1;q=0.75," \
	"text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n"

static void echo(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send(conn, buf->data, buf->len, BP_FOREVER);
}

static const struct bp_conn_ops echo_ops = { .received = echo };

/* An endpoint that has echoed a frame of 1024 bytes and one of 1023. */
static void watch_traffic(struct watched *w, int *ret_fd)
{
	const struct bp_conn_config config = {
		.framer = &bp_framer_u32be, .ops = &echo_ops,
	};
	char data[1028];

	watch(w, NULL, &config);
	*ret_fd = peer_connect(w->addr);
	memset(data, 'x', sizeof data);
	peer_send_u32be(*ret_fd, data, 1024);
	peer_recv(*ret_fd, data, 1028);
	peer_send_u32be(*ret_fd, data, 1023);
	peer_recv(*ret_fd, data, 1027);
	WAIT_UNTIL(stats_of(w->ep).sent_bytes == 1028 + 1027);
}

static double sample_of(const char *text, const char *name)
{
	char line[200];
	const char *at;

	snprintf(line, sizeof line, "\n%s ", name);
	at = strstr(text, line);
	return at ? strtod(at + strlen(line), NULL) : -1;
}

static double metric(const struct watched *w, const char *name)
{
	char *body = body_of(w->at, "/metrics", "", 200);
	double value = sample_of(body, name);

	free(body);
	return value;
}

/* ---- Prometheus ---------------------------------------------------------- */

static void test_metrics_count_what_passed(void)
{
	struct watched w;
	char *body;
	int fd;

	watch_traffic(&w, &fd);
	WAIT_UNTIL(metric(&w, "bpthread_queue_wait_seconds_count") == 2);
	body = body_of(w.at, "/metrics", "", 200);
	CHECK_EQ(sample_of(body, "bpthread_received_bytes_total"), 2047);
	CHECK_EQ(sample_of(body, "bpthread_connections_accepted_total"), 1);
	CHECK_EQ(sample_of(body, "bpthread_connections{state=\"closing\"}"), 0);
	CHECK_EQ(sample_of(body, "bpthread_frame_bytes_count"), 2);
	CHECK_EQ(sample_of(body, "bpthread_frame_bytes_bucket{le=\"+Inf\"}"), 2);
	CHECK_EQ(sample_of(body, "bpthread_queue_wait_seconds_bucket{le=\"+Inf\"}"), 2);
	/* a frame of 1024 is not one of up to 1023 */
	CHECK_EQ(sample_of(body, "bpthread_frame_bytes_bucket{le=\"255\"}"), 0);
	CHECK_EQ(sample_of(body, "bpthread_frame_bytes_bucket{le=\"1023\"}"), 1);
	CHECK_EQ(sample_of(body, "bpthread_frame_bytes_bucket{le=\"4095\"}"), 2);
	CHECK_EQ(sample_of(body,
	    "bpthread_build_info{version=\"" BP_VERSION "\",qdisc=\"fair\"}"), 1);
	CHECK(sample_of(body, "process_cpu_seconds_total") > 0);
	CHECK(sample_of(body, "process_resident_memory_bytes") > 1e5);
	CHECK_GE(sample_of(body, "process_threads"), 4);
	CHECK_GE(sample_of(body, "process_open_fds"), 6);
	CHECK(sample_of(body, "process_start_time_seconds") > 1.5e9);
	free(body);
	peer_close(fd);
	unwatch(&w);
}

static void test_no_limit_is_infinite(void)
{
	const struct bp_endpoint_config config = { .qdisc = &bp_qdisc_unbounded };
	struct watched w;
	char *body;

	watch(&w, &config, NULL);
	body = body_of(w.at, "/metrics", "", 200);
	CHECK(strstr(body, "\nbpthread_budget_bytes +Inf\n") != NULL);
	CHECK(strstr(body, "\nbpthread_queue_limit_bytes +Inf\n") != NULL);
	free(body);
	body = body_of(w.at, "/api/v1/status", "", 200);
	CHECK(strstr(body, "\"budget_bytes\":null,\"queue_bytes\":null") != NULL);
	free(body);
	body = body_of(w.at, "/endpoint/budget_bytes", "", 200);
	CHECK_STR(body, "{\"type\":\"g\",\"val\":null}");
	free(body);
	unwatch(&w);
}

/* Each sample belongs to the family whose TYPE went before it. */
static bool has_families(char *text, bool open)
{
	char family[128] = "", type[32] = "", *line, *rest = text;
	size_t len;

	while ((line = strsep(&rest, "\n")) && *line) {
		if (sscanf(line, "# TYPE %127s %31s", family, type) == 2
		    || strncmp(line, "# ", 2) == 0)
			continue;
		len = strlen(family);
		if (strncmp(line, family, len) != 0)
			return false;
		line += len;
		if (strcmp(type, "histogram") == 0) {
			if (strncmp(line, "_bucket{", 8) != 0
			    && strncmp(line, "_sum ", 5) != 0
			    && strncmp(line, "_count ", 7) != 0)
				return false;
		} else if (open && strcmp(type, "counter") == 0) {
			if (strncmp(line, "_total", 6) != 0)
				return false;
		} else if (open && strcmp(type, "info") == 0) {
			if (strncmp(line, "_info{", 6) != 0)
				return false;
		} else if (*line != ' ' && *line != '{') {
			return false;
		}
	}
	return line && !rest;			/* after the last line nothing */
}

static void test_openmetrics_is_for_who_asks_for_it(void)
{
	static const char *const asks[] = { OPEN, PROMETHEUS };
	struct answer answer;
	struct watched w;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(asks); i++) {
		answer = get(w.at, "/metrics", asks[i]);
		CHECK(has_header(&answer, "Content-Type",
		    "application/openmetrics-text; version=1.0.0; charset=utf-8"));
		CHECK(has_header(&answer, "Vary", "Accept"));
		CHECK_STR(answer.body + answer.len - 7, "\n# EOF\n");
		CHECK(strstr(answer.body, "\n# UNIT bpthread_received_bytes bytes\n"));
		CHECK(strstr(answer.body,
		    "\n# TYPE bpthread_received_bytes counter\n"));
		CHECK(has_families(answer.body, true));
		answer_free(&answer);
	}
	answer = get(w.at, "/metrics", "Accept: text/plain, */*;q=0.1\r\n");
	CHECK(has_header(&answer, "Content-Type",
	    "text/plain; version=0.0.4; charset=utf-8"));
	CHECK(strstr(answer.body, "# EOF") == NULL);
	CHECK(strstr(answer.body, "\n# TYPE bpthread_received_bytes_total counter\n"));
	CHECK(has_families(answer.body, false));
	answer_free(&answer);
	unwatch(&w);
}

/* ---- EKG ----------------------------------------------------------------- */

#define ASK_JSON "Accept: application/json\r\n"
#define ASK_PLAIN "Accept: text/plain\r\n"

static void test_the_root_is_ekgs_json_for_who_asks_for_that(void)
{
	struct answer answer;
	struct watched w;

	watch(&w, NULL, NULL);
	answer = get(w.at, "/", ASK_JSON);
	CHECK(has_header(&answer, "Content-Type", "application/json"));
	CHECK(has_header(&answer, "Vary", "Accept, Accept-Encoding"));
	CHECK(is_json(answer.body));
	CHECK(strstr(answer.body, "{\"endpoint\":{\"connections\":{\"closing\":"
	    "{\"type\":\"g\",\"val\":0},") == answer.body);
	CHECK(strstr(answer.body, "\"received_bytes\":{\"type\":\"c\",\"val\":0}"));
	CHECK(strstr(answer.body, "\"qdisc\":{\"type\":\"l\",\"val\":\"fair\"}"));
	CHECK(strstr(answer.body, "\"queue_wait_seconds\":{\"type\":\"d\",\"count\":0,"
	    "\"mean\":0,\"variance\":0,\"sum\":0,\"min\":0,\"max\":0}"));
	CHECK(strstr(answer.body, "\"process\":{\"cpu_seconds\":{\"type\":\"c\","));
	answer_free(&answer);
	answer = get(w.at, "/", "Accept: text/html,*/*;q=0.8\r\n");
	CHECK(has_header(&answer, "Content-Type", "text/html; charset=utf-8"));
	CHECK(has_header(&answer, "Vary", "Accept, Accept-Encoding"));
	answer_free(&answer);
	unwatch(&w);
}

static void check_one(const struct watched *w, const char *path, const char *accept,
    const char *expected)
{
	char *body = body_of(w->at, path, accept, 200);

	if (!CHECK_STR(body, expected))
		fprintf(stderr, "# %s is %s\n", path, body);
	free(body);
}

static void test_a_single_metric_has_a_path(void)
{
	struct watched w;
	char *body;
	int fd;

	watch_traffic(&w, &fd);
	WAIT_UNTIL(metric(&w, "bpthread_frame_bytes_count") == 2);
	check_one(&w, "/endpoint/received_bytes", ASK_JSON,
	    "{\"type\":\"c\",\"val\":2047}");
	check_one(&w, "/endpoint/received_bytes", ASK_PLAIN, "2047");
	check_one(&w, "/endpoint/connections/muted", ASK_PLAIN, "0");
	check_one(&w, "/endpoint/connections_closed/aborted", ASK_PLAIN, "0");
	check_one(&w, "/endpoint/connections_closed/closed_by_us", ASK_PLAIN, "0");
	check_one(&w, "/endpoint/qdisc", ASK_PLAIN, "fair");
	check_one(&w, "/endpoint/qdisc", ASK_JSON, "{\"type\":\"l\",\"val\":\"fair\"}");
	check_one(&w, "/endpoint/frame_bytes", ASK_PLAIN, "2");
	body = body_of(w.at, "/endpoint/frame_bytes", ASK_JSON, 200);
	CHECK(is_json(body) && strstr(body, "{\"type\":\"d\",\"count\":2,") == body);
	CHECK_EQ(number_of(body, "min"), 512);
	CHECK_EQ(number_of(body, "max"), 1024);
	CHECK_EQ(number_of(body, "mean") * 2, number_of(body, "sum"));
	/* 256 away from the middle, if the sum is right within a sixteenth */
	CHECK_GE(number_of(body, "variance"), 100000);
	CHECK_LE(number_of(body, "variance"), 200000);
	free(body);
	body = body_of(w.at, "/process/threads", ASK_PLAIN, 200);
	CHECK_GE(atoi(body), 4);
	free(body);
	peer_close(fd);
	unwatch(&w);
}

/* ---- the page's parts ---------------------------------------------------- */

static void test_the_page_comes_gzipped_to_who_takes_that(void)
{
	static const char *const paths[] = { "/", "/monitor.js", "/monitor.css" };
	struct answer plain, gzip;
	struct watched w;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		plain = get(w.at, paths[i], "");
		gzip = get(w.at, paths[i], "Accept-Encoding: br, gzip\r\n");
		CHECK(has_header(&gzip, "Content-Encoding", "gzip"));
		CHECK(strstr(plain.head, "Content-Encoding") == NULL);
		CHECK(strstr(plain.head, "Vary: ") && strstr(plain.head,
		    "Accept-Encoding\r\n"));
		CHECK(memcmp(gzip.body, "\x1f\x8b\x08", 3) == 0);
		CHECK(gzip.len < plain.len);
		answer_free(&plain);
		answer_free(&gzip);
	}
	unwatch(&w);
}

/* ---- */

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_metrics_count_what_passed),
		TEST(test_no_limit_is_infinite),
		TEST(test_openmetrics_is_for_who_asks_for_it),
		TEST(test_the_root_is_ekgs_json_for_who_asks_for_that),
		TEST(test_a_single_metric_has_a_path),
		TEST(test_the_page_comes_gzipped_to_who_takes_that),
	};

	return run_suite("monitor_metrics", tests, COUNT_OF(tests), argc, argv);
}
