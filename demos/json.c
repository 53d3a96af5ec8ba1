/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.c - see json.h. One pass over the text; what has been opened and not closed is
 * a stack of fixed height, so that no text can exhaust the thread's.
 */
#define _POSIX_C_SOURCE 200809L

#include "json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 18446744073709551616.0	/* 2^64 */

enum want {			/* what must come next */
	VALUE, VALUE_OR_END,	/* behind "[" it may be over */
	NAME, NAME_OR_END, COLON,
	COMMA_OR_END,
};

struct reader {
	struct json *json;
	const char *p, *end;
	uint32_t open[JSON_DEPTH_MAX];
	int depth;
	enum want want;
};

/* ---- values ---------------------------------------------------------------- */

static int add(struct reader *r, enum json_kind kind, const char *at, size_t len)
{
	struct json *json = r->json;
	struct json_value *values;

	if (json->n == json->max) {
		if (json->max >= JSON_VALUES_MAX)
			return -E2BIG;
		json->max = json->max ? 2 * json->max : 256;
		if (json->max > JSON_VALUES_MAX)
			json->max = JSON_VALUES_MAX;
		values = realloc(json->values, json->max * sizeof *values);
		if (!values)
			return -ENOMEM;
		json->values = values;
	}
	json->values[json->n] = (struct json_value){ kind, json->n + 1,
	    (uint32_t)(at - json->text), (uint32_t)len };
	json->n++;
	return 0;
}

static int read_string(struct reader *r)
{
	const char *begin = ++r->p;
	uint32_t c;
	size_t n;

	while (r->p < r->end && *r->p != '"') {
		n = json_character(r->p, r->end, &c);
		if (n == 0)
			return -EPROTO;
		r->p += n;
	}
	if (r->p == r->end)
		return -EPROTO;
	return add(r, JSON_STRING, begin, (size_t)(r->p++ - begin));
}

static size_t digits(struct reader *r)
{
	const char *begin = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - begin);
}

static bool take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static int read_number(struct reader *r)
{
	const char *begin = r->p;

	take(r, '-');
	if (!take(r, '0') && digits(r) == 0)
		return -EPROTO;
	if (take(r, '.') && digits(r) == 0)
		return -EPROTO;
	if (take(r, 'e') || take(r, 'E')) {
		if (!take(r, '+'))
			take(r, '-');
		if (digits(r) == 0)
			return -EPROTO;
	}
	return add(r, JSON_NUMBER, begin, (size_t)(r->p - begin));
}

static int read_word(struct reader *r)
{
	static const char *const words[] = { "null", "false", "true" };
	size_t len;

	for (int i = 0; i < 3; i++) {
		len = strlen(words[i]);
		if ((size_t)(r->end - r->p) >= len && memcmp(r->p, words[i], len) == 0) {
			r->p += len;
			return add(r, (enum json_kind)(JSON_NULL + i), r->p - len, len);
		}
	}
	return -EPROTO;
}

/* ---- what is in one another ------------------------------------------------ */

static int begin(struct reader *r, enum json_kind kind)
{
	if (r->depth == JSON_DEPTH_MAX)
		return -E2BIG;
	r->open[r->depth++] = r->json->n;
	r->want = kind == JSON_ARRAY ? VALUE_OR_END : NAME_OR_END;
	r->p++;
	return add(r, kind, r->p - 1, 1);
}

static int finish(struct reader *r, enum json_kind kind)
{
	struct json_value *value;

	if (r->depth == 0 || r->json->values[r->open[r->depth - 1]].kind != kind)
		return -EPROTO;
	value = &r->json->values[r->open[--r->depth]];
	r->p++;
	value->next = r->json->n;
	value->len = (uint32_t)(r->p - r->json->text) - value->at;
	r->want = COMMA_OR_END;
	return 0;
}

static int read_value(struct reader *r)
{
	int rc;

	if (*r->p == '[')
		return begin(r, JSON_ARRAY);
	if (*r->p == '{')
		return begin(r, JSON_OBJECT);
	rc = *r->p == '"' ? read_string(r)
	    : *r->p == '-' || (*r->p >= '0' && *r->p <= '9') ? read_number(r)
	    : read_word(r);
	r->want = COMMA_OR_END;
	return rc;
}

