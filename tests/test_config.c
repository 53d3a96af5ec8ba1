/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_config.c - what 0 means in an endpoint's config, to the number, and what
 * contradicts what (P20). The fields are read as they were filled in; that limits
 * act is seen in other suites.
 */
#include "config.h"

#include "harness.h"

#include "endpoint.h"

#include <sys/resource.h>
#include <syslog.h>

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static struct bp_endpoint_config filled_in(struct bp_endpoint_config given)
{
	struct bp_endpoint_config config;

	REQUIRE_EQ(bp__endpoint_defaults(&config, &given), 0);
	return config;
}

static void limit_descriptors(size_t n)
{
	struct rlimit limit;

	REQUIRE_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < n)
		skip_test("no more than %ju descriptors", (uintmax_t)limit.rlim_max);
	limit.rlim_cur = n;
	REQUIRE_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_config_of_an_endpoint_has_every_default(void)
{
	struct bp_endpoint_config config;

	limit_descriptors(2048);
	REQUIRE_EQ(bp__endpoint_defaults(&config, NULL), 0);
	CHECK(config.qdisc == &bp_qdisc_fair);
	CHECK_EQ(config.budget, 128 * MIB);
	CHECK_EQ(config.places, 1024);
	CHECK_EQ(config.guarantee, 64 * KIB);
	CHECK_EQ(config.conns_max, 1024);
	CHECK_EQ(config.stack_size, 256 * KIB);
	CHECK_EQ(config.bands, 8);
	CHECK_EQ(config.min_share, 0);
	CHECK_EQ(config.peer_by, BP_PEER_CONN);
	CHECK_GE(config.peer_max, 2 * 16 * MIB + 64 * KIB);
	CHECK_GE(40 * MIB, config.peer_max);
	CHECK_EQ(config.target_ms, BP_FOREVER);
	CHECK_EQ(config.handlers_max, 0);
	CHECK_EQ(config.conns_per_addr, 0);
	CHECK(config.log == NULL);
}

static void ignore_line(int level, const char *line, void *arg)
{
	(void)level, (void)line, (void)arg;
}

static void test_config_of_an_endpoint_keeps_what_is_given(void)
{
	int mine;
	const struct bp_endpoint_config given = {
		.qdisc = &bp_qdisc_bounded, .budget = 1, .places = 2,
		.guarantee = 3, .conns_max = 4, .stack_size = 64 * KIB,
		.log = ignore_line, .log_arg = &mine,
	};
	struct bp_endpoint_config config = filled_in(given);

	CHECK(config.qdisc == given.qdisc);
	CHECK_EQ(config.budget, 1);
	CHECK_EQ(config.places, 2);
	CHECK_EQ(config.guarantee, 3);
	CHECK_EQ(config.conns_max, 4);
	CHECK_EQ(config.stack_size, 64 * KIB);
	CHECK(config.log == ignore_line && config.log_arg == &mine);
}

static void test_config_guarantees_take_half_of_the_budget_at_most(void)
{
	struct bp_endpoint_config config = { 0 };

	limit_descriptors(2048);
	config = filled_in((struct bp_endpoint_config){ .budget = 64 * MIB });
	CHECK_EQ(config.guarantee, 32 * KIB);
	config = filled_in((struct bp_endpoint_config){ .budget = 4 * KIB });
	CHECK_EQ(config.guarantee, 2);
	config = filled_in((struct bp_endpoint_config){
	    .budget = BP_UNLIMITED, .conns_max = 1 });
	CHECK_EQ(config.guarantee, 64 * KIB);
	/* where there is no budget it is a chunk's measure only */
	config = filled_in((struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_unbounded, .budget = 1 });
	CHECK_EQ(config.guarantee, 64 * KIB);
}

static void check_endpoint_refused(struct bp_endpoint_config given)
{
	struct bp_endpoint_config config;

	CHECK_EQ(bp__endpoint_defaults(&config, &given), -EINVAL);
}

static void test_config_of_an_endpoint_that_contradicts_itself_is_refused(void)
{
	limit_descriptors(2048);
	filled_in((struct bp_endpoint_config){
	    .budget = MIB, .conns_max = 8, .guarantee = 64 * KIB });
	check_endpoint_refused((struct bp_endpoint_config){
	    .budget = MIB, .conns_max = 8, .guarantee = 64 * KIB + 1 });
	check_endpoint_refused((struct bp_endpoint_config){
	    .budget = MIB, .conns_max = 9, .guarantee = 64 * KIB });
	check_endpoint_refused((struct bp_endpoint_config){
	    .guarantee = 64 * KIB + 1 });		/* of 1024 in 128 MiB */
	check_endpoint_refused((struct bp_endpoint_config){
	    .guarantee = BP_UNLIMITED });
	check_endpoint_refused((struct bp_endpoint_config){
	    .budget = 4 * KIB - 1 });
	check_endpoint_refused((struct bp_endpoint_config){
	    .stack_size = 64 * KIB - 1 });
}

static void test_config_stack_there_is_no_memory_for_is_an_error(void)
{
	static const size_t sizes[] = { SIZE_MAX / 2, SIZE_MAX - 4096, BP_UNLIMITED };
	struct bp_endpoint *ret;
	size_t i;

	for (i = 0; i < COUNT_OF(sizes); i++)
		CHECK(bp_endpoint_new(&ret, &(struct bp_endpoint_config){
		    .stack_size = sizes[i] }) < 0);
}

static atomic_int warnings;

static void count_warnings(int level, const char *line, void *arg)
{
	CHECK_EQ(level, LOG_WARNING);
	CHECK(strstr(line, "conns_max") != NULL && strchr(line, '\n') == NULL);
	CHECK(arg == &warnings);
	atomic_fetch_add(&warnings, 1);
}

static void test_config_conns_max_is_what_descriptors_admit(void)
{
	struct bp_endpoint_config given = {
		.log = count_warnings, .log_arg = &warnings,
	};

	limit_descriptors(200);
	CHECK(filled_in(given).conns_max < 200);
	CHECK_GE(filled_in(given).conns_max, 100);
	CHECK_EQ(atomic_load(&warnings), 0);	/* nobody asked for more */
	given.conns_max = 100;
	CHECK_EQ(filled_in(given).conns_max, 100);
	CHECK_EQ(atomic_load(&warnings), 0);
	given.conns_max = 1000;
	CHECK(filled_in(given).conns_max < 200);
	CHECK_EQ(atomic_load(&warnings), 1);
	given.conns_max = BP_UNLIMITED;
	CHECK(filled_in(given).conns_max < 200);
	CHECK_EQ(atomic_load(&warnings), 2);
	/* even where there is next to nothing somebody can connect */
	limit_descriptors(10);
	CHECK_GE(filled_in(given).conns_max, 1);
	CHECK(filled_in(given).conns_max < 10);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_config_of_an_endpoint_has_every_default),
		TEST(test_config_of_an_endpoint_keeps_what_is_given),
		TEST(test_config_guarantees_take_half_of_the_budget_at_most),
		TEST(test_config_of_an_endpoint_that_contradicts_itself_is_refused),
		TEST(test_config_stack_there_is_no_memory_for_is_an_error),
		TEST(test_config_conns_max_is_what_descriptors_admit),
	};

	return run_suite("config", tests, COUNT_OF(tests), argc, argv);
}
