/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_stress.c - everything at once, at random: an echo server whose peers come and
 * go in every way, while a thread of its own mutes, unmutes, ends, closes and aborts
 * what it finds. Under every discipline, with handlers and with consumers.
 *
 * What is checked: frames of a connection come in order, whole and its own, both
 * ways; an end in good order loses nothing; each life ends once; and in the end
 * nothing is left. BP_TEST_SEED brings back the choices, if not the timing.
 */
#include "config.h"

#include "corners.h"
#include "harness.h"
#include "lives.h"
#include "peer.h"
#include "tagged.h"

#include <stdio.h>
#include <stdlib.h>

enum { PEERS = 10, CONSUMERS = 3, DURATION_MS = 800, MUTED_MAX = 5, KEPT_MAX = 6 };

/* One connection, as its handlers or consumers see it: guarded by its turn. */
struct visit {
	uint32_t id, next;
	bool known, ended;
	uint32_t accepted;
};

static struct crowd crowd;
static atomic_int opened_count, closed_count;
static atomic_bool chaos_over;
static atomic_bool meddled[LIVES_MAX];	/* by bp_conn_id() */

/* ---- the server ---------------------------------------------------------------------- */

static void opened(struct bp_conn *conn, void *data)
{
	struct visit *visit = calloc(1, sizeof *visit);

	(void)data;
	REQUIRE(visit != NULL);
	bp_conn_set_data(conn, visit);
	atomic_fetch_add(&opened_count, 1);
}

/* Zeros are sent by who never reads: frames of no bytes. */
static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	struct visit *visit = data;
	uint32_t id = 0, seq = 0;

	REQUIRE(visit != NULL);
	CHECK(!visit->ended);
	if (buf->len > 0) {
		REQUIRE(buf->len >= TAGGED_MIN);
		for (int i = 0; i < 3; i++) {
			static const size_t maxima[] = { 100, 3000, LIFE_FRAME_MAX };

			if (tagged_check(buf->data, buf->len, maxima[i], &id, &seq))
				break;
			CHECK_NE(i, 2);
		}
		CHECK(!visit->known || visit->id == id);
		CHECK_EQ(seq, visit->next);
		visit->known = true;
		visit->id = id;
		visit->next = seq + 1;
	}
	if (bp_send_buf(conn, buf, BP_FOREVER) == 0)
		visit->accepted++;
}

static void ended(struct bp_conn *conn, void *data)
{
	struct visit *visit = data;

	(void)conn;
	REQUIRE(visit != NULL);
	CHECK(!visit->ended);
	visit->ended = true;
}

static void closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	struct visit *visit = data;

	(void)err;
	if (!visit)
		return;		/* it ended before it was opened */
	if (visit->known) {
		atomic_store(&crowd.notes[visit->id].accepted, visit->accepted);
		atomic_store(&crowd.notes[visit->id].meddled,
		    atomic_load(&meddled[bp_conn_id(conn) % LIVES_MAX]));
		atomic_store(&crowd.notes[visit->id].reason, why);
	}
	bp_conn_set_data(conn, NULL);
	atomic_fetch_add(&closed_count, 1);
	free(visit);
}

static const struct bp_conn_ops handlers = {
	.opened = opened, .received = received, .ended = ended, .closed = closed,
};

static void hand_on(struct bp_event *event)
{
	void *data = bp_conn_data(event->conn);

	switch (event->kind) {
	case BP_OPENED:
		opened(event->conn, data);
		break;
	case BP_RECEIVED:
		received(event->conn, event->buf, data);
		break;
	case BP_ENDED:
		ended(event->conn, data);
		break;
	case BP_CLOSED:
		closed(event->conn, event->reason, event->err, data);
		break;
	}
}

/* Consume; now and then keep a payload, and let it go some events later. */
static void consume(void *ep)
{
	struct bp_buf *kept[KEPT_MAX] = { NULL };
	struct bp_event *event;
	unsigned n = 0;
	int rc;

	while ((rc = bp_receive(ep, &event, 10)) != -EPIPE) {
		if (rc == -ETIMEDOUT) {
			for (size_t i = 0; i < KEPT_MAX; i++) {
				bp_buf_unref(kept[i]);
				kept[i] = NULL;
			}
			continue;
		}
		REQUIRE_EQ(rc, 0);
		hand_on(event);
		if (event->kind == BP_RECEIVED && n++ % 16 == 0) {
			bp_buf_unref(kept[n % KEPT_MAX]);
			kept[n % KEPT_MAX] = bp_buf_ref(event->buf);
		}
		bp_event_free(event);
	}
	for (size_t i = 0; i < KEPT_MAX; i++)
		bp_buf_unref(kept[i]);
}

/* ---- chaos ----------------------------------------------------------------------------- */

struct pick {
	struct bp_conn *conn;
	unsigned skip;
};

static bool pick_one(struct bp_conn *conn, void *arg)
{
	struct pick *pick = arg;

	bp_conn_unref(pick->conn);
	pick->conn = bp_conn_ref(conn);
	return pick->skip-- > 0;
}

