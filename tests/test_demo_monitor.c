/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_demo_monitor.c - the demos, each a process of its own, with --monitor: where
 * they serve it, what they say of it, and that one can watch them there.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WATCH "watch it live: "
#define START(p, ...) program_start(p, (const char *[]){ __VA_ARGS__, NULL })

static struct program demo, other;

/* Whether a build has the monitor its programs tell. */
static void need_monitor(void)
{
	START(&demo, "echo", "127.0.0.1:0", "--monitor", "0");
	WAIT_UNTIL(program_said(&demo, SAID, "listening on"));
	program_stop(&demo, SIGTERM);
	if (program_said(&demo, COMPLAINED, "built without the monitor"))
		skip_test("it is built without libmicrohttpd");
}

/* "http://127.0.0.1:8000/": its "127.0.0.1:8000". */
static const char *addr_of(const char *url, char addr[ADDR_MAX])
{
	snprintf(addr, ADDR_MAX, "%.*s", (int)strcspn(url + 7, "/"), url + 7);
	return addr;
}

/* What it says of itself, asked on fd, begins so. */
static void check_watched_on(int fd, const char *addr, const char *name)
{
	static char answer[1 << 16];
	char expected[128], request[512];
	size_t n = 0;
	ssize_t got;

	snprintf(request, sizeof request, "GET /api/v1/status HTTP/1.0\r\nHost: %s\r\n\r\n",
	    addr);
	peer_send_string(fd, request);
	while (n < sizeof answer - 1
	    && (got = peer_recv_some(fd, answer + n, sizeof answer - 1 - n)) > 0)
		n += (size_t)got;
	answer[n] = '\0';
	peer_close(fd);
	snprintf(expected, sizeof expected, "\"name\":\"%s", name);
	CHECK(strstr(answer, "200 OK") != NULL);
	if (!CHECK(strstr(answer, expected) != NULL))
		printf("# not %s in %.400s\n", expected, answer);
}

static void check_watched(const char *url, const char *name)
{
	char addr[ADDR_MAX];

	check_watched_on(peer_connect(addr_of(url, addr)), addr, name);
}

/* ---- where --------------------------------------------------------------- */

static void test_demos_say_first_where_they_can_be_watched(void)
{
	static const char *const names[] = { "echo", "relay", "abuse" };
	char url[ADDR_MAX], name[64];

	need_monitor();
	for (int i = 0; i < 3; i++) {
		if (i == 0)
			START(&demo, "echo", "--monitor", "0", "127.0.0.1:0");
		else if (i == 1)
			START(&demo, "relay", "--monitor", "127.0.0.1:0", "127.0.0.1:0",
			    "127.0.0.1:9");
		else
			START(&demo, "abuse", "server", "127.0.0.1:0", "--monitor", "0");
		WAIT_UNTIL(program_said(&demo, SAID, "listening on"));
		CHECK(strncmp(demo.text[SAID], WATCH, strlen(WATCH)) == 0);
		program_find(&demo, SAID, WATCH, url, sizeof url);
		snprintf(name, sizeof name, "%s%s", names[i], i == 2 ? " server" : "");
		snprintf(name + strlen(name), 32, " 127.0.0.1:");
		if (i < 2)
			strcat(name, "0");	/* as it was asked for */
		else
			program_find(&demo, SAID, "listening on 127.0.0.1:",
			    name + strlen(name), 6);
		check_watched(url, name);
		CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	}
}

static void test_demos_serve_it_nowhere_unless_asked(void)
{
	START(&demo, "echo", "127.0.0.1:0");
	START(&other, "abuse", "server", "127.0.0.1:0", "--monitor", "off");
	WAIT_UNTIL(program_said(&demo, SAID, "listening on"));
	WAIT_UNTIL(program_said(&other, SAID, "listening on"));
	program_stop(&demo, SIGTERM);
	program_stop(&other, SIGTERM);
	CHECK(!program_said(&demo, SAID, WATCH));
	CHECK(!program_said(&other, SAID, WATCH));
	CHECK(!program_said(&demo, COMPLAINED, "monitor"));
	CHECK(!program_said(&other, COMPLAINED, "monitor"));
}

static void test_abuse_server_serves_it_unless_told_otherwise(void)
{
	char url[ADDR_MAX], again[ADDR_MAX];

	need_monitor();
	START(&demo, "abuse", "server", "127.0.0.1:0");
	program_find(&demo, SAID, WATCH, url, sizeof url);
	START(&other, "abuse", "server", "127.0.0.1:0");
	program_find(&other, SAID, WATCH, again, sizeof again);
	CHECK(strncmp(url, "http://127.0.0.1:80", 19) == 0);
	CHECK(strcmp(url, again) != 0);
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	CHECK_EQ(program_stop(&other, SIGTERM), 0);
}

