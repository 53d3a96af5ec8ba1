/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locked.h - what the files of the core do for each other while they hold Q.
 */
#ifndef BP_LOCKED_H
#define BP_LOCKED_H

#include "flow.h"

void bp__qdisc_pump_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
void bp__qdisc_shrink_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
void bp__qdisc_dispatch_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
/* All idle consumers look again whether there is something to wait for. */
void bp__consumers_look_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
/* Wake those that were chosen; without the lock, or before a wait that gives it back. */
void bp__consumers_rouse(struct bp__list *chosen);
/* Unlock, then do what was decided under the lock; flow may be NULL. */
void bp__qdisc_leave(struct bp__qdisc *q, struct bp__flow *flow)
    BP__ATTRIBUTE(release_capability(q->lock));
bool bp__flow_passed_over_locked(const struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Take the first n entries off the queue, up to last, of so many bytes. */
void bp__flow_shift_locked(struct bp__flow *flow, struct bp__entry *last, size_t n,
    size_t bytes)
    BP__REQUIRES(flow->q->lock);
void bp__flow_append_locked(struct bp__flow *flow, struct bp__entry *chain)
    BP__REQUIRES(flow->q->lock);
/* What it counts in the order: its cost and its payload's. */
size_t bp__entry_weight(const struct bp__entry *entry);
/* Let the discipline see the oldest entry, if it may be received now; or not. */
void bp__flow_show_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Also behind one that is out, to whom has that. */
void bp__flow_show_behind_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
void bp__flow_hide_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* The flow that is next, no longer shown; NULL: none is ready. */
struct bp__flow *bp__qdisc_next_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);
/* The entry is in the queue no more: the place it took there is free. */
void bp__flow_leave_queue_locked(struct bp__entry *entry)
    BP__REQUIRES(entry->flow->q->lock);
/* Purge all but the last entry; or one that is in no queue. */
void bp__flow_purge_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
void bp__flow_purge_entry_locked(struct bp__flow *flow, struct bp__entry *entry)
    BP__REQUIRES(flow->q->lock);
void bp__flow_uncharge_locked(struct bp__flow *flow, struct bp__peer *peer,
    size_t cost)
    BP__REQUIRES(flow->q->lock);
/* Wait for the grant of flow->asking; false when the flow ends first. */
bool bp__flow_pass_gate_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Its reader waits on its condition; whom it has chosen meanwhile is roused first. */
void bp__flow_wait_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Wait for what lets its reader go on: one condition, whatever it is. */
void bp__flow_park_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* The reader delivers what it held; and gives its place back, if all is over. */
void bp__flow_hand_over_locked(struct bp__flow *flow, size_t cost)
    BP__REQUIRES(flow->q->lock);
void bp__flow_leave_place_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Nobody unmutes what was left behind: of those only the last entry is delivered. */
void bp__flows_cut_muted_locked(struct bp__qdisc *q)
    BP__REQUIRES(q->lock);
/* No mute holds any more: how long they did. */
void bp__flow_unmuted_locked(struct bp__flow *flow)
    BP__REQUIRES(flow->q->lock);
/* Give free slots to those who are next. */
void bp__qdisc_fill_slots_locked(struct bp__qdisc *q) BP__REQUIRES(q->lock);

/* ---- peers: peer.c ------------------------------------------------------ */

/* A peer nobody has yet, or NULL: no memory. No lock is needed. */
struct bp__peer *bp__peer_new(const struct bp__qdisc *q, const struct bp__key *key,
    unsigned weight);
void bp__peer_add_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
struct bp__peer *bp__peer_find_locked(struct bp__qdisc *q, const struct bp__key *key)
    BP__REQUIRES(q->lock);
void bp__peer_ref_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
void bp__peer_unref_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
/* After something was given back: was that the last of it? */
void bp__peer_check_locked(struct bp__qdisc *q, struct bp__peer *peer)
    BP__REQUIRES(q->lock);
void bp__peers_free(struct bp__list *gone);

#endif /* BP_LOCKED_H */
