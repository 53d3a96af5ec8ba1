/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_parts.c - P8: what each peer gets over time, whatever the sizes of its frames
 * and the weights. At every moment it is its part but for about one of the largest:
 * nobody loses for ever what it had to wait for while a large one was served.
 */
#include "config.h"

#include "qdisc.h"
#include "trial.h"
#include "wfq.h"

enum { PEERS = 4 };

/* What is shared, and by whom. */
struct sharing {
	size_t costs[PEERS];
	unsigned weights[PEERS];
};

/* Each cost a multiple of its weight's unit: rounding is not what is looked at. */
static const struct sharing sharings[] = {
	{ { 1000, 1000, 1000, 1000 }, { 64, 64, 64, 64 } },
	{ { 1048576, 65536, 4096, 4096 }, { 64, 64, 64, 64 } },
	{ { 1048576, 1048576, 1048576, 4096 }, { 64, 64, 64, 64 } },
	{ { 100000, 7000, 500, 300 }, { 64, 64, 64, 64 } },
	/* and those of the gate's test */
	{ { 1024, 1024, 1024, 1024 }, { 32, 64, 128, 1024 } },
	{ { 65536, 65536, 16384, 1024 }, { 64, 64, 64, 64 } },
	{ { 65536, 1024, 4096, 16384 }, { 64, 128, 256, 512 } },
	{ { 1024, 4096, 16384, 65536 }, { 64, 128, 256, 512 } },
};

enum { FOR_GATE = 4 };		/* the first of them */

static uint64_t bytes[PEERS], total;

static void forget(void)
{
	memset(bytes, 0, sizeof bytes);
	total = 0;
}

static size_t largest_of(const struct sharing *sharing)
{
	size_t largest = 0;

	for (int i = 0; i < PEERS; i++)
		if (sharing->costs[i] > largest)
			largest = sharing->costs[i];
	return largest;
}

static uint64_t all_weights(const struct sharing *sharing)
{
	uint64_t sum = 0;

	for (int i = 0; i < PEERS; i++)
		sum += sharing->weights[i];
	return sum;
}

/* One more has got its next frame: is each within so many of the largest? */
static bool within_parts(const struct sharing *sharing, int i, size_t slack)
{
	bool ok = true;

	bytes[i] += sharing->costs[i];
	total += sharing->costs[i];
	for (i = 0; i < PEERS; i++) {
		uint64_t due = total * sharing->weights[i] / all_weights(sharing);

		ok = ok && CHECK_LE(bytes[i], due + slack)
		    && CHECK_GE(bytes[i] + slack, due);
	}
	return ok;
}

/* How many rounds give each something to share, many times over. */
static int rounds_of(const struct sharing *sharing)
{
	return sharing->costs[0] / sharing->costs[PEERS - 1] > 100 ? 40000 : 5000;
}

static void test_parts_of_a_line_are_kept_at_every_moment(void)
{
	for (size_t k = 0; k < COUNT_OF(sharings); k++) {
		const struct sharing *sharing = &sharings[k];
		struct bp__wfq_entity entities[PEERS], *entity;
		struct bp_item items[PEERS] = { 0 };
		struct bp__wfq wfq = { 0 };
		uint64_t seq = 0;
		int i, n = 0;

		forget();
		memset(entities, 0, sizeof entities);
		for (i = 0; i < PEERS; i++) {
			items[i].seq = seq++;
			entities[i].items.first = entities[i].items.last = &items[i];
			bp__wfq_arm(&wfq, &entities[i], sharing->costs[i],
			    sharing->weights[i], all_weights(sharing));
		}
		do {
			entity = bp__wfq_next(&wfq);
			i = (int)(entity - entities);
			bp__wfq_serve(&wfq, entity, sharing->costs[i],
			    all_weights(sharing));
			items[i].seq = seq++;
			bp__wfq_arm(&wfq, entity, sharing->costs[i],
			    sharing->weights[i], all_weights(sharing));
		} while (within_parts(sharing, i, largest_of(sharing))
		    && ++n < rounds_of(sharing));
	}
}

/* ---- the discipline ------------------------------------------------------- */

static struct trial trial;
static struct bp_peer *peers[PEERS];

/* Heavy ones, who have no part any more in what comes after them. */
static void come_and_go(void)
{
	for (int i = 0; i < 8; i++) {
		struct bp_peer *peer = trial_peer(&trial, 1024, 0);
		struct request request;
		struct bp_item item;

		CHECK(trial_ask(&trial, &request, peer, 10, 0));
		trial_put(&trial, &item, peer, 10, 0);
		CHECK(trial_take(&trial) == &item);
		trial_done(&trial, &request);
	}
	trial.n_grants = 0;
}

static void start(const struct sharing *sharing)
{
	const struct bp_endpoint_config config = {
		.qdisc = &bp_qdisc_fair, .conns_max = PEERS,
		.budget = largest_of(sharing), .peer_max = 4 * largest_of(sharing),
	};

	forget();
	REQUIRE_EQ(trial_init(&trial, &config), 0);
	come_and_go();
	for (int i = 0; i < PEERS; i++)
		peers[i] = trial_peer(&trial, sharing->weights[i], 0);
}

/*
 * One consumer, and connections with much queued: an event is taken, then handled,
 * then the next one of that connection is shown.
 */
static void test_parts_of_the_order_are_kept_at_every_moment(void)
{
	for (size_t k = 0; k < COUNT_OF(sharings); k++) {
		const struct sharing *sharing = &sharings[k];
		struct bp_item items[PEERS], *item;
		int i, n = 0;

		start(sharing);
		for (i = 0; i < PEERS; i++) {
			/* it holds something: what is queued behind that one */
			peers[i]->held = 1;
			trial_put(&trial, &items[i], peers[i], sharing->costs[i], 0);
		}
		do {
			item = trial_take(&trial);
			i = (int)(item - items);
			trial_put(&trial, item, peers[i], sharing->costs[i], 0);
		} while (within_parts(sharing, i, largest_of(sharing))
		    && ++n < rounds_of(sharing));
		for (i = 0; i < PEERS; i++)
			trial.ops->remove(trial.q, &items[i]);
		trial_fini(&trial);
	}
}

enum { EACH = 72 };		/* requests of a peer: some of them always wait */

/* The pool has room for one of the largest; the oldest grant goes back. */
static void test_parts_of_the_gate_are_kept_at_every_moment(void)
{
	static struct request requests[PEERS * EACH];

	for (size_t k = FOR_GATE; k < COUNT_OF(sharings); k++) {
		const struct sharing *sharing = &sharings[k];
		unsigned oldest = 0;
		int i, n = 0;

		start(sharing);
		for (i = 0; i < PEERS * EACH; i++)
			trial_ask(&trial, &requests[i], peers[i % PEERS],
			    sharing->costs[i % PEERS], 0);
		do {
			REQUIRE(trial.n_grants > oldest);
			i = (int)(request_of(trial.grants[oldest++]) - requests);
			trial_done(&trial, &requests[i]);
			trial_ask(&trial, &requests[i], peers[i % PEERS],
			    sharing->costs[i % PEERS], 0);
		} while (within_parts(sharing, i % PEERS, 3 * largest_of(sharing))
		    && ++n < 4000);
		trial_fini(&trial);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST(test_parts_of_a_line_are_kept_at_every_moment),
		TEST(test_parts_of_the_order_are_kept_at_every_moment),
		TEST(test_parts_of_the_gate_are_kept_at_every_moment),
	};

	return run_suite("parts", tests, COUNT_OF(tests), argc, argv);
}
