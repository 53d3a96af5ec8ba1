/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_order.c - order and wholeness (P1, P2): what is sent comes out in its order,
 * whole and once, whatever the discipline, the number of consumers, and the number
 * of senders. Each frame is tagged with its source and its number.
 *
 * What a turn guards here is plain data on purpose: were two events of a connection
 * ever out at once, the thread sanitizer would see the race.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "tagged.h"

#include <stdlib.h>

enum { SOURCES = 6, CONSUMERS = 4, FRAMES = 300, FRAME_MAX = 3000 };

struct source {			/* guarded by its connection's turn */
	uint32_t next;
	bool ended, closed;
};

static struct source sources[SOURCES];
static atomic_uint closed_count;
static char addr[ADDR_MAX];

static const struct bp_qdisc_ops *const disciplines[] = {
	&bp_qdisc_unbounded, &bp_qdisc_one_place, &bp_qdisc_bounded, &bp_qdisc_bytes,
};

/* Small bounds, so that readers do wait. */
static struct bp_endpoint_config tight(const struct bp_qdisc_ops *qdisc)
{
	return (struct bp_endpoint_config){
		.qdisc = qdisc, .budget = 256 << 10, .places = 3,
		.guarantee = 4096, .conns_max = 16,
	};
}

static void run_tasks(void (*fn)(void *), size_t n, void (*meanwhile)(void))
{
	static int index[SOURCES + CONSUMERS];
	struct task *tasks[COUNT_OF(index)];

	for (size_t i = 0; i < n; i++) {
		index[i] = (int)i;
		tasks[i] = task_start(fn, &index[i]);
	}
	if (meanwhile)
		meanwhile();
	for (size_t i = 0; i < n; i++)
		task_join(tasks[i]);
}

/* ---- in: P1, P2 -------------------------------------------------------------- */

/* A peer that sends its frames and ends. */
static void send_frames(void *arg)
{
	uint32_t source = (uint32_t)*(int *)arg;
	int fd = peer_connect(addr);

	for (uint32_t seq = 0; seq < FRAMES; seq++)
		tagged_send(fd, source, seq, FRAME_MAX);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

static void got_frame(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	struct source *s = bp_conn_data(conn);
	uint32_t source = SOURCES, seq = 0;

	(void)data;
	CHECK(tagged_check(buf->data, buf->len, FRAME_MAX, &source, &seq));
	REQUIRE(source < SOURCES);
	if (!s) {
		s = &sources[source];
		bp_conn_set_data(conn, s);
	}
	CHECK(s == &sources[source]);
	CHECK(!s->ended && !s->closed);
	REQUIRE_EQ(seq, s->next);
	s->next++;
}

static void got_ended(struct bp_conn *conn, void *data)
{
	struct source *s = bp_conn_data(conn);

	(void)data;
	REQUIRE(s != NULL);
	CHECK_EQ(s->next, FRAMES);
	CHECK(!s->ended && !s->closed);
	s->ended = true;
}

static void got_closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	struct source *s = bp_conn_data(conn);

	(void)data;
	REQUIRE(s != NULL);
	CHECK(s->ended && !s->closed);
	CHECK_EQ(why, BP_REASON_PEER);
	CHECK_EQ(err, 0);
	s->closed = true;
	atomic_fetch_add(&closed_count, 1);
}

static void consume(void *arg)
{
	struct bp_endpoint *ep = arg;
	struct bp_event *event;
	int rc;

	while ((rc = bp_receive(ep, &event, SLOW(15000))) == 0) {
		if (event->kind == BP_RECEIVED)
			got_frame(event->conn, event->buf, NULL);
		else if (event->kind == BP_ENDED)
			got_ended(event->conn, NULL);
		else if (event->kind == BP_CLOSED)
			got_closed(event->conn, event->reason, event->err, NULL);
		bp_event_free(event);
	}
	CHECK_EQ(rc, -EPIPE);
}

static void check_sources(void)
{
	CHECK_EQ(atomic_load(&closed_count), SOURCES);
	for (size_t i = 0; i < SOURCES; i++) {
		CHECK_EQ(sources[i].next, FRAMES);
		CHECK(sources[i].closed);
		sources[i] = (struct source){ 0 };
	}
	atomic_store(&closed_count, 0);
}

/* P1, P2, P15 */
static void test_order_events_leave_in_wire_order_to_many_consumers(void)
{
	struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .frame_max = FRAME_MAX,
	};

	for (size_t i = 0; i < COUNT_OF(disciplines); i++) {
		struct bp_endpoint_config config = tight(disciplines[i]);
		struct bp_endpoint *ep = serve(&config, &conn_config, addr);
		struct task *consumers[CONSUMERS];

		for (size_t k = 0; k < CONSUMERS; k++)
			consumers[k] = task_start(consume, ep);
		run_tasks(send_frames, SOURCES, NULL);
		WAIT_UNTIL(atomic_load(&closed_count) == SOURCES);
		bp_endpoint_close(ep);
		for (size_t k = 0; k < CONSUMERS; k++)
			task_join(consumers[k]);
		check_sources();
		finish(ep);
	}
}

