/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * corners.h - situations that take a few steps to get into: a connection that
 * cannot send, an address at which connecting hangs; and a stop that is timed.
 */
#ifndef TEST_CORNERS_H
#define TEST_CORNERS_H

#include "harness.h"

/* A peer with small kernel buffers, so that little is in flight. */
enum { NARROW = 16 << 10 };
int narrow_connect(const char *addr);

/* The configuration of the other end of it. */
struct bp_conn_config narrow_config(void);

/* A reference to the connection whose OPENED is the next event; frees that. */
struct bp_conn *take_opened(struct bp_endpoint *ep);

/* Send until a send would wait and the peer's window is closed; how much it was. */
size_t fill_out_queue(struct bp_conn *conn);

/* A listening socket whose backlog is full: what connects to it waits for ever. */
struct black_hole {
	char addr[ADDR_MAX];
	int listener, fillers[4];
};

void black_hole_open(struct black_hole *hole);
void black_hole_close(struct black_hole *hole);

/* A task: connect to arg, an address, and send frames of no bytes until cut. */
void push_until_cut(void *arg);

/* The longest a stop with this grace and number of connections may take (P13). */
uint64_t stop_limit_ms(int grace_ms, size_t conns);
uint64_t timed_stop(struct bp_endpoint *ep, int grace_ms, int *ret_rc);
void stop_in_time(struct bp_endpoint *ep, int grace_ms);

#endif /* TEST_CORNERS_H */
