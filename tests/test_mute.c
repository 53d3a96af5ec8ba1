/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_mute.c - reading stopped by wish: what it stops, what it must not stop.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "seen.h"

#include <stdlib.h>
#include <sys/socket.h>

enum { MIB = 1 << 20, CHUNK = 300 };

static const char ten_lines[] = "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n";

/* ---- mute and frames already read --------------------------------------- */

static void note_digit_mute_first(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	int n = atomic_load(&seen->received) - 1;

	CHECK_EQ(buf->len, 1);
	CHECK_EQ(*(char *)buf->data, '0' + n);
	if (n == 0)
		bp_conn_mute(conn);
}

/* Behaviour 6, P11 */
static void test_mute_in_a_handler_holds_back_frames_already_read(void)
{
	struct seen seen = { .on_received = note_digit_mute_first };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	peer_send_string(fd, ten_lines);
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	HOLDS_FOR_MS(atomic_load(&seen.received) == 1, 100);
	CHECK(conn_stats_of(conn).muted);
	CHECK_EQ(stats_of(ep).muted, 1);
	bp_conn_unmute(conn);
	WAIT_UNTIL(atomic_load(&seen.received) == 10);
	CHECK_EQ(stats_of(ep).muted, 0);
	CHECK_GE(conn_stats_of(conn).muted_ns, 95000000);
	bp_conn_unref(conn);
	peer_close(fd);
	check_quiet(ep);
	finish(ep);
}

/* Behaviour 6, with a queue between */
static void test_mute_while_holding_an_event_holds_back_queued_frames(void)
{
	struct bp_conn_config config = { .framer = &bp_framer_line };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr), i;
	struct bp_event *event;

	peer_send_string(fd, ten_lines);
	skip_event(ep, BP_OPENED);
	WAIT_UNTIL(stats_of(ep).received_events == 10);
	for (i = 0; i < 10; i++) {
		event = next_event(ep, BP_RECEIVED);
		CHECK_EQ(*(char *)event->buf->data, '0' + i);
		if (i == 0 || i == 5) {
			struct bp_event *none;
			struct bp_conn *conn = bp_conn_ref(event->conn);

			bp_conn_mute(conn);
			bp_event_free(event);
			CHECK_EQ(bp_receive(ep, &none, 50), -ETIMEDOUT);
			bp_conn_unmute(conn);
			bp_conn_unref(conn);
		} else {
			bp_event_free(event);
		}
	}
	peer_close(fd);
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
	finish(ep);
}

/* P10, P11: the window closes, and all comes after the unmute */
static void test_a_muted_connection_stops_its_peer_and_loses_nothing(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .rcvbuf = 65536 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	uint64_t sent;

	peer_set_option(fd, SOL_SOCKET, SO_SNDBUF, 65536);
	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	bp_conn_mute(conn);
	sent = peer_send_until_stuck(fd, 300);
	CHECK_LE(sent, MIB);
	HOLDS_FOR_MS(atomic_load(&seen.bytes) == 0, 50);
	bp_conn_unmute(conn);
	WAIT_UNTIL(atomic_load(&seen.bytes) == sent);
	sent += peer_send_until_stuck(fd, 0);
	peer_half_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.bytes), sent);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* Behaviour 16 */
static void test_reading_resumes_when_both_muters_have_let_go(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	bp_conn_mute(conn);
	bp_conn_mute(conn);
	peer_send_string(fd, ten_lines);
	HOLDS_FOR_MS(atomic_load(&seen.received) == 0, 50);
	bp_conn_unmute(conn);
	HOLDS_FOR_MS(atomic_load(&seen.received) == 0, 50);
	CHECK(conn_stats_of(conn).muted);
	bp_conn_unmute(conn);
	WAIT_UNTIL(atomic_load(&seen.received) == 10);
	CHECK(!conn_stats_of(conn).muted);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

/* ---- mute and throttle -------------------------------------------------- */

static void echo(struct bp_conn *conn, struct bp_buf *buf, struct seen *seen)
{
	(void)seen;
	CHECK_EQ(bp_send_buf(conn, buf, BP_FOREVER), 0);
}

static void mute(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	bp_conn_mute(conn);
}

static void unmute(struct bp_conn *conn, struct seen *seen)
{
	(void)seen;
	bp_conn_unmute(conn);
}

struct chunks {
	int fd;
	uint64_t total;
};

static void send_chunks(void *arg)
{
	struct chunks *chunks = arg;
	uint64_t sent;

	for (sent = 0; sent < chunks->total; sent += CHUNK)
		peer_send_pattern(chunks->fd, sent, CHUNK);
}

static void echo_one_round(enum bp_switch couple)
{
	struct seen seen = { .on_received = echo, .on_throttled = mute,
	    .on_unthrottled = unmute };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .couple = couple, .sndbuf = 8192, .rcvbuf = 32768,
	    .out_high = 8192, .out_low = 2048 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	struct chunks chunks = { peer_connect_rcvbuf(addr, 16384), CHUNK * 500 };
	struct task *sending = task_start(send_chunks, &chunks);

	WAIT_UNTIL(atomic_load(&seen.throttled) > 0);
	peer_expect_pattern(chunks.fd, 0, chunks.total);
	task_join(sending);
	peer_half_close(chunks.fd);
	peer_expect_fin(chunks.fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_PEER);
	CHECK_EQ(atomic_load(&seen.bytes), chunks.total);
	peer_close(chunks.fd);
	finish(ep);
}

/* Behaviour 2 */
static void test_100_times_mute_on_throttled_brings_every_byte_back(void)
{
	int i;

	for (i = 0; i < 100; i++)
		echo_one_round(i % 2 ? BP_ON : BP_OFF);
}

/* Behaviour 4, P4 */
static void test_32_mb_pending_are_written_after_close_of_a_muted_one(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen,
	    .out_high = 64 * MIB };
	char addr[ADDR_MAX], *piece = malloc(MIB);
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr), i;
	struct bp_conn *conn = only_conn(ep);
	uint64_t began;

	REQUIRE(piece != NULL);
	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	bp_conn_mute(conn);
	peer_send_pattern(fd, 0, 100000);	/* is never read */
	for (i = 0; i < 32; i++) {
		pattern_fill(piece, (uint64_t)i * MIB, MIB);
		REQUIRE_EQ(bp_send(conn, piece, MIB, 0), 0);
	}
	free(piece);
	CHECK_GE(bp_conn_pending(conn), 16 * MIB);
	bp_conn_close(conn);
	began = now_ms();
	peer_expect_pattern(fd, 0, 32 * MIB);
	peer_expect_fin(fd);
	CHECK_LE(now_ms() - began, SLOW(5000));
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_LOCAL);
	CHECK_EQ(atomic_load(&seen.received), 0);
	bp_conn_unref(conn);
	finish(ep);
}

