/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.c - streams in which every byte tells its place, sent, checked, and read
 * slowly. See peer.h.
 */
#include "config.h"

#include "peer.h"

#include "harness.h"

#include <poll.h>

enum { PIECE = 64 * 1024 };

/* ---- the pattern -------------------------------------------------------- */

/* Eight bytes tell the place of their word, so a shift by less is seen too. */
static unsigned char pattern_byte(uint64_t offset)
{
	uint64_t word = (offset / 8 + 1) * 0x9e3779b97f4a7c15u;

	return (unsigned char)(word >> offset % 8 * 8);
}

void pattern_fill(void *data, uint64_t offset, size_t len)
{
	unsigned char *bytes = data;
	size_t i;

	for (i = 0; i < len; i++)
		bytes[i] = pattern_byte(offset + i);
}

bool pattern_matches(const void *data, uint64_t offset, size_t len)
{
	const unsigned char *bytes = data;
	size_t i;

	for (i = 0; i < len; i++)
		if (bytes[i] != pattern_byte(offset + i))
			return false;
	return true;
}

void peer_send_pattern(int fd, uint64_t offset, uint64_t len)
{
	char piece[PIECE];

	while (len > 0) {
		size_t n = len < PIECE ? (size_t)len : PIECE;

		pattern_fill(piece, offset, n);
		peer_send(fd, piece, n);
		offset += n;
		len -= n;
	}
}

void peer_expect_pattern(int fd, uint64_t offset, uint64_t len)
{
	char piece[PIECE];

	while (len > 0) {
		size_t n = len < PIECE ? (size_t)len : PIECE;

		peer_recv(fd, piece, n);
		REQUIRE(pattern_matches(piece, offset, n));
		offset += n;
		len -= n;
	}
}

/* ---- the slow reader ---------------------------------------------------- */

static void read_slowly(void *arg)
{
	struct slow_reader *reader = arg;
	char piece[PIECE];
	ssize_t n;

	while ((n = peer_recv_some(reader->fd, piece,
	    atomic_load(&reader->step))) > 0) {
		if (reader->check_pattern)
			REQUIRE(pattern_matches(piece,
			    atomic_load(&reader->total), (size_t)n));
		atomic_fetch_add(&reader->total, (uint64_t)n);
		poll(NULL, 0, atomic_load(&reader->pause_ms));
	}
	atomic_store(&reader->end, (int)n);
}

void slow_reader_start(struct slow_reader *reader)
{
	REQUIRE(atomic_load(&reader->step) <= PIECE);
	reader->task = task_start(read_slowly, reader);
}

void slow_reader_join(struct slow_reader *reader)
{
	task_join(reader->task);
}
