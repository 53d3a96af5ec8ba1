/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_pressure.c - what comes faster than it is handled: nothing is lost (P3),
 * whoever waits gets his turn (P9), and a consumer that stops is felt by the peer
 * and by nobody's memory (P10).
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "tagged.h"

#include <stdlib.h>
#include <sys/socket.h>

enum {
	PEERS = 6, FRAMES = 60, FRAME_MAX = 60000,
	BUDGET = 1 << 20, GUARANTEE = 4096, CONNS = 16, PLACES = 8,
	CHUNK = 64 << 10,		/* the longest frame of BP_ANY */
	KERNEL = 1 << 20,		/* both sockets' buffers as set here, and more */
};

static const struct bp_qdisc_ops *const disciplines[] = {
	&bp_qdisc_unbounded, &bp_qdisc_one_place, &bp_qdisc_bounded, &bp_qdisc_bytes,
};

static char addr[ADDR_MAX];

static struct bp_endpoint_config tight(const struct bp_qdisc_ops *qdisc)
{
	return (struct bp_endpoint_config){
		.qdisc = qdisc, .budget = BUDGET, .places = PLACES,
		.guarantee = GUARANTEE, .conns_max = CONNS,
	};
}

/* ---- nothing is lost: P3 ------------------------------------------------------ */

static void send_all_frames(void *arg)
{
	int fd = peer_connect(addr);

	for (uint32_t seq = 0; seq < FRAMES; seq++)
		tagged_send(fd, (uint32_t)(uintptr_t)arg, seq, FRAME_MAX);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
}

/* Take everything of PEERS connections; each frame is checked and counted. */
static void take_all(struct bp_endpoint *ep)
{
	uint32_t next[PEERS] = { 0 };
	unsigned closed = 0;

	while (closed < PEERS) {
		struct bp_event *event;
		uint32_t source = PEERS, seq = 0;

		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		if (event->kind == BP_RECEIVED) {
			CHECK(tagged_check(event->buf->data, event->buf->len,
			    FRAME_MAX, &source, &seq));
			REQUIRE(source < PEERS);
			REQUIRE_EQ(seq, next[source]);
			next[source]++;
		} else if (event->kind == BP_CLOSED) {
			CHECK_EQ(event->reason, BP_REASON_PEER);
			closed++;
		}
		bp_event_free(event);
	}
	for (unsigned i = 0; i < PEERS; i++)
		CHECK_EQ(next[i], FRAMES);
}

/* P3, P9: the consumer starts only when the readers are held back already */
static void test_pressure_loses_nothing_under_any_discipline(void)
{
	struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .frame_max = FRAME_MAX,
		.rcvbuf = 16 << 10,
	};

	for (size_t i = 0; i < COUNT_OF(disciplines); i++) {
		struct bp_endpoint_config config = tight(disciplines[i]);
		struct bp_endpoint *ep;
		struct task *peers[PEERS];

		config.budget = 256 << 10;
		ep = serve(&config, &conn_config, addr);
		for (uintptr_t k = 0; k < PEERS; k++)
			peers[k] = task_start(send_all_frames, (void *)k);
		if (disciplines[i] == &bp_qdisc_unbounded)
			WAIT_UNTIL(stats_of(ep).received_events == PEERS * FRAMES);
		else
			WAIT_UNTIL(stats_of(ep).waiting == PEERS);
		take_all(ep);
		for (size_t k = 0; k < PEERS; k++)
			task_join(peers[k]);
		finish(ep);
	}
}

/* P3: what arrived whole before the peer broke is still given, then the reason */
static void test_pressure_keeps_whole_frames_of_a_peer_that_resets(void)
{
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };
	struct bp_endpoint *ep = serve(NULL, &conn_config, addr);
	struct bp_event *event;
	int fd = peer_connect(addr);

	for (uint32_t seq = 0; seq < 10; seq++)
		tagged_send(fd, 0, seq, 4000);
	WAIT_UNTIL(stats_of(ep).queued_events == 11);
	peer_reset(fd);
	WAIT_UNTIL(stats_of(ep).queued_events == 12);
	skip_event(ep, BP_OPENED);
	for (uint32_t seq = 0; seq < 10; seq++) {
		uint32_t source, got = 99;

		event = next_event(ep, BP_RECEIVED);
		CHECK(tagged_check(event->buf->data, event->buf->len, 4000,
		    &source, &got));
		CHECK_EQ(got, seq);
		bp_event_free(event);
	}
	event = next_event(ep, BP_CLOSED);
	CHECK_EQ(event->reason, BP_REASON_RESET);
	CHECK_EQ(event->err, -ECONNRESET);
	bp_event_free(event);
	finish(ep);
}