/* ---- mute and the peer's death ------------------------------------------ */

static void reset_while_muted(const char *unread)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);
	uint64_t began;

	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	bp_conn_mute(conn);
	peer_send_string(fd, unread);
	began = now_ms();
	peer_reset(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_LE(now_ms() - began, SLOW(1000));
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_RESET);
	CHECK_EQ(atomic_load(&seen.err), -ECONNRESET);
	CHECK_EQ(atomic_load(&seen.received), 0);
	bp_conn_unref(conn);
	finish(ep);
}

/* Behaviour 7 */
static void test_a_reset_while_muted_is_reported_within_a_second(void)
{
	reset_while_muted("");
}

/* Behaviour 7 */
static void test_a_reset_behind_unread_input_is_reported_within_a_second(void)
{
	reset_while_muted("unread");
}

/* P11: the peer's end waits for the unmute, with what came before it */
static void test_a_fin_while_muted_comes_after_the_data_when_unmuted(void)
{
	struct seen seen = { 0 };
	struct bp_conn_config config = { .framer = &bp_framer_line,
	    .ops = &seen_ops, .data = &seen };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	WAIT_UNTIL(atomic_load(&seen.opened) == 1);
	bp_conn_mute(conn);
	peer_send_string(fd, ten_lines);
	peer_half_close(fd);
	HOLDS_FOR_MS(atomic_load(&seen.received) + atomic_load(&seen.ended)
	    + atomic_load(&seen.closed) == 0, 300);
	CHECK_EQ(bp_send(conn, "still", 5, 0), 0);
	peer_expect_string(fd, "still");
	bp_conn_unmute(conn);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.received), 10);
	CHECK_EQ(atomic_load(&seen.ended), 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_PEER);
	bp_conn_unref(conn);
	peer_close(fd);
	finish(ep);
}

static void mute_itself_first(struct bp_conn *conn, struct bp_buf *buf,
    struct seen *seen)
{
	(void)buf;
	if (atomic_load(&seen->received) == 1)
		bp_conn_mute(conn);
}

/*
 * A deadline of the peer's must not run while it is we who do not read. (linger is
 * short so that deadlines are looked at often.)
 */
static void test_time_spent_muted_is_not_charged_to_the_peer(void)
{
	const int ms = 200 * slow_factor();
	struct seen seen = { .on_received = mute_itself_first };
	struct bp_conn_config config = { .framer = &bp_framer_u32be,
	    .ops = &seen_ops, .data = &seen, .header_ms = ms, .frame_ms = ms,
	    .linger_ms = 20 };
	char addr[ADDR_MAX];
	struct bp_endpoint *ep = serve(NULL, &config, addr);
	int fd = peer_connect(addr);
	struct bp_conn *conn = only_conn(ep);

	/* a whole frame, and the first bytes of the next one's header */
	peer_send(fd, "\0\0\0\1a\0\0", 7);
	WAIT_UNTIL(atomic_load(&seen.received) == 1);
	HOLDS_FOR_MS(atomic_load(&seen.closed) == 0, 2 * ms);
	bp_conn_unmute(conn);
	HOLDS_FOR_MS(atomic_load(&seen.closed) == 0, ms / 2);
	peer_send(fd, "\0\1b", 3);
	WAIT_UNTIL(atomic_load(&seen.received) == 2);
	bp_conn_unref(conn);
	peer_close(fd);
	WAIT_UNTIL(atomic_load(&seen.closed) == 1);
	CHECK_EQ(atomic_load(&seen.reason), BP_REASON_PEER);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_mute_in_a_handler_holds_back_frames_already_read),
		TEST(test_mute_while_holding_an_event_holds_back_queued_frames),
		TEST(test_a_muted_connection_stops_its_peer_and_loses_nothing),
		TEST(test_reading_resumes_when_both_muters_have_let_go),
		TEST(test_100_times_mute_on_throttled_brings_every_byte_back),
		TEST(test_32_mb_pending_are_written_after_close_of_a_muted_one),
		TEST(test_a_reset_while_muted_is_reported_within_a_second),
		TEST(test_a_reset_behind_unread_input_is_reported_within_a_second),
		TEST(test_a_fin_while_muted_comes_after_the_data_when_unmuted),
		TEST(test_time_spent_muted_is_not_charged_to_the_peer),
	};

	return run_suite("mute", tests, COUNT_OF(tests), argc, argv);
}
