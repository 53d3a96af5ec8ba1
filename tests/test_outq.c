/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_outq.c - pieces that wait to be sent: whatever they were made of and however
 * they are taken, the bytes come out as they went in.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "tagged.h"

#include "outq.h"

#include <stdlib.h>

#define ROOM 4000		/* of a piece that small copies share */

static struct bp__outq outq, dead;

static void start(void)
{
	bp__outq_init(&outq);
	bp__outq_init(&dead);
}

static void copy_in(struct bp__outq *to, const void *data, size_t len)
{
	const struct iovec iov = { (void *)(uintptr_t)data, len };

	REQUIRE_EQ(bp__outq_copy(to, &iov, 1, 0), 0);
}

static bool squeeze_in(const void *data, size_t len)
{
	const struct iovec iov = { (void *)(uintptr_t)data, len };

	return bp__outq_squeeze(&outq, &iov, 1);
}

static size_t n_pieces(const struct bp__outq *of)
{
	const struct bp__list *link;
	size_t n = 0;

	for (link = of->pieces.next; link != &of->pieces; link = link->next)
		n++;
	return n;
}

/* What peek describes, at most max bytes of it; returns how many. */
static size_t peek_out(const struct bp__outq *of, char *to, size_t max)
{
	struct iovec iov[64];
	int n = bp__outq_peek(of, iov, COUNT_OF(iov), max), i;
	size_t len = 0;

	for (i = 0; i < n; i++) {
		CHECK(iov[i].iov_len > 0);
		memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

/* It holds exactly this text. */
static void check_text(const struct bp__outq *of, const char *text)
{
	char got[64];

	CHECK_EQ(of->bytes, strlen(text));
	REQUIRE_EQ(peek_out(of, got, sizeof got), strlen(text));
	CHECK(memcmp(got, text, strlen(text)) == 0);
}

static void clear_all(void)
{
	bp__outq_clear(&outq);
	bp__outq_clear(&dead);
	CHECK_EQ(outq.bytes, 0);
	CHECK(bp__list_empty(&outq.pieces) && bp__list_empty(&dead.pieces));
}

static struct bp_buf *payload(const char *text)
{
	struct bp_buf *buf;

	REQUIRE_EQ(bp_buf_new(&buf, strlen(text)), 0);
	memcpy(buf->data, text, strlen(text));
	return buf;
}

static unsigned refs(struct bp_buf *buf)
{
	return atomic_load(&bp__buf_of(buf)->refs);
}

/* "abcdefgh" in three pieces, the second of which is a payload's. */
static struct bp_buf *three_pieces(void)
{
	struct bp_buf *buf = payload("xdex");

	start();
	copy_in(&outq, "abc", 3);
	REQUIRE_EQ(bp__outq_share(&outq, bp__buf_of(buf), (char *)buf->data + 1, 2),
	    0);
	copy_in(&outq, "fgh", 3);
	return buf;
}

static void test_outq_small_copies_share_a_piece(void)
{
	size_t i;

	start();
	CHECK(!squeeze_in("x", 1));
	copy_in(&outq, "x", 1);
	for (i = 1; i < ROOM; i++)
		REQUIRE(squeeze_in("x", 1));
	CHECK_EQ(n_pieces(&outq), 1);
	CHECK_EQ(outq.bytes, ROOM);
	CHECK(!squeeze_in("x", 1));
	CHECK_EQ(outq.bytes, ROOM);
	clear_all();
	/* behaviour 1's 200 000 */
	for (i = 0; i < 200000; i++)
		if (!squeeze_in("x", 1))
			copy_in(&outq, "x", 1);
	CHECK_EQ(n_pieces(&outq), 200000 / ROOM);
	CHECK_EQ(outq.bytes, 200000);
	clear_all();
}

/* Whole or not at all, into the room there is. */
/* A queue of them would take twice its bytes, and the marks count those alone. */
static void test_outq_copies_of_middle_size_waste_no_room(void)
{
	static const char bytes[ROOM / 4 + 1];

	start();
	copy_in(&outq, bytes, sizeof bytes);
	CHECK(!squeeze_in("x", 1));
	clear_all();
}

static void test_outq_squeezes_all_or_nothing(void)
{
	static const char zeros[ROOM];
	struct iovec iov[3] = {
		{ (void *)(uintptr_t)zeros, ROOM - 10 },
		{ (void *)(uintptr_t)zeros, 0 },
		{ (void *)(uintptr_t)zeros, 8 },
	};

	start();
	copy_in(&outq, "ab", 2);
	CHECK(bp__outq_squeeze(&outq, iov, 3));		/* exactly */
	CHECK_EQ(outq.bytes, ROOM);
	CHECK(bp__outq_squeeze(&outq, iov, 0));
	clear_all();
	copy_in(&outq, "ab", 2);
	iov[2].iov_len = 9;
	CHECK(!bp__outq_squeeze(&outq, iov, 3));
	check_text(&outq, "ab");
	clear_all();
}

static void test_outq_squeezes_behind_what_was_partly_taken(void)
{
	start();
	copy_in(&outq, "abcd", 4);
	bp__outq_consume(&outq, 3, &dead);
	CHECK(squeeze_in("ef", 2));
	check_text(&outq, "def");
	CHECK_EQ(n_pieces(&outq), 1);
	clear_all();
}

/* A payload is read-only, and has no room behind it. */
static void test_outq_never_writes_into_a_payload(void)
{
	struct bp_buf *buf = payload("abcd");

	start();
	REQUIRE_EQ(bp__outq_share(&outq, bp__buf_of(buf), buf->data, 2), 0);
	CHECK(!squeeze_in("x", 1));
	copy_in(&outq, "x", 1);
	check_text(&outq, "abx");
	CHECK(memcmp(buf->data, "abcd", 4) == 0);
	clear_all();
	bp_buf_unref(buf);
}

static void test_outq_copies_what_is_left_after_every_skip(void)
{
	static char text[] = "abcdefgh";
	struct iovec iov[] = {
		{ text, 0 }, { text, 3 }, { text + 3, 0 }, { text + 3, 1 },
		{ text + 4, 4 }, { NULL, 0 },
	};
	size_t skip;

	for (skip = 0; skip <= 8; skip++) {
		start();
		CHECK_EQ(bp__outq_copy(&outq, iov, COUNT_OF(iov), skip), 0);
		check_text(&outq, text + skip);
		CHECK_EQ(n_pieces(&outq), skip < 8);
		clear_all();
	}
}

static void test_outq_a_large_copy_is_one_piece(void)
{
	size_t len = 100000;
	char *data = malloc(len), *got = malloc(len);

	REQUIRE(data && got);
	pattern_fill(data, 0, len);
	start();
	copy_in(&outq, data, len);
	CHECK_EQ(n_pieces(&outq), 1);
	CHECK(!squeeze_in("x", 1));
	CHECK_EQ(peek_out(&outq, got, len), len);
	CHECK(pattern_matches(got, 0, len));
	clear_all();
	free(data);
	free(got);
}

static void test_outq_holds_a_payload_until_it_is_cleared(void)
{
	struct bp_buf *buf = payload("abcd");

	start();
	REQUIRE_EQ(bp__outq_share(&outq, bp__buf_of(buf), buf->data, 4), 0);
	REQUIRE_EQ(bp__outq_share(&outq, bp__buf_of(buf), buf->data, 0), 0);
	CHECK_EQ(n_pieces(&outq), 1);
	CHECK_EQ(refs(buf), 2);
	bp__outq_consume(&outq, 3, &dead);
	CHECK(bp__list_empty(&dead.pieces));
	bp__outq_consume(&outq, 1, &dead);
	CHECK_EQ(n_pieces(&dead), 1);
	CHECK_EQ(refs(buf), 2);		/* nothing is freed under a lock */
	bp__outq_clear(&dead);
	CHECK_EQ(refs(buf), 1);
	/* the queue's reference alone keeps the bytes */
	REQUIRE_EQ(bp__outq_share(&outq, bp__buf_of(buf), buf->data, 4), 0);
	bp_buf_unref(buf);
	check_text(&outq, "abcd");
	clear_all();
}

static void test_outq_peek_describes_at_most_what_it_is_asked_for(void)
{
	struct bp_buf *buf = three_pieces();
	struct iovec iov[3];
	char got[8];
	size_t max;

	for (max = 0; max <= 8; max++) {
		CHECK_EQ(peek_out(&outq, got, max), max);
		CHECK(memcmp(got, "abcdefgh", max) == 0);
	}
	CHECK_EQ(bp__outq_peek(&outq, iov, 2, 100), 2);
	CHECK_EQ(iov[1].iov_len, 2);
	CHECK(iov[1].iov_base == (char *)buf->data + 1);	/* not a copy */
	CHECK_EQ(bp__outq_peek(&outq, iov, 3, 100), 3);
	CHECK_EQ(bp__outq_peek(&outq, iov, 3, 3), 1);
	CHECK_EQ(bp__outq_peek(&outq, iov, 0, 3), 0);
	check_text(&outq, "abcdefgh");
	clear_all();
	CHECK_EQ(bp__outq_peek(&outq, iov, 3, 100), 0);
	bp_buf_unref(buf);
}

static void test_outq_consumes_at_every_split_point(void)
{
	static const char text[] = "abcdefgh";
	size_t first, then;

	for (first = 0; first <= 8; first++)
		for (then = 0; first + then <= 8; then++) {
			struct bp_buf *buf = three_pieces();
			size_t taken = first + then;

			bp__outq_consume(&outq, first, &dead);
			check_text(&outq, text + first);
			bp__outq_consume(&outq, then, &dead);
			check_text(&outq, text + taken);
			CHECK_EQ(n_pieces(&dead),
			    (taken >= 3) + (taken >= 5) + (taken >= 8));
			clear_all();
			CHECK_EQ(refs(buf), 1);
			bp_buf_unref(buf);
		}
}

static void test_outq_joins_at_every_split_point(void)
{
	static const char text[] = "abcdefgh";
	struct bp__outq rest;
	size_t split, i;
	int front;

	for (front = 0; front < 2; front++)
		for (split = 0; split <= 8; split++) {
			start();
			bp__outq_init(&rest);
			for (i = 0; i < 8; i++)
				copy_in(i < split ? &outq : &rest, text + i, 1);
			if (front) {
				bp__outq_join_front(&rest, &outq);
				check_text(&rest, text);
				check_text(&outq, "");
				bp__outq_clear(&rest);
			} else {
				bp__outq_join(&outq, &rest);
				check_text(&outq, text);
				check_text(&rest, "");
			}
			clear_all();
		}
}

/* One of the ways in, at random; returns how many bytes went in. */
static size_t put_some(uint64_t *state, struct bp_buf *buf, uint64_t offset)
{
	size_t len = 1 + random_below(state, random_below(state, 4) ? 50 : 6000);
	struct bp__outq front;
	char data[6050];

	pattern_fill(data, offset, len);
	switch (random_below(state, 4)) {
	case 0:
		pattern_fill(buf->data, offset, len);
		REQUIRE_EQ(bp__outq_share(&outq, bp__buf_of(buf), buf->data, len), 0);
		break;
	case 1:		/* made up elsewhere, with the queue put back behind it */
		bp__outq_init(&front);
		bp__outq_join(&front, &outq);
		copy_in(&outq, data, len);
		bp__outq_join_front(&outq, &front);
		break;
	case 2:
		if (squeeze_in(data, len))
			break;
		/* fall through */
	default:
		copy_in(&outq, data, len);
	}
	return len;
}

static void test_outq_keeps_a_stream_whole_whatever_is_done(void)
{
	uint64_t state = 1, in = 0, out = 0;
	struct bp_buf *buf;
	char got[64 * 6050];
	size_t len, max;
	int step;

	start();
	for (step = 0; step < 20000; step++) {
		if (random_below(&state, 2)) {
			REQUIRE_EQ(bp_buf_new(&buf, 6050), 0);
			in += put_some(&state, buf, in);
			bp_buf_unref(buf);
		} else {
			max = random_below(&state, 9000);
			len = peek_out(&outq, got, max);
			CHECK_LE(len, max);
			REQUIRE(pattern_matches(got, out, len));
			if (len > 0)
				len = random_below(&state, (unsigned)len + 1);
			bp__outq_consume(&outq, len, &dead);
			out += len;
		}
		REQUIRE_EQ(outq.bytes, in - out);
		bp__outq_clear(&dead);
	}
	clear_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_outq_small_copies_share_a_piece),
		TEST(test_outq_copies_of_middle_size_waste_no_room),
		TEST(test_outq_squeezes_all_or_nothing),
		TEST(test_outq_squeezes_behind_what_was_partly_taken),
		TEST(test_outq_never_writes_into_a_payload),
		TEST(test_outq_copies_what_is_left_after_every_skip),
		TEST(test_outq_a_large_copy_is_one_piece),
		TEST(test_outq_holds_a_payload_until_it_is_cleared),
		TEST(test_outq_peek_describes_at_most_what_it_is_asked_for),
		TEST(test_outq_consumes_at_every_split_point),
		TEST(test_outq_joins_at_every_split_point),
		TEST(test_outq_keeps_a_stream_whole_whatever_is_done),
	};

	return run_suite("outq", tests, COUNT_OF(tests), argc, argv);
}
