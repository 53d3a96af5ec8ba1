/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_list.c - lists: order both ways, and links that are in none.
 */
#include "config.h"

#include "harness.h"

#include "list.h"

#define LINKS 6

static struct bp__list links[LINKS], head, other;

static void links_init(void)
{
	int i;

	bp__list_init(&head);
	bp__list_init(&other);
	for (i = 0; i < LINKS; i++)
		bp__list_init(&links[i]);
}

/* The members are those of the text, "210" say, and the way back is the same. */
static void check_members(struct bp__list *list, const char *text)
{
	size_t n = strlen(text), i;
	struct bp__list *link = list;

	for (i = 0; i < n; i++) {
		link = link->next;
		CHECK_EQ(link - links, text[i] - '0');
		CHECK(link->prev->next == link);
	}
	CHECK(link->next == list && list->prev == link);
	CHECK_EQ(bp__list_empty(list), n == 0);
}

static void test_list_members_stand_in_the_order_they_came(void)
{
	links_init();
	check_members(&head, "");
	bp__list_append(&head, &links[1]);
	bp__list_append(&head, &links[2]);
	bp__list_prepend(&head, &links[0]);
	check_members(&head, "012");
	bp__list_remove(&links[1]);
	check_members(&head, "02");
	CHECK(bp__list_shift(&head) == &links[0]);
	CHECK(bp__list_shift(&head) == &links[2]);
	CHECK(bp__list_shift(&head) == NULL);
	check_members(&head, "");
}

static void test_list_link_that_is_in_no_list_may_be_removed_again(void)
{
	links_init();
	bp__list_append(&head, &links[0]);
	bp__list_append(&head, &links[1]);
	CHECK(!bp__list_empty(&links[0]));
	bp__list_remove(&links[0]);
	CHECK(bp__list_empty(&links[0]));
	bp__list_remove(&links[0]);
	check_members(&head, "1");
	CHECK(bp__list_shift(&head) == &links[1]);
	CHECK(bp__list_empty(&links[1]));
}

static void test_list_splice_moves_all_at_every_split(void)
{
	static const char all[] = "012345";
	int split, i;

	for (split = 0; split <= LINKS; split++) {
		links_init();
		for (i = 0; i < LINKS; i++)
			bp__list_append(i < split ? &head : &other, &links[i]);
		bp__list_splice(&head, &other);
		check_members(&head, all);
		check_members(&other, "");
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_list_members_stand_in_the_order_they_came),
		TEST(test_list_link_that_is_in_no_list_may_be_removed_again),
		TEST(test_list_splice_moves_all_at_every_split),
	};

	return run_suite("list", tests, COUNT_OF(tests), argc, argv);
}
