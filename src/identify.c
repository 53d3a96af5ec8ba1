/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * identify.c - who a connection is with: the names of its ends, the host it is accounted
 * to, and what the kind of its socket decides.
 */
#include "config.h"

#include "conn.h"

#include "addr.h"

#include <stdlib.h>
#include <string.h>

#define WRITE_LEAST ((size_t)16 * 1024)

/*
 * Bytes in one blocking send: no more than from mark to mark, so that the low mark is
 * seen when it is reached, and not when all is gone.
 */
static size_t write_max(const struct bp_conn_config *config, int family)
{
	size_t max = bp__sock_write_max(family), marks = config->out_high - config->out_low;

	return marks > max ? max : marks < WRITE_LEAST ? WRITE_LEAST : marks;
}

int bp__conn_name(struct bp_conn *c, const struct bp__addr *peer, const char *local)
{
	char text[BP__ADDR_TEXT_MAX];
	size_t peer_size, local_size = strlen(local) + 1;
	char *names;

	bp__addr_format(text, peer);
	peer_size = strlen(text) + 1;
	names = malloc(peer_size + local_size);
	if (!names)
		return -ENOMEM;
	memcpy(names, text, peer_size);
	memcpy(names + peer_size, local, local_size);
	atomic_store(&c->names, names);
	c->write_max = write_max(&c->config, peer->sa.ss_family);
	return 0;
}

int bp__conn_locate(struct bp_conn *c, const struct bp__addr *peer, int fd, bool limited)
{
	struct bp__qdisc *q = c->flow.q;
	struct bp__key host;

	if (q->peer_by != BP_PEER_ADDR && q->conns_per_addr == 0)
		return 0;
	bp__addr_key(&host, peer, fd);
	return host.kind == BP__KEY_NONE ? 0
	    : bp__flow_locate(&c->flow, &host, limited);
}

int bp__conn_identify(struct bp_conn *c, int fd, bool limited)
{
	struct bp__addr peer, local;
	char text[BP__ADDR_TEXT_MAX];
	int rc;

	bp__addr_of_fd(&peer, fd, true);
	bp__addr_of_fd(&local, fd, false);
	bp__addr_format(text, &local);
	rc = bp__conn_name(c, &peer, text);
	return rc < 0 ? rc : bp__conn_locate(c, &peer, fd, limited);
}
