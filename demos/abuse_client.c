/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_client.c - sends one large payload over and over, as fast as it is let,
 * and tells how long it was held back: seen from here (the connection throttled)
 * and from the kernel (no room in the server's receive window).
 *
 * One thread for each connection does nothing but send: a send waits while the
 * connection is throttled, and that is all there is to respecting the throttle.
 * The payload is shared by all, never copied.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse.h"
#include "args.h"

#include <bpthread.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_MS 1000			/* for the server to take what was accepted */

static struct args_program program = {
	"abuse client",
	"usage: abuse client [OPTION]... PORT [LOCALPORT]\n"
	"Send payloads to the abuse server at PORT. LOCALPORT is where the client's own\n"
	"endpoint listens.\n"
	"\n"
	"  --host NAME    where the server is [127.0.0.1]\n"
	"  --size N       bytes in a payload [16M]\n"
	"  --conns N      connections [1]\n"
	"  --duration T   how long, as 10s or 500ms; 0: until Ctrl-C [10s]\n"
	"  --rate N       bytes a second at most, over all connections; 0: no limit [0]\n"
	"  --json         write JSON, an object a line\n"
	"  --help\n"
	"\n"
	"Sizes take K, M, G as powers of 1024, rates as powers of 1000. Exits with 0 after\n"
	"its duration, 1 when it was cut. Ctrl-C stops with a summary, a second one at once.\n"
};

struct client {
	struct bp_endpoint *ep;
	struct bp_buf *payload;
	struct sender *senders;
	bool json;
	uint64_t size, n, duration_ms, rate;
	uint64_t start_ns, end_ns;	/* end 0: none */
	_Atomic uint64_t accepted;	/* payloads */
	atomic_uint open, cut;		/* connections */
	atomic_int failure;		/* the first of a send, a negative errno */
};

struct sender {
	struct client *client;
	struct bp_conn *conn;
	pthread_t thread;
	uint64_t index;
	bool started;
};

struct moment {
	uint64_t at_ns, sent_bytes, throttled_ns, rwnd_limited_ns;
	unsigned throttled;		/* connections, now */
};

/* ---- sending --------------------------------------------------------------------- */

/* Nothing is expected to arrive; it is read so that it stops nobody. */
static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn, (void)buf, (void)data;
}

static void closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	struct client *c = data;
	struct args_text peer;
	char line[1024];

	atomic_fetch_sub(&c->open, 1);
	if (halted())
		return;
	if (atomic_fetch_add(&c->cut, 1) == 0 && !c->json) {
		snprintf(line, sizeof line, "cut by %s: %s%s%s",
		    args_visible(&peer, bp_conn_peer(conn)), bp_reason_name(why),
		    err ? ": " : "", err ? bp_strerror(err) : "");
		line_print(line, true);
	}
}

static const struct bp_conn_ops sender_ops = { .received = received, .closed = closed };
static const struct bp_conn_ops visitor_ops = { .received = received };

/* What a send may take so that it does not outlast the experiment. */
static int time_left(const struct client *c)
{
	uint64_t now = now_ns();

	if (!c->end_ns)
		return BP_FOREVER;
	return now < c->end_ns ? (int)((c->end_ns - now) / NS_PER_MS) : 0;
}

/* The payloads of all connections take turns at the rate. */
static uint64_t next_due(const struct sender *s, uint64_t sent)
{
	const struct client *c = s->client;

	if (!c->rate)
		return 0;
	return due_ns(c->start_ns, (sent * c->n + s->index) * c->size, c->rate);
}

static void *send_all(void *arg)
{
	struct sender *s = arg;
	struct client *c = s->client;
	uint64_t sent = 0;
	int rc = 0, none = 0;

	while (rc == 0 && sleep_until(next_due(s, sent))) {
		rc = bp_send_buf(s->conn, c->payload, time_left(c));
		if (rc == 0) {
			sent++;
			atomic_fetch_add(&c->accepted, 1);
		}
	}
	/* the end of the duration, or of the connection, is no failure of a send */
	if (rc != 0 && rc != -EAGAIN && rc != -ETIMEDOUT && rc != -EPIPE)
		atomic_compare_exchange_strong(&c->failure, &none, rc);
	return NULL;
}

/* ---- telling --------------------------------------------------------------------- */

static void look(const struct client *c, struct moment *ret)
{
	struct bp_endpoint_stats st;
	struct bp_conn_stats conn;

	*ret = (struct moment){ .at_ns = now_ns() };
	bp_endpoint_stats(c->ep, &st);
	ret->sent_bytes = st.sent_bytes;
	for (uint64_t i = 0; i < c->n; i++) {
		bp_conn_stats(c->senders[i].conn, &conn);
		ret->throttled_ns += conn.throttled_ns;
		ret->rwnd_limited_ns += conn.rwnd_limited_us * 1000;
		ret->throttled += conn.throttled;
	}
}

