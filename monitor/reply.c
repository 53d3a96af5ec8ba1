/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reply.c - see reply.h. The page may load its own script and style and ask
 * this monitor, and that is all; no other page may read or embed anything of
 * it.
 */
#include "config.h"

#include "reply.h"

#define PLAIN "text/plain; charset=utf-8"

static const struct {
	const char *name, *value;
} headers[] = {
	{ "Cache-Control", "no-store" },
	{ "Content-Security-Policy", "default-src 'none'; script-src 'self'; "
	  "style-src 'self'; connect-src 'self'; img-src 'self' data:; "
	  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Referrer-Policy", "no-referrer" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
};

/* Queues it, and gives it back. */
static enum MHD_Result send_response(struct MHD_Connection *connection,
    unsigned status, const char *type, const char *vary, struct MHD_Response *response)
{
	enum MHD_Result queued;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	if (vary)
		MHD_add_response_header(response, "Vary", vary);
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
		MHD_add_response_header(response, headers[i].name, headers[i].value);
	if (status == 405)
		MHD_add_response_header(response, "Allow", "GET, HEAD");
	queued = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return queued;
}

enum MHD_Result bpm_reply(struct MHD_Connection *connection, unsigned status,
    const char *type, const char *vary, struct bpm_text *text)
{
	struct MHD_Response *response;

	if (text->failed) {
		bpm_text_free(text);
		return bpm_reply_line(connection, 503, "There is no memory for that.");
	}
	response = MHD_create_response_from_buffer(text->len, text->data,
	    MHD_RESPMEM_MUST_FREE);
	if (!response)
		bpm_text_free(text);
	return send_response(connection, status, type, vary, response);
}

enum MHD_Result bpm_reply_static(struct MHD_Connection *connection, const char *type,
    const char *vary, const char *encoding, const void *data, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len,
	    (void *)data, MHD_RESPMEM_PERSISTENT);

	if (response && encoding)
		MHD_add_response_header(response, "Content-Encoding", encoding);
	return send_response(connection, 200, type, vary, response);
}

static struct MHD_Response *line_of(const char *line)
{
	struct bpm_text text = { 0 };
	struct MHD_Response *response = NULL;

	bpm_text_string(&text, line);
	bpm_text_string(&text, "\n");
	if (!text.failed)
		response = MHD_create_response_from_buffer(text.len, text.data,
		    MHD_RESPMEM_MUST_FREE);
	if (!response)
		bpm_text_free(&text);
	return response;
}

enum MHD_Result bpm_refuse(struct MHD_Connection *connection, unsigned status,
    const char *line)
{
	struct MHD_Response *response = line_of(line);

	if (response)
		MHD_add_response_header(response, "Connection", "close");
	return send_response(connection, status, PLAIN, NULL, response);
}

enum MHD_Result bpm_reply_line(struct MHD_Connection *connection, unsigned status,
    const char *line)
{
	return send_response(connection, status, PLAIN, NULL, line_of(line));
}
