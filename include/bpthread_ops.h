/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpthread_ops.h - framers of your own: how bytes are cut into frames.
 *
 * A framer is a pure function of the bytes it is shown. It keeps no state but
 * *scanned, allocates nothing and never waits; the library reads, buffers, charges
 * and delivers. A frame is head bytes to skip, the payload, tail bytes to skip.
 */
#ifndef BPTHREAD_OPS_H
#define BPTHREAD_OPS_H

#include <bpthread.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- framers ------------------------------------------------------------ */

struct bp_framer_ops {
	const char *name;

	/*
	 * Look at the first have bytes of the stream; *scanned, 0 for a new frame,
	 * keeps what you tell it between calls on the same frame. Returns
	 *   1	*ret_head bytes to skip, *ret_len of payload, *ret_tail to skip after
	 *   0	more is needed to tell
	 *   -EPROTO	malformed: the connection ends
	 * On the reader thread, without a lock. A frame whose length cannot be told
	 * from its first head_max bytes costs frame_max; its end must be told from the
	 * 64 bytes after it at the latest.
	 */
	int (*cut)(const void *bytes, size_t have, size_t *scanned,
	    size_t *ret_head, size_t *ret_len, size_t *ret_tail);

	/* What to write before and after a payload of len bytes. Either may be NULL. */
	size_t (*head)(void *out, size_t len);
	size_t (*tail)(void *out, size_t len);

	size_t head_max, tail_max;	/* at most 64, 16 */
	size_t len_max;			/* longest payload that can be written */
	void (*reserved[2])(void);
};

#ifdef __cplusplus
}
#endif

#endif /* BPTHREAD_OPS_H */
