/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history.c - what went before, in columns, as plots take it. Times are since the
 * endpoint was made, so that they stay small enough for a browser's numbers.
 */
#include "config.h"

#include "formats.h"

#include <stdio.h>
#include <stdlib.h>

#define AT(member) offsetof(struct bp_sample, member)

/* As in struct bp_sample; after at_ns the states follow by their names. */
static const struct {
	const char *name;
	size_t offset;
} columns[] = {
	{ "resident_bytes", AT(resident_bytes) },
	{ "cpu_ns", AT(cpu_ns) },
	{ "held_bytes", AT(held_bytes) },
	{ "queued_bytes", AT(queued_bytes) },
	{ "queued_events", AT(queued_events) },
	{ "out_bytes", AT(out_bytes) },
	{ "wait_p50_ns", AT(wait_p50_ns) },
	{ "wait_p99_ns", AT(wait_p99_ns) },
	{ "wait_max_ns", AT(wait_max_ns) },
	{ "received_bytes", AT(received_bytes) },
	{ "received_events", AT(received_events) },
	{ "sent_bytes", AT(sent_bytes) },
	{ "accepted", AT(accepted) },
	{ "connected", AT(connected) },
	{ "closed", AT(closed) },
	{ "refused", AT(refused) },
	{ "busy_ns", AT(busy_ns) },
	{ "gate_ns", AT(gate_ns) },
	{ "throttled_ns", AT(throttled_ns) },
	{ "muted_ns", AT(muted_ns) },
	{ "paused_ns", AT(paused_ns) },
	{ "throttles", AT(throttles) },
	{ "gate_waits", AT(gate_waits) },
	{ "stalls", AT(stalls) },
};

static void write_column(struct bpm_text *text, const struct bp_sample *samples,
    size_t n, const char *prefix, const char *name, size_t offset, uint64_t less)
{
	const char *at = (const char *)samples + offset;
	char key[64];

	snprintf(key, sizeof key, "%s%s", prefix, name);
	bpm_json_key(text, key);
	bpm_json_open(text, '[');
	for (size_t i = 0; i < n; i++, at += sizeof *samples)
		bpm_json_number(text, *(const uint64_t *)(const void *)at - less);
	bpm_json_close(text, ']');
}

static void write_columns(struct bpm_text *text, const struct bp_sample *samples,
    size_t n, uint64_t since_ns)
{
	bpm_json_key(text, "columns");
	bpm_json_open(text, '{');
	write_column(text, samples, n, "", "at_ns", AT(at_ns), since_ns);
	for (int i = 0; i < BP_STATES; i++)
		write_column(text, samples, n, "state_",
		    bp_conn_state_name((enum bp_conn_state)i),
		    AT(states) + (size_t)i * sizeof samples->states[0], 0);
	for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++)
		write_column(text, samples, n, "", columns[i].name,
		    columns[i].offset, 0);
	bpm_json_close(text, '}');
}

void bpm_write_history(struct bpm_text *text, struct bpm_watch *watch,
    enum bp_resolution resolution, uint64_t since_ns)
{
	const struct bpm_moment *moment = bpm_watch_moment(watch);
	uint64_t began_ns = moment->detail.since_ns;
	struct bp_sample *samples = calloc(BP_HISTORY_MAX, sizeof *samples);
	size_t n;

	if (!samples) {
		text->failed = true;
		return;
	}
	n = bp_history_read(watch->history, resolution,
	    since_ns < UINT64_MAX - began_ns ? began_ns + since_ns : UINT64_MAX,
	    samples, BP_HISTORY_MAX);
	bpm_json_open(text, '{');
	bpm_json_key(text, "boot");
	bpm_json_string(text, watch->boot);
	bpm_json_member(text, "step_s", resolution == BP_EVERY_SECOND ? 1 : 10);
	bpm_json_member(text, "time_ms", moment->time_ms);
	bpm_json_member(text, "at_ns", moment->at_ns);
	write_columns(text, samples, n, began_ns);
	bpm_json_close(text, '}');
	bpm_text_string(text, "\n");
	free(samples);
}