/* ---- progress: P9 -------------------------------------------------------------- */

enum { LARGE = 600 << 10, LARGE_EACH = 5 };	/* two do not fit the budget at once */

static void send_large(void *arg)
{
	char *frame = calloc(1, LARGE);
	int fd = peer_connect(addr);

	(void)arg;
	REQUIRE(frame != NULL);
	for (int i = 0; i < LARGE_EACH; i++)
		peer_send_u32be(fd, frame, LARGE);
	peer_half_close(fd);
	peer_expect_fin(fd);
	peer_close(fd);
	free(frame);
}

/* P9, P7: never two at once, yet everyone is served */
static void test_pressure_frames_that_fit_one_at_a_time_all_arrive(void)
{
	struct bp_endpoint_config config = tight(&bp_qdisc_bytes);
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };
	struct bp_endpoint *ep = serve(&config, &conn_config, addr);
	struct task *peers[PEERS];
	unsigned closed = 0, frames = 0;

	for (size_t k = 0; k < PEERS; k++)
		peers[k] = task_start(send_large, NULL);
	while (closed < PEERS) {
		struct bp_event *event;

		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		frames += event->kind == BP_RECEIVED;
		closed += event->kind == BP_CLOSED;
		CHECK_LE(stats_of(ep).held_bytes, BUDGET);
		bp_event_free(event);
	}
	CHECK_EQ(frames, PEERS * LARGE_EACH);
	for (size_t k = 0; k < PEERS; k++)
		task_join(peers[k]);
	finish(ep);
}

/* P9: half a frame holds what another waits for, until its deadline */
static void test_pressure_stalled_frame_gives_way_at_its_deadline(void)
{
	struct bp_endpoint_config config = tight(&bp_qdisc_bytes);
	struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .frame_ms = 150,
	};
	struct bp_endpoint *ep = serve(&config, &conn_config, addr);
	static const unsigned char head[] = { 0, LARGE >> 16, LARGE >> 8 & 255, 0 };
	int stalled = peer_connect(addr), frames = 0, closed = 0, stalls = 0;
	struct task *sender;
	struct bp_event *event;

	skip_event(ep, BP_OPENED);
	peer_send(stalled, head, sizeof head);
	peer_send_pattern(stalled, 0, 1000);
	WAIT_UNTIL(stats_of(ep).held_bytes >= LARGE);
	sender = task_start(send_large, NULL);
	skip_event(ep, BP_OPENED);
	CHECK_EQ(bp_receive(ep, &event, 50), -ETIMEDOUT);
	while (closed < 2) {
		REQUIRE_EQ(bp_receive(ep, &event, SLOW(8000)), 0);
		frames += event->kind == BP_RECEIVED;
		closed += event->kind == BP_CLOSED;
		stalls += event->reason == BP_REASON_STALLED_FRAME;
		bp_event_free(event);
	}
	CHECK_EQ(frames, LARGE_EACH);
	CHECK_EQ(stalls, 1);
	task_join(sender);
	peer_close(stalled);
	finish(ep);
}

static void let_go(void *arg)
{
	bp_buf_unref(arg);
}

/* P9: who keeps a payload keeps its room; to let go of it, on any thread, admits */
static void test_pressure_kept_payload_holds_its_room_until_released(void)
{
	struct bp_endpoint_config config = tight(&bp_qdisc_bytes);
	struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };
	struct bp_endpoint *ep = serve(&config, &conn_config, addr);
	struct task *sender = task_start(send_large, NULL);

	skip_event(ep, BP_OPENED);
	for (int i = 0; i < LARGE_EACH; i++) {
		struct bp_event *event = next_event(ep, BP_RECEIVED);
		struct bp_buf *kept = bp_buf_ref(event->buf);

		REQUIRE(kept != NULL);
		bp_event_free(event);
		if (i < LARGE_EACH - 1) {
			WAIT_UNTIL(stats_of(ep).waiting == 1);
			CHECK_EQ(bp_receive(ep, &event, 0), -EAGAIN);
		}
		CHECK_GE(stats_of(ep).held_bytes, LARGE);
		task_join(task_start(let_go, kept));
	}
	skip_event(ep, BP_ENDED);
	skip_event(ep, BP_CLOSED);
	task_join(sender);
	finish(ep);
}