static void test_demos_take_the_next_port_only_if_they_may(void)
{
	char taken[ADDR_MAX], next[ADDR_MAX + 2], url[ADDR_MAX], addr[ADDR_MAX];
	int listener, port;

	need_monitor();
	listener = peer_listen(taken);
	snprintf(next, sizeof next, "%s+", taken);
	START(&demo, "echo", "127.0.0.1:0", "--monitor", next);
	program_find(&demo, SAID, WATCH, url, sizeof url);
	port = atoi(strrchr(addr_of(url, addr), ':') + 1)
	    - atoi(strrchr(taken, ':') + 1);
	CHECK(port >= 1 && port <= 20);
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);

	START(&demo, "echo", "127.0.0.1:0", "--monitor", taken);
	CHECK_EQ(program_await(&demo, 8000), 1);
	CHECK_EQ(demo.n[SAID], 0);
	CHECK(program_said(&demo, COMPLAINED, taken));
	CHECK(program_said(&demo, COMPLAINED, "ddress already in use"));

	START(&demo, "abuse", "compare", "--monitor", taken);
	CHECK_EQ(program_await(&demo, 8000), 1);
	CHECK_EQ(demo.n[SAID], 0);
	CHECK(program_said(&demo, COMPLAINED, "ddress already in use"));
	peer_close(listener);
}

static void test_demos_refuse_what_is_no_address(void)
{
	static const char *const bad[] = {
		"", "x", "1.2.3.4", "127.0.0.1:", "65536", "-1", "8000++", "+", "80 00",
		"8000+1", "127.0.0.1:8000x", "127.0.0.1:123456", "offf",
	};

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		START(&demo, "echo", "127.0.0.1:0", "--monitor", bad[i]);
		if (!CHECK_EQ(program_await(&demo, 8000), 2))
			printf("# %s\n", bad[i]);
		CHECK(program_said(&demo, COMPLAINED, "is not [HOST:]PORT or off"));
	}
}

static void test_demos_without_the_monitor_say_so_and_go_on(void)
{
	START(&demo, "echo", "127.0.0.1:0", "--monitor", "0");
	WAIT_UNTIL(program_said(&demo, SAID, "listening on"));
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	CHECK(program_said(&demo, SAID, WATCH)
	    != program_said(&demo, COMPLAINED, "echo: built without the monitor"));
}

/* ---- watching ------------------------------------------------------------ */

static void test_abuse_server_tells_it_in_json(void)
{
	static const char begin[] = "{\"event\":\"monitor\",\"url\":\"";
	char url[ADDR_MAX];

	need_monitor();
	START(&demo, "abuse", "server", "127.0.0.1:0", "--json", "--monitor", "0",
	    "--name", "a name of mine");
	program_find(&demo, SAID, begin, url, sizeof url);
	WAIT_UNTIL(program_said(&demo, SAID, "{\"event\":\"listening\""));
	CHECK(strncmp(demo.text[SAID], begin, strlen(begin)) == 0);
	check_watched(url, "a name of mine");
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
}

/* Runs follow one another at the address that was said first. */
static void check_compare(const char *scenario, const char *name)
{
	char url[ADDR_MAX], addr[ADDR_MAX], directory[] = "/tmp/bp_demo.XXXXXX";
	char path[128];
	int fd = -1;

	REQUIRE(mkdtemp(directory) != NULL);
	START(&demo, "abuse", "compare", "--scenario", scenario, "--duration", "1",
	    "--monitor", "0", "--out", directory, "bytes");
	program_find(&demo, SAID, WATCH, url, sizeof url);
	CHECK(strncmp(demo.text[SAID], WATCH, strlen(WATCH)) == 0);
	WAIT_UNTIL((fd = peer_try_connect(addr_of(url, addr))) >= 0);
	check_watched_on(fd, addr, name);
	CHECK_EQ(program_await(&demo, 15000), 0);
	CHECK(!program_said(&demo, COMPLAINED, "monitor"));
	CHECK(strstr(strstr(demo.text[SAID], WATCH) + 1, WATCH) == NULL);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s.%s", directory,
		    strcmp(scenario, "flood") == 0 ? "compare" : scenario,
		    i ? "svg" : "tsv");
		unlink(path);
	}
	rmdir(directory);
}

static void test_abuse_compare_can_be_watched(void)
{
	need_monitor();
	check_compare("flood", "abuse compare flood, bytes");
	check_compare("hog", "abuse compare hog, bytes");
	check_compare("slow-reader", "abuse compare slow-reader, bytes, ");
}

