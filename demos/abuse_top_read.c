/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_top_read.c - from the JSON of the monitor to the picture that top draws. A
 * member that is missing, or something else than it should be, leaves a gap.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_top.h"

#include <math.h>
#include <string.h>

const struct top_sort top_sorts[] = {
	{ "held_bytes", "held" }, { "received_bytes", "received" },
	{ "sent_bytes", "sent" }, { "wait_p99_ns", "wait" }, { "out_bytes", "out" },
	{ "id", "age" }, { NULL, NULL },
};

static double number(const struct json *json, uint32_t object, const char *name)
{
	return json_double(json, json_member(json, object, name), NAN);
}

/* A number, at an offset of what begins at base. */
static double *member_at(void *base, size_t offset)
{
	return (double *)(void *)((char *)base + offset);
}

/* ---- now ------------------------------------------------------------------- */

static double sum(const struct json *json, uint32_t object)
{
	double total = 0;
	uint32_t name = json_first(json, object);

	for (; name != JSON_NONE; name = json_next(json, object, name + 1))
		total += json_double(json, name + 1, 0);
	return total;
}

static void read_reasons(struct top_view *view, const struct json *json, uint32_t closed)
{
	uint32_t name = json_first(json, closed);

	view->closed_n = 0;
	while (name != JSON_NONE && view->closed_n < TOP_REASONS) {
		struct top_reason *reason = &view->closed[view->closed_n++];

		json_copy(json, name, reason->name, sizeof reason->name);
		reason->n = json_double(json, name + 1, NAN);
		name = json_next(json, closed, name + 1);
	}
}

static void read_limits(struct top_view *view, const struct json *json, uint32_t limits)
{
	view->budget = number(json, limits, "budget_bytes");
	view->queue_bytes_max = number(json, limits, "queue_bytes");
	view->queue_events_max = number(json, limits, "queue_events");
	view->conns_max = number(json, limits, "connections");
}

bool top_read_status(struct top_view *view, const struct json *json)
{
	uint32_t states = json_member(json, 0, "states");
	char boot[sizeof view->boot];

	if (states == JSON_NONE)
		return false;
	json_copy(json, json_member(json, 0, "boot"), boot, sizeof boot);
	if (strcmp(boot, view->boot) != 0)
		*view = (struct top_view){ 0 };	/* another one, with another past */
	memcpy(view->boot, boot, sizeof boot);
	json_copy(json, json_member(json, 0, "name"), view->name, sizeof view->name);
	json_copy(json, json_member(json, 0, "qdisc"), view->qdisc, sizeof view->qdisc);
	json_copy(json, json_member(json, 0, "ready_says"), view->says, sizeof view->says);
	view->ready = json_true(json, json_member(json, 0, "ready"));
	view->closing = json_true(json, json_member(json, 0, "closing"));
	view->paused = json_true(json, json_member(json, 0, "paused"));
	view->stalled = json_true(json, json_member(json, 0, "stalled"));
	view->uptime_s = number(json, 0, "uptime_s");
	for (int i = 0; i < BP_STATES; i++)
		view->states[i] = number(json, states, bp_conn_state_name(i));
	read_limits(view, json, json_member(json, 0, "limits"));
	read_reasons(view, json, json_member(json, 0, "closed"));
	view->refused = sum(json, json_member(json, 0, "refused"));
	return true;
}

/* ---- what went before ------------------------------------------------------ */

static const struct column {
	const char *name;
	size_t at;
} columns[] = {
	{ "at_ns", offsetof(struct top_sample, at_ns) },
	{ "resident_bytes", offsetof(struct top_sample, resident) },
	{ "cpu_ns", offsetof(struct top_sample, cpu_ns) },
	{ "held_bytes", offsetof(struct top_sample, held) },
	{ "queued_bytes", offsetof(struct top_sample, queued_bytes) },
	{ "queued_events", offsetof(struct top_sample, queued_events) },
	{ "wait_p50_ns", offsetof(struct top_sample, wait_p50_ns) },
	{ "wait_p99_ns", offsetof(struct top_sample, wait_p99_ns) },
	{ "wait_max_ns", offsetof(struct top_sample, wait_max_ns) },
	{ "received_bytes", offsetof(struct top_sample, received) },
	{ "received_events", offsetof(struct top_sample, events) },
	{ "sent_bytes", offsetof(struct top_sample, sent) },
	{ "busy_ns", offsetof(struct top_sample, busy_ns) },
	{ "stalls", offsetof(struct top_sample, stalls) },
};

#define COLUMNS (sizeof columns / sizeof *columns)

