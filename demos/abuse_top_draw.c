/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_top_draw.c - the picture top shows: what the server is, its memory and traffic
 * with what went before, and as many connections as there is room for.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_top.h"

#include <math.h>
#include <string.h>

#define LABEL 10			/* columns: "resident" */
#define VALUE 13			/* "49.9 MiB" */
#define SIDE 24				/* what stands behind a sparkline */
#define TABLE_MIN 6			/* lines */

/* ---- the head -------------------------------------------------------------- */

static void draw_head(struct screen *s, const struct top_view *v, const char *trouble)
{
	const char *says = trouble ? "lost" : v->stalled ? "stalled" : v->ready ? "ready"
	    : v->says;
	enum screen_style style = trouble || v->stalled ? ALARM : v->ready ? GOOD : WARN;
	int at = s->columns - 1 - (int)strlen(says);

	screen_print(s, BOLD, " %s", v->name[0] ? v->name : "-");
	screen_print(s, PLAIN, "   %s   up %s ", v->qdisc, told_clock(v->uptime_s).s);
	screen_to(s, at);
	screen_print(s, style, "%s", says);
	screen_line(s);
	screen_line(s);
}

/* ---- what went before ------------------------------------------------------ */

static int spark_width(const struct screen *s)
{
	int width = s->columns - LABEL - VALUE - SIDE - 3;

	return width < 8 ? 8 : width > TOP_SAMPLES ? TOP_SAMPLES : width;
}

static void draw_label(struct screen *s, const char *label, struct text value)
{
	screen_print(s, DIM, " %-*s", LABEL, label);
	screen_print(s, BOLD, "%*s", VALUE - 2, value.s);
	screen_print(s, PLAIN, "  ");
}

/* The values of one member, the last of them last; returns how many. */
static int values_of(const struct top_view *v, size_t member, double *out)
{
	for (int i = 0; i < v->samples_n; i++)
		out[i] = *(const double *)(const void *)((const char *)&v->samples[i]
		    + member);
	return v->samples_n;
}

static int rates_of(const struct top_view *v, size_t member, double *out)
{
	int n = v->samples_n > 0 ? v->samples_n - 1 : 0;

	for (int i = 0; i < n; i++)
		out[i] = top_rate(v, member, n - 1 - i);
	return n;
}

static double most_of(const double *values, int n)
{
	double most = 0;

	for (int i = 0; i < n; i++)
		most = values[i] > most ? values[i] : most;
	return most;
}

static void draw_resident(struct screen *s, const struct top_view *v)
{
	double values[TOP_SAMPLES];
	int n = values_of(v, offsetof(struct top_sample, resident), values);

	draw_label(s, "resident", told_memory(top_last(v)->resident));
	screen_spark(s, BLUE, values, n, spark_width(s), 0);
	screen_print(s, DIM, "  most %s", told_memory(n ? most_of(values, n) : NAN).s);
	screen_line(s);
}

static enum screen_style fullness(double part)
{
	return part >= 0.95 ? BAD : part >= 0.75 ? WARN : GOOD;
}

/* A bar against the limit; without one only the past can be shown. */
static void draw_held(struct screen *s, const struct top_view *v)
{
	double held = top_last(v)->held, part = held / v->budget, values[TOP_SAMPLES];

	draw_label(s, "held", told_memory(held));
	if (isnan(v->budget)) {
		screen_spark(s, BLUE, values, values_of(v, offsetof(struct top_sample,
		    held), values), spark_width(s), 0);
		screen_print(s, DIM, "  no budget");
	} else {
		screen_bar(s, fullness(part), part, spark_width(s));
		screen_print(s, DIM, "  %s of %s", told_share(part).s, told_memory(v->budget).s);
	}
	screen_line(s);
}

static void draw_queue(struct screen *s, const struct top_view *v)
{
	const struct top_sample *last = top_last(v);
	double values[TOP_SAMPLES];
	int n = values_of(v, offsetof(struct top_sample, queued_bytes), values);

	draw_label(s, "queued", told_memory(last->queued_bytes));
	screen_spark(s, BLUE, values, n, spark_width(s), 0);
	screen_print(s, DIM, "  %s event%s", told_count(last->queued_events).s,
	    last->queued_events == 1 ? "" : "s");
	if (!isnan(v->queue_events_max))
		screen_print(s, DIM, " of %s", told_count(v->queue_events_max).s);
	screen_line(s);
}

