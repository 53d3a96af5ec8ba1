/* SPDX-License-Identifier: BSD-2-Clause */
/* http.h - from a request to its answer: who may ask, and how. */
#ifndef BPM_HTTP_H
#define BPM_HTTP_H

#include <microhttpd.h>

#include "hosts.h"
#include "watch.h"

#define BPM_HEAD_MAX 8192	/* bytes of a request's head */

struct bpm_http {
	struct bpm_watch watch;
	struct bpm_hosts hosts;
};

/* For MHD_start_daemon(), with a struct bpm_http. */
enum MHD_Result bpm_http_answer(void *http, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version,
    const char *upload_data, size_t *upload_data_size, void **request);

#endif /* BPM_HTTP_H */
