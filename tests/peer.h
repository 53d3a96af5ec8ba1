/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * peer.h - the other end of the wire: plain blocking sockets, none of the library.
 *
 * Every call has a deadline (SO_RCVTIMEO, SO_SNDTIMEO: 10 s, stretched). Unless it
 * is said to return a failure, a call that fails ends the test. addr is what
 * bp_listener_addr() gives: "127.0.0.1:4711", "[::1]:4711", "unix:/path".
 */
#ifndef TEST_PEER_H
#define TEST_PEER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct task;

int peer_connect(const char *addr);

/* With this SO_RCVBUF, set before connect so that it bounds the window too. */
int peer_connect_rcvbuf(const char *addr, int rcvbuf);

/* A negative errno instead of the end of the test. */
int peer_try_connect(const char *addr);

/* In two steps, for when descriptors run out in between; TCP over IPv4 only. */
int peer_socket(void);
void peer_connect_socket(int fd, const char *addr);
/* From that IPv4 address of ours. */
int peer_connect_from(const char *host, const char *addr);

/* A listening socket of the peer's, for bp_connect(); ret_addr is ADDR_MAX long. */
int peer_listen(char *ret_addr);
int peer_accept(int listener);

void peer_set_deadline(int fd, int ms);		/* not stretched */
void peer_set_option(int fd, int level, int name, int value);
int peer_get_option(int fd, int level, int name);

void peer_send(int fd, const void *data, size_t len);
void peer_send_string(int fd, const char *text);
void peer_send_u32be(int fd, const void *data, uint32_t len);	/* one frame */

/* Sends until all is sent, the deadline passes or it breaks; how much was taken. */
size_t peer_send_some(int fd, const void *data, size_t len);

/* Sends zeros, without blocking, until the socket takes none for ms. */
uint64_t peer_send_until_stuck(int fd, int ms);

void peer_recv(int fd, void *data, size_t len);
void peer_expect(int fd, const void *data, size_t len);	/* exactly these bytes */
void peer_expect_string(int fd, const char *text);
ssize_t peer_recv_some(int fd, void *data, size_t len);	/* or a negative errno */

size_t peer_unread(int fd);		/* bytes that arrived and were not read */
size_t peer_unacknowledged(int fd);	/* bytes the other kernel does not have yet */

/*
 * Read and count to the end. *ret_end, if wanted: 0 is the peer's FIN, else a
 * negative errno: -ECONNRESET, -EAGAIN (the deadline).
 */
uint64_t peer_read_to_end(int fd, int *ret_end);
void peer_expect_fin(int fd);		/* nothing more, in good order */
void peer_expect_reset(int fd);		/* after whatever still comes */

void peer_half_close(int fd);
void peer_close(int fd);
void peer_reset(int fd);		/* closes with SO_LINGER 0: RST */

/*
 * A stream in which every byte tells its place: what is lost, doubled or swapped
 * is seen. Valid for any offset.
 */
void pattern_fill(void *data, uint64_t offset, size_t len);
bool pattern_matches(const void *data, uint64_t offset, size_t len);
void peer_send_pattern(int fd, uint64_t offset, uint64_t len);
void peer_expect_pattern(int fd, uint64_t offset, uint64_t len);

/* A thread that reads step bytes, then pauses, until the end; both may be changed. */
struct slow_reader {
	int fd;
	atomic_size_t step;		/* bytes; at most 64 KiB */
	atomic_int pause_ms;
	bool check_pattern;		/* from offset 0 */
	atomic_uint_fast64_t total;	/* read so far */
	atomic_int end;			/* once done: as *ret_end above */
	struct task *task;
};

void slow_reader_start(struct slow_reader *reader);
void slow_reader_join(struct slow_reader *reader);

#endif /* TEST_PEER_H */
