/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_memory.c - what peers can make us hold: what is accounted, and what the
 * process has resident. A test is a process, so its resident size is its own; the
 * peers in it hold next to nothing.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { KIB = 1024, MIB = 1 << 20 };
enum { NEVER_READ = 8, IDLE = 300, ANNOUNCING = 100,
    BASE = 2 * MIB,	/* pages of the library and the test that were not touched */
    STACKS_KEPT = 40 * MIB / (256 * KIB) };

static void echo(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send_buf(conn, buf, BP_FOREVER);
}

static const struct bp_conn_ops echo_ops = { .received = echo };
static const struct bp_endpoint_config small = { .budget = 2 * MIB,
    .conns_max = 16 };

/* A server that has already served somebody: its first pages are not the point. */
static struct bp_endpoint *warm_server(const struct bp_endpoint_config *ep_config,
    const struct bp_conn_config *config, char addr[ADDR_MAX])
{
	struct bp_endpoint *ep = serve(ep_config, config, addr);
	int fd = peer_connect(addr);

	WAIT_UNTIL(stats_of(ep).opened == 1);
	peer_close(fd);
	check_quiet(ep);
	return ep;
}

/* The most that was resident at any time since. */
static size_t peak_resident_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t kib = 0;
	char line[256];

	REQUIRE(file != NULL);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "VmHWM: %zu kB", &kib) == 1)
			break;
	fclose(file);
	REQUIRE(kib > 0);
	return kib * KIB;
}

/* ---- peers that do not read --------------------------------------------- */

struct talker {
	int fd;
	atomic_bool *stop;
	struct task *task;
};

/* Sends for ever, and never reads. */
static void talk(void *arg)
{
	struct talker *talker = arg;

	while (!atomic_load(talker->stop))
		peer_send_until_stuck(talker->fd, 10);
}

static void check_marks(struct bp_endpoint *ep, size_t before)
{
	/* the marks, and one frame that was sent when they were not yet met */
	CHECK_LE(stats_of(ep).out_bytes, NEVER_READ * (256 + 64) * KIB);
	CHECK_LE(stats_of(ep).held_bytes, small.budget);
	if (!is_sanitized())
		CHECK_LE(resident_bytes(), before + small.budget
		    + NEVER_READ * (256 + 64 + 32) * KIB + BASE);
}

static void press_echo_server(struct bp_endpoint *ep, const char *addr)
{
	struct talker talkers[NEVER_READ];
	size_t before = resident_bytes();
	atomic_bool stop = false;
	int fd, i;

	for (i = 0; i < NEVER_READ; i++) {
		talkers[i] = (struct talker){ peer_connect(addr), &stop, NULL };
		talkers[i].task = task_start(talk, &talkers[i]);
	}
	WAIT_UNTIL(stats_of(ep).throttled == NEVER_READ);
	check_marks(ep, before);
	/* and one comes who does read */
	fd = peer_connect(addr);
	peer_send_string(fd, "who reads is served");
	peer_expect_string(fd, "who reads is served");
	peer_close(fd);
	atomic_store(&stop, true);
	for (i = 0; i < NEVER_READ; i++) {
		task_join(talkers[i].task);
		peer_reset(talkers[i].fd);
	}
	check_quiet(ep);
}

/* Behaviour 10, P7 */
static void test_peers_that_never_read_cost_their_marks_with_a_handler(void)
{
	struct bp_conn_config config = { .ops = &echo_ops };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = warm_server(&small, &config, addr);

	press_echo_server(ep, addr);
	finish(ep);
}

static void echo_events(void *arg)
{
	struct bp_event *event;

	while (bp_receive(arg, &event, BP_FOREVER) == 0) {
		if (event->kind == BP_RECEIVED)
			bp_send_buf(event->conn, event->buf, BP_FOREVER);
		bp_event_free(event);
	}
}

/* Behaviour 10, P7: and the one consumer is not stopped by them */
static void test_peers_that_never_read_cost_their_marks_with_a_consumer(void)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&small, NULL, addr);
	struct task *echoing = task_start(echo_events, ep);

	press_echo_server(ep, addr);
	bp_endpoint_close(ep);
	task_join(echoing);
	finish(ep);
}

