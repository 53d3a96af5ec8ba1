/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guests.h - who is connected to the monitor, and for how long. Each has 10 s
 * from when it came, or was last answered, until its next answer has left; a
 * byte now and then wins it nothing. Where one comes more than there is room
 * for, the one that was idle or slow for the longest goes. So nobody can keep
 * the others out, and a browser that holds connections open costs nothing.
 *
 * The monitor's thread only. To cut is to shut the socket down: it is
 * libmicrohttpd's.
 */
#ifndef BPM_GUESTS_H
#define BPM_GUESTS_H

#include <stdbool.h>
#include <stdint.h>

#define BPM_GUESTS_MAX 8
#define BPM_GUEST_NS 10000000000u	/* for one request and its answer */

struct bpm_guests {
	struct bpm_guest {
		int fd;			/* -1: nobody */
		uint64_t since_ns;	/* it came, or was answered */
		bool answering;		/* something is being sent to it */
		bool cut;
	} guest[BPM_GUESTS_MAX];
};

void bpm_guests_init(struct bpm_guests *guests);

/* It came. NULL: there is no room. */
struct bpm_guest *bpm_guests_add(struct bpm_guests *guests, int fd, uint64_t now_ns);
void bpm_guests_remove(struct bpm_guest *guest);

bool bpm_guests_full(const struct bpm_guests *guests);

/* Is one cut that has not gone yet? It is about to. */
bool bpm_guests_leaving(const struct bpm_guests *guests);

/* Cut the one that came, or was answered, the longest ago. */
void bpm_guests_cut_oldest(struct bpm_guests *guests);

/* Cut those whose time is over. Returns when the next one's will be, or UINT64_MAX. */
uint64_t bpm_guests_cut_late(struct bpm_guests *guests, uint64_t now_ns);

#endif /* BPM_GUESTS_H */
