/* SPDX-License-Identifier: BSD-2-Clause */
/* accept.c - see accept.h. */
#include "config.h"

#include "accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

#define QUALITY_MAX 1000

struct range {			/* one of those between the commas */
	const char *name;
	size_t len;
	int quality;		/* 0..1000 */
};

/* "0.75" is 750; what is none of its kind is 1. */
static int quality_of(const char *text)
{
	int quality = 0, digit = 100;

	if (*text != '0')
		return QUALITY_MAX;
	if (*++text == '.')
		for (text++; *text >= '0' && *text <= '9' && digit > 0; digit /= 10)
			quality += (*text++ - '0') * digit;
	return quality;
}

/* Takes the next range off the list; false: there is none. */
static bool next_range(const char **list, struct range *ret)
{
	const char *at = *list + strspn(*list, ", \t"), *end = at + strcspn(at, ",");
	const char *parameter;

	if (!*at)
		return false;
	ret->name = at;
	ret->len = strcspn(at, ",; \t");
	ret->quality = QUALITY_MAX;
	for (parameter = at + strcspn(at, ",;"); parameter < end;
	    parameter += strcspn(parameter, ",;")) {
		parameter++;
		parameter += strspn(parameter, " \t");
		if (strncasecmp(parameter, "q=", 2) == 0)
			ret->quality = quality_of(parameter + 2);
	}
	*list = end;
	return true;
}

/* 3: it is this type, 2: any of its kind, 1: any, 0: another. */
static int exactness(const struct range *range, const char *type)
{
	size_t kind = strcspn(type, "/") + 1;

	if (range->len == strlen(type)
	    && strncasecmp(range->name, type, range->len) == 0)
		return 3;
	if (range->len == kind + 1 && range->name[kind] == '*'
	    && strncasecmp(range->name, type, kind) == 0)
		return 2;
	return range->len == 3 && strncmp(range->name, "*/*", 3) == 0;
}

struct wish {
	int quality, exactness, place;
};

/* The most exact range decides, and of several the best. */
static struct wish wish_for(const char *accept, const char *type)
{
	struct wish wish = { 0 };
	struct range range;

	for (int place = 0; next_range(&accept, &range); place--) {
		int exact = exactness(&range, type);

		if (exact > wish.exactness
		    || (exact && exact == wish.exactness
			&& range.quality > wish.quality))
			wish = (struct wish){ range.quality, exact, place };
	}
	return wish;
}

static bool is_more(const struct wish *a, const struct wish *b)
{
	if (a->quality != b->quality || a->quality == 0)
		return a->quality > b->quality;
	if (a->exactness != b->exactness)
		return a->exactness > b->exactness;
	return a->place > b->place;
}

int bpm_accept_best(const char *accept, const char *const *offers, int n)
{
	struct wish best, wish;
	int chosen = 0;

	if (!accept)
		return 0;
	best = wish_for(accept, offers[0]);
	for (int i = 1; i < n; i++) {
		wish = wish_for(accept, offers[i]);
		if (is_more(&wish, &best)) {
			best = wish;
			chosen = i;
		}
	}
	return chosen;
}

bool bpm_accept_gzip(const char *accept_encoding)
{
	struct range range;
	int any = 0;

	while (accept_encoding && next_range(&accept_encoding, &range)) {
		if (range.len == 4 && strncasecmp(range.name, "gzip", 4) == 0)
			return range.quality > 0;
		if (range.len == 1 && *range.name == '*')
			any = range.quality;
	}
	return any > 0;
}
