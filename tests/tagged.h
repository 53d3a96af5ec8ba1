/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tagged.h - frames that say who sent them and which they are.
 *
 * Eight bytes of tag, then a pattern that follows from it. The length follows from
 * the tag as well, so a frame that is lost, doubled, cut, mixed with another or
 * on the wrong connection is seen for what it is.
 */
#ifndef TEST_TAGGED_H
#define TEST_TAGGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAGGED_MIN = 8 };

/* The length of this frame, between TAGGED_MIN and len_max; small ones abound. */
size_t tagged_len(uint32_t source, uint32_t seq, size_t len_max);

void tagged_fill(void *data, size_t len, uint32_t source, uint32_t seq);

/* Is it whole, and of the right length? The tag is told in any case but too short. */
bool tagged_check(const void *data, size_t len, size_t len_max,
    uint32_t *ret_source, uint32_t *ret_seq);

/* A peer sends one, with the header of u32be, or receives one and checks it. */
void tagged_send(int fd, uint32_t source, uint32_t seq, size_t len_max);
void tagged_expect(int fd, uint32_t source, uint32_t seq, size_t len_max);

/* The next number of a sequence that its seed determines. */
uint64_t random_next(uint64_t *state);
unsigned random_below(uint64_t *state, unsigned limit);

#endif /* TEST_TAGGED_H */
