/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_options.c - what can be configured reaches the socket; what contradicts itself
 * is refused; what was not asked for is left as it was.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

/* ---- the socket's options ----------------------------------------------- */

/* Only looked at from outside, while the connection is open. */
static int note_fd(int fd, void *data)
{
	struct seen *seen = data;

	*(int *)seen->own = fd;
	return 0;
}

static void check_nodelay(enum bp_switch nodelay, bool is_on)
{
	int server_fd = -1, client_fd = -1, on;
	struct seen server = { .own = &server_fd }, client = { .own = &client_fd };
	struct bp_conn_config config = { .nodelay = nodelay, .keepalive = nodelay,
	    .setup = note_fd, .ops = &seen_ops, .data = &server };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);

	config.data = &client;
	REQUIRE_EQ(bp_connect(ep, NULL, addr, &config, SLOW(5000)), 0);
	WAIT_UNTIL(atomic_load(&server.opened) + atomic_load(&client.opened) == 2);
	on = peer_get_option(server_fd, IPPROTO_TCP, TCP_NODELAY);
	CHECK_EQ(on != 0, is_on);
	on = peer_get_option(client_fd, IPPROTO_TCP, TCP_NODELAY);
	CHECK_EQ(on != 0, is_on);
	on = peer_get_option(server_fd, SOL_SOCKET, SO_KEEPALIVE);
	CHECK_EQ(on != 0, is_on);
	on = peer_get_option(client_fd, SOL_SOCKET, SO_KEEPALIVE);
	CHECK_EQ(on != 0, is_on);
	finish(ep);
}

/* Behaviour 13 */
static void test_nodelay_and_keepalive_read_back_as_set(void)
{
	check_nodelay(BP_DEFAULT, true);
	check_nodelay(BP_ON, true);
	check_nodelay(BP_OFF, false);
}

static void test_buffers_and_user_timeout_read_back_as_set(void)
{
	int server_fd = -1;
	struct seen server = { .own = &server_fd };
	struct bp_conn_config config = { .rcvbuf = 20000, .sndbuf = 30000,
	    .user_timeout_ms = 4321, .setup = note_fd, .ops = &seen_ops,
	    .data = &server };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);

	WAIT_UNTIL(atomic_load(&server.opened) == 1);
	/* the kernel doubles them, for its own overhead */
	CHECK_EQ(peer_get_option(server_fd, SOL_SOCKET, SO_RCVBUF), 40000);
	CHECK_EQ(peer_get_option(server_fd, SOL_SOCKET, SO_SNDBUF), 60000);
	CHECK_EQ(peer_get_option(server_fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 4321);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&server.closed) == 1);
	finish(ep);
}

/* Nothing is inherited there from the listening socket. */
static void test_buffers_of_a_unix_socket_read_back_as_set(void)
{
	int server_fd = -1;
	struct seen server = { .own = &server_fd };
	struct bp_conn_config config = { .sndbuf = 30000, .setup = note_fd,
	    .ops = &seen_ops, .data = &server };
	char name[ADDR_MAX], addr[ADDR_MAX];
	struct bp_endpoint *ep;
	int fd;

	snprintf(name, sizeof name, "unix:/tmp/bp_options.%d", (int)getpid());
	REQUIRE_EQ(bp_endpoint_new(&ep, NULL), 0);
	listen_on(ep, name, &config, addr);
	fd = peer_connect(addr);
	WAIT_UNTIL(atomic_load(&server.opened) == 1);
	CHECK_EQ(peer_get_option(server_fd, SOL_SOCKET, SO_SNDBUF), 60000);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&server.closed) == 1);
	finish(ep);
}

static void test_reuseport_lets_two_listen_on_one_port(void)
{
	struct bp_conn_config config = { .reuseport = true };
	char addr[ADDR_MAX], again[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);

	listen_on(ep, addr, &config, again);
	CHECK_STR(again, addr);
	CHECK_EQ(bp_listen(ep, NULL, addr, NULL), -EADDRINUSE);
	finish(ep);
}

/* ---- the process -------------------------------------------------------- */

