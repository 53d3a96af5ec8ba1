/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_server.c - receives payloads and handles them at a rate of its own, which
 * is meant to be lower than the one they are sent at.
 *
 * Handling is sleeping: the end of each payload's time is added to that of the
 * one before, so the rate is exact and no core is burnt. Until then the event is
 * held, as a server does with what it works on.
 *
 * One thread handles; the main thread looks at the memory, prints, and waits for
 * a reason to stop.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse.h"
#include "args.h"
#include "monitor.h"

#include <bpthread.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The kernel would let its buffer grow to hold more than a payload: the experiment
 * is about the window that closes, not about what the kernel can swallow. */
#define KERNEL_BYTES ((size_t)256 << 10)
#define STOP_MS 1000			/* for the clients to end in good order */

static struct args_program program = {
	"abuse server",
	"usage: abuse server [OPTION]... [ADDR:]PORT [QDISC]\n"
	"Receive payloads (a 4-byte big-endian length before each) through the queueing\n"
	"discipline QDISC (fair; see abuse list), add up their lengths, and print a line\n"
	"a second.\n"
	"\n"
	"  --handle-rate N  handle so many bytes a second, 0 as many as come [200M]\n"
	"  --mem-limit N    resident memory at which to give up, with exit status 3\n"
	"                   [a quarter of the machine's or the cgroup's, at most 2G]\n"
	"  --monitor ADDR   where to watch it live: [HOST:]PORT, PORT+ for one of the next\n"
	"                   if it is taken, or off; :PORT is for everybody who can reach\n"
	"                   the machine [127.0.0.1:8000+]\n"
	"  --name TEXT      what the monitor calls it [the command and its address]\n"
	"  --json           write JSON, an object a line\n"
	"  --help\n"
	"\n"
	"Rates take K, M, G as powers of 1000, sizes as powers of 1024. PORT 0 is any that\n"
	"is free. Ctrl-C stops with a summary, a second one at once.\n"
};

struct server {
	struct bp_endpoint *ep;
	struct bp_monitor *monitor;
	const char *qdisc, *monitor_at, *name;
	bool unbounded, json;
	uint64_t handle_rate, mem_limit;
	uint64_t start_ns, base_bytes, peak_bytes;
	uint64_t received_ns;		/* when something last arrived or waited to */

	/* the handling thread's */
	uint64_t due;			/* when the payload before was handled */
	_Atomic uint64_t first_arrived_ns, first_begun_ns, last_done_ns;
	_Atomic uint64_t handled_bytes, handled_events, in_hand_bytes;
	_Atomic uint64_t left_bytes, left_events;	/* taken after the end */
};

/* What is printed each second is the difference of two of these. */
struct moment {
	uint64_t at_ns, resident, handled_bytes, handled_events;
	struct bp_endpoint_stats st;
};

/* ---- handling ------------------------------------------------------------------ */

static void handle(struct server *s, const struct bp_event *event)
{
	uint64_t len = event->buf->len, now = now_ns(), begin;

	if (halted()) {
		s->left_bytes += len;
		s->left_events++;
		return;
	}
	if (!s->first_arrived_ns) {
		s->first_arrived_ns = event->arrived_ns;
		s->first_begun_ns = now;
		s->due = now;
	}
	s->in_hand_bytes = len;
	if (s->handle_rate) {
		/* what arrived in time begins where the last one ended */
		begin = event->arrived_ns > s->due ? now : s->due;
		s->due = due_ns(begin, len, s->handle_rate);
		if (!sleep_until(s->due))
			return;
	}
	s->in_hand_bytes = 0;
	s->handled_bytes += len;
	s->handled_events++;
	s->last_done_ns = s->handle_rate ? s->due : now_ns();
}

static void tell_end(struct server *s, const struct bp_event *event)
{
	struct args_text peer;
	char line[1024], quoted[768];

	if (halted() || event->reason == BP_REASON_PEER)
		return;
	args_visible(&peer, bp_conn_peer(event->conn));
	json_quoted(quoted, sizeof quoted, peer.s);
	if (s->json)
		snprintf(line, sizeof line,
		    "{\"event\":\"closed\",\"peer\":\"%s\",\"reason\":\"%s\"}",
		    quoted, bp_reason_name(event->reason));
	else
		snprintf(line, sizeof line, "%s closed: %s%s%s", peer.s,
		    bp_reason_name(event->reason), event->err ? ": " : "",
		    event->err ? bp_strerror(event->err) : "");
	line_print(line, true);
}

