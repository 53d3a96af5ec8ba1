/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * callback.c - see callback.h.
 */
#include "config.h"

#include "callback.h"

static _Thread_local struct bp__callback *innermost;

void bp__callback_enter(struct bp__callback *callback, struct bp_endpoint *endpoint,
    struct bp_conn *conn, enum bp__callback_kind kind)
{
	callback->outer = innermost;
	callback->conn = conn;
	callback->endpoint = endpoint;
	callback->kind = kind;
	innermost = callback;
}

void bp__callback_leave(struct bp__callback *callback)
{
	innermost = callback->outer;
}

bool bp__in_callback(const struct bp_conn *conn)
{
	for (struct bp__callback *in = innermost; in; in = in->outer)
		if (in->conn == conn)
			return true;
	return false;
}

bool bp__on_writer(const struct bp_conn *conn)
{
	for (struct bp__callback *in = innermost; in; in = in->outer)
		if (in->conn == conn && in->kind == BP__ON_WRITER)
			return true;
	return false;
}

bool bp__in_endpoint(const struct bp_endpoint *endpoint)
{
	for (struct bp__callback *in = innermost; in; in = in->outer)
		if (in->endpoint == endpoint)
			return true;
	return false;
}

struct bp_conn *bp__in_handler(void)
{
	for (struct bp__callback *in = innermost; in; in = in->outer)
		if (in->kind == BP__IN_HANDLER)
			return in->conn;
	return NULL;
}
