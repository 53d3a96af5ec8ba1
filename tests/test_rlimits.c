/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_rlimits.c - the kernel refuses descriptors and threads (P19), as limits of
 * the process, without any wrapping: what is asked for fails with its errno, what
 * lives goes on, and all works again when there is room.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NOBODY = 65534, CLIENTS = 12, RECOVERY_MS = 200 };

static void set_limit(int what, rlim_t most)
{
	struct rlimit limit;

	REQUIRE(getrlimit(what, &limit) == 0);
	limit.rlim_cur = most;
	REQUIRE(setrlimit(what, &limit) == 0);
}

static rlim_t get_limit(int what)
{
	struct rlimit limit;

	REQUIRE(getrlimit(what, &limit) == 0);
	return limit.rlim_cur;
}

/* No descriptor above the lowest free one, so that the next call fails. */
static void exhaust_descriptors(void)
{
	int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0);

	REQUIRE(lowest >= 0);
	close(lowest);
	set_limit(RLIMIT_NOFILE, (rlim_t)lowest);
}

/* P19 */
static void test_rlimits_without_descriptors_calls_fail_and_nothing_else(void)
{
	rlim_t before = get_limit(RLIMIT_NOFILE);
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, NULL, addr), *other = NULL;
	int fd = peer_connect(addr);
	struct bp_conn *conn = NULL;
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	exhaust_descriptors();
	CHECK_EQ(bp_connect(ep, &conn, addr, NULL, SLOW(1000)), -EMFILE);
	CHECK_EQ(bp_listen(ep, NULL, "127.0.0.1:0", NULL), -EMFILE);
	CHECK(conn == NULL);
	if (bp_endpoint_new(&other, NULL) < 0)
		CHECK(other == NULL);
	bp_endpoint_free(other);
	peer_send_string(fd, "alive");
	event = next_event(ep, BP_RECEIVED);
	CHECK_EQ(bp_send_buf(event->conn, event->buf, 0), 0);
	bp_event_free(event);
	peer_expect_string(fd, "alive");
	set_limit(RLIMIT_NOFILE, before);
	CHECK_EQ(bp_connect(ep, NULL, addr, NULL, SLOW(1000)), 0);
	peer_close(fd);
	finish(ep);
}

/* P19: and with timeout 0, where CLOSED tells instead, or the call at once */
static void test_rlimits_without_descriptors_a_connect_in_the_background_ends(void)
{
	rlim_t before = get_limit(RLIMIT_NOFILE);
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	struct bp_event *event;
	int rc;

	exhaust_descriptors();
	rc = bp_connect(ep, NULL, addr, NULL, 0);
	if (rc == 0) {
		event = next_event(ep, BP_CLOSED);
		CHECK_EQ(event->reason, BP_REASON_RESET);
		rc = event->err;
		bp_event_free(event);
	}
	CHECK_EQ(rc, -EMFILE);
	set_limit(RLIMIT_NOFILE, before);
	finish(ep);
}

static void *nothing(void *arg)
{
	return arg;
}

/* From now on no thread can be created; root is not bound by the limit, so be nobody. */
static void exhaust_threads(void)
{
	pthread_t thread;

	if (getuid() == 0) {
		REQUIRE(setresgid(NOBODY, NOBODY, NOBODY) == 0);
		REQUIRE(setresuid(NOBODY, NOBODY, NOBODY) == 0);
		REQUIRE(prctl(PR_SET_DUMPABLE, 1) == 0);	/* /proc is ours again */
	}
	set_limit(RLIMIT_NPROC, 1);
	if (pthread_create(&thread, NULL, nothing, NULL) == 0) {
		pthread_join(thread, NULL);
		skip_test("RLIMIT_NPROC does not bind this process");
	}
}

static void send_back(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send_buf(conn, buf, BP_FOREVER);
}

static void check_served(const char *addr)
{
	uint64_t start = now_ms();
	int fd = peer_connect(addr);

	peer_send_string(fd, "hello");
	peer_expect_string(fd, "hello");
	CHECK_LE(now_ms() - start, SLOW(RECOVERY_MS));
	peer_close(fd);
}

/* P19 */
static void test_rlimits_without_threads_accepting_recovers(void)
{
	static const struct bp_conn_ops ops = { .received = send_back };
	struct bp_conn_config config = { .ops = &ops };
	rlim_t before = get_limit(RLIMIT_NPROC);
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fds[CLIENTS];

	check_served(addr);
	exhaust_threads();
	for (size_t i = 0; i < CLIENTS; i++) {
		fds[i] = peer_connect(addr);
		peer_send_some(fds[i], "hello", 5);
	}
	/* some had a spare thread; who waits is not dropped, and served later */
	HOLDS_FOR_MS(stats_of(ep).conns < CLIENTS, 150);
	set_limit(RLIMIT_NPROC, before);
	for (size_t i = 0; i < CLIENTS; i++)
		peer_expect_string(fds[i], "hello");
	CHECK_EQ(stats_of(ep).refused, 0);
	check_served(addr);
	for (size_t i = 0; i < CLIENTS; i++)
		peer_close(fds[i]);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_rlimits_without_descriptors_calls_fail_and_nothing_else),
		TEST(test_rlimits_without_descriptors_a_connect_in_the_background_ends),
		TEST(test_rlimits_without_threads_accepting_recovers),
	};

	return run_suite("rlimits", tests, COUNT_OF(tests), argc, argv);
}
