/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tagged.c - frames that say who sent them and which they are; numbers at random
 * that a seed brings back.
 */
#include "config.h"

#include "harness.h"
#include "peer.h"
#include "tagged.h"

#include <arpa/inet.h>
#include <stdlib.h>

uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

unsigned random_below(uint64_t *state, unsigned limit)
{
	return (unsigned)(random_next(state) >> 33) % limit;
}

static uint64_t place_of(uint32_t source, uint32_t seq)
{
	return (uint64_t)source << 40 ^ (uint64_t)seq << 8;
}

size_t tagged_len(uint32_t source, uint32_t seq, size_t len_max)
{
	uint64_t state = place_of(source, seq);
	unsigned limit = random_below(&state, 4) == 0 ? (unsigned)len_max : 200;

	if (limit > len_max)
		limit = (unsigned)len_max;
	return TAGGED_MIN + random_below(&state, limit - TAGGED_MIN + 1);
}

void tagged_fill(void *data, size_t len, uint32_t source, uint32_t seq)
{
	uint32_t tag[2] = { htonl(source), htonl(seq) };

	memcpy(data, tag, sizeof tag);
	pattern_fill((char *)data + sizeof tag, place_of(source, seq),
	    len - sizeof tag);
}

bool tagged_check(const void *data, size_t len, size_t len_max,
    uint32_t *ret_source, uint32_t *ret_seq)
{
	uint32_t tag[2];

	if (len < sizeof tag)
		return false;
	memcpy(tag, data, sizeof tag);
	*ret_source = ntohl(tag[0]);
	*ret_seq = ntohl(tag[1]);
	return len == tagged_len(*ret_source, *ret_seq, len_max)
	    && pattern_matches((const char *)data + sizeof tag,
	    place_of(*ret_source, *ret_seq), len - sizeof tag);
}

void tagged_send(int fd, uint32_t source, uint32_t seq, size_t len_max)
{
	size_t len = tagged_len(source, seq, len_max);
	char *frame = malloc(len);

	REQUIRE(frame != NULL);
	tagged_fill(frame, len, source, seq);
	peer_send_u32be(fd, frame, (uint32_t)len);
	free(frame);
}

void tagged_expect(int fd, uint32_t source, uint32_t seq, size_t len_max)
{
	size_t len = tagged_len(source, seq, len_max);
	uint32_t head, got_source = 0, got_seq = 0;
	char *frame = malloc(len);

	REQUIRE(frame != NULL);
	peer_recv(fd, &head, sizeof head);
	REQUIRE_EQ(ntohl(head), len);
	peer_recv(fd, frame, len);
	CHECK(tagged_check(frame, len, len_max, &got_source, &got_seq));
	REQUIRE_EQ(got_source, source);
	REQUIRE_EQ(got_seq, seq);
	free(frame);
}
