/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_accept.c - listeners: their addresses, their pauses, and their recovery when
 * places or descriptors run out and come free.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void echo(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send_buf(conn, buf, BP_FOREVER);
}

static const struct bp_conn_ops echo_ops = { .received = echo };
static const struct bp_conn_config echo_config = { .ops = &echo_ops };

static void check_echo(int fd)
{
	peer_send_string(fd, "hello");
	peer_expect_string(fd, "hello");
}

static bool is_answered_within(int fd, int ms)
{
	struct pollfd readable = { .fd = fd, .events = POLLIN };

	return poll(&readable, 1, ms) == 1;
}

/* ---- addresses ---------------------------------------------------------- */

static void check_listen_and_echo(const char *addr)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	char at[ADDR_MAX];
	struct bp_conn *conn;
	int fd;

	listen_on(ep, addr, &echo_config, at);
	fd = peer_connect(at);
	check_echo(fd);
	conn = only_conn(ep);
	CHECK_STR(bp_conn_local(conn), at);
	CHECK(bp_conn_peer(conn) != NULL);
	CHECK(bp_conn_endpoint(conn) == ep);
	bp_conn_unref(conn);
	peer_close(fd);
	check_quiet(ep);
	finish(ep);
}

static bool has_ipv6(void)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6,
	    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void test_listening_on_ipv4(void)
{
	check_listen_and_echo("127.0.0.1:0");
}

static void test_listening_on_ipv6(void)
{
	if (!has_ipv6())
		skip_test("no IPv6 here");
	check_listen_and_echo("[::1]:0");
}

static void test_a_port_alone_takes_ipv4_and_ipv6(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	char at[ADDR_MAX], v4[ADDR_MAX], v6[ADDR_MAX];
	int fd;

	listen_on(ep, ":0", &echo_config, at);
	snprintf(v4, sizeof v4, "127.0.0.1%s", strrchr(at, ':'));
	fd = peer_connect(v4);
	check_echo(fd);
	peer_close(fd);
	if (has_ipv6()) {
		snprintf(v6, sizeof v6, "[::1]%s", strrchr(at, ':'));
		fd = peer_connect(v6);
		check_echo(fd);
		peer_close(fd);
	}
	check_quiet(ep);
	finish(ep);
}

