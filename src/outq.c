/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outq.c - see outq.h.
 */
#include "config.h"

#include "outq.h"

#include <stdlib.h>
#include <string.h>

#define PIECE 4000		/* bytes of a piece small copies share: with malloc's, a page */
#define SMALL_MAX (PIECE / 4)	/* larger ones have their own, or much of it would be lost */

struct piece {
	struct bp__list link;
	struct bp__buf *buf;		/* referenced, or NULL: bytes are a copy */
	const char *data;		/* not yet sent */
	size_t len;
	size_t room;			/* free bytes after those */
	char bytes[];
};

static struct piece *piece_of(struct bp__list *link)
{
	return bp__container_of(link, struct piece, link);
}

void bp__outq_init(struct bp__outq *outq)
{
	bp__list_init(&outq->pieces);
	outq->bytes = 0;
}

void bp__outq_clear(struct bp__outq *outq)
{
	struct bp__list *link;
	struct piece *piece;

	while ((link = bp__list_shift(&outq->pieces)) != NULL) {
		piece = piece_of(link);
		if (piece->buf)
			bp__buf_unshare(piece->buf);
		free(piece);
	}
	outq->bytes = 0;
}

static size_t total(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

/* Copy what iov has after skip bytes. */
static void gather(char *to, const struct iovec *iov, int n, size_t skip)
{
	for (int i = 0; i < n; i++) {
		size_t len = iov[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		memcpy(to, (const char *)iov[i].iov_base + skip, len - skip);
		to += len - skip;
		skip = 0;
	}
}

bool bp__outq_squeeze(struct bp__outq *outq, const struct iovec *iov, int n)
{
	size_t len = total(iov, n);
	struct piece *last;

	if (bp__list_empty(&outq->pieces))
		return false;
	last = piece_of(outq->pieces.prev);
	if (last->room < len)
		return false;
	/* a writer may be sending what is before; these bytes it does not know of */
	gather((char *)last->data + last->len, iov, n, 0);
	last->len += len;
	last->room -= len;
	outq->bytes += len;
	return true;
}

static int copy(struct bp__outq *outq, const struct iovec *iov, int n, size_t skip,
    size_t least)
{
	size_t len = total(iov, n) - skip;
	size_t cap = len <= SMALL_MAX && least > len ? least : len;
	struct piece *piece;

	if (len == 0)
		return 0;
	piece = malloc(sizeof *piece + cap);
	if (!piece)
		return -ENOMEM;
	gather(piece->bytes, iov, n, skip);
	piece->buf = NULL;
	piece->data = piece->bytes;
	piece->len = len;
	piece->room = cap - len;
	bp__list_append(&outq->pieces, &piece->link);
	outq->bytes += len;
	return 0;
}

int bp__outq_copy(struct bp__outq *outq, const struct iovec *iov, int n, size_t skip)
{
	return copy(outq, iov, n, skip, PIECE);
}

int bp__outq_copy_exactly(struct bp__outq *outq, const struct iovec *iov, int n,
    size_t skip)
{
	return copy(outq, iov, n, skip, 0);
}

int bp__outq_share(struct bp__outq *outq, struct bp__buf *buf, const char *data,
    size_t len)
{
	struct piece *piece;

	if (len == 0)
		return 0;
	piece = malloc(sizeof *piece);
	if (!piece)
		return -ENOMEM;
	piece->buf = bp__buf_share(buf);
	piece->data = data;
	piece->len = len;
	piece->room = 0;
	bp__list_append(&outq->pieces, &piece->link);
	outq->bytes += len;
	return 0;
}

void bp__outq_join(struct bp__outq *outq, struct bp__outq *from)
{
	bp__list_splice(&outq->pieces, &from->pieces);
	outq->bytes += from->bytes;
	from->bytes = 0;
}

void bp__outq_join_front(struct bp__outq *outq, struct bp__outq *from)
{
	bp__outq_join(from, outq);
	bp__outq_join(outq, from);
}

int bp__outq_peek(const struct bp__outq *outq, struct iovec *iov, int n, size_t max)
{
	struct bp__list *link = outq->pieces.next;
	int i;

	for (i = 0; i < n && max > 0 && link != &outq->pieces; i++) {
		struct piece *piece = piece_of(link);

		iov[i].iov_base = (void *)(uintptr_t)piece->data;
		iov[i].iov_len = piece->len < max ? piece->len : max;
		max -= iov[i].iov_len;
		link = link->next;
	}
	return i;
}

void bp__outq_consume(struct bp__outq *outq, size_t n, struct bp__outq *dead)
{
	while (n > 0) {
		struct piece *piece = piece_of(outq->pieces.next);
		size_t step = piece->len < n ? piece->len : n;

		piece->data += step;
		piece->len -= step;
		outq->bytes -= step;
		n -= step;
		if (piece->len == 0) {
			bp__list_remove(&piece->link);
			bp__list_append(&dead->pieces, &piece->link);
		}
	}
}
