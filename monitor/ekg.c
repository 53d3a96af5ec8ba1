/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ekg.c - the metrics as Haskell's EKG gives them: nested by the dots of their
 * names, and each an object of its type, c g l d, and its value. A histogram is
 * a distribution, and what it does not keep is taken from its buckets: the
 * least, the variance.
 */
#include "config.h"

#include "formats.h"
#include "metrics.h"

#include <string.h>

static void write_label(struct bpm_text *text, const char *value)
{
	bpm_json_open(text, '{');
	bpm_json_key(text, "type");
	bpm_json_string(text, "l");
	bpm_json_key(text, "val");
	bpm_json_string(text, value);
	bpm_json_close(text, '}');
}

static void write_number(struct bpm_text *text, const struct bpm_metric *metric,
    uint64_t value)
{
	bpm_json_open(text, '{');
	bpm_json_key(text, "type");
	bpm_json_string(text, metric->type == BPM_COUNTER ? "c" : "g");
	bpm_json_key(text, "val");
	bpm_metric_write_json(text, metric, value);
	bpm_json_close(text, '}');
}

/* ---- distributions ------------------------------------------------------- */

struct moments {
	double count, mean, variance, least;
};

static double least_of(int bucket)
{
	return bucket ? (double)(UINT64_C(1) << (bucket - 1)) : 0;
}

/* In ns or bytes; a value is taken for the middle of its bucket. */
static struct moments moments_of(const struct bp_histogram *histogram)
{
	struct moments m = { 0 };
	double n, middle;

	for (int i = BP_HISTOGRAM_BUCKETS - 1; i >= 0; i--) {
		if (histogram->buckets[i] == 0)
			continue;
		m.count += (double)histogram->buckets[i];
		m.least = least_of(i);
	}
	if (m.count == 0)
		return m;
	m.mean = (double)histogram->sum / m.count;
	for (int i = 0; i < BP_HISTOGRAM_BUCKETS; i++) {
		n = (double)histogram->buckets[i];
		middle = 1.5 * least_of(i);
		m.variance += n / m.count * (middle - m.mean) * (middle - m.mean);
	}
	return m;
}

static void write_double(struct bpm_text *text, const char *key, double value)
{
	bpm_json_key(text, key);
	bpm_text_format(text, "%.15g", value);
}

static void write_distribution(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bp_histogram *histogram)
{
	struct moments m = moments_of(histogram);
	double unit = metric->unit == BPM_SECONDS ? 1e-9 : 1;

	bpm_json_open(text, '{');
	bpm_json_key(text, "type");
	bpm_json_string(text, "d");
	write_double(text, "count", m.count);
	write_double(text, "mean", m.mean * unit);
	write_double(text, "variance", m.variance * unit * unit);
	write_double(text, "sum", (double)histogram->sum * unit);
	write_double(text, "min", m.least * unit);
	write_double(text, "max", (double)histogram->max * unit);
	bpm_json_close(text, '}');
}

/* ---- the tree ------------------------------------------------------------ */

/* The numbers of a label are one object more. */
static void write_metric(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bpm_moment *moment)
{
	char path[BPM_PATH_MAX];

	if (metric->label)
		bpm_json_open(text, '{');
	for (int i = 0; i < (metric->label ? metric->n : 1); i++) {
		bpm_metric_path(path, metric, i);
		if (metric->label)
			bpm_json_key(text, strrchr(path, '.') + 1);
		if (metric->type == BPM_HISTOGRAM)
			write_distribution(text, metric,
			    bpm_metric_histogram(metric, moment));
		else
			write_number(text, metric, bpm_metric_value(metric, moment, i));
	}
	if (metric->label)
		bpm_json_close(text, '}');
}

static void write_tree(struct bpm_text *text, const struct bpm_moment *moment,
    bool standard)
{
	char path[BPM_PATH_MAX], *name;

	bpm_json_open(text, '{');
	for (size_t i = 0; i < bpm_n_metrics; i++) {
		if (bpm_metrics[i].standard != standard)
			continue;
		bpm_metric_path(path, &bpm_metrics[i], 0);
		name = strchr(path, '.') + 1;
		name[strcspn(name, ".")] = '\0';
		bpm_json_key(text, name);
		write_metric(text, &bpm_metrics[i], moment);
	}
}

void bpm_write_ekg(struct bpm_text *text, struct bpm_watch *watch)
{
	const struct bpm_moment *moment = bpm_watch_moment(watch);

	bpm_json_open(text, '{');
	bpm_json_key(text, "endpoint");
	write_tree(text, moment, false);
	bpm_json_key(text, "qdisc");
	write_label(text, moment->detail.qdisc);
	bpm_json_close(text, '}');
	bpm_json_key(text, "process");
	write_tree(text, moment, true);
	bpm_json_key(text, "name");
	write_label(text, watch->name);
	bpm_json_close(text, '}');
	bpm_json_close(text, '}');
}

/* ---- one of them --------------------------------------------------------- */

/* Those two that are not numbers. */
static const char *label_at(const struct bpm_watch *watch, const char *path)
{
	if (strcmp(path, "endpoint.qdisc") == 0)
		return watch->moment.detail.qdisc;
	return strcmp(path, "process.name") == 0 ? watch->name : NULL;
}

static bool find(const char *path, const struct bpm_metric **ret_metric, int *ret_i)
{
	char own[BPM_PATH_MAX];

	for (size_t i = 0; i < bpm_n_metrics; i++) {
		const struct bpm_metric *metric = &bpm_metrics[i];

		for (int k = 0; k < (metric->label ? metric->n : 1); k++) {
			bpm_metric_path(own, metric, k);
			if (strcmp(own, path) != 0)
				continue;
			*ret_metric = metric;
			*ret_i = k;
			return true;
		}
	}
	return false;
}

/* A histogram has no bare number but how many it has seen. */
static void write_plain(struct bpm_text *text, const struct bpm_metric *metric,
    const struct bpm_moment *moment, int i)
{
	if (metric->type == BPM_HISTOGRAM)
		bpm_text_number(text, bpm_histogram_up_to(
		    bpm_metric_histogram(metric, moment), BP_HISTOGRAM_BUCKETS - 1));
	else
		bpm_metric_write(text, metric, bpm_metric_value(metric, moment, i));
}

bool bpm_write_ekg_one(struct bpm_text *text, struct bpm_watch *watch,
    const char *path, bool plain)
{
	const struct bpm_moment *moment = bpm_watch_moment(watch);
	const struct bpm_metric *metric;
	char dotted[BPM_PATH_MAX];
	const char *label;
	int i;

	if (strlen(path) >= sizeof dotted || strchr(path, '.'))
		return false;
	strcpy(dotted, path);
	for (char *c = dotted; *c; c++)
		if (*c == '/')
			*c = '.';
	if ((label = label_at(watch, dotted))) {
		if (plain)
			bpm_text_string(text, label);
		else
			write_label(text, label);
	} else if (find(dotted, &metric, &i)) {
		if (plain)
			write_plain(text, metric, moment, i);
		else if (metric->type == BPM_HISTOGRAM)
			write_distribution(text, metric,
			    bpm_metric_histogram(metric, moment));
		else
			write_number(text, metric, bpm_metric_value(metric, moment, i));
	} else {
		return false;
	}
	return true;
}
