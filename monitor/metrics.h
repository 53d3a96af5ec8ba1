/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.h - the metrics, of which there is one table. A metric is a number, a
 * histogram, or one number for each value of a label; how it is written is the
 * business of openmetrics.c, ekg.c and status.c.
 */
#ifndef BPM_METRICS_H
#define BPM_METRICS_H

#include "text.h"
#include "watch.h"

enum bpm_type { BPM_COUNTER, BPM_GAUGE, BPM_HISTOGRAM };
enum bpm_unit { BPM_NO_UNIT, BPM_BYTES, BPM_SECONDS };	/* seconds are kept in ns */

struct bpm_metric {
	const char *name;	/* Prometheus', without bpthread_ and _total */
	enum bpm_type type;
	enum bpm_unit unit;
	const char *help;	/* one sentence, nothing to escape in it */
	const char *label;	/* "state", or NULL */
	const char *(*label_value)(int i);
	int first, n;		/* values of the label */
	size_t offset, size;	/* in struct bpm_moment; of one number, in bytes */
	bool standard;		/* one of Prometheus' own, process_...: no prefix */
};

extern const struct bpm_metric bpm_metrics[];
extern const size_t bpm_n_metrics;

/* The i-th number of it, 0 if it has no label. UINT64_MAX: no limit. */
uint64_t bpm_metric_value(const struct bpm_metric *metric,
    const struct bpm_moment *moment, int i);
const struct bp_histogram *bpm_metric_histogram(const struct bpm_metric *metric,
    const struct bpm_moment *moment);

const char *bpm_type_name(enum bpm_type type);
const char *bpm_unit_name(enum bpm_unit unit);		/* "" if it has none */

/*
 * EKG's name of the i-th number: "endpoint.held_bytes", "process.cpu_seconds",
 * "endpoint.connections_closed.stalled_write".
 */
#define BPM_PATH_MAX 96
void bpm_metric_path(char path[BPM_PATH_MAX], const struct bpm_metric *metric, int i);

/* How many have come up to 2^k - 1; of all of them: BP_HISTOGRAM_BUCKETS - 1. */
uint64_t bpm_histogram_up_to(const struct bp_histogram *histogram, int k);

/* As a number of its unit; no limit is +Inf, or null in JSON. */
void bpm_metric_write(struct bpm_text *text, const struct bpm_metric *metric,
    uint64_t value);
void bpm_metric_write_json(struct bpm_text *text, const struct bpm_metric *metric,
    uint64_t value);

#endif /* BPM_METRICS_H */
