/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_top.c - demos/abuse top, run as a process of its own, against a server that is
 * the test's: a good one, one that is gone, and ones that would do it harm.
 */
#include "config.h"

#include "fake.h"
#include "program.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct program top;

#define RUN(...) program_start(&top, (const char *[]){ "abuse", "top", __VA_ARGS__, NULL })

static bool is_shown_by_any_terminal(const char *text)
{
	for (; *text; text++)
		if (*text != '\n' && (*text < ' ' || *text == 0x7f))
			return false;
	return true;
}

/* ---- once ---------------------------------------------------------------- */

static void test_top_once_shows_what_the_server_says(void)
{
	static const char *const shown[] = {
		"abuse server :7777   one_place   up 00:03:12", "ready", "  50 MiB",
		"32 MiB", "25 % of 128 MiB", "3 events", "200.0 MB/s", "5.0 MB/s",
		"p50 159 ms  p99 243 ms  most 260 ms", "busy 99 %  cpu 25 %",
		"7 of 1024  4 idle  2 waiting  1 throttled", "12 closed by the peer",
		"refused 5", "42  127.0.0.1:40001", "1 MiB", "50 %", "2 more",
	};

	fake_begin(GOOD);
	RUN("-1", fake.url);
	CHECK_EQ(program_await(&top, 8000), 0);
	for (size_t i = 0; i < COUNT_OF(shown); i++)
		if (!CHECK(program_said(&top, SAID, shown[i])))
			printf("# %s\n", shown[i]);
	CHECK_EQ(program_lines(&top, COMPLAINED), 0);
	CHECK(strstr(top.text[SAID], "\033") == NULL);
	fake_end();
}

static void test_top_once_writes_one_object_of_json(void)
{
	const char *text = top.text[SAID];

	fake_begin(HOSTILE);
	RUN("-1", "-j", fake.url);
	CHECK_EQ(program_await(&top, 8000), 0);
	CHECK_EQ(program_lines(&top, SAID), 1);
	CHECK(strncmp(text, "{\"event\":\"second\",\"resident_bytes\":52428800,"
	    "\"received_rate\":200000000,\"sent_rate\":5000000,\"status\":{\"name\":", 98)
	    == 0);
	CHECK(program_said(&top, SAID, "\"peer\":\"\\u001b]0;owned\\u0007\\u001b[31m"
	    "\\u009b2J\\u009b\\u000a\\u000d\\u202e\\u007f\""));
	CHECK(is_shown_by_any_terminal(text));
	for (; *text; text++)
		CHECK((unsigned char)*text < 0x80);
	fake_end();
}

static void test_top_shows_no_byte_that_a_terminal_would_obey(void)
{
	fake_begin(HOSTILE);
	RUN("-1", fake.url);
	CHECK_EQ(program_await(&top, 8000), 0);
	CHECK(program_said(&top, SAID, "?]0;owned??[31"));
	fake_take_out_glyphs(top.text[SAID]);
	CHECK(is_shown_by_any_terminal(top.text[SAID]));

	RUN(fake.url);		/* lines, likewise */
	WAIT_UNTIL(program_lines(&top, SAID) >= 4);
	program_stop(&top, SIGTERM);
	CHECK(is_shown_by_any_terminal(top.text[SAID]));
	fake_end();
}

/* As wide as it is told that the terminal is, whatever there is to be shown. */
static void test_top_cuts_what_is_too_wide(void)
{
	char *line = top.text[SAID];
	size_t len;

	setenv("COLUMNS", "40", 1);
	fake_begin(HOSTILE);
	RUN("-1", fake.url);
	CHECK_EQ(program_await(&top, 8000), 0);
	CHECK(program_lines(&top, SAID) > 10);
	fake_take_out_glyphs(line);
	for (; *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		CHECK_LE(len, 40);
	}
	fake_end();
}

static void test_top_asks_as_http_wants_it(void)
{
	char expected[ADDR_MAX + 64], url[ADDR_MAX + 32];

	fake_begin(GOOD);
	snprintf(url, sizeof url, "%sbelow/it", fake.url);
	RUN("-1", url);
	CHECK_EQ(program_await(&top, 8000), 0);
	fake_end();
	snprintf(expected, sizeof expected, "\r\nHost: %s\r\n", fake.addr);
	CHECK(strncmp(fake.last, "GET /below/it/api/v1/status HTTP/1.", 35) == 0);
	CHECK(strstr(fake.last, expected) != NULL);
	CHECK_EQ(fake.served, 3);
}