static int comma(struct reader *r)
{
	bool object = r->json->values[r->open[r->depth - 1]].kind == JSON_OBJECT;

	r->want = object ? NAME : VALUE;
	r->p++;
	return 0;
}

static int colon(struct reader *r)
{
	r->want = VALUE;
	r->p++;
	return 0;
}

static int name(struct reader *r)
{
	r->want = COLON;
	return read_string(r);
}

/* One token, which begins with *r->p. */
static int step(struct reader *r)
{
	bool may_end = r->want == VALUE_OR_END || r->want == NAME_OR_END
	    || r->want == COMMA_OR_END;
	char c = *r->p;

	if (may_end && c == ']')
		return finish(r, JSON_ARRAY);
	if (may_end && c == '}')
		return finish(r, JSON_OBJECT);
	switch (r->want) {
	case COMMA_OR_END:
		return c == ',' ? comma(r) : -EPROTO;
	case COLON:
		return c == ':' ? colon(r) : -EPROTO;
	case NAME:
	case NAME_OR_END:
		return c == '"' ? name(r) : -EPROTO;
	default:
		return read_value(r);
	}
}

static void skip_space(struct reader *r)
{
	while (r->p < r->end && *r->p && strchr(" \t\r\n", *r->p))
		r->p++;
}

int json_read(struct json *ret_json, const char *text, size_t len)
{
	struct reader r = { .json = ret_json, .p = text, .end = text + len };
	int rc;

	*ret_json = (struct json){ .text = text };
	if (len >= UINT32_MAX)
		return -E2BIG;
	do {
		skip_space(&r);
		rc = r.p < r.end ? step(&r) : -EPROTO;
	} while (rc == 0 && r.depth > 0);
	skip_space(&r);
	return rc < 0 ? rc : r.p < r.end ? -EPROTO : 0;
}

void json_free(struct json *json)
{
	free(json->values);
	*json = (struct json){ 0 };
}

/* ---- asking ---------------------------------------------------------------- */

static const struct json_value *value_at(const struct json *json, uint32_t i,
    enum json_kind kind)
{
	return i < json->n && json->values[i].kind == kind ? &json->values[i] : NULL;
}

uint32_t json_first(const struct json *json, uint32_t array)
{
	if (array >= json->n || json->values[array].kind < JSON_ARRAY
	    || json->values[array].next == array + 1)
		return JSON_NONE;
	return array + 1;
}

uint32_t json_next(const struct json *json, uint32_t array, uint32_t value)
{
	if (array >= json->n || value >= json->n
	    || json->values[value].next >= json->values[array].next)
		return JSON_NONE;
	return json->values[value].next;
}

uint32_t json_count(const struct json *json, uint32_t array)
{
	uint32_t n = 0;

	for (uint32_t i = json_first(json, array); i != JSON_NONE;
	    i = json_next(json, array, i))
		n++;
	return n;
}

uint32_t json_member(const struct json *json, uint32_t object, const char *name)
{
	uint32_t i = value_at(json, object, JSON_OBJECT) ? json_first(json, object)
	    : JSON_NONE;
	size_t len = strlen(name);

	while (i != JSON_NONE) {
		if (json->values[i].len == len
		    && memcmp(json->text + json->values[i].at, name, len) == 0)
			return i + 1;
		i = json_next(json, object, i + 1);
	}
	return JSON_NONE;
}

double json_double(const struct json *json, uint32_t value, double otherwise)
{
	const struct json_value *v = value_at(json, value, JSON_NUMBER);
	char text[64];
	double number;

	if (!v || v->len >= sizeof text)
		return otherwise;
	memcpy(text, json->text + v->at, v->len);
	text[v->len] = '\0';
	number = strtod(text, NULL);
	return number <= NUMBER_MAX && number >= -NUMBER_MAX ? number : otherwise;
}

bool json_true(const struct json *json, uint32_t value)
{
	return value_at(json, value, JSON_TRUE) != NULL;
}
