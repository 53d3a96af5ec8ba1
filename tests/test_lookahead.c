/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lookahead.c - framers at the edges of what they may ask for: a length told
 * before all of a long head is there, and an end told only from what comes after it.
 *
 * What is read beyond a frame of unknown length has to find room elsewhere; without
 * a chunk there is little of it.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include <bpthread_ops.h>
#include <stdlib.h>

enum {
	KIB = 1024, HEAD = 64, NEAR = 64, FAR = 600, FRAMES = 3,
	CHUNK = 32 * KIB,		/* about what is read into, when there is room */
	NO_CHUNK = 1536,		/* a guarantee that has no room for one */
};

/* ---- a length told from the beginning of a long head -------------------- */

static int cut_long_head(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	const unsigned char *b = bytes;

	(void)scanned;
	if (have < 4)
		return 0;
	*ret_head = HEAD;
	*ret_len = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
	*ret_tail = 0;
	return 1;
}

static const struct bp_framer_ops long_head = {
	.name = "long head", .cut = cut_long_head, .head_max = HEAD,
	.len_max = BP_UNLIMITED,
};

static void send_in_two(int fd, struct bp_endpoint *ep, uint32_t len, size_t first)
{
	unsigned char head[HEAD] = {
		(unsigned char)(len >> 24), (unsigned char)(len >> 16),
		(unsigned char)(len >> 8), (unsigned char)len,
	};

	peer_send(fd, head, first);
	HOLDS_FOR_MS(stats_of(ep).queued_events == 0, 50);
	peer_send(fd, head + first, HEAD - first);
	peer_send_pattern(fd, 0, len);
}

static void expect_pattern_frame(struct bp_endpoint *ep, size_t len)
{
	struct bp_event *event = next_event(ep, BP_RECEIVED);

	REQUIRE_EQ(event->buf->len, len);
	CHECK(pattern_matches(event->buf->data, 0, len));
	bp_event_free(event);
}

static void test_a_length_told_before_the_head_is_complete_is_waited_for(void)
{
	static const uint32_t lens[] = { 1, 400, 3000, CHUNK, 120000 };
	struct bp_conn_config config = { .framer = &long_head };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	size_t i;

	skip_event(ep, BP_OPENED);
	for (i = 0; i < COUNT_OF(lens); i++) {
		send_in_two(fd, ep, lens[i], 8);
		expect_pattern_frame(ep, lens[i]);
		send_in_two(fd, ep, lens[i], HEAD - 1);
		expect_pattern_frame(ep, lens[i]);
	}
	peer_half_close(fd);
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
	peer_close(fd);
	finish(ep);
}

/* ---- an end told from what comes after it ------------------------------- */

/* A line, whose '\n' counts only once look bytes after it are there. */
static int cut_line(const char *text, size_t have, size_t look, size_t *scanned,
    size_t *ret_len, size_t *ret_tail)
{
	const char *end = memchr(text + *scanned, '\n', have - *scanned);

	*scanned = end ? (size_t)(end - text) : have;
	if (!end || have < *scanned + 1 + look)
		return 0;
	*ret_len = *scanned;
	*ret_tail = 1;
	return 1;
}

static int cut_near(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	*ret_head = 0;
	return cut_line(bytes, have, NEAR, scanned, ret_len, ret_tail);
}

static int cut_far(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	*ret_head = 0;
	return cut_line(bytes, have, FAR, scanned, ret_len, ret_tail);
}

static const struct bp_framer_ops looks_near = {
	.name = "looks near", .cut = cut_near, .tail_max = 1,
	.len_max = BP_UNLIMITED,
};

static const struct bp_framer_ops looks_far = {
	.name = "looks far", .cut = cut_far, .tail_max = 1,
	.len_max = BP_UNLIMITED,
};

/* guarantee 0: chunks are to be had. */
static struct bp_endpoint *serve_lines(const struct bp_framer_ops *framer,
    size_t guarantee, char addr[ADDR_MAX])
{
	struct bp_endpoint_config ep_config = { .guarantee = guarantee };
	struct bp_conn_config config = { .framer = framer, .frame_max = 64 * KIB };

	return serve(&ep_config, &config, addr);
}

/* Lines of len bytes, each of a letter of its own, and FAR bytes of no line. */
static void send_lines(int fd, size_t len)
{
	size_t size = FRAMES * (len + 1) + FAR;
	char *text = malloc(size);
	int i;

	REQUIRE(text != NULL);
	memset(text, '-', size);
	for (i = 0; i < FRAMES; i++) {
		memset(text + (size_t)i * (len + 1), 'a' + i, len);
		text[(size_t)(i + 1) * (len + 1) - 1] = '\n';
	}
	peer_send(fd, text, size);
	free(text);
}

static bool is_all(const char *text, size_t len, char c)
{
	size_t i;

	for (i = 0; i < len && text[i] == c; i++)
		;
	return i == len;
}

static void lines_arrive(size_t len, size_t guarantee)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve_lines(&looks_near, guarantee, addr);
	int fd = peer_connect(addr), i;
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	send_lines(fd, len);
	for (i = 0; i < FRAMES; i++) {
		event = next_event(ep, BP_RECEIVED);
		REQUIRE_EQ(event->buf->len, len);
		CHECK(is_all(event->buf->data, len, (char)('a' + i)));
		bp_event_free(event);
	}
	peer_close(fd);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_TRUNCATED);	/* FAR bytes of no line */
	bp_event_free(event);
	finish(ep);
}

static void test_64_bytes_beyond_the_end_may_be_looked_at_without_a_chunk(void)
{
	size_t len;

	for (len = 1500; len < 2100; len += 29)
		lines_arrive(len, NO_CHUNK);
}

static void test_64_bytes_beyond_the_end_may_be_looked_at_when_a_chunk_is_full(void)
{
	size_t len;

	for (len = CHUNK - 150; len < CHUNK + 20; len += 13)
		lines_arrive(len, 0);
}

static void is_a_breach(size_t len, size_t guarantee)
{
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve_lines(&looks_far, guarantee, addr);
	int fd = peer_connect(addr);
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	send_lines(fd, len);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_PROTOCOL);
	bp_event_free(event);
	peer_expect_reset(fd);
	peer_close(fd);
	finish(ep);
}

static void test_looking_farther_ends_with_protocol_without_a_chunk(void)
{
	is_a_breach(1500, NO_CHUNK);
	is_a_breach(1900, NO_CHUNK);
}

static void test_looking_farther_ends_with_protocol_when_a_chunk_is_full(void)
{
	is_a_breach(CHUNK - 100, 0);
	is_a_breach(CHUNK + 100, 0);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_length_told_before_the_head_is_complete_is_waited_for),
		TEST(test_64_bytes_beyond_the_end_may_be_looked_at_without_a_chunk),
		TEST(test_64_bytes_beyond_the_end_may_be_looked_at_when_a_chunk_is_full),
		TEST(test_looking_farther_ends_with_protocol_without_a_chunk),
		TEST(test_looking_farther_ends_with_protocol_when_a_chunk_is_full),
	};

	return run_suite("lookahead", tests, COUNT_OF(tests), argc, argv);
}
