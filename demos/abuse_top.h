/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_top.h - what top knows of the server it watches: a picture of now, and what
 * went before. Nothing in it is trusted: text is printable ASCII, and cut; a number
 * that was not told is NAN.
 */
#ifndef ABUSE_TOP_H
#define ABUSE_TOP_H

#include "abuse.h"
#include "json.h"
#include "screen.h"

#include <bpthread_stats.h>

#define TOP_SAMPLES 600			/* a second each */
#define TOP_ROWS 200
#define TOP_REASONS 16

/* A second; what grows is the whole since the server began. */
struct top_sample {
	double at_ns, resident, cpu_ns, held, queued_bytes, queued_events;
	double wait_p50_ns, wait_p99_ns, wait_max_ns;
	double received, events, sent, busy_ns, stalls;
};

struct top_row {
	double id;
	char peer[64], state[16];
	double received, sent, held, queued, out, wait_p99_ns, age_ms;
	double blocked_ns;		/* at the gate, muted or throttled */
	double rwnd_limited_us;
	/* since the picture before, or since it was opened */
	double in_rate, out_rate, blocked, rwnd_limited;
};

struct top_reason {
	char name[24];
	double n;
};

struct top_view {
	char name[80], qdisc[80], says[80], boot[40];
	bool ready, closing, paused, stalled;
	double uptime_s, states[BP_STATES], refused;
	double budget, queue_bytes_max, queue_events_max, conns_max;	/* NAN: no limit */
	struct top_reason closed[TOP_REASONS];
	int closed_n;

	struct top_sample samples[TOP_SAMPLES];		/* oldest first */
	int samples_n;

	double rows_at_ns, rows_total;
	struct top_row rows[TOP_ROWS];
	int rows_n;
};

/* How a column is sorted by, in the words of the server and of the screen. */
struct top_sort {
	const char *key, *says;
};

extern const struct top_sort top_sorts[];	/* ends with a key of NULL */

/* ---- abuse_top_read.c: what the server answers; each returns whether it is that. */

bool top_read_status(struct top_view *view, const struct json *json);
bool top_read_history(struct top_view *view, const struct json *json);
bool top_read_rows(struct top_view *view, const struct json *json);

/* Between the last two samples, a second; NAN before there are two. */
double top_rate(const struct top_view *view, size_t member, int back);
#define TOP_RATE(view, member) top_rate(view, offsetof(struct top_sample, member), 0)
const struct top_sample *top_last(const struct top_view *view);

/* ---- abuse_top_text.c: "-" for what was not told ------------------------------ */

struct text told_memory(double bytes);
struct text told_traffic(double bytes);
struct text told_rate(double bytes);		/* a second */
struct text told_ns(double ns);
struct text told_count(double n);
struct text told_share(double part);		/* "25 %" */
struct text told_clock(double seconds);		/* "00:03:12" */

/* The picture on one line, and what heads such lines. */
void top_line(const struct top_view *view);
void top_line_head(const struct top_view *view, const char *url);

/* ---- the screen: abuse_top_draw.c, abuse_top_table.c -------------------------- */

/* trouble: why it could not be asked just now, or NULL. */
void top_draw(struct screen *screen, const struct top_view *view, const char *url,
    const struct top_sort *sort, const char *trouble);
void top_table(struct screen *screen, const struct top_view *view);
enum screen_style top_style(const char *state);

#endif /* ABUSE_TOP_H */
