/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_monitor.c - starting and stopping a monitor, its paths with their
 * status, type and headers, and what is refused.
 */
#include "config.h"

#include "monitor.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- start and stop ------------------------------------------------------ */

static void test_start_says_what_is_wrong_with_an_address(void)
{
	static const struct {
		const char *addr;
		int rc;
	} cases[] = {
		{ "unix:/tmp/monitor", -EINVAL },
		{ "", -EINVAL },
		{ "localhost", -EINVAL },
		{ "127.0.0.1:", -EINVAL },
		{ "127.0.0.1:65536", -EINVAL },
		{ "127.0.0.1:8x", -EINVAL },
		{ "::1:8000", -EINVAL },
		{ "[::1]", -EINVAL },
		{ "[127.0.0.1]:0", -EINVAL },
		{ "no-such-host.invalid:0", -ENOENT },
		{ "192.0.2.1:0", -EADDRNOTAVAIL },
	};
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_monitor *monitor = NULL;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		CHECK_EQ(bp_monitor_start(&monitor, ep, cases[i].addr, NULL),
		    cases[i].rc);
	CHECK_EQ(bp_monitor_start(&monitor, NULL, NULL, NULL), -EINVAL);
	CHECK(monitor == NULL);
	bp_monitor_stop(NULL);
	finish(ep);
}

static void test_a_port_that_is_taken_is_an_error(void)
{
	struct bp_monitor *second = NULL;
	struct watched w;

	watch(&w, NULL, NULL);
	CHECK_EQ(bp_monitor_start(&second, w.ep, w.at, NULL), -EADDRINUSE);
	CHECK_EQ(bp_monitor_start(&second, w.ep, w.addr, NULL), -EADDRINUSE);
	CHECK(second == NULL);
	unwatch(&w);
}

static void check_url(struct bp_endpoint *ep, const char *addr, const char *begins)
{
	struct bp_monitor *monitor = NULL;
	int rc = bp_monitor_start(&monitor, ep, addr, NULL);

	if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
		return;				/* a machine without IPv6 */
	REQUIRE_EQ(rc, 0);
	CHECK(strncmp(bp_monitor_url(monitor), begins, strlen(begins)) == 0);
	CHECK_NE(atoi(bp_monitor_url(monitor) + strlen(begins)), 0);
	bp_monitor_stop(monitor);
}

static void test_the_url_tells_the_port_it_became(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);

	check_url(ep, "127.0.0.1:0", "http://127.0.0.1:");
	check_url(ep, "localhost:0", "http://");
	check_url(ep, "[::1]:0", "http://[::1]:");
	check_url(ep, ":0", "http://127.0.0.1:");
	check_url(ep, "0.0.0.0:0", "http://127.0.0.1:");
	finish(ep);
}

static void test_the_port_is_free_again_after_stop(void)
{
	struct watched w;
	char *body;

	watch(&w, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		body = body_of(w.at, "/healthz", "", 200);
		CHECK_STR(body, "ok\n");
		free(body);
		bp_monitor_stop(w.monitor);
		CHECK(peer_try_connect(w.at) < 0);
		REQUIRE_EQ(bp_monitor_start(&w.monitor, w.ep, w.at, NULL), 0);
	}
	unwatch(&w);
}

static void test_stop_is_prompt_while_observers_are_connected(void)
{
	int fds = count_fds(), threads = count_threads(), guests[6];
	struct watched w;
	uint64_t begun_ms;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(guests); i++)
		guests[i] = peer_connect(w.at);
	peer_send_string(guests[0], "GET / HTTP/1.1\r\nHost: local");
	peer_send_string(guests[1],
	    "GET /api/v1/history HTTP/1.1\r\nHost: localhost\r\n\r\n");
	WAIT_UNTIL(peer_unread(guests[1]) > 0);
	begun_ms = now_ms();
	bp_monitor_stop(w.monitor);
	CHECK_LE(now_ms() - begun_ms, SLOW(500));
	for (size_t i = 0; i < COUNT_OF(guests); i++)
		peer_close(guests[i]);
	finish(w.ep);
	CHECK_EQ(count_fds(), fds);
	WAIT_UNTIL(count_threads() == threads);
}

static atomic_int signals_on_main;
static pthread_t main_thread;

static void note_signal(int sig)
{
	(void)sig;
	if (pthread_equal(pthread_self(), main_thread))
		atomic_fetch_add(&signals_on_main, 1);
}

