/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_after_stop.c - after a stop, or a free: one defined answer to every receive
 * (P14), and nothing left but memory that somebody still refers to (P13).
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "peer.h"
#include "seen.h"

static char addr[ADDR_MAX];

static void receive_to_the_end(void *arg)
{
	struct bp_event *event;
	int rc;

	while ((rc = bp_receive(arg, &event, BP_FOREVER)) == 0)
		bp_event_free(event);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(rc, -EPIPE);
		rc = bp_receive(arg, &event, i == 0 ? 0 : i == 1 ? 10 : BP_FOREVER);
	}
}

/* P14: the first time, the third time, on every thread, with and without waiting */
static void test_after_stop_every_receive_gets_the_same_answer(void)
{
	struct bp_endpoint_config config = { .qdisc = &bp_qdisc_one_place };
	struct bp_endpoint *ep = serve(&config, NULL, addr);
	struct task *receivers[4];
	int fd = peer_connect(addr);

	for (size_t i = 0; i < COUNT_OF(receivers); i++)
		receivers[i] = task_start(receive_to_the_end, ep);
	WAIT_UNTIL(stats_of(ep).received_events > 0 || stats_of(ep).opened == 1);
	stop_in_time(ep, 20);
	for (size_t i = 0; i < COUNT_OF(receivers); i++)
		task_join(receivers[i]);
	receive_to_the_end(ep);
	peer_close(fd);
	finish(ep);
}

static struct bp_event *out;

static void take_and_go(void *arg)
{
	REQUIRE_EQ(bp_receive(arg, &out, 0), 0);
}

static void receive_in_its_place(void *arg)
{
	struct bp_event *event;

	/* it is another's, whoever that was, so there is something to wait for */
	CHECK_EQ(bp_receive(arg, &event, 0), -EAGAIN);
	CHECK_EQ(bp_receive(arg, &event, 10), -ETIMEDOUT);
}

/* P14: a thread is no other, though it has come to be where that was in memory */
static void test_after_stop_what_a_thread_that_went_has_taken_is_not_ours(void)
{
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	int fd = peer_connect(addr);
	struct bp_event *event;

	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	task_join(task_start(take_and_go, ep));
	stop_in_time(ep, 0);
	task_join(task_start(receive_in_its_place, ep));
	bp_event_free(out);
	while (bp_receive(ep, &event, 0) == 0)
		bp_event_free(event);
	CHECK_EQ(bp_receive(ep, &event, BP_FOREVER), -EPIPE);
	peer_close(fd);
	finish(ep);
}

/* And who has taken all there is would wait for itself. */
static void test_after_stop_nobody_waits_for_itself(void)
{
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	int fd = peer_connect(addr);
	struct bp_event *event, *next;

	event = next_event(ep, BP_OPENED);
	stop_in_time(ep, 0);
	CHECK_EQ(bp_receive(ep, &next, BP_FOREVER), -EPIPE);
	bp_event_free(event);
	skip_event(ep, BP_CLOSED);
	peer_close(fd);
	finish(ep);
}

/* P13: what was taken stays valid after the endpoint is gone, and is only memory */
static void test_after_stop_references_are_only_memory(void)
{
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };
	struct bp_endpoint *ep = serve(NULL, &conn_config, addr);
	static char large[300 << 10];
	int fd = peer_connect(addr), threads;
	struct bp_conn *conn = take_opened(ep);
	struct bp_event *event;
	struct bp_buf *kept;

	pattern_fill(large, 0, sizeof large);
	peer_send_u32be(fd, large, sizeof large);
	event = next_event(ep, BP_RECEIVED);
	kept = bp_buf_ref(event->buf);
	REQUIRE(kept != NULL);
	bp_event_free(event);
	threads = count_threads();
	bp_endpoint_free(ep);
	CHECK(count_threads() < threads);
	CHECK(pattern_matches(kept->data, 0, sizeof large));
	CHECK(strlen(bp_conn_peer(conn)) > 0);
	CHECK_EQ(bp_send_buf(conn, kept, BP_FOREVER), -EPIPE);
	CHECK_EQ(bp_conn_wait_closed(conn, BP_FOREVER), 0);
	CHECK_EQ(conn_stats_of(conn).reason, BP_REASON_SHUTDOWN);
	bp_conn_mute(conn);
	bp_conn_unmute(conn);
	bp_conn_abort(conn, BP_REASON_ABORT);
	bp_buf_unref(kept);
	bp_conn_unref(conn);
	peer_close(fd);
}

/* P13: nobody has received that one ended: its place and its peer are given up with it */
static void test_after_free_closed_was_never_received(void)
{
	struct bp_endpoint *ep = serve(NULL, NULL, addr);
	int fd = peer_connect(addr);

	skip_event(ep, BP_OPENED);
	peer_close(fd);
	skip_event(ep, BP_ENDED);
	WAIT_UNTIL(stats_of(ep).queued_events == 1);
	bp_endpoint_free(ep);
}

/* P13: without a stop before, with traffic in every way, and events never received */
/* So a program has one way out, wherever it failed. */
static void test_after_stop_nothing_is_nothing(void)
{
	bp_endpoint_close(NULL);
	CHECK_EQ(bp_endpoint_stop(NULL, BP_FOREVER), 0);
	bp_endpoint_free(NULL);
}

static void test_after_stop_free_needs_none_before(void)
{
	for (int handlers = 0; handlers < 2; handlers++) {
		struct seen seen[3] = { 0 };
		struct bp_endpoint *ep = new_endpoint(NULL);
		struct task *pushing[COUNT_OF(seen)];
		char addrs[COUNT_OF(seen)][ADDR_MAX];
		int threads = count_threads() - 1;

		for (size_t i = 0; i < COUNT_OF(seen); i++) {
			struct bp_conn_config config = {
				.framer = &bp_framer_u32be,
				.ops = handlers ? &seen_ops : NULL,
				.data = &seen[i],
			};

			listen_on(ep, "127.0.0.1:0", &config, addrs[i]);
			pushing[i] = task_start(push_until_cut, addrs[i]);
		}
		WAIT_UNTIL(stats_of(ep).opened == COUNT_OF(seen));
		WAIT_UNTIL(stats_of(ep).received_events > 10);
		bp_endpoint_free(ep);
		for (size_t i = 0; i < COUNT_OF(seen); i++) {
			task_join(pushing[i]);
			CHECK_EQ(atomic_load(&seen[i].closed), handlers);
		}
		WAIT_UNTIL(count_threads() <= threads);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_after_stop_every_receive_gets_the_same_answer),
		TEST(test_after_stop_what_a_thread_that_went_has_taken_is_not_ours),
		TEST(test_after_stop_nobody_waits_for_itself),
		TEST(test_after_free_closed_was_never_received),
		TEST(test_after_stop_references_are_only_memory),
		TEST(test_after_stop_nothing_is_nothing),
		TEST(test_after_stop_free_needs_none_before),
	};

	return run_suite("after_stop", tests, COUNT_OF(tests), argc, argv);
}
