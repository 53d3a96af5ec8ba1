/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_framing.c - frames of every size, their limits, what a send puts around them,
 * and a handler that says how long the next one is.
 */
#include "config.h"

#include "harness.h"
#include "netstring.h"
#include "peer.h"
#include "seen.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { KIB = 1024, MIB = 1 << 20 };

/* ---- sizes -------------------------------------------------------------- */

/* About the places where a frame is kept differently: stack, chunk, own, mapping. */
static const size_t sizes[] = {
	0, 1, 507, 508, 509, 511, 512, 513, 4095, 4096, 4097, 16384, 32 * KIB - 1,
	32 * KIB, 32 * KIB + 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB - 1,
	128 * KIB, 128 * KIB + 1, MIB, 16 * MIB, 5, 0, 128 * KIB, 1,
};

static void send_sizes(void *arg)
{
	int fd = *(int *)arg;
	char *data = malloc(16 * MIB);
	uint64_t offset = 0;
	size_t i;

	REQUIRE(data != NULL);
	for (i = 0; i < COUNT_OF(sizes); i++) {
		pattern_fill(data, offset, sizes[i]);
		peer_send_u32be(fd, data, (uint32_t)sizes[i]);
		offset += sizes[i];
	}
	free(data);
	peer_half_close(fd);
}

static void expect_sizes(int fd)
{
	uint64_t offset = 0;
	uint32_t header;
	size_t i;

	for (i = 0; i < COUNT_OF(sizes); i++) {
		peer_recv(fd, &header, sizeof header);
		REQUIRE_EQ(ntohl(header), sizes[i]);
		peer_expect_pattern(fd, offset, sizes[i]);
		offset += sizes[i];
	}
	peer_expect_fin(fd);
}

static void echo(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	REQUIRE_EQ(buf->len, sizes[atomic_load(&seen->received) - 1]);
	CHECK_EQ(bp_send_buf(conn, buf, BP_FOREVER), 0);
}

/* P2: and payloads are handed on as they are */
static void test_frames_of_every_size_are_echoed_by_a_handler(void)
{
	struct seen seen = { .on_received = echo };
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct task *sending = task_start(send_sizes, &fd);

	expect_sizes(fd);
	task_join(sending);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	finish(ep);
}

static void echo_events(void *arg)
{
	struct bp_event *event;
	bool closed = false;
	size_t i = 0;

	for (; !closed; bp_event_free(event)) {
		REQUIRE_EQ(bp_receive(arg, &event, SLOW(8000)), 0);
		closed = event->kind == BP_CLOSED;
		if (event->kind != BP_RECEIVED)
			continue;
		REQUIRE_EQ(event->buf->len, sizes[i++]);
		CHECK_EQ(bp_send_buf(event->conn, event->buf, BP_FOREVER), 0);
	}
}

/* P2 */
static void test_frames_of_every_size_are_echoed_by_a_receiver(void)
{
	static const struct bp_qdisc_ops *const qdiscs[] = {
		&bp_qdisc_bytes, &bp_qdisc_one_place, &bp_qdisc_bounded,
		&bp_qdisc_unbounded,
	};
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	size_t i;

	for (i = 0; i < COUNT_OF(qdiscs); i++) {
		struct bp_endpoint_config ep_config = { .qdisc = qdiscs[i] };
		char addr[ADDR_MAX];
		struct bp_endpoint *ep = serve(&ep_config, &config, addr);
		struct task *echoing = task_start(echo_events, ep);
		int fd = peer_connect(addr);
		struct task *sending = task_start(send_sizes, &fd);

		expect_sizes(fd);
		task_join(sending);
		peer_close(fd);
		task_join(echoing);
		finish(ep);
	}
}

/* ---- limits ------------------------------------------------------------- */

static void send_and_end(const struct bp_conn_config *base, const void *data,
    size_t len, int frames, enum bp_reason reason)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = *base;
	char addr[ADDR_MAX];
	struct bp_endpoint *ep;
	int fd;

	config.ops = &seen_ops;
	config.data = &seen;
	ep = serve(NULL, &config, addr);
	fd = peer_connect(addr);
	peer_send(fd, data, len);
	if (reason == BP_REASON_PEER)
		peer_half_close(fd);
	else
		peer_expect_reset(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), frames);
	CHECK_EQ(atomic_load(&seen.reason), reason);
	peer_close(fd);
	finish(ep);
}

