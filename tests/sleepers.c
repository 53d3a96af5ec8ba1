/* SPDX-License-Identifier: BSD-2-Clause */
/* sleepers.c - threads of the library, and calls of ours, are put to sleep. */
#include "config.h"

#include "peer.h"
#include "sleepers.h"

/* ---- threads of the library --------------------------------------------------- */

static void in_recv(struct corner *c)
{
	CHECK_EQ(conn_stats_of(c->conn).received_frames, 0);
}

static void within_a_frame(struct corner *c)
{
	peer_send(c->fd, "\0\0\x80\0half of it", 14);
	WAIT_UNTIL(stats_of(c->ep).held_bytes > 0);
}

static void muted(struct corner *c)
{
	bp_conn_mute(c->conn);
	peer_send_u32be(c->fd, "unheard", 7);
}

static void at_the_gate(struct corner *c)
{
	peer_send_until_stuck(c->fd, 20);
	WAIT_UNTIL(conn_stats_of(c->conn).waiting);
}

static void coupled(struct corner *c)
{
	fill_out_queue(c->conn);
	peer_send_u32be(c->fd, "unheard", 7);
}

static void writer_in_send(struct corner *c)
{
	fill_out_queue(c->conn);
}

static void writer_idle(struct corner *c)
{
	size_t sent = fill_out_queue(c->conn);
	char sink[4096];

	/* all of it, with its headers: else what the kernel holds would linger */
	sent += conn_stats_of(c->conn).sent_frames * 4;
	for (size_t got = 0; got < sent; ) {
		ssize_t n = peer_recv_some(c->fd, sink, sizeof sink);

		REQUIRE(n > 0);
		got += (size_t)n;
	}
	WAIT_UNTIL(bp_conn_pending(c->conn) == 0);
}

static void accepting(struct corner *c)
{
	CHECK_EQ(stats_of(c->ep).conns, c->control >= 0);
}

/* ---- calls of ours ---------------------------------------------------------- */

static void call_send(void *arg)
{
	struct corner *c = arg;

	c->rc = bp_send(c->conn, "x", 1, BP_FOREVER);
}

static void sending(struct corner *c)
{
	fill_out_queue(c->conn);
	c->asleep = task_start(call_send, c);
}

static void call_wait_unthrottled(void *arg)
{
	struct corner *c = arg;

	c->rc = bp_conn_wait_unthrottled(c->conn, BP_FOREVER);
}

static void waiting_to_send(struct corner *c)
{
	fill_out_queue(c->conn);
	c->asleep = task_start(call_wait_unthrottled, c);
}

static void call_wait_closed(void *arg)
{
	struct corner *c = arg;

	c->rc = bp_conn_wait_closed(c->conn, BP_FOREVER);
}

static void waiting_for_the_end(struct corner *c)
{
	c->asleep = task_start(call_wait_closed, c);
}

static void call_receive(void *arg)
{
	struct corner *c = arg;
	struct bp_event *event;
	int rc;

	while ((rc = bp_receive(c->ep, &event, BP_FOREVER)) == 0)
		bp_event_free(event);
	c->rc = rc;
}

static void receiving(struct corner *c)
{
	c->asleep = task_start(call_receive, c);
}

static void call_connect(void *arg)
{
	struct corner *c = arg;

	c->rc = bp_connect(c->ep, NULL, c->hole.addr, NULL, 60000);
}

static void connecting(struct corner *c)
{
	black_hole_open(&c->hole);
	c->asleep = task_start(call_connect, c);
	WAIT_UNTIL(stats_of(c->ep).conns > (c->control >= 0));
}

/* ---- the table ---------------------------------------------------------------- */

const struct sleeper sleeper_in_recv = {
	.name = "a reader in recv", .lie_down = in_recv,
	.deadline = BP_REASON_IDLE,
};
const struct sleeper sleeper_in_frame = {
	.name = "a reader within a frame", .lie_down = within_a_frame,
	.deadline = BP_REASON_STALLED_FRAME,
};
const struct sleeper sleeper_muted = {
	.name = "a muted reader", .lie_down = muted, .to_unmute = true,
};
const struct sleeper sleeper_at_gate = {
	.name = "a reader at the gate", .lie_down = at_the_gate,
};
const struct sleeper sleeper_coupled = {
	.name = "a coupled reader", .lie_down = coupled, .to_drain = true,
	.deadline = BP_REASON_STALLED_WRITE,
};
const struct sleeper sleeper_writer_idle = {
	.name = "an idle writer", .lie_down = writer_idle,
};
const struct sleeper sleeper_writer_in_send = {
	.name = "a writer in send", .lie_down = writer_in_send,
	.to_drain = true,
	.deadline = BP_REASON_STALLED_WRITE,
};
const struct sleeper sleeper_sending = {
	.name = "bp_send", .lie_down = sending, .to_drain = true,
	.deadline = BP_REASON_STALLED_WRITE, .rc = -EPIPE,
};
const struct sleeper sleeper_unthrottled = {
	.name = "bp_conn_wait_unthrottled", .lie_down = waiting_to_send,
	.to_drain = true,
	.deadline = BP_REASON_STALLED_WRITE, .rc = -EPIPE,
};
const struct sleeper sleeper_wait_closed = {
	.name = "bp_conn_wait_closed", .lie_down = waiting_for_the_end,
	.deadline = BP_REASON_IDLE,
};
const struct sleeper sleeper_receiving = {
	.name = "bp_receive", .lie_down = receiving,
	.without_conn = true, .rc = -EPIPE,
};
const struct sleeper sleeper_accepting = {
	.name = "the accepting thread", .lie_down = accepting,
	.without_conn = true,
};
const struct sleeper sleeper_connecting = {
	.name = "bp_connect", .lie_down = connecting,
	.without_conn = true, .rc = -EPIPE,
};