static void interfere(struct bp_conn *conn, struct bp_conn **muted, uint64_t *state)
{
	unsigned choice = random_below(state, 100), i = random_below(state, MUTED_MAX);

	if (choice < 90) {
		if (muted[i]) {
			bp_conn_unmute(muted[i]);
			bp_conn_unref(muted[i]);
			muted[i] = NULL;
		} else {
			bp_conn_mute(conn);
			muted[i] = bp_conn_ref(conn);
		}
		return;
	}
	atomic_store(&meddled[bp_conn_id(conn) % LIVES_MAX], true);
	if (choice < 94)
		bp_conn_close(conn);
	else if (choice < 97)
		bp_conn_abort(conn, BP_REASON_SLOW);
	else
		bp_conn_end(conn);
}

static void make_chaos(void *ep)
{
	struct bp_conn *muted[MUTED_MAX] = { NULL };
	uint64_t state = crowd.seed - 1;

	while (!atomic_load(&chaos_over)) {
		struct pick pick = { NULL, random_below(&state, PEERS) };

		wait_tick(UINT64_MAX);
		bp_endpoint_each(ep, pick_one, &pick);
		if (pick.conn)
			interfere(pick.conn, muted, &state);
		bp_conn_unref(pick.conn);
	}
	for (size_t i = 0; i < MUTED_MAX; i++) {
		if (muted[i])
			bp_conn_unmute(muted[i]);
		bp_conn_unref(muted[i]);
	}
}

/* ---- one run ---------------------------------------------------------------------------- */

static void begin(void)
{
	const char *seed = getenv("BP_TEST_SEED");

	crowd.seed = seed ? strtoull(seed, NULL, 0) : now_ns();
	printf("# BP_TEST_SEED=%" PRIu64 "\n", crowd.seed);
	fflush(stdout);
}

static void check_run(void)
{
	printf("# %u lives: %u in good order, %u cut by the server\n",
	    atomic_load(&crowd.lives), atomic_load(&crowd.whole),
	    atomic_load(&crowd.cut));
	fflush(stdout);
	CHECK_GE(atomic_load(&crowd.whole), 5);
	CHECK_GE(atomic_load(&opened_count), PEERS);
	CHECK_EQ(atomic_load(&closed_count), atomic_load(&opened_count));
}

static void stress(const struct bp_qdisc_ops *qdisc, bool with_handlers)
{
	struct bp_endpoint_config limits = { .qdisc = qdisc, .budget = 1 << 20,
	    .places = 10, .guarantee = 8 << 10, .conns_max = 24 };
	struct bp_conn_config config = narrow_config();
	size_t peers = slow_factor() > 1 ? PEERS / 2 : PEERS;
	struct task *tasks[PEERS], *consumers[CONSUMERS], *chaos;
	uint64_t until = now_ms() + DURATION_MS;
	struct bp_endpoint *ep;

	begin();
	config.ops = with_handlers ? &handlers : NULL;
	config.linger_ms = 300;
	ep = serve(&limits, &config, crowd.addr);
	for (size_t i = 0; i < CONSUMERS && !with_handlers; i++)
		consumers[i] = task_start(consume, ep);
	chaos = task_start(make_chaos, ep);
	for (size_t i = 0; i < peers; i++)
		tasks[i] = task_start(live_on, &crowd);
	while (wait_tick(until))
		;
	atomic_store(&crowd.over, true);
	for (size_t i = 0; i < peers; i++)
		task_join(tasks[i]);
	atomic_store(&chaos_over, true);
	task_join(chaos);
	CHECK_EQ(bp_endpoint_stop(ep, 200), 0);
	for (size_t i = 0; i < CONSUMERS && !with_handlers; i++)
		task_join(consumers[i]);
	check_run();
	finish(ep);
}

static void test_stress_unbounded_with_handlers(void)
{
	stress(&bp_qdisc_unbounded, true);
}

static void test_stress_unbounded_with_consumers(void)
{
	stress(&bp_qdisc_unbounded, false);
}

static void test_stress_one_place_with_handlers(void)
{
	stress(&bp_qdisc_one_place, true);
}

static void test_stress_one_place_with_consumers(void)
{
	stress(&bp_qdisc_one_place, false);
}

static void test_stress_bounded_with_handlers(void)
{
	stress(&bp_qdisc_bounded, true);
}

static void test_stress_bounded_with_consumers(void)
{
	stress(&bp_qdisc_bounded, false);
}

static void test_stress_bytes_with_handlers(void)
{
	stress(&bp_qdisc_bytes, true);
}

static void test_stress_bytes_with_consumers(void)
{
	stress(&bp_qdisc_bytes, false);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_stress_unbounded_with_handlers),
		TEST(test_stress_unbounded_with_consumers),
		TEST(test_stress_one_place_with_handlers),
		TEST(test_stress_one_place_with_consumers),
		TEST(test_stress_bounded_with_handlers),
		TEST(test_stress_bounded_with_consumers),
		TEST(test_stress_bytes_with_handlers),
		TEST(test_stress_bytes_with_consumers),
	};

	return run_suite("stress", tests, COUNT_OF(tests), argc, argv);
}