/* A sample may be told twice: only what is later than the last one is kept. */
static void add_sample(struct top_view *view, const struct top_sample *sample)
{
	if (view->samples_n && !(sample->at_ns > view->samples[view->samples_n - 1].at_ns))
		return;
	if (view->samples_n == TOP_SAMPLES)
		memmove(view->samples, view->samples + 1,
		    (size_t)--view->samples_n * sizeof *view->samples);
	view->samples[view->samples_n++] = *sample;
}

bool top_read_history(struct top_view *view, const struct json *json)
{
	uint32_t all = json_member(json, 0, "columns"), at[COLUMNS], arrays[COLUMNS];
	uint32_t n = json_count(json, json_member(json, all, "at_ns"));
	struct top_sample sample;

	if (all == JSON_NONE)
		return false;
	for (size_t i = 0; i < COLUMNS; i++) {
		arrays[i] = json_member(json, all, columns[i].name);
		at[i] = json_first(json, arrays[i]);
	}
	for (uint32_t k = 0; k < n; k++) {
		for (size_t i = 0; i < COLUMNS; i++) {
			*member_at(&sample, columns[i].at) =
			    json_double(json, at[i], NAN);
			at[i] = json_next(json, arrays[i], at[i]);
		}
		add_sample(view, &sample);
	}
	return true;
}

const struct top_sample *top_last(const struct top_view *view)
{
	static const struct top_sample none = {
		NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN,
	};

	return view->samples_n ? &view->samples[view->samples_n - 1] : &none;
}

static double value_of(const struct top_sample *sample, size_t member)
{
	return *(const double *)(const void *)((const char *)sample + member);
}

double top_rate(const struct top_view *view, size_t member, int back)
{
	const struct top_sample *now;
	double ns;

	if (view->samples_n - back < 2)
		return NAN;
	now = &view->samples[view->samples_n - 1 - back];
	ns = now->at_ns - now[-1].at_ns;
	return ns > 0 ? (value_of(now, member) - value_of(now - 1, member)) * 1e9 / ns : NAN;
}

/* ---- connections ----------------------------------------------------------- */

static void read_row(struct top_row *row, const struct json *json, uint32_t value)
{
	row->id = number(json, value, "id");
	json_copy(json, json_member(json, value, "peer"), row->peer, sizeof row->peer);
	json_copy(json, json_member(json, value, "state"), row->state, sizeof row->state);
	row->received = number(json, value, "received_bytes");
	row->sent = number(json, value, "sent_bytes");
	row->held = number(json, value, "held_bytes");
	row->queued = number(json, value, "queued_bytes");
	row->out = number(json, value, "out_bytes");
	row->wait_p99_ns = number(json, value, "wait_p99_ns");
	row->age_ms = number(json, value, "age_ms");
	row->blocked_ns = number(json, value, "gate_ns");
	row->rwnd_limited_us = number(json, value, "rwnd_limited_us");
}

static const struct top_row *find_row(const struct top_row *rows, int n, double id)
{
	for (int i = 0; i < n; i++)
		if (rows[i].id == id)
			return &rows[i];
	return NULL;
}

static double share(double part)
{
	return part < 0 ? 0 : part > 1 ? 1 : part;
}

/* One that is new is compared with its beginning. */
static void compare_row(struct top_row *row, const struct top_row *last, double ns)
{
	static const struct top_row nothing;

	if (!last || !(ns > 0)) {
		last = &nothing;
		ns = row->age_ms * 1e6;
	}
	row->in_rate = (row->received - last->received) * 1e9 / ns;
	row->out_rate = (row->sent - last->sent) * 1e9 / ns;
	row->blocked = share((row->blocked_ns - last->blocked_ns) / ns);
	row->rwnd_limited = share((row->rwnd_limited_us - last->rwnd_limited_us) * 1e3 / ns);
}

bool top_read_rows(struct top_view *view, const struct json *json)
{
	static struct top_row before[TOP_ROWS];
	uint32_t rows = json_member(json, 0, "rows"), value = json_first(json, rows);
	double at_ns = number(json, 0, "at_ns"), ns = at_ns - view->rows_at_ns;
	int before_n = view->rows_n;

	if (rows == JSON_NONE)
		return false;
	memcpy(before, view->rows, sizeof before);
	view->rows_at_ns = at_ns;
	view->rows_total = number(json, 0, "total");
	view->rows_n = 0;
	for (; value != JSON_NONE && view->rows_n < TOP_ROWS;
	    value = json_next(json, rows, value)) {
		struct top_row *row = &view->rows[view->rows_n++];

		read_row(row, json, value);
		compare_row(row, find_row(before, before_n, row->id), ns);
	}
	return true;
}
