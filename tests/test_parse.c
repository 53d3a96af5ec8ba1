/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_parse.c - disciplines as text: the whole grammar, and every way to get it
 * wrong, after which the config is what it was.
 */
#include "config.h"

#include "harness.h"

#include <stdio.h>

#define KIB ((size_t)1024)

static const struct bp_endpoint_config before = {
	.qdisc = &bp_qdisc_one_place, .budget = 1, .places = 2, .guarantee = 3,
	.conns_max = 4, .stack_size = 5,
};

static bool same(const struct bp_endpoint_config *a, const struct bp_endpoint_config *b)
{
	return a->qdisc == b->qdisc && a->budget == b->budget
	    && a->places == b->places && a->guarantee == b->guarantee
	    && a->conns_max == b->conns_max && a->stack_size == b->stack_size
	    && a->log == b->log && a->log_arg == b->log_arg;
}

/* Parsing gives before, with the fields changed that are not 0 in changes. */
static void check_good(const char *text, struct bp_endpoint_config changes)
{
	struct bp_endpoint_config config = before, expected = before;

	expected.qdisc = changes.qdisc;
	if (changes.budget)
		expected.budget = changes.budget;
	if (changes.places)
		expected.places = changes.places;
	if (changes.guarantee)
		expected.guarantee = changes.guarantee;
	if (!CHECK_EQ(bp_qdisc_parse(&config, text), 0)
	    || !CHECK(same(&config, &expected)))
		printf("# the text was \"%s\"\n", text);
}

static void check_bad(const char *text)
{
	struct bp_endpoint_config config = before;

	if (!CHECK_EQ(bp_qdisc_parse(&config, text), -EINVAL)
	    || !CHECK(same(&config, &before)))
		printf("# the text was \"%s\"\n", text);
}

static void test_parse_a_name_alone_leaves_the_parameters(void)
{
	check_good("unbounded", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_unbounded });
	check_good("one_place", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_one_place });
	check_good("bounded", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bounded });
	check_good("bytes", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes });
}

static void test_parse_parameters_set_the_fields_of_their_names(void)
{
	check_good("bounded:places=17", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bounded, .places = 17 });
	check_good("bytes:budget=64M", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .budget = 64 * KIB * KIB });
	check_good("bytes:guarantee=16K,budget=1000", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .guarantee = 16 * KIB, .budget = 1000 });
	/* the last one stands */
	check_good("bytes:budget=1K,budget=2K", (struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes, .budget = 2 * KIB });
}

static void test_parse_units_are_powers_of_1024(void)
{
	static const struct {
		const char *text;
		size_t value;
	} sizes[] = {
		{ "1", 1 }, { "0010", 10 }, { "1K", KIB }, { "1M", KIB * KIB },
		{ "3G", 3 * KIB * KIB * KIB }, { "2T", 2 * KIB * KIB * KIB * KIB },
		{ "18446744073709551614", SIZE_MAX - 1 },
		{ "18014398509481983K", SIZE_MAX / KIB * KIB },
		{ "16777215T", ((size_t)16777215) << 40 },
	};
	char text[64];
	size_t i;

	for (i = 0; i < COUNT_OF(sizes); i++) {
		snprintf(text, sizeof text, "bytes:budget=%s", sizes[i].text);
		check_good(text, (struct bp_endpoint_config){
		    .qdisc = &bp_qdisc_bytes, .budget = sizes[i].value });
	}
}

static void test_parse_refuses_what_is_no_size(void)
{
	static const char *const bad[] = {
		"", "0", "0K", "00", "K", "x", "-1", "+1", " 1", "1 ", "1k", "1KB",
		"1KK", "1T1", "1.5M", "0x10", "1e3", "1=2", "1:2", "1;2",
		/* beyond size_t by a digit, by one, by a unit */
		"99999999999999999999", "18446744073709551616",
		"184467440737095516160", "18014398509481984K", "16777216T",
		"17179869184G",
	};
	char text[64];
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++) {
		snprintf(text, sizeof text, "bytes:budget=%s", bad[i]);
		check_bad(text);
		snprintf(text, sizeof text, "bytes:guarantee=1K,budget=%s", bad[i]);
		check_bad(text);
		snprintf(text, sizeof text, "bounded:places=%s", bad[i]);
		check_bad(text);
	}
}

