/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_text.c - numbers as people read them, and back from the lines that the
 * server and the client write for compare. Memory is told in powers of 1024,
 * traffic in powers of 1000.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct text scaled(double value, double step, const char *const *units, int n)
{
	double size = value < 0 ? -value : value;
	int unit = 0, digits;
	struct text text;

	/* 999.95 would be rounded up to the next unit's 1000.0 */
	while (unit < n - 1 && size >= step - 0.05) {
		size /= step;
		value /= step;
		unit++;
	}
	digits = size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2;
	if (size <= 1e6 && size == (double)(long)size)
		digits = 0;
	if (unit == 0) {
		digits = 0;
		value = size < 0.5 ? 0 : value;		/* not "-0" */
	}
	snprintf(text.s, sizeof text.s, "%.*f %s", digits, value, units[unit]);
	return text;
}

struct text text_memory(double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB" };

	return scaled(bytes, 1024, units, 4);
}

struct text text_traffic(double bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };

	return scaled(bytes, 1000, units, 5);
}

struct text text_rate(double bytes, double ns)
{
	struct text text;

	snprintf(text.s, sizeof text.s, "%.1f MB/s", ns > 0 ? bytes * 1e3 / ns : 0);
	return text;
}

struct text text_ns(double ns)
{
	struct text text;

	if (ns < 1e6)
		snprintf(text.s, sizeof text.s, "%.0f us", ns / 1e3);
	else if (ns < 1e9)
		snprintf(text.s, sizeof text.s, "%.0f ms", ns / 1e6);
	else
		snprintf(text.s, sizeof text.s, "%.2f s", ns / 1e9);
	return text;
}

/* ---- lines -------------------------------------------------------------------- */

bool on_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

void line_print(const char *line, bool commit)
{
	if (on_terminal())
		printf("\r%s\033[K%s", line, commit ? "\n" : "");
	else if (commit)
		puts(line);
	fflush(stdout);
}

/* ---- JSON ----------------------------------------------------------------------- */

static const char *value_of(const char *line, const char *key)
{
	char quoted[48];
	const char *found;

	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	found = strstr(line, quoted);
	return found ? found + strlen(quoted) : NULL;
}

double json_number(const char *line, const char *key)
{
	const char *value = value_of(line, key);

	return value ? strtod(value, NULL) : 0;
}

struct text json_word(const char *line, const char *key)
{
	const char *value = value_of(line, key);
	struct text word = { "" };

	if (value && *value == '"')
		snprintf(word.s, sizeof word.s, "%.*s", (int)strcspn(value + 1, "\""),
		    value + 1);
	return word;
}

void json_quoted(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n + 3 <= size; text++) {
		if (*text == '"' || *text == '\\')
			out[n++] = '\\';
		out[n++] = *text;
	}
	out[n] = '\0';
}