/* P1, P2, P15 */
static void test_order_handlers_see_wire_order(void)
{
	static const struct bp_conn_ops ops = {
		.received = got_frame, .ended = got_ended, .closed = got_closed,
	};
	struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .frame_max = FRAME_MAX, .ops = &ops,
	};

	for (size_t i = 0; i < COUNT_OF(disciplines); i++) {
		struct bp_endpoint_config config = tight(disciplines[i]);
		struct bp_endpoint *ep = serve(&config, &conn_config, addr);

		run_tasks(send_frames, SOURCES, NULL);
		WAIT_UNTIL(atomic_load(&closed_count) == SOURCES);
		finish(ep);
		check_sources();
	}
}

/* ---- out: P1 ------------------------------------------------------------------ */

enum { SENDERS = 5, SENT = 200, SENT_MAX = 40000 };

static struct bp_conn *shared;		/* all senders send to it */
static int asking_fd;			/* its peer, who asks as well */

static int send_one(struct bp_conn *conn, uint32_t source, uint32_t seq)
{
	size_t len = tagged_len(source, seq, SENT_MAX), half = len / 2;
	struct iovec iov[3];
	struct bp_buf *buf;
	int rc;

	REQUIRE_EQ(bp_buf_new(&buf, len), 0);
	tagged_fill(buf->data, len, source, seq);
	iov[0] = (struct iovec){ buf->data, half };
	iov[1] = (struct iovec){ NULL, 0 };
	iov[2] = (struct iovec){ (char *)buf->data + half, len - half };
	if (seq % 3 == 0)
		rc = bp_send(conn, buf->data, len, BP_FOREVER);
	else if (seq % 3 == 1)
		rc = bp_sendv(conn, iov, 3, BP_FOREVER);
	else
		rc = bp_send_buf(conn, buf, BP_FOREVER);
	bp_buf_unref(buf);
	return rc;
}

static void send_many(void *arg)
{
	for (uint32_t seq = 0; seq < SENT; seq++)
		REQUIRE_EQ(send_one(shared, (uint32_t)*(int *)arg, seq), 0);
}

/* Read n frames of all sources; each source's own must come in order. */
static void expect_sent(int fd, uint32_t n)
{
	static uint32_t next[SENDERS + 1];
	char *frame = malloc(SENT_MAX);

	REQUIRE(frame != NULL);
	memset(next, 0, sizeof next);
	for (uint32_t i = 0; i < n; i++) {
		unsigned char head[4];
		uint32_t source = COUNT_OF(next), seq = 0;
		size_t len;

		peer_recv(fd, head, sizeof head);
		len = (size_t)head[0] << 24 | head[1] << 16 | head[2] << 8 | head[3];
		REQUIRE(len <= SENT_MAX);
		peer_recv(fd, frame, len);
		CHECK(tagged_check(frame, len, SENT_MAX, &source, &seq));
		REQUIRE(source < COUNT_OF(next));
		REQUIRE_EQ(seq, next[source]);
		next[source]++;
	}
	free(frame);
}

static void expect_all_sent(void *arg)
{
	expect_sent(*(int *)arg, SENDERS * SENT);
}

/* P1: through the socket at once, and through a queue that is throttled again and again */
static void test_order_sends_of_many_threads_stay_whole_and_in_order(void)
{
	static const size_t marks[] = { 0, 16 << 10 };

	for (size_t i = 0; i < COUNT_OF(marks); i++) {
		struct bp_conn_config conn_config = {
			.framer = &bp_framer_u32be, .out_high = marks[i],
			.sndbuf = marks[i],
		};
		struct bp_endpoint *ep = serve(NULL, &conn_config, addr);
		int fd = peer_connect_rcvbuf(addr, 16 << 10);
		struct task *reader = task_start(expect_all_sent, &fd);

		shared = only_conn(ep);
		run_tasks(send_many, SENDERS, NULL);
		task_join(reader);
		CHECK_EQ(conn_stats_of(shared).sent_frames, SENDERS * SENT);
		bp_conn_unref(shared);
		peer_close(fd);
		finish(ep);
	}
}

static void answer_each(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	static uint32_t seq;		/* of the one connection of this test */

	(void)buf, (void)data;
	CHECK_EQ(send_one(conn, SENDERS, seq++), 0);
}

static void ask_and_expect(void)
{
	static const unsigned char ask[5] = { 0, 0, 0, 1, '?' };
	static unsigned char asks[SENT][sizeof ask];

	for (size_t i = 0; i < SENT; i++)
		memcpy(asks[i], ask, sizeof ask);
	peer_send(asking_fd, asks, sizeof asks);
	expect_sent(asking_fd, (SENDERS + 1) * SENT);
}

/* P1: answers gathered in a handler, while other threads send to the same peer */
static void test_order_gathered_answers_and_other_senders_do_not_mix(void)
{
	static const struct bp_conn_ops ops = { .received = answer_each };
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be, .ops = &ops };
	struct bp_endpoint *ep = serve(NULL, &conn_config, addr);

	asking_fd = peer_connect(addr);
	shared = only_conn(ep);
	run_tasks(send_many, SENDERS, ask_and_expect);
	bp_conn_unref(shared);
	peer_close(asking_fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_order_events_leave_in_wire_order_to_many_consumers),
		TEST(test_order_handlers_see_wire_order),
		TEST(test_order_sends_of_many_threads_stay_whole_and_in_order),
		TEST(test_order_gathered_answers_and_other_senders_do_not_mix),
	};

	return run_suite("order", tests, COUNT_OF(tests), argc, argv);
}
