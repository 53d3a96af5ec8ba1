/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_deadlines.c - what a peer may take its time with, and what it may not.
 *
 * Deadlines are set short. That one does not fire too early is checked exactly; that
 * it fires in time, within a quarter of a second, stretched.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <poll.h>
#include <stdlib.h>

enum { MIB = 1 << 20, LATE_MS = 250 };

/* Sends a byte now and then, until the connection is gone. */
struct trickle {
	int fd;
	int pause_ms;
	atomic_bool stop;
};

static void trickle(void *arg)
{
	struct trickle *t = arg;

	while (!atomic_load(&t->stop) && peer_send_some(t->fd, "", 1) == 1)
		poll(NULL, 0, t->pause_ms);
}

/* The peer sends this and no more; or, if trickling, zeros, one by one, for ever. */
static void end_by_deadline(struct bp_conn_config *config, const void *data,
    size_t len, bool trickling, enum bp_reason reason, int ms)
{
	struct seen seen = { 0 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep;
	struct trickle t = { .pause_ms = 5 };
	struct task *sending = NULL;
	uint64_t began;

	config->ops = &seen_ops;
	config->data = &seen;
	ep = serve(NULL, config, addr);
	began = now_ms();
	t.fd = peer_connect(addr);
	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	if (len > 0)
		began = now_ms();
	peer_send(t.fd, data, len);
	if (trickling)
		sending = task_start(trickle, &t);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_GE(now_ms() - began, ms - 1);
	CHECK_LE(now_ms() - began, SLOW(ms + LATE_MS));
	CHECK_EQ(atomic_load(&seen.reason), reason);
	CHECK_EQ(atomic_load(&seen.received), 0);
	if (sending) {
		atomic_store(&t.stop, true);
		task_join(sending);
	}
	peer_close(t.fd);
	check_quiet(ep);
	finish(ep);
}

static void test_a_header_that_stalls_ends_with_header(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .header_ms = 120 };

	end_by_deadline(&config, "\0\0", 2, false, BP_REASON_HEADER, 120);
}

static void test_a_frame_that_stalls_ends_with_stalled_frame(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .frame_ms = 120 };

	end_by_deadline(&config, "\0\0\0\6hello", 9, false,
	    BP_REASON_STALLED_FRAME, 120);
}

/* Deadlines where bytes could reset them are absolute. */
static void test_trickled_bytes_do_not_put_the_frame_deadline_off(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .frame_ms = 120 };

	end_by_deadline(&config, "\0\0\x10\0", 4, true,
	    BP_REASON_STALLED_FRAME, 120);
}

static void test_a_line_that_never_ends_is_a_stalled_frame(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .frame_ms = 120 };

	end_by_deadline(&config, "hel", 3, true, BP_REASON_STALLED_FRAME, 120);
}

/* Behaviour 12: and its memory is released */
static void test_a_stalled_16_mib_frame_is_ended_and_its_memory_released(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .frame_ms = 400 * slow_factor(), .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	size_t before;

	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	before = resident_bytes();
	peer_send(fd, "\1\0\0\0", 4);
	peer_send_pattern(fd, 0, 8 * MIB);
	WAIT_UNTIL(stats_of(ep).held_bytes >= 16 * MIB);
	CHECK_LE(stats_of(ep).held_bytes, 17 * MIB);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_STALLED_FRAME);
	CHECK_EQ(atomic_load(&seen.received), 0);
	peer_close(fd);
	check_quiet(ep);
	if (!is_sanitized())
		WAIT_UNTIL(resident_bytes() <= before + MIB);
	finish(ep);
}

/* ---- idle --------------------------------------------------------------- */

static void test_silence_both_ways_ends_with_idle(void)
{
	struct bp_conn_config config = { .idle_ms = 120 };

	end_by_deadline(&config, "", 0, false, BP_REASON_IDLE, 120);
}