static void send_a_mib(void *arg)
{
	static const char zeros[MIB];

	peer_send(*(int *)arg, zeros, sizeof zeros);
}

/* P9: what others hold of the pool takes nothing from what is set aside for one. */
static void test_a_peer_lives_on_its_own_share_while_another_holds_the_pool(void)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&small, NULL, addr);
	int greedy = peer_connect(addr), modest;
	struct bp_conn *conn = only_conn(ep);
	struct bp_event *event;
	struct task *sending;
	size_t received = 0;

	skip_event(ep, BP_OPENED);
	peer_send_until_stuck(greedy, 100);
	WAIT_UNTIL(stats_of(ep).waiting == 1);
	bp_conn_mute(conn);		/* so its events stay where they are */
	modest = peer_connect(addr);
	sending = task_start(send_a_mib, &modest);
	skip_event(ep, BP_OPENED);
	WAIT_UNTIL(stats_of(ep).waiting == 2);
	for (; received < MIB; bp_event_free(event)) {
		event = next_event(ep, BP_RECEIVED);
		CHECK(event->conn != conn);
		received += event->buf->len;
	}
	task_join(sending);
	bp_conn_unref(conn);
	peer_reset(greedy);
	peer_close(modest);
	finish(ep);
}

/* ---- peers that say nothing --------------------------------------------- */

/*
 * Behaviour 11, P7. What does not come back is glibc's: it keeps 40 MiB of stacks
 * that ended, up to 16 KiB of each resident, and some of what was freed in its lists.
 */
static void test_300_idle_connections_cost_less_than_32_kib_each(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .frame_max = 16 * MIB, .ops = &echo_ops };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = warm_server(NULL, &config, addr);
	int fds[IDLE], i;
	size_t before = resident_bytes();

	if (is_sanitized())
		skip_test("resident size is the sanitizer's");
	for (i = 0; i < IDLE; i++) {
		fds[i] = peer_connect(addr);
		peer_send_u32be(fds[i], "hello", 5);
	}
	for (i = 0; i < IDLE; i++)
		peer_expect(fds[i], "\0\0\0\5hello", 9);
	CHECK_EQ(stats_of(ep).conns, IDLE);
	CHECK_LE(resident_bytes() - before, IDLE * 32 * KIB);
	CHECK_LE(stats_of(ep).held_bytes, IDLE * 1024);
	for (i = 0; i < IDLE; i++)
		peer_close(fds[i]);
	check_quiet(ep);
	WAIT_UNTIL(resident_bytes() <= before + STACKS_KEPT * 16 * KIB + IDLE * KIB);
	finish(ep);
}

/* ---- peers that announce much ------------------------------------------- */

/* Behaviour 22, P7: nothing may be laid out for it before it is judged */
static void test_a_length_of_4_gib_allocates_nothing(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .ops = &echo_ops };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = warm_server(NULL, &config, addr);
	size_t peak = peak_resident_bytes();
	int fd = peer_connect(addr);

	peer_send(fd, "\xff\xff\xff\xff", 4);
	peer_expect_reset(fd);
	peer_close(fd);
	check_quiet(ep);
	if (!is_sanitized())
		CHECK_LE(peak_resident_bytes(), peak + MIB);
	finish(ep);
}

/* Behaviour 22: an admissible length is charged, but touches no page */
static void test_100_announced_frames_stay_within_the_budget(void)
{
	struct bp_endpoint_config config = { .budget = 32 * MIB,
	    .guarantee = 64 * KIB, .conns_max = 128 };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be,
	    .frame_max = 8 * MIB, .ops = &echo_ops };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = warm_server(&config, &conn_config, addr);
	size_t before = resident_bytes();
	int fds[ANNOUNCING], i;

	for (i = 0; i < ANNOUNCING; i++) {
		fds[i] = peer_connect(addr);
		peer_send(fds[i], "\0\x7f\0\0", 4);
	}
	/* some are admitted, the others wait; none holds more than its share */
	WAIT_UNTIL(stats_of(ep).conns == ANNOUNCING
	    && stats_of(ep).waiting >= ANNOUNCING - 4);
	CHECK_LE(stats_of(ep).held_bytes, 32 * MIB);
	if (!is_sanitized())
		CHECK_LE(resident_bytes(), before + ANNOUNCING * 32 * KIB);
	for (i = 0; i < ANNOUNCING; i++)
		peer_reset(fds[i]);
	check_quiet(ep);
	finish(ep);
}