/* Whose mask the thread has is seen by who gets a signal that all others block. */
static void test_its_threads_take_no_signals(void)
{
	struct sigaction action = { .sa_handler = note_signal };
	struct watched w;
	sigset_t usr1;

	main_thread = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	watch(&w, NULL, NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	kill(getpid(), SIGUSR1);
	free(body_of(w.at, "/healthz", "", 200));
	CHECK_EQ(signals_on_main, 0);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	CHECK_EQ(signals_on_main, 1);
	unwatch(&w);
}

static void test_its_descriptors_close_on_exec(void)
{
	bool inherited[64];
	struct watched w;
	int guest;

	for (int fd = 0; fd < 64; fd++)
		inherited[fd] = fcntl(fd, F_GETFD) >= 0;
	watch(&w, NULL, NULL);
	guest = peer_connect(w.at);
	peer_send_string(guest, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
	WAIT_UNTIL(peer_unread(guest) > 0);
	for (int fd = 0; fd < 64; fd++)
		CHECK(inherited[fd] || fcntl(fd, F_GETFD) < 0
		    || fcntl(fd, F_GETFD) & FD_CLOEXEC);
	peer_close(guest);
	unwatch(&w);
}

/* ---- paths --------------------------------------------------------------- */

#define JSON "application/json"
#define PLAIN "text/plain; charset=utf-8"

static const struct {
	const char *path, *type;
} paths[] = {
	{ "/", "text/html; charset=utf-8" },
	{ "/monitor.js", "text/javascript; charset=utf-8" },
	{ "/monitor.css", "text/css; charset=utf-8" },
	{ "/api/v1/status", JSON },
	{ "/api/v1/history", JSON },
	{ "/api/v1/connections", JSON },
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8" },
	{ "/healthz", PLAIN },
	{ "/readyz", PLAIN },
	{ "/status.txt", PLAIN },
	{ "/endpoint/held_bytes", JSON },
};

static void check_safe(const struct answer *answer)
{
	char length[32];

	CHECK(has_header(answer, "Cache-Control", "no-store"));
	CHECK(has_header(answer, "Content-Security-Policy",
	    "default-src 'none'; script-src 'self'; style-src 'self'; "
	    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
	    "form-action 'none'; frame-ancestors 'none'"));
	CHECK(has_header(answer, "Cross-Origin-Resource-Policy", "same-origin"));
	CHECK(has_header(answer, "Referrer-Policy", "no-referrer"));
	CHECK(has_header(answer, "X-Content-Type-Options", "nosniff"));
	CHECK(has_header(answer, "X-Frame-Options", "DENY"));
	CHECK(strcasestr(answer->head, "access-control") == NULL);
	snprintf(length, sizeof length, "%zu", answer->len);
	CHECK(has_header(answer, "Content-Length", length));
}

static void test_every_path_has_its_type_and_the_headers_of_all(void)
{
	struct answer answer;
	struct watched w;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		answer = get(w.at, paths[i].path, "");
		CHECK_EQ(answer.status, 200);
		CHECK(has_header(&answer, "Content-Type", paths[i].type));
		CHECK_GE(answer.len, 1);
		check_safe(&answer);
		answer_free(&answer);
	}
	unwatch(&w);
}

static void test_head_gives_the_head_alone(void)
{
	struct answer answer;
	char request[256];
	struct watched w;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(paths); i++) {
		snprintf(request, sizeof request, "HEAD %s HTTP/1.1\r\n"
		    "Host: localhost\r\nConnection: close\r\n\r\n", paths[i].path);
		answer = ask(w.at, request);
		CHECK_EQ(answer.status, 200);
		CHECK(has_header(&answer, "Content-Type", paths[i].type));
		CHECK(!has_header(&answer, "Content-Length", "0"));
		CHECK_EQ(answer.len, 0);
		answer_free(&answer);
	}
	unwatch(&w);
}

static void test_what_is_not_there_is_404(void)
{
	static const char *const wrong[] = {
		"/index.html", "/api", "/api/v1/", "/api/v1/status/", "/favicon.ico",
		"//", "/endpoint", "/endpoint/", "/endpoint/nothing",
		"/endpoint.held_bytes", "/../etc/passwd", "/%2e%2e/etc/passwd",
		"/healthz%00x", "/%00", "http://localhost/nothing",
	};
	struct answer answer;
	struct watched w;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		answer = get(w.at, wrong[i], "");
		CHECK_EQ(answer.status, 404);
		CHECK_STR(answer.body, "There is nothing here.\n");
		check_safe(&answer);
		answer_free(&answer);
	}
	unwatch(&w);
}

/* ---- refusals ------------------------------------------------------------ */

static void check_refused(const char *at, const char *request, int status)
{
	struct answer answer = ask(at, request);

	CHECK_EQ(answer.status, status);
	CHECK(has_header(&answer, "Content-Type", PLAIN));
	CHECK(has_header(&answer, "Connection", "close"));
	CHECK_EQ(count_of(answer.body, "\n"), 1);
	if (status == 405)
		CHECK(has_header(&answer, "Allow", "GET, HEAD"));
	check_safe(&answer);
	answer_free(&answer);
}

