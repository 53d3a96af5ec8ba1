/* SPDX-License-Identifier: BSD-2-Clause */
/* status.c - how it is now: for the page, and in one line for a terminal. */
#include "config.h"

#include "formats.h"
#include "metrics.h"

#include <string.h>

static void write_limits(struct bpm_text *text, const struct bp_endpoint_detail *detail)
{
	bpm_json_key(text, "limits");
	bpm_json_open(text, '{');
	bpm_json_key(text, "budget_bytes");
	bpm_json_limit(text, detail->stats.budget);
	bpm_json_key(text, "queue_bytes");
	bpm_json_limit(text, detail->queue_bytes_max);
	bpm_json_key(text, "queue_events");
	bpm_json_limit(text, detail->queue_events_max);
	bpm_json_key(text, "connections");
	bpm_json_limit(text, detail->stats.conns_max);
	bpm_json_close(text, '}');
}

static void write_counts(struct bpm_text *text, const struct bp_endpoint_detail *detail)
{
	bpm_json_key(text, "states");
	bpm_json_open(text, '{');
	for (int i = 0; i < BP_STATES; i++)
		bpm_json_member(text, bp_conn_state_name((enum bp_conn_state)i),
		    detail->states[i]);
	bpm_json_close(text, '}');

	bpm_json_key(text, "closed");
	bpm_json_open(text, '{');
	for (int i = BP_REASON_LOCAL; i < BP_REASONS; i++)
		if (detail->stats.ended[i] > 0)
			bpm_json_member(text, bp_reason_name((enum bp_reason)i),
			    detail->stats.ended[i]);
	bpm_json_close(text, '}');

	bpm_json_key(text, "refused");
	bpm_json_open(text, '{');
	for (int i = 0; i < BP_REFUSALS; i++)
		bpm_json_member(text, bp_refusal_name((enum bp_refusal)i),
		    detail->refusals[i]);
	bpm_json_close(text, '}');
}

/* ---- every metric ------------------------------------------------------- */

static void begin_metric(struct bpm_text *text, const char *path, const char *part,
    enum bpm_type type, const char *unit)
{
	bpm_json_open(text, '{');
	bpm_json_key(text, "name");
	bpm_text_format(text, "\"%s%s\"", path, part);
	bpm_json_key(text, "type");
	bpm_json_string(text, bpm_type_name(type));
	bpm_json_key(text, "unit");
	bpm_json_string(text, unit);
	bpm_json_key(text, "value");
}

static void end_metric(struct bpm_text *text, const struct bpm_metric *metric)
{
	bpm_json_key(text, "help");
	bpm_json_string(text, metric->help);
	bpm_json_close(text, '}');
}

/* The numbers of a histogram that can be drawn. */
static void write_histogram(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bp_histogram *histogram, const char *path)
{
	const struct {
		const char *part;
		enum bpm_type type;
		uint64_t value;
	} parts[] = {
		{ ".sum", BPM_COUNTER, histogram->sum },
		{ ".p50", BPM_GAUGE, histogram->p50 },
		{ ".p99", BPM_GAUGE, histogram->p99 },
		{ ".max", BPM_GAUGE, histogram->max },
	};

	begin_metric(text, path, ".count", BPM_COUNTER, "");
	bpm_json_number(text, bpm_histogram_up_to(histogram, BP_HISTOGRAM_BUCKETS - 1));
	end_metric(text, metric);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		begin_metric(text, path, parts[i].part, parts[i].type,
		    bpm_unit_name(metric->unit));
		bpm_metric_write_json(text, metric, parts[i].value);
		end_metric(text, metric);
	}
}

static void write_metric(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bpm_moment *moment)
{
	char path[BPM_PATH_MAX];

	for (int i = 0; i < (metric->label ? metric->n : 1); i++) {
		bpm_metric_path(path, metric, i);
		if (metric->type == BPM_HISTOGRAM) {
			write_histogram(text, metric,
			    bpm_metric_histogram(metric, moment), path);
			continue;
		}
		begin_metric(text, path, "", metric->type, bpm_unit_name(metric->unit));
		bpm_metric_write_json(text, metric,
		    bpm_metric_value(metric, moment, i));
		end_metric(text, metric);
	}
}

