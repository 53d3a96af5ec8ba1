/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - read a JSON text that somebody else has written: strictly as RFC 8259
 * has it, in bounded memory and without recursion, whatever it is.
 *
 * A text is read whole into a flat list of values, each behind the one that contains
 * it; one is named by its place in that list, and JSON_NONE is one that is not there.
 * Every function takes JSON_NONE, so a path can be asked for and looked at once:
 *
 *	json_double(json, json_member(json, json_member(json, 0, "limits"), "x"), NAN)
 */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_NONE UINT32_MAX
#define JSON_DEPTH_MAX 16
#define JSON_VALUES_MAX 200000u

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY,
	JSON_OBJECT };

struct json_value {
	enum json_kind kind;
	uint32_t next;			/* the first behind all that is in it */
	uint32_t at, len;		/* in the text; a string's without its quotes */
};

struct json {
	const char *text;		/* borrowed */
	struct json_value *values;	/* [0] is the whole */
	uint32_t n, max;
};

/*
 * Returns 0, -EPROTO (it is no JSON), -E2BIG (too deep, or over a limit), -ENOMEM.
 * text must live as long as json is used. json_free() also after a failure.
 */
int json_read(struct json *ret_json, const char *text, size_t len);
void json_free(struct json *json);

/* The value of a member, the first of this name; names with escapes are not found. */
uint32_t json_member(const struct json *json, uint32_t object, const char *name);
/* The first of an array, and the next; JSON_NONE after the last. */
uint32_t json_first(const struct json *json, uint32_t array);
uint32_t json_next(const struct json *json, uint32_t array, uint32_t value);
uint32_t json_count(const struct json *json, uint32_t array);

/* otherwise: it is no number, or one beyond what a counter of 64 bits can hold. */
double json_double(const struct json *json, uint32_t value, double otherwise);
bool json_true(const struct json *json, uint32_t value);

/*
 * A string as text that may be shown on any terminal: what is not printable ASCII
 * becomes a '?', one for each character. Cut to size. "" for what is no string.
 */
void json_copy(const struct json *json, uint32_t value, char *out, size_t size);

/*
 * The character at p, escaped or not: how many bytes it takes, 0 if it is malformed or
 * may not be in a string.
 */
size_t json_character(const char *p, const char *end, uint32_t *ret);

/* The value on one line, in ASCII. */
void json_write(const struct json *json, uint32_t value, FILE *file);

#endif /* JSON_H */
