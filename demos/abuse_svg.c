/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_svg.c - which colour a discipline has: the same in all pictures.
 */
#include "abuse_svg.h"

#include <bpthread.h>

static int own_colour(const char *qdisc)
{
	static const struct bp_qdisc_ops *const order[SVG_COLOURS] = {
		&bp_qdisc_unbounded, &bp_qdisc_bytes, &bp_qdisc_fair, &bp_qdisc_prio,
		&bp_qdisc_one_place, &bp_qdisc_bounded,
	};
	struct bp_endpoint_config config = { 0 };
	int i = 0;

	bp_qdisc_parse(&config, qdisc);
	while (i < SVG_COLOURS - 1 && order[i] != config.qdisc)
		i++;
	return i;
}

int svg_colour(const struct asked *asked, int i)
{
	int colour = own_colour(asked->qdiscs[i]);

	for (int k = 0; k < i; k++)	/* one with other parameters has it */
		if (own_colour(asked->qdiscs[k]) == colour)
			return 1 + (colour + i) % (SVG_COLOURS - 1);
	return colour;
}
