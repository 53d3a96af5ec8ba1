/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_framer.c - the framers that ship, as the pure functions they are: where they
 * cut, whatever part of a stream they are shown, and what they write around a
 * payload.
 */
#include "config.h"

#include "harness.h"
#include "netstring.h"

#include "framer.h"

#include <stdlib.h>

struct cut {
	size_t head, len, tail;
};

static int cut(const struct bp_framer_ops *framer, const void *bytes, size_t have,
    size_t *scanned, struct cut *ret)
{
	return framer->cut(bytes, have, scanned, &ret->head, &ret->len, &ret->tail);
}

/*
 * The stream's first frame is this one. It is shown byte by byte, as it would come
 * in; the framer may tell early how long the frame will be, but must not change its
 * mind, and by told_at bytes it must know.
 */
static void check_cut(const struct bp_framer_ops *framer, const char *bytes,
    size_t size, struct cut expected, size_t told_at)
{
	size_t scanned = 0, have;
	struct cut got;
	int rc;

	for (have = 0; have <= size; have++) {
		char *shown = malloc(have ? have : 1);	/* so ASan sees the end */

		REQUIRE(shown != NULL);
		memcpy(shown, bytes, have);
		rc = cut(framer, shown, have, &scanned, &got);
		free(shown);
		if (!CHECK_EQ(rc, have >= told_at))
			return;
		if (rc == 0)
			continue;
		CHECK_EQ(got.head, expected.head);
		CHECK_EQ(got.len, expected.len);
		CHECK_EQ(got.tail, expected.tail);
		scanned = 0;		/* asked anew, it answers the same */
	}
}

/* Every first part, then all the rest at once. */
static void check_splits(const struct bp_framer_ops *framer, const char *bytes,
    size_t size, struct cut expected)
{
	struct cut got = { 0 };
	size_t split, scanned;

	for (split = 0; split < size; split++) {
		scanned = 0;
		if (cut(framer, bytes, split, &scanned, &got) == 0)
			CHECK_EQ(cut(framer, bytes, size, &scanned, &got), 1);
		CHECK_EQ(got.head, expected.head);
		CHECK_EQ(got.len, expected.len);
		CHECK_EQ(got.tail, expected.tail);
	}
}

static void test_framer_raw_takes_what_is_there(void)
{
	struct cut got = { 9, 9, 9 };
	size_t scanned = 0, have;

	CHECK_EQ(cut(&bp_framer_raw, "", 0, &scanned, &got), 0);
	for (have = 1; have < 5; have++) {
		CHECK_EQ(cut(&bp_framer_raw, "abcd\n", have, &scanned, &got), 1);
		CHECK_EQ(got.head, 0);
		CHECK_EQ(got.len, have);
		CHECK_EQ(got.tail, 0);
	}
}

static void test_framer_line_is_cut_at_its_end_at_every_split(void)
{
	static const char *const streams[] = {
		"\n", "\n\n", "a\n", "abc\nd", "abc\n\n", "a\r\nb", "abcdefghijkl\n",
	};
	size_t i;

	for (i = 0; i < COUNT_OF(streams); i++) {
		size_t len = strcspn(streams[i], "\n");

		check_cut(&bp_framer_line, streams[i], strlen(streams[i]),
		    (struct cut){ 0, len, 1 }, len + 1);
		check_splits(&bp_framer_line, streams[i], strlen(streams[i]),
		    (struct cut){ 0, len, 1 });
	}
	/* a 0 byte is as good as any */
	check_cut(&bp_framer_line, "a\0b\nc", 5, (struct cut){ 0, 3, 1 }, 4);
}

/* Else a line that comes byte by byte costs its square. */
static void test_framer_line_does_not_look_twice(void)
{
	char bytes[] = "abc\ndef";
	struct cut got;
	size_t scanned = 0;

	CHECK_EQ(cut(&bp_framer_line, bytes, 3, &scanned, &got), 0);
	CHECK_EQ(scanned, 3);
	bytes[1] = '\n';		/* in what it has seen */
	CHECK_EQ(cut(&bp_framer_line, bytes, 3, &scanned, &got), 0);
	CHECK_EQ(cut(&bp_framer_line, bytes, 7, &scanned, &got), 1);
	CHECK_EQ(got.len, 3);
}

static void test_framer_u32be_is_told_by_its_header_at_every_split(void)
{
	static const struct {
		const char bytes[9];
		size_t len;
	} frames[] = {
		{ "\0\0\0\0rest", 0 },
		{ "\0\0\0\1rest", 1 },
		{ "\0\0\1\0rest", 256 },
		{ "\1\2\3\4rest", 0x01020304 },
		{ "\x80\0\0\0rest", 0x80000000 },
		{ "\xff\xff\xff\xffrest", 0xffffffff },
	};
	size_t i;

	for (i = 0; i < COUNT_OF(frames); i++) {
		check_cut(&bp_framer_u32be, frames[i].bytes, 8,
		    (struct cut){ 4, frames[i].len, 0 }, 4);
		check_splits(&bp_framer_u32be, frames[i].bytes, 8,
		    (struct cut){ 4, frames[i].len, 0 });
	}
}