static void check_descriptors_close_on_exec(const bool *known, int n)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	REQUIRE(dir != NULL);
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || (fd < n && known[fd]))
			continue;
		if (!CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			printf("# descriptor %d\n", fd);
	}
	closedir(dir);
}

/* Behaviour 15, P17 */
static void test_descriptors_close_on_exec_and_sigpipe_is_left_alone(void)
{
	static const char zeros[65536];
	bool known[1024] = { false };
	struct sigaction before, after;
	struct seen seen = { 0 }, made = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep;
	struct bp_conn *conn;
	int i;

	for (i = 0; i < 1024; i++)
		known[i] = fcntl(i, F_GETFD) >= 0;
	REQUIRE_EQ(sigaction(SIGPIPE, NULL, &before), 0);
	REQUIRE(before.sa_handler == SIG_DFL);
	ep = serve(NULL, &config, addr);
	config.data = &made;
	REQUIRE_EQ(bp_connect(ep, &conn, addr, &config, SLOW(5000)), 0);
	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	check_descriptors_close_on_exec(known, 1024);
	bp_conn_abort(conn, BP_REASON_ABORT);
	bp_conn_unref(conn);
	check_quiet(ep);

	/* written into what the peer has reset: SIGPIPE would be the end of us */
	atomic_store(&seen.opened, 0);
	atomic_store(&seen.closed, 0);
	i = peer_connect(addr);
	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	conn = only_conn(ep);
	peer_reset(i);
	while (bp_send(conn, zeros, sizeof zeros, BP_FOREVER) == 0)
		;
	bp_conn_unref(conn);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	finish(ep);
	REQUIRE_EQ(sigaction(SIGPIPE, NULL, &after), 0);
	CHECK(after.sa_handler == SIG_DFL);
}

/* ---- what is refused ---------------------------------------------------- */

static void received_only(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn, (void)buf, (void)data;
}

static void opened_only(struct bp_conn *conn, void *data)
{
	(void)conn, (void)data;
}

static void test_connection_configs_that_contradict_themselves_are_refused(void)
{
	static const struct bp_conn_ops without_received = { .opened = opened_only };
	static const struct bp_conn_ops fine = { .received = received_only };
	const struct bp_conn_config bad[] = {
		{ .out_high = 1000, .out_low = 1000 },
		{ .out_high = 1000, .out_low = 2000 },
		{ .out_low = MIB },			/* above the default high */
		{ .frame_max = 128 * (size_t)MIB },	/* the whole default budget */
		{ .expect = 1001, .frame_max = 1000 },
		{ .ops = &without_received },
		{ .header_ms = -2 },
		{ .idle_ms = -2 },
	};
	const struct bp_conn_config good[] = {
		{ .out_high = 1000, .out_low = 999 },
		{ .frame_max = 1, .expect = 1 },
		{ .ops = &fine },
		{ .header_ms = BP_FOREVER, .frame_ms = BP_FOREVER,
		  .idle_ms = BP_FOREVER, .write_ms = BP_FOREVER,
		  .linger_ms = BP_FOREVER },
		{ .out_high = BP_UNLIMITED },
	};
	struct bp_endpoint *ep = new_endpoint(NULL);
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++)
		if (!CHECK_EQ(bp_listen(ep, NULL, "127.0.0.1:0", &bad[i]), -EINVAL)
		    || !CHECK_EQ(bp_connect(ep, NULL, "127.0.0.1:1", &bad[i], 0),
		    -EINVAL))
			printf("# bad config %zu\n", i);
	for (i = 0; i < COUNT_OF(good); i++)
		if (!CHECK_EQ(bp_listen(ep, NULL, "127.0.0.1:0", &good[i]), 0))
			printf("# good config %zu\n", i);
	finish(ep);
}

