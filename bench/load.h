/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load.h - what the modes of the load generator share. Each mode is a file of
 * its own, load_MODE.c, and one function; around it:
 *
 *	load.c		the command line, the deadline of all that waits
 *	load_wire.c	connections, and how a message looks on them
 *	load_echo.c	sending messages that must come back as they were
 *	load_span.c	the span that is measured: time, CPU, memory
 *	load_report.c	the figures
 *
 * Nothing in a measured loop allocates, and nothing waits there that could wait
 * for ever: one timer ends the process, with a word, when all of it takes
 * longer than it may. So no wait has a timeout of its own, which would cost
 * system calls.
 */
#ifndef LOAD_H
#define LOAD_H

#include "histogram.h"
#include "serve.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_S 1000000000.0
#define NS_PER_MS UINT64_C(1000000)

enum framing { FRAMING_U32, FRAMING_SP, FRAMING_ZMTP };

struct load;

struct load_mode {
	const char *name;
	unsigned connections;	/* unless the command line says how many */
	size_t size;		/* of a payload, the same */
	void (*run)(struct load *load);
};

struct usage {			/* CPU time, in ns */
	uint64_t client, server;
};

struct load {
	/* the command line */
	const struct load_mode *mode;
	enum framing framing;
	unsigned short port;
	unsigned connections, outstanding;
	size_t size;
	uint64_t warmup_ns, seconds_ns;
	pid_t server_pid;	/* 0: not told */

	/* the span that is measured */
	atomic_bool measuring;	/* any thread may look */
	uint64_t next_ns;	/* when it begins; once it has, when it ends */
	uint64_t begin_ns, end_ns;
	struct usage usage_begin, usage_end;
};

/* ---- load.c ------------------------------------------------------------- */

/* One line on stderr, and the end; on any thread, the first that calls it. */
_Noreturn void fail(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Memory that is there, zeroed, or the end. */
void *get_memory(size_t n, size_t size);

/* ---- load_wire.c -------------------------------------------------------- */

#define WIRE_HEAD_MAX ((size_t)12)

/*
 * A connection that is ready for messages. source 0: from the usual address;
 * otherwise from one of the many of the loopback, each with ports of its own.
 */
int wire_connect(const struct load *load, unsigned source);

/*
 * What comes before a payload of this size, and comes back before its answer.
 */
size_t wire_head_len(enum framing framing, size_t size);
void wire_put_head(enum framing framing, unsigned char *p, size_t size);

/* All of it; who cannot is at the end. */
void wire_send(int fd, const unsigned char *bytes, size_t len);
void wire_recv(int fd, unsigned char *bytes, size_t len);

/* Both edges of both directions. */
int wire_epoll(void);
void wire_watch(int epoll, int fd, void *whose);

/* Nothing comes after that: ask what has come, and wait until it is told. */
void wire_tally(const struct load *load, int fd, struct tally *ret_tally);

/* ---- load_echo.c -------------------------------------------------------- */

/*
 * The same few messages again and again; all framings answer with the same
 * bytes.
 */
struct stream {
	size_t frame;		/* bytes of a message with its head */
	size_t period;		/* bytes after which it repeats */
	unsigned char *bytes;	/* two periods, to go on beyond the first */
};

/* One connection that is sent the stream; numbers count its bytes. */
struct echo {
	int fd;
	const struct stream *stream;
	uint64_t due;		/* may be sent by now */
	uint64_t out;		/* has been sent */
	uint64_t in;		/* has come back */
	bool more;		/* the last recv may have left some there */
};

void stream_init(struct stream *stream, const struct load *load);

/* Send what is due; false when the socket is full. */
bool echo_send(struct echo *echo, int flags);

/*
 * One recv of at most room bytes of what was sent, which is compared. How many
 * messages are whole by that; flags may say not to wait.
 */
uint64_t echo_recv(struct echo *echo, unsigned char *scratch, size_t room,
    int flags);

static inline void echo_allow(struct echo *echo, uint64_t messages)
{
	echo->due += messages * echo->stream->frame;
}

/* ---- load_span.c -------------------------------------------------------- */

uint64_t clock_ns(void);
void sleep_until(uint64_t ns);

/* Warm-up begins now. */
void span_start(struct load *load);

/* Begin or end to measure; false when that was the end. */
bool span_turn(struct load *load);

/* To be called again and again: whether to go on. */
static inline bool span_goes_on(struct load *load, uint64_t now)
{
	return now < load->next_ns || span_turn(load);
}

/* For who leaves the load to other threads: sleep until the span has begun. */
void span_await(struct load *load);

struct memory {			/* of a process, in KiB */
	uint64_t resident, peak;
	unsigned threads;
};

/* What the server has now; nothing when its number was not told. */
struct memory server_memory(const struct load *load);

/* What the whole system's kernel has for its own, in KiB. */
uint64_t kernel_memory(void);

/* ---- load_report.c ------------------------------------------------------ */

void report_head(const struct load *load);
void report_number(const char *key, uint64_t n);
void report_real(const char *key, double n);
void report_rate(const struct load *load, uint64_t messages, uint64_t bytes);
void report_latency(const struct histogram *h);
void report_cost(const struct load *load, uint64_t messages, uint64_t bytes);
void report_peak(const struct load *load);
void report_end(void);

/* ---- the modes ---------------------------------------------------------- */

void load_pingpong(struct load *load);
void load_pipeline(struct load *load);
void load_sink(struct load *load);
void load_connect(struct load *load);
void load_idle(struct load *load);
void load_slow(struct load *load);
void load_flood(struct load *load);

#endif
