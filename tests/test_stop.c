/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_stop.c - to stop takes as long as was granted, whatever peers, queues and
 * producers do (P13). What comes after it is in test_after_stop.c.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

#include "conn.h"

#include <stdio.h>

static char addr[ADDR_MAX];

/* ---- a zoo of peers: P13 -------------------------------------------------------- */

enum { IDLE = 8, PUSHING = 4, ANIMALS = IDLE + 5 + PUSHING + 1 };

struct zoo {
	struct bp_endpoint *ep;
	int idle[IDLE], header, frame, muted, mute_reader, unread, ended;
	struct bp_conn *muted_conn, *unread_conn, *ended_conn, *connecting;
	struct bp_event *in_hand;	/* of unread_conn, never handled before the stop */
	struct task *pushing[PUSHING], *sender;
	struct black_hole hole;
};

static void send_until_refused(void *arg)
{
	static const char zeros[1000];
	int rc;

	while ((rc = bp_send(arg, zeros, sizeof zeros, BP_FOREVER)) == 0)
		;
	CHECK_EQ(rc, -EPIPE);
}

static void zoo_fill(struct zoo *zoo)
{
	struct bp_conn_config made = { .idle_ms = BP_FOREVER };

	for (size_t i = 0; i < IDLE; i++) {
		zoo->idle[i] = peer_connect(addr);
		skip_event(zoo->ep, BP_OPENED);
	}
	zoo->header = peer_connect(addr);
	peer_send(zoo->header, "\0\0", 2);
	skip_event(zoo->ep, BP_OPENED);
	zoo->frame = peer_connect(addr);
	peer_send(zoo->frame, "\0\0\x80\0some of it", 14);
	skip_event(zoo->ep, BP_OPENED);

	zoo->muted = peer_connect(addr);
	zoo->muted_conn = take_opened(zoo->ep);
	bp_conn_mute(zoo->muted_conn);
	peer_send_u32be(zoo->muted, "unheard", 7);
	zoo->ended = peer_connect(addr);
	zoo->ended_conn = take_opened(zoo->ep);
	bp_conn_end(zoo->ended_conn);

	zoo->unread = narrow_connect(addr);
	zoo->unread_conn = take_opened(zoo->ep);
	peer_send_u32be(zoo->unread, "ask", 3);
	zoo->in_hand = next_event(zoo->ep, BP_RECEIVED);
	fill_out_queue(zoo->unread_conn);
	zoo->sender = task_start(send_until_refused, zoo->unread_conn);

	black_hole_open(&zoo->hole);
	REQUIRE_EQ(bp_connect(zoo->ep, &zoo->connecting, zoo->hole.addr, &made, 0), 0);
	for (size_t i = 0; i < PUSHING; i++)
		zoo->pushing[i] = task_start(push_until_cut, addr);
	WAIT_UNTIL(stats_of(zoo->ep).opened == ANIMALS - 1);	/* one connects */
	WAIT_UNTIL(stats_of(zoo->ep).waiting > 0);
}

static void zoo_leave(struct zoo *zoo)
{
	task_join(zoo->sender);
	for (size_t i = 0; i < PUSHING; i++)
		task_join(zoo->pushing[i]);
	bp_event_free(zoo->in_hand);
	bp_conn_unref(zoo->muted_conn);
	bp_conn_unref(zoo->unread_conn);
	bp_conn_unref(zoo->ended_conn);
	bp_conn_unref(zoo->connecting);
	for (size_t i = 0; i < IDLE; i++)
		peer_close(zoo->idle[i]);
	peer_close(zoo->header);
	peer_close(zoo->frame);
	peer_close(zoo->muted);
	peer_close(zoo->ended);
	peer_close(zoo->unread);
	black_hole_close(&zoo->hole);
}

/* One CLOSED for each that was opened or tried; then -EPIPE. */
static void drain_after_stop(struct bp_endpoint *ep, unsigned expected)
{
	struct bp_event *event;
	unsigned closed = 0;
	int rc;

	while ((rc = bp_receive(ep, &event, SLOW(1000))) == 0) {
		closed += event->kind == BP_CLOSED;
		if (event->kind == BP_CLOSED)
			CHECK_EQ(event->reason, BP_REASON_SHUTDOWN);
		bp_event_free(event);
	}
	CHECK_EQ(rc, -EPIPE);
	CHECK_EQ(closed, expected);
}

