/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_frames.c - a stream is cut into the same frames wherever it is split.
 *
 * A script is a stream and the frames in it. It is sent over and over on one
 * connection, each time split at another byte, and the second part only when the
 * reader has taken the first.
 */
#include "config.h"

#include "harness.h"
#include "netstring.h"
#include "peer.h"
#include "seen.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { FRAMES_MAX = 16, STREAM_MAX = 4096, HEADER = 4, FIXED = 7 };

struct script {
	const struct bp_framer_ops *framer;
	size_t expect;
	bool body_follows_header;	/* told by bp_conn_expect() */

	char stream[STREAM_MAX], payload[STREAM_MAX];
	size_t stream_len, payload_len;
	size_t n, lens[FRAMES_MAX];

	/* what came: of the frames above, over and over */
	atomic_size_t frames;
	size_t at;			/* in payload */
	int server_fd;
};

static void add_to_stream(struct script *s, const void *data, size_t len)
{
	REQUIRE(s->stream_len + len <= STREAM_MAX);
	memcpy(s->stream + s->stream_len, data, len);
	s->stream_len += len;
}

static void add_frame(struct script *s, const void *data, size_t len)
{
	REQUIRE(s->n < FRAMES_MAX && s->payload_len + len <= STREAM_MAX);
	s->lens[s->n++] = len;
	memcpy(s->payload + s->payload_len, data, len);
	s->payload_len += len;
}

static void add_message(struct script *s, size_t len)
{
	uint32_t header = htonl((uint32_t)len);
	char data[1024];
	size_t i;

	REQUIRE(len <= sizeof data);
	for (i = 0; i < len; i++)
		data[i] = (char)('a' + (s->payload_len + i) % 26);
	if (s->body_follows_header)
		add_frame(s, &header, sizeof header);
	if (s->body_follows_header || s->framer == &bp_framer_u32be)
		add_to_stream(s, &header, sizeof header);
	if (s->framer == &netstring) {
		char digits[16];

		add_to_stream(s, digits, (size_t)sprintf(digits, "%zu:", len));
	}
	add_to_stream(s, data, len);
	add_frame(s, data, len);
	if (s->framer == &bp_framer_line)
		add_to_stream(s, "\n", 1);
	if (s->framer == &netstring)
		add_to_stream(s, ",", 1);
}

static void make_script(struct script *s, const struct bp_framer_ops *framer,
    size_t expect, bool body_follows_header)
{
	static const size_t lens[] = { 0, 1, 3, 70, 0, 600, 2 };
	size_t i;

	*s = (struct script){ .framer = framer, .expect = expect,
	    .body_follows_header = body_follows_header };
	for (i = 0; i < COUNT_OF(lens); i++)
		add_message(s, expect == FIXED ? FIXED : lens[i]);
}

/* ---- receiving it ------------------------------------------------------- */

static void check_frame(struct script *s, const struct bp_buf *buf)
{
	size_t i = atomic_load(&s->frames) % s->n;

	REQUIRE_EQ(buf->len, s->lens[i]);
	REQUIRE(memcmp(buf->data, s->payload + s->at, buf->len) == 0);
	s->at = i + 1 < s->n ? s->at + buf->len : 0;
}

static void check_received(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	struct script *s = seen->own;
	uint32_t len;

	check_frame(s, buf);
	if (s->body_follows_header && atomic_load(&s->frames) % 2 == 0) {
		memcpy(&len, buf->data, sizeof len);
		REQUIRE_EQ(bp_conn_expect(conn, ntohl(len)), 0);
	}
	atomic_fetch_add(&s->frames, 1);
}

/* Only looked at from outside, while the connection is open: how much is unread. */
static int note_fd(int fd, void *data)
{
	struct seen *seen = data;
	struct script *s = seen->own;

	s->server_fd = fd;
	return 0;
}

static void receive_frames(struct bp_endpoint *ep, struct script *s, size_t n)
{
	while (atomic_load(&s->frames) < n) {
		struct bp_event *event = next_event(ep, BP_RECEIVED);

		check_frame(s, event->buf);
		atomic_fetch_add(&s->frames, 1);
		bp_event_free(event);
	}
}

static void wait_until_taken(int fd, const struct script *s)
{
	WAIT_UNTIL(peer_unacknowledged(fd) == 0
	    && peer_unread(s->server_fd) == 0);
}

static void split_at_every_byte(struct script *s, bool handler)
{
	struct seen seen = { .on_received = check_received, .own = s };
	struct bp_conn_config config = { .framer = s->framer,
	    .expect = s->expect, .ops = handler ? &seen_ops : NULL,
	    .data = &seen, .setup = note_fd };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	size_t k;

	bp_conn_unref(only_conn(ep));
	if (!handler)
		skip_event(ep, BP_OPENED);
	for (k = 0; k <= s->stream_len; k++) {
		peer_send(fd, s->stream, k);
		wait_until_taken(fd, s);
		peer_send(fd, s->stream + k, s->stream_len - k);
		if (!handler)
			receive_frames(ep, s, (k + 1) * s->n);
		WAIT_UNTIL(atomic_load(&s->frames) == (k + 1) * s->n);
	}
	/* and every byte alone */
	for (k = 0; k < s->stream_len; k++) {
		peer_send(fd, s->stream + k, 1);
		wait_until_taken(fd, s);
	}
	if (!handler)
		receive_frames(ep, s, (s->stream_len + 2) * s->n);
	WAIT_UNTIL(atomic_load(&s->frames) == (s->stream_len + 2) * s->n);
	peer_close(fd);
	finish(ep);
}

static void split_both_ways(const struct bp_framer_ops *framer, size_t expect)
{
	struct script s;

	make_script(&s, framer, expect, false);
	split_at_every_byte(&s, true);
	make_script(&s, framer, expect, false);
	split_at_every_byte(&s, false);
}

