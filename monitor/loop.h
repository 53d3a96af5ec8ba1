/* SPDX-License-Identifier: BSD-2-Clause */
/* loop.h - the monitor's thread: it accepts, answers, and ends who takes too long. */
#ifndef BPM_LOOP_H
#define BPM_LOOP_H

#include <locale.h>
#include <microhttpd.h>
#include <pthread.h>

#include "guests.h"
#include "http.h"

struct bpm_loop {
	/* set by bpm_loop_start(), then constant */
	struct MHD_Daemon *daemon;
	pthread_t thread;
	int listener, epoll;
	int end;			/* an eventfd, readable when it is to stop */
	locale_t locale;		/* a point is a point, whatever the program has set */

	/* its thread only */
	struct bpm_guests guests;
	uint64_t accept_ns;		/* not before: there were no descriptors */
	int spare;			/* a descriptor to accept with then; or -1 */
};

/* Takes the listener on success. -ENOMEM, -EAGAIN, -EMFILE. */
int bpm_loop_start(struct bpm_loop *loop, struct bpm_http *http, int listener);

/* Joins the thread, closes everything. */
void bpm_loop_stop(struct bpm_loop *loop);

#endif /* BPM_LOOP_H */
