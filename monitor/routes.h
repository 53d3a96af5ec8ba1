/* SPDX-License-Identifier: BSD-2-Clause */
/* routes.h - the paths there are, and what each of them gives. */
#ifndef BPM_ROUTES_H
#define BPM_ROUTES_H

#include <microhttpd.h>

#include "watch.h"

/* What was asked is fit to be answered but for its path and parameters. */
enum MHD_Result bpm_route(struct bpm_watch *watch, struct MHD_Connection *connection,
    const char *path);

#endif /* BPM_ROUTES_H */
