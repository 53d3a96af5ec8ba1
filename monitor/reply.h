/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.h - an answer on its way, with the headers that all have. */
#ifndef BPM_REPLY_H
#define BPM_REPLY_H

#include <microhttpd.h>

#include "text.h"

/* Takes the text's memory; 503 if it has failed. vary may be NULL. */
enum MHD_Result bpm_reply(struct MHD_Connection *connection, unsigned status,
    const char *type, const char *vary, struct bpm_text *text);

/* Bytes that stay; encoding may be NULL. */
enum MHD_Result bpm_reply_static(struct MHD_Connection *connection, const char *type,
    const char *vary, const char *encoding, const void *data, size_t len);

/* One line of text, and the end of the connection: what follows is not read. */
enum MHD_Result bpm_refuse(struct MHD_Connection *connection, unsigned status,
    const char *line);

/* One line of text. */
enum MHD_Result bpm_reply_line(struct MHD_Connection *connection, unsigned status,
    const char *line);

#endif /* BPM_REPLY_H */
