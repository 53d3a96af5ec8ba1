/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_drill.c - what the contract check says of disciplines: nothing of ours and of
 * the example, and of one that breaks a rule, which. The broken ones are all the same
 * discipline, first come first served within the budget, with one fault each.
 */
#include "config.h"

#include "harness.h"

#include "drill.h"

#include <unistd.h>

/* The example, of which the discipline alone is used here. */
int smallest_first_main(int argc, char **argv);
#define main smallest_first_main
#include "examples/smallest_first.c"
#undef main

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

#define LOST UINT64_MAX		/* key of what is in no heap */

enum { ROUNDS = 2000, SEEDS = 30 };	/* ROUNDS: as bp_endpoint_new() does */

/* ---- a discipline, and what can be wrong with it -------------------------- */

enum fault {
	NO_FAULT,
	FORGETS_TO_PUMP, GRANTS_NOBODY, GRANTS_NO_LARGE_ONE, LOSES_A_REQUEST,
	GRANTS_TWICE, GRANTS_A_CANCELLED_ONE, GRANTS_UNASKED, GRANTS_FROM_THE_ORDER,
	GRANTS_TOO_MUCH, FORGETS_A_REFUND, LETS_SMALL_ONES_PASS,
	LOSES_AN_ITEM, TAKES_TWICE, TAKES_A_REMOVED_ONE, TAKES_FROM_THE_GATE,
	TAKES_NOTHING, FORGETS_ITS_FIRST, LARGEST_LAST, LATEST_FIRST,
	READS_UNSET_LINKS, CHANGES_AN_ITEM, CHANGES_A_PEER, REFUSES_ALL,
};

static enum fault fault;		/* that is in force */
static unsigned calls, fined;

struct plain {
	struct bp_heap waiting, ready;
	struct bp_item *linked;		/* by a link that nobody has set */
	size_t used, budget;
	bool released;
	void *memory;			/* that fini frees */
};

static bool fails(enum fault which)
{
	return fault == which && ++calls % 8 == 0;
}

static int plain_init(void *q, const struct bp_endpoint_config *config)
{
	struct plain *plain = q;

	if (fault == REFUSES_ALL)
		return -EINVAL;
	plain->budget = config->budget;
	plain->memory = malloc(1);
	return 0;
}

static void plain_fini(void *q)
{
	free(((struct plain *)q)->memory);
	fined++;
}

static void plain_ask(void *q, struct bp_item *item)
{
	struct plain *plain = q;

	plain->released = false;
	item->key = fault == LETS_SMALL_ONES_PASS ? item->cost : 0;
	if (fails(LOSES_A_REQUEST))
		item->key = LOST;
	else
		bp_heap_push(&plain->waiting, item);
}

static struct bp_item *plain_grant(void *q)
{
	static struct bp_item unasked;
	struct plain *plain = q;
	struct bp_item *item = plain->waiting.top;
	size_t limit = fault == GRANTS_TOO_MUCH ? 2 * plain->budget : plain->budget;

	if (fault == GRANTS_NOBODY || (fault == FORGETS_TO_PUMP && plain->released))
		return NULL;
	if (fails(GRANTS_UNASKED))
		return &unasked;
	if (plain->ready.top && fails(GRANTS_FROM_THE_ORDER))
		return plain->ready.top;
	if (!item || item->cost > limit - plain->used)
		return NULL;
	if (fault == GRANTS_NO_LARGE_ONE && item->cost > plain->budget / 4)
		return NULL;
	plain->used += item->cost;
	return fails(GRANTS_TWICE) ? item : bp_heap_pop(&plain->waiting);
}

static void plain_cancel(void *q, struct bp_item *item)
{
	if (fault != GRANTS_A_CANCELLED_ONE && item->key != LOST)
		bp_heap_remove(&((struct plain *)q)->waiting, item);
}

static void plain_release(void *q, struct bp_peer *peer, size_t cost)
{
	struct plain *plain = q;

	if (fails(CHANGES_A_PEER))
		peer->held++;
	if (!fails(FORGETS_A_REFUND))
		plain->used -= cost;
	plain->released = true;
}

static void plain_put(void *q, struct bp_item *item)
{
	struct plain *plain = q;

	if (fault == LARGEST_LAST)
		item->key = item->len;
	if (fault == LATEST_FIRST)
		item->key = LOST - 1 - item->seq;
	if (fails(CHANGES_AN_ITEM))
		item->cost--;
	if (fault == READS_UNSET_LINKS)
		plain->linked = item->link[0];
	if (fails(LOSES_AN_ITEM))
		item->key = LOST;
	else
		bp_heap_push(&plain->ready, item);
}

static struct bp_item *plain_take(void *q)
{
	struct plain *plain = q;

	if (fails(TAKES_NOTHING))
		return NULL;
	if (plain->waiting.top && fails(TAKES_FROM_THE_GATE))
		return plain->waiting.top;
	if (plain->linked && fails(READS_UNSET_LINKS))
		return plain->linked;
	if (plain->ready.top && fails(TAKES_TWICE))
		return plain->ready.top;
	if (plain->ready.top && fails(FORGETS_ITS_FIRST))
		bp_heap_pop(&plain->ready)->key = LOST;
	return bp_heap_pop(&plain->ready);
}

