/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_conn_config.c - the same as test_config.c, of a connection's config.
 */
#include "config.h"

#include "harness.h"

#include "endpoint.h"

#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static struct bp_endpoint *ep;

static void with_endpoint(struct bp_endpoint_config config)
{
	config.conns_max = 4;
	ep = new_endpoint(&config);
}

static struct bp_conn_config conn_filled_in(struct bp_conn_config given, bool accepted)
{
	struct bp_conn_config config;

	REQUIRE_EQ(bp__conn_defaults(&config, &given, ep, accepted), 0);
	return config;
}

static void check_same_for_both(struct bp_conn_config config)
{
	CHECK(config.framer == &bp_framer_raw);
	CHECK_EQ(config.expect, BP_ANY);
	CHECK_EQ(config.frame_max, 16 * MIB);
	CHECK(config.ops == NULL && config.data == NULL);
	CHECK_EQ(config.out_high, 256 * KIB);
	CHECK_EQ(config.out_low, 128 * KIB);
	CHECK(!config.half_open);
	CHECK_EQ(config.header_ms, 10 * 1000);
	CHECK_EQ(config.frame_ms, 120 * 1000);
	CHECK_EQ(config.write_ms, 60 * 1000);
	CHECK_EQ(config.linger_ms, 5 * 1000);
	CHECK_EQ(config.nodelay, BP_ON);
	CHECK_EQ(config.keepalive, BP_ON);
	CHECK_EQ(config.gather, BP_ON);
	CHECK_EQ(config.user_timeout_ms, 0);
	CHECK_EQ(config.rcvbuf, 0);
	CHECK_EQ(config.sndbuf, 0);
	CHECK_EQ(config.backlog, SOMAXCONN);
	CHECK(!config.reuseport);
	CHECK(config.local == NULL && config.setup == NULL);
}

static void test_config_of_a_connection_has_every_default(void)
{
	struct bp_conn_config config;

	with_endpoint((struct bp_endpoint_config){ 0 });
	REQUIRE_EQ(bp__conn_defaults(&config, NULL, ep, true), 0);
	check_same_for_both(config);
	CHECK_EQ(config.couple, BP_ON);
	CHECK_EQ(config.idle_ms, 600 * 1000);
	REQUIRE_EQ(bp__conn_defaults(&config, NULL, ep, false), 0);
	check_same_for_both(config);
	CHECK_EQ(config.couple, BP_OFF);
	CHECK_EQ(config.idle_ms, BP_FOREVER);
	finish(ep);
}

static void test_config_of_a_connection_keeps_what_is_given(void)
{
	static const int value = 1;
	const struct bp_conn_config given = {
		.expect = 7, .frame_max = 1000, .data = (void *)(uintptr_t)&value,
		.out_high = 10, .out_low = 9, .couple = BP_OFF, .half_open = true,
		.header_ms = 1, .frame_ms = 2, .idle_ms = 3, .write_ms = 4,
		.linger_ms = BP_FOREVER, .nodelay = BP_OFF, .keepalive = BP_OFF,
		.gather = BP_OFF, .user_timeout_ms = 5, .rcvbuf = 6, .sndbuf = 7,
		.backlog = 8, .reuseport = true, .local = ":0",
	};
	struct bp_conn_config config;

	with_endpoint((struct bp_endpoint_config){ 0 });
	config = conn_filled_in(given, true);
	CHECK(config.expect == 7 && config.frame_max == 1000);
	CHECK(config.data == given.data && config.local == given.local);
	CHECK(config.out_high == 10 && config.out_low == 9);
	CHECK(config.couple == BP_OFF && config.nodelay == BP_OFF);
	CHECK(config.keepalive == BP_OFF && config.gather == BP_OFF);
	CHECK(config.half_open && config.reuseport);
	CHECK(config.header_ms == 1 && config.frame_ms == 2 && config.idle_ms == 3);
	CHECK(config.write_ms == 4 && config.linger_ms == BP_FOREVER);
	CHECK(config.user_timeout_ms == 5 && config.backlog == 8);
	CHECK(config.rcvbuf == 6 && config.sndbuf == 7);
	CHECK_EQ(conn_filled_in((struct bp_conn_config){ .couple = BP_ON },
	    false).couple, BP_ON);
	CHECK_EQ(conn_filled_in((struct bp_conn_config){ .out_high = 1 },
	    false).out_low, 0);
	finish(ep);
}

