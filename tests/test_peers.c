/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_peers.c - whom the core accounts to: connections that share a peer, and move to
 * another; guarantees that go round; how many connections a host has.
 *
 * The discipline is one of the test's own: it grants all, in order, and counts peers
 * by their state, which the core makes and ends.
 */
#include "config.h"

#include "rig.h"

enum { GUARANTEE = 100 };

static struct rig rig;
static struct feed *feeds[6];		/* the last is NULL */

/* ---- a discipline that counts peers --------------------------------------- */

struct counting {
	struct bp_heap ready;
	struct bp_item *asked;		/* one at a time: it is granted at once */
};

struct counted {
	size_t held;			/* granted and not released */
	bool seen, over;
};

static int seen, over;
static struct bp_peer *last_peer;	/* of what was asked or put */

static struct counted *count(struct bp_peer *peer)
{
	struct counted *counted = peer->state;

	CHECK(!counted->over);
	if (!counted->seen)
		seen++;
	counted->seen = true;
	last_peer = peer;
	return counted;
}

static void counting_ask(void *q, struct bp_item *item)
{
	struct counting *counting = q;

	CHECK(counting->asked == NULL);
	count(item->peer);
	counting->asked = item;
}

static struct bp_item *counting_grant(void *q)
{
	struct counting *counting = q;
	struct bp_item *item = counting->asked;

	counting->asked = NULL;
	if (item)
		count(item->peer)->held += item->cost;
	return item;
}

static void counting_cancel(void *q, struct bp_item *item)
{
	(void)q, (void)item;
	CHECK(false);			/* nothing ever waits */
}

static void counting_release(void *q, struct bp_peer *peer, size_t cost)
{
	(void)q;
	count(peer)->held -= cost;
	CHECK_EQ(peer->held, count(peer)->held);
}

static void counting_put(void *q, struct bp_item *item)
{
	count(item->peer);
	bp_heap_push(&((struct counting *)q)->ready, item);
}

static struct bp_item *counting_take(void *q)
{
	return bp_heap_pop(&((struct counting *)q)->ready);
}

static void counting_remove(void *q, struct bp_item *item)
{
	bp_heap_remove(&((struct counting *)q)->ready, item);
}

static void counting_gone(void *q, struct bp_peer *peer)
{
	struct counted *counted = peer->state;

	(void)q;
	CHECK(!counted->over);
	CHECK_EQ(counted->held, 0);
	CHECK_EQ(peer->held, 0);
	counted->over = true;
	over += counted->seen;
}

static const struct bp_qdisc_ops counting = {
	.name = "counting",
	.state_size = sizeof(struct counting), .peer_size = sizeof(struct counted),
	.ask = counting_ask, .grant = counting_grant,
	.cancel = counting_cancel, .release = counting_release,
	.put = counting_put, .take = counting_take, .remove = counting_remove,
	.peer_gone = counting_gone,
};

/* ---- the rig -------------------------------------------------------------- */

static void with(size_t n, struct bp_endpoint_config config)
{
	config.qdisc = &counting;
	config.budget = 1 << 20;
	config.guarantee = GUARANTEE;
	if (!config.conns_max)
		config.conns_max = COUNT_OF(feeds) - 1;
	seen = over = 0;
	rig_init(&rig, &config);
	for (size_t i = 0; i < COUNT_OF(feeds); i++)
		feeds[i] = i < n ? feed_open(&rig, false) : NULL;
}

static void with_keys(size_t n, size_t conns_max)
{
	with(n, (struct bp_endpoint_config){
	    .peer_by = BP_PEER_KEY, .conns_max = conns_max });
}

static void set_peer(int i, uint64_t key, unsigned weight)
{
	CHECK_EQ(bp__flow_set_peer(&feeds[i]->flow, key, weight, 0), 0);
}

static void read_from(int i, size_t cost)
{
	CHECK_EQ(feed_read(feeds[i], cost), 0);
}

static struct bp__peer *peer_of(int i)
{
	return feeds[i]->flow.peer;
}

static size_t guarantees(void)
{
	return rig_peek(&rig, &rig.q.guarantees);
}

static void close_feed(int i)
{
	feed_close(feeds[i]);
	rig_finish_queue(&rig);
	feeds[i] = NULL;
}

/* Those that are left, in any order; and every peer is gone. */
static void finish_all(void)
{
	for (size_t i = 0; i < COUNT_OF(feeds); i++)
		if (feeds[i])
			close_feed((int)i);
	CHECK_EQ(over, seen);
	rig_finish(&rig, feeds);
}

