/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batches.h - a server that queues what comes in bursts: so many frames in one read
 * become a batch, small ones as copies, more than fit the stack as slices of a chunk,
 * and many of them lie in a large block themselves.
 */
#ifndef TEST_BATCHES_H
#define TEST_BATCHES_H

#include "corners.h"
#include "endpoint.h"
#include "harness.h"
#include "inbox.h"
#include "peer.h"
#include "tagged.h"

enum { LEN = 16, FEW = 8, MIDDLE = 40, MANY = 90, CHUNK = 16 * 1024 };

static char addr[ADDR_MAX];
static struct bp_endpoint *ep;
static struct bp_conn *conn;
static struct bp_event *events[MANY];

/* ---- bursts --------------------------------------------------------------- */

static inline int start_with(struct bp_endpoint_config config)
{
	const struct bp_conn_config framed = { .framer = &bp_framer_u32be };
	int fd;

	ep = serve(&config, &framed, addr);
	fd = peer_connect(addr);
	conn = take_opened(ep);
	return fd;
}

static inline int start(void)
{
	return start_with((struct bp_endpoint_config){ 0 });
}

static inline size_t held(void)
{
	return stats_of(ep).held_bytes;
}

/* n frames in one segment, which one read gets, with their numbers from first on. */
static inline void send_burst(int fd, uint32_t first, uint32_t n)
{
	char burst[MANY * (4 + LEN)], *at = burst;
	const unsigned char head[4] = { 0, 0, 0, LEN };

	for (uint32_t seq = first; seq < first + n; seq++, at += 4 + LEN) {
		memcpy(at, head, 4);
		tagged_fill(at + 4, LEN, 7, seq);
	}
	peer_send(fd, burst, n * (4 + LEN));
}

static inline void queue(int fd, uint32_t first, uint32_t n)
{
	size_t queued = stats_of(ep).queued_events;

	send_burst(fd, first, n);
	WAIT_UNTIL(stats_of(ep).queued_events == queued + n);
}

static inline void check_bytes(const void *data, uint32_t seq)
{
	char bytes[LEN];

	tagged_fill(bytes, LEN, 7, seq);
	CHECK(memcmp(data, bytes, LEN) == 0);
}

static inline void take(uint32_t first, int n)
{
	REQUIRE_EQ(bp_receive_many(ep, events, n, SLOW(8000)), n);
	for (int i = 0; i < n; i++) {
		REQUIRE_EQ(events[i]->kind, BP_RECEIVED);
		REQUIRE_EQ(events[i]->buf->len, LEN);
		check_bytes(events[i]->buf->data, first + (uint32_t)i);
	}
}

static inline void free_all(int n)
{
	while (n > 0)
		bp_event_free(events[--n]);
}

static inline void end(int fd)
{
	peer_close(fd);
	bp_conn_unref(conn);
	finish(ep);
}

#endif /* TEST_BATCHES_H */
