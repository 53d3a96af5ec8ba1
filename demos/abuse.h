/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse.h - what the parts of abuse have in common: time, signals, the memory of
 * a process, and numbers as text.
 */
#ifndef ABUSE_H
#define ABUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define MB 1e6				/* of traffic */
#define MIB 1048576.0			/* of memory */
#define TICK_NS (20 * NS_PER_MS)	/* how often memory is looked at */
#define PAYLOAD_DEFAULT ((uint64_t)16 << 20)
#define HANDLE_RATE_DEFAULT 200000000ull
#define RATE_MAX 10000000000ull
#define EXIT_MEM_LIMIT 3

/* The commands; each gets its own arguments, argv[0] being its name. */
int abuse_server(int argc, char **argv);
int abuse_client(int argc, char **argv);
int abuse_compare(int argc, char **argv);
int abuse_top(int argc, char **argv);

/* ---- time and signals: abuse_wait.c ------------------------------------------ */

uint64_t now_ns(void);

/* How many seconds are over at a time, and when one more is. A table has a line for
 * each, or for several that a busy machine let pass. */
unsigned seconds_over(uint64_t start_ns, uint64_t at_ns, uint64_t *ret_next_ns);

/* When so many bytes are due at a rate of bytes a second, counted from start_ns. */
uint64_t due_ns(uint64_t start_ns, uint64_t bytes, uint64_t rate);

/* SIGINT and SIGTERM: blocked, to be waited for; before the first thread. */
void signals_block(void);
/* Wait until then, or for a signal: returns its number, else 0. */
int signals_wait(uint64_t until_ns);
/* From now on the next one kills. */
void signals_unblock(void);

/* Wait until then, unless the program is halted meanwhile: returns false. */
bool sleep_until(uint64_t until_ns);
void halt(void);
bool halted(void);

/* ---- memory: abuse_memory.c --------------------------------------------------- */

/* Resident bytes of a process, 0 when it is gone. */
size_t memory_resident(pid_t pid);

/* A quarter of the memory of machine or cgroup, at most 2 GiB. */
size_t memory_limit_default(void);

/* ---- text: abuse_text.c ------------------------------------------------------- */

struct text {
	char s[24];
};

struct text text_memory(double bytes);		/* "78.3 MiB" */
struct text text_traffic(double bytes);		/* "2.01 GB" */
struct text text_rate(double bytes, double ns);	/* "200.1 MB/s" */
struct text text_ns(double ns);			/* "84 ms" */

/*
 * Lines that are seen coming: on a terminal the last one is written over until
 * it is committed, elsewhere only the committed ones are written.
 */
bool on_terminal(void);
void line_print(const char *line, bool commit);

/* The value of "key" in a line of JSON that abuse itself has written; 0 if none. */
double json_number(const char *line, const char *key);
struct text json_word(const char *line, const char *key);
/* text between the quotes of a line that is to be written. */
void json_quoted(char *out, size_t size, const char *text);

#endif /* ABUSE_H */
