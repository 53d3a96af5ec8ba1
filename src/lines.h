/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lines.h - requests that stand in line for the shared pool, and pass beside it
 * within their guarantee: the gate of bytes, with one line, and prio, with one for
 * each band. Plain data. Its functions have the form of the gate's in bp_qdisc_ops;
 * which line is served, and how far it may fill the pool, is the discipline's.
 */
#ifndef BP_LINES_H
#define BP_LINES_H

#include "line.h"
#include "share.h"

#define BP__BANDS_MAX 64u

struct bp__lines {
	struct bp__share share;
	struct bp__line band[BP__BANDS_MAX];
	struct bp_peer *eased;		/* its first request may fit its guarantee now */
};

struct bp__lines_peer {
	struct bp_item *first, *last;	/* its requests, whatever their lines */
};

void bp__lines_ask(struct bp__lines *lines, struct bp_item *item, unsigned band);
void bp__lines_cancel(struct bp__lines *lines, struct bp_item *item);
void bp__lines_release(struct bp__lines *lines, struct bp_peer *peer, size_t cost);

/* One that fits its guarantee, granted; or NULL. */
struct bp_item *bp__lines_guaranteed(struct bp__lines *lines);
/* Grant one; it fits the pool. */
struct bp_item *bp__lines_grant(struct bp__lines *lines, struct bp_item *item);

#endif /* BP_LINES_H */
