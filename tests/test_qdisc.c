/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_qdisc.c - the consumers' side of the core: hand-off, order, turns, and how
 * waiting ends.
 */
#include "config.h"

#include "rig.h"

static struct rig rig;
static struct feed *feeds[8];		/* the last is NULL */

static void with(size_t n, struct bp_endpoint_config config)
{
	size_t i;

	if (!config.qdisc)
		config.qdisc = &bp_qdisc_unbounded;
	if (!config.conns_max)
		config.conns_max = COUNT_OF(feeds) - 1;
	memset(feeds, 0, sizeof feeds);
	rig_init(&rig, &config);
	for (i = 0; i < n; i++)
		feeds[i] = feed_open(&rig, false);
}

static void with_feeds(size_t n)
{
	with(n, (struct bp_endpoint_config){ 0 });
}

/* Takes one entry and keeps it. */
struct consumer {
	int rc;
	struct bp__entry *entry;
	uint64_t deadline_ns;
	struct task *task;
};

static void consume(void *arg)
{
	struct consumer *consumer = arg;

	consumer->rc = rig_take_entry(&rig, &consumer->entry,
	    consumer->deadline_ns);
}

/* And waits. */
static void consumer_start(struct consumer *consumer)
{
	int idle = rig_idle_consumers(&rig);

	*consumer = (struct consumer){ .deadline_ns = BP__NEVER };
	consumer->task = task_start(consume, consumer);
	WAIT_UNTIL(rig_idle_consumers(&rig) == idle + 1);
}

static struct frame *consumer_join(struct consumer *consumer)
{
	task_join(consumer->task);
	REQUIRE_EQ(consumer->rc, 0);
	return frame_of(consumer->entry);
}

static void consumer_join_ended(struct consumer *consumer)
{
	task_join(consumer->task);
	CHECK_EQ(consumer->rc, -EPIPE);
}

/* ---- hand-off ------------------------------------------------------------- */

static void test_qdisc_hands_an_entry_to_exactly_one_consumer(void)
{
	struct consumer consumers[4];
	struct frame *frame;
	int i;

	with_feeds(4);
	for (i = 0; i < 4; i++)
		consumer_start(&consumers[i]);
	/* the latest to wait comes first: its stack is warm */
	for (i = 3; i >= 0; i--) {
		CHECK_EQ(feed_read(feeds[i], 10), 0);
		/* it is his already, whether or not he has run */
		CHECK_EQ(rig_idle_consumers(&rig), i);
		CHECK_EQ(atomic_load(&rig.q.shown), 0);
		CHECK_EQ(rig_stats(&rig).queued_events, 0);
		CHECK(rig_try(&rig) == NULL);
		frame = consumer_join(&consumers[i]);
		CHECK(frame->feed == feeds[i]);
		frame_done(frame);
	}
	rig_finish(&rig, feeds);
}

static void test_qdisc_hands_on_what_a_turn_held_up(void)
{
	struct consumer consumers[2];
	struct frame *first;

	with_feeds(1);
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	first = rig_take(&rig);
	consumer_start(&consumers[0]);
	consumer_start(&consumers[1]);
	frame_done(first);
	CHECK_EQ(rig_idle_consumers(&rig), 1);
	first = consumer_join(&consumers[1]);
	CHECK_EQ(first->n, 2);
	frame_done(first);
	CHECK_EQ(rig_idle_consumers(&rig), 1);
	feed_close(feeds[0]);
	frame_done(consumer_join(&consumers[0]));
	rig_fini(&rig);
}

static void test_qdisc_gives_out_one_entry_of_a_flow_at_a_time(void)
{
	struct frame *a, *b;
	int i;

	with_feeds(2);
	for (i = 0; i < 3; i++)
		CHECK_EQ(feed_read(feeds[0], 10), 0);
	CHECK_EQ(feed_read(feeds[1], 10), 0);
	a = rig_take(&rig);
	CHECK(a->feed == feeds[0] && a->n == 1);
	b = rig_take(&rig);
	CHECK(b->feed == feeds[1]);
	CHECK(rig_try(&rig) == NULL);
	frame_done(b);
	CHECK(rig_try(&rig) == NULL);
	frame_done(a);
	a = rig_take(&rig);
	CHECK(a->feed == feeds[0] && a->n == 2);
	CHECK(rig_try(&rig) == NULL);
	/* a payload that is kept holds no turn */
	frame_turn_back(a);
	rig_expect(&rig, feeds[0], 3);
	CHECK_EQ(rig_stats(&rig).held_bytes, 9);
	frame_drop(&a->entry);
	rig_finish(&rig, feeds);
}