/* P2 */
static void test_lines_split_at_every_byte_are_whole(void)
{
	split_both_ways(&bp_framer_line, 0);
}

/* P2 */
static void test_u32be_frames_split_at_every_byte_are_whole(void)
{
	split_both_ways(&bp_framer_u32be, 0);
}

/* P2 */
static void test_frames_of_an_own_framer_split_at_every_byte_are_whole(void)
{
	split_both_ways(&netstring, 0);
}

/* P2 */
static void test_frames_of_a_fixed_length_split_at_every_byte_are_whole(void)
{
	split_both_ways(&bp_framer_raw, FIXED);
}

/* P2 */
static void test_expected_bodies_split_at_every_byte_are_whole(void)
{
	struct script s;

	make_script(&s, &bp_framer_raw, HEADER, true);
	split_at_every_byte(&s, true);
}

/* ---- whatever arrives --------------------------------------------------- */

static void check_next_bytes(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	(void)conn;
	CHECK_GE(buf->len, 1);
	/* its own length is already counted */
	REQUIRE(pattern_matches(buf->data,
	    atomic_load(&seen->bytes) - buf->len, buf->len));
}

static void send_in_pieces(int fd, const struct script *s, uint64_t total)
{
	uint64_t sent = 0;
	size_t piece = 1;

	for (; sent < total; sent += piece) {
		piece = (size_t)(sent * 7 % 1500 + 1);
		if (piece > total - sent)
			piece = (size_t)(total - sent);
		peer_send_pattern(fd, sent, piece);
		if (sent % 3 == 0)
			wait_until_taken(fd, s);
	}
}

/* P2 */
static void test_raw_bytes_come_once_and_in_order_to_a_handler(void)
{
	struct script s = { 0 };
	struct seen seen = { .on_received = check_next_bytes, .own = &s };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .setup = note_fd };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);

	bp_conn_unref(only_conn(ep));
	send_in_pieces(fd, &s, 1000000);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.bytes), 1000000);
	CHECK_EQ(atomic_load(&seen.ended), 1);
	finish(ep);
}

/* While it is received: unreceived, no more is read than what is set aside for one. */
struct sending {
	int fd;
	const struct script *script;
};

static void run_sending(void *arg)
{
	const struct sending *sending = arg;

	send_in_pieces(sending->fd, sending->script, 1000000);
	peer_close(sending->fd);
}

/* P2 */
static void test_raw_bytes_come_once_and_in_order_to_a_receiver(void)
{
	struct script s = { 0 };
	struct seen seen = { .own = &s };
	struct bp_conn_config config = { .data = &seen, .setup = note_fd };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_event *event;
	struct sending sending = { .fd = fd, .script = &s };
	struct task *task;
	uint64_t total = 0;

	skip_event(ep, BP_OPENED);
	task = task_start(run_sending, &sending);
	for (; total < 1000000; total += event->buf->len, bp_event_free(event)) {
		event = next_event(ep, BP_RECEIVED);
		CHECK_GE(event->buf->len, 1);
		REQUIRE(pattern_matches(event->buf->data, total,
		    event->buf->len));
	}
	task_join(task);
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
	finish(ep);
}

/* ---- an end within a frame ---------------------------------------------- */

static void echo(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)seen;
	CHECK_EQ(bp_send_buf(conn, buf, BP_FOREVER), 0);
}

/* A whole frame and k bytes of the next: the answer comes, then the end. */
static void cut_off_after(const struct script *s, size_t whole, size_t k)
{
	struct seen seen = { .on_received = echo };
	struct bp_conn_config config = { .framer = s->framer,
	    .expect = s->expect, .ops = &seen_ops, .data = &seen };
	bool at_border = k == 0;
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);

	peer_send(fd, s->stream, whole + k);
	peer_half_close(fd);
	peer_expect(fd, s->stream, whole);
	peer_expect_fin(fd);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), 1);
	CHECK_EQ(atomic_load(&seen.ended), at_border);
	CHECK_EQ(atomic_load(&seen.reason),
	    at_border ? BP_REASON_PEER : BP_REASON_TRUNCATED);
	finish(ep);
}

/* P2, P3 */
static void test_an_end_within_a_frame_is_truncated_at_any_byte(void)
{
	static const struct {
		const struct bp_framer_ops *framer;
		size_t expect;
	} cases[] = {
		{ &bp_framer_line, 0 }, { &bp_framer_u32be, 0 },
		{ &bp_framer_raw, FIXED }, { &netstring, 0 },
	};
	size_t i, k;

	for (i = 0; i < COUNT_OF(cases); i++) {
		struct script s = { .framer = cases[i].framer,
		    .expect = cases[i].expect };
		size_t whole;

		add_message(&s, FIXED);
		whole = s.stream_len;
		add_message(&s, FIXED);
		for (k = 0; k < s.stream_len - whole; k++)
			cut_off_after(&s, whole, k);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_lines_split_at_every_byte_are_whole),
		TEST(test_u32be_frames_split_at_every_byte_are_whole),
		TEST(test_frames_of_an_own_framer_split_at_every_byte_are_whole),
		TEST(test_frames_of_a_fixed_length_split_at_every_byte_are_whole),
		TEST(test_expected_bodies_split_at_every_byte_are_whole),
		TEST(test_raw_bytes_come_once_and_in_order_to_a_handler),
		TEST(test_raw_bytes_come_once_and_in_order_to_a_receiver),
		TEST(test_an_end_within_a_frame_is_truncated_at_any_byte),
	};

	return run_suite("frames", tests, COUNT_OF(tests), argc, argv);
}
