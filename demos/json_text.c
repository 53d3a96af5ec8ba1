/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json_text.c - the strings of a JSON text: their characters, and what may be shown
 * of them.
 */
#define _POSIX_C_SOURCE 200809L

#include "json.h"

#include <string.h>

/* ---- characters ------------------------------------------------------------ */

/*
 * Bytes of the UTF-8 character at p, and which it is; 0 when it is malformed, longer
 * than need be, a surrogate, or above U+10FFFF.
 */
static size_t character(const char *p, const char *end, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *b = (const unsigned char *)p;
	size_t len = *b < 0x80 ? 1 : *b < 0xc0 ? 0 : *b < 0xe0 ? 2 : *b < 0xf0 ? 3
	    : *b < 0xf8 ? 4 : 0;
	uint32_t c;

	if (len == 0 || (size_t)(end - p) < len)
		return 0;
	c = len == 1 ? *b : *b & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (b[i] & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return len;
}

static bool hex4(const char *p, const char *end, uint32_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	const char *found;

	*ret = 0;
	if (end - p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = p[i] >= 'A' && p[i] <= 'F' ? (char)(p[i] + 32) : p[i];

		if (!c || !(found = strchr(digits, c)))
			return false;
		*ret = *ret << 4 | (uint32_t)(found - digits);
	}
	return true;
}

/* Behind a backslash; a pair of surrogates is one character. */
static size_t escape(const char *p, const char *end, uint32_t *ret)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t low;

	if (p == end || !*p)
		return 0;
	if ((found = strchr(letters, *p))) {
		*ret = (uint32_t)meant[found - letters];
		return 1;
	}
	if (*p != 'u' || !hex4(p + 1, end, ret) || (*ret >= 0xdc00 && *ret < 0xe000))
		return 0;
	if (*ret < 0xd800 || *ret >= 0xe000)
		return 5;
	if (end - p < 11 || p[5] != '\\' || p[6] != 'u' || !hex4(p + 7, end, &low)
	    || low < 0xdc00 || low >= 0xe000)
		return 0;
	*ret = 0x10000 + ((*ret - 0xd800) << 10) + (low - 0xdc00);
	return 11;
}

size_t json_character(const char *p, const char *end, uint32_t *ret)
{
	size_t n;

	if (p == end || (unsigned char)*p < 0x20)
		return 0;
	if (*p != '\\')
		return character(p, end, ret);
	n = escape(p + 1, end, ret);
	return n ? n + 1 : 0;
}

/* ---- showing --------------------------------------------------------------- */

void json_copy(const struct json *json, uint32_t value, char *out, size_t size)
{
	const struct json_value *v = value < json->n
	    && json->values[value].kind == JSON_STRING ? &json->values[value] : NULL;
	const char *p = v ? json->text + v->at : NULL, *end = v ? p + v->len : NULL;
	size_t n = 0;
	uint32_t c;

	while (p < end && n + 1 < size) {
		p += json_character(p, end, &c);
		out[n++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	out[n] = '\0';
}

static void write_character(uint32_t c, FILE *file)
{
	if (c >= 0x10000)
		fprintf(file, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10),
		    0xdc00 + ((c - 0x10000) & 0x3ff));
	else if (c < 0x20 || c >= 0x7f)
		fprintf(file, "\\u%04x", c);
	else
		fprintf(file, c == '"' || c == '\\' ? "\\%c" : "%c", (int)c);
}

void json_write(const struct json *json, uint32_t value, FILE *file)
{
	const struct json_value *v = value < json->n ? &json->values[value] : NULL;
	const char *p = v ? json->text + v->at : NULL, *end = v ? p + v->len : NULL;
	bool inside = v && v->kind == JSON_STRING;
	uint32_t c;

	if (!v)
		fputs("null", file);
	if (inside)
		putc('"', file);
	while (p < end) {
		if (inside && *p != '"') {
			p += json_character(p, end, &c);
			write_character(c, file);
			continue;
		}
		if (!strchr(" \t\r\n", *p))
			putc(*p, file);
		inside ^= *p++ == '"';
	}
	if (v && v->kind == JSON_STRING)
		putc('"', file);
}
