/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Client: sends requests without waiting for their answers, as fast as the
 * server takes them and no faster; checks that the answers come in order.
 */
#include <bpthread.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t answers;

static void received(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	uint64_t expected = atomic_load(&answers), got = 0;

	(void)data;
	if (buf->len >= sizeof got)
		memcpy(&got, buf->data, sizeof got);
	if (buf->len < sizeof got || got != expected)
		bp_conn_abort(conn, BP_REASON_PROTOCOL);
	else
		atomic_store(&answers, expected + 1);
}

static void closed(struct bp_conn *conn, enum bp_reason why, int err, void *data)
{
	(void)conn, (void)data;
	printf("%s%s%s\n", bp_reason_name(why), err ? ": " : "",
	    err ? bp_strerror(err) : "");
}

int main(int argc, char **argv)
{
	static const struct bp_conn_ops ops = { .received = received, .closed = closed };
	struct bp_conn_config config = { .framer = &bp_framer_u32be, .ops = &ops };
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000, i;
	struct bp_endpoint *ep;
	struct bp_conn *conn;
	char request[128] = { 0 };
	int rc;

	if ((rc = bp_endpoint_new(&ep, NULL)) < 0
	    || (rc = bp_connect(ep, &conn, argc > 1 ? argv[1] : "localhost:7777",
	    &config, 5000)) < 0) {
		fprintf(stderr, "pipeline: %s\n", bp_strerror(rc));
		return 1;
	}
	for (i = 0; i < n; i++) {
		memcpy(request, &i, sizeof i);
		if (bp_send(conn, request, sizeof request, BP_FOREVER) < 0)
			break;
	}
	bp_conn_end(conn);		/* all asked; the answers still come */
	bp_conn_wait_closed(conn, 10000);
	bp_conn_unref(conn);
	bp_endpoint_free(ep);
	printf("%" PRIu64 " of %" PRIu64 " answered\n", atomic_load(&answers), n);
	return atomic_load(&answers) == n ? 0 : 1;
}