static void test_bytes_either_way_put_idle_off(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .idle_ms = 200 * slow_factor(), .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr), i;
	struct bp_conn *conn = only_conn(ep);
	uint64_t began;

	for (i = 0; i < 6; i++) {
		HOLDS_FOR_MS(atomic_load(&seen.closed) == 0, SLOW(60));
		peer_send_string(fd, "ping\n");
	}
	CHECK_EQ(atomic_load(&seen.closed), 0);
	for (i = 0; i < 6; i++) {
		HOLDS_FOR_MS(atomic_load(&seen.closed) == 0, SLOW(60));
		CHECK_EQ(bp_send(conn, "pong", 4, 0), 0);
	}
	began = now_ms();
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_GE(now_ms() - began, (uint64_t)SLOW(200) - 20);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_IDLE);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- writing ------------------------------------------------------------ */

static void send_zeros(void *arg)
{
	static const char zeros[4096];

	while (bp_send(arg, zeros, sizeof zeros, BP_FOREVER) == 0)
		;
}

static void write_to_reader(struct slow_reader *reader, int rcvbuf,
    struct seen *seen, int write_ms, bool ends)
{
	struct bp_conn_config config = { .ops = &seen_ops, .data = seen,
	    .write_ms = write_ms, .sndbuf = 32768, .out_high = 65536 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct bp_conn *conn;
	struct task *sending;
	uint64_t began;

	reader->fd = peer_connect_rcvbuf(addr, rcvbuf);
	conn = only_conn(ep);
	slow_reader_start(reader);
	sending = task_start(send_zeros, conn);
	WAIT_UNTIL(bp_conn_throttled(conn));
	began = now_ms();
	if (ends) {
		WAIT_UNTIL(atomic_load(&seen->closed) == 1);
		CHECK_LE(now_ms() - began, SLOW(2 * write_ms + LATE_MS));
		CHECK_EQ(atomic_load(&seen->reason), BP_REASON_STALLED_WRITE);
	} else {
		HOLDS_FOR_MS(atomic_load(&seen->closed) == 0, 5 * write_ms);
		bp_conn_abort(conn, BP_REASON_ABORT);
	}
	task_join(sending);
	/* what had arrived before the reset is still there to be read */
	atomic_store(&reader->pause_ms, 0);
	atomic_store(&reader->step, 65536);
	slow_reader_join(reader);
	bp_conn_unref(conn);
	peer_close(reader->fd);
	check_quiet(ep);
	finish(ep);
}

/* Behaviour 20 */
static void test_a_reader_of_a_byte_now_and_then_is_cut_off(void)
{
	struct slow_reader reader = { .step = 1, .pause_ms = 20 };
	struct seen seen = { 0 };

	write_to_reader(&reader, 65536, &seen, 300, true);
}

/*
 * Behaviour 20: progress is a rate, never "a byte moved". So small a buffer opens
 * its window, by a KiB or so, several times in write_ms.
 */
static void test_a_reader_of_2_kib_in_write_ms_is_cut_off(void)
{
	struct slow_reader reader = { .step = 64, .pause_ms = 10 };
	struct seen seen = { 0 };

	write_to_reader(&reader, 2304, &seen, 400, true);
}

/* Behaviour 20 */
static void test_a_slow_but_steady_reader_is_not_cut_off(void)
{
	struct slow_reader reader = { .step = 8192, .pause_ms = 5 };
	struct seen seen = { 0 };

	write_to_reader(&reader, 65536, &seen, 200 * slow_factor(), false);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_ABORT);
}

