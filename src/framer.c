/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * framer.c - the framers that ship: raw, line, u32be. Pure functions of the bytes
 * they are shown; how many there are to be had is the inbox's business.
 */
#include "config.h"

#include "framer.h"

#include <string.h>

/*
 * Whatever is there. That a connection may expect so many bytes is its own state,
 * which a framer has none of: inbox.c cuts those.
 */
static int raw_cut(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	(void)bytes, (void)scanned;
	*ret_head = *ret_tail = 0;
	*ret_len = have;
	return have > 0;
}

const struct bp_framer_ops bp_framer_raw = {
	.name = "raw", .cut = raw_cut, .len_max = BP_UNLIMITED,
};

static int line_cut(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	const char *begin = bytes, *end;

	end = have > *scanned
	    ? memchr(begin + *scanned, '\n', have - *scanned) : NULL;
	if (!end) {
		*scanned = have;
		return 0;
	}
	*ret_head = 0;
	*ret_len = (size_t)(end - begin);
	*ret_tail = 1;
	return 1;
}

static size_t line_tail(void *out, size_t len)
{
	(void)len;
	*(char *)out = '\n';
	return 1;
}

const struct bp_framer_ops bp_framer_line = {
	.name = "line", .cut = line_cut, .tail = line_tail, .tail_max = 1,
	.len_max = BP_UNLIMITED,
};

static int u32be_cut(const void *bytes, size_t have, size_t *scanned,
    size_t *ret_head, size_t *ret_len, size_t *ret_tail)
{
	const unsigned char *b = bytes;

	(void)scanned;
	if (have < 4)
		return 0;
	*ret_head = 4;
	*ret_len = (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
	*ret_tail = 0;
	return 1;
}

static size_t u32be_head(void *out, size_t len)
{
	unsigned char *b = out;

	b[0] = (unsigned char)(len >> 24);
	b[1] = (unsigned char)(len >> 16);
	b[2] = (unsigned char)(len >> 8);
	b[3] = (unsigned char)len;
	return 4;
}

const struct bp_framer_ops bp_framer_u32be = {
	.name = "u32be", .cut = u32be_cut, .head = u32be_head, .head_max = 4,
	.len_max = UINT32_MAX,
};

int bp__envelope_make(struct bp__envelope *env, const struct bp_framer_ops *framer,
    size_t len)
{
	if (len > framer->len_max)
		return -EMSGSIZE;
	env->head_len = framer->head ? framer->head(env->head, len) : 0;
	env->tail_len = framer->tail ? framer->tail(env->tail, len) : 0;
	return 0;
}