static void plain_remove(void *q, struct bp_item *item)
{
	if (fault != TAKES_A_REMOVED_ONE && item->key != LOST)
		bp_heap_remove(&((struct plain *)q)->ready, item);
}

static const struct bp_qdisc_ops plain = {
	.name = "plain", .state_size = sizeof(struct plain),
	.init = plain_init, .fini = plain_fini,
	.ask = plain_ask, .grant = plain_grant,
	.cancel = plain_cancel, .release = plain_release,
	.put = plain_put, .take = plain_take, .remove = plain_remove,
};

/* ---- what is said of it --------------------------------------------------- */

/* Between them: many of everything, a tight budget, more peers than guarantees. */
static struct bp_endpoint_config config_of(unsigned seed)
{
	static const struct bp_endpoint_config configs[] = {
		{ .budget = 128 * MIB, .conns_max = 1024, .guarantee = 64 * KIB,
		  .peer_max = 33 * MIB, .places = 1024, .bands = 8 },
		{ .budget = 1 * MIB, .conns_max = 8, .guarantee = 64 * KIB,
		  .peer_max = 256 * KIB, .places = 3, .bands = 1 },
		{ .budget = 200 * KIB, .conns_max = 40, .guarantee = 2 * KIB,
		  .peer_max = 122 * KIB, .places = 20, .bands = 64, .min_share = 1 },
		{ .budget = 4 * KIB, .conns_max = 2, .guarantee = 1 * KIB,
		  .peer_max = 4 * KIB, .places = 1, .bands = 2, .min_share = 20 },
		{ .budget = 16 * MIB, .conns_max = 16, .guarantee = 512 * KIB,
		  .peer_max = 9 * MIB, .places = 100, .bands = 3, .target_ms = 1 },
		{ .budget = BP_UNLIMITED, .conns_max = 16, .guarantee = 64 * KIB,
		  .peer_max = 64 * MIB, .places = 100, .bands = 3 },
	};

	return configs[seed % COUNT_OF(configs)];
}

static const char *broken_rule(const struct bp_qdisc_ops *ops, unsigned seed)
{
	struct bp_endpoint_config config = config_of(seed);
	static char rule[160];

	rule[0] = '\0';
	calls = fined = 0;
	return bp__drill(ops, &config, seed, ROUNDS, rule, sizeof rule) < 0 ? rule : NULL;
}

static void check_passes(const struct bp_qdisc_ops *ops)
{
	const char *rule;

	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		rule = broken_rule(ops, seed);
		if (rule)
			fprintf(stderr, "%s, seed %u: %s\n", ops->name, seed, rule);
		REQUIRE(rule == NULL);
	}
}

static void check_caught(enum fault which, const char *expected)
{
	const char *rule;
	bool same;

	fault = which;
	for (unsigned seed = 1; seed <= SEEDS; seed++) {
		if (config_of(seed).budget == BP_UNLIMITED)
			continue;	/* nothing to exceed */
		rule = broken_rule(&plain, seed);
		same = rule && strstr(rule, expected) && !strchr(rule, '\n');
		if (!same)
			fprintf(stderr, "fault %d, seed %u: %s\n", which, seed,
			    rule ? rule : "not seen");
		REQUIRE(same);
		CHECK_EQ(fined, which != REFUSES_ALL);
	}
}

static void check_refused(struct bp_qdisc_ops ops, const char *expected)
{
	const char *rule = broken_rule(&ops, 1);

	REQUIRE(rule != NULL);
	CHECK(strstr(rule, expected) != NULL);
	CHECK_EQ(fined, 0);
}

static void test_drill_finds_nothing_in_ours(void)
{
	check_passes(&bp_qdisc_unbounded);
	check_passes(&bp_qdisc_one_place);
	check_passes(&bp_qdisc_bounded);
	check_passes(&bp_qdisc_bytes);
	check_passes(&bp_qdisc_prio);
	check_passes(&bp_qdisc_fair);
}

static void test_drill_finds_nothing_in_the_example(void)
{
	check_passes(&smallest_first);
}

static void test_drill_finds_nothing_in_one_without_a_fault(void)
{
	struct bp_qdisc_ops gate = plain, order = plain;

	check_passes(&plain);
	gate.put = gate.remove = NULL;
	gate.take = NULL;
	check_passes(&gate);
	order.ask = order.cancel = NULL;
	order.grant = NULL;
	order.release = NULL;
	check_passes(&order);
}

static void test_drill_sees_who_is_not_let_through(void)
{
	check_caught(FORGETS_TO_PUMP, "grant returned NULL while");
	check_caught(GRANTS_NOBODY, "grant returned NULL while");
	check_caught(GRANTS_NO_LARGE_ONE, "grant returned NULL while");
	check_caught(LOSES_A_REQUEST, "grant returned NULL while");
	check_caught(FORGETS_A_REFUND, "grant returned NULL while");
}

