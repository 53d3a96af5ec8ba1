/* SPDX-License-Identifier: BSD-2-Clause */
/* watch.c - see watch.h. */
#include "config.h"

#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define GOOD_FOR 10		/* times as long as it took, */
#define GOOD_FOR_NS_MAX 1000000000u /* but a second at most */

uint64_t bpm_now_ns(void)
{
	return bpm_clock_ns(CLOCK_MONOTONIC);
}

static uint64_t good_until_ns(uint64_t begun_ns, uint64_t done_ns)
{
	uint64_t good_ns = GOOD_FOR * (done_ns - begun_ns);

	return done_ns + (good_ns < GOOD_FOR_NS_MAX ? good_ns : GOOD_FOR_NS_MAX);
}

int bpm_watch_init(struct bpm_watch *watch, struct bp_endpoint *ep, const char *name)
{
	uint64_t boot = 0;
	int rc;

	memset(watch, 0, sizeof *watch);
	watch->ep = ep;
	if (getrandom(&boot, sizeof boot, GRND_NONBLOCK) < 0)
		boot = bpm_clock_ns(CLOCK_REALTIME);
	snprintf(watch->boot, sizeof watch->boot, "%016llx", (unsigned long long)boot);
	watch->name = strdup(name && *name ? name : program_invocation_short_name);
	if (!watch->name)
		return -ENOMEM;
	rc = bp_history_new(&watch->history, ep);
	if (rc < 0)
		free(watch->name);
	else
		bpm_process_open(&watch->files);
	return rc;
}

void bpm_watch_fini(struct bpm_watch *watch)
{
	bp_history_free(watch->history);
	bpm_process_close(&watch->files);
	free(watch->name);
	free(watch->rows.row);
}

const struct bpm_moment *bpm_watch_moment(struct bpm_watch *watch)
{
	struct bpm_moment *moment = &watch->moment;
	uint64_t begun_ns = bpm_now_ns(), done_ns;

	if (begun_ns < watch->moment_until_ns)
		return moment;
	bp_endpoint_detail(watch->ep, &moment->detail);
	bpm_process_read(&moment->process, &watch->files);
	done_ns = bpm_now_ns();
	moment->at_ns = done_ns - moment->detail.since_ns;
	moment->time_ms = bpm_clock_ns(CLOCK_REALTIME) / 1000000;
	watch->moment_until_ns = good_until_ns(begun_ns, done_ns);
	return moment;
}

const char *bpm_watch_ready(const struct bpm_moment *moment)
{
	if (moment->detail.closing)
		return "closing";
	if (moment->detail.stalled)
		return "stalled";
	return moment->detail.paused ? "accepting is paused" : "ok";
}

/* ---- connections --------------------------------------------------------- */

struct gathering {
	struct bpm_rows *rows;
	uint64_t now_ns;
	bool failed;
};

static bool make_room(struct bpm_rows *rows)
{
	size_t size = rows->size ? 2 * rows->size : 64;
	struct bpm_row *row;

	if (rows->n < rows->size)
		return true;
	row = realloc(rows->row, size * sizeof *row);
	if (!row)
		return false;
	rows->row = row;
	rows->size = size;
	return true;
}

/* What a crowd needed that has gone. */
static void drop_excess(struct bpm_rows *rows)
{
	size_t size = rows->n > 32 ? 2 * rows->n : 64;
	struct bpm_row *row;

	if (rows->n >= rows->size / 4)
		return;
	row = realloc(rows->row, size * sizeof *row);
	if (!row)
		return;
	rows->row = row;
	rows->size = size;
}

static bool add_row(struct bp_conn *conn, void *arg)
{
	struct gathering *gathering = arg;
	struct bpm_rows *rows = gathering->rows;
	struct bpm_row *row;

	if (!make_room(rows)) {
		gathering->failed = true;
		return false;
	}
	row = &rows->row[rows->n++];
	memset(row, 0, sizeof *row);
	row->id = bp_conn_id(conn);
	snprintf(row->peer, sizeof row->peer, "%s", bp_conn_peer(conn));
	bp_conn_detail(conn, &row->detail);
	if (row->detail.opened_ns < gathering->now_ns)
		row->age_ms = (gathering->now_ns - row->detail.opened_ns) / 1000000;
	return true;
}

const struct bpm_rows *bpm_watch_rows(struct bpm_watch *watch)
{
	struct bpm_rows *rows = &watch->rows;
	struct gathering gathering = { rows, bpm_now_ns(), false };
	uint64_t since_ns = bpm_watch_moment(watch)->detail.since_ns, done_ns;

	if (gathering.now_ns < watch->rows_until_ns)
		return rows;
	rows->n = 0;
	bp_endpoint_each(watch->ep, add_row, &gathering);
	if (gathering.failed)
		return NULL;
	drop_excess(rows);
	done_ns = bpm_now_ns();
	rows->at_ns = done_ns - since_ns;
	watch->rows_until_ns = good_until_ns(gathering.now_ns, done_ns);
	return rows;
}
