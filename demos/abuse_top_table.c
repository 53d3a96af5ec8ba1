/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_top_table.c - the connections: as many lines and as many columns as there is
 * room for.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_top.h"

#include <string.h>

enum screen_style top_style(const char *state)
{
	static const enum screen_style styles[BP_STATES] = {
		[BP_STATE_CLOSING] = DIM, [BP_STATE_THROTTLED] = BAD,
		[BP_STATE_MUTED] = WARN, [BP_STATE_WAITING] = WARN,
		[BP_STATE_READING] = GOOD, [BP_STATE_IDLE] = DIM,
	};

	for (int i = 0; i < BP_STATES; i++)
		if (strcmp(state, bp_conn_state_name(i)) == 0)
			return styles[i];
	return PLAIN;
}

static struct text in_of(const struct top_row *row)
{
	return told_count(row->in_rate / MB);
}

static struct text out_of(const struct top_row *row)
{
	return told_count(row->out_rate / MB);
}

static struct text held_of(const struct top_row *row)
{
	return told_memory(row->held);
}

static struct text queued_of(const struct top_row *row)
{
	return told_memory(row->queued);
}

static struct text unsent_of(const struct top_row *row)
{
	return told_memory(row->out);
}

static struct text wait_of(const struct top_row *row)
{
	return told_ns(row->wait_p99_ns);
}

static struct text blocked_of(const struct top_row *row)
{
	return told_share(row->blocked);
}

static struct text window_of(const struct top_row *row)
{
	return told_share(row->rwnd_limited);
}

static struct text age_of(const struct top_row *row)
{
	return told_clock(row->age_ms / 1e3);
}

/* The first are the last to go where it is narrow. */
static const struct column {
	const char *head;
	int width, from;		/* columns; of the whole screen */
	struct text (*of)(const struct top_row *row);
} columns[] = {
	{ "in MB/s", 9, 0, in_of }, { "out MB/s", 9, 0, out_of },
	{ "held", 10, 0, held_of }, { "queued", 10, 108, queued_of },
	{ "unsent", 10, 118, unsent_of }, { "wait p99", 9, 98, wait_of },
	{ "blocked", 9, 0, blocked_of }, { "window", 8, 89, window_of },
	{ "age", 10, 128, age_of },
};

#define COLUMNS (sizeof columns / sizeof *columns)

/* The peer's column takes what the others leave. */
static int peer_width(const struct screen *s)
{
	int width = s->columns - 7 - 2 - 1 - 9;

	for (size_t i = 0; i < COLUMNS; i++)
		if (s->columns >= columns[i].from)
			width -= columns[i].width;
	return width < 21 ? 21 : width > 48 ? 48 : width;
}

static void draw_row(struct screen *s, const struct top_row *row, int peer)
{
	enum screen_style style;

	screen_print(s, DIM, "%6s  ", told_count(row->id).s);
	screen_print(s, PLAIN, "%-*.*s ", peer, peer, row->peer);
	screen_print(s, top_style(row->state), "%-9.9s", row->state);
	for (size_t i = 0; i < COLUMNS; i++) {
		style = (columns[i].of == blocked_of && row->blocked >= 0.5)
		    || (columns[i].of == window_of && row->rwnd_limited >= 0.5)
		    ? WARN : PLAIN;
		if (s->columns >= columns[i].from)
			screen_print(s, style, "%*s", columns[i].width,
			    columns[i].of(row).s);
	}
	screen_line(s);
}

void top_table(struct screen *s, const struct top_view *v)
{
	int peer = peer_width(s), n = v->rows_n, lines = screen_left(s) - 4;

	screen_line(s);
	screen_print(s, BOLD, "%6s  %-*s %-9s", "id", peer, "peer", "state");
	for (size_t i = 0; i < COLUMNS; i++)
		if (s->columns >= columns[i].from)
			screen_print(s, BOLD, "%*s", columns[i].width, columns[i].head);
	screen_line(s);
	n = n < lines ? n : lines;
	for (int i = 0; i < n; i++)
		draw_row(s, &v->rows[i], peer);
	if (v->rows_total > n) {
		screen_print(s, DIM, "%6s  %.0f more", "", v->rows_total - n);
		screen_line(s);
	}
}
