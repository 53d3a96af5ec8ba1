/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_examples.c - the programs of tests/examples do what they say, each run as a
 * process of its own. They listen where they are told, on Unix sockets in a directory
 * of the test's, so that no port is guessed.
 *
 * BP_TEST_EXAMPLES is the directory of the programs (tests/examples).
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <arpa/inet.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- programs ------------------------------------------------------------------- */

static char directory[] = "/tmp/bp_examples.XXXXXX";

static const char *address(char out[ADDR_MAX], const char *name)
{
	if (strstr(directory, "XXXXXX"))
		REQUIRE(mkdtemp(directory) != NULL);
	snprintf(out, ADDR_MAX, "unix:%s/%s", directory, name);
	return out;
}

static pid_t run(const char *program, const char *first, const char *second)
{
	const char *place = getenv("BP_TEST_EXAMPLES");
	char path[PATH_MAX];
	pid_t pid;

	snprintf(path, sizeof path, "%s/%s", place ? place : "tests/examples", program);
	if (access(path, X_OK) != 0) {
		rmdir(directory);
		skip_test("%s is not there", path);
	}
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(STDERR_FILENO, STDOUT_FILENO);	/* the test's is for TAP */
		execl(path, program, first, second, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* Its status, as waitpid() tells. */
static int await(pid_t pid)
{
	int status = -1;

	WAIT_UNTIL_MS(waitpid(pid, &status, WNOHANG) == pid, 15000);
	return status;
}

static void check_success(pid_t pid)
{
	int status = await(pid);

	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 0);
}

/* A server without a signal handler: it must still be alive to die of this. */
static void terminate(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	status = await(pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGTERM);
}

/* Connect as soon as the program listens. */
static int connect_when_up(const char *addr)
{
	int fd = -1;

	WAIT_UNTIL((fd = peer_try_connect(addr)) >= 0);
	return fd;
}

/* ---- what they are to do ---------------------------------------------------------- */

static void send_pattern_and_end(void *arg)
{
	peer_send_pattern(*(int *)arg, 0, 4 << 20);
	peer_half_close(*(int *)arg);
}

/* Four megabytes there and back, and the end after them. */
static void check_echo(const char *addr)
{
	int fd = connect_when_up(addr);
	struct task *sender = task_start(send_pattern_and_end, &fd);

	peer_expect_pattern(fd, 0, 4 << 20);
	peer_expect_fin(fd);
	task_join(sender);
	peer_close(fd);
}

static void remove_socket(const char *addr)
{
	unlink(addr + strlen("unix:"));
}

static void check_echo_program(const char *program)
{
	char addr[ADDR_MAX];
	pid_t server = run(program, address(addr, program), NULL);
	int idle = connect_when_up(addr);

	check_echo(addr);
	check_success(run("pipeline", addr, "20000"));
	peer_send_string(idle, "still there?");
	peer_expect_string(idle, "still there?");
	peer_close(idle);
	terminate(server);
	remove_socket(addr);
	rmdir(directory);
}

static void test_examples_echo_handler_echoes(void)
{
	check_echo_program("echo_handler");
}

static void test_examples_echo_receive_echoes(void)
{
	check_echo_program("echo_receive");
}

static void test_examples_pipeline_fails_without_a_server(void)
{
	char addr[ADDR_MAX];
	int status = await(run("pipeline", address(addr, "nobody"), "1"));

	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 1);
	rmdir(directory);
}

static void test_examples_relay_passes_both_ways_and_stops_on_a_signal(void)
{
	char near[ADDR_MAX], far[ADDR_MAX];
	pid_t server = run("echo_handler", address(far, "far"), NULL), relay;

	peer_close(connect_when_up(far));
	relay = run("relay", address(near, "near"), far);
	check_echo(near);
	check_success(run("pipeline", near, "20000"));
	kill(relay, SIGINT);
	check_success(relay);
	CHECK(access(near + strlen("unix:"), F_OK) != 0);
	terminate(server);
	remove_socket(far);
	rmdir(directory);
}

static void ask(int fd, uint32_t type, const char *body)
{
	uint32_t header[2] = { htonl(type), htonl((uint32_t)strlen(body)) };

	peer_send(fd, header, sizeof header);
	peer_send_string(fd, body);
}

static void expect_answer(int fd, uint32_t type, const char *body)
{
	uint32_t header[2] = { htonl(type), htonl((uint32_t)strlen(body)) };

	peer_expect(fd, header, sizeof header);
	peer_expect_string(fd, body);
}

static void test_examples_reqresp_answers_and_refuses(void)
{
	static const char addr[] = "127.0.0.1:7777";	/* it takes no other */
	int fd = peer_try_connect(addr);
	pid_t server;

	if (fd >= 0) {
		peer_close(fd);
		skip_test("somebody listens on port 7777");
	}
	server = run("reqresp", NULL, NULL);
	fd = connect_when_up(addr);
	ask(fd, 2, "loud");
	ask(fd, 1, "");
	ask(fd, 2, "x");
	expect_answer(fd, 2, "LOUD");
	expect_answer(fd, 1, "");
	expect_answer(fd, 2, "X");
	peer_send(fd, "\0\0\0\7\0\0\0\0", 8);	/* no such type */
	peer_expect_reset(fd);
	peer_close(fd);
	terminate(server);
}

/* First it checks its discipline, for the seed that it is given, then it serves. */
static void test_examples_smallest_first_keeps_its_contract_and_serves(void)
{
	static const char addr[] = "127.0.0.1:7777";
	int fd = peer_try_connect(addr);
	pid_t server;

	if (fd >= 0) {
		peer_close(fd);
		skip_test("somebody listens on port 7777");
	}
	server = run("smallest_first", "7", NULL);
	fd = connect_when_up(addr);
	peer_send_u32be(fd, "0123456789", 10);
	peer_send_u32be(fd, "", 0);
	peer_half_close(fd);
	peer_expect_fin(fd);		/* it has handled both, and ENDED */
	peer_close(fd);
	terminate(server);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_examples_echo_handler_echoes),
		TEST(test_examples_echo_receive_echoes),
		TEST_WITHIN(test_examples_pipeline_fails_without_a_server, 15),
		TEST(test_examples_relay_passes_both_ways_and_stops_on_a_signal),
		TEST(test_examples_reqresp_answers_and_refuses),
		TEST(test_examples_smallest_first_keeps_its_contract_and_serves),
	};

	return run_suite("examples", tests, COUNT_OF(tests), argc, argv);
}
