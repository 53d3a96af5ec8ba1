/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request and response with expect(): 8 bytes of header (type, length), then the
 * body, of which the server learns the length only from the header.
 */
#include <arpa/inet.h>
#include <bpthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct header { uint32_t type, len; };
enum { PING = 1, UPPER = 2 };

struct session {
	struct header header;
	bool in_body;
};

static void opened(struct bp_conn *conn, void *data)
{
	struct session *s = calloc(1, sizeof *s);

	(void)data;
	bp_conn_set_data(conn, s);
	if (!s)
		bp_conn_abort(conn, BP_REASON_NO_MEMORY);
}

static void closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	(void)conn, (void)why, (void)err;
	free(data);
}

static void answer(struct bp_conn *conn, struct session *s, const char *body)
{
	struct header h = { htonl(s->header.type), htonl(s->header.len) };
	char *out = malloc(s->header.len ? s->header.len : 1);
	struct iovec iov[2] = { { &h, sizeof h }, { out, s->header.len } };

	if (!out) {
		bp_conn_abort(conn, BP_REASON_NO_MEMORY);
		return;
	}
	for (uint32_t i = 0; i < s->header.len; i++)
		out[i] = body[i] >= 'a' && body[i] <= 'z' ? body[i] - 32 : body[i];
	bp_sendv(conn, iov, 2, BP_FOREVER);
	free(out);
}

static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	struct session *s = data;

	if (!s->in_body) {
		memcpy(&s->header, buf->data, sizeof s->header);
		s->header.type = ntohl(s->header.type);
		s->header.len = ntohl(s->header.len);
		if (s->header.type != PING && s->header.type != UPPER) {
			bp_conn_abort(conn, BP_REASON_PROTOCOL);
		} else if (bp_conn_expect(conn, s->header.len) < 0) {
			bp_conn_abort(conn, BP_REASON_OVERSIZE);
		} else {
			s->in_body = true;
		}
		return;
	}
	answer(conn, s, buf->data);
	s->in_body = false;		/* and the next frame is a header again */
}

int main(void)
{
	static const struct bp_conn_ops ops = {
		.opened = opened, .received = received, .closed = closed,
	};
	struct bp_conn_config config = {
		.ops = &ops, .expect = sizeof(struct header), .frame_max = 1 << 20,
	};
	struct bp_endpoint *ep;

	if (bp_endpoint_new(&ep, NULL) < 0 || bp_listen(ep, NULL, ":7777", &config) < 0)
		return 1;
	pause();
	bp_endpoint_free(ep);
	return 0;
}
