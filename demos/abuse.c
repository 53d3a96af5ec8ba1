/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse.c - a server that is fed faster than it handles, with backpressure and
 * without: the experiment this library began with.
 *
 * Run	demos/abuse server 7777 unbounded	in one terminal
 *	demos/abuse client 7777 7778		in another
 *
 * Watch the server's resident memory grow by what it does not get done. Then
 * again with one_place in the place of unbounded: the memory stays where it is,
 * as many bytes are handled, and the client is told that it is held back, by TCP
 * itself. Or let	demos/abuse compare	do both and draw the picture. All of it
 * can be watched as it happens: in a browser where it says, or with demos/abuse top.
 */
#define _POSIX_C_SOURCE 200809L

#include "abuse.h"
#include "args.h"

#include <bpthread.h>
#include <stdio.h>
#include <string.h>

static const struct args_program program = {
	"abuse",
	"usage: abuse server PORT [QDISC]        receive payloads, slower than they come\n"
	"       abuse client PORT [LOCALPORT]    send payloads as fast as it is let\n"
	"       abuse compare [QDISC...]         both, for each discipline; a table, a picture\n"
	"       abuse compare --scenario NAME    other abuse: hog, mix, announce, slow-reader\n"
	"       abuse top [URL]                  watch a server in the terminal\n"
	"       abuse list                       the disciplines\n"
	"\n"
	"Each command has a --help of its own.\n"
};

static int list(int argc, char **argv)
{
	static const struct args_program list_program = {
		"abuse list",
		"usage: abuse list\n"
		"Name the queueing disciplines that QDISC can be, a line each.\n"
	};
	static const struct args_option options[] = { { 0 } };
	const char *help;

	args_parse(&list_program, argc, argv, options, NULL, 0, 0);
	for (unsigned i = 0; (help = bp_qdisc_help(i)); i++)
		puts(help);
	return args_written(&list_program, 0);
}

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "server", abuse_server }, { "client", abuse_client },
	{ "compare", abuse_compare }, { "top", abuse_top }, { "list", list },
};

int main(int argc, char **argv)
{
	/* whoever reads through a pipe sees a line when it is written */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		args_refuse(&program, "server, client, compare, top or list?");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (strcmp(argv[1], "--help") != 0)
		args_refuse(&program, "there is no command %s", argv[1]);
	fputs(program.help, stdout);
	return args_written(&program, 0);
}