static void *handle_all(void *arg)
{
	struct server *s = arg;
	struct bp_event *event;

	while (bp_receive(s->ep, &event, BP_FOREVER) == 0) {
		if (event->kind == BP_RECEIVED)
			handle(s, event);
		else if (event->kind == BP_CLOSED)
			tell_end(s, event);
		bp_event_free(event);
	}
	return NULL;
}

/* ---- telling -------------------------------------------------------------------- */

static void look(struct server *s, struct moment *ret)
{
	uint64_t received = ret->st.received_bytes;

	ret->at_ns = now_ns();
	ret->resident = memory_resident(getpid());
	ret->handled_bytes = s->handled_bytes;
	ret->handled_events = s->handled_events;
	bp_endpoint_stats(s->ep, &ret->st);
	if (ret->st.received_bytes > received || ret->st.waiting)
		s->received_ns = ret->at_ns;
	if (ret->resident > s->peak_bytes)
		s->peak_bytes = ret->resident;
}

static void tell_start(struct server *s, const char *addr, uint64_t budget)
{
	char line[320];

	if (s->json) {
		snprintf(line, sizeof line,
		    "{\"event\":\"listening\",\"addr\":\"%s\",\"qdisc\":\"%s\","
		    "\"base_bytes\":%" PRIu64 ",\"budget_bytes\":%" PRIu64 "}",
		    addr, s->qdisc, s->base_bytes, budget);
		line_print(line, true);
		return;
	}
	printf("listening on %s with %s; handles %s; resident %s, gives up at %s\n", addr,
	    s->qdisc, s->handle_rate ? text_rate((double)s->handle_rate, 1e9).s
	    : "what comes", text_memory((double)s->base_bytes).s,
	    text_memory((double)s->mem_limit).s);
	printf("%12s%15s%14s%7s%9s%8s%8s%8s\n", "received", "handled", "in", "out",
	    "resident", "queued", "held", "readers");
	printf("%4s%8s%7s%8s%7s%7s%7s%9s%8s%8s%8s%6s\n", "s", "MB", "count", "MB", "count",
	    "MB/s", "MB/s", "MiB", "MiB", "MiB", "waiting", "conns");
}

/* second is what it stands for; 0 is told as the time with its tenth. */
static void tell_second(struct server *s, const struct moment *last,
    const struct moment *now, unsigned second, bool commit)
{
	const struct bp_endpoint_stats *st = &now->st;
	double ns = (double)(now->at_ns - last->at_ns);
	double in = (double)(st->received_bytes - last->st.received_bytes);
	double out = (double)(now->handled_bytes - last->handled_bytes);
	double t = (double)(now->at_ns - s->start_ns) / 1e9;
	char line[640];

	if (s->json)
		snprintf(line, sizeof line,
		    "{\"event\":\"second\",\"seconds\":%.3f,\"received_bytes\":%" PRIu64
		    ",\"received_events\":%" PRIu64 ",\"handled_bytes\":%" PRIu64
		    ",\"handled_events\":%" PRIu64 ",\"received_rate\":%.0f"
		    ",\"handled_rate\":%.0f,\"resident_bytes\":%" PRIu64
		    ",\"queued_bytes\":%zu,\"queued_events\":%zu,\"held_bytes\":%zu"
		    ",\"waiting\":%zu,\"conns\":%zu}",
		    t, st->received_bytes, st->received_events, now->handled_bytes,
		    now->handled_events, in * 1e9 / ns, out * 1e9 / ns, now->resident,
		    st->queued_bytes, st->queued_events, st->held_bytes, st->waiting,
		    st->conns);
	else
		snprintf(line, sizeof line, "%4.*f%8.0f%7" PRIu64 "%8.0f%7" PRIu64
		    "%7.0f%7.0f%9.0f%8.0f%8.0f%8zu%6zu", second ? 0 : 1, second ? second : t,
		    (double)st->received_bytes / MB, st->received_events,
		    (double)now->handled_bytes / MB, now->handled_events, in * 1e9 / ns / MB,
		    out * 1e9 / ns / MB, (double)now->resident / MIB,
		    (double)st->queued_bytes / MIB, (double)st->held_bytes / MIB, st->waiting,
		    st->conns);
	line_print(line, commit);
}

