/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sleepers.h - every thread that can sleep, and what it takes to let it: one half
 * of the table in test_wakes.c.
 */
#ifndef TEST_SLEEPERS_H
#define TEST_SLEEPERS_H

#include "corners.h"
#include "harness.h"

struct corner {
	const struct sleeper *sleeper;
	const struct ender *ender;
	enum way { OTHER_THREAD, CALLBACK, TWO_THREADS, WITH_ABORT, WAYS } way;
	char name[120], addr[ADDR_MAX], control_addr[ADDR_MAX];
	struct bp_endpoint *ep;
	struct bp_conn *conn;		/* NULL where there is none */
	int fd, control;		/* peers, or -1 */
	struct black_hole hole;
	struct task *asleep;		/* a thread of ours that waits in a call */
	atomic_int rc;			/* what that call returned */
	atomic_bool called;		/* the callback has done its part */
};

struct sleeper {
	const char *name;
	void (*lie_down)(struct corner *c);
	bool without_conn;		/* only the endpoint's end concerns it */
	bool to_drain;			/* a good end needs the peer to read, */
	bool to_unmute;			/* that of the endpoint to be unmuted */
	enum bp_reason deadline;	/* why it ends by itself; NONE: not soon */
	int rc;				/* what the call that sleeps must return */
};

extern const struct sleeper
	sleeper_in_recv, sleeper_in_frame, sleeper_muted, sleeper_at_gate,
	sleeper_coupled, sleeper_writer_idle, sleeper_writer_in_send,
	sleeper_sending, sleeper_unthrottled, sleeper_wait_closed,
	sleeper_receiving, sleeper_accepting, sleeper_connecting;

#endif /* TEST_SLEEPERS_H */
