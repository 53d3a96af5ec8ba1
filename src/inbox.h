/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inbox.h - bytes of one connection that were read and not yet delivered, and the
 * frames in them.
 *
 * Bytes are read into some 512 on the reader's stack; when those fill, into a
 * chunk. So an idle connection has touched a page or two, and a busy one gets
 * many frames out of one system call. A frame too large for either is read
 * straight into its final buffer, once its memory was granted (large.c).
 */
#ifndef BP_INBOX_H
#define BP_INBOX_H

#include "conn.h"
#include "spin.h"

#define BP__SMALL 512

struct bp__inbox {
	struct bp_conn *c;
	struct bp__spin spin;
	char *base;			/* small, or the chunk's bytes */
	size_t cap, start, end;		/* start..end are to be delivered */
	struct bp__chunk *chunk;
	size_t scanned;			/* the framer's note on the frame at start */
	size_t skip;			/* bytes to come that are no one's: a tail */
	bool busy;			/* the last read got more than would fit the stack */
	bool no_chunk;			/* it wanted one, and there was no room */
	uint64_t arrived_ns;		/* when the last read returned */
	uint64_t began_ns;		/* first byte of the frame at start; 0: none yet */
	uint64_t waited_ns;		/* the flow's waits at that time */
	bool in_header;			/* of the frame at start */
	bool classified;		/* that frame is, and this is its band: */
	int band;			/* or -EPROTO */
	char small[BP__SMALL];
};

struct bp__frame {
	size_t head, len, tail;
};

enum bp__cut { BP__CUT_NONE, BP__CUT_PART, BP__CUT_WHOLE };

void bp__inbox_init(struct bp__inbox *in, struct bp_conn *c);
void bp__inbox_fini(struct bp__inbox *in);

/*
 * Look at the next frame: nothing can be told yet, its size is known, or all of it
 * is at hand. -EPROTO: malformed; -EMSGSIZE: over frame_max.
 */
int bp__inbox_cut(struct bp__inbox *in, struct bp__frame *ret_frame);

/*
 * The band of that frame, which the application may have a say in. -EPROTO: malformed,
 * in its opinion. ahead: how much of the frame is to be at hand before.
 */
int bp__inbox_band(struct bp__inbox *in, const struct bp__frame *frame);
size_t bp__inbox_ahead(const struct bp__inbox *in, const struct bp__frame *frame);

/* Its payload; the frame is no longer in the inbox, its bytes stay where they are. */
char *bp__inbox_take(struct bp__inbox *in, const struct bp__frame *frame);

/*
 * Make the inbox able to hold need bytes from its start on, or say that it cannot:
 * a frame of that size wants a buffer of its own.
 */
bool bp__inbox_room(struct bp__inbox *in, size_t need);

/*
 * Wait for bytes, and read some of them, as much as there is room for. Returns 0 at
 * the peer's end, -EPIPE when nothing is to be read any more, -ECONNRESET...
 */
ssize_t bp__inbox_fill(struct bp__inbox *in);

/*
 * Whole frames are at hand, and fill all there is on the stack: read the rest of the
 * burst as well, into a chunk. What is answered in parts comes in parts ever after.
 */
void bp__inbox_top_up(struct bp__inbox *in);

/*
 * Read a frame whose size is known, or (len BP_ANY) cannot be told, into a buffer of
 * its own: ask the gate for it and for extra, take what is in the inbox, read the
 * rest. Returns 1, or as bp__inbox_fill(); -ENOMEM, -EMSGSIZE, -EPROTO.
 */
int bp__inbox_large(struct bp__inbox *in, const struct bp__frame *frame, size_t extra,
    struct bp__buf **ret_buf, unsigned *ret_band);

/* What was reserved last, or the part of it that no payload or event took. */
void bp__inbox_give_back(struct bp__inbox *in, size_t cost);

/* ---- deliver.c ---------------------------------------------------------- */

/* The whole frames at hand, frame the first. Returns -EPIPE, -ENOMEM, -EPROTO. */
int bp__deliver_frames(struct bp__inbox *in, struct bp__frame frame);
/* One with a buffer of its own, which is taken. */
int bp__deliver_large(struct bp__inbox *in, struct bp__buf *buf, unsigned band);

void bp__tell_opened(struct bp_conn *c);
void bp__tell_ended(struct bp_conn *c);
void bp__tell_closed(struct bp_conn *c);

/* Shared by inbox.c and large.c: read, with the deadline of the frame at start. */
ssize_t bp__inbox_read(struct bp__inbox *in, const struct iovec *iov, int n);
void bp__inbox_next_frame(struct bp__inbox *in);	/* that at start is another one */
void bp__inbox_skip_tail(struct bp__inbox *in);
void bp__inbox_drop_chunk(struct bp__inbox *in);	/* and what is in it */
/* What is at hand moves to the stack; it has to fit. */
void bp__inbox_to_small(struct bp__inbox *in);

#endif /* BP_INBOX_H */
