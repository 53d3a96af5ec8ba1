/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qdisc_parse.c - disciplines by name, with parameters as text:
 *
 *	NAME[:KEY=VALUE[,KEY=VALUE]...]		bytes:budget=64M,guarantee=16K
 *
 * A key is the name of a field of struct bp_endpoint_config, and only those fit
 * that the discipline has a use for. A value is a number, with K, M, G or T for powers
 * of 1024; that of peer_by is conn, addr or key.
 */
#include "config.h"

#include "qdisc.h"

#include <limits.h>
#include <string.h>

static const struct {
	const struct bp_qdisc_ops *qdisc;
	const char *help;		/* name and purpose in a line */
} disciplines[] = {
	{ &bp_qdisc_unbounded,
	    "unbounded: never waits: memory is bounded by nothing" },
	{ &bp_qdisc_one_place,
	    "one_place: one event, a frame in each reader's hand, like an MVar" },
	{ &bp_qdisc_bounded,
	    "bounded: places=N events (1024), a frame in each reader's hand" },
	{ &bp_qdisc_bytes,
	    "bytes: budget=N bytes (128M) in all, first come first served" },
	{ &bp_qdisc_prio,
	    "prio: budget=N bytes (128M), bands=N (8), 0 is served first" },
	{ &bp_qdisc_fair,
	    "fair: budget=N bytes (128M), shared among peers by weight" },
};

#define N_DISCIPLINES (sizeof disciplines / sizeof disciplines[0])

/* What a parameter is: its field, and its value as text. */
enum type { BYTES, COUNT, MS, PEERS };

#define OF(field) offsetof(struct bp_endpoint_config, field)

static const struct parameter {
	const struct bp_qdisc_ops *qdisc;
	const char *key;
	enum type type;
	size_t offset;
} parameters[] = {
	{ &bp_qdisc_bounded, "places", BYTES, OF(places) },
	{ &bp_qdisc_bytes, "budget", BYTES, OF(budget) },
	{ &bp_qdisc_bytes, "guarantee", BYTES, OF(guarantee) },
	{ &bp_qdisc_prio, "budget", BYTES, OF(budget) },
	{ &bp_qdisc_prio, "guarantee", BYTES, OF(guarantee) },
	{ &bp_qdisc_prio, "bands", COUNT, OF(bands) },
	{ &bp_qdisc_prio, "min_share", COUNT, OF(min_share) },
	{ &bp_qdisc_fair, "budget", BYTES, OF(budget) },
	{ &bp_qdisc_fair, "guarantee", BYTES, OF(guarantee) },
	{ &bp_qdisc_fair, "peer_max", BYTES, OF(peer_max) },
	{ &bp_qdisc_fair, "peer_by", PEERS, OF(peer_by) },
	{ &bp_qdisc_fair, "target_ms", MS, OF(target_ms) },
};

#define N_PARAMETERS (sizeof parameters / sizeof parameters[0])

bool bp__qdisc_is_ours(const struct bp_qdisc_ops *qdisc)
{
	for (size_t i = 0; i < N_DISCIPLINES; i++)
		if (disciplines[i].qdisc == qdisc)
			return true;
	return false;
}

static bool is(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && memcmp(name, text, len) == 0;
}

static int parse_size(const char *text, size_t len, size_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	size_t n = 0, i = 0;
	unsigned shift = 0;

	for (; i < len && text[i] >= '0' && text[i] <= '9'; i++) {
		size_t digit = (size_t)(text[i] - '0');

		if (n > (SIZE_MAX - digit) / 10)
			return -EINVAL;
		n = n * 10 + digit;
	}
	if (i > 0 && i + 1 == len && (unit = strchr(units, text[i])) != NULL) {
		shift = 10 * (unsigned)(unit - units + 1);
		i++;
	}
	/* 0 would silently be the default */
	if (i != len || n == 0 || n > SIZE_MAX >> shift)
		return -EINVAL;
	*ret = n << shift;
	return 0;
}

static int parse_peers(const char *text, size_t len, enum bp_peer_by *ret)
{
	static const char *const names[] = {
		[BP_PEER_CONN] = "conn", [BP_PEER_ADDR] = "addr", [BP_PEER_KEY] = "key",
	};

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (is(names[i], text, len)) {
			*ret = (enum bp_peer_by)i;
			return 0;
		}
	return -EINVAL;
}

/* The field's type is its parameter's, so it is copied as that. */
static int set_field(void *field, enum type type, const char *text, size_t len)
{
	enum bp_peer_by peers;
	unsigned count;
	size_t size;
	int ms, rc;

	if (type == PEERS) {
		rc = parse_peers(text, len, &peers);
		if (rc == 0)
			memcpy(field, &peers, sizeof peers);
		return rc;
	}
	rc = parse_size(text, len, &size);
	if (rc < 0 || (type != BYTES && size > INT_MAX))
		return -EINVAL;
	count = (unsigned)size;
	ms = (int)size;
	if (type == BYTES)
		memcpy(field, &size, sizeof size);
	else if (type == COUNT)
		memcpy(field, &count, sizeof count);
	else
		memcpy(field, &ms, sizeof ms);
	return 0;
}

static int set_parameter(struct bp_endpoint_config *config, const char *text,
    size_t len)
{
	const char *equals = memchr(text, '=', len);
	const struct parameter *parameter;
	size_t key_len, i;

	if (!equals)
		return -EINVAL;
	key_len = (size_t)(equals - text);
	for (i = 0; i < N_PARAMETERS; i++)
		if (parameters[i].qdisc == config->qdisc
		    && is(parameters[i].key, text, key_len))
			break;
	if (i == N_PARAMETERS)
		return -EINVAL;
	parameter = &parameters[i];
	return set_field((char *)config + parameter->offset, parameter->type,
	    equals + 1, len - key_len - 1);
}

int bp_qdisc_parse(struct bp_endpoint_config *ret_config, const char *text)
{
	struct bp_endpoint_config config = *ret_config;
	size_t len, i;
	int rc;

	if (!text)
		return -EINVAL;
	len = strcspn(text, ":");

	for (i = 0; i < N_DISCIPLINES; i++)
		if (is(disciplines[i].qdisc->name, text, len))
			break;
	if (i == N_DISCIPLINES)
		return -EINVAL;
	config.qdisc = disciplines[i].qdisc;
	text += len;
	while (*text) {		/* at the ':' or ',' before a parameter */
		text++;
		len = strcspn(text, ",");
		rc = set_parameter(&config, text, len);
		if (rc < 0)
			return rc;
		text += len;
	}
	*ret_config = config;
	return 0;
}

const char *bp_qdisc_help(unsigned i)
{
	return i < N_DISCIPLINES ? disciplines[i].help : NULL;
}