/* ---- peers that come and go --------------------------------------------- */

enum { VISITS = 300, VISIT_BYTES = 32 * KIB };

static void visit_over_and_over(void *arg)
{
	char *data = calloc(1, VISIT_BYTES);
	int i;

	REQUIRE(data != NULL);
	for (i = 0; i < VISITS; i++) {
		int fd = peer_connect(arg);

		peer_send_u32be(fd, data, VISIT_BYTES);
		peer_close(fd);
	}
	free(data);
}

/* Behaviour 23, P7, P3: a reconnect gives no fresh share, and nothing is lost */
static void test_reconnecting_over_and_over_stays_within_the_budget(void)
{
	struct bp_endpoint_config tiny = { .budget = MIB, .conns_max = 8 };
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&tiny, &config, addr);
	struct task *visiting = task_start(visit_over_and_over, addr);
	size_t before = resident_bytes();
	int received = 0, closed = 0;
	struct bp_event *event;

	while (closed < VISITS) {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		received += event->kind == BP_RECEIVED;
		closed += event->kind == BP_CLOSED;
		if (event->kind == BP_CLOSED)
			CHECK_EQ(event->reason, BP_REASON_PEER);
		CHECK_LE(stats_of(ep).held_bytes, MIB);
		CHECK_LE(stats_of(ep).conns, 8);
		if (event->kind == BP_RECEIVED)
			poll(NULL, 0, 1);	/* a consumer that is slow */
		bp_event_free(event);
	}
	CHECK_EQ(received, VISITS);
	if (!is_sanitized())
		CHECK_LE(resident_bytes(), before + MIB + 8 * 32 * KIB + MIB);
	task_join(visiting);
	check_quiet(ep);
	finish(ep);
}

/* ---- afterwards --------------------------------------------------------- */

static void send_storm(void *arg)
{
	char *data = malloc(4 * MIB);
	int fd = peer_connect(arg), i;

	REQUIRE(data != NULL);
	memset(data, 1, 4 * MIB);
	for (i = 0; i < 8; i++)
		peer_send_u32be(fd, data, 4 * MIB);
	free(data);
	peer_close(fd);
}

/* P7: resident size falls after a storm, with the endpoint still there */
static void test_memory_comes_back_after_a_storm_of_large_frames(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	size_t before = resident_bytes();
	struct task *senders[4];
	struct bp_event *event;
	int i, closed = 0;

	for (i = 0; i < 4; i++)
		senders[i] = task_start(send_storm, addr);
	/* as much as is let in, all of it resident */
	WAIT_UNTIL(stats_of(ep).held_bytes >= 48 * MIB);
	CHECK_LE(stats_of(ep).held_bytes, 128 * MIB);
	while (closed < 4) {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		closed += event->kind == BP_CLOSED;
		bp_event_free(event);
	}
	for (i = 0; i < 4; i++)
		task_join(senders[i]);
	check_quiet(ep);
	if (!is_sanitized())
		WAIT_UNTIL(resident_bytes() <= before + 4 * MIB);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_peers_that_never_read_cost_their_marks_with_a_handler),
		TEST(test_peers_that_never_read_cost_their_marks_with_a_consumer),
		TEST(test_a_peer_lives_on_its_own_share_while_another_holds_the_pool),
		TEST(test_300_idle_connections_cost_less_than_32_kib_each),
		TEST(test_a_length_of_4_gib_allocates_nothing),
		TEST(test_100_announced_frames_stay_within_the_budget),
		TEST(test_reconnecting_over_and_over_stays_within_the_budget),
		TEST(test_memory_comes_back_after_a_storm_of_large_frames),
	};

	return run_suite("memory", tests, COUNT_OF(tests), argc, argv);
}