/* ---- one each ------------------------------------------------------------- */

static void test_peers_are_the_connections_unless_something_else_is_said(void)
{
	with(3, (struct bp_endpoint_config){ 0 });
	CHECK_EQ(guarantees(), 2);
	for (int i = 0; i < 3; i++) {
		read_from(i, 10);
		CHECK(peer_of(i) != peer_of((i + 1) % 3));
		set_peer(i, 7, 128);		/* a weight; no key is asked for */
		CHECK_EQ(peer_of(i)->gate.weight, 128);
	}
	CHECK(peer_of(0) != peer_of(1));
	CHECK_EQ(seen, 3);
	close_feed(1);
	CHECK_EQ(seen - over, 2);
	CHECK_EQ(guarantees(), 3);
	finish_all();
}

/* Its guarantee and its place as well. */
static void test_peers_last_until_nothing_is_charged_and_closed_is_freed(void)
{
	struct frame *frame, *last;

	with(1, (struct bp_endpoint_config){ .conns_max = 1 });
	read_from(0, 10);
	feed_close(feeds[0]);
	frame = rig_take(&rig);
	frame_turn_back(frame);
	last = rig_take(&rig);
	frame_drop(&frame->entry);
	CHECK_EQ(over, 0);			/* CLOSED is not freed */
	CHECK_EQ(guarantees(), 0);
	CHECK_EQ(rig_stats(&rig).conns, 1);
	frame_done(last);
	CHECK_EQ(over, 1);
	CHECK_EQ(guarantees(), 1);
	CHECK_EQ(rig_stats(&rig).conns, 0);

	feeds[0] = feed_open(&rig, false);
	read_from(0, 10);
	feed_close(feeds[0]);
	frame = rig_take(&rig);
	frame_turn_back(frame);
	rig_expect(&rig, feeds[0], 0);
	CHECK_EQ(over, 1);			/* its payload is kept */
	CHECK_EQ(guarantees(), 0);
	CHECK_EQ(rig_stats(&rig).conns, 1);
	frame_drop(&frame->entry);
	CHECK_EQ(over, 2);
	CHECK_EQ(guarantees(), 1);
	CHECK_EQ(rig_stats(&rig).conns, 0);
	feeds[0] = NULL;
	finish_all();
}

/* ---- keys ----------------------------------------------------------------- */

static void test_peers_are_shared_by_those_with_the_key(void)
{
	with_keys(4, 0);
	for (int i = 0; i < 3; i++)
		set_peer(i, 7, 64);
	set_peer(3, 8, 64);
	CHECK(peer_of(0) == peer_of(1) && peer_of(1) == peer_of(2));
	CHECK(peer_of(0) != peer_of(3));
	CHECK_EQ(guarantees(), 3);		/* of five */
	for (int i = 0; i < 4; i++)
		read_from(i, 10);
	CHECK_EQ(seen, 2);
	CHECK_EQ(peer_of(0)->gate.held, 30);
	CHECK_EQ(peer_of(3)->gate.held, 10);
	rig_finish_queue(&rig);
	close_feed(0);
	close_feed(1);
	CHECK_EQ(over, 0);
	CHECK_EQ(guarantees(), 3);
	close_feed(2);
	CHECK_EQ(over, 1);
	CHECK_EQ(guarantees(), 4);
	/* that key again is another peer */
	set_peer(3, 7, 64);
	CHECK_EQ(over, 2);
	read_from(3, 10);
	CHECK_EQ(seen, 3);
	CHECK_EQ(guarantees(), 4);
	finish_all();
}

static void test_peers_of_keys_that_fall_together_are_told_apart(void)
{
	struct bp__key key = { .kind = BP__KEY_APP, .low = 1 };
	struct bp__list *list;

	with_keys(2, 0);
	list = bp__table_list(&rig.q.peers, &key);
	set_peer(0, 1, 64);
	do
		key.low++;
	while (bp__table_list(&rig.q.peers, &key) != list);
	set_peer(1, key.low, 64);
	CHECK(peer_of(0) != peer_of(1));
	finish_all();
}

static void test_peers_take_over_the_weight_that_was_said_last(void)
{
	with_keys(3, 0);
	set_peer(0, 7, 64);
	set_peer(1, 7, 1024);
	CHECK_EQ(peer_of(0)->gate.weight, 1024);
	CHECK_EQ(peer_of(0)->order.weight, 1024);
	set_peer(0, 7, 1);
	CHECK_EQ(peer_of(1)->gate.weight, 1);
	CHECK_EQ(peer_of(2)->gate.weight, 64);
	finish_all();
}