static void test_endpoint_configs_that_contradict_themselves_are_refused(void)
{
	const struct bp_endpoint_config bad[] = {
		/* what is set aside may be at most half of the budget */
		{ .budget = MIB, .guarantee = MIB, .conns_max = 1 },
		{ .budget = MIB, .guarantee = 65536, .conns_max = 9 },
	};
	const struct bp_endpoint_config good[] = {
		{ .budget = MIB, .guarantee = 65536, .conns_max = 8 },
		{ .budget = MIB },		/* the guarantee gives way */
		{ .qdisc = &bp_qdisc_bounded, .places = 1 },
		{ .qdisc = &bp_qdisc_unbounded },
	};
	struct bp_endpoint *ep, *const untouched = (struct bp_endpoint *)&ep;
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++) {
		ep = untouched;
		if (!CHECK_EQ(bp_endpoint_new(&ep, &bad[i]), -EINVAL))
			printf("# bad config %zu\n", i);
		CHECK(ep == untouched);
	}
	for (i = 0; i < COUNT_OF(good); i++) {
		ep = new_endpoint(&good[i]);
		if (good[i].budget)
			CHECK_EQ(stats_of(ep).budget, good[i].budget);
		finish(ep);
	}
}

/* ---- disciplines by name ------------------------------------------------ */

static void test_a_discipline_and_its_parameters_are_set_from_text(void)
{
	struct bp_endpoint_config config = { .stack_size = 4711 };

	CHECK_EQ(bp_qdisc_parse(&config, "bytes:budget=64M,guarantee=16K"), 0);
	CHECK(config.qdisc == &bp_qdisc_bytes);
	CHECK_EQ(config.budget, 64 * MIB);
	CHECK_EQ(config.guarantee, 16384);
	CHECK_EQ(config.stack_size, 4711);
	CHECK_EQ(bp_qdisc_parse(&config, "bounded:places=17"), 0);
	CHECK(config.qdisc == &bp_qdisc_bounded);
	CHECK_EQ(config.places, 17);
	CHECK_EQ(bp_qdisc_parse(&config, "one_place"), 0);
	CHECK(config.qdisc == &bp_qdisc_one_place);
	CHECK_EQ(bp_qdisc_parse(&config, "unbounded"), 0);
	CHECK(config.qdisc == &bp_qdisc_unbounded);
}

static void test_text_that_is_no_discipline_changes_nothing(void)
{
	static const char *const bad[] = {
		"", "nonsense", "bytes:", "bytes:budget", "bytes:budget=",
		"bytes:budget=x", "bytes:budget=-1", "bytes:budget=1T1",
		"bytes:nonsense=1", "bytes:budget=1,",
		"bytes:budget=99999999999999999999", "bytes budget=1", "bytes,",
		"bounded:places=16777216T", "BYTES",
	};
	struct bp_endpoint_config config = { 0 }, zero = { 0 };
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++) {
		if (!CHECK_EQ(bp_qdisc_parse(&config, bad[i]), -EINVAL))
			printf("# the text was \"%s\"\n", bad[i]);
		CHECK(config.qdisc == zero.qdisc && config.budget == 0
		    && config.places == 0 && config.guarantee == 0);
	}
}

static void test_the_help_names_each_discipline_once(void)
{
	static const char *const names[] = {
		"unbounded", "one_place", "bounded", "bytes", "prio", "fair",
	};
	size_t i, k;

	for (k = 0; k < COUNT_OF(names); k++) {
		int found = 0;

		for (i = 0; bp_qdisc_help((unsigned)i); i++)
			found += strncmp(bp_qdisc_help((unsigned)i), names[k],
			    strlen(names[k])) == 0;
		CHECK_EQ(found, 1);
		CHECK_EQ(i, COUNT_OF(names));
	}
	CHECK(bp_qdisc_help(1000000) == NULL);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_nodelay_and_keepalive_read_back_as_set),
		TEST(test_buffers_and_user_timeout_read_back_as_set),
		TEST(test_buffers_of_a_unix_socket_read_back_as_set),
		TEST(test_reuseport_lets_two_listen_on_one_port),
		TEST(test_descriptors_close_on_exec_and_sigpipe_is_left_alone),
		TEST(test_connection_configs_that_contradict_themselves_are_refused),
		TEST(test_endpoint_configs_that_contradict_themselves_are_refused),
		TEST(test_a_discipline_and_its_parameters_are_set_from_text),
		TEST(test_text_that_is_no_discipline_changes_nothing),
		TEST(test_the_help_names_each_discipline_once),
	};

	return run_suite("options", tests, COUNT_OF(tests), argc, argv);
}
