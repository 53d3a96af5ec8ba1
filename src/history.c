/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history.c - an endpoint's last ten minutes by the second, and its last hundred by ten
 * seconds, for those who come late.
 *
 * A thread of its own looks once a second. All memory it needs is there before it
 * begins, so it samples also when there is none left.
 */
#include "config.h"

#include "endpoint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NS (1000 * BP__MS)
#define STACK_SIZE ((size_t)256 * 1024)	/* glibc puts thread-local data there, too */

static const unsigned seconds[] = { [BP_EVERY_SECOND] = 1, [BP_EVERY_10_SECONDS] = 10 };
#define RESOLUTIONS (sizeof seconds / sizeof *seconds)

struct ring {
	/* its thread only */
	struct bp_sample next;		/* what will be its next sample, so far */
	struct bp__histogram_seen seen;
	uint64_t due;			/* the second of that, or the first after it */

	/* [H] */
	struct bp_sample samples[BP_HISTORY_MAX];
	uint64_t n;			/* so far; the last is at n - 1 */
};

struct bp_history {
	/* set by bp_history_new(), then constant */
	struct bp_endpoint *ep;
	pthread_t thread;
	int statm;			/* kept: there may be no descriptor later; or -1 */

	/* its thread only */
	struct bp_endpoint_detail detail;

	/* [H] under lock */
	struct bp__mutex lock;
	struct bp__cond cond;		/* 1 waiter: its thread */
	bool ending;
	struct ring rings[RESOLUTIONS];
};

/* ---- the process -------------------------------------------------------- */

