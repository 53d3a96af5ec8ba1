/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_detail_storm.c - what bp_endpoint_detail() tells while everything moves: no
 * counter shrinks, none is ahead of what it follows; and when all is over, each total is
 * that of the connections that were. And a stall, which is told while it lasts.
 */
#include "config.h"

#include "detail.h"
#include "harness.h"
#include "peer.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { CROWD = 6, LIVES = 20, KEPT = CROWD * LIVES };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;
static struct bp_closed closed[KEPT];

/* ---- the storm ------------------------------------------------------------ */

/* Sends, reads late or not at all, and goes in one of three ways. */
static void come_and_go(void *arg)
{
	static const char data[40000];
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (int life = 0; life < LIVES; life++) {
		int fd = peer_connect_rcvbuf(addr, 16 << 10);

		for (int n = rand_r(&seed) % 12; n >= 0; n--)
			peer_send_u32be(fd, data, (uint32_t)rand_r(&seed) % 40000);
		switch (rand_r(&seed) % 3) {
		case 0:
			peer_half_close(fd);
			peer_read_to_end(fd, NULL);
			peer_close(fd);
			break;
		case 1:
			peer_reset(fd);
			break;
		default:
			peer_close(fd);
		}
	}
}

/* Answers with more than it got, as long as it is taken; mutes and unmutes. */
static void answer(void *arg)
{
	struct bp_event *event;
	unsigned seed = 1;

	(void)arg;
	while (bp_receive(ep, &event, BP_FOREVER) == 0) {
		unsigned what = (unsigned)rand_r(&seed) % 8;

		if (what == 0)
			bp_conn_mute(event->conn);
		if (event->kind == BP_RECEIVED)
			for (int i = 0; i < 4; i++)
				bp_send_buf(event->conn, event->buf, what < 2 ? 1 : 0);
		if (what == 0)
			bp_conn_unmute(event->conn);
		bp_event_free(event);
	}
}

static atomic_bool over;

/* Each but now and limit: what never shrinks, in any order. */
static size_t counters_of(const struct bp_endpoint_detail *detail, uint64_t *ret)
{
	const struct bp_endpoint_stats *stats = &detail->stats;
	const struct bp_histogram *histograms[] = {
		&detail->wait, &detail->gate, &detail->send, &detail->frame,
	};
	const uint64_t single[] = {
		stats->received_bytes, stats->received_events, stats->sent_bytes,
		stats->opened, stats->closed, stats->refused, stats->stalls,
		detail->accepted, detail->connected, detail->paused_ns,
		detail->dequeued_events, detail->busy_ns, detail->throttles,
		detail->unthrottles, detail->gate_waits, detail->gate_ns,
		detail->throttled_ns, detail->muted_ns,
	};
	size_t n = COUNT_OF(single);

	memcpy(ret, single, sizeof single);
	for (size_t i = 0; i < COUNT_OF(histograms); i++) {
		ret[n++] = histograms[i]->count;
		ret[n++] = histograms[i]->sum;
		ret[n++] = histograms[i]->max;
		memcpy(ret + n, histograms[i]->buckets, sizeof histograms[i]->buckets);
		n += BP_HISTOGRAM_BUCKETS;
	}
	memcpy(ret + n, stats->ended, sizeof stats->ended);
	return n + BP_REASONS;
}

static void watch(void *arg)
{
	uint64_t before[512] = { 0 }, now[512];
	struct bp_endpoint_detail detail;
	atomic_uint *looks = arg;
	size_t n;

	while (!atomic_load(&over)) {
		detail = detail_of(ep);
		n = counters_of(&detail, now);
		REQUIRE(n <= COUNT_OF(now));
		for (size_t i = 0; i < n; i++)
			if (!CHECK(now[i] >= before[i]))
				printf("# counter %zu: %" PRIu64 " < %" PRIu64 "\n", i,
				    now[i], before[i]);
		memcpy(before, now, sizeof before);
		CHECK_LE(detail.stats.closed, detail.stats.opened);
		CHECK_LE(detail.stats.held_bytes, detail.stats.budget);
		CHECK_LE(detail.dequeued_events, detail.stats.received_events);
		CHECK_LE(detail.gate.count, detail.gate_waits);
		atomic_fetch_add(looks, 1);
	}
}

/* ---- what is left --------------------------------------------------------- */

#define SUM_OF(member) sum_of(offsetof(struct bp_closed, member))

static uint64_t sum_of(size_t offset)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < KEPT; i++)
		sum += *(const uint64_t *)(const void *)((const char *)&closed[i]
		    + offset);
	return sum;
}

