/* SPDX-License-Identifier: BSD-2-Clause */
/* metrics.c - see metrics.h. */
#include "config.h"

#include "metrics.h"

#include <stdio.h>
#include <string.h>

static const char *state_name(int i)
{
	return bp_conn_state_name((enum bp_conn_state)i);
}

static const char *reason_name(int i)
{
	return bp_reason_name((enum bp_reason)i);
}

static const char *refusal_name(int i)
{
	return bp_refusal_name((enum bp_refusal)i);
}

#define AT(member) .offset = offsetof(struct bpm_moment, member), \
	.size = sizeof ((struct bpm_moment *)NULL)->member
#define AT_EACH(member) .offset = offsetof(struct bpm_moment, member), \
	.size = sizeof ((struct bpm_moment *)NULL)->member[0]

const struct bpm_metric bpm_metrics[] = {
	/* ---- connections */
	{ "connections", BPM_GAUGE, BPM_NO_UNIT,
	  "Connections by what they do, the first state that holds.",
	  .label = "state", state_name, 0, BP_STATES, AT_EACH(detail.states) },
	{ "connections_places", BPM_GAUGE, BPM_NO_UNIT,
	  "Places taken of the limit, also by what is being made, or gone but not freed.",
	  AT(detail.stats.conns) },
	{ "connections_limit", BPM_GAUGE, BPM_NO_UNIT,
	  "Connections at which accepting pauses.", AT(detail.stats.conns_max) },
	{ "connections_accepted", BPM_COUNTER, BPM_NO_UNIT,
	  "Connections accepted or adopted.", AT(detail.accepted) },
	{ "connections_made", BPM_COUNTER, BPM_NO_UNIT,
	  "Connections made to others.", AT(detail.connected) },
	{ "connections_rejected", BPM_COUNTER, BPM_NO_UNIT,
	  "Connections closed at once after they were accepted.",
	  .label = "reason", refusal_name, 0, BP_REFUSALS, AT_EACH(detail.refusals) },
	{ "connections_closed", BPM_COUNTER, BPM_NO_UNIT,
	  "Connections that have ended, by the first reason that held.",
	  .label = "reason", reason_name, BP_REASON_LOCAL, BP_REASONS - BP_REASON_LOCAL,
	  AT_EACH(detail.stats.ended) },
	{ "accept_paused_seconds", BPM_COUNTER, BPM_SECONDS,
	  "Time that listeners did not accept for want of room, of all listeners.",
	  AT(detail.paused_ns) },

	/* ---- traffic */
	{ "received_bytes", BPM_COUNTER, BPM_BYTES,
	  "Payload queued or handed to a handler.", AT(detail.stats.received_bytes) },
	{ "sent_bytes", BPM_COUNTER, BPM_BYTES,
	  "Bytes written to sockets.", AT(detail.stats.sent_bytes) },
	{ "frame_bytes", BPM_HISTOGRAM, BPM_BYTES,
	  "Size of the frames received.", AT(detail.frame) },

	/* ---- the queue, and the gate before it */
	{ "events_enqueued", BPM_COUNTER, BPM_NO_UNIT,
	  "Frames queued or handed to a handler.", AT(detail.stats.received_events) },
	{ "events_dequeued", BPM_COUNTER, BPM_NO_UNIT,
	  "Events taken by the program or handled.", AT(detail.dequeued_events) },
	{ "queue_events", BPM_GAUGE, BPM_NO_UNIT,
	  "Events not yet taken.", AT(detail.stats.queued_events) },
	{ "queue_limit_events", BPM_GAUGE, BPM_NO_UNIT,
	  "Events the discipline queues at most.", AT(detail.queue_events_max) },
	{ "queue_bytes", BPM_GAUGE, BPM_BYTES,
	  "Payload not yet taken.", AT(detail.stats.queued_bytes) },
	{ "queue_limit_bytes", BPM_GAUGE, BPM_BYTES,
	  "Bytes the discipline queues at most.", AT(detail.queue_bytes_max) },
	{ "queue_wait_seconds", BPM_HISTOGRAM, BPM_SECONDS,
	  "Time from an event's arrival until it was taken.", AT(detail.wait) },
	{ "gate_wait_seconds", BPM_HISTOGRAM, BPM_SECONDS,
	  "Time a reader waited for room or its turn, each time.", AT(detail.gate) },
	{ "gate_blocked_seconds", BPM_COUNTER, BPM_SECONDS,
	  "Time that readers waited at the gate, of all connections.",
	  AT(detail.gate_ns) },
	{ "gate_waits", BPM_COUNTER, BPM_NO_UNIT,
	  "Waits at the gate that have begun.", AT(detail.gate_waits) },
	{ "futile_wakeups", BPM_COUNTER, BPM_NO_UNIT,
	  "Threads woken that found nothing to do.",
	  AT(detail.stats.futile_wakeups) },

	/* ---- memory */
	{ "held_bytes", BPM_GAUGE, BPM_BYTES,
	  "Bytes charged for what was read and not yet released.",
	  AT(detail.stats.held_bytes) },
	{ "budget_bytes", BPM_GAUGE, BPM_BYTES,
	  "Bytes held at most.", AT(detail.stats.budget) },

	/* ---- the way out */
	{ "send_queue_bytes", BPM_GAUGE, BPM_BYTES,
	  "Bytes queued to be sent, of all connections.", AT(detail.stats.out_bytes) },
	{ "send_wait_seconds", BPM_HISTOGRAM, BPM_SECONDS,
	  "Time a send waited for its connection to take more, each time.",
	  AT(detail.send) },
	{ "throttled", BPM_COUNTER, BPM_NO_UNIT,
	  "Times that a connection was throttled.", AT(detail.throttles) },
	{ "unthrottled", BPM_COUNTER, BPM_NO_UNIT,
	  "Times that a connection was throttled no more.", AT(detail.unthrottles) },
	{ "throttled_seconds", BPM_COUNTER, BPM_SECONDS,
	  "Time spent throttled, of all connections.", AT(detail.throttled_ns) },

	/* ---- the program */
	{ "busy_seconds", BPM_COUNTER, BPM_SECONDS,
	  "Time that events were with the program, of all connections.",
	  AT(detail.busy_ns) },
	{ "muted_seconds", BPM_COUNTER, BPM_SECONDS,
	  "Time spent muted, of all connections.", AT(detail.muted_ns) },
	{ "stalls", BPM_COUNTER, BPM_NO_UNIT,
	  "Times that nothing moved for long while there was something to do.",
	  AT(detail.stats.stalls) },

	/* ---- the process, as Prometheus calls it */
	{ "process_cpu_seconds", BPM_COUNTER, BPM_SECONDS,
	  "Processor time used, by the program and the kernel for it.",
	  AT(process.cpu_ns), .standard = true },
	{ "process_resident_memory_bytes", BPM_GAUGE, BPM_BYTES,
	  "Resident memory.", AT(process.resident_bytes), .standard = true },
	{ "process_virtual_memory_bytes", BPM_GAUGE, BPM_BYTES,
	  "Virtual memory.", AT(process.virtual_bytes), .standard = true },
	{ "process_open_fds", BPM_GAUGE, BPM_NO_UNIT,
	  "Open descriptors.", AT(process.fds), .standard = true },
	{ "process_max_fds", BPM_GAUGE, BPM_NO_UNIT,
	  "Descriptors it may open.", AT(process.fds_max), .standard = true },
	{ "process_threads", BPM_GAUGE, BPM_NO_UNIT,
	  "Threads.", AT(process.threads), .standard = true },
	{ "process_start_time_seconds", BPM_GAUGE, BPM_SECONDS,
	  "When it was started, since 1970.",
	  AT(process.started_ns), .standard = true },
};
const size_t bpm_n_metrics = sizeof bpm_metrics / sizeof bpm_metrics[0];

