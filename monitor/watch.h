/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * watch.h - what the endpoint was asked, and when. To ask takes its locks for a
 * moment each, with ten thousand connections ten thousand moments; so an answer
 * is good for ten times as long as it took, a second at most: however many
 * observers ask however often, the endpoint is asked a tenth of the time.
 */
#ifndef BPM_WATCH_H
#define BPM_WATCH_H

#include <bpthread_stats.h>

#include "process.h"

struct bpm_moment {
	uint64_t at_ns, time_ms;	/* since bp_endpoint_new(); since 1970 */
	struct bp_endpoint_detail detail;
	struct bpm_process process;
};

struct bpm_row {		/* a connection */
	uint64_t id;
	uint64_t age_ms;
	char peer[BP_PEER_MAX];
	struct bp_conn_detail detail;
};

struct bpm_rows {
	uint64_t at_ns;			/* since bp_endpoint_new() */
	struct bpm_row *row;
	size_t n, size;
};

struct bpm_watch {
	/* set by bpm_watch_init(), then constant */
	struct bp_endpoint *ep;
	struct bp_history *history;
	struct bpm_process_files files;
	char *name;			/* of the program */
	char boot[17];			/* another one after each start */

	/* the monitor's thread only */
	struct bpm_moment moment;
	struct bpm_rows rows;
	uint64_t moment_until_ns, rows_until_ns; /* CLOCK_MONOTONIC */
};

/* name is copied; NULL: that of the process. -ENOMEM, -EAGAIN. */
int bpm_watch_init(struct bpm_watch *watch, struct bp_endpoint *ep, const char *name);
void bpm_watch_fini(struct bpm_watch *watch);

/* Valid until the next call. */
const struct bpm_moment *bpm_watch_moment(struct bpm_watch *watch);
const struct bpm_rows *bpm_watch_rows(struct bpm_watch *watch);	/* NULL: no memory */

/* Why the endpoint is not ready, or "ok". */
const char *bpm_watch_ready(const struct bpm_moment *moment);

uint64_t bpm_now_ns(void);		/* CLOCK_MONOTONIC */

#endif /* BPM_WATCH_H */
