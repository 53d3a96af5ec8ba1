/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * args.h - what every demo does before it begins: see that it has a stdin, stdout and
 * stderr, read its command line, say in one line what is wrong with it, and ask for all
 * the descriptors it may have.
 */
#ifndef ARGS_H
#define ARGS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct bp_endpoint_config;

struct args_program {
	const char *name;	/* "abuse server": begins every message */
	const char *help;	/* what --help prints */
};

enum args_unit {
	ARGS_COUNT,
	ARGS_BYTES,		/* "64K": K, M and G are powers of 1024 */
	ARGS_RATE,		/* "200M" bytes a second: powers of 1000, as in MB/s */
	ARGS_MS,		/* "10", "10s", "500ms", "2m" */
};

/*
 * --name, --name VALUE or --name=VALUE; one of the pointers says what it sets. A flag
 * may have a letter, too: -1.
 */
struct args_option {
	const char *name;
	bool *flag;
	const char **text;
	uint64_t *number;
	enum args_unit unit;
	uint64_t min, max;
	char letter;
};

/*
 * Set what the options say (an option without a name ends the table) and store
 * the other arguments in words, which are too few below words_min, too many
 * above words_max. Returns how many there are. Does not return when it has to
 * refuse, nor after --help.
 */
int args_parse(const struct args_program *program, int argc, char **argv,
    const struct args_option *options, const char **words, int words_min,
    int words_max);

/* One line on stderr, and exit status 2. */
_Noreturn void args_refuse(const struct args_program *program, const char *format,
    ...) __attribute__((format(printf, 2, 3)));

/*
 * Say that doing something to what failed, and return the exit status for it: 2
 * when it was asked for wrongly (-EINVAL), else 1. err is a negative errno.
 */
int args_failed(const struct args_program *program, const char *doing,
    const char *what, int err);

/* For a program that is over once it has printed: the exit status, which is not 0 if
 * stdout did not take all. Says so. */
int args_written(const struct args_program *program, int status);

/* The address that [ADDR:]PORT means; valid until the next call. Refuses others. */
const char *args_addr(const struct args_program *program, const char *word);

/* The same of one to connect to, which has a port. */
const char *args_target(const struct args_program *program, const char *word);

/* NAME[:KEY=VALUE,...]; what is wrong with another is said, and refused. */
void args_qdisc(const struct args_program *program, struct bp_endpoint_config *config,
    const char *text);

/*
 * What a peer calls itself, to be printed: what is not printable ASCII as \xNN, as the
 * library's log has it. Returns ret->s.
 */
struct args_text {
	char s[640];
};
const char *args_visible(struct args_text *ret, const char *text);

/* For an endpoint's log: warnings and worse go to stderr. program is log_arg. */
void args_log(int level, const char *line, void *program);

/* Raise the soft limit of descriptors to the hard one, and say so. */
void args_raise_files(const struct args_program *program);

/*
 * What a server does before the library starts a thread: that, lines on stdout go out
 * one by one, and SIGINT and SIGTERM are blocked, so that only sigwait() sees them.
 */
sigset_t args_server(const struct args_program *program);

#endif /* ARGS_H */
