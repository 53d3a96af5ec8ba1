/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netstring.c - a framer as an application would write it (see netstring.h).
 *
 * The digits are looked at once: *scanned keeps how many of them there were.
 */
#include "config.h"

#include "netstring.h"

#include <stdio.h>

enum { DIGITS_MAX = 5 };

static int cut(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	const char *text = bytes;
	size_t i, len = 0;

	while (*scanned < have && text[*scanned] >= '0' && text[*scanned] <= '9')
		if (++*scanned > DIGITS_MAX)
			return -EPROTO;
	if (*scanned == have)
		return 0;
	if (*scanned == 0 || text[*scanned] != ':')
		return -EPROTO;
	for (i = 0; i < *scanned; i++)
		len = len * 10 + (size_t)(text[i] - '0');
	*ret_head = *scanned + 1;
	*ret_len = len;
	*ret_tail = 1;
	return 1;
}

static size_t head(void *out, size_t len)
{
	char text[DIGITS_MAX + 2];
	size_t i, n = (size_t)snprintf(text, sizeof text, "%zu:", len);

	for (i = 0; i < n; i++)
		((char *)out)[i] = text[i];
	return n;
}

static size_t tail(void *out, size_t len)
{
	(void)len;
	*(char *)out = ',';
	return 1;
}

const struct bp_framer_ops netstring = {
	.name = "netstring", .cut = cut, .head = head, .tail = tail,
	.head_max = DIGITS_MAX + 1, .tail_max = 1, .len_max = 99999,
};
