/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drill_flows.h - connections as a discipline meets them: they come and go, change
 * whom they belong to, wait at the gate and give up, are muted with a frame in the
 * order, and keep what was charged to them, sometimes for long.
 */
#ifndef BP_DRILL_FLOWS_H
#define BP_DRILL_FLOWS_H

#include "drill_model.h"

enum { BP__FLOWS = 48 };	/* at most */

enum bp__act {
	BP__OPEN, BP__ASK, BP__READ, BP__TRY, BP__TAKE, BP__HANDLE, BP__LET_GO,
	BP__MUTE, BP__UNMUTE, BP__MOVE, BP__END, BP__CUT, BP__ACTS
};

struct bp__flows;		/* begins with its struct bp__model */

/* NULL: no memory. What is wrong with ops or config is a broken rule of the model. */
struct bp__flows *bp__flows_new(const struct bp_qdisc_ops *ops,
    const struct bp_endpoint_config *config, unsigned seed, char *rule, size_t size);
void bp__flows_free(struct bp__flows *all);

static inline struct bp__model *bp__flows_model(struct bp__flows *all)
{
	return (struct bp__model *)all;
}

/* How many there may be from now on; of 8 payloads so many outlast their events. */
void bp__flows_set_mood(struct bp__flows *all, unsigned open_max, unsigned kept_of_8);
/* One step, of one that can make it; false: none can. */
bool bp__flows_act(struct bp__flows *all, enum bp__act act);

#endif /* BP_DRILL_FLOWS_H */
