/* SPDX-License-Identifier: BSD-2-Clause */
/* guests.c - see guests.h. */
#include "config.h"

#include "guests.h"

#include <stddef.h>
#include <sys/socket.h>

void bpm_guests_init(struct bpm_guests *guests)
{
	for (int i = 0; i < BPM_GUESTS_MAX; i++)
		guests->guest[i].fd = -1;
}

struct bpm_guest *bpm_guests_add(struct bpm_guests *guests, int fd, uint64_t now_ns)
{
	for (int i = 0; i < BPM_GUESTS_MAX; i++) {
		struct bpm_guest *guest = &guests->guest[i];

		if (guest->fd >= 0)
			continue;
		*guest = (struct bpm_guest){ .fd = fd, .since_ns = now_ns };
		return guest;
	}
	return NULL;
}

void bpm_guests_remove(struct bpm_guest *guest)
{
	guest->fd = -1;
}

bool bpm_guests_full(const struct bpm_guests *guests)
{
	for (int i = 0; i < BPM_GUESTS_MAX; i++)
		if (guests->guest[i].fd < 0)
			return false;
	return true;
}

bool bpm_guests_leaving(const struct bpm_guests *guests)
{
	for (int i = 0; i < BPM_GUESTS_MAX; i++)
		if (guests->guest[i].fd >= 0 && guests->guest[i].cut)
			return true;
	return false;
}

/* What was not taken in time goes with a reset, and not on waiting in the kernel. */
static void cut(struct bpm_guest *guest)
{
	struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (guest->answering)
		setsockopt(guest->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	shutdown(guest->fd, SHUT_RDWR);
	guest->cut = true;
}

void bpm_guests_cut_oldest(struct bpm_guests *guests)
{
	struct bpm_guest *oldest = NULL;

	for (int i = 0; i < BPM_GUESTS_MAX; i++) {
		struct bpm_guest *guest = &guests->guest[i];

		if (guest->fd >= 0 && !guest->cut
		    && (!oldest || guest->since_ns < oldest->since_ns))
			oldest = guest;
	}
	if (oldest)
		cut(oldest);
}

uint64_t bpm_guests_cut_late(struct bpm_guests *guests, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	for (int i = 0; i < BPM_GUESTS_MAX; i++) {
		struct bpm_guest *guest = &guests->guest[i];
		uint64_t end_ns = guest->since_ns + BPM_GUEST_NS;

		if (guest->fd < 0 || guest->cut)
			continue;
		if (end_ns <= now_ns)
			cut(guest);
		else if (end_ns < next_ns)
			next_ns = end_ns;
	}
	return next_ns;
}
