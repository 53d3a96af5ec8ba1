/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_monitor_limits.c - who abuses the monitor: heads without end, bytes that
 * drip, more observers than there is room for, answers that nobody reads.
 */
#include "config.h"

#include "monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guests.h"

#define KIB 1024

static void echo(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send(conn, buf->data, buf->len, BP_FOREVER);
}

static const struct bp_conn_ops echo_ops = { .received = echo };
static const struct bp_conn_config echo_config = { .ops = &echo_ops };

/* The data port answers at once. */
static void check_undisturbed(const struct watched *w)
{
	uint64_t begun_ms = now_ms();
	int fd = peer_connect(w->addr);

	peer_send_string(fd, "ping");
	peer_expect_string(fd, "ping");
	peer_close(fd);
	CHECK_LE(now_ms() - begun_ms, SLOW(200));
}

static void check_answers(const struct watched *w)
{
	uint64_t begun_ms = now_ms();

	free(body_of(w->at, "/healthz", "", 200));
	CHECK_LE(now_ms() - begun_ms, SLOW(200));
}

static bool has_ended(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0
	    || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* ---- heads --------------------------------------------------------------- */

static struct answer ask_with_head_of(const char *at, size_t size)
{
	const char *begin = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\nX-Long: ";
	struct answer answer;
	char *request = malloc(size + 1);

	memset(request, 'x', size);
	memcpy(request, begin, strlen(begin));
	memcpy(request + size - 4, "\r\n\r\n", 5);
	answer = ask(at, request);
	free(request);
	return answer;
}

static void test_a_head_may_have_8_kib(void)
{
	struct answer answer;
	struct watched w;

	watch(&w, NULL, &echo_config);
	answer = ask_with_head_of(w.at, 8 * KIB);
	CHECK_EQ(answer.status, 200);
	answer_free(&answer);
	answer = ask_with_head_of(w.at, 8 * KIB + 1);
	CHECK_EQ(answer.status, 431);
	CHECK_STR(answer.body, "The head is above 8 KiB.\n");
	answer_free(&answer);
	answer = ask_with_head_of(w.at, 20 * KIB);
	CHECK(answer.status == 431 || answer.status == 0);	/* or a reset */
	answer_free(&answer);
	check_answers(&w);
	unwatch(&w);
}

static void test_a_head_without_end_is_cut_off(void)
{
	static char piece[64 * KIB];
	struct watched w;
	size_t sent = 0, n;
	int fd;

	watch(&w, NULL, &echo_config);
	fd = peer_connect(w.at);
	peer_send_string(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n");
	memset(piece, 'x', sizeof piece);
	while ((n = peer_send_some(fd, piece, sizeof piece)) == sizeof piece
	    && sent < 64 * KIB * KIB)
		sent += n;
	CHECK_LE(sent, 16 * KIB * KIB);		/* what sockets hold, no more */
	peer_close(fd);
	check_answers(&w);
	unwatch(&w);
}

static void test_nonsense_is_answered_or_cut_off_and_no_more(void)
{
	static const char *const nonsense[] = {
		"GET\r\n\r\n", "GET /\r\n\r\n", "\x16\x03\x01\n\r\n",
		"GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
		"GET / HTTP/1.1\r\n: localhost\r\n\r\n", "\xff\xff\xff\xff\r\n\r\n",
		"GET /%zz%%% HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		("GET /?&&==&%00=%00 HTTP/1.1\r\nHost: localhost\r\n"
		    "Connection: close\r\n\r\n"),
	};
	struct watched w;
	int fd;

	watch(&w, NULL, &echo_config);
	for (size_t i = 0; i < COUNT_OF(nonsense); i++) {
		fd = peer_connect(w.at);
		peer_send_string(fd, nonsense[i]);
		peer_half_close(fd);
		peer_read_to_end(fd, NULL);
		peer_close(fd);
	}
	check_answers(&w);
	unwatch(&w);
}

/* ---- time ---------------------------------------------------------------- */

/* The one test that waits for it; test_monitor_text has the rule without the time. */
static void test_who_drips_is_cut_off_after_ten_seconds(void)
{
	uint64_t begun_ms;
	struct watched w;
	int drips, idle;

	watch(&w, NULL, &echo_config);
	begun_ms = now_ms();
	drips = peer_connect(w.at);
	idle = peer_connect(w.at);
	peer_send_string(drips, "GET / HTTP/1.1\r\n");
	while (!has_ended(drips)) {
		send(drips, "x", 1, MSG_NOSIGNAL);
		HOLDS_FOR_MS(true, 100);
		REQUIRE(now_ms() - begun_ms < (uint64_t)SLOW(14000));
	}
	CHECK_GE(now_ms() - begun_ms, 9900);
	WAIT_UNTIL(has_ended(idle));
	check_undisturbed(&w);
	check_answers(&w);
	peer_close(drips);
	peer_close(idle);
	unwatch(&w);
}

/* ---- a full house -------------------------------------------------------- */

#define CROWD 40

static void test_a_crowd_of_slow_observers_locks_nobody_out(void)
{
	int crowd[CROWD], left = 0;
	struct watched w;

	watch(&w, NULL, &echo_config);
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = peer_connect(w.at);
		peer_send_some(crowd[i], "GET / HT", 8);
		if (i % 8 == 7)
			check_answers(&w);
	}
	check_answers(&w);
	check_undisturbed(&w);
	for (int i = 0; i < CROWD; i++)
		left += !has_ended(crowd[i]);
	CHECK_LE(left, BPM_GUESTS_MAX);
	for (int i = 0; i < CROWD; i++)
		peer_close(crowd[i]);
	unwatch(&w);
}