static void test_config_frame_max_is_16_kib_for_lines(void)
{
	with_endpoint((struct bp_endpoint_config){ 0 });
	CHECK_EQ(conn_filled_in((struct bp_conn_config){
	    .framer = &bp_framer_line }, true).frame_max, 16 * KIB);
	CHECK_EQ(conn_filled_in((struct bp_conn_config){
	    .framer = &bp_framer_u32be }, true).frame_max, 16 * MIB);
	finish(ep);
}

/* Set, it is refused above what the budget admits; else it gives way to that. */
static void test_config_frame_max_gives_way_to_the_budget(void)
{
	static const size_t budgets[] = {
		4 * KIB, 10 * KIB, 50 * KIB, 100 * KIB, MIB, 10 * MIB, 33 * MIB,
	};
	struct bp_conn_config given, config;
	size_t i, most;

	for (i = 0; i < COUNT_OF(budgets); i++) {
		with_endpoint((struct bp_endpoint_config){ .budget = budgets[i] });
		given = (struct bp_conn_config){ .framer = &bp_framer_u32be };
		given.frame_max = most = conn_filled_in(given, true).frame_max;
		CHECK(most > 0 && most <= 16 * MIB);
		conn_filled_in(given, true);
		/* it does not give way further than need be, and is not the end */
		given.frame_max = most + 1;
		if (most < 16 * MIB)
			CHECK_EQ(bp__conn_defaults(&config, &given, ep, true), -EINVAL);
		given.frame_max = budgets[i];
		CHECK_EQ(bp__conn_defaults(&config, &given, ep, true), -EINVAL);
		finish(ep);
	}
}

static void test_config_frame_max_is_unlimited_only_without_a_budget(void)
{
	const struct bp_conn_config given = { .frame_max = BP_UNLIMITED };
	struct bp_conn_config config;

	with_endpoint((struct bp_endpoint_config){ 0 });
	CHECK_EQ(bp__conn_defaults(&config, &given, ep, true), -EINVAL);
	finish(ep);
	with_endpoint((struct bp_endpoint_config){ .qdisc = &bp_qdisc_unbounded });
	CHECK_GE(conn_filled_in(given, true).frame_max, (size_t)1 << 47);
	finish(ep);
}

static void handle(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn, (void)buf, (void)data;
}

static void tell(struct bp_conn *conn, void *data)
{
	(void)conn, (void)data;
}

static void tell_closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	(void)conn, (void)why, (void)err, (void)data;
}

static int no_cut(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	(void)bytes, (void)have, (void)scanned;
	(void)ret_head, (void)ret_len, (void)ret_tail;
	return 0;
}

