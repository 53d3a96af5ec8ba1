/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_monitor_text.c - the monitor's parts that need no socket: text and JSON,
 * what a client accepts, whose time is over.
 */
#include "config.h"

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept.h"
#include "guests.h"
#include "text.h"

/* ---- text ---------------------------------------------------------------- */

static bool is_text(struct bpm_text *text, const char *expected)
{
	bool same = text->len == strlen(expected)
	    && memcmp(text->data, expected, text->len) == 0;

	if (!same)
		fprintf(stderr, "# %.*s is not %s\n", (int)text->len, text->data,
		    expected);
	bpm_text_free(text);
	return same;
}

static void test_seconds_are_exact(void)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0" }, { 1, "0.000000001" }, { 1500000000, "1.5" },
		{ 1000000000, "1" }, { 1024, "0.000001024" },
		{ UINT64_MAX, "18446744073.709551615" },
	};
	struct bpm_text text = { 0 };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bpm_text_seconds(&text, cases[i].ns);
		CHECK(is_text(&text, cases[i].text));
	}
	bpm_text_number(&text, UINT64_MAX);
	CHECK(is_text(&text, "18446744073709551615"));
}

static void test_json_puts_commas_where_they_belong(void)
{
	struct bpm_text text = { 0 };

	bpm_json_open(&text, '{');
	bpm_json_member(&text, "a", 1);
	bpm_json_key(&text, "b");
	bpm_json_open(&text, '[');
	bpm_json_null(&text);
	bpm_json_bool(&text, true);
	bpm_json_open(&text, '{');
	bpm_json_close(&text, '}');
	bpm_json_string(&text, "");
	bpm_json_close(&text, ']');
	bpm_json_key(&text, "c");
	bpm_json_limit(&text, SIZE_MAX);
	bpm_json_key(&text, "d");
	bpm_json_limit(&text, 5);
	bpm_json_key(&text, "e");
	bpm_json_seconds(&text, 2500000000);
	bpm_json_close(&text, '}');
	CHECK(is_text(&text, "{\"a\":1,\"b\":[null,true,{},\"\"],\"c\":null,\"d\":5,"
	    "\"e\":2.5}"));
}

/* After a string that ends like an opening bracket a comma is wanted all the same. */
static void test_json_is_not_misled_by_what_a_string_ends_with(void)
{
	struct bpm_text text = { 0 };

	bpm_json_open(&text, '[');
	bpm_json_string(&text, "[");
	bpm_json_string(&text, ":");
	bpm_json_close(&text, ']');
	CHECK(is_text(&text, "[\"[\",\":\"]"));
}

static void test_json_escapes_whatever_a_string_holds(void)
{
	static const struct {
		const char *string, *json;
	} cases[] = {
		{ "unix:/tmp/a b", "\"unix:/tmp/a b\"" },
		{ "\"\\", "\"\\u0022\\u005c\"" },
		{ "<script>&'", "\"\\u003cscript\\u003e\\u0026'\"" },
		{ "\n\t\x01\x7f", "\"\\u000a\\u0009\\u0001\\u007f\"" },
		{ "\xc3\xa4", "\"\\u00e4\"" },
		{ "\xe2\x80\xa8", "\"\\u2028\"" },
		{ "\xf0\x9f\x98\x80", "\"\\ud83d\\ude00\"" },
		{ "\xff", "\"\\ufffd\"" },
		{ "\x80x", "\"\\ufffdx\"" },
		{ "\xc3", "\"\\ufffd\"" },			/* cut short */
		{ "\xe2\x80", "\"\\ufffd\\ufffd\"" },
		{ "\xc3(", "\"\\ufffd(\"" },
		{ "\xc0\xaf", "\"\\ufffd\\ufffd\"" },		/* too long for a / */
		{ "\xe0\x80\xaf", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },	/* a surrogate */
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf8\x88\x80\x80\x80",
		  "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	};
	struct bpm_text text = { 0 };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		bpm_json_string(&text, cases[i].string);
		CHECK(is_text(&text, cases[i].json));
	}
}

/* ---- what a client accepts ----------------------------------------------- */

