/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * callback.h - which of the application's callbacks this thread is in.
 *
 * A call that would wait for its own thread returns -EDEADLK instead of hanging
 * (P16); to know, each callback is entered and left through here. They nest: a
 * handler may send to another connection and so run that one's throttled.
 */
#ifndef BP_CALLBACK_H
#define BP_CALLBACK_H

#include <bpthread.h>

enum bp__callback_kind {
	BP__IN_HANDLER,
	BP__IN_THROTTLED,
	BP__ON_WRITER,		/* unthrottled; or throttled, told right after it */
	BP__IN_OTHER,		/* setup, log: the endpoint's */
};

struct bp__callback {
	struct bp__callback *outer;
	struct bp_conn *conn;		/* or NULL */
	struct bp_endpoint *endpoint;
	enum bp__callback_kind kind;
};

void bp__callback_enter(struct bp__callback *callback, struct bp_endpoint *endpoint,
    struct bp_conn *conn, enum bp__callback_kind kind);
void bp__callback_leave(struct bp__callback *callback);

/* Is this thread in a callback of conn; its writer; in any of the endpoint's? */
bool bp__in_callback(const struct bp_conn *conn);
bool bp__on_writer(const struct bp_conn *conn);
bool bp__in_endpoint(const struct bp_endpoint *endpoint);

/* The connection whose handler runs on this thread, its reader, or NULL. */
struct bp_conn *bp__in_handler(void);

#endif /* BP_CALLBACK_H */