static void test_a_frame_of_frame_max_passes_and_one_byte_more_does_not(void)
{
	struct bp_conn_config u32be = { .framer = &bp_framer_u32be,
	    .frame_max = 5 };
	struct bp_conn_config line = { .framer = &bp_framer_line,
	    .frame_max = 5 };
	struct bp_conn_config own = { .framer = &netstring, .frame_max = 5 };

	send_and_end(&u32be, "\0\0\0\5hello", 9, 1, BP_REASON_PEER);
	send_and_end(&u32be, "\0\0\0\1x\0\0\0\6hello!", 15, 1,
	    BP_REASON_OVERSIZE);
	send_and_end(&line, "hello\n", 6, 1, BP_REASON_PEER);
	send_and_end(&line, "x\nhello!\n", 9, 1, BP_REASON_OVERSIZE);
	/* nor is the end of a line that is too long waited for */
	send_and_end(&line, "hello!", 6, 0, BP_REASON_OVERSIZE);
	send_and_end(&own, "5:hello,", 8, 1, BP_REASON_PEER);
	send_and_end(&own, "6:hello!,", 9, 0, BP_REASON_OVERSIZE);
}

static void test_a_line_is_limited_to_16_kib_by_default(void)
{
	struct bp_conn_config line = { .framer = &bp_framer_line };
	char *data = malloc(16 * KIB + 2);

	REQUIRE(data != NULL);
	memset(data, 'x', 16 * KIB + 1);
	data[16 * KIB] = '\n';
	send_and_end(&line, data, 16 * KIB + 1, 1, BP_REASON_PEER);
	data[16 * KIB] = 'x';
	data[16 * KIB + 1] = '\n';
	send_and_end(&line, data, 16 * KIB + 2, 0, BP_REASON_OVERSIZE);
	free(data);
}

static void test_malformed_input_ends_the_connection_with_protocol(void)
{
	struct bp_conn_config own = { .framer = &netstring };

	send_and_end(&own, "1:a,x:b,", 8, 1, BP_REASON_PROTOCOL);
	send_and_end(&own, ":", 1, 0, BP_REASON_PROTOCOL);
	send_and_end(&own, "123456789", 9, 0, BP_REASON_PROTOCOL);
}

static int cut_boundless(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	(void)bytes, (void)have, (void)scanned;
	*ret_head = 1;
	*ret_len = SIZE_MAX;
	*ret_tail = 1;
	return 1;
}

/* Behaviour 22: head + payload + tail would wrap round */
static void test_the_largest_length_there_is_is_oversize(void)
{
	static const struct bp_framer_ops boundless = {
		.name = "boundless", .cut = cut_boundless, .head_max = 1,
	};
	struct bp_conn_config config = { .framer = &boundless };

	send_and_end(&config, "xyz", 3, 0, BP_REASON_OVERSIZE);
}

static int cut_nothing(const void *bytes, size_t have, size_t *scanned, size_t *ret_head,
    size_t *ret_len, size_t *ret_tail)
{
	(void)bytes, (void)have, (void)scanned;
	*ret_head = *ret_len = *ret_tail = 0;
	return 1;
}

/* Of those there would be no end. */
static void test_a_frame_of_no_bytes_is_a_protocol_error(void)
{
	static const struct bp_framer_ops nothing = { .name = "nothing", .cut = cut_nothing };
	struct bp_conn_config config = { .framer = &nothing };

	send_and_end(&config, "x", 1, 0, BP_REASON_PROTOCOL);
}

/* ---- what a send puts around -------------------------------------------- */

