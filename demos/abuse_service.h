/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_service.h - the two sides of most scenarios: a server that handles what
 * comes at a rate and answers pings; and peers, polite ones and crowds.
 */
#ifndef ABUSE_SERVICE_H
#define ABUSE_SERVICE_H

#include <pthread.h>

#include "abuse_scenario.h"

#define HEAD 4			/* bytes of a frame's length */
#define PING 1024		/* bytes in one; its first is 'p' */
#define POLITE 4		/* peers that ping */
#define PING_EVERY_NS (10 * NS_PER_MS)

/* ---- the server: abuse_service.c ------------------------------------- */

struct bp_conn;
struct bp_conn_config;

/* Serve until the trial is OVER, at the rate asked for. Returns an exit status. */
int service_run(struct trial *t, const struct bp_conn_config *conn_config);

/* ---- a server that streams, and who reads it: abuse_stream.c --------- */

/* Send to all peers in turn, at the rate, until the trial is OVER. */
int stream_run(struct trial *t, size_t out_high, int timeout_ms);
/* Read what comes; the first peer does not, unless all do. */
int readers_run(struct trial *t, bool all);

/* ---- clients: abuse_polite.c, abuse_crowd.c -------------------------- */

/* Returns a descriptor, or says why not and returns a negative errno. */
int peer_connect(const struct trial *t);
/* A frame of len bytes, the first one mark. Returns how much was written. */
size_t peer_frame(char *out, size_t len, char mark);
/* Messages of len bytes, enough of them to be written at once. NULL: no memory. */
char *peer_stream(size_t len, size_t *ret_len);

/* Ping, from connecting on, and file what was sent ALONE and MEASURED. */
struct polite {
	struct trial *trial;
	struct pinger *pingers;
	pthread_t thread;
};

int polite_start(struct polite *polite, struct trial *t);
/* After the trial is over. */
void polite_stop(struct polite *polite);

/* Peers that write what they have as fast as they are let, all from one thread. */
struct crowd {
	struct trial *trial;
	struct member *members;
	struct pollfd *polls;
	size_t n;
	bool counts_cut;		/* in trial->cut: they are to stay */
	pthread_t thread;
};

int crowd_new(struct crowd *crowd, struct trial *t, size_t n);
/* It will write len bytes at bytes, over and over or once. */
int crowd_add(struct crowd *crowd, const char *bytes, size_t len, bool once);
/* From now on they write. */
int crowd_start(struct crowd *crowd);
void crowd_stop(struct crowd *crowd);

#endif /* ABUSE_SERVICE_H */