static void test_demos_say_that_everybody_can_watch(void)
{
	static const char *const any[] = { ":0", "0.0.0.0:0" };

	need_monitor();
	for (size_t i = 0; i < COUNT_OF(any); i++) {
		START(&demo, "echo", "127.0.0.1:0", "--monitor", any[i]);
		WAIT_UNTIL(program_said(&demo, SAID, "listening on"));
		CHECK(program_said(&demo, SAID, "/ (so can everybody who reaches"));
		CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	}
	START(&demo, "abuse", "server", "127.0.0.1:0", "--monitor", ":0", "--json");
	WAIT_UNTIL(program_said(&demo, SAID, "\"listening\""));
	CHECK(program_said(&demo, SAID, "/\",\"everybody\":true}\n"));
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	START(&demo, "echo", "127.0.0.1:0", "--monitor", "127.0.0.1:0");
	WAIT_UNTIL(program_said(&demo, SAID, "listening on"));
	CHECK(!program_said(&demo, SAID, "everybody"));
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
}

/* A peer on a Unix socket is called what it calls itself. */
static int connect_hostile(const char *directory, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int here = open(".", O_RDONLY | O_DIRECTORY);

	REQUIRE_EQ(chdir(directory), 0);	/* or its name is the longest part */
	snprintf(un.sun_path, sizeof un.sun_path, "\033[31m\"\n\302\233<b>\377\303\274");
	REQUIRE_EQ(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	unlink(un.sun_path);
	REQUIRE_EQ(fchdir(here), 0);
	close(here);
	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	REQUIRE_EQ(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
	return fd;
}

/* Its name is told when it is cut, for a frame that is too large. */
static void check_told(const char *json, const char *told)
{
	char directory[] = "/tmp/bp_demo.XXXXXX", unix_addr[64];
	int fd;

	REQUIRE(mkdtemp(directory) != NULL);
	snprintf(unix_addr, sizeof unix_addr, "unix:%s/abuse", directory);
	START(&demo, "abuse", "server", unix_addr, "--monitor", "off", json);
	WAIT_UNTIL(program_said(&demo, SAID, "listening"));
	fd = connect_hostile(directory, unix_addr + 5);
	peer_send_string(fd, "\377\377\377\377");
	WAIT_UNTIL(program_said(&demo, SAID, "closed"));
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	if (!CHECK(program_said(&demo, SAID, told)))
		printf("# %s", demo.text[SAID]);
	CHECK(!program_said(&demo, SAID, "\033"));
	CHECK(!program_said(&demo, SAID, "\302\233"));
	peer_close(fd);
	rmdir(directory);
}

static void test_the_server_tells_a_hostile_peer_as_text(void)
{
	check_told(NULL, "\\x1b[31m\"\\x0a");
	check_told("--json", "\\\\x1b[31m\\\"\\\\x0a");
}

static void test_top_shows_a_hostile_peer_as_text(void)
{
	char directory[] = "/tmp/bp_demo.XXXXXX", unix_addr[64], url[ADDR_MAX];
	int fd;

	need_monitor();
	REQUIRE(mkdtemp(directory) != NULL);
	snprintf(unix_addr, sizeof unix_addr, "unix:%s/echo", directory);
	START(&demo, "echo", unix_addr, "--monitor", "0");
	program_find(&demo, SAID, WATCH, url, sizeof url);
	WAIT_UNTIL(program_said(&demo, SAID, "listening on"));

	fd = connect_hostile(directory, unix_addr + 5);
	peer_send_string(fd, "hello");
	peer_expect_string(fd, "hello");

	START(&other, "abuse", "top", "-1", url);
	CHECK_EQ(program_await(&other, 8000), 0);
	CHECK(program_said(&other, SAID, "?[31m\"?" "?<b>"));
	CHECK(!program_said(&other, SAID, "\033"));
	CHECK(!program_said(&other, SAID, "\302\233"));
	START(&other, "abuse", "top", "-1", "-j", url);
	CHECK_EQ(program_await(&other, 8000), 0);
	CHECK_EQ(program_lines(&other, SAID), 1);
	CHECK(!program_said(&other, SAID, "\033"));
	peer_close(fd);
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	rmdir(directory);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_demos_say_first_where_they_can_be_watched),
		TEST(test_demos_serve_it_nowhere_unless_asked),
		TEST(test_abuse_server_serves_it_unless_told_otherwise),
		TEST(test_demos_take_the_next_port_only_if_they_may),
		TEST(test_demos_refuse_what_is_no_address),
		TEST(test_demos_without_the_monitor_say_so_and_go_on),
		TEST(test_abuse_server_tells_it_in_json),
		TEST_WITHIN(test_abuse_compare_can_be_watched, 90),
		TEST(test_demos_say_that_everybody_can_watch),
		TEST(test_the_server_tells_a_hostile_peer_as_text),
		TEST(test_top_shows_a_hostile_peer_as_text),
	};

	return run_suite("demo monitor", tests, COUNT_OF(tests), argc, argv);
}
