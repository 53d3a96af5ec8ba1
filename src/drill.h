/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill.h - does a discipline keep its contract? Tried in one thread, with calls at
 * random that a seed brings back, before a server depends on it.
 *
 *	drill.c		connections that come, send, are muted, closed and gone
 *	drill_starve.c	is anybody passed by for ever?
 *	drill_model.c	the library as a discipline sees it, and the rules
 */
#ifndef BP_DRILL_H
#define BP_DRILL_H

#include <bpthread_ops.h>

/*
 * config with all limits filled in. Returns 0, or -1 and the broken rule in a line.
 * 2000 rounds take some milliseconds. Whatever the functions return, this ends; only
 * one that loops, or writes where it must not, can do it harm.
 */
int bp__drill(const struct bp_qdisc_ops *ops, const struct bp_endpoint_config *config,
    unsigned seed, unsigned rounds, char *ret_rule, size_t size);

#endif /* BP_DRILL_H */