static void draw_rate(struct screen *s, const struct top_view *v, const char *label,
    size_t member, double total)
{
	double values[TOP_SAMPLES];
	int n = rates_of(v, member, values);

	draw_label(s, label, told_rate(top_rate(v, member, 0)));
	screen_spark(s, BLUE, values, n, spark_width(s), 0);
	screen_print(s, DIM, "  %s in all", told_traffic(total).s);
	screen_line(s);
}

/* ---- what it does ---------------------------------------------------------- */

static void draw_waits(struct screen *s, const struct top_view *v)
{
	const struct top_sample *last = top_last(v);

	screen_print(s, DIM, " %-*s", LABEL, "in queue");
	screen_print(s, PLAIN, "p50 %s  p99 %s  most %s", told_ns(last->wait_p50_ns).s,
	    told_ns(last->wait_p99_ns).s, told_ns(last->wait_max_ns).s);
	screen_print(s, DIM, "   busy ");
	screen_print(s, PLAIN, "%s", told_share(TOP_RATE(v, busy_ns) / 1e9).s);
	screen_print(s, DIM, "  cpu ");
	screen_print(s, PLAIN, "%s", told_share(TOP_RATE(v, cpu_ns) / 1e9).s);
	screen_print(s, DIM, "  stalls ");
	screen_print(s, last->stalls > 0 ? BAD : PLAIN, "%s", told_count(last->stalls).s);
	screen_line(s);
}

static void draw_states(struct screen *s, const struct top_view *v)
{
	double all = 0;

	for (int i = 0; i < BP_STATES; i++)
		all += v->states[i];
	screen_print(s, DIM, " %-*s", LABEL, "conns");
	screen_print(s, BOLD, "%s", told_count(all).s);
	if (!isnan(v->conns_max))
		screen_print(s, DIM, " of %s", told_count(v->conns_max).s);
	for (int i = BP_STATES - 1; i >= 0; i--)
		if (v->states[i] > 0)
			screen_print(s, top_style(bp_conn_state_name(i)), "  %s %s",
			    told_count(v->states[i]).s, bp_conn_state_name(i));
	screen_line(s);

	screen_print(s, DIM, " %-*s", LABEL, "closed");
	for (int i = 0; i < v->closed_n; i++)
		screen_print(s, PLAIN, "%s%s %s", i ? ", " : "", told_count(v->closed[i].n).s,
		    v->closed[i].name);
	screen_print(s, PLAIN, v->closed_n ? "" : "none");
	if (v->refused > 0)
		screen_print(s, WARN, "   refused %s", told_count(v->refused).s);
	screen_line(s);
}

/* ---- all of it ------------------------------------------------------------- */

static void draw_foot(struct screen *s, const struct top_sort *sort, const char *url)
{
	if (!s->live)
		return;
	while (screen_left(s) > 1)
		screen_line(s);
	screen_print(s, DIM, " q quits  s sorts: %s   the last %d s   %s", sort->says,
	    spark_width(s), url);
	screen_line(s);
}

void top_draw(struct screen *s, const struct top_view *v, const char *url,
    const struct top_sort *sort, const char *trouble)
{
	if (screen_begin(s) != 0)
		return;
	draw_head(s, v, trouble);
	if (trouble) {
		screen_print(s, ALARM, " %s: %s; trying again ", url, trouble);
		screen_line(s);
		screen_line(s);
	}
	draw_resident(s, v);
	draw_held(s, v);
	draw_queue(s, v);
	draw_rate(s, v, "in", offsetof(struct top_sample, received), top_last(v)->received);
	draw_rate(s, v, "out", offsetof(struct top_sample, sent), top_last(v)->sent);
	draw_waits(s, v);
	draw_states(s, v);
	if (screen_left(s) > TABLE_MIN)
		top_table(s, v);
	draw_foot(s, sort, url);
	screen_end(s);
}
