/* SPDX-License-Identifier: BSD-2-Clause */
/* README echo, handler: runs on each connection's own thread. */
#include <bpthread.h>
#include <stdio.h>
#include <unistd.h>

static void echo(struct bp_conn *conn, struct bp_buf *buf, void *data)
{
	(void)data;
	bp_send_buf(conn, buf, BP_FOREVER);	/* waits: the peer is not read meanwhile */
}

static const struct bp_conn_ops ops = { .received = echo };

int main(int argc, char **argv)
{
	struct bp_conn_config config = { .ops = &ops };
	struct bp_endpoint *ep;
	int rc;

	if ((rc = bp_endpoint_new(&ep, NULL)) < 0
	    || (rc = bp_listen(ep, NULL, argc > 1 ? argv[1] : ":7777", &config)) < 0) {
		fprintf(stderr, "echo: %s\n", bp_strerror(rc));
		return 1;
	}
	pause();
	bp_endpoint_free(ep);
	return 0;
}