static void test_it_can_only_be_read(void)
{
	static const char *const methods[] = {
		"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get",
	};
	char request[256];
	struct watched w;

	watch(&w, NULL, NULL);
	for (size_t i = 0; i < COUNT_OF(methods); i++) {
		snprintf(request, sizeof request, "%s /api/v1/status HTTP/1.1\r\n"
		    "Host: localhost\r\n\r\n", methods[i]);
		check_refused(w.at, request, 405);
		snprintf(request, sizeof request, "%s / HTTP/1.1\r\nHost: localhost\r\n"
		    "Content-Length: 1000000\r\n\r\nbody", methods[i]);
		check_refused(w.at, request, 405);
	}
	check_refused(w.at, "GET / HTTP/1.1\r\nHost: localhost\r\n"
	    "Content-Length: 5\r\n\r\nhello", 413);
	check_refused(w.at, "GET / HTTP/1.1\r\nHost: localhost\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 413);
	unwatch(&w);
}

static int status_for_host(const char *at, const char *host)
{
	char request[512];
	struct answer answer;
	int status;

	snprintf(request, sizeof request,
	    "GET /healthz HTTP/1.1\r\nConnection: close\r\n%s\r\n", host);
	answer = ask(at, request);
	status = answer.status;
	answer_free(&answer);
	return status;
}

static void test_it_answers_to_its_own_names_only(void)
{
	static const char *const names[] = { "monitor.example", "10.1.2.3", NULL };
	const struct bp_monitor_config config = { .hosts = names };
	char machine[200] = "", line[256];
	struct bp_monitor *named;
	struct watched w;

	watch(&w, NULL, NULL);
	gethostname(machine, sizeof machine - 1);
	snprintf(line, sizeof line, "Host: %s:8000\r\n", machine);
	CHECK_EQ(status_for_host(w.at, line), 200);
	CHECK_EQ(status_for_host(w.at, "Host: localhost\r\n"), 200);
	CHECK_EQ(status_for_host(w.at, "Host: LocalHost:1\r\n"), 200);
	CHECK_EQ(status_for_host(w.at, "Host: 127.0.0.1:80\r\n"), 200);
	CHECK_EQ(status_for_host(w.at, "Host: [::1]:80\r\n"), 200);
	CHECK_EQ(status_for_host(w.at, "Host: evil.example\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: localhost.evil.example\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: localhost:80:80\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: evil@localhost\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: ::1\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: [::1\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: [localhost]\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: 127.0.0.2\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host: monitor.example\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, "Host:\r\n"), 403);
	CHECK_EQ(status_for_host(w.at, ""), 400);
	CHECK_EQ(status_for_host(w.at, "Host: localhost\r\nHost: evil\r\n"), 400);
	bp_monitor_stop(w.monitor);

	REQUIRE_EQ(bp_monitor_start(&named, w.ep, w.at, &config), 0);
	CHECK_EQ(status_for_host(w.at, "Host: Monitor.Example:443\r\n"), 200);
	CHECK_EQ(status_for_host(w.at, "Host: 10.1.2.3\r\n"), 200);
	CHECK_EQ(status_for_host(w.at, "Host: evil.example\r\n"), 403);
	w.monitor = named;
	unwatch(&w);
}

static void test_it_answers_to_the_address_it_was_reached_at(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_monitor *monitor;
	char at[ADDR_MAX];

	REQUIRE_EQ(bp_monitor_start(&monitor, ep, "0.0.0.0:0", NULL), 0);
	snprintf(at, sizeof at, "127.0.0.2:%d",
	    atoi(strrchr(bp_monitor_url(monitor), ':') + 1));
	CHECK_EQ(status_for_host(at, "Host: 127.0.0.2\r\n"), 200);
	CHECK_EQ(status_for_host(at, "Host: 127.0.0.3\r\n"), 403);
	bp_monitor_stop(monitor);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_start_says_what_is_wrong_with_an_address),
		TEST(test_a_port_that_is_taken_is_an_error),
		TEST(test_the_url_tells_the_port_it_became),
		TEST(test_the_port_is_free_again_after_stop),
		TEST(test_stop_is_prompt_while_observers_are_connected),
		TEST(test_its_threads_take_no_signals),
		TEST(test_its_descriptors_close_on_exec),
		TEST(test_every_path_has_its_type_and_the_headers_of_all),
		TEST(test_head_gives_the_head_alone),
		TEST(test_what_is_not_there_is_404),
		TEST(test_it_can_only_be_read),
		TEST(test_it_answers_to_its_own_names_only),
		TEST(test_it_answers_to_the_address_it_was_reached_at),
	};

	return run_suite("monitor", tests, COUNT_OF(tests), argc, argv);
}
