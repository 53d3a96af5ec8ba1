/* SPDX-License-Identifier: BSD-2-Clause */
/* lives.c - peers who come, talk and go in every way there is. See lives.h. */
#include "config.h"

#include "lives.h"
#include "peer.h"
#include "tagged.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>

enum manner { POLITE, SLOW_READER, RESETS, VANISHES, NEVER_READS, SILENT, MANNERS };

struct life {
	struct crowd *crowd;
	uint64_t *state;		/* of the random numbers */
	int fd;
	uint32_t id, sent, got;
	size_t frame_max, unread;	/* bytes sent whose echo was not read */
	size_t step;			/* bytes read at a time */
	bool refused;			/* a send failed: that took the error away */
	char *frame;
};

enum end { GOES_ON, FIN, CUT };

/* Read exactly len bytes. An end in good order may come only before the first. */
static enum end read_exactly(struct life *life, void *data, size_t len)
{
	size_t have = 0;

	while (have < len) {
		size_t want = len - have < life->step ? len - have : life->step;
		ssize_t n = peer_recv_some(life->fd, (char *)data + have, want);

		CHECK_NE(n, -EAGAIN);		/* nothing for ten seconds: stuck */
		if (n < 0)
			return CUT;
		if (n == 0 && life->refused)
			return CUT;
		if (n == 0) {
			CHECK_EQ(have, 0);
			return FIN;
		}
		have += (size_t)n;
		if (life->step < LIFE_FRAME_MAX)
			wait_tick(UINT64_MAX);
	}
	return GOES_ON;
}

/* Read one echo: it must be the next one, and whole. */
static enum end read_echo(struct life *life)
{
	uint32_t head, id = 0, seq = 0, len;
	enum end end = read_exactly(life, &head, sizeof head);

	if (end != GOES_ON)
		return end;
	len = ntohl(head);
	REQUIRE(len >= TAGGED_MIN && len <= LIFE_FRAME_MAX);
	end = read_exactly(life, life->frame, len);
	CHECK_NE(end, FIN);
	if (end != GOES_ON)
		return end;
	CHECK(tagged_check(life->frame, len, life->frame_max, &id, &seq));
	CHECK_EQ(id, life->id);
	CHECK_EQ(seq, life->got);
	life->got++;
	life->unread -= len;
	return GOES_ON;
}

/* Send the next frame; false when the server has ended the connection. */
static bool send_frame(struct life *life)
{
	size_t len = tagged_len(life->id, life->sent, life->frame_max);
	uint32_t head = htonl((uint32_t)len);

	memcpy(life->frame, &head, sizeof head);
	tagged_fill(life->frame + sizeof head, len, life->id, life->sent);
	len += sizeof head;
	life->refused = peer_send_some(life->fd, life->frame, len) < len;
	if (life->refused)
		return false;
	life->sent++;
	life->unread += len - sizeof head;
	return true;
}

/* Send some frames, never more ahead of their echoes than a window. */
static enum end talk(struct life *life)
{
	unsigned frames = 1 + random_below(life->state, 100);
	size_t window = 1 + random_below(life->state, 50000);
	enum end end = GOES_ON;

	while (life->sent < frames && end == GOES_ON) {
		if (!send_frame(life))
			break;		/* what there is to be read tells how */
		while (life->unread > window && end == GOES_ON)
			end = read_echo(life);
	}
	return end;
}

/*
 * After an end in good order every echo that was accepted has come; and every frame
 * was echoed if it was the peer alone who ended it.
 */
static void compare(struct life *life)
{
	struct note *note = &life->crowd->notes[life->id];
	int reason;

	if (life->got == 0)
		return;			/* the server may not know who that was */
	WAIT_UNTIL((reason = atomic_load(&note->reason)) != BP_REASON_NONE);
	CHECK_EQ(life->got, atomic_load(&note->accepted));
	if (reason == BP_REASON_PEER && !atomic_load(&note->meddled))
		CHECK_EQ(life->got, life->sent);
}

static void end_politely(struct life *life, enum end end)
{
	if (end == GOES_ON) {
		shutdown(life->fd, SHUT_WR);	/* it may be cut off already */
		while ((end = read_echo(life)) == GOES_ON)
			;
	}
	peer_close(life->fd);
	atomic_fetch_add(end == FIN ? &life->crowd->whole : &life->crowd->cut, 1);
	if (end == FIN)
		compare(life);
}

static void live_once(struct life *life, enum manner manner)
{
	static const char zeros[64 << 10];	/* nothing the server can count */

	life->step = manner == SLOW_READER ? 2000 : LIFE_FRAME_MAX;
	switch (manner) {
	case RESETS:
		talk(life);
		peer_reset(life->fd);
		break;
	case VANISHES:
		talk(life);
		peer_close(life->fd);
		break;
	case NEVER_READS:
		peer_send_until_stuck(life->fd, 20);
		peer_close(life->fd);
		break;
	case SILENT:
		peer_set_deadline(life->fd, 20);
		(void)peer_recv_some(life->fd, life->frame, 1);
		peer_send_some(life->fd, zeros, random_below(life->state, 3));
		peer_close(life->fd);
		break;
	default:
		end_politely(life, talk(life));
	}
}

void live_on(void *arg)
{
	static const unsigned frame_max[] = { 100, 3000, LIFE_FRAME_MAX };
	struct crowd *crowd = arg;
	uint64_t state = crowd->seed + atomic_fetch_add(&crowd->members, 1);
	struct life life = { .crowd = crowd, .state = &state };

	life.frame = malloc(LIFE_FRAME_MAX + 4);
	REQUIRE(life.frame != NULL);
	while (!atomic_load(&crowd->over)) {
		enum manner manner = random_below(&state, MANNERS + 3);

		life.id = atomic_fetch_add(&crowd->lives, 1);
		REQUIRE(life.id < LIVES_MAX);
		life.frame_max = frame_max[random_below(&state, 3)];
		life.sent = life.got = 0;
		life.unread = 0;
		life.refused = false;
		life.fd = peer_try_connect(crowd->addr);
		if (life.fd < 0)
			continue;	/* the backlog was full, or cut at once */
		live_once(&life, manner);
	}
	free(life.frame);
}