static void check_order(const struct bp_qdisc_ops *qdisc)
{
	static const int order[] = { 0, 2, 1, 1, 0, 2, 2, 2, 0, 1 };
	unsigned n[3] = { 0 };
	size_t i;

	with(3, (struct bp_endpoint_config){
	    .qdisc = qdisc, .budget = 1000, .places = COUNT_OF(order) });
	for (i = 0; i < COUNT_OF(order); i++)
		CHECK_EQ(feed_read(feeds[order[i]], 10), 0);
	for (i = 0; i < COUNT_OF(order); i++)
		rig_expect(&rig, feeds[order[i]], ++n[order[i]]);
	rig_finish(&rig, feeds);
}

/* With one place there is nothing to put in order. */
static void test_qdisc_order_is_that_of_arrival_over_all_flows(void)
{
	check_order(&bp_qdisc_unbounded);
	check_order(&bp_qdisc_bounded);
	check_order(&bp_qdisc_bytes);
}

/* ---- how a wait ends ------------------------------------------------------ */

static void test_qdisc_take_without_time_does_not_wait(void)
{
	struct bp__entry *entry = NULL;
	uint64_t deadline_ns;

	with_feeds(1);
	CHECK_EQ(rig_take_entry(&rig, &entry, 0), -EAGAIN);
	deadline_ns = bp__now_ns() + 10 * BP__MS;
	CHECK_EQ(rig_take_entry(&rig, &entry, deadline_ns), -ETIMEDOUT);
	CHECK(bp__now_ns() >= deadline_ns);
	CHECK(entry == NULL);
	CHECK_EQ(rig_idle_consumers(&rig), 0);
	/* what is there is given whatever the deadline */
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	CHECK_EQ(rig_take_entry(&rig, &entry, 1), 0);
	frame_done(frame_of(entry));
	rig_finish(&rig, feeds);
}

static void test_qdisc_close_wakes_consumers_when_nothing_can_come(void)
{
	struct consumer consumers[3];
	struct frame *last;
	size_t i;

	with_feeds(1);
	for (i = 0; i < COUNT_OF(consumers); i++)
		consumer_start(&consumers[i]);
	bp__qdisc_close(&rig.q);
	CHECK_EQ(rig_idle_consumers(&rig), 3);	/* CLOSED is still to come */
	feed_close(feeds[0]);
	CHECK_EQ(rig_idle_consumers(&rig), 0);
	last = consumer_join(&consumers[2]);
	CHECK(last == &feeds[0]->last);
	consumer_join_ended(&consumers[0]);
	consumer_join_ended(&consumers[1]);
	frame_done(last);
	CHECK_EQ(rig_take_entry(&rig, &consumers[0].entry, BP__NEVER), -EPIPE);
	CHECK_EQ(rig_take_entry(&rig, &consumers[0].entry, 0), -EPIPE);
	rig_fini(&rig);
}

static void test_qdisc_close_without_flows_wakes_consumers_at_once(void)
{
	struct consumer consumers[2];

	with_feeds(0);
	consumer_start(&consumers[0]);
	consumer_start(&consumers[1]);
	bp__qdisc_close(&rig.q);
	consumer_join_ended(&consumers[0]);
	consumer_join_ended(&consumers[1]);
	rig_fini(&rig);
}

static void test_qdisc_closed_takes_no_flow_and_one_abandoned_ends_it(void)
{
	struct consumer consumer;
	struct bp__flow flow;

	with_feeds(1);
	consumer_start(&consumer);
	bp__qdisc_close(&rig.q);
	CHECK_EQ(bp__flow_open(&flow, &rig.q, &(struct bp_conn_config){ .weight = 64 }, NULL), -EPIPE);
	CHECK_EQ(rig_idle_consumers(&rig), 1);
	bp__flow_abandon(&feeds[0]->flow);
	consumer_join_ended(&consumer);
	CHECK_EQ(rig_stats(&rig).conns, 0);
	bp__flow_unref(&feeds[0]->flow);
	rig_fini(&rig);
}

