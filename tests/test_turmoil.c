/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_turmoil.c - the core under everything at once, at random: one thread against
 * a model that knows what must come next and what is charged, then readers,
 * consumers and a troublemaker against each other. At the end nothing is left.
 */
#include "config.h"

#include "rig.h"
#include "tagged.h"

#include <stdio.h>

#define BUDGET 1000
#define GUARANTEE 50
#define CONNS 6
#define PLACES 5
#define QUEUE 64

static struct rig rig;

static struct bp_endpoint_config config_of(const struct bp_qdisc_ops *qdisc)
{
	return (struct bp_endpoint_config){
		.qdisc = qdisc, .budget = BUDGET, .guarantee = GUARANTEE,
		.places = PLACES, .conns_max = CONNS,
	};
}

/* ---- the model ------------------------------------------------------------ */

struct queued {
	unsigned n;		/* 0: CLOSED */
	size_t cost;
	uint64_t arrival;
};

struct model {
	struct feed *feed;	/* NULL: none */
	struct queued queue[QUEUE];
	int n_queued;
	struct frame *out;
	size_t kept;		/* charged for payloads whose turn went back */
	size_t held;
	unsigned mutes;
	bool couple, throttled, closed;
	enum bp__flow_stage stage;
};

static struct model models[CONNS];
static uint64_t state, arrivals;
static const struct bp_qdisc_ops *qdisc;

static bool closed_off(const struct model *m)
{
	return m->stage == BP__FLOW_CUT;
}

static void model_purge(struct model *m)
{
	int i, left = 0;

	/* what is broken and muted at once is cut, for good */
	if (m->stage == BP__FLOW_BROKEN && m->mutes > 0)
		m->stage = BP__FLOW_CUT;
	if (!closed_off(m))
		return;
	for (i = 0; i < m->n_queued; i++) {
		if (m->queue[i].n == 0)
			m->queue[left++] = m->queue[i];
		else
			m->held -= m->queue[i].cost;
	}
	m->n_queued = left;
}

/* Who must be next, or NULL. */
static struct model *model_next(void)
{
	struct model *best = NULL;
	size_t i;

	for (i = 0; i < CONNS; i++) {
		struct model *m = &models[i];
		bool stays;

		if (!m->feed || m->out || m->n_queued == 0)
			continue;
		stays = m->mutes > 0 || (m->couple && m->throttled
		    && m->stage < BP__FLOW_BROKEN);
		if (stays && m->queue[0].n != 0)
			continue;
		if (!best || m->queue[0].arrival < best->queue[0].arrival)
			best = m;
	}
	return best;
}

static size_t above_guarantee(size_t held)
{
	return held > GUARANTEE ? held - GUARANTEE : 0;
}

/* Would the gate let it pass without waiting? */
static bool model_admits(const struct model *m, size_t cost)
{
	size_t used = 0, places = 0, i;
	int k;

	for (i = 0; i < CONNS; i++) {
		if (!models[i].feed)
			continue;
		if (&models[i] != m)
			used += above_guarantee(models[i].held);
		for (k = 0; k < models[i].n_queued; k++)
			places += models[i].queue[k].n != 0;
	}
	if (bp__qdisc_budgeted(qdisc))
		return used + above_guarantee(m->held + cost)
		    <= BUDGET - CONNS * GUARANTEE;
	if (qdisc->after_read)
		return places < (qdisc == &bp_qdisc_one_place ? 1 : PLACES);
	return true;
}

static void model_queue(struct model *m, unsigned n, size_t cost)
{
	REQUIRE(m->n_queued < QUEUE);
	m->queue[m->n_queued++] = (struct queued){ n, cost, arrivals++ };
	m->held += cost;
	model_purge(m);
}

static void check_model(void)
{
	const struct bp_endpoint_stats stats = rig_stats(&rig);
	size_t held = 0, queued = 0, muted = 0, conns = 0, i;

	for (i = 0; i < CONNS; i++) {
		const struct model *m = &models[i];

		if (!m->feed)
			continue;
		conns++;
		held += m->held;
		queued += (size_t)m->n_queued;
		muted += m->mutes > 0;
	}
	REQUIRE_EQ(stats.held_bytes, held);
	REQUIRE_EQ(stats.queued_events, queued);
	REQUIRE_EQ(stats.muted, muted);
	REQUIRE_EQ(stats.conns, conns);
}

/* ---- what is done at random ------------------------------------------------ */

static void do_open(struct model *m)
{
	*m = (struct model){ .couple = random_below(&state, 2) };
	m->feed = feed_open(&rig, m->couple);
}

static void do_read(struct model *m)
{
	size_t cost = 1 + random_below(&state, random_below(&state, 3) ? 40 : 400);

	if (m->closed || m->n_queued >= QUEUE - 1)
		return;
	if (model_admits(m, cost)) {
		CHECK_EQ(feed_read(m->feed, cost), 0);
		model_queue(m, m->feed->read, cost);
	} else if (bp__qdisc_budgeted(qdisc)) {
		CHECK(!bp__flow_try_reserve(&m->feed->flow, cost, 0, false));
		if (m->stage != BP__FLOW_OPEN)
			CHECK_EQ(feed_read(m->feed, cost), -EPIPE);
	}
}