static void test_the_type_that_is_wanted_most_is_given(void)
{
	static const char *const offers[] = { "text/html", "application/json" };
	static const struct {
		const char *accept;
		int best;
	} cases[] = {
		{ NULL, 0 }, { "", 0 }, { "*/*", 0 }, { "image/png", 0 },
		{ "application/json", 1 }, { "Application/JSON", 1 },
		{ "application/*", 1 },
		{ "application/json, */*", 1 },
		{ "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 0 },
		{ "application/json;q=0.5, text/html", 0 },
		{ "application/json;q=0.5, text/html;q=0.4", 1 },
		{ "application/json;charset=utf-8; q=0.5 ,text/html ;q=0.49", 1 },
		{ "application/json, text/html", 1 },
		{ "text/html, application/json", 0 },
		{ "text/html;q=0, */*", 1 },
		{ "text/*, application/json", 1 },
		{ "application/json;q=0", 0 },
		{ "application/jsonx", 0 }, { "application", 0 }, { ",;,", 0 },
		{ "application/json;q=", 1 }, { "text/html;q=0.001,*/*;q=0.002", 1 },
	};

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (!CHECK_EQ(bpm_accept_best(cases[i].accept, offers, 2),
		    cases[i].best))
			fprintf(stderr, "# Accept: %s\n", cases[i].accept);
}

static void test_gzip_is_for_who_says_so(void)
{
	CHECK(bpm_accept_gzip("gzip"));
	CHECK(bpm_accept_gzip("deflate, GZIP;q=0.5, br"));
	CHECK(bpm_accept_gzip("*"));
	CHECK(!bpm_accept_gzip(NULL));
	CHECK(!bpm_accept_gzip(""));
	CHECK(!bpm_accept_gzip("identity"));
	CHECK(!bpm_accept_gzip("gzip;q=0"));
	CHECK(!bpm_accept_gzip("gzip;q=0.000, *"));
	CHECK(!bpm_accept_gzip("xgzip, gzipx"));
}

/* ---- guests -------------------------------------------------------------- */

#define S UINT64_C(1000000000)

struct pair {
	int ours, theirs;
};

static struct pair come(struct bpm_guests *guests, uint64_t now_ns,
    struct bpm_guest **ret_guest)
{
	struct pair pair;
	int fds[2];

	REQUIRE_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	pair = (struct pair){ fds[0], fds[1] };
	*ret_guest = bpm_guests_add(guests, pair.ours, now_ns);
	return pair;
}

static bool was_cut(const struct pair *pair)
{
	char byte;

	return read(pair->theirs, &byte, 1) == 0;
}

static void leave(const struct pair *pair)
{
	close(pair->ours);
	close(pair->theirs);
}

static void test_a_guest_has_ten_seconds_whatever_it_sends(void)
{
	struct bpm_guest *first, *second;
	struct bpm_guests guests;
	struct pair a, b;

	bpm_guests_init(&guests);
	CHECK(bpm_guests_cut_late(&guests, 1 * S) == UINT64_MAX);
	a = come(&guests, 1 * S, &first);
	b = come(&guests, 5 * S, &second);
	CHECK(bpm_guests_cut_late(&guests, 10 * S) == 11 * S);
	CHECK(!was_cut(&a));
	CHECK(bpm_guests_cut_late(&guests, 11 * S) == 15 * S);
	CHECK(was_cut(&a));
	CHECK(bpm_guests_leaving(&guests));
	CHECK(!was_cut(&b));

	bpm_guests_remove(first);
	CHECK(!bpm_guests_leaving(&guests));
	second->since_ns = 14 * S;		/* answered */
	CHECK(bpm_guests_cut_late(&guests, 15 * S) == 24 * S);
	CHECK(!was_cut(&b));
	CHECK(bpm_guests_cut_late(&guests, 25 * S) == UINT64_MAX);
	CHECK(was_cut(&b));
	leave(&a);
	leave(&b);
}

static void test_of_a_full_house_the_longest_idle_goes(void)
{
	struct bpm_guest *guest[BPM_GUESTS_MAX + 1];
	struct pair pairs[BPM_GUESTS_MAX + 1];
	struct bpm_guests guests;

	bpm_guests_init(&guests);
	for (int i = 0; i < BPM_GUESTS_MAX; i++) {
		CHECK(!bpm_guests_full(&guests));
		pairs[i] = come(&guests, (uint64_t)(i + 1), &guest[i]);
	}
	CHECK(bpm_guests_full(&guests));
	pairs[BPM_GUESTS_MAX] = come(&guests, 50, &guest[BPM_GUESTS_MAX]);
	CHECK(guest[BPM_GUESTS_MAX] == NULL);

	guest[0]->since_ns = 100;		/* answered just now */
	bpm_guests_cut_oldest(&guests);
	bpm_guests_cut_oldest(&guests);
	CHECK(!was_cut(&pairs[0]));
	CHECK(was_cut(&pairs[1]));
	CHECK(was_cut(&pairs[2]));
	CHECK(!was_cut(&pairs[3]));
	bpm_guests_remove(guest[1]);
	CHECK(!bpm_guests_full(&guests));
	for (int i = 0; i <= BPM_GUESTS_MAX; i++)
		leave(&pairs[i]);
}

/* ---- */

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_seconds_are_exact),
		TEST(test_json_puts_commas_where_they_belong),
		TEST(test_json_is_not_misled_by_what_a_string_ends_with),
		TEST(test_json_escapes_whatever_a_string_holds),
		TEST(test_the_type_that_is_wanted_most_is_given),
		TEST(test_gzip_is_for_who_says_so),
		TEST(test_a_guest_has_ten_seconds_whatever_it_sends),
		TEST(test_of_a_full_house_the_longest_idle_goes),
	};

	return run_suite("monitor_text", tests, COUNT_OF(tests), argc, argv);
}
