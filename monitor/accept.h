/* SPDX-License-Identifier: BSD-2-Clause */
/* accept.h - what the client would rather have: Accept and Accept-Encoding. */
#ifndef BPM_ACCEPT_H
#define BPM_ACCEPT_H

#include <stdbool.h>

/*
 * Which of the offered types, "text/html", is wanted most: by quality, then by
 * how exactly it was named, then by which was named first; the first offered
 * where all are welcome, or none is. accept may be NULL.
 */
int bpm_accept_best(const char *accept, const char *const *offers, int n);

bool bpm_accept_gzip(const char *accept_encoding);

#endif /* BPM_ACCEPT_H */
