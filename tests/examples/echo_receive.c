/* SPDX-License-Identifier: BSD-2-Clause */
/* README echo, receive loop: one thread serves all, a slow client stops only itself. */
#include <bpthread.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	struct bp_endpoint *ep;
	struct bp_event *event;
	int rc;

	if ((rc = bp_endpoint_new(&ep, NULL)) < 0
	    || (rc = bp_listen(ep, NULL, argc > 1 ? argv[1] : ":7777", NULL)) < 0) {
		fprintf(stderr, "echo: %s\n", bp_strerror(rc));
		return 1;
	}
	while (bp_receive(ep, &event, BP_FOREVER) == 0) {
		if (event->kind == BP_RECEIVED)
			bp_send_buf(event->conn, event->buf, BP_FOREVER);
		bp_event_free(event);
	}
	bp_endpoint_free(ep);
	return 0;
}