static void test_top_asks_a_server_on_ipv6(void)
{
	char host[ADDR_MAX + 16];

	if (!fake_begin_on_ipv6())
		skip_test("there is no IPv6");
	snprintf(host, sizeof host, "\r\nHost: %s\r\n", fake.addr);
	RUN("-1", fake.addr);
	CHECK_EQ(program_await(&top, 8000), 0);
	fake_end();
	CHECK(strstr(fake.last, host) != NULL);
}

/* ---- trouble ------------------------------------------------------------- */

/* One line on stderr, nothing on stdout, status 1; and soon. */
static void check_refusal(const char *why)
{
	RUN("-1", fake.url);
	CHECK_EQ(program_await(&top, 8000), 1);
	CHECK_EQ(program_lines(&top, COMPLAINED), 1);
	CHECK_EQ(program_lines(&top, SAID), 0);
	if (!CHECK(program_said(&top, COMPLAINED, why)))
		printf("# %s", top.text[COMPLAINED]);
}

static void test_top_says_what_is_no_monitor(void)
{
	static const struct {
		enum behaviour behaviour;
		const char *why;
	} cases[] = {
		{ NOT_FOUND, "no monitor, answers 404 to /api/v1/status" },
		{ NO_HTTP, "rotocol" }, { NO_JSON, "no monitor, by its /api/v1/status" },
		{ OTHER_JSON, "no monitor, by" }, { DEEP, "no monitor, by" },
		{ CUT_OFF, "rotocol" }, { ENDLESS, "over a size limit" },
		{ SILENT, "not in time" },
	};

	fake_begin(GOOD);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		fake.behaviour = cases[i].behaviour;
		check_refusal(cases[i].why);
	}
	fake_end();
	check_refusal("refused");
}

static void test_top_refuses_what_is_no_url(void)
{
	static const char *const bad[] = {
		"", "http://", "https://localhost/", "http://a@b/", "http://a b/", "a\r\nb",
		"http://a/?x", "http://a/#x", "/x", "http:///x", "99999", "0", "a:b", "::1",
		"[::1", "[::1]:x", "a:123456789", ":80:80", "[zz]:80",
	};

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		RUN("-1", bad[i]);
		if (!CHECK_EQ(program_await(&top, 8000), 2))
			printf("# %s\n", bad[i]);
		RUN(bad[i]);	/* nor is it tried again */
		CHECK_EQ(program_await(&top, 8000), 2);
		CHECK_EQ(program_lines(&top, COMPLAINED), strchr(bad[i], '\n') ? 2 : 1);
	}
	RUN("-2");
	CHECK_EQ(program_await(&top, 8000), 2);
	RUN("-1j");
	CHECK_EQ(program_await(&top, 8000), 2);
	RUN("--sort", "nothing");
	CHECK_EQ(program_await(&top, 8000), 2);
}

static void test_top_writes_a_line_a_second_and_tries_again(void)
{
	size_t lines;

	fake_begin(GOOD);
	RUN(fake.url);
	WAIT_UNTIL(program_lines(&top, SAID) >= 5);	/* three are the head */
	CHECK(program_said(&top, SAID, "abuse server :7777, one_place, at http://127.0.0.1:"));
	CHECK(program_said(&top, SAID, "00:03:12     50.0     32.0     16.0       3    200.0"));
	CHECK_EQ(program_lines(&top, COMPLAINED), 0);
	fake_end();
	WAIT_UNTIL(program_said(&top, COMPLAINED, "refused; trying again\n"));
	lines = program_lines(&top, SAID);
	fake_begin_again();
	WAIT_UNTIL(program_lines(&top, SAID) > lines);
	CHECK_EQ(program_stop(&top, SIGTERM), 0);
	CHECK_LE(program_lines(&top, COMPLAINED), 2);	/* it may be cut off before */
	CHECK(strstr(top.text[SAID], "\033") == NULL);
	fake_end();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_top_once_shows_what_the_server_says),
		TEST(test_top_once_writes_one_object_of_json),
		TEST(test_top_shows_no_byte_that_a_terminal_would_obey),
		TEST(test_top_cuts_what_is_too_wide),
		TEST(test_top_asks_as_http_wants_it),
		TEST(test_top_asks_a_server_on_ipv6),
		TEST_WITHIN(test_top_says_what_is_no_monitor, 30),
		TEST_WITHIN(test_top_refuses_what_is_no_url, 60),
		TEST(test_top_writes_a_line_a_second_and_tries_again),
	};

	return run_suite("top", tests, COUNT_OF(tests), argc, argv);
}