/* The leftover of one that died: bound, not removed. */
static void leave_stale_socket(const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	REQUIRE(fd >= 0);
	REQUIRE(strlen(path) < sizeof at.sun_path);
	strcpy(at.sun_path, path);
	REQUIRE_EQ(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	close(fd);
	REQUIRE_EQ(access(path, F_OK), 0);
}

static void test_a_unix_socket_is_replaced_when_stale_and_removed_at_close(void)
{
	char dir[] = "/tmp/bpthread-test-XXXXXX", addr[ADDR_MAX], at[ADDR_MAX];
	struct bp_endpoint *ep = new_endpoint(NULL);
	const char *path = addr + strlen("unix:");
	int round, fd;

	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(addr, sizeof addr, "unix:%s/socket", dir);
	leave_stale_socket(path);
	for (round = 0; round < 2; round++) {
		struct bp_listener *listener;

		REQUIRE_EQ(bp_listen(ep, &listener, addr, &echo_config), 0);
		snprintf(at, sizeof at, "%s", bp_listener_addr(listener));
		CHECK_STR(at, addr);
		CHECK_EQ(bp_listen(ep, NULL, addr, &echo_config), -EADDRINUSE);
		fd = peer_connect(at);
		check_echo(fd);
		peer_close(fd);
		bp_listener_close(listener);
		CHECK_EQ(access(path, F_OK), -1);
	}
	check_quiet(ep);
	finish(ep);
	CHECK_EQ(rmdir(dir), 0);
}

static void test_bad_addresses_are_refused_with_their_reason(void)
{
	static const char *const malformed[] = {
		"", "7777", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
		"127.0.0.1:65536", "127.0.0.1:-1", "[::1:80", "unix:",
	};
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_listener *listener = (struct bp_listener *)&listener;
	char at[ADDR_MAX], long_path[300] = "unix:/";
	size_t i;

	for (i = 0; i < COUNT_OF(malformed); i++)
		if (!CHECK_EQ(bp_listen(ep, &listener, malformed[i], NULL), -EINVAL))
			printf("# the address was \"%s\"\n", malformed[i]);
	memset(long_path + 6, 'x', sizeof long_path - 7);
	CHECK_LE(bp_listen(ep, &listener, long_path, NULL), -1);
	CHECK_EQ(bp_listen(ep, &listener, "no-such-name.invalid:1", NULL), -ENOENT);
	listen_on(ep, "127.0.0.1:0", NULL, at);
	CHECK_EQ(bp_listen(ep, &listener, at, NULL), -EADDRINUSE);
	CHECK(listener == (struct bp_listener *)&listener);	/* untouched */
	finish(ep);
}

/* ---- places ------------------------------------------------------------- */

static void test_accepting_pauses_at_conns_max_and_goes_on(void)
{
	struct bp_endpoint_config two = { .conns_max = 2 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&two, &echo_config, addr);
	int fds[4], i;

	for (i = 0; i < 4; i++)
		fds[i] = peer_connect(addr);	/* the backlog takes them all */
	check_echo(fds[0]);
	check_echo(fds[1]);
	peer_send_string(fds[2], "hello");
	peer_send_string(fds[3], "hello");
	CHECK(!is_answered_within(fds[2], 150));
	CHECK_EQ(stats_of(ep).conns, 2);
	CHECK_EQ(stats_of(ep).conns_max, 2);
	peer_close(fds[0]);
	peer_expect_string(fds[2], "hello");
	CHECK(!is_answered_within(fds[3], 50));
	peer_close(fds[1]);
	peer_expect_string(fds[3], "hello");
	CHECK_LE(stats_of(ep).conns, 2);
	peer_close(fds[2]);
	peer_close(fds[3]);
	check_quiet(ep);
	finish(ep);
}

/* A place, and with it the peer's share, is kept as long as something of it is. */
static void test_a_place_comes_free_when_closed_and_payloads_are_freed(void)
{
	struct bp_endpoint_config one = { .conns_max = 1 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&one, NULL, addr);
	int first = peer_connect(addr), second;
	struct bp_event *event;
	struct bp_buf *kept;

	peer_send_string(first, "kept");
	peer_close(first);
	skip_event(ep, BP_OPENED);
	event = next_event(ep, BP_RECEIVED);
	bp_conn_close(event->conn);
	REQUIRE((kept = bp_buf_ref(event->buf)) != NULL);
	bp_event_free(event);
	second = peer_connect(addr);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(bp_receive(ep, &(struct bp_event *){ NULL }, 100), -ETIMEDOUT);
	bp_event_free(event);
	CHECK_EQ(bp_receive(ep, &(struct bp_event *){ NULL }, 100), -ETIMEDOUT);
	CHECK(memcmp(kept->data, "kept", 4) == 0);
	bp_buf_unref(kept);
	skip_event(ep, BP_OPENED);
	peer_close(second);
	finish(ep);
}

/* ---- descriptors -------------------------------------------------------- */

struct hoard {
	int fds[4096], n;
};

static void take_all_descriptors(struct hoard *hoard)
{
	int fd;

	hoard->n = 0;
	while (hoard->n < 4096 && (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		hoard->fds[hoard->n++] = fd;
	REQUIRE(hoard->n < 4096 && errno == EMFILE);
}

static void give_back(struct hoard *hoard, int n)
{
	while (n-- > 0 && hoard->n > 0)
		close(hoard->fds[--hoard->n]);
}

static void limit_descriptors(rlim_t n)
{
	struct rlimit limit;

	REQUIRE_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = n;
	REQUIRE_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Behaviour 9, P19: no new client has to knock, and nothing spins meanwhile */
static void test_clients_in_the_backlog_are_served_once_descriptors_come_free(void)
{
	struct hoard hoard;
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &echo_config, addr);
	int fds[3], i;
	uint64_t began, cpu;

	for (i = 0; i < 3; i++)
		fds[i] = peer_socket();
	limit_descriptors(128);
	take_all_descriptors(&hoard);
	for (i = 0; i < 3; i++) {
		peer_connect_socket(fds[i], addr);
		peer_send_string(fds[i], "hello");
	}
	cpu = cpu_ns();
	CHECK(!is_answered_within(fds[0], 500));
	CHECK_LE(cpu_ns() - cpu, (uint64_t)SLOW(50) * 1000000);
	CHECK_EQ(stats_of(ep).conns, 0);
	give_back(&hoard, 10);
	began = now_ms();
	for (i = 0; i < 3; i++)
		peer_expect_string(fds[i], "hello");
	CHECK_LE(now_ms() - began, SLOW(200));
	for (i = 0; i < 3; i++)
		peer_close(fds[i]);
	give_back(&hoard, hoard.n);
	check_quiet(ep);
	finish(ep);
}

/* Behaviour 9: nor need anything but the endpoint's own closing make room */
static void test_a_connection_that_closes_makes_room_for_one_that_waits(void)
{
	struct hoard hoard;
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &echo_config, addr);
	int first = peer_connect(addr), second;

	check_echo(first);
	second = peer_socket();
	limit_descriptors(128);
	take_all_descriptors(&hoard);
	peer_connect_socket(second, addr);
	peer_send_string(second, "hello");
	CHECK(!is_answered_within(second, 150));
	/* its descriptor on this side goes nowhere: only the server's comes free */
	peer_half_close(first);
	peer_expect_string(second, "hello");
	peer_expect_fin(first);
	peer_close(first);
	peer_close(second);
	give_back(&hoard, hoard.n);
	check_quiet(ep);
	finish(ep);
}

/* ---- closing, refusing -------------------------------------------------- */

static bool is_refused(const char *addr)
{
	int fd = peer_try_connect(addr);

	if (fd >= 0)
		peer_close(fd);
	return fd == -ECONNREFUSED;
}

static void test_a_closed_listener_accepts_no_more_and_its_connections_live(void)
{
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_listener *listener;
	char addr[ADDR_MAX];
	int fd;

	REQUIRE_EQ(bp_listen(ep, &listener, "127.0.0.1:0", &echo_config), 0);
	snprintf(addr, sizeof addr, "%s", bp_listener_addr(listener));
	fd = peer_connect(addr);
	check_echo(fd);
	bp_listener_close(listener);
	WAIT_UNTIL(is_refused(addr));
	check_echo(fd);
	peer_close(fd);
	check_quiet(ep);
	finish(ep);
}

static int refuse(int fd, void *data)
{
	(void)fd;
	atomic_fetch_add((atomic_int *)data, 1);
	return -1;
}

static void test_a_setup_that_fails_refuses_the_connection(void)
{
	atomic_int asked = 0;
	struct bp_conn_config config = { .setup = refuse, .data = &asked };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr), end;

	peer_read_to_end(fd, &end);
	CHECK(end == 0 || end == -ECONNRESET);
	peer_close(fd);
	CHECK_EQ(atomic_load(&asked), 1);
	WAIT_UNTIL(stats_of(ep).refused == 1);
	CHECK_EQ(bp_receive(ep, &(struct bp_event *){ NULL }, 0), -EAGAIN);
	CHECK_LE(bp_connect(ep, NULL, addr, &config, 1000), -1);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_listening_on_ipv4),
		TEST(test_listening_on_ipv6),
		TEST(test_a_port_alone_takes_ipv4_and_ipv6),
		TEST(test_a_unix_socket_is_replaced_when_stale_and_removed_at_close),
		TEST(test_bad_addresses_are_refused_with_their_reason),
		TEST(test_accepting_pauses_at_conns_max_and_goes_on),
		TEST(test_a_place_comes_free_when_closed_and_payloads_are_freed),
		TEST(test_clients_in_the_backlog_are_served_once_descriptors_come_free),
		TEST(test_a_connection_that_closes_makes_room_for_one_that_waits),
		TEST(test_a_closed_listener_accepts_no_more_and_its_connections_live),
		TEST(test_a_setup_that_fails_refuses_the_connection),
	};

	return run_suite("accept", tests, COUNT_OF(tests), argc, argv);
}
