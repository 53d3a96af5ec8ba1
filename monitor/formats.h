/* SPDX-License-Identifier: BSD-2-Clause */
/* formats.h - the answers, each written from what the endpoint was asked. */
#ifndef BPM_FORMATS_H
#define BPM_FORMATS_H

#include "text.h"
#include "watch.h"

/* For Prometheus: OpenMetrics 1.0, or its older text 0.0.4. openmetrics.c */
void bpm_write_metrics(struct bpm_text *text, struct bpm_watch *watch, bool open);

/* EKG's: all metrics, nested by the dots of their names; false if there is no path,
 * "endpoint/held_bytes"; its value alone, if plain. ekg.c */
void bpm_write_ekg(struct bpm_text *text, struct bpm_watch *watch);
bool bpm_write_ekg_one(struct bpm_text *text, struct bpm_watch *watch,
    const char *path, bool plain);

/* status.c */
void bpm_write_status(struct bpm_text *text, struct bpm_watch *watch);
void bpm_write_line(struct bpm_text *text, struct bpm_watch *watch);

/* history.c */
void bpm_write_history(struct bpm_text *text, struct bpm_watch *watch,
    enum bp_resolution resolution, uint64_t since_ns);

/* connections.c */
struct bpm_selection {
	int sort;			/* of bpm_sort_column() */
	size_t limit;
	int state;			/* -1: any; BP_STATES: those closed */
};
int bpm_sort_column(const char *name);	/* negative: there is none */
int bpm_state_named(const char *name);	/* likewise; "closed" is BP_STATES */
void bpm_write_connections(struct bpm_text *text, struct bpm_watch *watch,
    const struct bpm_selection *selection);

#endif /* BPM_FORMATS_H */
