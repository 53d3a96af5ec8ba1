/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_relay.c - demos/relay, run as a process of its own between plain sockets: the
 * test is its client, near, and its target, far. A peer that was stopped is one that
 * does not read.
 *
 * BP_TEST_DEMOS is the directory of the program (demos).
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MB ((uint64_t)1 << 20)

/* The relay, and a client and its target that it connects. A test has its process. */
static struct {
	pid_t pid;
	FILE *output;			/* stdout and stderr of it */
	char addr[ADDR_MAX];
	int listener, near, far;
	int idle_descriptors;
	size_t idle_resident;
} path;

static size_t resident_of(void)
{
	size_t pages = 0;
	char name[64];
	FILE *file;

	snprintf(name, sizeof name, "/proc/%d/statm", (int)path.pid);
	file = fopen(name, "r");
	REQUIRE(file != NULL);
	REQUIRE_EQ(fscanf(file, "%*u %zu", &pages), 1);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* How many connections it holds follows from that. */
static int descriptors_of(void)
{
	char name[64];
	int n = 0;
	DIR *dir;

	snprintf(name, sizeof name, "/proc/%d/fd", (int)path.pid);
	dir = opendir(name);
	REQUIRE(dir != NULL);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void start(const char *target)
{
	const char *place = getenv("BP_TEST_DEMOS");
	char program[1024], line[256];
	int output[2];

	snprintf(program, sizeof program, "%s/relay", place ? place : "demos");
	REQUIRE_EQ(pipe(output), 0);
	path.pid = fork();
	REQUIRE(path.pid >= 0);
	if (path.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(output[1], STDOUT_FILENO);
		dup2(output[1], STDERR_FILENO);
		execl(program, "relay", "127.0.0.1:0", target, (char *)NULL);
		_exit(127);
	}
	close(output[1]);
	path.output = fdopen(output[0], "r");
	do	/* it may say first that it has raised a limit */
		REQUIRE(fgets(line, sizeof line, path.output) != NULL);
	while (sscanf(line, "relay: listening on %127s", path.addr) != 1);
	path.idle_descriptors = descriptors_of();
	path.idle_resident = resident_of();
}

/* It ends well, and has said as many lines that begin like this. */
static void stop(int stop_signal, const char *begin, int times)
{
	int status = -1;
	char line[256];

	kill(path.pid, stop_signal);
	WAIT_UNTIL_MS(waitpid(path.pid, &status, WNOHANG) == path.pid, 3000);
	CHECK_EQ(status, 0);
	while (fgets(line, sizeof line, path.output)) {
		printf("# %s", line);
		times -= strncmp(line, begin, strlen(begin)) == 0;
	}
	CHECK_EQ(times, 0);
	fclose(path.output);
}

static void connect_ends(void)
{
	path.near = peer_connect(path.addr);
	path.far = peer_accept(path.listener);
}

/* Nothing of them is left at the relay. */
static void close_ends(void)
{
	peer_close(path.near);
	peer_close(path.far);
	WAIT_UNTIL(descriptors_of() == path.idle_descriptors);
}

static void path_open(void)
{
	char target[ADDR_MAX];

	path.listener = peer_listen(target);
	start(target);
	connect_ends();
}

static void path_close(void)
{
	close_ends();
	peer_close(path.listener);
	stop(SIGTERM, "relay: ", 0);
}

/* From the client to the target, then the other way round. */
static void each_way(void (*fn)(int from, int to))
{
	path_open();
	fn(path.near, path.far);
	close_ends();
	connect_ends();
	fn(path.far, path.near);
	path_close();
}

/* ---- bytes, and their end ------------------------------------------------ */

struct stream {
	int fd;
	uint64_t len;
};

static void send_to_end(void *arg)
{
	const struct stream *stream = arg;

	peer_send_pattern(stream->fd, 0, stream->len);
	peer_half_close(stream->fd);
}

static void expect_to_end(void *arg)
{
	const struct stream *stream = arg;

	peer_expect_pattern(stream->fd, 0, stream->len);
	peer_expect_fin(stream->fd);
}

static void write_all_then_read(int first, int other)
{
	struct stream one = { first, 10 * MB }, two = { other, 10 * MB };
	struct task *sender = task_start(send_to_end, &two);
	struct task *reader = task_start(expect_to_end, &two);

	send_to_end(&one);
	expect_to_end(&one);
	task_join(sender);
	task_join(reader);
}

/* Behaviour 24: what the other sends meanwhile, 10 MB as well, is not in the way */
static void test_relay_takes_ten_megabytes_of_who_reads_later(void)
{
	each_way(write_all_then_read);
}

static void send_through(int from, int to)
{
	struct stream sent = { from, 3 * MB }, got = { to, 3 * MB };
	struct task *sender = task_start(send_to_end, &sent);

	expect_to_end(&got);
	task_join(sender);
}

static void end_then_answer(int from, int to)
{
	send_through(from, to);
	send_through(to, from);
}

static void test_relay_passes_on_an_end_and_then_the_answer(void)
{
	each_way(end_then_answer);
}

/* ---- memory -------------------------------------------------------------- */

/* Of a pair, that is: its marks and chunks, four stacks, and a heap for each. */
static bool is_small(void)
{
	return is_sanitized() || resident_of() <= path.idle_resident + 4 * MB;
}

/* Nothing more is taken from one; then the other reads it all, and 64 MB besides. */
static void stop_reading(int from, int to)
{
	struct stream stream = { from, is_sanitized() ? 8 * MB : 64 * MB };
	uint64_t stuck = peer_send_until_stuck(from, 300), at;
	struct task *sender = task_start(send_to_end, &stream);
	char piece[64 * 1024];

	HOLDS_FOR_MS(is_small(), 500);
	for (; stuck > 0; stuck -= at) {
		at = stuck < sizeof piece ? stuck : sizeof piece;
		peer_recv(to, piece, at);
		REQUIRE(piece[0] == 0 && memcmp(piece, piece + 1, at - 1) == 0);
	}
	for (at = 0; at < stream.len; at += MB) {
		peer_expect_pattern(to, at, MB);
		CHECK(is_small());
	}
	peer_expect_fin(to);
	task_join(sender);
}

static void test_relay_stays_small_beside_who_stops_reading(void)
{
	each_way(stop_reading);
}

/* ---- resets -------------------------------------------------------------- */

static bool is_broken(int fd)
{
	struct pollfd pollfd = { .fd = fd };

	return poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLERR;
}

static void reset(int fd)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	REQUIRE_EQ(connect(fd, &none, sizeof none), 0);	/* and the descriptor stays */
}

static void reset_first(int from, int to)
{
	peer_send_string(from, "x");
	peer_expect_string(to, "x");
	reset(from);
	WAIT_UNTIL(is_broken(to));
}

static void reset_last(int from, int to)
{
	peer_send_until_stuck(from, 100);
	reset(from);
	WAIT_UNTIL(is_broken(to));
}

static void test_relay_passes_on_a_reset_also_past_what_is_not_read(void)
{
	each_way(reset_first);
	each_way(reset_last);
}

/* Has the relay sent the last of what fd is to get? In /proc/net/tcp 4 is FIN_WAIT1. */
static bool is_ended(int fd)
{
	FILE *file = fopen("/proc/net/tcp", "r");
	struct sockaddr_in at;
	socklen_t len = sizeof at;
	unsigned port, state;
	bool ended = false;
	char line[256];

	REQUIRE(file != NULL);
	REQUIRE_EQ(getpeername(fd, (struct sockaddr *)&at, &len), 0);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, " %*d: %*x:%x %*x:%*x %x", &port, &state) == 2)
			ended |= port == ntohs(at.sin_port) && state == 4;
	fclose(file);
	return ended;
}