/* P14: a consumer that stop has woken must not miss what became ready meanwhile. */
static void test_qdisc_stopped_still_gives_what_a_turn_held_up(void)
{
	struct consumer consumer;
	struct frame *frame;
	int i;

	for (i = 0; i < 50; i++) {
		with_feeds(1);
		CHECK_EQ(feed_read(feeds[0], 10), 0);
		feed_close(feeds[0]);
		frame = rig_take(&rig);
		consumer_start(&consumer);
		bp__qdisc_close(&rig.q);
		bp__qdisc_stop(&rig.q);
		frame_done(frame);
		task_join(consumer.task);
		REQUIRE_EQ(consumer.rc, 0);
		frame_done(frame_of(consumer.entry));
		rig_fini(&rig);
	}
}

static void test_qdisc_stopped_waits_for_the_turns_of_others_alone(void)
{
	struct bp__entry *entry;
	struct consumer consumer;
	struct frame *mine;

	with_feeds(2);
	CHECK_EQ(feed_read(feeds[0], 10), 0);
	feed_close(feeds[0]);
	mine = rig_take(&rig);
	feed_close(feeds[1]);
	rig_expect(&rig, feeds[1], 0);
	bp__qdisc_close(&rig.q);
	bp__qdisc_stop(&rig.q);
	/* what is left is behind the one I hold: I would wait for myself */
	CHECK_EQ(rig_take_entry(&rig, &entry, BP__NEVER), -EPIPE);
	consumer_start(&consumer);
	frame_done(mine);
	frame_done(consumer_join(&consumer));
	rig_fini(&rig);
}

/* ---- nobody receives any more --------------------------------------------- */

static void test_qdisc_drain_purges_all_that_is_queued(void)
{
	struct frame *out;
	int i;

	with_feeds(3);
	for (i = 0; i < 9; i++)
		CHECK_EQ(feed_read(feeds[i % 3], 100), 0);
	out = rig_take(&rig);
	for (i = 0; i < 3; i++)
		feed_close(feeds[i]);
	bp__qdisc_close(&rig.q);
	bp__qdisc_stop(&rig.q);
	bp__qdisc_drain(&rig.q);
	CHECK_EQ(atomic_load(&rig.purged), 8);
	/* what is behind the one that is out goes when it comes back */
	CHECK_EQ(rig_stats(&rig).conns, 1);
	CHECK_EQ(rig_stats(&rig).queued_events, 3);
	frame_done(out);
	CHECK_EQ(atomic_load(&rig.purged), 11);
	rig_fini(&rig);
}

static void test_qdisc_drain_purges_what_is_muted(void)
{
	with_feeds(1);
	CHECK_EQ(feed_read(feeds[0], 100), 0);
	bp__flow_mute(&feeds[0]->flow);
	feed_close(feeds[0]);
	bp__qdisc_close(&rig.q);
	bp__qdisc_stop(&rig.q);
	bp__qdisc_drain(&rig.q);
	REQUIRE_EQ(atomic_load(&rig.purged), 2);
	rig_fini(&rig);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_qdisc_hands_an_entry_to_exactly_one_consumer),
		TEST(test_qdisc_hands_on_what_a_turn_held_up),
		TEST(test_qdisc_gives_out_one_entry_of_a_flow_at_a_time),
		TEST(test_qdisc_order_is_that_of_arrival_over_all_flows),
		TEST(test_qdisc_take_without_time_does_not_wait),
		TEST(test_qdisc_close_wakes_consumers_when_nothing_can_come),
		TEST(test_qdisc_close_without_flows_wakes_consumers_at_once),
		TEST(test_qdisc_closed_takes_no_flow_and_one_abandoned_ends_it),
		TEST(test_qdisc_stopped_still_gives_what_a_turn_held_up),
		TEST(test_qdisc_stopped_waits_for_the_turns_of_others_alone),
		TEST(test_qdisc_drain_purges_all_that_is_queued),
		TEST(test_qdisc_drain_purges_what_is_muted),
	};

	return run_suite("qdisc", tests, COUNT_OF(tests), argc, argv);
}
