/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve.h - what every server of the benchmark does alike: its command line
 *
 *	server_NAME echo|sink PORT
 *
 * on 127.0.0.1 (port 0: one that is free), and the line "listening on PORT" once
 * connections are taken. It serves until SIGTERM ends it.
 *
 * A frame is a length of 4 bytes, big-endian, and the payload. echo answers each
 * frame with the same. sink counts, and answers the peer's half-close with one frame
 * of TALLY_LEN bytes: how many frames and bytes of payload there were, big-endian
 * numbers of 8 bytes.
 */
#ifndef SERVE_H
#define SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEAD_LEN ((size_t)4)
#define TALLY_LEN ((size_t)16)
#define FRAME_MAX ((size_t)16 * 1024 * 1024)

struct serve_args {
	bool sink;
	unsigned short port;
};

struct tally {
	uint64_t frames, bytes;
};

/* Read "echo|sink PORT" from the last two of argv; a wrong line ends the process. */
void serve_parse(int argc, char **argv, struct serve_args *ret_args);

/* A listening socket on 127.0.0.1, for who has none of his own kind. */
int serve_listen(const struct serve_args *args);

/* The port that socket is bound to. */
unsigned short serve_port(int fd);

void serve_say(unsigned short port);

static inline uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void put_u32(unsigned char *p, uint32_t value);

/* The frame that tells it: HEAD_LEN + TALLY_LEN bytes. */
void put_tally(unsigned char *p, const struct tally *tally);

/* errno of what the system refused, and the end. */
void serve_die(const char *what);

#ifdef __cplusplus
}
#endif

#endif
