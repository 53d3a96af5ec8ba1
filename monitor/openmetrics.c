/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * openmetrics.c - the metrics for Prometheus, in OpenMetrics 1.0 or the text
 * format 0.0.4 before it. They differ in what a counter's family is called,
 * with or without _total, in units, in build_info, and in the end.
 */
#include "config.h"

#include "formats.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES_LOG2_MAX 30	/* the last of sizes: 1 GiB, in steps of 4 */
#define BYTES_STEP 2
#define SECONDS_LOG2_MIN 10	/* the first and last of times: 1 us, 69 s */
#define SECONDS_LOG2_MAX 36

static const char *prefix_of(const struct bpm_metric *metric)
{
	return metric->standard ? "" : "bpthread_";
}

static void write_head(struct bpm_text *text, const struct bpm_metric *metric,
    bool open)
{
	const char *prefix = prefix_of(metric), *unit = bpm_unit_name(metric->unit);
	const char *total = metric->type == BPM_COUNTER && !open ? "_total" : "";

	bpm_text_format(text, "# HELP %s%s%s %s\n", prefix, metric->name, total,
	    metric->help);
	bpm_text_format(text, "# TYPE %s%s%s %s\n", prefix, metric->name, total,
	    bpm_type_name(metric->type));
	if (open && *unit)
		bpm_text_format(text, "# UNIT %s%s %s\n", prefix, metric->name, unit);
}

static void write_numbers(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bpm_moment *moment)
{
	const char *total = metric->type == BPM_COUNTER ? "_total" : "";
	int n = metric->label ? metric->n : 1;

	for (int i = 0; i < n; i++) {
		bpm_text_format(text, "%s%s%s", prefix_of(metric), metric->name, total);
		if (metric->label)
			bpm_text_format(text, "{%s=\"%s\"}", metric->label,
			    metric->label_value(metric->first + i));
		bpm_text_string(text, " ");
		bpm_metric_write(text, metric, bpm_metric_value(metric, moment, i));
		bpm_text_string(text, "\n");
	}
}

/* ---- histograms ---------------------------------------------------------- */

/* The shortest decimal that is this number: le is compared as text. */
static void write_le(struct bpm_text *text, double le)
{
	char digits[320];	/* as the compiler reckons */
	int precision = 1;

	do
		snprintf(digits, sizeof digits, "%.*g", precision++, le);
	while (strtod(digits, NULL) != le);
	bpm_text_string(text, digits);
}

static void write_bucket(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bp_histogram *histogram, int k, double le)
{
	bpm_text_format(text, "%s%s_bucket{le=\"", prefix_of(metric), metric->name);
	write_le(text, le);
	bpm_text_format(text, "\"} %llu\n",
	    (unsigned long long)bpm_histogram_up_to(histogram, k));
}

/*
 * A bucket ends below a power of two: of bytes that is a number of its own, and
 * frames of just 1024 are common; of nanoseconds nobody can tell.
 */
static void write_histogram(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bp_histogram *histogram)
{
	const char *prefix = prefix_of(metric);
	unsigned long long count = bpm_histogram_up_to(histogram,
	    BP_HISTOGRAM_BUCKETS - 1);

	if (metric->unit == BPM_SECONDS)
		for (int k = SECONDS_LOG2_MIN; k <= SECONDS_LOG2_MAX; k++)
			write_bucket(text, metric, histogram, k,
			    (double)(UINT64_C(1) << k) / 1e9);
	else
		for (int k = 0; k <= BYTES_LOG2_MAX; k += BYTES_STEP)
			write_bucket(text, metric, histogram, k,
			    (double)(UINT64_C(1) << k) - 1);
	bpm_text_format(text, "%s%s_bucket{le=\"+Inf\"} %llu\n", prefix, metric->name,
	    count);
	bpm_text_format(text, "%s%s_sum ", prefix, metric->name);
	bpm_metric_write(text, metric, histogram->sum);
	bpm_text_format(text, "\n%s%s_count %llu\n", prefix, metric->name, count);
}

/* ---- all ----------------------------------------------------------------- */

static void write_build(struct bpm_text *text, const struct bpm_moment *moment,
    bool open)
{
	const char *info = open ? "" : "_info";

	bpm_text_format(text, "# HELP bpthread_build%s What is running.\n", info);
	bpm_text_format(text, "# TYPE bpthread_build%s %s\n", info,
	    open ? "info" : "gauge");
	bpm_text_string(text,
	    "bpthread_build_info{version=\"" BP_VERSION "\",qdisc=\"");
	for (const char *c = moment->detail.qdisc; *c; c++) {
		if (*c == '"' || *c == '\\')
			bpm_text_add(text, "\\", 1);
		bpm_text_add(text, *c == '\n' ? "\\n" : c, *c == '\n' ? 2 : 1);
	}
	bpm_text_string(text, "\"} 1\n");
}

void bpm_write_metrics(struct bpm_text *text, struct bpm_watch *watch, bool open)
{
	const struct bpm_moment *moment = bpm_watch_moment(watch);
	const struct bpm_metric *metric;

	for (size_t i = 0; i < bpm_n_metrics; i++) {
		metric = &bpm_metrics[i];
		write_head(text, metric, open);
		if (metric->type == BPM_HISTOGRAM)
			write_histogram(text, metric,
			    bpm_metric_histogram(metric, moment));
		else
			write_numbers(text, metric, moment);
	}
	write_build(text, moment, open);
	if (open)
		bpm_text_string(text, "# EOF\n");
}