#define ASK "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

static void ask_on(int fd)
{
	char answer[2048];
	ssize_t n;

	peer_send_string(fd, ASK);
	n = peer_recv_some(fd, answer, sizeof answer - 1);
	answer[n > 0 ? n : 0] = '\0';
	CHECK(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0);
}

static void test_of_nine_the_one_that_was_idle_longest_goes(void)
{
	int guests[BPM_GUESTS_MAX], ninth;
	struct watched w;

	watch(&w, NULL, &echo_config);
	for (int i = 0; i < BPM_GUESTS_MAX; i++) {
		guests[i] = peer_connect(w.at);
		ask_on(guests[i]);
	}
	ask_on(guests[0]);
	ninth = peer_connect(w.at);
	ask_on(ninth);
	WAIT_UNTIL_MS(has_ended(guests[1]), 2000);
	for (int i = 0; i < BPM_GUESTS_MAX; i++)
		if (i != 1)
			ask_on(guests[i]);
	for (int i = 0; i < BPM_GUESTS_MAX; i++)
		peer_close(guests[i]);
	peer_close(ninth);
	unwatch(&w);
}

static void test_a_browser_may_keep_its_connection(void)
{
	struct answer answer;
	struct watched w;
	int fd;

	watch(&w, NULL, &echo_config);
	fd = peer_connect(w.at);
	for (int i = 0; i < 100; i++)
		peer_send_string(fd,
		    "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
	peer_send_string(fd, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\n\r\n");
	answer = read_answer(fd);
	CHECK_EQ(count_of(answer.body, "HTTP/1.1 200 OK"), 100);
	answer_free(&answer);
	peer_close(fd);
	unwatch(&w);
}

/* ---- answers that nobody reads ------------------------------------------- */

static void test_answers_that_nobody_reads_hold_up_nobody(void)
{
	int deaf[BPM_GUESTS_MAX];
	struct watched w;

	watch(&w, NULL, &echo_config);
	for (int i = 0; i < BPM_GUESTS_MAX; i++) {
		deaf[i] = peer_connect_rcvbuf(w.at, 4096);
		for (int n = 0; n < 200; n++)
			if (send(deaf[i], "GET /monitor.js HTTP/1.1\r\nHost: localhost"
			    "\r\n\r\n", 45, MSG_NOSIGNAL | MSG_DONTWAIT) != 45)
				break;
	}
	check_answers(&w);
	check_undisturbed(&w);
	for (int i = 0; i < BPM_GUESTS_MAX; i++)
		peer_close(deaf[i]);
	check_answers(&w);
	unwatch(&w);
}

/* ---- descriptors --------------------------------------------------------- */

#define FDS_MAX 100

/* Takes all there are left; ret[0] is how many, and -1 ends them. */
static void take_descriptors(int ret[FDS_MAX])
{
	struct rlimit limit = { FDS_MAX, FDS_MAX };
	int n = 0;

	REQUIRE_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while ((ret[n] = dup(STDOUT_FILENO)) >= 0)
		n++;
}

/* It has kept one: each who comes is answered, and goes when the next one comes. */
static void test_without_descriptors_it_answers_one_at_a_time(void)
{
	static const char request[] = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
	int taken[FDS_MAX], fds[4], quiet;
	uint64_t before_ns;
	struct watched w;

	watch(&w, NULL, &echo_config);
	quiet = count_fds();
	check_answers(&w);
	WAIT_UNTIL(count_fds() == quiet);
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		fds[i] = peer_socket();
	take_descriptors(taken);
	before_ns = cpu_ns();
	for (size_t i = 0; i < COUNT_OF(fds); i++) {
		peer_connect_socket(fds[i], w.at);
		peer_send_string(fds[i], request);
		peer_expect_string(fds[i], "HTTP/1.1 200");
	}
	HOLDS_FOR_MS(true, 300);
	CHECK_LE(cpu_ns() - before_ns, SLOW(200) * UINT64_C(1000000)); /* no spinning */
	for (int i = 0; taken[i] >= 0; i++)
		close(taken[i]);
	check_answers(&w);
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		peer_close(fds[i]);
	unwatch(&w);
}

/* ---- */

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_head_may_have_8_kib),
		TEST(test_a_head_without_end_is_cut_off),
		TEST(test_nonsense_is_answered_or_cut_off_and_no_more),
		TEST_WITHIN(test_who_drips_is_cut_off_after_ten_seconds, 30),
		TEST(test_a_crowd_of_slow_observers_locks_nobody_out),
		TEST(test_of_nine_the_one_that_was_idle_longest_goes),
		TEST(test_a_browser_may_keep_its_connection),
		TEST(test_answers_that_nobody_reads_hold_up_nobody),
		TEST(test_without_descriptors_it_answers_one_at_a_time),
	};

	return run_suite("monitor_limits", tests, COUNT_OF(tests), argc, argv);
}
