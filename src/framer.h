/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * framer.h - a message as it is written: head, payload, tail.
 */
#ifndef BP_FRAMER_H
#define BP_FRAMER_H

#include <bpthread_ops.h>

#define BP__HEAD_MAX 64
#define BP__TAIL_MAX 16

struct bp__envelope {
	char head[BP__HEAD_MAX], tail[BP__TAIL_MAX];
	size_t head_len, tail_len;
};

/* Returns -EMSGSIZE: the framer cannot write a payload of len bytes. */
int bp__envelope_make(struct bp__envelope *env, const struct bp_framer_ops *framer,
    size_t len);

#endif /* BP_FRAMER_H */
