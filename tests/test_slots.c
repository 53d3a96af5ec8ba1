/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_slots.c - handlers_max is 1: who gets the slot next, for how long it is kept,
 * and what becomes of those that wait for it.
 *
 * How many are shown to the discipline, waiting for a slot, is read from the library's
 * inside: no counter tells it.
 */
#include "config.h"

#include "corners.h"
#include "endpoint.h"
#include "harness.h"
#include "peer.h"

enum { CROWD = 200, MUCH = 8 << 20 };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static bool n_wait_for_slots(size_t n)
{
	return atomic_load(&ep->qdisc.shown) == n;
}

static int connect_and_say(const char *text)
{
	int fd = peer_connect_rcvbuf(addr, NARROW);

	peer_send_string(fd, text);
	return fd;
}

static struct {
	atomic_bool begun, may_end;
	bool sends;			/* keeps it until all of that was accepted */
} first;			/* handler: it keeps the slot until it may end */
static char said[CROWD + 64];	/* what was received, a letter each; no lock */
static atomic_int n_closed, reason;

/* More than all buffers take: it ends when the peer has read, or is cut off. */
static void send_much(struct bp_conn *conn)
{
	static const char zeros[64 << 10];
	int rc = 0;

	for (int sent = 0; sent < MUCH && rc == 0; sent += (int)sizeof zeros)
		rc = bp_send(conn, zeros, sizeof zeros, BP_FOREVER);
	CHECK(rc == 0 || rc == -EPIPE);
}

static void note_letter(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	REQUIRE_EQ(buf->len, 1);
	strncat(said, buf->data, 1);
	if (atomic_exchange(&first.begun, true))
		return;
	if (first.sends)
		send_much(conn);
	else
		WAIT_UNTIL(atomic_load(&first.may_end));
}

static void note_closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	(void)conn, (void)err, (void)data;
	atomic_store(&reason, why);
	atomic_fetch_add(&n_closed, 1);
}

static const struct bp_conn_ops letter_ops = {
	.received = note_letter, .closed = note_closed,
};

static struct bp_conn_config letters(unsigned band)
{
	return (struct bp_conn_config){
		.framer = &bp_framer_line, .ops = &letter_ops, .band = band,
		.sndbuf = NARROW, .out_high = NARROW,
	};
}

/* A server with one slot, taken by the first letter of what a peer sends. */
static int serve_and_say(const struct bp_qdisc_ops *qdisc, const char *text)
{
	struct bp_endpoint_config config = { .qdisc = qdisc, .handlers_max = 1 };
	struct bp_conn_config conn_config = letters(0);
	int fd;

	ep = serve(&config, &conn_config, addr);
	fd = connect_and_say(text);
	WAIT_UNTIL(atomic_load(&first.begun));
	return fd;
}

static bool take_last(struct bp_conn *conn, void *arg)
{
	*(struct bp_conn **)arg = conn;
	return true;
}

/* Another, whose letter waits for the slot; a reference to it. */
static struct bp_conn *wait_for_slot(const char *text, int *ret_fd)
{
	struct bp_conn *conn = NULL;

	*ret_fd = connect_and_say(text);
	WAIT_UNTIL(n_wait_for_slots(1));
	bp_endpoint_each(ep, take_last, &conn);
	return bp_conn_ref(conn);
}

static void end_first_and_hear(const char *text)
{
	atomic_store(&first.may_end, true);
	WAIT_UNTIL(stats_of(ep).received_events == strlen(text));
}

static void finish_all(const char *text, int a, int b)
{
	peer_close(a);
	peer_close(b);
	finish(ep);
	CHECK_STR(said, text);
}

/* Whoever has the slot says "a"; the others wait in turn, each from its band. */
static void test_slots_go_by_the_discipline(void)
{
	static const unsigned bands[] = { 5, 2, 4, 0, 2 };
	int a = serve_and_say(&bp_qdisc_prio, "a\n"), fds[COUNT_OF(bands)];

	for (size_t i = 0; i < COUNT_OF(bands); i++) {
		const struct bp_conn_config conn_config = letters(bands[i]);
		const char text[] = { (char)('b' + i), '\n', '\0' };

		listen_on(ep, "127.0.0.1:0", &conn_config, addr);
		fds[i] = connect_and_say(text);
		WAIT_UNTIL(n_wait_for_slots(i + 1));
	}
	end_first_and_hear("aecfdb");
	for (size_t i = 1; i < COUNT_OF(bands); i++)
		peer_close(fds[i]);
	finish_all("aecfdb", a, fds[0]);
}

/* P8: eleven more are at hand; yet once another waits the turn ends with its quantum */
static void one_that_floods_gives_way(const struct bp_qdisc_ops *qdisc)
{
	int b, a = serve_and_say(qdisc, "a\na\na\na\na\na\na\na\na\na\na\na\n");
	struct bp_conn *conn = wait_for_slot("b\n", &b);
	uint64_t waits_since = now_ns();

	WAIT_UNTIL(now_ns() - waits_since >= 200 * 1000);	/* two quanta */
	end_first_and_hear("abaaaaaaaaaaa");
	bp_conn_unref(conn);
	finish_all("abaaaaaaaaaaa", a, b);
}

