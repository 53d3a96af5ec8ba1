/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_demos.c - the demos, each a process of its own: what they refuse and in which
 * words, and that what they say can be relied on.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "program.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define START(p, ...) program_start(p, (const char *[]){ __VA_ARGS__, NULL })
#define SIZE 4096			/* of a payload of the client's */

static struct program demo;

/* With another stdout, or without one. */
static pid_t start_with_stdout(const char *out, const char *const args[])
{
	const char *place = getenv("BP_TEST_DEMOS");
	char path[1024];
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(STDOUT_FILENO);
	if (out)
		open(out, O_WRONLY);
	snprintf(path, sizeof path, "%s/%s", place ? place : "demos", args[0]);
	execv(path, (char *const *)args);
	_exit(127);
}

static int await(pid_t pid)
{
	int status;

	WAIT_UNTIL_MS(waitpid(pid, &status, WNOHANG) == pid, 15000);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- what cannot be meant ------------------------------------------------ */

static void test_demos_say_what_is_wrong_with_an_argument(void)
{
	static const char *const cases[][5] = {
		{ "is not PORT, HOST:PORT", "echo", "x" },
		{ "is not PORT, HOST:PORT", "echo", "" },
		{ "is not PORT, HOST:PORT", "echo", "::1:80" },
		{ "is not PORT, HOST:PORT", "echo", "[::1]80" },
		{ "is not PORT, HOST:PORT", "echo", "localhost:http" },
		{ "is not PORT, HOST:PORT", "echo", "1.2.3.4:70000" },
		{ "is not PORT, HOST:PORT", "echo", "unix:" },
		{ "70000 is not a port", "echo", "70000" },
		{ "is not PORT, HOST:PORT", "qdisc_custom", "x" },
		{ "is not PORT, HOST:PORT", "relay", "x", "1" },
		{ "is not PORT, HOST:PORT", "relay", "0", "x" },
		{ "at port 0", "relay", "0", "0" },
		{ "at port 0", "relay", "0", "127.0.0.1:0" },
		{ "is not PORT, HOST:PORT", "abuse", "server", "x" },
		{ "is not PORT, HOST:PORT", "abuse", "client", "7777", "abc" },
		{ "'zz' is not a discipline", "abuse", "server", "0", "zz" },
		{ "fair has no key 'zz'", "abuse", "server", "0", "fair:zz=1" },
		{ "'budget' wants a number", "abuse", "server", "0", "fair:budget=abc" },
		{ "'places' wants a number", "abuse", "server", "0", "bounded:places=0" },
		{ "conn, addr or key", "abuse", "compare", "fair:budget=1M,peer_by=x" },
		{ "bytes has no key 'bands'", "echo", "0", "--qdisc", "bytes:bands=2" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		START(&demo, cases[i][1], cases[i][2], cases[i][3], cases[i][4]);
		if (!CHECK_EQ(program_await(&demo, 8000), 2)
		    || !CHECK(program_said(&demo, COMPLAINED, cases[i][0])))
			printf("# %zu: %s", i, demo.text[COMPLAINED]);
		CHECK_EQ(program_lines(&demo, COMPLAINED), 1);
		CHECK_EQ(demo.n[SAID], 0);
	}
}

static void test_demos_take_every_form_of_an_address(void)
{
	static const char *const good[] = { "0", ":0", "127.0.0.1:0", "localhost:0" };

	for (size_t i = 0; i < COUNT_OF(good); i++) {
		START(&demo, "relay", good[i], "127.0.0.1:9");
		WAIT_UNTIL(program_said(&demo, SAID, "listening on"));
		CHECK_EQ(program_stop(&demo, SIGTERM), 0);
	}
}

/* ---- stdout -------------------------------------------------------------- */

/* Returns how many bytes came: payloads of the client's, and nothing between them. */
static size_t take_payloads(int fd)
{
	static const unsigned char head[4] = { 0, 0, SIZE >> 8, SIZE & 0xff };
	static unsigned char bytes[1 << 16];
	size_t n = 0, at;
	ssize_t got;

	while ((got = peer_recv_some(fd, bytes, sizeof bytes)) > 0)
		for (ssize_t i = 0; i < got; i++, n++) {
			at = n % (4 + SIZE);
			REQUIRE_EQ(bytes[i], at < 4 ? head[at] : 'b');
		}
	return n;
}

static void test_a_client_without_stdout_sends_nothing_else(void)
{
	char addr[ADDR_MAX], size[16];
	int listener = peer_listen(addr), fd;
	pid_t pid;

	snprintf(size, sizeof size, "%d", SIZE);
	pid = start_with_stdout(NULL, (const char *[]){ "abuse", "client",
	    strrchr(addr, ':') + 1, "--duration", "1500ms", "--rate", "1M", "--size", size,
	    NULL });
	fd = peer_accept(listener);
	CHECK(take_payloads(fd) > SIZE);
	CHECK_EQ(await(pid), 0);
	peer_close(fd);
	peer_close(listener);
}

/* A listener that is written to is a signal. */
static void test_a_server_without_stdout_serves(void)
{
	char addr[ADDR_MAX];
	int fd = peer_listen(addr);
	pid_t pid;

	peer_close(fd);			/* its port is free now */
	pid = start_with_stdout(NULL, (const char *[]){ "abuse", "server", addr,
	    "--monitor", "off", NULL });
	WAIT_UNTIL((fd = peer_try_connect(addr)) >= 0);
	HOLDS_FOR_MS(waitpid(pid, NULL, WNOHANG) == 0, 1200);	/* it tells a second */
	peer_half_close(fd);
	peer_expect_fin(fd);
	kill(pid, SIGTERM);
	CHECK_EQ(await(pid), 0);
	peer_close(fd);
}

static void test_what_could_not_be_written_is_a_failure(void)
{
	static const char *const cases[][4] = {
		{ "abuse", "list" }, { "abuse", "--help" }, { "echo", "--help" },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		CHECK_EQ(await(start_with_stdout("/dev/full", cases[i])), 1);
		CHECK_EQ(await(start_with_stdout(NULL, cases[i])), 1);
		CHECK_EQ(await(start_with_stdout("/dev/null", cases[i])), 0);
	}
}

static void test_qdisc_custom_says_where_it_listens(void)
{
	char addr[ADDR_MAX];
	int fd;

	START(&demo, "qdisc_custom", "127.0.0.1:0");
	program_find(&demo, SAID, "listening on ", addr, sizeof addr);
	fd = peer_connect(addr);
	peer_send_string(fd, "hello\n");
	peer_expect_string(fd, "hello");
	peer_close(fd);
	program_stop(&demo, SIGTERM);
}

/* ---- what they count ----------------------------------------------------- */

/* A payload is under way when the time is over, and then goes out all the same. */
static void test_the_client_sums_up_what_it_has_sent(void)
{
	static char bytes[1 << 20];
	char addr[ADDR_MAX], sent[32];
	int listener = peer_listen(addr), fd;
	size_t n = 0, step = 256;	/* slowly, until after that end */
	uint64_t begin = now_ms();
	ssize_t got;

	START(&demo, "abuse", "client", strrchr(addr, ':') + 1, "--duration", "300ms",
	    "--size", "16M", "--json");
	fd = peer_accept(listener);
	while ((got = peer_recv_some(fd, bytes, step)) > 0) {
		n += (size_t)got;
		step = now_ms() > begin + 600 ? sizeof bytes : 256;
	}
	CHECK_EQ(program_await(&demo, 8000), 0);
	program_find(&demo, SAID, "\"sent_bytes\":", sent, sizeof sent);
	CHECK_EQ(strtoull(sent, NULL, 10), n);
	peer_close(fd);
	peer_close(listener);
}

/* The numbers that the lines behind the heads begin with. */
static int last_second(const char *text)
{
	int last = 0, told;

	while ((text = strchr(text, '\n'))) {
		text++;
		if (sscanf(text, "%d", &told) != 1)
			continue;
		if (!CHECK(told > last))
			printf("# %d after %d\n", told, last);
		last = told;
	}
	return last;
}

/* Stopped as if the machine had no time for it. */
static void test_no_second_is_told_twice(void)
{
	START(&demo, "abuse", "server", "127.0.0.1:0", "--monitor", "off");
	WAIT_UNTIL(program_lines(&demo, SAID) > 3);
	kill(demo.pid, SIGSTOP);
	HOLDS_FOR_MS(waitpid(demo.pid, NULL, WNOHANG) == 0, 2500);
	kill(demo.pid, SIGCONT);
	WAIT_UNTIL(program_lines(&demo, SAID) > 5);
	program_listen(&demo);
	CHECK(last_second(demo.text[SAID]) >= 4);
	CHECK_EQ(program_stop(&demo, SIGTERM), 0);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_demos_say_what_is_wrong_with_an_argument, 60),
		TEST(test_demos_take_every_form_of_an_address),
		TEST(test_a_client_without_stdout_sends_nothing_else),
		TEST(test_a_server_without_stdout_serves),
		TEST(test_what_could_not_be_written_is_a_failure),
		TEST(test_qdisc_custom_says_where_it_listens),
		TEST(test_the_client_sums_up_what_it_has_sent),
		TEST(test_no_second_is_told_twice),
	};

	return run_suite("demos", tests, COUNT_OF(tests), argc, argv);
}