static void test_config_of_a_connection_that_contradicts_itself_is_refused(void)
{
	static const struct bp_framer_ops cannot_cut = { .name = "cannot" };
	static const struct bp_framer_ops long_head = { .cut = no_cut, .head_max = 65 };
	static const struct bp_framer_ops long_tail = { .cut = no_cut, .tail_max = 17 };
	static const struct bp_conn_ops opened = { .opened = tell };
	static const struct bp_conn_ops ended = { .ended = tell };
	static const struct bp_conn_ops closed = { .closed = tell_closed };
	const struct bp_conn_config bad[] = {
		{ .framer = &cannot_cut }, { .framer = &long_head },
		{ .framer = &long_tail },
		{ .framer = &bp_framer_line, .expect = 1 },
		{ .framer = &bp_framer_u32be, .expect = BP_ANY },
		{ .expect = 11, .frame_max = 10 },
		{ .expect = 16 * MIB + 1 },
		{ .ops = &opened }, { .ops = &ended }, { .ops = &closed },
		{ .out_high = 10, .out_low = 10 }, { .out_high = 10, .out_low = 11 },
		{ .out_low = 256 * KIB },
		{ .couple = BP_OFF + 1 }, { .nodelay = BP_OFF + 1 },
		{ .keepalive = (enum bp_switch)-1 }, { .gather = BP_OFF + 1 },
		{ .header_ms = -2 }, { .frame_ms = -2 }, { .idle_ms = INT_MIN },
		{ .write_ms = -2 }, { .linger_ms = -2 },
		{ .user_timeout_ms = -2 }, { .backlog = -1 },
	};
	struct bp_conn_config config;
	size_t i;

	with_endpoint((struct bp_endpoint_config){ 0 });
	for (i = 0; i < COUNT_OF(bad); i++)
		if (!CHECK_EQ(bp__conn_defaults(&config, &bad[i], ep, true), -EINVAL))
			printf("# bad config %zu\n", i);
	finish(ep);
}

static void test_config_at_the_edge_of_contradiction_is_taken(void)
{
	static const struct bp_framer_ops longest = {
		.cut = no_cut, .head_max = 64, .tail_max = 16,
	};
	static const struct bp_conn_ops received = { .received = handle };
	static const struct bp_conn_ops notified = { .throttled = tell };
	static const struct bp_conn_ops none;
	const struct bp_conn_config good[] = {
		{ .framer = &longest },
		{ .expect = 10, .frame_max = 10 }, { .expect = BP_ANY },
		{ .ops = &received }, { .ops = &notified }, { .ops = &none },
		{ .out_high = 10, .out_low = 9 }, { .out_low = 256 * KIB - 1 },
		{ .out_high = BP_UNLIMITED }, { .header_ms = BP_FOREVER },
		{ .frame_ms = BP_FOREVER }, { .write_ms = BP_FOREVER },
		{ .linger_ms = BP_FOREVER }, { .idle_ms = INT_MAX },
	};
	struct bp_conn_config config;
	size_t i;

	with_endpoint((struct bp_endpoint_config){ 0 });
	for (i = 0; i < COUNT_OF(good); i++)
		if (!CHECK_EQ(bp__conn_defaults(&config, &good[i], ep, true), 0))
			printf("# good config %zu\n", i);
	finish(ep);
}

static void test_config_the_reaper_looks_as_often_as_the_shortest_deadline(void)
{
	struct bp_conn_config config = {
		.header_ms = 100, .frame_ms = 200, .idle_ms = 300,
		.write_ms = BP_FOREVER, .linger_ms = 50,
	};

	CHECK_EQ(bp__conn_tick_ns(&config), 50 * BP__MS);
	config.linger_ms = BP_FOREVER;
	CHECK_EQ(bp__conn_tick_ns(&config), 100 * BP__MS);
	config.header_ms = config.frame_ms = config.idle_ms = 10000;
	/* a reset is noticed within a second */
	CHECK(bp__conn_tick_ns(&config) < 1000 * BP__MS);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_config_of_a_connection_has_every_default),
		TEST(test_config_of_a_connection_keeps_what_is_given),
		TEST(test_config_frame_max_is_16_kib_for_lines),
		TEST(test_config_frame_max_gives_way_to_the_budget),
		TEST(test_config_frame_max_is_unlimited_only_without_a_budget),
		TEST(test_config_of_a_connection_that_contradicts_itself_is_refused),
		TEST(test_config_at_the_edge_of_contradiction_is_taken),
		TEST(test_config_the_reaper_looks_as_often_as_the_shortest_deadline),
	};

	return run_suite("conn_config", tests, COUNT_OF(tests), argc, argv);
}
