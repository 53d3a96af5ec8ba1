/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connections.c - the connections there are, and the last that have ended, as
 * rows. One table names the columns, so that what is shown is what can be
 * sorted by.
 */
#include "config.h"

#include "formats.h"

#include <stdlib.h>
#include <string.h>

#define CLOSED_MAX 128		/* as many are kept */

#define AT(member) offsetof(struct bpm_row, member), \
	sizeof ((struct bpm_row *)NULL)->member

static const struct column {
	const char *name;
	size_t offset, size;
} columns[] = {
	{ "id", AT(id) },
	{ "received_bytes", AT(detail.stats.received_bytes) },
	{ "sent_bytes", AT(detail.stats.sent_bytes) },
	{ "received_frames", AT(detail.stats.received_frames) },
	{ "held_bytes", AT(detail.stats.held_bytes) },
	{ "queued_bytes", AT(detail.queued_bytes) },
	{ "queued_events", AT(detail.queued_events) },
	{ "out_bytes", AT(detail.stats.out_bytes) },
	{ "wait_p50_ns", AT(detail.wait_p50_ns) },
	{ "wait_p99_ns", AT(detail.wait_p99_ns) },
	{ "gate_ns", AT(detail.stats.gate_ns) },
	{ "muted_ns", AT(detail.stats.muted_ns) },
	{ "throttled_ns", AT(detail.stats.throttled_ns) },
	{ "throttles", AT(detail.stats.throttles) },
	{ "rwnd_limited_us", AT(detail.stats.rwnd_limited_us) },
	{ "sndbuf_limited_us", AT(detail.stats.sndbuf_limited_us) },
	{ "busy_us", AT(detail.stats.busy_us) },
	{ "age_ms", AT(age_ms) },
};
#define COLUMNS ((int)(sizeof columns / sizeof columns[0]))

static uint64_t value_of(const struct bpm_row *row, const struct column *column)
{
	const char *at = (const char *)row + column->offset;
	uint64_t n64;
	size_t n;

	if (column->size == sizeof n64) {
		memcpy(&n64, at, sizeof n64);
		return n64;
	}
	memcpy(&n, at, sizeof n);
	return n;
}

int bpm_sort_column(const char *name)
{
	for (int i = 0; i < COLUMNS; i++)
		if (strcmp(columns[i].name, name) == 0)
			return i;
	return -1;
}

int bpm_state_named(const char *name)
{
	for (int i = 0; i < BP_STATES; i++)
		if (strcmp(bp_conn_state_name((enum bp_conn_state)i), name) == 0)
			return i;
	return strcmp(name, "closed") == 0 ? BP_STATES : -1;
}

/* ---- sorting ------------------------------------------------------------- */

struct place {
	uint64_t key, id;
	const struct bpm_row *row;
};

/* The largest first, equal ones by id. */
static int by_key(const void *left, const void *right)
{
	const struct place *a = left, *b = right;

	if (a->key != b->key)
		return a->key < b->key ? 1 : -1;
	return a->id < b->id ? -1 : a->id > b->id;
}

static size_t place_rows(struct place *places, const struct bpm_rows *rows,
    const struct bpm_selection *selection)
{
	size_t n = 0;

	for (size_t i = 0; i < rows->n; i++) {
		const struct bpm_row *row = &rows->row[i];

		if (selection->state >= 0
		    && (int)row->detail.state != selection->state)
			continue;
		places[n].key = selection->sort == 0 ? 0	/* id: ascending */
		    : value_of(row, &columns[selection->sort]);
		places[n].id = row->id;
		places[n++].row = row;
	}
	qsort(places, n, sizeof *places, by_key);
	return n;
}

/* ---- writing ------------------------------------------------------------- */

static void begin(struct bpm_text *text, uint64_t at_ns, size_t total)
{
	bpm_json_open(text, '{');
	bpm_json_member(text, "at_ns", at_ns);
	bpm_json_member(text, "total", total);
	bpm_json_key(text, "rows");
	bpm_json_open(text, '[');
}