uint64_t bpm_metric_value(const struct bpm_metric *metric,
    const struct bpm_moment *moment, int i)
{
	const char *at = (const char *)moment + metric->offset;
	uint64_t n64;
	size_t n;

	at += metric->size * (size_t)(metric->first + i);
	if (metric->size == sizeof n64) {
		memcpy(&n64, at, sizeof n64);
		return n64;
	}
	memcpy(&n, at, sizeof n);	/* where it is the shorter one */
	return n == SIZE_MAX ? UINT64_MAX : n;
}

const struct bp_histogram *bpm_metric_histogram(const struct bpm_metric *metric,
    const struct bpm_moment *moment)
{
	return (const void *)((const char *)moment + metric->offset);
}

const char *bpm_type_name(enum bpm_type type)
{
	static const char *const name[] = { "counter", "gauge", "histogram" };

	return name[type];
}

const char *bpm_unit_name(enum bpm_unit unit)
{
	static const char *const name[] = { "", "bytes", "seconds" };

	return name[unit];
}

void bpm_metric_path(char path[BPM_PATH_MAX], const struct bpm_metric *metric, int i)
{
	const char *value = metric->label ? metric->label_value(metric->first + i) : "";
	const char *dot = metric->label ? "." : "";

	if (metric->standard)
		snprintf(path, BPM_PATH_MAX, "process.%s", metric->name + 8);
	else
		snprintf(path, BPM_PATH_MAX, "endpoint.%s%s%s", metric->name, dot,
		    value);
	for (; *path; path++)
		if (*path == ' ')
			*path = '_';
}

uint64_t bpm_histogram_up_to(const struct bp_histogram *histogram, int k)
{
	uint64_t n = 0;

	for (int i = 0; i <= k; i++)
		n += histogram->buckets[i];
	return n;
}

void bpm_metric_write(struct bpm_text *text, const struct bpm_metric *metric,
    uint64_t value)
{
	if (value == UINT64_MAX)
		bpm_text_string(text, "+Inf");
	else if (metric->unit == BPM_SECONDS)
		bpm_text_seconds(text, value);
	else
		bpm_text_number(text, value);
}

void bpm_metric_write_json(struct bpm_text *text, const struct bpm_metric *metric,
    uint64_t value)
{
	if (value == UINT64_MAX)
		bpm_json_null(text);
	else if (metric->unit == BPM_SECONDS)
		bpm_json_seconds(text, value);
	else
		bpm_json_number(text, value);
}
