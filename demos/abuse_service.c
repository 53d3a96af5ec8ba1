/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_service.c - a server with one thread that takes what is next, spends the
 * time on it that its length is worth, answers if it is a ping, and goes on.
 *
 * Spending time is sleeping, as in abuse_server.c. Who is next, and who may send,
 * is the discipline's; nothing here knows who is polite, but for prio, which has to
 * be told: small frames go first.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse_service.h"
#include "monitor.h"

#include <bpthread.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct service {
	struct trial *t;
	struct bp_endpoint *ep;
	struct bp_monitor *monitor;
	bool waited;			/* there was nothing to handle */
	uint64_t due_ns;		/* when all before will be handled */
};

/* ---- handling -------------------------------------------------------- */

static void handle(struct service *s, const struct bp_event *event)
{
	const struct bp_buf *buf = event->buf;
	struct peer *peer = bp_conn_data(event->conn);
	uint64_t rate = s->t->asked->handle_rate;

	if (rate) {
		/* without a pause it begins where the one before ended */
		if (s->waited)
			s->due_ns = now_ns();
		s->due_ns = due_ns(s->due_ns, buf->len, rate);
		if (!sleep_until(s->due_ns))
			return;
	}
	if (peer && phase_now(s->t) == MEASURED) {
		peer->handled += (double)buf->len;
		s->t->handled += (double)buf->len;
		if (buf->len > peer->largest)
			peer->largest = buf->len;
	}
	if (buf->len == PING && ((const char *)buf->data)[0] == 'p')
		bp_send_buf(event->conn, event->buf, 0);
}

static void opened(struct service *s, const struct bp_event *event)
{
	struct peer *peer;

	if (s->t->peers_n == PEERS_MAX)
		return;
	peer = &s->t->peers[s->t->peers_n++];
	peer->opened_ns = event->arrived_ns;
	bp_conn_set_data(event->conn, peer);
}

/*
 * How long it has lived, less what it waited at the gate: an upper bound for what
 * has passed since its grant, and a close one if it announced as soon as it came.
 */
static uint64_t lasted_ns(struct bp_conn *conn, uint64_t until_ns)
{
	const struct peer *peer = bp_conn_data(conn);
	struct bp_conn_stats st;

	bp_conn_stats(conn, &st);
	if (!peer || until_ns < peer->opened_ns + st.gate_ns)
		return 0;
	return until_ns - peer->opened_ns - st.gate_ns;
}

static void closed(struct service *s, const struct bp_event *event)
{
	if (event->reason == BP_REASON_STALLED_FRAME)
		spread_add(&s->t->ended, lasted_ns(event->conn, event->arrived_ns));
}

static bool next(struct service *s, struct bp_event **ret_event)
{
	int rc = s->t->asked->handle_rate ? bp_receive(s->ep, ret_event, 0) : -EAGAIN;

	s->waited = rc == -EAGAIN;
	if (s->waited)
		rc = bp_receive(s->ep, ret_event, BP_FOREVER);
	return rc == 0;
}

static void *handle_all(void *arg)
{
	struct service *s = arg;
	struct bp_event *event;

	while (next(s, &event)) {
		if (event->kind == BP_OPENED)
			opened(s, event);
		else if (event->kind == BP_CLOSED)
			closed(s, event);
		else if (event->kind == BP_RECEIVED && !halted())
			handle(s, event);
		bp_event_free(event);
	}
	return NULL;
}

/* ---- the server ------------------------------------------------------ */

/* For prio; 4 bytes of length are the beginning of a frame. */
static int band_by_length(struct bp_conn *conn, const void *head, size_t len,
    void *data)
{
	const unsigned char *b = head;

	(void)conn, (void)data;
	if (len < HEAD)
		return 0;
	return b[0] || b[1] || ((unsigned)b[2] << 8 | b[3]) > PING;
}

/* Who holds a large frame at the end, and has for long, counts like one ended now. */
static bool still_held(struct bp_conn *conn, void *arg)
{
	struct service *s = arg;
	struct bp_conn_stats st;

	bp_conn_stats(conn, &st);
	if (st.held_bytes >= s->t->asked->size && !st.waiting)
		spread_add(&s->t->still, lasted_ns(conn, now_ns()));
	return true;
}

static void look(struct service *s)
{
	struct trial *t = s->t;
	struct bp_endpoint_stats st;

	bp_endpoint_stats(s->ep, &st);
	if ((double)st.held_bytes > t->held_most)
		t->held_most = (double)st.held_bytes;
	t->futile_wakeups = st.futile_wakeups;
	t->stalls = st.stalls;
	if (memory_resident(getpid()) >= t->asked->mem_limit) {
		t->met_limit = true;
		phase_begin(t, OVER);
	}
}

static int serve(struct service *s, const struct bp_conn_config *conn_config)
{
	struct bp_listener *listener;
	struct bp_endpoint_stats st;
	const char *colon;
	pthread_t handler;
	int rc;

	if ((rc = bp_listen(s->ep, &listener, "127.0.0.1:0", conn_config)) < 0)
		return compare_failed("take such messages with", s->t->qdisc, rc);
	if ((rc = trial_monitor(s->t, &s->monitor, s->ep)) != 0)
		return rc;
	if ((rc = pthread_create(&handler, NULL, handle_all, s)) != 0)
		return compare_failed("start", "a thread", -rc);
	bp_endpoint_stats(s->ep, &st);
	s->t->budget = st.budget == BP_UNLIMITED ? 0 : (double)st.budget;
	s->t->base = (double)memory_resident(getpid());
	colon = strrchr(bp_listener_addr(listener), ':');
	s->t->port = (unsigned)atoi(colon + 1);

	while (phase_now(s->t) != OVER && !signals_wait(now_ns() + TICK_NS))
		look(s);
	phase_begin(s->t, OVER);
	bp_endpoint_each(s->ep, still_held, s);
	halt();
	bp_endpoint_stop(s->ep, 0);
	pthread_join(handler, NULL);
	return 0;
}

int service_run(struct trial *t, const struct bp_conn_config *conn_config)
{
	struct bp_endpoint_config config = {
		.conns_max = t->asked->conns > 1000 ? t->asked->conns + 24 : 0,
	};
	struct bp_conn_config conn = *conn_config;
	struct service s = { .t = t };
	int rc;

	prctl(PR_SET_TIMERSLACK, 1);
	bp_qdisc_parse(&config, t->qdisc);
	if (config.qdisc == &bp_qdisc_prio)
		conn.classify = band_by_length;
	conn.framer = &bp_framer_u32be;
	if ((rc = bp_endpoint_new(&s.ep, &config)) < 0)
		return compare_failed("serve with", t->qdisc, rc);
	rc = serve(&s, &conn);
	monitor_stop(s.monitor);
	bp_endpoint_free(s.ep);
	return rc;
}
