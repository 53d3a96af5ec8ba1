/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * args.c - the command line, read from a table: the same grammar of numbers and
 * the same messages in all demos.
 */
#define _POSIX_C_SOURCE 200809L

#include "args.h"

#include <bpthread.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

_Noreturn void args_refuse(const struct args_program *program, const char *format, ...)
{
	va_list values;

	fprintf(stderr, "%s: ", program->name);
	va_start(values, format);
	vfprintf(stderr, format, values);
	va_end(values);
	fprintf(stderr, " (--help says more)\n");
	exit(2);
}

int args_failed(const struct args_program *program, const char *doing,
    const char *what, int err)
{
	fprintf(stderr, "%s: cannot %s %s: %s\n", program->name, doing, what,
	    bp_strerror(err));
	return err == -EINVAL ? 2 : 1;
}

/* ---- numbers --------------------------------------------------------------- */

struct suffix {
	const char *text;
	uint64_t factor;
};

static const struct suffix suffixes[][5] = {
	[ARGS_COUNT] = { { "", 1 } },
	[ARGS_BYTES] = { { "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 }, { "G", 1 << 30 } },
	[ARGS_RATE] = { { "", 1 }, { "K", 1000 }, { "M", 1000000 }, { "G", 1000000000 } },
	[ARGS_MS] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 } },
};

static const char *const unit_names[] = {
	[ARGS_COUNT] = "a number", [ARGS_BYTES] = "a size like 64K or 16M",
	[ARGS_RATE] = "a rate like 200M", [ARGS_MS] = "a time like 10s or 500ms",
};

static bool read_number(const char *text, enum args_unit unit, uint64_t *ret)
{
	const struct suffix *suffix = suffixes[unit];
	char *end;
	uint64_t n;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return false;
	while (suffix->text && strcmp(suffix->text, end) != 0)
		suffix++;
	if (!suffix->text || n > UINT64_MAX / suffix->factor)
		return false;
	*ret = n * suffix->factor;
	return true;
}

/* The bounds of an option are told in the unit they are given in. */
static void print_number(char *out, size_t size, uint64_t n, enum args_unit unit)
{
	const struct suffix *suffix, *best = suffixes[unit];

	for (suffix = best; suffix->text; suffix++)
		if (n % suffix->factor == 0 && (suffix->factor > best->factor
		    || n % best->factor != 0) && n >= suffix->factor)
			best = suffix;
	snprintf(out, size, "%llu%s", (unsigned long long)(n / best->factor), best->text);
}

static void set_number(const struct args_program *program,
    const struct args_option *option, const char *text)
{
	char min[32], max[32];
	uint64_t n;

	if (!read_number(text, option->unit, &n))
		args_refuse(program, "--%s: '%s' is not %s", option->name, text,
		    unit_names[option->unit]);
	if (n < option->min || n > option->max) {
		print_number(min, sizeof min, option->min, option->unit);
		print_number(max, sizeof max, option->max, option->unit);
		args_refuse(program, "--%s: %s is not within %s and %s", option->name,
		    text, min, max);
	}
	*option->number = n;
}

/* ---- words ----------------------------------------------------------------- */

static const struct args_option *find(const struct args_option *options,
    const char *name, size_t len)
{
	for (; options->name; options++)
		if (strncmp(options->name, name, len) == 0 && !options->name[len])
			return options;
	return NULL;
}

static void set_letter(const struct args_program *program,
    const struct args_option *options, const char *word)
{
	for (; options->name; options++)
		if (options->letter && options->letter == word[1] && !word[2]) {
			*options->flag = true;
			return;
		}
	args_refuse(program, "there is no option %s", word);
}

/* Returns how many arguments the option took. */
static int set_option(const struct args_program *program,
    const struct args_option *options, char **argv)
{
	const char *name = argv[0] + 2, *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct args_option *option = find(options, name, len);
	int took = 1;

	if (!option)
		args_refuse(program, "there is no option --%.*s", (int)len, name);
	if (option->flag) {
		if (value)
			args_refuse(program, "--%s takes no value", option->name);
		*option->flag = true;
		return 1;
	}
	if (value) {
		value++;
	} else {
		value = argv[1];
		took = 2;
	}
	if (!value)
		args_refuse(program, "--%s wants a value", option->name);
	if (option->text)
		*option->text = value;
	else
		set_number(program, option, value);
	return took;
}

int args_parse(const struct args_program *program, int argc, char **argv,
    const struct args_option *options, const char **words, int words_min,
    int words_max)
{
	bool only_words = false;
	int i = 1, n = 0;

	while (i < argc) {
		if (!only_words && strcmp(argv[i], "--help") == 0) {
			fputs(program->help, stdout);
			exit(0);
		}
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
			i++;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
			if (argv[i][1] != '-')
				set_letter(program, options, argv[i++]);
			else
				i += set_option(program, options, argv + i);
		} else if (n == words_max) {
			args_refuse(program, "'%s' is one argument too many", argv[i]);
		} else {
			words[n++] = argv[i++];
		}
	}
	if (n < words_min)
		args_refuse(program, "an argument is missing");
	return n;
}

const char *args_addr(const struct args_program *program, const char *word)
{
	static char addr[16];

	if (!*word)
		args_refuse(program, "an empty address");
	if (word[strspn(word, "0123456789")])
		return word;
	if (strlen(word) > 5 || atoi(word) > 65535)
		args_refuse(program, "%s is not a port", word);
	snprintf(addr, sizeof addr, ":%s", word);
	return addr;
}

void args_log(int level, const char *line, void *program)
{
	const int warning = 4;		/* as syslog(3) counts */

	if (level <= warning)
		fprintf(stderr, "%s: %s\n", ((const struct args_program *)program)->name,
		    line);
}

void args_raise_files(const struct args_program *program)
{
	struct rlimit files;
	rlim_t soft;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
		return;
	soft = files.rlim_cur;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) == 0)
		fprintf(stderr, "%s: raised the limit of descriptors from %llu to %llu\n",
		    program->name, (unsigned long long)soft,
		    (unsigned long long)files.rlim_max);
}

sigset_t args_server(const struct args_program *program)
{
	sigset_t signals;

	args_raise_files(program);
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return signals;
}
