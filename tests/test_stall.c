/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_stall.c - what an application holds, and who waits for it: not the thread that
 * aborts, not the reaper, nor memory that nobody uses; and readers that do are reported.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <pthread.h>
#include <stdlib.h>
#include <syslog.h>

enum { KIB = 1024, MIB = 1 << 20, MANY = 8 * MIB };

static void send_more_than_is_taken(struct bp_conn *conn)
{
	char *data = calloc(1, MANY);

	REQUIRE(data != NULL);
	REQUIRE_EQ(bp_send(conn, data, MANY, 0), 0);
	free(data);
	CHECK(bp_conn_throttled(conn));
}

/* ---- unthrottled waits for the application ------------------------------ */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t aborter;

static void take_mutex(struct bp_conn *conn, struct seen *seen)
{
	(void)conn, (void)seen;
	if (!CHECK(!pthread_equal(pthread_self(), aborter)))
		return;
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
}

static void test_a_lock_that_unthrottled_takes_may_be_held_in_abort(void)
{
	struct seen seen = { .on_unthrottled = take_mutex };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	send_more_than_is_taken(conn);
	CHECK_EQ(atomic_load(&seen.throttled), 1);
	aborter = pthread_self();
	pthread_mutex_lock(&mutex);
	bp_conn_abort(conn, BP_REASON_ABORT);
	WAIT_UNTIL(atomic_load(&seen.unthrottled) == 1);
	HOLDS_FOR_MS(atomic_load(&seen.closed) == 0, 100);
	pthread_mutex_unlock(&mutex);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void wait_for_other(struct bp_conn *conn, struct seen *seen)
{
	const struct seen *other = seen->own;

	(void)conn;
	WAIT_UNTIL(atomic_load(&other->closed) == 1);
}

/* Both stall, one later; the deadline of that must be kept all the same. */
static void test_an_unthrottled_that_waits_holds_up_no_deadline_of_others(void)
{
	struct seen later = { 0 };
	struct seen first = { .on_unthrottled = wait_for_other, .own = &later };
	struct bp_conn_config configs[2] = {
		{ .ops = &seen_ops, .data = &first, .write_ms = 200 * slow_factor() },
		{ .ops = &seen_ops, .data = &later, .write_ms = 600 * slow_factor() },
	};
	struct bp_endpoint *ep = new_endpoint(NULL);
	struct bp_conn *conns[2];
	char addr[ADDR_MAX];
	int listener = peer_listen(addr), fds[2], i;

	for (i = 0; i < 2; i++) {
		REQUIRE_EQ(bp_connect(ep, &conns[i], addr, &configs[i], SLOW(8000)), 0);
		fds[i] = peer_accept(listener);
	}
	for (i = 1; i >= 0; i--)
		send_more_than_is_taken(conns[i]);
	WAIT_UNTIL(atomic_load(&first.closed) == 1);
	CHECK_EQ(atomic_load(&first.reason), BP_REASON_STALLED_WRITE);
	CHECK_EQ(atomic_load(&later.reason), BP_REASON_STALLED_WRITE);
	for (i = 0; i < 2; i++) {
		bp_conn_unref(conns[i]);
		peer_close(fds[i]);
	}
	peer_close(listener);
	finish(ep);
}

/* ---- a payload is kept -------------------------------------------------- */

enum { KEPT = 5, LARGE = 8 * MIB };

static void send_large_frames(void *arg)
{
	char *data = malloc(LARGE);
	int fd = peer_connect(arg), i;

	REQUIRE(data != NULL);
	memset(data, 1, LARGE);
	for (i = 0; i < KEPT; i++)
		peer_send_u32be(fd, data, LARGE);
	free(data);
	peer_close(fd);
}

/* Its connection dead, one of the large payloads still kept: the others' go back. */
static void test_one_kept_payload_holds_up_no_idle_memory(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX];
	/* fair would not let one peer hold that much */
	struct bp_endpoint *ep = serve(&(struct bp_endpoint_config){
	    .qdisc = &bp_qdisc_bytes }, &config, addr);
	struct task *sending = task_start(send_large_frames, addr);
	struct bp_buf *kept[KEPT];
	struct bp_event *event;
	size_t before;
	int i;

	skip_event(ep, BP_OPENED);
	for (i = 0; i < KEPT; i++) {
		event = next_event(ep, BP_RECEIVED);
		kept[i] = bp_buf_ref(event->buf);
		REQUIRE(kept[i] != NULL);
		bp_event_free(event);
	}
	event = next_event(ep, BP_ENDED);
	bp_conn_close(event->conn);
	bp_event_free(event);
	skip_event(ep, BP_CLOSED);
	task_join(sending);
	/* the reaper has had its last look at a connection */
	HOLDS_FOR_MS(stats_of(ep).held_bytes >= KEPT * (size_t)LARGE, 1000);
	before = resident_bytes();
	for (i = 1; i < KEPT; i++)
		bp_buf_unref(kept[i]);
	if (!is_sanitized())
		WAIT_UNTIL_MS(resident_bytes() + 3 * LARGE <= before, 4000);
	CHECK_GE(stats_of(ep).held_bytes, LARGE);
	bp_buf_unref(kept[0]);
	finish(ep);
}

