/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_top_text.c - numbers as top tells them, and the line a second where there is
 * no terminal.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_top.h"

#include <math.h>

/* ---- numbers --------------------------------------------------------------- */

/* "-" for what was not told. */
static struct text or_dash(double value, struct text text)
{
	return isnan(value) ? (struct text){ "-" } : text;
}

struct text told_memory(double bytes)
{
	return or_dash(bytes, text_memory(bytes));
}

struct text told_traffic(double bytes)
{
	return or_dash(bytes, text_traffic(bytes));
}

struct text told_rate(double bytes)
{
	return or_dash(bytes, text_rate(bytes, 1e9));
}

struct text told_ns(double ns)
{
	return or_dash(ns, ns > 0 ? text_ns(ns) : (struct text){ "0" });
}

struct text told_count(double n)
{
	struct text text;

	snprintf(text.s, sizeof text.s, "%.0f", n);
	return or_dash(n, text);
}

struct text told_share(double part)
{
	struct text text;

	snprintf(text.s, sizeof text.s, "%.0f %%", part * 100);
	return or_dash(part, text);
}

struct text told_clock(double seconds)
{
	struct text text = { "-" };
	unsigned s;

	if (!(seconds >= 0 && seconds < 1e9))
		return text;
	s = (unsigned)seconds;
	if (s >= 86400)
		snprintf(text.s, sizeof text.s, "%ud %02u:%02u", s / 86400,
		    s / 3600 % 24, s / 60 % 60);
	else
		snprintf(text.s, sizeof text.s, "%02u:%02u:%02u", s / 3600,
		    s / 60 % 60, s % 60);
	return text;
}

/* ---- lines ----------------------------------------------------------------- */

void top_line_head(const struct top_view *v, const char *url)
{
	printf("%s, %s, at %s\n", v->name, v->qdisc, url);
	printf("%8s%9s%9s%9s%8s%9s%9s%9s%7s%9s%10s  %s\n", "up", "resident", "held",
	    "queued", "events", "in", "out", "wait p99", "conns", "waiting", "throttled", "");
	printf("%8s%9s%9s%9s%8s%9s%9s%9s\n", "", "MiB", "MiB", "MiB", "", "MB/s", "MB/s",
	    "ms");
}

static struct text scaled(double value, double unit, int digits)
{
	struct text text;

	snprintf(text.s, sizeof text.s, "%.*f", digits, value / unit);
	return or_dash(value, text);
}

void top_line(const struct top_view *v)
{
	const struct top_sample *last = top_last(v);
	double all = 0;

	for (int i = 0; i < BP_STATES; i++)
		all += v->states[i];
	printf("%8s%9s%9s%9s%8s%9s%9s%9s%7s%9s%10s  %s\n", told_clock(v->uptime_s).s,
	    scaled(last->resident, MIB, 1).s, scaled(last->held, MIB, 1).s,
	    scaled(last->queued_bytes, MIB, 1).s, told_count(last->queued_events).s,
	    scaled(TOP_RATE(v, received), MB, 1).s, scaled(TOP_RATE(v, sent), MB, 1).s,
	    scaled(last->wait_p99_ns, 1e6, 1).s, told_count(all).s,
	    told_count(v->states[BP_STATE_WAITING]).s,
	    told_count(v->states[BP_STATE_THROTTLED]).s, v->stalled ? "stalled" : v->ready ? "" : v->says);
}