static void test_parse_refuses_names_there_are_not(void)
{
	static const char *const bad[] = {
		"", ":", ",", "nonsense", "byte", "bytess", "BYTES", "Bytes", " bytes",
		"bytes ", "bytes,", "bytes budget=1", "fairer", "pri", "one place",
		"bytes=1", "bytes\n", ":budget=1",
	};
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++)
		check_bad(bad[i]);
}

static void test_parse_refuses_parameters_a_discipline_has_no_use_for(void)
{
	static const char *const bad[] = {
		"unbounded:budget=1M", "unbounded:places=1", "one_place:places=1",
		"one_place:budget=1M", "bounded:budget=1M", "bytes:places=1",
		"bytes:nonsense=1", "bytes:budge=1", "bytes:budgets=1",
		"bytes:BUDGET=1", "bytes: budget=1", "bytes:conns_max=1",
		"bytes:stack_size=1M", "bounded:places=1,budget=1M",
	};
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++)
		check_bad(bad[i]);
}

static void test_parse_refuses_what_is_out_of_place(void)
{
	static const char *const bad[] = {
		"bytes:", "unbounded:", "bytes:,", "bytes:budget", "bytes:=1",
		"bytes:budget=1,", "bytes:,budget=1", "bytes:budget=1,,guarantee=1",
		"bytes:budget=1:guarantee=1", "bytes:budget=1;guarantee=1",
		"bytes:budget=1 guarantee=1", "bytes::budget=1",
	};
	size_t i;

	for (i = 0; i < COUNT_OF(bad); i++)
		check_bad(bad[i]);
}

/* What was given makes an endpoint, or is refused by it and not by the grammar. */
static void test_parse_leaves_contradictions_to_the_endpoint(void)
{
	struct bp_endpoint_config config = { 0 };
	struct bp_endpoint *ep;

	REQUIRE_EQ(bp_qdisc_parse(&config, "bytes:budget=1M,guarantee=1M"), 0);
	CHECK_EQ(bp_endpoint_new(&ep, &config), -EINVAL);
	REQUIRE_EQ(bp_qdisc_parse(&config, "bytes:budget=1M,guarantee=512"), 0);
	ep = new_endpoint(&config);
	CHECK_EQ(stats_of(ep).budget, KIB * KIB);
	finish(ep);
}

static void test_help_begins_with_the_name_it_parses(void)
{
	struct bp_endpoint_config config;
	const char *help;
	char name[32];
	unsigned i, k;
	size_t len;

	for (i = 0; (help = bp_qdisc_help(i)) != NULL; i++) {
		len = strcspn(help, ":");
		REQUIRE(len > 0 && len < sizeof name && strlen(help) > len + 2);
		CHECK(strchr(help, '\n') == NULL);
		snprintf(name, sizeof name, "%.*s", (int)len, help);
		CHECK_EQ(bp_qdisc_parse(&config, name), 0);
		for (k = 0; k < i; k++)
			CHECK(strncmp(bp_qdisc_help(k), help, len + 1) != 0);
	}
	CHECK_EQ(i, 6);
	CHECK(bp_qdisc_help(6) == NULL);
	CHECK(bp_qdisc_help(~0u) == NULL);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_parse_a_name_alone_leaves_the_parameters),
		TEST(test_parse_parameters_set_the_fields_of_their_names),
		TEST(test_parse_units_are_powers_of_1024),
		TEST(test_parse_refuses_what_is_no_size),
		TEST(test_parse_refuses_names_there_are_not),
		TEST(test_parse_refuses_parameters_a_discipline_has_no_use_for),
		TEST(test_parse_refuses_what_is_out_of_place),
		TEST(test_parse_leaves_contradictions_to_the_endpoint),
		TEST(test_help_begins_with_the_name_it_parses),
	};

	return run_suite("parse", tests, COUNT_OF(tests), argc, argv);
}