/* ---- everything is held: a stall ---------------------------------------- */

enum { PEERS = 2, FRAMES = 30, FRAME = 40 * KIB };

static atomic_int stalls_logged;

static void log_line(int level, const char *line, void *arg)
{
	CHECK(arg == &stalls_logged);
	if (strstr(line, "stalled:")) {
		CHECK_EQ(level, LOG_WARNING);
		atomic_fetch_add(&stalls_logged, 1);
	}
}

static void send_frames(void *arg)
{
	char *data = malloc(FRAME);
	int fd = peer_connect(arg), i;

	REQUIRE(data != NULL);
	for (i = 0; i < FRAMES; i++) {
		pattern_fill(data, (uint64_t)i * FRAME, FRAME);
		peer_send_u32be(fd, data, FRAME);
	}
	free(data);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

/* Take the first frame of each peer, and free none of them. */
static void hold_one_of_each(struct bp_endpoint *ep, struct bp_event *held[PEERS])
{
	struct bp_event *event;
	int n = 0;

	while (n < PEERS) {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		if (event->kind != BP_RECEIVED) {
			bp_event_free(event);
			continue;
		}
		bp_conn_set_data(event->conn, (void *)(uintptr_t)FRAME);
		held[n++] = event;
	}
	CHECK_EQ(bp_receive(ep, &event, 0), -EAGAIN);
}

/* A connection's data is how much of its pattern has come. */
static void drain_frames(struct bp_endpoint *ep)
{
	struct bp_event *event;
	int closed = 0;

	while (closed < PEERS) {
		uintptr_t so_far;

		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		so_far = (uintptr_t)bp_conn_data(event->conn);
		if (event->kind == BP_RECEIVED) {
			REQUIRE_EQ(event->buf->len, FRAME);
			CHECK(pattern_matches(event->buf->data, so_far, FRAME));
			bp_conn_set_data(event->conn, (void *)(so_far + FRAME));
		} else if (event->kind == BP_CLOSED) {
			CHECK_EQ(event->reason, BP_REASON_PEER);
			CHECK_EQ(so_far, FRAMES * FRAME);
			closed++;
		}
		bp_event_free(event);
	}
}

/* P9: a cycle through the application is reported, and it goes on when that does */
static void test_a_stall_is_reported_and_ends_when_events_are_freed(void)
{
	struct bp_endpoint_config small = { .qdisc = &bp_qdisc_bytes,
	    .budget = 512 * KIB, .conns_max = PEERS, .log = log_line,
	    .log_arg = &stalls_logged };
	struct bp_conn_config config = { .framer = &bp_framer_u32be };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&small, &config, addr);
	struct bp_event *held[PEERS];
	struct task *peers[PEERS];
	int i;

	for (i = 0; i < PEERS; i++)
		peers[i] = task_start(send_frames, addr);
	hold_one_of_each(ep, held);
	WAIT_UNTIL(stats_of(ep).waiting == PEERS);
	CHECK_EQ(stats_of(ep).stalls, 0);
	WAIT_UNTIL_MS(stats_of(ep).stalls >= 1, 7000);
	WAIT_UNTIL(atomic_load(&stalls_logged) >= 1);
	for (i = 0; i < PEERS; i++)
		bp_event_free(held[i]);
	drain_frames(ep);
	for (i = 0; i < PEERS; i++)
		task_join(peers[i]);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_lock_that_unthrottled_takes_may_be_held_in_abort),
		TEST(test_an_unthrottled_that_waits_holds_up_no_deadline_of_others),
		TEST(test_one_kept_payload_holds_up_no_idle_memory),
		TEST_WITHIN(test_a_stall_is_reported_and_ends_when_events_are_freed, 40),
	};

	return run_suite("stall", tests, COUNT_OF(tests), argc, argv);
}
