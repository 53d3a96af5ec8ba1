/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_handlers_max.c - at most so many handlers of an endpoint at once, on their own
 * reader threads. Who is next, and for how long, is in test_slots.c.
 *
 * How many are shown to the discipline, waiting for a slot, is read from the library's
 * inside: no counter tells it.
 */
#include "config.h"

#include "endpoint.h"
#include "harness.h"
#include "peer.h"
#include "tagged.h"

enum { CONNS = 6, FRAMES = 60, FRAME_MAX = 50000 };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;

static struct bp_endpoint_config with_slots(size_t n)
{
	return (struct bp_endpoint_config){ .handlers_max = n };
}

static bool n_wait_for_slots(size_t n)
{
	return atomic_load(&ep->qdisc.shown) == n;
}

static int connect_and_say(const char *text)
{
	int fd = peer_connect(addr);

	peer_send_string(fd, text);
	return fd;
}

/* ---- how many: every handler --------------------------------------------- */

enum { IN_OPENED, IN_RECEIVED, IN_ENDED, IN_CLOSED, HANDLERS };

static struct {
	int k, blocks;			/* which of the handlers does */
	atomic_int running, blocked, calls[HANDLERS];
	atomic_bool go_on;
} crowd;

static void handle(int which)
{
	CHECK_LE(atomic_fetch_add(&crowd.running, 1) + 1, crowd.k);
	if (which == crowd.blocks) {
		atomic_fetch_add(&crowd.blocked, 1);
		WAIT_UNTIL(atomic_load(&crowd.go_on));
		atomic_fetch_sub(&crowd.blocked, 1);
	}
	atomic_fetch_add(&crowd.calls[which], 1);
	atomic_fetch_sub(&crowd.running, 1);
}

static void crowd_opened(struct bp_conn *conn, void *data)
{
	(void)conn, (void)data;
	handle(IN_OPENED);
}

static void crowd_received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn, (void)buf, (void)data;
	handle(IN_RECEIVED);
}

static void crowd_ended(struct bp_conn *conn, void *data)
{
	(void)conn, (void)data;
	handle(IN_ENDED);
}

static void crowd_closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	(void)conn, (void)err, (void)data;
	CHECK_EQ(why, BP_REASON_PEER);
	handle(IN_CLOSED);
}

static void crowd_comes_and_goes(const struct bp_qdisc_ops *qdisc)
{
	static const struct bp_conn_ops ops = {
		.opened = crowd_opened, .received = crowd_received,
		.ended = crowd_ended, .closed = crowd_closed,
	};
	struct bp_endpoint_config config = with_slots((size_t)crowd.k);
	struct bp_conn_config conn_config = { .framer = &bp_framer_line, .ops = &ops };
	int fds[CONNS];

	config.qdisc = qdisc;
	atomic_store(&crowd.go_on, false);
	for (int i = 0; i < HANDLERS; i++)
		atomic_store(&crowd.calls[i], 0);
	ep = serve(&config, &conn_config, addr);
	for (int i = 0; i < CONNS; i++) {
		fds[i] = connect_and_say("one\ntwo\n");
		peer_half_close(fds[i]);
	}
	WAIT_UNTIL(atomic_load(&crowd.blocked) == crowd.k);
	WAIT_UNTIL(n_wait_for_slots((size_t)(CONNS - crowd.k)));
	HOLDS_FOR_MS(atomic_load(&crowd.blocked) == crowd.k, 10);
	atomic_store(&crowd.go_on, true);
	WAIT_UNTIL(atomic_load(&crowd.calls[IN_CLOSED]) == CONNS);
	CHECK_EQ(atomic_load(&crowd.calls[IN_OPENED]), CONNS);
	CHECK_EQ(atomic_load(&crowd.calls[IN_RECEIVED]), 2 * CONNS);
	CHECK_EQ(atomic_load(&crowd.calls[IN_ENDED]), CONNS);
	for (int i = 0; i < CONNS; i++)
		peer_close(fds[i]);
	finish(ep);
}

static void test_slots_bound_every_handler(void)
{
	for (crowd.k = 1; crowd.k <= 2; crowd.k++)
		for (crowd.blocks = 0; crowd.blocks < HANDLERS; crowd.blocks++) {
			crowd_comes_and_goes(&bp_qdisc_fair);
			crowd_comes_and_goes(&bp_qdisc_prio);
		}
}

/* ---- one: no lock -------------------------------------------------------- */

/* Written by the handlers of all connections, and guarded by nothing else. */
static uint32_t next_seq[CONNS];
static unsigned total;

static void count_without_a_lock(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	uint32_t source = CONNS, seq = 0;

	(void)conn, (void)data;
	CHECK(tagged_check(buf->data, buf->len, FRAME_MAX, &source, &seq));
	REQUIRE(source < CONNS);
	CHECK_EQ(seq, next_seq[source]);
	next_seq[source]++;
	total++;
}