/* P4: draining after close is bounded by the same deadline */
static void test_close_to_a_peer_that_does_not_read_is_a_stalled_write(void)
{
	static const char zeros[65536];
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .write_ms = 150, .sndbuf = 32768, .out_high = 2 * MIB };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 32768), i;
	struct bp_conn *conn = only_conn(ep);
	uint64_t began = now_ms();

	for (i = 0; i < 16; i++)
		CHECK_EQ(bp_send(conn, zeros, sizeof zeros, 0), 0);
	bp_conn_close(conn);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_GE(now_ms() - began, 149);
	CHECK_LE(now_ms() - began, SLOW(2 * 150 + LATE_MS));
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_STALLED_WRITE);
	peer_expect_reset(fd);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* All was written, and lies in our kernel: the peer never made room for it. */
static void test_linger_with_bytes_unacknowledged_is_a_stalled_write(void)
{
	static const char zeros[65536];
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .linger_ms = 150, .sndbuf = 262144 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect_rcvbuf(addr, 8192);
	struct bp_conn *conn = only_conn(ep);
	uint64_t began;

	REQUIRE_EQ(bp_send(conn, zeros, sizeof zeros, 0), 0);
	WAIT_UNTIL(bp_conn_pending(conn) == 0);
	began = now_ms();
	bp_conn_close(conn);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_GE(now_ms() - began, 149);
	CHECK_LE(now_ms() - began, SLOW(150 + LATE_MS));
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_STALLED_WRITE);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- time that is ours -------------------------------------------------- */

static void receive_frame(struct bp_endpoint *ep)
{
	struct bp_event *event = next_event(ep, BP_RECEIVED);

	CHECK_EQ(event->buf->len, MIB);
	bp_event_free(event);
}

/*
 * What a frame waited for room is not the peer's time. (linger is short so that
 * deadlines are looked at often.)
 */
static void test_time_at_the_gate_is_not_charged_to_the_frame(void)
{
	static const char zeros[MIB];
	const int ms = 200 * slow_factor();
	struct bp_endpoint_config small = { .budget = 4 * MIB, .conns_max = 8 };
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .frame_ms = ms, .linger_ms = 20 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(&small, &config, addr);
	int fd = peer_connect(addr), i;

	skip_event(ep, BP_OPENED);
	for (i = 0; i < 3; i++)
		peer_send_u32be(fd, zeros, MIB);
	WAIT_UNTIL(stats_of(ep).received_events == 3);
	/* there is no room for another: it waits, with its first bytes sent */
	peer_send(fd, "\0\x10\0\0", 4);
	peer_send(fd, zeros, 1000);
	WAIT_UNTIL(stats_of(ep).waiting == 1);
	HOLDS_FOR_MS(stats_of(ep).waiting == 1, 2 * ms);
	CHECK_LE(stats_of(ep).held_bytes, 4 * MIB);
	receive_frame(ep);
	WAIT_UNTIL(stats_of(ep).waiting == 0);
	HOLDS_FOR_MS(stats_of(ep).closed == 0, ms / 2);
	peer_send(fd, zeros, MIB - 1000);
	for (i = 0; i < 3; i++)
		receive_frame(ep);
	peer_close(fd);
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_a_header_that_stalls_ends_with_header),
		TEST(test_a_frame_that_stalls_ends_with_stalled_frame),
		TEST(test_trickled_bytes_do_not_put_the_frame_deadline_off),
		TEST(test_a_line_that_never_ends_is_a_stalled_frame),
		TEST(test_a_stalled_16_mib_frame_is_ended_and_its_memory_released),
		TEST(test_silence_both_ways_ends_with_idle),
		TEST(test_bytes_either_way_put_idle_off),
		TEST(test_a_reader_of_a_byte_now_and_then_is_cut_off),
		TEST(test_a_reader_of_2_kib_in_write_ms_is_cut_off),
		TEST(test_a_slow_but_steady_reader_is_not_cut_off),
		TEST(test_close_to_a_peer_that_does_not_read_is_a_stalled_write),
		TEST(test_linger_with_bytes_unacknowledged_is_a_stalled_write),
		TEST(test_time_at_the_gate_is_not_charged_to_the_frame),
	};

	return run_suite("deadlines", tests, COUNT_OF(tests), argc, argv);
}
