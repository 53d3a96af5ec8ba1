/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hosts.h - the names a monitor is asked by. A page of somebody else's can make
 * its own name resolve to this address, and its visitor's browser then takes us
 * for a part of that site: but it says the name in Host, and that gives it
 * away.
 */
#ifndef BPM_HOSTS_H
#define BPM_HOSTS_H

#include <stdbool.h>

struct bpm_hosts {
	char **name;		/* ends with NULL */
};

/* Copies them; names may be NULL, and ends with NULL. -ENOMEM. */
int bpm_hosts_init(struct bpm_hosts *hosts, const char *own, const char *const *names);
void bpm_hosts_fini(struct bpm_hosts *hosts);

/* Is that Host one of them, or the address at our end of fd? The port is not looked at:
 * it may be another one on the way here. */
bool bpm_hosts_has(const struct bpm_hosts *hosts, const char *host, int fd);

#endif /* BPM_HOSTS_H */
