/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin.h - a reader that looks for the next bytes for a while before it sleeps, if its
 * connection's config says so: waking it from another core costs 10 us and more, finding it
 * awake a fraction of one.
 *
 * It pays only while whoever sends runs elsewhere, and no other reader wants the core:
 * so with no more connections than cores, and not when the socket says that its bytes
 * came in on this core.
 */
#ifndef BP_SPIN_H
#define BP_SPIN_H

#include "conn.h"

struct bp__spin {
	unsigned cores;			/* this thread may run on; 0: never spin */
	unsigned until_asked;		/* reads until the socket is asked again */
	int sender;			/* core its bytes came in on */
};

void bp__spin_init(struct bp__spin *spin, const struct bp_conn *c);

/* As sock->read_some(), waiting. */
ssize_t bp__spin_read(struct bp__spin *spin, struct bp_conn *c, const struct iovec *iov,
    int n);

#endif /* BP_SPIN_H */