/* P13 */
static void test_stop_returns_in_time_whatever_the_peers_do(void)
{
	static const int graces[] = { 0, 300 };

	for (size_t i = 0; i < COUNT_OF(graces); i++) {
		struct bp_endpoint_config config = {
			.budget = 1 << 20, .guarantee = 4096, .conns_max = 64,
		};
		struct bp_conn_config conn_config = narrow_config();
		struct zoo zoo = { 0 };
		int threads;

		zoo.ep = new_endpoint(&config);
		threads = count_threads() - 1;		/* but for the reaper */
		listen_on(zoo.ep, "127.0.0.1:0", &conn_config, addr);
		zoo_fill(&zoo);
		stop_in_time(zoo.ep, graces[i]);
		task_join(zoo.sender);
		zoo.sender = task_start(send_until_refused, zoo.unread_conn);
		zoo_leave(&zoo);
		WAIT_UNTIL(count_threads() <= threads);
		drain_after_stop(zoo.ep, ANIMALS);
		finish(zoo.ep);
	}
}

/* ---- in good order: P13, P14 ---------------------------------------------------- */

/* P13: peers that answer the end with theirs are not made to wait for the grace */
static void test_stop_of_quiet_connections_does_not_take_the_grace(void)
{
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	struct slow_reader peers[4] = { 0 };

	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		peers[i].fd = peer_connect(addr);
		atomic_store(&peers[i].step, 100);
		slow_reader_start(&peers[i]);
		skip_event(ep, BP_OPENED);
	}
	bp_endpoint_close(ep);
	for (size_t i = 0; i < COUNT_OF(peers); i++) {
		slow_reader_join(&peers[i]);
		CHECK_EQ(atomic_load(&peers[i].end), 0);
		peer_close(peers[i].fd);
	}
	stop_in_time(ep, 0);
	drain_after_stop(ep, COUNT_OF(peers));
	finish(ep);
}

/* P13: what is queued at the close is still received, and answered */
static void test_stop_lets_queued_requests_be_answered(void)
{
	struct bp_conn_config conn_config = { .framer = &bp_framer_line };
	struct bp_endpoint *ep = serve(NULL, &conn_config, addr);
	int fd = peer_connect(addr);
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	peer_send_string(fd, "a\nb\nc\n");
	WAIT_UNTIL(stats_of(ep).queued_events == 3);
	bp_endpoint_close(ep);
	CHECK(peer_try_connect(addr) < 0);
	for (const char *c = "abc"; *c; c++) {
		event = next_event(ep, BP_RECEIVED);
		CHECK_EQ(*(char *)event->buf->data, *c);
		CHECK_EQ(bp_send_buf(event->conn, event->buf, 0), 0);
		bp_event_free(event);
	}
	peer_expect_string(fd, "a\nb\nc\n");
	peer_expect_fin(fd);
	peer_close(fd);
	drain_after_stop(ep, 1);
	finish(ep);
}

struct stopper {
	struct bp_endpoint *ep;
	int grace_ms, rc;
	uint64_t took_ms;
};

static void stop_task(void *arg)
{
	struct stopper *s = arg;

	s->took_ms = timed_stop(s->ep, s->grace_ms, &s->rc);
}

/* P13 */
/* Its peer has ended within a frame: it is in no list any more, but its events wait. */
static void test_stop_ends_the_wait_for_an_unmute_also_of_who_is_gone(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_line };
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct bp_event *event;
	struct bp_conn *conn;
	int fd = peer_connect(addr);

	skip_event(ep, BP_OPENED);
	peer_send_string(fd, "one\ntwo\nthr");
	event = next_event(ep, BP_RECEIVED);
	conn = bp_conn_ref(event->conn);
	/* muted before, it would not see the end */
	WAIT_UNTIL(atomic_load(&conn->whereabouts) == BP__IN_RECV);
	bp_conn_mute(conn);
	bp_event_free(event);
	peer_close(fd);
	REQUIRE_EQ(bp_conn_wait_closed(conn, SLOW(8000)), 0);
	CHECK_EQ(stats_of(ep).queued_events, 2);
	CHECK_EQ(bp_endpoint_stop(ep, 0), 0);
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_TRUNCATED);
	bp_event_free(event);
	CHECK_EQ(bp_receive(ep, &event, 0), -EPIPE);
	CHECK_EQ(stats_of(ep).held_bytes, 0);
	bp_conn_unref(conn);
	bp_endpoint_free(ep);
}

