/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_keys.c - where the keys of peers and hosts fall: those are the peers' own choice,
 * and who is in a long list is looked for under the lock.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"

#include "locked.h"

#include <stdlib.h>

/* The most of n keys, step apart, that fall together. */
static size_t most_together(struct bp__table *table, struct bp__key key, unsigned n,
    struct bp__key step)
{
	size_t *fallen = calloc(table->mask + 1, sizeof *fallen), most = 0;

	REQUIRE(fallen != NULL);
	for (; n > 0; n--, key.low += step.low, key.high += step.high) {
		size_t i = (size_t)(bp__table_list(table, &key) - table->lists);

		if (++fallen[i] > most)
			most = fallen[i];
	}
	free(fallen);
	return most;
}

static void test_keys_that_fall_together_cannot_be_chosen(void)
{
	const struct bp__key start = { .kind = BP__KEY_HOST, .low = 5, .high = 7 };
	struct bp__table table;

	REQUIRE_EQ(bp__table_init(&table, 1024), 0);
	for (unsigned shift = 0; shift < 64; shift++) {
		const uint64_t step = (uint64_t)1 << shift;

		/* of 1024 in 1024 lists, thrown at random, some 6 */
		CHECK_LE(most_together(&table, start, 1024,
		    (struct bp__key){ .high = step }), shift > 54 ? 1024 : 16);
		CHECK_LE(most_together(&table, start, 256,
		    (struct bp__key){ .low = step }), shift > 56 ? 256 : 12);
		CHECK_LE(most_together(&table, start, 1024,
		    (struct bp__key){ .low = 31 * step, .high = 0 - step }),
		    shift > 54 ? 1024 : 16);
	}
	bp__table_fini(&table);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_keys_that_fall_together_cannot_be_chosen),
	};

	return run_suite("keys", tests, COUNT_OF(tests), argc, argv);
}