static void tell_summary_json(struct server *s, const struct bp_endpoint_stats *st,
    bool over)
{
	uint64_t first = s->first_arrived_ns;
	char line[1024];

	snprintf(line, sizeof line,
	    "{\"event\":\"summary\",\"end\":\"%s\",\"seconds\":%.3f,\"received_bytes\":%" PRIu64
	    ",\"received_events\":%" PRIu64 ",\"handled_bytes\":%" PRIu64
	    ",\"handled_events\":%" PRIu64 ",\"queued_bytes\":%" PRIu64
	    ",\"queued_events\":%" PRIu64 ",\"in_hand_bytes\":%" PRIu64
	    ",\"receiving_ns\":%" PRIu64 ",\"handling_ns\":%" PRIu64
	    ",\"base_bytes\":%" PRIu64 ",\"peak_bytes\":%" PRIu64
	    ",\"wait_p50_ns\":%" PRIu64 ",\"wait_p99_ns\":%" PRIu64 ",\"wait_max_ns\":%" PRIu64
	    ",\"stalls\":%" PRIu64 "}",
	    over ? "mem_limit" : "signal", (double)(now_ns() - s->start_ns) / 1e9,
	    st->received_bytes, st->received_events, s->handled_bytes, s->handled_events,
	    s->left_bytes, s->left_events, s->in_hand_bytes,
	    first && s->received_ns > first ? s->received_ns - first : 0,
	    s->last_done_ns ? s->last_done_ns - s->first_begun_ns : 0, s->base_bytes,
	    s->peak_bytes, st->wait_p50_ns, st->wait_p99_ns, st->wait_max_ns, st->stalls);
	line_print(line, true);
}

static void tell_summary(struct server *s, const struct bp_endpoint_stats *st, bool over)
{
	uint64_t sum = s->handled_bytes + s->left_bytes + s->in_hand_bytes;
	uint64_t first = s->first_arrived_ns;

	line_print("", true);
	printf("received  %s in %" PRIu64 " payloads, %s\n",
	    text_traffic((double)st->received_bytes).s, st->received_events,
	    text_rate((double)st->received_bytes, (double)s->received_ns - (double)first).s);
	printf("handled   %s in %" PRIu64 " payloads, %s\n",
	    text_traffic((double)s->handled_bytes).s, s->handled_events,
	    text_rate((double)s->handled_bytes,
	    (double)s->last_done_ns - (double)s->first_begun_ns).s);
	printf("left      %s in %" PRIu64 " payloads in the queue, %s in hand\n",
	    text_traffic((double)s->left_bytes).s, s->left_events,
	    text_traffic((double)s->in_hand_bytes).s);
	if (sum == st->received_bytes)
		printf("          together what was received, to the byte\n");
	else
		printf("          together %" PRIu64 " bytes, but %" PRIu64 " were received\n",
		    sum, st->received_bytes);
	printf("in queue  %s half of the time, %s for one of 100, %s at most\n",
	    text_ns((double)st->wait_p50_ns).s, text_ns((double)st->wait_p99_ns).s,
	    text_ns((double)st->wait_max_ns).s);
	printf("resident  %s at most, %s before the first connection\n",
	    text_memory((double)s->peak_bytes).s, text_memory((double)s->base_bytes).s);
	if (over && s->unbounded)
		printf("Resident memory met its limit of %s (--mem-limit): this is what happens\n"
		    "without backpressure. Ended before the kernel's OOM killer would have.\n",
		    text_memory((double)s->mem_limit).s);
	else if (over)
		printf("Resident memory met its limit of %s (--mem-limit), below the bound of %s.\n",
		    text_memory((double)s->mem_limit).s, s->qdisc);
}

/* ---- the server ------------------------------------------------------------------ */

