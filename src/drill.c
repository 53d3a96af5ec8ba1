/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill.c - see drill.h. Rounds of random steps, in moods that change: few flows or
 * many, eager ones, slow consumers, payloads that are kept. After so many rounds all
 * is let go, which must leave nothing behind, and the pool as good as new.
 */
#include "config.h"

#include "drill.h"
#include "drill_flows.h"
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	MOOD_ROUNDS = 256,
	TRIAL_MOODS = 64,	/* after so many, and at the end: who starves? */
	ROUND_NS = 200000,	/* at most */
};

/* Its clock is its own, and in the past: arrived_ns is never in the future. */
#define BEGIN_NS (3600 * UINT64_C(1000000000))

/* ---- rounds ------------------------------------------------------------- */

static void set_mood(struct bp__flows *all, unsigned weights[BP__ACTS])
{
	static const unsigned most[BP__ACTS] = {
		[BP__OPEN] = 16, [BP__ASK] = 64, [BP__READ] = 32, [BP__TRY] = 4,
		[BP__TAKE] = 32, [BP__HANDLE] = 32, [BP__LET_GO] = 8, [BP__MUTE] = 4,
		[BP__UNMUTE] = 4, [BP__MOVE] = 2, [BP__END] = 1, [BP__CUT] = 1,
	};
	struct bp__model *model = bp__flows_model(all);

	for (unsigned i = 0; i < BP__ACTS; i++)
		weights[i] = 1 + (bp__model_below(model, most[i])
		    >> bp__model_below(model, 4));
	bp__flows_set_mood(all, 1 + bp__model_below(model, BP__FLOWS),
	    bp__model_below(model, 8));
	model->large_of_32 = 1 + bp__model_below(model, 24);
}

static enum bp__act choose(struct bp__model *model, const unsigned weights[BP__ACTS])
{
	unsigned sum = 0, act, dart;

	for (act = 0; act < BP__ACTS; act++)
		sum += weights[act];
	dart = bp__model_below(model, sum);
	for (act = 0; dart >= weights[act]; act++)
		dart -= weights[act];
	return (enum bp__act)act;
}

/* Ask no more and let all go: then nothing waits, is queued or held. */
static void settle(struct bp__flows *all)
{
	static const enum bp__act acts[] = {
		BP__UNMUTE, BP__READ, BP__TAKE, BP__HANDLE, BP__LET_GO,
	};
	struct bp__model *model = bp__flows_model(all);
	bool moved;

	bp__flows_set_mood(all, 0, 0);
	do {
		moved = false;
		for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
			while (!model->broken && bp__flows_act(all, acts[i]))
				moved = true;
	} while (moved);
	bp__model_check_empty(model);
}

/* Every flow is gone, and with the last one of a peer that. */
static void end_all(struct bp__flows *all)
{
	while (!bp__flows_model(all)->broken && bp__flows_act(all, BP__CUT))
		;
	settle(all);
}

static void run(struct bp__flows *all, unsigned rounds)
{
	struct bp__model *model = bp__flows_model(all);
	unsigned weights[BP__ACTS], round = 0, mood = 0;

	model->now_ns = bp__now_ns() > BEGIN_NS ? bp__now_ns() - BEGIN_NS : 0;
	while (!model->broken && round < rounds) {
		if (round++ % MOOD_ROUNDS == 0) {
			settle(all);
			if (++mood % TRIAL_MOODS == 0) {
				end_all(all);
				bp__model_check_starving(model);
			}
			set_mood(all, weights);
		}
		model->now_ns += bp__model_below(model, ROUND_NS);
		bp__flows_act(all, choose(model, weights));
	}
	settle(all);
	end_all(all);
	bp__model_check_starving(model);
}

int bp__drill(const struct bp_qdisc_ops *ops, const struct bp_endpoint_config *config,
    unsigned seed, unsigned rounds, char *ret_rule, size_t size)
{
	struct bp__flows *all = bp__flows_new(ops, config, seed, ret_rule, size);
	bool broken;

	if (!all) {
		snprintf(ret_rule, size, "there is no memory");
		return -1;
	}
	run(all, rounds);
	broken = bp__flows_model(all)->broken;
	bp__flows_free(all);
	return broken ? -1 : 0;
}