static void check_wire(const struct bp_framer_ops *framer, const char *wire,
    size_t len, uint64_t frames)
{
	struct bp_conn_config config = { .framer = framer };
	struct iovec iov[4] = { { "o", 1 }, { NULL, 0 }, { "n", 1 }, { "e", 1 } };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	struct bp_buf *buf;

	CHECK_EQ(bp_sendv(conn, iov, 4, 0), 0);
	CHECK_EQ(bp_send(conn, NULL, 0, 0), 0);
	REQUIRE_EQ(bp_buf_new(&buf, 100), 0);
	memcpy(buf->data, "two", 3);
	buf->len = 3;
	CHECK_EQ(bp_send_buf(conn, buf, 0), 0);
	bp_buf_unref(buf);
	bp_conn_close(conn);
	peer_expect(fd, wire, len);
	peer_expect_fin(fd);
	CHECK_EQ(conn_stats_of(conn).sent_frames, frames);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void test_a_send_puts_head_and_tail_around_its_frame(void)
{
	/* to raw an empty frame is nothing at all */
	check_wire(&bp_framer_raw, "onetwo", 6, 2);
	check_wire(&bp_framer_line, "one\n\ntwo\n", 9, 3);
	check_wire(&bp_framer_u32be, "\0\0\0\3one\0\0\0\0\0\0\0\3two", 18, 3);
	check_wire(&netstring, "3:one,0:,3:two,", 15, 3);
}

static void test_a_frame_the_framer_cannot_write_is_refused(void)
{
	struct bp_conn_config config = { .framer = &netstring };
	char addr[ADDR_MAX], *data = calloc(1, 100000);
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	REQUIRE(data != NULL);
	CHECK_EQ(bp_send(conn, data, 100000, 0), -EMSGSIZE);
	CHECK_EQ(bp_send(conn, data, 99999, BP_FOREVER), 0);
	peer_expect_string(fd, "99999:");
	peer_expect(fd, data, 99999);
	peer_expect_string(fd, ",");
	free(data);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- expect ------------------------------------------------------------- */

static void expect_in_turn(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	static const struct {
		size_t len;	/* of this frame */
		size_t next;	/* to be expected; 0: nothing is said */
	} steps[] = {
		{ 2, 0 }, { 2, 5 }, { 5, 0 }, { 2, BP_ANY }, { 9, 0 }, { 2, 0 },
	};
	size_t i = (size_t)atomic_load(&seen->received) - 1;

	REQUIRE(i < COUNT_OF(steps));
	CHECK_EQ(buf->len, steps[i].len);
	if (steps[i].next)
		CHECK_EQ(bp_conn_expect(conn, steps[i].next), 0);
	CHECK_EQ(bp_conn_expect(conn, 101), -EMSGSIZE);
}

static void expect_nothing(struct bp_conn *conn, struct seen *seen)
{
	CHECK_EQ(atomic_load(&seen->received), 0);
	CHECK_EQ(bp_conn_expect(conn, 2), 0);
}

static void test_expect_holds_for_the_next_frame_only(void)
{
	struct seen seen = { .on_opened = expect_nothing,
	    .on_received = expect_in_turn };
	struct bp_conn_config config = { .expect = 2, .frame_max = 100,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	peer_send_string(fd, "aabbcccccdd");
	WAIT_UNTIL(atomic_load(&seen.received) == 4);
	CHECK_EQ(bp_conn_expect(conn, 3), -EPERM);
	peer_send_string(fd, "whatever!");
	WAIT_UNTIL(atomic_load(&seen.received) == 5);
	peer_send_string(fd, "zz");
	WAIT_UNTIL(atomic_load(&seen.received) == 6);
	bp_conn_unref(conn);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_PEER);
	finish(ep);
}

static void expect_is_refused(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	(void)buf, (void)seen;
	CHECK_EQ(bp_conn_expect(conn, 1), -EPERM);
}

static void test_expect_is_for_the_raw_framer_and_its_own_handlers(void)
{
	struct seen seen = { .on_received = expect_is_refused };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct bp_event *event;
	int fd = peer_connect(addr);

	peer_send_string(fd, "line\n");
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	finish(ep);

	ep = serve(NULL, NULL, addr);
	fd = peer_connect(addr);
	event = next_event(ep, BP_OPENED);
	CHECK_EQ(bp_conn_expect(event->conn, 1), -EPERM);
	bp_event_free(event);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_frames_of_every_size_are_echoed_by_a_handler),
		TEST(test_frames_of_every_size_are_echoed_by_a_receiver),
		TEST(test_a_frame_of_frame_max_passes_and_one_byte_more_does_not),
		TEST(test_a_line_is_limited_to_16_kib_by_default),
		TEST(test_malformed_input_ends_the_connection_with_protocol),
		TEST(test_the_largest_length_there_is_is_oversize),
		TEST(test_a_frame_of_no_bytes_is_a_protocol_error),
		TEST(test_a_send_puts_head_and_tail_around_its_frame),
		TEST(test_a_frame_the_framer_cannot_write_is_refused),
		TEST(test_expect_holds_for_the_next_frame_only),
		TEST(test_expect_is_for_the_raw_framer_and_its_own_handlers),
	};

	return run_suite("framing", tests, COUNT_OF(tests), argc, argv);
}
