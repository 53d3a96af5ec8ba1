/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_json.c - what demos/abuse top reads of a server it does not trust: json.c takes
 * what RFC 8259 calls JSON and nothing else, in bounded memory, and shows no character
 * that a terminal would obey.
 */
#include "config.h"

#include "../demos/json.h"
#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct json json;

static int try_text(const char *text)
{
	size_t len = strlen(text);
	char *exact = malloc(len ? len : 1);	/* a sanitizer sees who looks past it */
	int rc;

	REQUIRE(exact != NULL);
	memcpy(exact, text, len);
	rc = json_read(&json, exact, len);
	json_free(&json);
	free(exact);
	return rc;
}

static void take(const char *text)
{
	REQUIRE_EQ(json_read(&json, text, strlen(text)), 0);
}

static double number(const char *name)
{
	return json_double(&json, json_member(&json, 0, name), -1);
}

static void test_json_takes_what_is_json(void)
{
	static const char *const good[] = {
		"0", "-0", "-1.5e+3", "1E5", "10.25", "\"\"", "true", "false", "null",
		" [ ] ", "{}", "\t\n\r[1,2 , 3]", "{\"a\":{\"b\":[{},[],null]}}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
		"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"", "{\"\":1,\"\":2}",
	};

	for (size_t i = 0; i < COUNT_OF(good); i++)
		if (!CHECK_EQ(try_text(good[i]), 0))
			printf("# %s\n", good[i]);
}

static void test_json_refuses_what_is_not(void)
{
	static const char *const bad[] = {
		"", " ", "[", "]", "{", "}", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}",
		"{\"a\":1,}", "{a:1}", "{1:2}", "[1}", "{\"a\":1]", "01", "-", "+1", ".5",
		"1.", "1e", "1e+", "0x1", "NaN", "Infinity", "nul", "nulls", "True", "'a'",
		"\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
		"\"\\ud83d\"", "\"\\ud83dx\"", "\"\\ud83d\\u0041\"", "\"\\ude00\"",
		"\"a\nb\"", "\"\x1b\"", "\"\x80\"", "\"\xc3\"", "\"\xc0\x80\"",
		"\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
		"\"\xff\"", "1 1", "{} {}", "[] ,", "\xef\xbb\xbf{}", "[1]x", "\"a\"\"b\"",
		"{\"a\":1 \"b\":2}", "{\"a\" \"b\"}", "[\"a\":1]", "/**/1",
	};

	for (size_t i = 0; i < COUNT_OF(bad); i++)
		if (!CHECK_EQ(try_text(bad[i]), -EPROTO))
			printf("# %s\n", bad[i]);
	REQUIRE_EQ(json_read(&json, "1\0", 2), -EPROTO);
	json_free(&json);
	REQUIRE_EQ(json_read(&json, "\"\\\0\"", 4), -EPROTO);
	json_free(&json);
}

/* Every text that is cut off is refused, and looked at no further than it goes. */
static void test_json_refuses_every_beginning_of_a_text(void)
{
	static const char text[] =
	    "{\"a\":[1,-2.5e3,\"\\u00e9\\ud83d\\ude00\xf0\x9f\x98\x80\",true,null]}";
	char cut[sizeof text];

	for (size_t len = 0; len < sizeof text - 1; len++) {
		snprintf(cut, sizeof cut, "%.*s", (int)len, text);
		CHECK_EQ(try_text(cut), -EPROTO);
	}
	CHECK_EQ(try_text(text), 0);
}

static void test_json_bounds_depth_and_number_of_values(void)
{
	char *text = malloc(2 * JSON_VALUES_MAX + 16);
	size_t n = 0;

	REQUIRE(text != NULL);
	snprintf(text, 64, "%.*s%.*s", JSON_DEPTH_MAX, "[[[[[[[[[[[[[[[[[[[[",
	    JSON_DEPTH_MAX, "]]]]]]]]]]]]]]]]]]]]");
	CHECK_EQ(try_text(text), 0);
	memset(text, '[', 2 * JSON_VALUES_MAX);
	text[2 * JSON_VALUES_MAX] = '\0';
	CHECK_EQ(try_text(text), -E2BIG);

	text[n++] = '[';
	while (n < 2 * (JSON_VALUES_MAX - 1)) {
		text[n++] = '1';
		text[n++] = ',';
	}
	text[n - 1] = ']';
	text[n] = '\0';
	CHECK_EQ(try_text(text), 0);
	snprintf(text + n - 1, 8, ",1,1]");
	CHECK_EQ(try_text(text), -E2BIG);
	free(text);
}