/* ---- what is written ------------------------------------------------------ */

static struct bp__envelope envelope(const struct bp_framer_ops *framer, size_t len)
{
	struct bp__envelope env;

	memset(&env, 0xee, sizeof env);
	REQUIRE_EQ(bp__envelope_make(&env, framer, len), 0);
	return env;
}

static void test_envelope_of_each_framer_is_as_specified(void)
{
	struct bp__envelope env;

	env = envelope(&bp_framer_raw, 1000);
	CHECK_EQ(env.head_len, 0);
	CHECK_EQ(env.tail_len, 0);
	env = envelope(&bp_framer_line, 1000);
	CHECK_EQ(env.head_len, 0);
	CHECK_EQ(env.tail_len, 1);
	CHECK_EQ(env.tail[0], '\n');
	env = envelope(&bp_framer_u32be, 0x01020304);
	CHECK_EQ(env.head_len, 4);
	CHECK(memcmp(env.head, "\1\2\3\4", 4) == 0);
	CHECK_EQ(env.tail_len, 0);
}

static void test_envelope_for_too_long_a_payload_is_refused(void)
{
	struct bp__envelope env;

	CHECK_EQ(bp__envelope_make(&env, &bp_framer_u32be, UINT32_MAX), 0);
	CHECK_EQ(bp__envelope_make(&env, &bp_framer_u32be,
	    (size_t)UINT32_MAX + 1), -EMSGSIZE);
	CHECK_EQ(bp__envelope_make(&env, &bp_framer_raw, SIZE_MAX), 0);
	CHECK_EQ(bp__envelope_make(&env, &bp_framer_line, SIZE_MAX), 0);
}

static size_t long_head(void *out, size_t len)
{
	memset(out, 'h', BP__HEAD_MAX);
	return len ? BP__HEAD_MAX : 0;
}

static size_t long_tail(void *out, size_t len)
{
	memset(out, 't', BP__TAIL_MAX);
	return len ? BP__TAIL_MAX : 0;
}

static void test_envelope_holds_the_longest_head_and_tail(void)
{
	const struct bp_framer_ops framer = {
		.head = long_head, .tail = long_tail,
		.head_max = BP__HEAD_MAX, .tail_max = BP__TAIL_MAX, .len_max = 10,
	};
	struct bp__envelope env = envelope(&framer, 10);

	CHECK_EQ(env.head_len, 64);
	CHECK_EQ(env.tail_len, 16);
	CHECK(env.head[63] == 'h' && env.tail[15] == 't');
	env = envelope(&framer, 0);
	CHECK_EQ(env.head_len, 0);
	CHECK_EQ(env.tail_len, 0);
	CHECK_EQ(bp__envelope_make(&env, &framer, 11), -EMSGSIZE);
}

/* What is written is cut again as it was, within the limits that are stated. */
static void test_what_a_framer_writes_it_cuts(void)
{
	static const struct bp_framer_ops *const framers[] = {
		&bp_framer_line, &bp_framer_u32be, &netstring,
	};
	static const size_t lens[] = { 0, 1, 9, 10, 255, 256, 1000, 65536 };
	size_t i, k;

	for (i = 0; i < COUNT_OF(framers); i++)
		for (k = 0; k < COUNT_OF(lens); k++) {
			const struct bp__envelope env = envelope(framers[i], lens[k]);
			size_t size = env.head_len + lens[k] + env.tail_len;
			char *bytes = malloc(size);
			struct cut got;
			size_t scanned = 0;

			REQUIRE(bytes != NULL);
			memcpy(bytes, env.head, env.head_len);
			memset(bytes + env.head_len, 'x', lens[k]);
			memcpy(bytes + env.head_len + lens[k], env.tail, env.tail_len);
			CHECK_EQ(cut(framers[i], bytes, size, &scanned, &got), 1);
			CHECK_EQ(got.head, env.head_len);
			CHECK_EQ(got.len, lens[k]);
			CHECK_EQ(got.tail, env.tail_len);
			CHECK_LE(env.head_len, framers[i]->head_max);
			CHECK_LE(env.tail_len, framers[i]->tail_max);
			free(bytes);
		}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_framer_raw_takes_what_is_there),
		TEST(test_framer_line_is_cut_at_its_end_at_every_split),
		TEST(test_framer_line_does_not_look_twice),
		TEST(test_framer_u32be_is_told_by_its_header_at_every_split),
		TEST(test_envelope_of_each_framer_is_as_specified),
		TEST(test_envelope_for_too_long_a_payload_is_refused),
		TEST(test_envelope_holds_the_longest_head_and_tail),
		TEST(test_what_a_framer_writes_it_cuts),
	};

	return run_suite("framer", tests, COUNT_OF(tests), argc, argv);
}
