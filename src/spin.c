/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin.c - see spin.h.
 */
#include "config.h"

#include "spin.h"

#include <sched.h>

#define SPIN_NS (50 * 1000)		/* about a wake-up of each side from another core */
#define ASK_EVERY 64			/* reads: threads seldom move */

void bp__spin_init(struct bp__spin *spin, const struct bp_conn *c)
{
	cpu_set_t cores;

	spin->cores = 0;
	spin->until_asked = 0;
	if (c->config.spin == BP_ON && sched_getaffinity(0, sizeof cores, &cores) == 0)
		spin->cores = (unsigned)CPU_COUNT(&cores);
}

static bool pays(struct bp__spin *spin, struct bp_conn *c)
{
	if (spin->cores == 0 || atomic_load(&c->flow.q->places) > spin->cores)
		return false;
	if (spin->until_asked-- == 0) {
		spin->until_asked = ASK_EVERY;
		spin->sender = bp__sock_core(c->fd);
	}
	return spin->sender >= 0 && spin->sender != sched_getcpu();
}

ssize_t bp__spin_read(struct bp__spin *spin, struct bp_conn *c, const struct iovec *iov,
    int n)
{
	uint64_t until_ns;
	ssize_t got;

	if (pays(spin, c)) {
		until_ns = bp__now_ns() + SPIN_NS;
		do {
			got = c->sock->read_some(c->fd, iov, n, false);
			if (got != -EAGAIN)
				return got;
		} while (bp__now_ns() < until_ns);
		spin->until_asked = 0;	/* nothing came: it may run here now */
	}
	return c->sock->read_some(c->fd, iov, n, true);
}