static void test_peers_keep_what_was_charged_to_them(void)
{
	struct frame *frame;
	struct bp__peer *before, *after;

	with_keys(2, 0);
	set_peer(0, 1, 64);
	before = peer_of(0);
	read_from(0, 10);
	read_from(0, 20);
	set_peer(0, 2, 64);
	after = peer_of(0);
	CHECK(before != after);
	read_from(0, 40);
	CHECK_EQ(before->gate.held, 30);
	CHECK_EQ(after->gate.held, 40);
	CHECK_EQ(rig_peek(&rig, &feeds[0]->flow.held), 70);
	/* each is shown as its own peer's */
	CHECK(feeds[0]->flow.oldest.peer == &before->gate);
	rig_expect(&rig, feeds[0], 1);
	CHECK(feeds[0]->flow.oldest.peer == &before->gate);
	CHECK_EQ(before->gate.held, 20);
	frame = rig_take(&rig);
	frame_turn_back(frame);
	CHECK_EQ(before->gate.held, 19);
	CHECK_EQ(over, 0);
	CHECK(feeds[0]->flow.oldest.peer == &after->gate);
	frame_drop(&frame->entry);
	CHECK_EQ(over, 1);		/* nobody belongs to it, and it holds nothing */
	CHECK_EQ(after->gate.held, 40);
	rig_expect(&rig, feeds[0], 3);
	CHECK_EQ(after->gate.held, 0);
	CHECK_EQ(over, 1);
	finish_all();
}

/* OPENED and its like are charged to nobody: they are shown as whose it is now. */
static void test_peers_last_while_an_event_of_theirs_is_shown(void)
{
	struct frame *opened;

	with_keys(1, 0);
	opened = frame_new(feeds[0], 0, 0);
	opened->entry.peer = NULL;
	bp__flow_put(&feeds[0]->flow, &opened->entry);
	CHECK_EQ(seen, 1);
	set_peer(0, 7, 64);
	CHECK_EQ(over, 0);
	rig_expect(&rig, feeds[0], 1);
	CHECK_EQ(over, 1);
	finish_all();
}

/* Whom it was charged to, not whose it is by now, has it back. */
static void test_peers_have_back_what_their_readers_gave_up(void)
{
	struct bp__peer *before;
	struct bp__flow *flow;

	with_keys(1, 0);
	flow = &feeds[0]->flow;
	CHECK_EQ(bp__flow_reserve(flow, 50, 0, 0), 0);
	before = bp__flow_charged(flow);
	CHECK(before == peer_of(0));
	set_peer(0, 7, 64);
	CHECK(bp__flow_charged(flow) == before && before != peer_of(0));
	bp__flow_release(flow, before, 50, BP__HELD_FRAME, NULL, 0);
	CHECK_EQ(over, 1);
	CHECK(bp__flow_try_reserve(flow, 5, 0, false) == peer_of(0));
	bp__flow_release(flow, peer_of(0), 5, BP__HELD_DELIVERED, NULL, 0);
	finish_all();
}

static void test_peers_are_not_set_any_more_when_all_is_over(void)
{
	struct feed *feed;

	with_keys(1, 0);
	feed = feeds[0];
	bp__flow_ref(&feed->flow);
	close_feed(0);
	CHECK(feed->flow.peer == NULL);
	CHECK_EQ(bp__flow_set_peer(&feed->flow, 7, 64, 0), 0);
	CHECK(feed->flow.peer == NULL);
	CHECK_EQ(guarantees(), COUNT_OF(feeds) - 1);
	bp__flow_unref(&feed->flow);
	finish_all();
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_peers_are_the_connections_unless_something_else_is_said),
		TEST(test_peers_last_until_nothing_is_charged_and_closed_is_freed),
		TEST(test_peers_are_shared_by_those_with_the_key),
		TEST(test_peers_of_keys_that_fall_together_are_told_apart),
		TEST(test_peers_take_over_the_weight_that_was_said_last),
		TEST(test_peers_keep_what_was_charged_to_them),
		TEST(test_peers_last_while_an_event_of_theirs_is_shown),
		TEST(test_peers_have_back_what_their_readers_gave_up),
		TEST(test_peers_are_not_set_any_more_when_all_is_over),
	};

	return run_suite("peers", tests, COUNT_OF(tests), argc, argv);
}
