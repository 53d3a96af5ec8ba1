/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_detail_runs.c - what is told of connections whose handlers are called in runs, with
 * many frames in hand at once, or with none.
 */
#include "config.h"

#include "detail.h"
#include "harness.h"
#include "peer.h"

#include <poll.h>
#include <stdatomic.h>

#define HANDLE_MS 20
#define FRAMES 10

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static void nap(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn;
	(void)buf;
	(void)data;
	poll(NULL, 0, HANDLE_MS);	/* it is what handling takes */
}

/* All are read at once: the last has waited while all others were handled. */
static void test_frames_of_a_run_wait_for_those_before_them(void)
{
	static const struct bp_conn_ops ops = { .received = nap };
	struct bp_conn_config config = { .framer = &bp_framer_line, .ops = &ops };
	struct bp_endpoint_detail detail;
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	peer_send(fd, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", 2 * FRAMES);
	WAIT_UNTIL(detail_of(ep).dequeued_events == FRAMES);
	detail = detail_of(ep);
	CHECK_EQ(detail.wait.count, FRAMES);
	CHECK_GE(detail.wait.max, (FRAMES - 1) * HANDLE_MS * MS);
	CHECK_GE(detail.wait.p50, (FRAMES / 2 - 1) * HANDLE_MS * MS * 15 / 16);
	peer_close(fd);
	finish(ep);
}

static atomic_bool let_go;

static void hang(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn;
	(void)buf;
	(void)data;
	WAIT_UNTIL(atomic_load(&let_go));
}

static void test_a_frame_counts_when_it_is_handed_to_a_handler(void)
{
	static const struct bp_conn_ops ops = { .received = hang };
	static const size_t sizes[] = { 10, 200000 };
	struct bp_conn_config config = { .framer = &bp_framer_u32be, .ops = &ops };
	static char bytes[200000];
	uint64_t sum = 0;
	int fds[COUNT_OF(sizes)];

	ep = serve(NULL, &config, addr);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		fds[i] = peer_connect(addr);
		peer_send_u32be(fds[i], bytes, sizes[i]);
		sum += sizes[i];
		WAIT_UNTIL(stats_of(ep).received_bytes == sum);
		CHECK_EQ(detail_of(ep).dequeued_events, i + 1);
	}
	atomic_store(&let_go, true);
	WAIT_UNTIL(detail_of(ep).states[BP_STATE_IDLE] == COUNT_OF(sizes));
	CHECK_EQ(stats_of(ep).received_bytes, sum);
	CHECK_EQ(stats_of(ep).received_events, COUNT_OF(sizes));
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		peer_close(fds[i]);
	finish(ep);
}

static void expect_nothing(struct bp_conn *conn, void *data)
{
	(void)data;
	CHECK_EQ(bp_conn_expect(conn, 0), 0);
}

static void ignore(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn;
	(void)buf;
	(void)data;
}

/* It has no time of arrival but that of its connection. */
static void test_an_empty_frame_before_the_first_read_has_not_waited(void)
{
	static const struct bp_conn_ops ops = {
		.opened = expect_nothing, .received = ignore,
	};
	struct bp_conn_config config = { .ops = &ops };
	uint64_t began = now_ns();
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	WAIT_UNTIL(detail_of(ep).dequeued_events == 1);
	CHECK_EQ(detail_of(ep).wait.count, 1);
	CHECK(detail_of(ep).wait.max <= now_ns() - began);
	peer_close(fd);
	finish(ep);
}

/* Also where its reader keeps the memory for what comes next. */
static void test_a_connection_is_idle_after_a_frame_of_any_size(void)
{
	static const struct bp_conn_ops ops = { .received = ignore };
	static const size_t sizes[] = { 1, 500, 1000, 4000, 40000, 400000 };
	struct bp_conn_config config = { .framer = &bp_framer_u32be, .ops = &ops };
	static char bytes[400000];
	int fd;

	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		peer_send_u32be(fd, bytes, sizes[i]);
		WAIT_UNTIL(detail_of(ep).dequeued_events == i + 1);
		WAIT_UNTIL(detail_of(ep).states[BP_STATE_IDLE] == 1);
	}
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_frames_of_a_run_wait_for_those_before_them),
		TEST(test_a_frame_counts_when_it_is_handed_to_a_handler),
		TEST(test_an_empty_frame_before_the_first_read_has_not_waited),
		TEST(test_a_connection_is_idle_after_a_frame_of_any_size),
	};

	return run_suite("detail_runs", tests, COUNT_OF(tests), argc, argv);
}