static void send_all(void *arg)
{
	int fd = peer_connect(addr);

	for (uint32_t seq = 0; seq < FRAMES; seq++)
		tagged_send(fd, (uint32_t)(uintptr_t)arg, seq, FRAME_MAX);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

/* P1, P15: small, chunked and large frames; in order, whatever the discipline */
static void test_one_slot_needs_no_lock_and_keeps_the_order(void)
{
	static const struct bp_qdisc_ops *const disciplines[] = {
		&bp_qdisc_fair, &bp_qdisc_prio, &bp_qdisc_bytes, &bp_qdisc_bounded,
		&bp_qdisc_unbounded,
	};
	static const struct bp_conn_ops ops = { .received = count_without_a_lock };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be, .ops = &ops };
	struct task *peers[CONNS];

	for (size_t i = 0; i < COUNT_OF(disciplines); i++) {
		struct bp_endpoint_config config = with_slots(1);

		config.qdisc = disciplines[i];
		memset(next_seq, 0, sizeof next_seq);
		total = 0;
		ep = serve(&config, &conn_config, addr);
		for (uintptr_t k = 0; k < CONNS; k++)
			peers[k] = task_start(send_all, (void *)k);
		for (size_t k = 0; k < CONNS; k++)
			task_join(peers[k]);
		CHECK_EQ(stats_of(ep).futile_wakeups, 0);
		finish(ep);
		CHECK_EQ(total, CONNS * FRAMES);
		for (size_t k = 0; k < CONNS; k++)
			CHECK_EQ(next_seq[k], FRAMES);
	}
}

/* ---- what is refused ----------------------------------------------------- */

static struct bp_conn *elsewhere;	/* a connection of another endpoint's */
static size_t slots;
static atomic_int asked;

static bool wait_for_it(struct bp_conn *conn, void *self)
{
	int rc = conn == self || slots > 0 ? -EDEADLK : -ETIMEDOUT;

	CHECK_EQ(bp_conn_wait_closed(conn, 5), rc);
	atomic_fetch_add(&asked, 1);
	return true;
}

static void wait_for_all(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)buf, (void)data;
	bp_endpoint_each(bp_conn_endpoint(conn), wait_for_it, conn);
	CHECK_EQ(bp_conn_wait_closed(elsewhere, 5), -ETIMEDOUT);
	atomic_fetch_add(&asked, 1);
}

/* P16: the last handler of the other one may need the slot this one is in */
static void test_handler_in_a_slot_does_not_wait_for_another_to_close(void)
{
	static const struct bp_conn_ops ops = { .received = wait_for_all };
	struct bp_conn_config conn_config = { .framer = &bp_framer_line, .ops = &ops };
	struct bp_endpoint *other = new_endpoint(NULL);
	char other_addr[ADDR_MAX];
	int listener = peer_listen(other_addr), a, b;

	REQUIRE_EQ(bp_connect(other, &elsewhere, other_addr, NULL, SLOW(8000)), 0);
	for (slots = 0; slots <= 2; slots++) {
		struct bp_endpoint_config config = with_slots(slots);

		atomic_store(&asked, 0);
		ep = serve(&config, &conn_config, addr);
		a = connect_and_say("");
		WAIT_UNTIL(stats_of(ep).opened == 1);
		b = connect_and_say("");
		WAIT_UNTIL(stats_of(ep).opened == 2);
		peer_send_string(b, "ask\n");
		WAIT_UNTIL(atomic_load(&asked) == 3);
		peer_close(a);
		peer_close(b);
		finish(ep);
	}
	bp_conn_unref(elsewhere);
	peer_close(listener);
	finish(other);
}

static void test_connection_without_received_is_refused(void)
{
	static const struct bp_conn_ops edges = { .throttled = NULL };
	struct bp_endpoint_config config = with_slots(1);
	struct bp_conn_config conn_config = { .ops = &edges };
	struct bp_listener *listener = NULL;
	struct bp_conn *conn = NULL;
	struct bp_event *event;
	char there[ADDR_MAX];
	int knocks, fd;

	knocks = peer_listen(there);
	fd = peer_connect(there);
	ep = new_endpoint(&config);
	for (int i = 0; i < 2; i++) {
		const struct bp_conn_config *given = i ? &conn_config : NULL;

		CHECK_EQ(bp_listen(ep, &listener, "127.0.0.1:0", given), -EINVAL);
		CHECK_EQ(bp_connect(ep, &conn, there, given, 0), -EINVAL);
		CHECK_EQ(bp_adopt(ep, &conn, fd, given), -EINVAL);
	}
	CHECK(listener == NULL);
	CHECK(conn == NULL);
	/* so there is never anything to receive */
	CHECK_EQ(bp_receive(ep, &event, 0), -EAGAIN);
	finish(ep);
	peer_close(fd);
	peer_close(knocks);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_slots_bound_every_handler),
		TEST_WITHIN(test_one_slot_needs_no_lock_and_keeps_the_order, 40),
		TEST(test_handler_in_a_slot_does_not_wait_for_another_to_close),
		TEST(test_connection_without_received_is_refused),
	};

	return run_suite("handlers_max", tests, COUNT_OF(tests), argc, argv);
}
