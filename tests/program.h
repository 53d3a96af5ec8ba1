/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h - a demo run as a process of its own: with its output in reach, or on a
 * terminal that is the test's.
 *
 * BP_TEST_DEMOS is the directory of the programs (demos).
 */
#ifndef TEST_PROGRAM_H
#define TEST_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROGRAM_ARGS 16

struct program {
	pid_t pid;
	int terminal;			/* the test's end of it, or -1 */
	int fds[2];			/* stdout, stderr; on a terminal both are [0] */
	char text[2][1 << 16];		/* what it has said, ended with a NUL */
	size_t n[2];
};

enum { SAID, COMPLAINED };		/* which of its texts */

/* args[0] is its name, and NULL ends them. */
void program_start(struct program *p, const char *const args[]);
void program_start_on_terminal(struct program *p, int columns, int rows,
    const char *const args[]);

/* Take what it has said by now. Once more than there is room for has come, the rest
 * is dropped. */
void program_listen(struct program *p);
bool program_said(struct program *p, int which, const char *text);
size_t program_lines(struct program *p, int which);	/* whole ones, so far */
void program_type(struct program *p, const char *keys);

/* Its exit status once it ends, or minus the signal that ended it. */
int program_await(struct program *p, int ms);
int program_stop(struct program *p, int stop_signal);

/* Wait for it, and copy what follows begin in its line; the rest of the line at most. */
void program_find(struct program *p, int which, const char *begin, char *out, size_t size);

#endif /* TEST_PROGRAM_H */
