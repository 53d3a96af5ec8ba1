/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_flood_report.c - what compare found: as a table for people, as JSON for
 * programs, as TSV for those who draw a picture of their own.
 */
#include "abuse_flood.h"

#include <string.h>

static double received_rate(const struct run *run)
{
	return run->receiving_ns > 0 ? run->received * 1e9 / run->receiving_ns : 0;
}

static double seconds(const struct run *run)
{
	return run->memory.n ? run->memory.all[run->memory.n - 1].seconds : 0;
}

static int name_width(const struct flood *f)
{
	size_t width = strlen("discipline"), len;

	for (int i = 0; i < f->runs_n; i++) {
		len = strlen(f->runs[i].qdisc);
		width = len > width ? len : width;
	}
	return (int)width;
}

/* So that what is as good as flat is not told as "-0.0". */
static double slope_mib(const struct run *run)
{
	double slope = run->slope / MIB;

	return slope < 0.05 && slope > -0.05 ? 0 : slope;
}

void report_table(const struct flood *f)
{
	int width = name_width(f);
	const struct run *run;
	char bound[24];

	printf("%*s%8s%8s%8s%10s%9s%16s%16s\n", -width, "", "peak", "bound", "slope",
	    "received", "handled", "in queue, ms", "held back, %");
	printf("%*s%8s%8s%8s%10s%9s%8s%8s%8s%8s\n", -width, "discipline", "MiB", "MiB",
	    "MiB/s", "MB/s", "MB/s", "p50", "p99", "client", "TCP");
	for (int i = 0; i < f->runs_n; i++) {
		run = &f->runs[i];
		snprintf(bound, sizeof bound, "%.1f", run->bound / MIB);
		printf("%*s%8.1f%8s%8.1f%10.1f%9.1f%8.0f%8.0f%8.0f%8.0f\n", -width, run->qdisc,
		    run->peak / MIB, run->bound > 0 ? bound : "none", slope_mib(run),
		    received_rate(run) / MB, judge_handled_rate(run) / MB,
		    run->wait_p50_ns / NS_PER_MS, run->wait_p99_ns / NS_PER_MS,
		    100 * run->throttled_share, 100 * run->rwnd_limited_share);
	}
	printf("\n");
	for (int i = 0; i < f->runs_n; i++) {
		run = &f->runs[i];
		if (run->met_limit)
			printf("%s met the memory limit of %s after %.1f s%s.\n", run->qdisc,
			    text_memory((double)f->asked->mem_limit).s, seconds(run),
			    run->bounded_by == BOUND_NONE
			    ? ": this is what happens without backpressure" : "");
		if (run->error[0])
			printf("%s: %s.\n", run->qdisc, run->error);
	}
}

void report_json(const struct flood *f)
{
	const struct run *run;

	for (int i = 0; i < f->runs_n; i++) {
		run = &f->runs[i];
		printf("{\"event\":\"run\",\"qdisc\":\"%s\",\"seconds\":%.3f,\"peak_bytes\":%.0f"
		    ",\"bound_bytes\":%.0f,\"slope\":%.0f,\"received_bytes\":%.0f"
		    ",\"handled_bytes\":%.0f,\"queued_bytes\":%.0f,\"in_hand_bytes\":%.0f"
		    ",\"received_rate\":%.0f,\"handled_rate\":%.0f,\"wait_p50_ns\":%.0f"
		    ",\"wait_p99_ns\":%.0f,\"throttled_share\":%.4f"
		    ",\"rwnd_limited_share\":%.4f,\"mem_limit_bytes\":%.0f"
		    ",\"met_limit\":%s,\"error\":\"%s\"}\n",
		    run->qdisc, seconds(run), run->peak, run->bound, run->slope,
		    run->received, run->handled, run->queued, run->in_hand,
		    received_rate(run), judge_handled_rate(run), run->wait_p50_ns,
		    run->wait_p99_ns, run->throttled_share, run->rwnd_limited_share,
		    (double)f->asked->mem_limit, run->met_limit ? "true" : "false", run->error);
	}
}

/* The table in comments, then every sample. */
void report_tsv(const void *flood, FILE *file)
{
	const struct flood *f = flood;
	const struct run *run;

	fprintf(file, "# payloads of %.0f bytes, handled at %.0f bytes/s, offered at %.0f,"
	    " memory limit %.0f\n", (double)f->asked->size, (double)f->asked->handle_rate,
	    3 * (double)f->asked->handle_rate, (double)f->asked->mem_limit);
	fprintf(file, "# discipline\tpeak_bytes\tbound_bytes\tslope\treceived_rate"
	    "\thandled_rate\twait_p50_ns\twait_p99_ns\tthrottled_share"
	    "\trwnd_limited_share\tmet_limit\n");
	for (int i = 0; i < f->runs_n; i++) {
		run = &f->runs[i];
		fprintf(file, "# %s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.4f\t%.4f\t%d\n",
		    run->qdisc, run->peak, run->bound, run->slope, received_rate(run),
		    judge_handled_rate(run), run->wait_p50_ns, run->wait_p99_ns,
		    run->throttled_share, run->rwnd_limited_share, run->met_limit);
	}
	fprintf(file, "discipline\tseconds\tresident_bytes\n");
	for (int i = 0; i < f->runs_n; i++) {
		run = &f->runs[i];
		for (size_t k = 0; k < run->memory.n; k++)
			fprintf(file, "%s\t%.3f\t%.0f\n", run->qdisc,
			    run->memory.all[k].seconds, run->memory.all[k].resident);
	}
}