/* ---- backpressure: P10 ------------------------------------------------------------ */

static int narrow_peer(void)
{
	int fd = peer_connect_rcvbuf(addr, 64 << 10);

	peer_set_option(fd, SOL_SOCKET, SO_SNDBUF, 64 << 10);
	return fd;
}

static size_t bound_of(const struct bp_qdisc_ops *qdisc)
{
	if (qdisc == &bp_qdisc_one_place)
		return 2 * CHUNK;	/* one in the place, one in the reader's hand */
	if (qdisc == &bp_qdisc_bounded)
		return (PLACES + 1) * CHUNK;
	return BUDGET;
}

/* P10, R10: to wait costs neither memory nor time */
static void check_stopped(struct bp_endpoint *ep, int fd,
    const struct bp_qdisc_ops *qdisc, uint64_t *sent)
{
	uint64_t before;

	WAIT_UNTIL(stats_of(ep).waiting == 1);
	before = cpu_ns();
	HOLDS_FOR_MS(stats_of(ep).waiting == 1, 200);
	if (!is_sanitized())
		CHECK_LE(cpu_ns() - before, 80 * 1000000);
	/* of the last room a peer may hear by the probe of its kernel, hence again */
	*sent += peer_send_until_stuck(fd, 20);
	CHECK_GE(*sent, 64 << 10);
	CHECK_LE(*sent, bound_of(qdisc) + KERNEL);
	CHECK_LE(stats_of(ep).received_bytes, bound_of(qdisc));
	CHECK_EQ(stats_of(ep).futile_wakeups, 0);
}

/* P10 */
static void test_pressure_stopped_consumer_closes_the_window_and_resumes(void)
{
	struct bp_conn_config conn_config = { .rcvbuf = 64 << 10 };

	for (size_t i = 1; i < COUNT_OF(disciplines); i++) {
		struct bp_endpoint_config config = tight(disciplines[i]);
		struct bp_endpoint *ep = serve(&config, &conn_config, addr);
		int fd = narrow_peer();
		uint64_t sent = peer_send_until_stuck(fd, 200), got = 0;

		check_stopped(ep, fd, disciplines[i], &sent);
		skip_event(ep, BP_OPENED);
		while (got < sent) {
			struct bp_event *event = next_event(ep, BP_RECEIVED);

			got += event->buf->len;
			bp_event_free(event);
		}
		CHECK_EQ(got, sent);
		peer_close(fd);
		skip_event(ep, BP_ENDED);
		skip_event(ep, BP_CLOSED);
		finish(ep);
	}
}

static atomic_bool go_on;
static atomic_uint_fast64_t handled;

static void wait_then_count(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)conn, (void)data;
	WAIT_UNTIL(atomic_load(&go_on));
	atomic_fetch_add(&handled, buf->len);
}

/* P10: the time a handler takes is the backpressure; nothing is queued but a read */
static void test_pressure_handler_that_waits_closes_the_window(void)
{
	static const struct bp_conn_ops ops = { .received = wait_then_count };
	struct bp_conn_config conn_config = { .rcvbuf = 64 << 10, .ops = &ops };

	for (size_t i = 0; i < COUNT_OF(disciplines); i++) {
		struct bp_endpoint_config config = tight(disciplines[i]);
		struct bp_endpoint *ep = serve(&config, &conn_config, addr);
		int fd = narrow_peer();
		uint64_t sent;

		atomic_store(&go_on, false);
		atomic_store(&handled, 0);
		sent = peer_send_until_stuck(fd, 200);
		CHECK_GE(sent, 1);
		CHECK_LE(sent, CHUNK + KERNEL);
		CHECK_LE(stats_of(ep).received_bytes, CHUNK);
		atomic_store(&go_on, true);
		WAIT_UNTIL(atomic_load(&handled) == sent);
		peer_close(fd);
		finish(ep);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_pressure_loses_nothing_under_any_discipline, 40),
		TEST(test_pressure_keeps_whole_frames_of_a_peer_that_resets),
		TEST(test_pressure_frames_that_fit_one_at_a_time_all_arrive),
		TEST(test_pressure_stalled_frame_gives_way_at_its_deadline),
		TEST(test_pressure_kept_payload_holds_its_room_until_released),
		TEST(test_pressure_stopped_consumer_closes_the_window_and_resumes),
		TEST(test_pressure_handler_that_waits_closes_the_window),
	};

	return run_suite("pressure", tests, COUNT_OF(tests), argc, argv);
}