static void end(struct bpm_text *text)
{
	bpm_json_close(text, ']');
	bpm_json_close(text, '}');
	bpm_text_string(text, "\n");
}

static void write_row(struct bpm_text *text, const struct bpm_row *row)
{
	bpm_json_open(text, '{');
	bpm_json_member(text, "id", row->id);
	bpm_json_key(text, "peer");
	bpm_json_string(text, row->peer);
	bpm_json_key(text, "state");
	bpm_json_string(text, bp_conn_state_name(row->detail.state));
	for (int i = 1; i < COLUMNS; i++)
		bpm_json_member(text, columns[i].name, value_of(row, &columns[i]));
	bpm_json_close(text, '}');
}

static void write_open(struct bpm_text *text, struct bpm_watch *watch,
    const struct bpm_selection *selection)
{
	const struct bpm_rows *rows = bpm_watch_rows(watch);
	struct place *places = rows ? calloc(rows->n + 1, sizeof *places) : NULL;
	size_t n;

	if (!places) {
		text->failed = true;
		return;
	}
	n = place_rows(places, rows, selection);
	begin(text, rows->at_ns, n);
	for (size_t i = 0; i < n && i < selection->limit; i++)
		write_row(text, places[i].row);
	end(text);
	free(places);
}

/* ---- those that have ended ----------------------------------------------- */

static uint64_t ms_between(uint64_t from_ns, uint64_t to_ns)
{
	return from_ns < to_ns ? (to_ns - from_ns) / 1000000 : 0;
}

static void write_closed_row(struct bpm_text *text, const struct bp_closed *closed,
    uint64_t now_ns)
{
	bpm_json_open(text, '{');
	bpm_json_member(text, "id", closed->id);
	bpm_json_key(text, "peer");
	bpm_json_string(text, closed->peer);
	bpm_json_key(text, "reason");
	bpm_json_string(text, bp_reason_name(closed->reason));
	bpm_json_key(text, "error");
	if (closed->err)
		bpm_json_string(text, bp_strerror(closed->err));
	else
		bpm_json_null(text);
	bpm_json_member(text, "received_bytes", closed->received_bytes);
	bpm_json_member(text, "sent_bytes", closed->sent_bytes);
	bpm_json_member(text, "gate_ns", closed->gate_ns);
	bpm_json_member(text, "muted_ns", closed->muted_ns);
	bpm_json_member(text, "throttled_ns", closed->throttled_ns);
	bpm_json_member(text, "rwnd_limited_us", closed->rwnd_limited_us);
	bpm_json_member(text, "sndbuf_limited_us", closed->sndbuf_limited_us);
	bpm_json_member(text, "age_ms", ms_between(closed->opened_ns,
	    closed->closed_ns));
	bpm_json_member(text, "closed_ago_ms", ms_between(closed->closed_ns, now_ns));
	bpm_json_close(text, '}');
}

static void write_closed(struct bpm_text *text, struct bpm_watch *watch, size_t limit)
{
	struct bp_closed *closed = calloc(CLOSED_MAX, sizeof *closed);
	uint64_t now_ns = bpm_now_ns();
	size_t n;

	if (!closed) {
		text->failed = true;
		return;
	}
	n = bp_endpoint_closed(watch->ep, closed, CLOSED_MAX);
	begin(text, now_ns - bpm_watch_moment(watch)->detail.since_ns, n);
	for (size_t i = 0; i < n && i < limit; i++)
		write_closed_row(text, &closed[i], now_ns);
	end(text);
	free(closed);
}

void bpm_write_connections(struct bpm_text *text, struct bpm_watch *watch,
    const struct bpm_selection *selection)
{
	if (selection->state == BP_STATES)
		write_closed(text, watch, selection->limit);
	else
		write_open(text, watch, selection);
}