static void check_totals(void)
{
	struct bp_endpoint_detail detail = detail_of(ep);
	uint64_t ended = 0;

	REQUIRE_EQ(bp_endpoint_closed(ep, closed, KEPT), KEPT);
	CHECK_EQ(detail.accepted, KEPT);
	CHECK_EQ(detail.stats.closed, KEPT);
	for (int i = 0; i < BP_REASONS; i++)
		ended += detail.stats.ended[i];
	CHECK_EQ(ended, KEPT);
	CHECK_EQ(sum_of_states(&detail), 0);
	CHECK_EQ(detail.stats.received_bytes, SUM_OF(received_bytes));
	CHECK_EQ(detail.stats.sent_bytes, SUM_OF(sent_bytes));
	CHECK_EQ(detail.throttled_ns, SUM_OF(throttled_ns));
	CHECK_EQ(detail.gate_ns, SUM_OF(gate_ns));
	/* the last mute may outlast the connection */
	CHECK_GE(detail.muted_ns, SUM_OF(muted_ns));
	CHECK_EQ(detail.throttles, detail.unthrottles);
	CHECK_EQ(detail.gate.count, detail.gate_waits);
	CHECK_EQ(detail.frame.count, detail.stats.received_events);
	CHECK_GE(detail.wait.count, detail.dequeued_events);
	/* else this was no storm */
	CHECK(detail.throttles > 0 && detail.gate_waits > 0 && detail.muted_ns > 0);
	CHECK(detail.send.count > 0 && detail.paused_ns > 0 && detail.busy_ns > 0);
}

static void test_counters_grow_only_and_add_up_in_the_end(void)
{
	const struct bp_endpoint_config config = {
		.budget = 512 << 10, .conns_max = CROWD - 1,
	};
	const struct bp_conn_config conn_config = {
		.framer = &bp_framer_u32be, .frame_max = 64 << 10, .out_high = 32 << 10,
		.rcvbuf = 16 << 10, .sndbuf = 16 << 10, .linger_ms = 50, .write_ms = 200,
	};
	struct task *crowd[CROWD], *answering[2], *watching;
	atomic_uint looks = 0;
	uint64_t busy;

	ep = serve(&config, &conn_config, addr);
	watching = task_start(watch, &looks);
	for (size_t i = 0; i < COUNT_OF(answering); i++)
		answering[i] = task_start(answer, NULL);
	for (uintptr_t i = 0; i < CROWD; i++)
		crowd[i] = task_start(come_and_go, (void *)(i + 1));
	for (int i = 0; i < CROWD; i++)
		task_join(crowd[i]);
	WAIT_UNTIL(stats_of(ep).closed == KEPT);
	WAIT_UNTIL(stats_of(ep).conns == 0);
	atomic_store(&over, true);
	task_join(watching);
	CHECK_GE(atomic_load(&looks), 10);
	check_totals();
	busy = detail_of(ep).busy_ns;
	bp_endpoint_close(ep);
	for (size_t i = 0; i < COUNT_OF(answering); i++)
		task_join(answering[i]);
	CHECK(detail_of(ep).busy_ns == busy);	/* nothing is out */
	finish(ep);
}

/* ---- a stall -------------------------------------------------------------- */

enum { FRAME = 300000 };

/* Two hold all there is, and the third waits for it. */
static void test_stalled_is_told_until_something_moves(void)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_bytes, .budget = 800000, .conns_max = 2,
	};
	const struct bp_conn_config conn_config = { .framer = &bp_framer_u32be };
	struct bp_buf *kept[2];
	struct bp_event *event;
	char *data = calloc(1, FRAME);
	int fd;

	REQUIRE(data != NULL);
	ep = serve(&config, &conn_config, addr);
	fd = peer_connect(addr);
	skip_event(ep, BP_OPENED);
	for (int i = 0; i < 3; i++)
		peer_send_u32be(fd, data, FRAME);
	for (int i = 0; i < 2; i++) {
		event = next_event(ep, BP_RECEIVED);
		REQUIRE((kept[i] = bp_buf_ref(event->buf)) != NULL);
		bp_event_free(event);
	}
	WAIT_UNTIL(stats_of(ep).waiting == 1);
	CHECK(!detail_of(ep).stalled);
	WAIT_UNTIL_MS(detail_of(ep).stalled, 12000);
	CHECK_EQ(stats_of(ep).stalls, 1);
	bp_buf_unref(kept[0]);
	skip_event(ep, BP_RECEIVED);
	WAIT_UNTIL(!detail_of(ep).stalled);
	CHECK_EQ(stats_of(ep).stalls, 1);
	bp_buf_unref(kept[1]);
	free(data);
	peer_close(fd);
	finish(ep);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_WITHIN(test_counters_grow_only_and_add_up_in_the_end, 60),
		TEST_WITHIN(test_stalled_is_told_until_something_moves, 40),
	};

	return run_suite("detail_storm", tests, COUNT_OF(tests), argc, argv);
}
