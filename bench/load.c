/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load.c - the load generator: puts one kind of load on a server of the
 * benchmark and prints what came of it, as one line of key=value.
 *
 *	load --mode pingpong --seconds 1 --server-pid PID PORT
 */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 30		/* beyond the warm-up and the span */

static const char usage[] =
    "usage: load [options] PORT\n"
    "  --mode pingpong|pipeline|sink|connect|idle|slow|flood  (pingpong)\n"
    "  --framing u32|sp|zmtp   what the server speaks (u32)\n"
    "  --size BYTES            of a payload\n"
    "  --connections N         how many, or how many at a time\n"
    "  --outstanding N         messages under way on each, in pipeline (64)\n"
    "  --seconds S             to measure (1)\n"
    "  --warmup S              before that (0.2)\n"
    "  --server-pid PID        to tell its CPU time and memory\n";

static const struct load_mode modes[] = {
	{ "pingpong", 1, 64, load_pingpong },
	{ "pipeline", 1, 64, load_pipeline },
	{ "sink", 1, 64, load_sink },
	{ "connect", 8, 64, load_connect },
	{ "idle", 10000, 64, load_idle },
	{ "slow", 16, 64 * 1024, load_slow },
	{ "flood", 8, 16 * 1024, load_flood },
};

static const struct option options[] = {
	{ "mode", required_argument, NULL, 'm' },
	{ "framing", required_argument, NULL, 'f' },
	{ "size", required_argument, NULL, 's' },
	{ "connections", required_argument, NULL, 'c' },
	{ "outstanding", required_argument, NULL, 'o' },
	{ "seconds", required_argument, NULL, 't' },
	{ "warmup", required_argument, NULL, 'w' },
	{ "server-pid", required_argument, NULL, 'p' },
	{ NULL, 0, NULL, 0 },
};

static char too_late[64];

_Noreturn void fail(const char *format, ...)
{
	static atomic_flag failed = ATOMIC_FLAG_INIT;
	va_list args;

	/*
	 * what fails after that fails because of it, and there is to be one
	 * line
	 */
	while (atomic_flag_test_and_set(&failed))
		pause();
	fprintf(stderr, "load: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	_exit(1);
}

void *get_memory(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (!memory)
		fail("out of memory");
	return memory;
}

static void give_up(int sig)
{
	ssize_t n = write(STDERR_FILENO, too_late, strlen(too_late));

	(void)sig;
	(void)n;
	_exit(1);
}

/* Whatever waits, and on whichever thread. */
static void set_deadline(const struct load *load)
{
	uint64_t us = (load->warmup_ns + load->seconds_ns) / 1000;
	struct itimerval timer = {
		.it_value.tv_sec = (time_t)(us / 1000000) + PATIENCE_S,
		.it_value.tv_usec = (suseconds_t)(us % 1000000),
	};

	sigset_t alarm_only;

	snprintf(too_late, sizeof too_late,
	    "load: %s was not at its end in time\n", load->mode->name);
	signal(SIGALRM, give_up);
	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	/* who started this may have blocked it */
	sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
	if (setitimer(ITIMER_REAL, &timer, NULL) < 0)
		fail("setitimer: %m");
}

static double get_number(const char *text, double least, double most)
{
	char *end;
	double n = strtod(text, &end);

	if (end == text || *end || !(n >= least && n <= most))
		fail("%s is not a number from %g to %g", text, least, most);
	return n;
}

static unsigned get_count(const char *text, unsigned least, unsigned most)
{
	double n = get_number(text, least, most);

	if (n != (double)(unsigned)n)
		fail("%s is not a whole number", text);
	return (unsigned)n;
}

static const struct load_mode *get_mode(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	fail("there is no mode %s", name);
}

static enum framing get_framing(const char *name)
{
	if (strcmp(name, "u32") == 0)
		return FRAMING_U32;
	if (strcmp(name, "sp") == 0)
		return FRAMING_SP;
	if (strcmp(name, "zmtp") == 0)
		return FRAMING_ZMTP;
	fail("there is no framing %s", name);
}

static uint64_t get_ns(const char *text, double least)
{
	return (uint64_t)(get_number(text, least, 3600) * NS_PER_S);
}

static void take_option(struct load *load, int option, const char *value)
{
	switch (option) {
	case 'm':
		load->mode = get_mode(value);
		break;
	case 'f':
		load->framing = get_framing(value);
		break;
	case 's':
		load->size = get_count(value, 1, FRAME_MAX);
		break;
	case 'c':
		load->connections = get_count(value, 1, 1000000);
		break;
	case 'o':
		load->outstanding = get_count(value, 1, 1000000);
		break;
	case 't':
		load->seconds_ns = get_ns(value, 0.001);
		break;
	case 'w':
		load->warmup_ns = get_ns(value, 0);
		break;
	case 'p':
		load->server_pid = (pid_t)get_count(value, 1, 1 << 30);
		break;
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static void parse(struct load *load, int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		take_option(load, option, optarg);
	if (optind != argc - 1)
		take_option(load, '?', NULL);
	load->port = (unsigned short)get_count(argv[optind], 1, 65535);
	if (load->connections == 0)
		load->connections = load->mode->connections;
	if (load->size == 0)
		load->size = load->mode->size;
}

int main(int argc, char **argv)
{
	struct load load = {
		.mode = &modes[0], .outstanding = 64,
		.warmup_ns = 200 * NS_PER_MS, .seconds_ns = 1000 * NS_PER_MS,
	};

	parse(&load, argc, argv);
	set_deadline(&load);
	load.mode->run(&load);
	_exit(0);	/* all is said, and memory is no one's concern now */
}