/* As of who closes with an answer unread. */
static void test_relay_delivers_what_had_ended_before_a_reset(void)
{
	struct stream stream = { .len = 64 << 10 };

	path_open();
	close_ends();
	peer_set_option(path.listener, SOL_SOCKET, SO_RCVBUF, 4096);
	connect_ends();
	stream.fd = path.near;
	send_to_end(&stream);
	WAIT_UNTIL(is_ended(path.far));
	reset(path.near);
	WAIT_UNTIL(descriptors_of() == path.idle_descriptors + 1);
	stream.fd = path.far;
	expect_to_end(&stream);
	path_close();
}

/* ---- targets that are not there, and stops ------------------------------- */

static void test_relay_resets_its_client_when_the_target_refuses_and_says_so(void)
{
	char target[ADDR_MAX];

	peer_close(peer_listen(target));	/* nobody's now */
	start(target);
	path.near = peer_connect(path.addr);
	peer_expect_reset(path.near);
	peer_close(path.near);
	stop(SIGINT, "relay: cannot connect to 127.0.0.1:", 1);
}

/* The target's backlog is full: it has to be tried again, a second later. */
static void test_relay_keeps_what_is_sent_and_ended_before_it_is_connected(void)
{
	struct stream stream = { .len = 100000 };
	char target[ADDR_MAX];

	path.listener = peer_listen(target);
	REQUIRE_EQ(listen(path.listener, 0), 0);
	peer_close(peer_connect(target));
	start(target);
	path.near = stream.fd = peer_connect(path.addr);
	send_to_end(&stream);
	WAIT_UNTIL(peer_unacknowledged(path.near) == 0);
	peer_close(peer_accept(path.listener));
	path.far = stream.fd = peer_accept(path.listener);
	expect_to_end(&stream);
	send_through(path.far, path.near);
	path_close();
}

/* That it stops must not be taken for the end of what they send. */
static void test_relay_serves_many_and_resets_them_when_it_stops(void)
{
	enum { MANY = 100, LEN = 10000 };
	int near[MANY], far[MANY], i;

	path_open();
	for (i = 0; i < MANY; i++) {
		if (i > 0)
			connect_ends();
		near[i] = path.near;
		far[i] = path.far;
		peer_send_pattern(near[i], (uint64_t)i, LEN);
		peer_send_pattern(far[i], (uint64_t)i + LEN, LEN);
	}
	for (i = 0; i < MANY; i++) {
		peer_expect_pattern(far[i], (uint64_t)i, LEN);
		peer_expect_pattern(near[i], (uint64_t)i + LEN, LEN);
	}
	peer_close(path.listener);
	stop(SIGTERM, "relay: ", 0);
	for (i = 0; i < MANY; i++) {
		peer_expect_reset(near[i]);
		peer_expect_reset(far[i]);
		peer_close(near[i]);
		peer_close(far[i]);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_relay_takes_ten_megabytes_of_who_reads_later, 40),
		TEST_WITHIN(test_relay_passes_on_an_end_and_then_the_answer, 40),
		TEST_WITHIN(test_relay_stays_small_beside_who_stops_reading, 60),
		TEST(test_relay_passes_on_a_reset_also_past_what_is_not_read),
		TEST(test_relay_delivers_what_had_ended_before_a_reset),
		TEST(test_relay_resets_its_client_when_the_target_refuses_and_says_so),
		TEST(test_relay_keeps_what_is_sent_and_ended_before_it_is_connected),
		TEST(test_relay_serves_many_and_resets_them_when_it_stops),
	};

	return run_suite("relay", tests, COUNT_OF(tests), argc, argv);
}