/* The part of the time between two moments, over all connections. */
static double share(const struct client *c, const struct moment *from,
    const struct moment *to, uint64_t from_ns, uint64_t to_ns)
{
	double all = (double)(to->at_ns - from->at_ns) * (double)c->n;

	return all > 0 ? ((double)to_ns - (double)from_ns) / all : 0;
}

static void tell_start(const struct client *c, const char *addr, const char *local)
{
	char duration[32] = "until Ctrl-C";

	if (c->json)
		return;
	if (c->duration_ms)
		snprintf(duration, sizeof duration, "for %s",
		    text_ns((double)c->duration_ms * 1e6).s);
	printf("sending payloads of %s to %s, connections: %" PRIu64 ", %s, %s%s%s\n",
	    text_memory((double)c->size).s, addr, c->n,
	    c->rate ? text_rate((double)c->rate, 1e9).s : "as fast as it is let", duration,
	    local ? "; listening on " : "", local ? local : "");
	printf("%13s%18s%20s\n", "sent", "rate", "held back, seen");
	printf("%4s%9s%9s%9s%10s%10s%11s\n", "s", "MB", "payloads", "MB/s", "here", "by TCP",
	    "throttled");
}

/* second is what it stands for; 0 is told as the time with its tenth. */
static void tell_second(const struct client *c, const struct moment *last,
    const struct moment *now, unsigned second)
{
	double t = (double)(now->at_ns - c->start_ns) / 1e9;
	double ns = (double)(now->at_ns - last->at_ns);
	double sent = (double)(now->sent_bytes - last->sent_bytes);
	double here = share(c, last, now, last->throttled_ns, now->throttled_ns);
	double kernel = share(c, last, now, last->rwnd_limited_ns, now->rwnd_limited_ns);
	char line[320];

	if (c->json)
		snprintf(line, sizeof line,
		    "{\"event\":\"second\",\"seconds\":%.3f,\"sent_bytes\":%" PRIu64
		    ",\"sent_rate\":%.0f,\"throttled_share\":%.4f,\"rwnd_limited_share\":%.4f"
		    ",\"throttled\":%u}",
		    t, now->sent_bytes, sent * 1e9 / ns, here, kernel, now->throttled);
	else
		snprintf(line, sizeof line, "%4.*f%9.0f%9" PRIu64 "%9.0f%8.0f %%%8.0f %%%11u",
		    second ? 0 : 1, second ? second : t,
		    (double)now->sent_bytes / MB, now->sent_bytes / c->size,
		    sent * 1e9 / ns / MB, 100 * here, 100 * kernel, now->throttled);
	line_print(line, second != 0);
}

/* Held back until the experiment was over; sent, until all had stopped. */
static void tell_summary(const struct client *c, const struct moment *end, int sig)
{
	struct moment start = { .at_ns = c->start_ns }, stopped;
	double ns;
	double here = share(c, &start, end, 0, end->throttled_ns);
	double kernel = share(c, &start, end, 0, end->rwnd_limited_ns);
	const char *why = c->cut || c->failure ? "cut" : sig ? "signal" : "duration";

	look(c, &stopped);
	ns = (double)(stopped.at_ns - c->start_ns);
	if (c->json) {
		printf("{\"event\":\"summary\",\"end\":\"%s\",\"seconds\":%.3f"
		    ",\"accepted_events\":%" PRIu64 ",\"sent_bytes\":%" PRIu64
		    ",\"sent_rate\":%.0f,\"throttled_share\":%.4f,\"rwnd_limited_share\":%.4f"
		    ",\"cut\":%u}\n",
		    why, ns / 1e9, c->accepted, stopped.sent_bytes,
		    (double)stopped.sent_bytes * 1e9 / ns, here, kernel, c->cut);
		return;
	}
	line_print("", true);
	printf("sent       %s in %s, %s\n", text_traffic((double)stopped.sent_bytes).s,
	    text_ns(ns).s, text_rate((double)stopped.sent_bytes, ns).s);
	printf("held back  %.0f %% of the time as seen here, %.0f %% as seen by TCP\n",
	    100 * here, 100 * kernel);
	if (c->cut)
		printf("cut        connections: %u of %" PRIu64 "\n", c->cut, c->n);
	if (c->failure)
		printf("failed     a payload could not be sent: %s\n", bp_strerror(c->failure));
}

/* ---- the client ------------------------------------------------------------------ */

/* Until it is over, a signal came (returns it) or nobody is left to send. */
static int watch(struct client *c, struct moment *ret)
{
	uint64_t second = c->start_ns + NS_PER_S, live = c->start_ns, tick;
	struct moment last = { .at_ns = c->start_ns }, now;
	unsigned n;
	int sig = 0;

	for (;;) {
		tick = now_ns() + TICK_NS;
		sig = signals_wait(c->end_ns && c->end_ns < tick ? c->end_ns : tick);
		if (sig || !c->open || c->failure || (c->end_ns && now_ns() >= c->end_ns))
			break;
		if (now_ns() >= second) {
			look(c, &now);
			n = seconds_over(c->start_ns, now.at_ns, &second);
			tell_second(c, &last, &now, n);
			last = now;
		} else if (!c->json && on_terminal() && now_ns() >= live) {
			look(c, &now);
			tell_second(c, &last, &now, 0);
			live = now.at_ns + 10 * TICK_NS;
		}
	}
	look(c, ret);
	return sig;
}

