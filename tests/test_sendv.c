/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_sendv.c - sends of many parts.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

/* However many parts: before any of them is looked at. */
static void test_sendv_of_too_much_in_all_is_refused(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX], byte = 'x';
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	struct iovec parts[32];

	for (int n = 1; n <= 32; n++) {
		for (int i = 0; i < n; i++)
			parts[i] = (struct iovec){ &byte, (SIZE_MAX - 1) / (size_t)n + 1 };
		CHECK_EQ(bp_sendv(conn, parts, n, 0), -EMSGSIZE);
		for (int i = 0; i < n; i++)
			parts[i].iov_len = ((size_t)1 << 32) / (size_t)n + 1;
		CHECK_EQ(bp_sendv(conn, parts, n, 0), -EMSGSIZE);
	}
	CHECK_EQ(bp_send(conn, "whole", 5, 0), 0);
	peer_expect(fd, "\0\0\0\5whole", 9);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void test_sendv_of_however_many_parts_makes_one_frame(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX], bytes[64];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	struct iovec parts[64];

	pattern_fill(bytes, 0, sizeof bytes);
	for (int n = 0; n <= 64; n++) {
		char wire[4 + 64] = { 0, 0, 0, (char)n };

		for (int i = 0; i < n; i++)
			parts[i] = (struct iovec){ &bytes[i], 1 };
		CHECK_EQ(bp_sendv(conn, parts, n, 0), 0);
		memcpy(wire + 4, bytes, (size_t)n);
		peer_expect(fd, wire, 4 + (size_t)n);
	}
	CHECK_EQ(conn_stats_of(conn).sent_frames, 65);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_sendv_of_too_much_in_all_is_refused),
		TEST(test_sendv_of_however_many_parts_makes_one_frame),
	};

	return run_suite("sendv", tests, COUNT_OF(tests), argc, argv);
}