static void test_stop_again_shortens_the_grace(void)
{
	struct bp_conn_config conn_config = narrow_config();
	struct bp_endpoint *ep = serve(NULL, &conn_config, addr);
	struct stopper patient = { ep, 60000, -1, 0 };
	int fd = narrow_connect(addr);
	struct bp_conn *conn = take_opened(ep);
	struct task *task;

	fill_out_queue(conn);
	task = task_start(stop_task, &patient);
	WAIT_UNTIL(bp_send(conn, "", 0, 0) == -EPIPE || task_done(task));
	CHECK(!task_done(task));
	stop_in_time(ep, 50);
	task_join(task);
	CHECK_EQ(patient.rc, 0);
	CHECK_LE(patient.took_ms, SLOW(20000));
	bp_conn_unref(conn);
	peer_close(fd);
	drain_after_stop(ep, 1);
	finish(ep);
}

enum { STOPPERS = 4 };

/* P13, P15 */
static void test_stop_by_many_threads_at_once_returns_on_each(void)
{
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	struct stopper stoppers[STOPPERS];
	struct task *tasks[STOPPERS];
	int fd = peer_connect(addr);

	skip_event(ep, BP_OPENED);
	for (size_t i = 0; i < STOPPERS; i++) {
		stoppers[i] = (struct stopper){ ep, 50 * (int)i, -1, 0 };
		tasks[i] = task_start(stop_task, &stoppers[i]);
	}
	for (size_t i = 0; i < STOPPERS; i++) {
		task_join(tasks[i]);
		CHECK_EQ(stoppers[i].rc, 0);
		CHECK_LE(stoppers[i].took_ms, stop_limit_ms(50 * (int)i, 1));
	}
	peer_close(fd);
	drain_after_stop(ep, 1);
	finish(ep);
}

/* ---- a handler that does not return ---------------------------------------------- */

struct lines {
	atomic_int n;
	char text[16][200];
};

static void keep_line(int level, const char *line, void *log_arg)
{
	struct lines *lines = log_arg;
	int i = atomic_fetch_add(&lines->n, 1);

	(void)level;
	if (i < (int)COUNT_OF(lines->text))
		snprintf(lines->text[i], sizeof lines->text[i], "%s", line);
}

static atomic_bool released;

static void stay(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)conn, (void)buf, (void)seen;
	WAIT_UNTIL(atomic_load(&released));
}

static bool some_line_has(struct lines *lines, const char *word)
{
	for (int i = 0; i < atomic_load(&lines->n); i++)
		if (i < (int)COUNT_OF(lines->text) && strstr(lines->text[i], word))
			return true;
	return false;
}

/* P13: -ETIMEDOUT, and the log says whose handler it is */
static void test_stop_names_the_handler_that_does_not_return(void)
{
	static struct lines lines;
	struct bp_endpoint_config config = { .log = keep_line, .log_arg = &lines };
	struct seen seen = { .on_received = stay };
	struct bp_conn_config conn_config = { .ops = &seen_ops, .data = &seen };
	struct bp_endpoint *ep = serve(&config, &conn_config, addr);
	int fd = peer_connect(addr), rc;
	struct bp_conn *conn = only_conn(ep);
	char id[40];

	peer_send(fd, "x", 1);
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	CHECK_LE(timed_stop(ep, 50, &rc), stop_limit_ms(50, 1));
	CHECK_EQ(rc, -ETIMEDOUT);
	snprintf(id, sizeof id, "connection %" PRIu64, bp_conn_id(conn));
	CHECK(some_line_has(&lines, id));
	CHECK(some_line_has(&lines, "received"));
	atomic_store(&released, true);
	CHECK_EQ(bp_conn_wait_closed(conn, SLOW(5000)), 0);
	CHECK_EQ(bp_endpoint_stop(ep, 0), 0);
	CHECK_EQ(atomic_load(&seen.closed), 1);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_stop_returns_in_time_whatever_the_peers_do),
		TEST(test_stop_of_quiet_connections_does_not_take_the_grace),
		TEST(test_stop_lets_queued_requests_be_answered),
		TEST(test_stop_ends_the_wait_for_an_unmute_also_of_who_is_gone),
		TEST(test_stop_again_shortens_the_grace),
		TEST(test_stop_by_many_threads_at_once_returns_on_each),
		TEST(test_stop_names_the_handler_that_does_not_return),
	};

	return run_suite("stop", tests, COUNT_OF(tests), argc, argv);
}