void bpm_write_status(struct bpm_text *text, struct bpm_watch *watch)
{
	const struct bpm_moment *moment = bpm_watch_moment(watch);
	const char *says = bpm_watch_ready(moment);

	bpm_json_open(text, '{');
	bpm_json_key(text, "version");
	bpm_json_string(text, BP_VERSION);
	bpm_json_key(text, "name");
	bpm_json_string(text, watch->name);
	bpm_json_key(text, "qdisc");
	bpm_json_string(text, moment->detail.qdisc);
	bpm_json_key(text, "boot");
	bpm_json_string(text, watch->boot);
	bpm_json_member(text, "time_ms", moment->time_ms);
	bpm_json_member(text, "at_ns", moment->at_ns);
	bpm_json_key(text, "uptime_s");
	bpm_json_seconds(text, moment->at_ns);
	bpm_json_key(text, "ready");
	bpm_json_bool(text, strcmp(says, "ok") == 0);
	bpm_json_key(text, "ready_says");
	bpm_json_string(text, says);
	bpm_json_key(text, "closing");
	bpm_json_bool(text, moment->detail.closing);
	bpm_json_key(text, "paused");
	bpm_json_bool(text, moment->detail.paused);
	bpm_json_key(text, "stalled");
	bpm_json_bool(text, moment->detail.stalled);
	write_limits(text, &moment->detail);
	write_counts(text, &moment->detail);
	bpm_json_key(text, "metrics");
	bpm_json_open(text, '[');
	for (size_t i = 0; i < bpm_n_metrics; i++)
		write_metric(text, &bpm_metrics[i], moment);
	bpm_json_close(text, ']');
	bpm_json_close(text, '}');
	bpm_text_string(text, "\n");
}

/* ---- one line ------------------------------------------------------------ */

static void write_amount(struct bpm_text *text, uint64_t bytes)
{
	static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB" };
	double amount = (double)bytes / 1024;
	int i = 0;

	for (; amount >= 1000 && i < 3; i++)
		amount /= 1024;
	bpm_text_format(text, "%.*f %s", amount < 100, amount, unit[i]);
}

/* A name is the program's own; for a terminal even so without control characters. */
static void write_name(struct bpm_text *text, const char *name)
{
	for (; *name; name++)
		bpm_text_add(text, (unsigned char)*name < ' ' || *name == 0x7f
		    ? "?" : name, 1);
}

void bpm_write_line(struct bpm_text *text, struct bpm_watch *watch)
{
	const struct bpm_moment *moment = bpm_watch_moment(watch);
	const struct bp_endpoint_detail *detail = &moment->detail;
	unsigned long long s = moment->at_ns / 1000000000;

	write_name(text, watch->name);
	bpm_text_string(text, ": ");
	bpm_text_string(text, bpm_watch_ready(moment));
	bpm_text_format(text, ", up %02llu:%02llu:%02llu, %zu connections "
	    "(%zu waiting, %zu throttled), ", s / 3600, s / 60 % 60, s % 60, detail->stats.conns,
	    detail->stats.waiting, detail->stats.throttled);
	bpm_text_string(text, "resident ");
	write_amount(text, moment->process.resident_bytes);
	bpm_text_string(text, ", held ");
	write_amount(text, detail->stats.held_bytes);
	if (detail->stats.budget != BP_UNLIMITED) {
		bpm_text_string(text, " of ");
		write_amount(text, detail->stats.budget);
	}
	bpm_text_format(text, ", queue %zu events, ", detail->stats.queued_events);
	write_amount(text, detail->stats.queued_bytes);
	bpm_text_string(text, ", in ");
	write_amount(text, detail->stats.received_bytes);
	bpm_text_string(text, ", out ");
	write_amount(text, detail->stats.sent_bytes);
	bpm_text_string(text, "\n");
}