/* The second number of /proc/self/statm, in pages; not by stdio, which allocates. */
static uint64_t resident_bytes(int statm)
{
	char text[128];
	ssize_t n = pread(statm, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strtoull(text + strcspn(text, " "), NULL, 10)
	    * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t cpu_ns(void)
{
	struct timespec used;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) < 0)
		return 0;
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* ---- samples ------------------------------------------------------------ */

static void fill(struct bp_sample *sample, const struct bp_endpoint_detail *detail,
    int statm)
{
	const struct bp_endpoint_stats *stats = &detail->stats;

	*sample = (struct bp_sample){
		.at_ns = bp__now_ns(),
		.resident_bytes = resident_bytes(statm), .cpu_ns = cpu_ns(),
		.held_bytes = stats->held_bytes, .queued_bytes = stats->queued_bytes,
		.queued_events = stats->queued_events, .out_bytes = stats->out_bytes,
		.received_bytes = stats->received_bytes,
		.received_events = stats->received_events,
		.sent_bytes = stats->sent_bytes,
		.accepted = detail->accepted, .connected = detail->connected,
		.closed = stats->closed, .refused = stats->refused,
		.busy_ns = detail->busy_ns, .gate_ns = detail->gate_ns,
		.throttled_ns = detail->throttled_ns, .muted_ns = detail->muted_ns,
		.paused_ns = detail->paused_ns, .throttles = detail->throttles,
		.gate_waits = detail->gate_waits,
		.stalls = stats->stalls,
	};
	for (int i = 0; i < BP_STATES; i++)
		sample->states[i] = detail->states[i];
}

static void raise_to(uint64_t *most, uint64_t value)
{
	if (value > *most)
		*most = value;
}

/* Counters as they are now; of the rest the largest value. */
static void merge(struct bp_sample *into, const struct bp_sample *now)
{
	struct bp_sample before = *into;

	*into = *now;
	raise_to(&into->resident_bytes, before.resident_bytes);
	raise_to(&into->held_bytes, before.held_bytes);
	raise_to(&into->queued_bytes, before.queued_bytes);
	raise_to(&into->queued_events, before.queued_events);
	raise_to(&into->out_bytes, before.out_bytes);
	for (int i = 0; i < BP_STATES; i++)
		raise_to(&into->states[i], before.states[i]);
}

static void add(struct bp_history *history, struct ring *ring)
{
	struct bp__recent recent;

	bp__histogram_recent(&history->ep->qdisc.waits, &ring->seen, &recent);
	ring->next.wait_p50_ns = recent.p50;
	ring->next.wait_p99_ns = recent.p99;
	ring->next.wait_max_ns = recent.max;
	bp__lock(&history->lock);
	ring->samples[ring->n++ % BP_HISTORY_MAX] = ring->next;
	bp__unlock(&history->lock);
	memset(&ring->next, 0, sizeof ring->next);
}

static void take_sample(struct bp_history *history, uint64_t second)
{
	struct bp_sample now;
	struct ring *ring;

	bp_endpoint_detail(history->ep, &history->detail);
	fill(&now, &history->detail, history->statm);
	for (size_t i = 0; i < RESOLUTIONS; i++) {
		ring = &history->rings[i];
		merge(&ring->next, &now);
		if (second < ring->due)
			continue;
		ring->due = (second / seconds[i] + 1) * seconds[i];
		add(history, ring);
	}
}

/* Until then; false: it ends. */
static bool sleep_until(struct bp_history *history, uint64_t until_ns)
{
	bool ending;

	bp__lock(&history->lock);
	while (!history->ending
	    && bp__wait_until(&history->cond, &history->lock, until_ns))
		;
	ending = history->ending;
	bp__unlock(&history->lock);
	return !ending;
}

static void *history_main(void *arg)
{
	struct bp_history *history = arg;
	uint64_t begin = bp__now_ns(), second;

	do {
		/* one that was missed, by a process that was stopped, stays out */
		second = (bp__now_ns() - begin) / PERIOD_NS;
		take_sample(history, second);
	} while (sleep_until(history, begin + (second + 1) * PERIOD_NS));
	return NULL;
}

/* ---- public ------------------------------------------------------------- */

static void release(struct bp_history *history)
{
	if (history->statm >= 0)
		close(history->statm);
	bp__cond_fini(&history->cond);
	bp__mutex_fini(&history->lock);
	free(history);
}

int bp_history_new(struct bp_history **ret_history, struct bp_endpoint *ep)
{
	struct bp_history *history = calloc(1, sizeof *history);
	struct bp__recent before;
	int rc;

	if (!history)
		return -ENOMEM;
	history->ep = ep;
	for (size_t i = 0; i < RESOLUTIONS; i++)	/* what was before is not its own */
		bp__histogram_recent(&ep->qdisc.waits, &history->rings[i].seen, &before);
	history->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (history->statm < 0 && (errno == EMFILE || errno == ENFILE)) {
		free(history);
		return -EMFILE;
	}
	bp__mutex_init(&history->lock);
	bp__cond_init(&history->cond);
	rc = bp__thread_start(&history->thread, STACK_SIZE, history_main, history);
	if (rc < 0) {
		release(history);
		return rc;
	}
	*ret_history = history;
	return 0;
}

void bp_history_free(struct bp_history *history)
{
	if (!history)
		return;
	bp__lock(&history->lock);
	history->ending = true;
	bp__signal(&history->cond);
	bp__unlock(&history->lock);
	pthread_join(history->thread, NULL);
	release(history);
}

size_t bp_history_read(struct bp_history *history, enum bp_resolution resolution,
    uint64_t after_ns, struct bp_sample *ret, size_t n)
{
	const struct bp_sample *sample;
	uint64_t first, last;
	size_t copied = 0;
	struct ring *ring;

	if ((size_t)resolution >= RESOLUTIONS)
		return 0;
	ring = &history->rings[resolution];
	bp__lock(&history->lock);
	last = ring->n;
	first = last < BP_HISTORY_MAX ? 0 : last - BP_HISTORY_MAX;
	if (last - first > n)
		first = last - n;
	for (; first < last; first++) {
		sample = &ring->samples[first % BP_HISTORY_MAX];
		if (sample->at_ns > after_ns)
			ret[copied++] = *sample;
	}
	bp__unlock(&history->lock);
	return copied;
}