static void do_take(void)
{
	struct model *next = model_next();
	struct frame *frame = rig_try(&rig);

	REQUIRE_EQ(frame != NULL, next != NULL);
	if (!frame)
		return;
	REQUIRE(frame->feed == next->feed);
	REQUIRE_EQ(frame->n, next->queue[0].n);
	next->out = frame;
	memmove(next->queue, next->queue + 1,
	    (size_t)--next->n_queued * sizeof next->queue[0]);
}

static void do_release_kept(struct model *m)
{
	if (m->kept > 0)
		flow_release(&m->feed->flow, m->kept, BP__HELD_DELIVERED, NULL, 0);
	m->held -= m->kept;
	m->kept = 0;
}

static void do_give_back(struct model *m)
{
	struct frame *frame = m->out;
	size_t payload_cost;

	if (!frame)
		return;
	m->out = NULL;
	if (frame->n == 0) {			/* the end of it */
		do_release_kept(m);
		m->feed = NULL;
		frame_done(frame);
		return;
	}
	payload_cost = frame->entry.payload_cost;
	m->held -= frame->entry.cost;
	if (random_below(&state, 3) == 0) {	/* the application keeps it */
		m->kept += payload_cost;
		frame->entry.payload_cost = 0;
	} else {
		m->held -= payload_cost;
	}
	frame_done(frame);
}

static void do_mute(struct model *m)
{
	bp__flow_mute(&m->feed->flow);
	m->mutes++;
	model_purge(m);
}

static void do_unmute(struct model *m)
{
	bp__flow_unmute(&m->feed->flow);
	m->mutes -= m->mutes > 0;
}

static void do_throttle(struct model *m)
{
	m->throttled = !m->throttled;
	atomic_store(&m->feed->throttled, m->throttled);
	if (!m->throttled)
		bp__flow_unblock(&m->feed->flow);
}

static void do_end(struct model *m)
{
	enum bp__flow_stage stage = BP__FLOW_STOPPING + random_below(&state, 3);

	if (random_below(&state, 3) > 0)
		return;
	feed_end(m->feed, stage);
	if (stage > m->stage)
		m->stage = stage;
	model_purge(m);
}

static void do_close(struct model *m)
{
	if (m->closed || random_below(&state, 4) > 0)
		return;
	m->closed = true;
	feed_close(m->feed);
	model_queue(m, 0, 0);
}

static void do_something(void)
{
	struct model *m = &models[random_below(&state, CONNS)];

	if (!m->feed) {
		do_open(m);
		return;
	}
	switch (random_below(&state, 16)) {
	case 0: do_mute(m); break;
	case 1: case 2: do_unmute(m); break;
	case 3: do_throttle(m); break;
	case 4: do_end(m); break;
	case 5: do_close(m); break;
	case 6: do_release_kept(m); break;
	case 7: case 8: case 9: do_take(); break;
	case 10: case 11: case 12: do_give_back(m); break;
	default: do_read(m);
	}
}

static void do_finish(void)
{
	size_t i;

	for (i = 0; i < CONNS; i++) {
		struct model *m = &models[i];

		while (m->feed && m->mutes > 0)
			do_unmute(m);
		while (m->feed && m->throttled)
			do_throttle(m);
		while (m->feed && !m->closed)
			do_close(m);
	}
	while (model_next()) {
		do_take();
		for (i = 0; i < CONNS; i++)
			do_give_back(&models[i]);
		check_model();
	}
}

static void agree(const struct bp_qdisc_ops *discipline)
{
	const struct bp_endpoint_config config = config_of(discipline);
	uint64_t seed;
	int step;

	qdisc = discipline;
	for (seed = 1; seed <= 5; seed++) {
		state = seed;
		arrivals = 0;
		memset(models, 0, sizeof models);
		rig_init(&rig, &config);
		for (step = 0; step < 10000; step++) {
			do_something();
			check_model();
		}
		do_finish();
		rig_fini(&rig);
	}
}

static void test_turmoil_of_unbounded_agrees_with_the_model(void)
{
	agree(&bp_qdisc_unbounded);
}

static void test_turmoil_of_one_place_agrees_with_the_model(void)
{
	agree(&bp_qdisc_one_place);
}

static void test_turmoil_of_bounded_agrees_with_the_model(void)
{
	agree(&bp_qdisc_bounded);
}

static void test_turmoil_of_bytes_agrees_with_the_model(void)
{
	agree(&bp_qdisc_bytes);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_turmoil_of_unbounded_agrees_with_the_model),
		TEST(test_turmoil_of_one_place_agrees_with_the_model),
		TEST(test_turmoil_of_bounded_agrees_with_the_model),
		TEST(test_turmoil_of_bytes_agrees_with_the_model),
	};

	return run_suite("turmoil", tests, COUNT_OF(tests), argc, argv);
}