static void test_json_finds_what_is_asked_for(void)
{
	uint32_t list, value;

	take("{\"a\":{\"x\":7},\"list\":[1,[2,3],{\"x\":9},4],\"b\":true,\"x\":5,\"x\":6,"
	    "\"big\":1e999,\"huge\":1e20,\"neg\":-2.5}");
	CHECK_EQ(number("x"), 5);			/* of this object, the first */
	CHECK(number("neg") == -2.5);
	CHECK_EQ(number("big"), -1);
	CHECK_EQ(number("huge"), -1);			/* no counter holds it */
	CHECK_EQ(number("b"), -1);
	CHECK_EQ(number("none"), -1);
	CHECK(json_true(&json, json_member(&json, 0, "b")));
	CHECK(!json_true(&json, json_member(&json, 0, "x")));
	CHECK(json_double(&json, json_member(&json, json_member(&json, 0, "a"), "x"), -1)
	    == 7);
	list = json_member(&json, 0, "list");
	CHECK_EQ(json_count(&json, list), 4);
	value = json_first(&json, list);
	value = json_next(&json, list, value);
	CHECK_EQ(json_count(&json, value), 2);
	value = json_next(&json, list, value);
	value = json_next(&json, list, value);
	CHECK(json_double(&json, value, -1) == 4);
	CHECK_EQ(json_next(&json, list, value), JSON_NONE);
	json_free(&json);
}

static void test_json_asks_nothing_of_what_is_not_there(void)
{
	char text[8] = "before";

	take("[]");
	CHECK_EQ(json_first(&json, 0), JSON_NONE);
	CHECK_EQ(json_first(&json, JSON_NONE), JSON_NONE);
	CHECK_EQ(json_next(&json, JSON_NONE, 0), JSON_NONE);
	CHECK_EQ(json_next(&json, 0, JSON_NONE), JSON_NONE);
	CHECK_EQ(json_member(&json, 0, "a"), JSON_NONE);
	CHECK_EQ(json_member(&json, JSON_NONE, "a"), JSON_NONE);
	CHECK_EQ(json_count(&json, JSON_NONE), 0);
	CHECK(isnan(json_double(&json, JSON_NONE, NAN)));
	CHECK(!json_true(&json, JSON_NONE));
	json_copy(&json, JSON_NONE, text, sizeof text);
	CHECK_STR(text, "");
	json_free(&json);
	CHECK_EQ(json_member(&json, 0, "a"), JSON_NONE);	/* freed: nothing is */
}

static void check_copy(const char *text, size_t size, const char *expected)
{
	char out[64];

	take(text);
	json_copy(&json, 0, out, size);
	CHECK_STR(out, expected);
	json_free(&json);
}

static void test_json_copies_nothing_a_terminal_would_obey(void)
{
	check_copy("\"plain ~\"", 64, "plain ~");
	check_copy("\"a\\u001b[31m\\nb\\u0007\\u0000c\"", 64, "a?[31m?b??c");
	check_copy("\"\xc2\x9b" "31m \\u009b \x7f\"", 64, "?31m ? ?");
	check_copy("\"\xe2\x80\xae\xf0\x9f\x98\x80\\ud83d\\ude00\xc3\xa9\"", 64, "????");
	check_copy("\"too long\"", 5, "too ");
	check_copy("7", 5, "");
}

static void check_write(const char *text, const char *expected)
{
	char *out;
	size_t len;
	FILE *file = open_memstream(&out, &len);

	REQUIRE(file != NULL);
	take(text);
	json_write(&json, 0, file);
	fclose(file);
	CHECK_STR(out, expected);
	json_free(&json);
	CHECK_EQ(try_text(out), 0);
	free(out);
}

static void test_json_writes_a_value_on_one_line_in_ascii(void)
{
	check_write("{ \"a b\" :\n[ 1, true,\t\"\" ] }", "{\"a b\":[1,true,\"\"]}");
	check_write("[\"\\\" ]\\\\\",\"\\n\\u001b\xc2\x9b\xc3\xa9\"]",
	    "[\"\\\" ]\\\\\",\"\\u000a\\u001b\\u009b\\u00e9\"]");
	check_write("\"\xf0\x9f\x98\x80\\ud83d\\ude00\x7f\"",
	    "\"\\ud83d\\ude00\\ud83d\\ude00\\u007f\"");
	check_write("-1.50e3", "-1.50e3");
}

/* Whatever it is, it is taken or refused; a sanitizer would tell of more. */
static void test_json_survives_what_is_damaged(void)
{
	static const char text[] =
	    "{\"a\":[1,2.5,\"x\\u00e9\\n\",{\"b\":[true,false,null]}],\"c\":\"\xc3\xa9\"}";
	char damaged[sizeof text];
	unsigned seed = 1;
	int taken = 0;

	for (int i = 0; i < 20000; i++) {
		memcpy(damaged, text, sizeof text);
		for (int k = 0; k <= i % 3; k++)
			damaged[(unsigned)rand_r(&seed) % (sizeof text - 1)] =
			    i % 2 ? (char)(1 + rand_r(&seed) % 255)
			    : "{}[]\",:\\u0e1"[rand_r(&seed) % 12];
		taken += try_text(damaged) == 0;
	}
	CHECK(taken > 0 && taken < 20000);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_json_takes_what_is_json),
		TEST(test_json_refuses_what_is_not),
		TEST(test_json_refuses_every_beginning_of_a_text),
		TEST(test_json_bounds_depth_and_number_of_values),
		TEST(test_json_finds_what_is_asked_for),
		TEST(test_json_asks_nothing_of_what_is_not_there),
		TEST(test_json_copies_nothing_a_terminal_would_obey),
		TEST(test_json_writes_a_value_on_one_line_in_ascii),
		TEST(test_json_survives_what_is_damaged),
	};

	return run_suite("json", tests, COUNT_OF(tests), argc, argv);
}
