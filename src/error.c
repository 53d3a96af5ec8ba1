/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.c - words for errors and reasons.
 */
#include "config.h"

#include <bpthread_stats.h>

#include <limits.h>
#include <string.h>

/* What these errors mean here is narrower than what the system says of them. */
static const struct {
	int err;
	const char *text;
} ours[] = {
	{ 0, "success" },
	{ -EPIPE, "it has ended" },
	{ -EAGAIN, "not now" },
	{ -ETIMEDOUT, "not in time" },
	{ -EMSGSIZE, "over a size limit" },
	{ -EDEADLK, "would wait for its own thread" },
	{ -ENOENT, "no such name or path" },
	{ -EMFILE, "too many connections or open files" },
	{ -EPERM, "not allowed here" },
};

static const char *const reasons[] = {
	[BP_REASON_NONE] = "none",
	[BP_REASON_LOCAL] = "closed by us",
	[BP_REASON_PEER] = "closed by the peer",
	[BP_REASON_SHUTDOWN] = "endpoint shut down",
	[BP_REASON_ABORT] = "aborted",
	[BP_REASON_RESET] = "broken",
	[BP_REASON_TRUNCATED] = "truncated frame",
	[BP_REASON_OVERSIZE] = "oversize frame",
	[BP_REASON_PROTOCOL] = "protocol error",
	[BP_REASON_HEADER] = "stalled header",
	[BP_REASON_IDLE] = "idle",
	[BP_REASON_STALLED_FRAME] = "stalled frame",
	[BP_REASON_STALLED_WRITE] = "stalled write",
	[BP_REASON_SLOW] = "too slow",
	[BP_REASON_LIMIT] = "over a limit",
	[BP_REASON_NO_MEMORY] = "no memory or thread",
};

static const char *const states[] = {
	[BP_STATE_CLOSING] = "closing",
	[BP_STATE_THROTTLED] = "throttled",
	[BP_STATE_MUTED] = "muted",
	[BP_STATE_WAITING] = "waiting",
	[BP_STATE_READING] = "reading",
	[BP_STATE_IDLE] = "idle",
};

static const char *const refusals[] = {
	[BP_REFUSED_ADDRESS] = "address",
	[BP_REFUSED_SETUP] = "setup",
	[BP_REFUSED_MEMORY] = "memory",
};

const char *bp_strerror(int err)
{
	const char *text;

	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (ours[i].err == err)
			return ours[i].text;
	text = err < 0 && err > INT_MIN ? strerrordesc_np(-err) : NULL;
	return text ? text : "unknown error";
}

const char *bp_reason_name(enum bp_reason why)
{
	if ((unsigned)why >= sizeof reasons / sizeof reasons[0])
		return "unknown";
	return reasons[why];
}

const char *bp_conn_state_name(enum bp_conn_state state)
{
	return (unsigned)state < BP_STATES ? states[state] : "unknown";
}

const char *bp_refusal_name(enum bp_refusal why)
{
	return (unsigned)why < BP_REFUSALS ? refusals[why] : "unknown";
}
