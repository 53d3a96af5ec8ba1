/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_error.c - words for errors and reasons: one for each, each its own.
 */
#include "config.h"

#include "harness.h"

#include <ctype.h>
#include <limits.h>

static const enum bp_reason reasons[] = {
	BP_REASON_NONE, BP_REASON_LOCAL, BP_REASON_PEER, BP_REASON_SHUTDOWN,
	BP_REASON_ABORT, BP_REASON_RESET, BP_REASON_TRUNCATED, BP_REASON_OVERSIZE,
	BP_REASON_PROTOCOL, BP_REASON_HEADER, BP_REASON_IDLE,
	BP_REASON_STALLED_FRAME, BP_REASON_STALLED_WRITE, BP_REASON_SLOW,
	BP_REASON_LIMIT, BP_REASON_NO_MEMORY,
};

/* They stand in the middle of sentences, in logs and as labels of metrics. */
static void test_reasons_are_all_named_and_all_differently(void)
{
	size_t i, k;

	for (i = 0; i < COUNT_OF(reasons); i++) {
		const char *name = bp_reason_name(reasons[i]), *c;

		REQUIRE(name != NULL && *name);
		for (c = name; *c; c++)
			CHECK(islower((unsigned char)*c) || *c == ' ');
		CHECK(strcmp(name, "unknown") != 0);
		for (k = 0; k < i; k++)
			CHECK(strcmp(name, bp_reason_name(reasons[k])) != 0);
	}
	/* the list above is the header's */
	CHECK_EQ(BP_REASON_NO_MEMORY + 1, COUNT_OF(reasons));
	CHECK_STR(bp_reason_name(BP_REASON_STALLED_WRITE), "stalled write");
}

static void test_reason_that_is_none_is_unknown(void)
{
	CHECK_STR(bp_reason_name(BP_REASON_NO_MEMORY + 1), "unknown");
	CHECK_STR(bp_reason_name((enum bp_reason)-1), "unknown");
	CHECK_STR(bp_reason_name((enum bp_reason)INT_MAX), "unknown");
}

/* Those that the header and the manual pages name. */
static const int errors[] = {
	0, -EPIPE, -EAGAIN, -ETIMEDOUT, -EMSGSIZE, -EDEADLK, -EINVAL, -ENOMEM,
	-ENOENT, -EADDRINUSE, -EACCES, -ECONNREFUSED, -EMFILE, -EPERM, -EPROTO,
	-ECONNRESET,
};

static void test_errors_are_all_told_and_all_differently(void)
{
	size_t i, k;

	for (i = 0; i < COUNT_OF(errors); i++) {
		const char *text = bp_strerror(errors[i]);

		REQUIRE(text != NULL && *text);
		CHECK(strcmp(text, "unknown error") != 0);
		for (k = 0; k < i; k++)
			CHECK(strcmp(text, bp_strerror(errors[k])) != 0);
	}
	CHECK_STR(bp_strerror(0), "success");
	CHECK_STR(bp_strerror(-EPIPE), "it has ended");
}

static void test_error_that_is_none_is_unknown(void)
{
	CHECK_STR(bp_strerror(-99999), "unknown error");
	CHECK_STR(bp_strerror(EPIPE), "unknown error");	/* ours are negative */
	CHECK_STR(bp_strerror(INT_MAX), "unknown error");
	CHECK_STR(bp_strerror(INT_MIN), "unknown error");
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_reasons_are_all_named_and_all_differently),
		TEST(test_reason_that_is_none_is_unknown),
		TEST(test_errors_are_all_told_and_all_differently),
		TEST(test_error_that_is_none_is_unknown),
	};

	return run_suite("error", tests, COUNT_OF(tests), argc, argv);
}