static int connect_all(struct client *c, const char *addr)
{
	struct bp_conn_config config = {
		.framer = &bp_framer_u32be, .ops = &sender_ops, .data = c,
	};
	uint64_t i;
	int rc;

	for (i = 0; i < c->n; i++) {
		atomic_fetch_add(&c->open, 1);
		rc = bp_connect(c->ep, &c->senders[i].conn, addr, &config, 5000);
		if (rc < 0) {
			halt();		/* those that are open end because we do */
			return args_failed(&program, "connect to", addr, rc);
		}
	}
	return 0;
}

static int start_all(struct client *c)
{
	uint64_t i;
	int rc;

	c->start_ns = now_ns();
	c->end_ns = c->duration_ms ? c->start_ns + c->duration_ms * NS_PER_MS : 0;
	for (i = 0; i < c->n; i++) {
		c->senders[i].client = c;
		c->senders[i].index = i;
		rc = pthread_create(&c->senders[i].thread, NULL, send_all, &c->senders[i]);
		if (rc != 0)
			return args_failed(&program, "start", "a thread", -rc);
		c->senders[i].started = true;
	}
	return 0;
}

/* What was accepted is sent, if it is taken. */
static void stop(struct client *c)
{
	halt();
	bp_endpoint_stop(c->ep, STOP_MS);
	for (uint64_t i = 0; i < c->n; i++)
		if (c->senders[i].started)
			pthread_join(c->senders[i].thread, NULL);
}

static int run(struct client *c, const char *addr, const char *local)
{
	struct bp_conn_config visitors = { .framer = &bp_framer_u32be, .ops = &visitor_ops };
	struct moment end;
	int rc, sig;

	if (local && (rc = bp_listen(c->ep, NULL, local, &visitors)) < 0)
		return args_failed(&program, "listen on", local, rc);
	if ((rc = connect_all(c, addr)) == 0 && (rc = start_all(c)) == 0) {
		tell_start(c, addr, local);
		sig = watch(c, &end);
		rc = c->cut || c->failure;
		signals_unblock();
		stop(c);
		tell_summary(c, &end, sig);
	} else {
		stop(c);
	}
	for (uint64_t i = 0; i < c->n; i++)
		bp_conn_unref(c->senders[i].conn);
	return rc;
}

/* "::1" needs brackets before a port. */
static void server_addr(char *out, size_t size, const char *host, const char *port)
{
	bool bare_v6 = strchr(host, ':') && host[0] != '[';

	if (strlen(port) > 5 || port[strspn(port, "0123456789")] || !atoi(port)
	    || atoi(port) > 65535)
		args_refuse(&program, "'%s' is not a port", port);
	snprintf(out, size, "%s%s%s:%s", bare_v6 ? "[" : "", host, bare_v6 ? "]" : "", port);
}

int abuse_client(int argc, char **argv)
{
	struct client c = { .size = PAYLOAD_DEFAULT, .n = 1, .duration_ms = 10000 };
	const char *words[2], *host = "127.0.0.1", *local;
	struct bp_endpoint_config config = { .log = args_log, .log_arg = &program };
	char addr[320];
	const struct args_option options[] = {
		{ "host", .text = &host },
		{ "size", .number = &c.size, .unit = ARGS_BYTES, .min = 1, .max = (uint64_t)2 << 30 },
		{ "conns", .number = &c.n, .min = 1, .max = 10000 },
		{ "duration", .number = &c.duration_ms, .unit = ARGS_MS, .max = 86400000 },
		{ "rate", .number = &c.rate, .unit = ARGS_RATE, .max = RATE_MAX },
		{ "json", .flag = &c.json }, { 0 },
	};
	int n = args_parse(&program, argc, argv, options, words, 1, 2), rc;

	server_addr(addr, sizeof addr, host, words[0]);
	local = n > 1 ? args_addr(&program, words[1]) : NULL;
	args_raise_files(&program);
	signals_block();
	config.conns_max = c.n + 64;	/* room for visitors at LOCALPORT */
	if ((rc = bp_endpoint_new(&c.ep, &config)) < 0)
		return args_failed(&program, "start", "an endpoint", rc);
	c.senders = calloc(c.n, sizeof *c.senders);
	rc = c.senders ? bp_buf_new(&c.payload, c.size) : -ENOMEM;
	if (rc < 0) {
		rc = args_failed(&program, "make", "a payload", rc);
	} else {
		memset(c.payload->data, 'b', c.size);
		rc = run(&c, addr, local);
	}
	bp_endpoint_free(c.ep);
	bp_buf_unref(c.payload);
	free(c.senders);
	return rc;
}