/* Returns whether the memory limit was met, else a signal came. */
static bool watch(struct server *s)
{
	struct moment last = { 0 }, now = { 0 };
	uint64_t tick, second, live;
	unsigned n;

	look(s, &now);
	last = now;
	tick = live = s->start_ns;
	second = s->start_ns + NS_PER_S;
	for (;;) {
		tick = now.at_ns > tick + TICK_NS ? now.at_ns : tick + TICK_NS;
		if (signals_wait(tick))
			return false;
		look(s, &now);
		if (now.resident >= s->mem_limit) {
			tell_second(s, &last, &now, 0, true);
			if (s->json)
				puts("{\"event\":\"mem_limit\"}");
			return true;
		}
		if (now.at_ns >= second) {
			n = seconds_over(s->start_ns, now.at_ns, &second);
			tell_second(s, &last, &now, n, true);
			last = now;
		} else if (!s->json && on_terminal() && now.at_ns >= live) {
			tell_second(s, &last, &now, 0, false);
			live = now.at_ns + 10 * TICK_NS;
		}
	}
}

static int start_monitor(struct server *s, const char *addr)
{
	const struct args_program named = { .name = s->name };
	int rc = monitor_serve(&s->monitor, s->name ? &named : &program, s->ep,
	    s->monitor_at, s->name ? NULL : addr);

	monitor_tell(s->monitor, s->monitor_at, s->json);
	return rc;
}

static int serve(struct server *s, const char *addr)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be, .rcvbuf = KERNEL_BYTES };
	struct bp_listener *listener;
	struct bp_endpoint_stats st;
	pthread_t handler;
	bool over;
	int rc;

	if ((rc = bp_listen(s->ep, &listener, addr, &config)) < 0)
		return args_failed(&program, "listen on", addr, rc);
	if ((rc = start_monitor(s, bp_listener_addr(listener))) != 0)
		return rc;
	if ((rc = pthread_create(&handler, NULL, handle_all, s)) != 0)
		return args_failed(&program, "start", "a thread", -rc);
	s->start_ns = now_ns();
	s->base_bytes = memory_resident(getpid());
	bp_endpoint_stats(s->ep, &st);
	tell_start(s, bp_listener_addr(listener), st.budget);

	over = watch(s);
	signals_unblock();
	bp_endpoint_close(s->ep);	/* what is queued now is told as left */
	halt();
	bp_endpoint_stop(s->ep, STOP_MS);
	pthread_join(handler, NULL);
	bp_endpoint_stats(s->ep, &st);
	(s->json ? tell_summary_json : tell_summary)(s, &st, over);
	return over ? EXIT_MEM_LIMIT : 0;
}

int abuse_server(int argc, char **argv)
{
	struct server s = {
		.handle_rate = HANDLE_RATE_DEFAULT, .mem_limit = memory_limit_default(),
		.monitor_at = MONITOR_USUAL,
	};
	struct bp_endpoint_config config = { .log = args_log, .log_arg = &program };
	const char *words[2];
	const struct args_option options[] = {
		{ "handle-rate", .number = &s.handle_rate, .unit = ARGS_RATE, .max = RATE_MAX },
		{ "mem-limit", .number = &s.mem_limit, .unit = ARGS_BYTES, .min = 1 << 20,
		    .max = (uint64_t)1 << 46 },
		{ "monitor", .text = &s.monitor_at }, { "name", .text = &s.name },
		{ "json", .flag = &s.json }, { 0 },
	};
	int n = args_parse(&program, argc, argv, options, words, 1, 2), rc;
	const char *addr = args_addr(&program, words[0]);

	s.qdisc = n > 1 ? words[1] : "fair";
	args_qdisc(&program, &config, s.qdisc);
	s.unbounded = config.qdisc == &bp_qdisc_unbounded;
	monitor_check(&program, s.monitor_at);
	args_raise_files(&program);
	signals_block();
	if ((rc = bp_endpoint_new(&s.ep, &config)) < 0)
		return args_failed(&program, "serve with", s.qdisc, rc);
	rc = serve(&s, addr);
	monitor_stop(s.monitor);
	bp_endpoint_free(s.ep);
	return rc;
}
