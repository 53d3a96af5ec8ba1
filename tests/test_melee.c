/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_melee.c - readers, consumers and a troublemaker who mutes, throttles and ends
 * flows, all at once on one core. What is seen: order, one event of a flow out at a
 * time, every frame of a flow that nobody ended, the budget, no futile wake-up, and
 * that nothing is left.
 */
#include "config.h"

#include "rig.h"
#include "tagged.h"

#define READERS 4
#define CONSUMERS 3
#define FRAMES 400
#define ROUNDS 4
#define BUDGET 2000
#define COST_MAX 900

static struct rig rig;

struct member {
	struct feed *feed;
	uint64_t state;
	struct task *task;
	unsigned seen;			/* the last frame; whoever has the turn */
	unsigned received;
	bool closed;			/* CLOSED was received */
	bool was_ended;			/* by the troublemaker */
};

static struct member members[READERS];

static struct member *member_of(const struct feed *feed)
{
	size_t i;

	for (i = 0; i < READERS - 1; i++)
		if (members[i].feed == feed)
			break;
	return &members[i];
}

static void read_all(void *arg)
{
	struct member *member = arg;
	int i, rc = 0;

	for (i = 0; i < FRAMES && rc == 0; i++) {
		rc = bp__flow_may_read(&member->feed->flow);
		if (rc == 0)
			rc = feed_read(member->feed,
			    1 + random_below(&member->state, COST_MAX));
		CHECK(rc == 0 || rc == -EPIPE);
	}
	feed_close(member->feed);
}

/* With the turn: nobody else looks at this member now, and TSan would tell. */
static void look_at(struct frame *frame)
{
	struct member *member = member_of(frame->feed);

	CHECK(!member->closed);
	if (frame->entry.last) {
		member->closed = true;
		return;
	}
	CHECK(frame->n > member->seen);
	member->seen = frame->n;
	member->received++;
}

/* Who keeps a payload does not wait for more: readers may wait for its release. */
static int take(struct bp__entry **ret_entry, struct bp__entry **kept)
{
	int rc;

	if (*kept) {
		rc = rig_take_entry(&rig, ret_entry, 0);
		frame_drop(*kept);
		*kept = NULL;
		if (rc != -EAGAIN)
			return rc;
	}
	return rig_take_entry(&rig, ret_entry, BP__NEVER);
}

static void consume(void *arg)
{
	struct bp__entry *entry, *kept = NULL;
	uint64_t random = (uintptr_t)arg;
	int rc;

	while ((rc = take(&entry, &kept)) == 0) {
		look_at(frame_of(entry));
		frame_turn_back(frame_of(entry));
		if (!entry->last && random_below(&random, 3) == 0)
			kept = entry;
		else
			frame_drop(entry);
	}
	CHECK_EQ(rc, -EPIPE);
}

static void trouble(struct member *member, uint64_t *state, bool may_end)
{
	struct bp__flow *flow = &member->feed->flow;

	switch (random_below(state, may_end ? 200 : 199)) {
	case 199:
		member->was_ended = true;
		bp__flow_end(flow, BP__FLOW_STOPPING + random_below(state, 3));
		break;
	case 0: case 1: case 2: case 3: case 4: case 5:
		bp__flow_mute(flow);
		break;
	case 6: case 7: case 8: case 9: case 10: case 11:
		atomic_store(&member->feed->throttled, true);
		break;
	default:
		bp__flow_unmute(flow);
		atomic_store(&member->feed->throttled, false);
		bp__flow_unblock(flow);
	}
}

static bool all_closed(void)
{
	return rig_peek(&rig, &rig.q.live) == 0;
}

/* Until the last CLOSED was received; its own references keep the flows. */
static void make_trouble(uint64_t state, bool may_end)
{
	struct bp_endpoint_stats stats;
	size_t i;

	while (!all_closed()) {
		trouble(&members[random_below(&state, READERS)], &state, may_end);
		stats = rig_stats(&rig);
		CHECK(stats.held_bytes <= stats.budget);
	}
	for (i = 0; i < READERS; i++)
		bp__flow_unref(&members[i].feed->flow);
}

static void fight(const struct bp_qdisc_ops *qdisc, uint64_t seed, bool may_end)
{
	const struct bp_endpoint_config config = {
		.qdisc = qdisc, .budget = BUDGET, .guarantee = BUDGET / 10,
		.places = 3, .conns_max = READERS,
	};
	struct task *consumers[CONSUMERS];
	size_t i;

	rig_init(&rig, &config);
	memset(members, 0, sizeof members);
	for (i = 0; i < READERS; i++) {
		members[i].feed = feed_open(&rig, i % 2);
		members[i].state = seed * 100 + i;
		bp__flow_ref(&members[i].feed->flow);
	}
	for (i = 0; i < CONSUMERS; i++)
		consumers[i] = task_start(consume, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < READERS; i++)
		members[i].task = task_start(read_all, &members[i]);
	bp__qdisc_close(&rig.q);		/* no more flows come */
	make_trouble(seed, may_end);
	for (i = 0; i < READERS; i++)
		task_join(members[i].task);
	for (i = 0; i < CONSUMERS; i++)
		task_join(consumers[i]);
	for (i = 0; i < READERS; i++) {
		CHECK(members[i].closed);
		if (!members[i].was_ended)
			CHECK_EQ(members[i].received, FRAMES);
	}
	rig_fini(&rig);
}

static void fight_rounds(const struct bp_qdisc_ops *qdisc)
{
	uint64_t round;

	for (round = 1; round <= ROUNDS; round++)
		fight(qdisc, round, round % 2 == 0);
}

static void test_melee_at_unbounded_leaves_nothing(void)
{
	fight_rounds(&bp_qdisc_unbounded);
}

static void test_melee_at_one_place_leaves_nothing(void)
{
	fight_rounds(&bp_qdisc_one_place);
}

static void test_melee_at_bounded_leaves_nothing(void)
{
	fight_rounds(&bp_qdisc_bounded);
}

static void test_melee_at_bytes_leaves_nothing(void)
{
	fight_rounds(&bp_qdisc_bytes);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_melee_at_unbounded_leaves_nothing),
		TEST(test_melee_at_one_place_leaves_nothing),
		TEST(test_melee_at_bounded_leaves_nothing),
		TEST(test_melee_at_bytes_leaves_nothing),
	};

	return run_suite("melee", tests, COUNT_OF(tests), argc, argv);
}
