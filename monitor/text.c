/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.c - see text.h. Whether a comma is wanted the last character tells: it
 * is not after an opening bracket or a colon.
 */
#include "config.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000u

void bpm_text_free(struct bpm_text *text)
{
	free(text->data);
	memset(text, 0, sizeof *text);
}

static bool make_room(struct bpm_text *text, size_t len)
{
	size_t size = text->size ? text->size : 1024;
	char *data;

	if (text->failed)
		return false;
	while (size - text->len < len)
		size *= 2;
	if (size == text->size)
		return true;
	data = realloc(text->data, size);
	if (!data) {
		bpm_text_free(text);
		text->failed = true;
		return false;
	}
	text->data = data;
	text->size = size;
	return true;
}

void bpm_text_add(struct bpm_text *text, const void *data, size_t len)
{
	if (len == 0 || !make_room(text, len))
		return;
	memcpy(text->data + text->len, data, len);
	text->len += len;
}

void bpm_text_string(struct bpm_text *text, const char *string)
{
	bpm_text_add(text, string, strlen(string));
}

/* A connection's row has twenty of them: printf() would take ten times as long. */
void bpm_text_number(struct bpm_text *text, uint64_t n)
{
	char digits[20];
	size_t at = sizeof digits;

	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	bpm_text_add(text, digits + at, sizeof digits - at);
}

void bpm_text_format(struct bpm_text *text, const char *format, ...)
{
	char line[256];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (len > 0)
		bpm_text_add(text, line,
		    (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

void bpm_text_seconds(struct bpm_text *text, uint64_t ns)
{
	char fraction[16];
	int len;

	bpm_text_number(text, ns / NS_PER_S);
	if (ns % NS_PER_S == 0)
		return;
	len = snprintf(fraction, sizeof fraction, ".%09u", (unsigned)(ns % NS_PER_S));
	while (fraction[len - 1] == '0')
		len--;
	bpm_text_add(text, fraction, (size_t)len);
}

/* ---- JSON ---------------------------------------------------------------- */

static void separate(struct bpm_text *text)
{
	if (text->len > 0 && !strchr("{[:", text->data[text->len - 1]))
		bpm_text_add(text, ",", 1);
}

void bpm_json_open(struct bpm_text *text, char bracket)
{
	separate(text);
	bpm_text_add(text, &bracket, 1);
}

void bpm_json_close(struct bpm_text *text, char bracket)
{
	bpm_text_add(text, &bracket, 1);
}

void bpm_json_key(struct bpm_text *text, const char *key)
{
	separate(text);
	bpm_text_add(text, "\"", 1);
	bpm_text_string(text, key);
	bpm_text_add(text, "\":", 2);
}

/*
 * The code point that s begins with, and of how many bytes it is; what is too
 * long, a surrogate, above U+10FFFF or cut short is U+FFFD, of one byte.
 */
static uint32_t decode(const unsigned char *s, size_t *ret_len)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2
	    : s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
	uint32_t point = len > 1 ? s[0] & (0x7fu >> len) : s[0];

	*ret_len = 1;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)	/* also the final 0 */
			return 0xfffd;
		point = point << 6 | (s[i] & 0x3f);
	}
	if (len == 0 || point < least[len] || point > 0x10ffff
	    || (point >= 0xd800 && point < 0xe000))
		return 0xfffd;
	*ret_len = len;
	return point;
}

static void escape(struct bpm_text *text, uint32_t point)
{
	if (point >= 0x10000) {
		point -= 0x10000;
		bpm_text_format(text, "\\u%04x", (unsigned)(0xd800 | point >> 10));
		point = 0xdc00 | (point & 0x3ff);
	}
	bpm_text_format(text, "\\u%04x", (unsigned)point);
}

static bool is_plain(uint32_t point)
{
	return point >= ' ' && point < 0x7f && !strchr("\"\\<>&", (int)point);
}

void bpm_json_string(struct bpm_text *text, const char *string)
{
	const unsigned char *s = (const unsigned char *)string;
	uint32_t point;
	size_t len;

	separate(text);
	bpm_text_add(text, "\"", 1);
	for (; *s; s += len) {
		point = decode(s, &len);
		if (is_plain(point))
			bpm_text_add(text, s, 1);
		else
			escape(text, point);
	}
	bpm_text_add(text, "\"", 1);
}

void bpm_json_number(struct bpm_text *text, uint64_t n)
{
	separate(text);
	bpm_text_number(text, n);
}

void bpm_json_seconds(struct bpm_text *text, uint64_t ns)
{
	separate(text);
	bpm_text_seconds(text, ns);
}

void bpm_json_bool(struct bpm_text *text, bool value)
{
	separate(text);
	bpm_text_string(text, value ? "true" : "false");
}

void bpm_json_null(struct bpm_text *text)
{
	separate(text);
	bpm_text_string(text, "null");
}

void bpm_json_limit(struct bpm_text *text, size_t n)
{
	if (n == SIZE_MAX)
		bpm_json_null(text);
	else
		bpm_json_number(text, n);
}

void bpm_json_member(struct bpm_text *text, const char *key, uint64_t n)
{
	bpm_json_key(text, key);
	bpm_json_number(text, n);
}
