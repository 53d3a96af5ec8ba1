/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_conns_per_addr.c - how many connections a host may have; the next one is closed
 * at once, and those of other hosts are served.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <sys/socket.h>

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static void start(size_t conns_per_addr)
{
	struct bp_endpoint_config config = { .conns_per_addr = conns_per_addr };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };

	ep = serve(&config, &conn_config, addr);
}

static int client_fd(void)
{
	int fd = peer_connect(addr);

	skip_event(ep, BP_OPENED);
	return fd;
}

static void expect_refused(uint64_t n)
{
	int fd = peer_connect(addr);

	peer_expect_fin(fd);
	CHECK_EQ(stats_of(ep).refused, n);
	peer_close(fd);
}

static void end_one(int fd)
{
	peer_close(fd);
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
}

static void test_connections_beyond_those_of_a_host_are_closed_at_once(void)
{
	int a, b, other;

	start(2);
	a = client_fd();
	b = client_fd();
	for (uint64_t n = 1; n <= 3; n++)
		expect_refused(n);
	other = peer_connect_from("127.0.0.2", addr);
	skip_event(ep, BP_OPENED);
	peer_send_u32be(other, "hello", 5);
	skip_event(ep, BP_RECEIVED);
	WAIT_UNTIL(stats_of(ep).conns == 3);
	end_one(a);
	a = client_fd();
	CHECK_EQ(stats_of(ep).refused, 3);
	peer_close(a);
	peer_close(b);
	peer_close(other);
	finish(ep);
}

/* As it does with conns_max: its place is free when nothing of it is held. */
static void test_place_of_a_host_comes_back_with_all_that_is_held(void)
{
	struct bp_event *event;
	struct bp_buf *kept;
	int fd;

	start(1);
	fd = client_fd();
	peer_send_u32be(fd, "hello", 5);
	event = next_event(ep, BP_RECEIVED);
	kept = bp_buf_ref(event->buf);
	bp_event_free(event);
	peer_reset(fd);
	event = next_event(ep, BP_CLOSED);
	expect_refused(1);
	bp_event_free(event);
	expect_refused(2);
	bp_buf_unref(kept);
	fd = client_fd();
	CHECK_EQ(stats_of(ep).refused, 2);
	peer_close(fd);
	finish(ep);
}

static void test_adopted_connections_count_for_their_host(void)
{
	struct bp_conn *conn = NULL;
	char there[ADDR_MAX];
	int listener = peer_listen(there), knocks[2], fds[2], fd;

	for (int i = 0; i < 2; i++) {
		knocks[i] = peer_connect(there);
		fds[i] = peer_accept(listener);
	}
	start(2);
	REQUIRE_EQ(bp_adopt(ep, NULL, fds[0], NULL), 0);
	skip_event(ep, BP_OPENED);
	fd = client_fd();
	expect_refused(1);
	CHECK_EQ(bp_adopt(ep, &conn, fds[1], NULL), -EMFILE);
	CHECK(conn == NULL);
	WAIT_UNTIL(stats_of(ep).conns == 2);
	end_one(fd);
	CHECK_EQ(bp_adopt(ep, NULL, fds[1], NULL), 0);	/* it was ours still */
	skip_event(ep, BP_OPENED);
	expect_refused(2);
	for (int i = 0; i < 2; i++)
		peer_close(knocks[i]);
	peer_close(listener);
	finish(ep);
}

/* It is the application that makes those. */
static void test_made_connections_are_not_refused_by_their_host(void)
{
	char there[ADDR_MAX];
	int listener = peer_listen(there), fds[2];

	start(1);
	for (int i = 0; i < 2; i++) {
		REQUIRE_EQ(bp_connect(ep, NULL, there, NULL, SLOW(8000)), 0);
		fds[i] = peer_accept(listener);
	}
	CHECK_EQ(stats_of(ep).conns, 2);
	for (int i = 0; i < 2; i++)
		peer_close(fds[i]);
	peer_close(listener);
	finish(ep);
}

static void test_hosts_are_not_limited_by_default(void)
{
	int fds[40];

	start(0);
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		fds[i] = client_fd();
	CHECK_EQ(stats_of(ep).refused, 0);
	for (size_t i = 0; i < COUNT_OF(fds); i++)
		peer_close(fds[i]);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_connections_beyond_those_of_a_host_are_closed_at_once),
		TEST(test_place_of_a_host_comes_back_with_all_that_is_held),
		TEST(test_adopted_connections_count_for_their_host),
		TEST(test_made_connections_are_not_refused_by_their_host),
		TEST(test_hosts_are_not_limited_by_default),
	};

	return run_suite("conns_per_addr", tests, COUNT_OF(tests), argc, argv);
}