static void test_drill_sees_who_should_not_be_let_through(void)
{
	check_caught(GRANTS_TWICE, "grant returned an item that was granted before");
	check_caught(GRANTS_A_CANCELLED_ONE, "grant returned an item that was cancelled");
	check_caught(GRANTS_UNASKED, "grant returned what is no item");
	check_caught(GRANTS_FROM_THE_ORDER, "grant returned an item of the order");
	check_caught(GRANTS_TOO_MUCH, "grant exceeded the budget");
}

static void test_drill_sees_what_is_lost_in_the_order(void)
{
	check_caught(LOSES_AN_ITEM, "take returned NULL while");
	check_caught(TAKES_NOTHING, "take returned NULL while");
	check_caught(FORGETS_ITS_FIRST, "take returned NULL while");
}

static void test_drill_sees_what_should_not_be_taken(void)
{
	check_caught(TAKES_TWICE, "take returned an item that was taken before");
	check_caught(TAKES_A_REMOVED_ONE, "take returned an item that was removed");
	check_caught(TAKES_FROM_THE_GATE, "take returned an item that waits at the gate");
	check_caught(READS_UNSET_LINKS, "take returned what is no item");
}

static void test_drill_sees_who_starves(void)
{
	check_caught(LETS_SMALL_ONES_PASS, "times at the gate");
	check_caught(LARGEST_LAST, "times in the order");
	check_caught(LATEST_FIRST, "times in the order");
}

static void test_drill_sees_what_is_not_the_disciplines_to_change(void)
{
	check_caught(CHANGES_AN_ITEM, "an item was changed");
	check_caught(CHANGES_A_PEER, "a peer was changed");
}

static void test_drill_refuses_half_a_discipline(void)
{
	struct bp_qdisc_ops ops;

	check_caught(REFUSES_ALL, "init refused");
	ops = plain;
	ops.release = NULL;
	check_refused(ops, "all of them or none");
	ops = plain;
	ops.take = NULL;
	check_refused(ops, "all of them or none");
	ops = plain;
	ops.name = NULL;
	check_refused(ops, "no name");
	check_refused((struct bp_qdisc_ops){ .name = "empty" }, "neither");
	ops = smallest_first;
	ops.after_read = true;
	check_refused(ops, "after_read");
}

/* ---- for users ------------------------------------------------------------ */

static void check_printed(const struct bp_qdisc_ops *ops, const char *expected)
{
	struct bp_endpoint_config config = { .budget = 1 * MIB };
	char printed[512] = "";
	int ends[2], err = dup(STDERR_FILENO), rc;

	REQUIRE(pipe(ends) == 0);
	dup2(ends[1], STDERR_FILENO);
	rc = bp_qdisc_check(ops, &config, 7, ROUNDS);
	dup2(err, STDERR_FILENO);
	close(err);
	close(ends[1]);
	CHECK_EQ(rc, *expected ? -1 : 0);
	CHECK(read(ends[0], printed, sizeof printed - 1) >= 0);
	close(ends[0]);
	CHECK(strncmp(printed, expected, strlen(expected)) == 0);
	CHECK_EQ(strlen(printed) > 0, *expected != '\0');
	CHECK(!*expected || strchr(printed, '\n') == printed + strlen(printed) - 1);
}

static void test_qdisc_check_prints_name_seed_and_rule(void)
{
	const struct bp_qdisc_ops nameless = { 0 };

	check_printed(&plain, "");
	fault = LOSES_AN_ITEM;
	check_printed(&plain, "bp_qdisc_check: plain: seed 7: take returned NULL while");
	check_printed(&nameless, "bp_qdisc_check: (no name): seed 7: it has no name\n");
}

static void test_qdisc_check_needs_no_config(void)
{
	struct bp_endpoint_config wrong = { .budget = 1 * MIB, .guarantee = 1 * MIB };

	CHECK_EQ(bp_qdisc_check(&bp_qdisc_fair, NULL, 1, 20000), 0);
	CHECK_EQ(bp_qdisc_check(&bp_qdisc_prio, NULL, 1, 20000), 0);
	CHECK_EQ(bp_qdisc_check(&smallest_first, NULL, 1, 20000), 0);
	CHECK_EQ(bp_qdisc_check(&bp_qdisc_bytes, &wrong, 1, 20000), -1);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_drill_finds_nothing_in_ours),
		TEST(test_drill_finds_nothing_in_the_example),
		TEST(test_drill_finds_nothing_in_one_without_a_fault),
		TEST(test_drill_sees_who_is_not_let_through),
		TEST(test_drill_sees_who_should_not_be_let_through),
		TEST(test_drill_sees_what_is_lost_in_the_order),
		TEST(test_drill_sees_what_should_not_be_taken),
		TEST(test_drill_sees_who_starves),
		TEST(test_drill_sees_what_is_not_the_disciplines_to_change),
		TEST(test_drill_refuses_half_a_discipline),
		TEST(test_qdisc_check_prints_name_seed_and_rule),
		TEST(test_qdisc_check_needs_no_config),
	};

	return run_suite("drill", tests, COUNT_OF(tests), argc, argv);
}