static void test_slots_are_kept_for_a_quantum_when_others_wait_fair(void)
{
	one_that_floods_gives_way(&bp_qdisc_fair);
}

static void test_slots_are_kept_for_a_quantum_when_others_wait_prio(void)
{
	one_that_floods_gives_way(&bp_qdisc_prio);
}

/* ---- those that wait for one --------------------------------------------- */

static void test_muted_while_it_waits_for_a_slot_is_passed_over(void)
{
	int b, a = serve_and_say(NULL, "a\n");
	struct bp_conn *conn = wait_for_slot("b\n", &b);

	bp_conn_mute(conn);
	CHECK(n_wait_for_slots(0));
	peer_send_string(a, "a\n");
	end_first_and_hear("aa");
	bp_conn_unmute(conn);
	end_first_and_hear("aab");
	bp_conn_unref(conn);
	finish_all("aab", a, b);
}

/* P5: what it waits with is not delivered; its closed has to wait like any other */
static void test_aborted_while_it_waits_for_a_slot_is_only_closed(void)
{
	int b, a = serve_and_say(NULL, "a\n");
	struct bp_conn *conn = wait_for_slot("b\n", &b);

	bp_conn_abort(conn, BP_REASON_SLOW);
	peer_expect_reset(b);
	HOLDS_FOR_MS(atomic_load(&n_closed) == 0, 5);
	end_first_and_hear("a");
	REQUIRE_EQ(bp_conn_wait_closed(conn, SLOW(8000)), 0);
	CHECK_EQ(atomic_load(&n_closed), 1);
	CHECK_EQ(atomic_load(&reason), BP_REASON_SLOW);
	bp_conn_unref(conn);
	finish_all("a", a, b);
}

static void make_crowd_wait(int fds[CROWD])
{
	for (int i = 0; i < CROWD; i++)
		fds[i] = connect_and_say("b\n");
	WAIT_UNTIL(n_wait_for_slots(CROWD));
}

static void close_crowd(const int fds[CROWD])
{
	for (int i = 0; i < CROWD; i++)
		peer_close(fds[i]);
	CHECK_EQ(atomic_load(&n_closed), CROWD + 1);
	CHECK_EQ(atomic_load(&reason), BP_REASON_SHUTDOWN);
}

/* P13: who has the slot sends to a peer that does not read; nobody else has it */
static void test_stop_while_200_wait_for_a_slot(void)
{
	int fds[CROWD], a;

	first.sends = true;
	a = serve_and_say(NULL, "a\n");
	make_crowd_wait(fds);
	stop_in_time(ep, 50);
	close_crowd(fds);
	peer_close(a);
	finish(ep);
	CHECK_EQ(said[0], 'a');
}

/* What they have in hand can still be handled, as long as the grace lasts. */
static void test_close_while_200_wait_for_a_slot_handles_what_they_have(void)
{
	int fds[CROWD], a = serve_and_say(NULL, "a\n");

	make_crowd_wait(fds);
	bp_endpoint_close(ep);
	atomic_store(&first.may_end, true);
	REQUIRE_EQ(bp_endpoint_stop(ep, SLOW(8000)), 0);
	CHECK_EQ(stats_of(ep).received_events, CROWD + 1);
	close_crowd(fds);
	peer_close(a);
	finish(ep);
	CHECK_EQ(strlen(said), CROWD + 1);
}

static void test_handler_that_waits_in_a_send_keeps_its_slot(void)
{
	struct bp_conn *conn;
	int a, b;

	first.sends = true;
	a = serve_and_say(NULL, "a\n");
	conn = wait_for_slot("b\n", &b);
	WAIT_UNTIL(stats_of(ep).throttled == 1);
	HOLDS_FOR_MS(n_wait_for_slots(1), 20);
	for (int got = 0; got < MUCH; got += 64 << 10) {
		char piece[64 << 10];

		peer_recv(a, piece, sizeof piece);
		if (got < MUCH / 2)
			CHECK(n_wait_for_slots(1));
	}
	WAIT_UNTIL(conn_stats_of(conn).received_frames == 1);
	bp_conn_unref(conn);
	finish_all("ab", a, b);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_slots_go_by_the_discipline),
		TEST(test_slots_are_kept_for_a_quantum_when_others_wait_fair),
		TEST(test_slots_are_kept_for_a_quantum_when_others_wait_prio),
		TEST(test_muted_while_it_waits_for_a_slot_is_passed_over),
		TEST(test_aborted_while_it_waits_for_a_slot_is_only_closed),
		TEST(test_stop_while_200_wait_for_a_slot),
		TEST(test_close_while_200_wait_for_a_slot_handles_what_they_have),
		TEST(test_handler_that_waits_in_a_send_keeps_its_slot),
	};

	return run_suite("slots", tests, COUNT_OF(tests), argc, argv);
}
