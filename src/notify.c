/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notify.c - throttled and unthrottled (R7).
 *
 * Under the lock only the level is set. One thread at a time carries it to the
 * callbacks, until what was told is what is; whoever changes the level while
 * somebody tells leaves it to that one. So the calls alternate strictly, never
 * overlap, and a level that came and went while nobody looked is not told at all.
 *
 * throttled runs within the send that crossed the mark, unthrottled on the writer, or
 * on the reader that succeeds it at the end: never on the reaper, which must not wait,
 * nor within an abort, whose caller may hold a lock of the application's.
 */
#include "config.h"

#include "callback.h"
#include "conn.h"

static void tell(struct bp_conn *c, bool throttled, bool writer)
{
	const struct bp_conn_ops *ops = c->config.ops;
	void (*fn)(struct bp_conn *, void *) =
	    throttled ? ops->throttled : ops->unthrottled;
	struct bp__callback callback;

	if (!fn)
		return;
	atomic_store(&c->notification, throttled ? "throttled" : "unthrottled");
	bp__callback_enter(&callback, c->endpoint, c,
	    writer ? BP__ON_WRITER : BP__IN_THROTTLED);
	fn(c, bp_conn_data(c));
	bp__callback_leave(&callback);
	atomic_store(&c->notification, NULL);
}

void bp__notify(struct bp_conn *c, bool writer)
{
	bool level;

	bp__lock(&c->lock);
	if (!c->telling) {
		c->telling = true;
		while (c->told != c->throttled && (c->throttled || writer)) {
			level = c->told = c->throttled;
			bp__unlock(&c->lock);
			tell(c, level, writer);
			bp__lock(&c->lock);
		}
		c->telling = false;
		if (c->told != c->throttled)
			bp__writer_wake_locked(c);	/* the rest is for it */
		bp__signal(&c->writer_cond);
		bp__signal(&c->reader_cond);	/* it may wait to say closed */
	}
	bp__conn_unlock(c);
}

void bp__notify_settle(struct bp_conn *c)
{
	if (!c->notifies)
		return;
	bp__lock(&c->lock);
	while (c->telling || c->told != c->throttled) {
		if (c->telling) {
			bp__wait(&c->reader_cond, &c->lock);
			continue;
		}
		bp__conn_unlock(c);
		bp__notify(c, true);
		bp__lock(&c->lock);
	}
	bp__conn_unlock(c);
}
