/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serve.c - see serve.h.
 */
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void serve_die(const char *what)
{
	perror(what);
	exit(1);
}

void serve_parse(int argc, char **argv, struct serve_args *ret_args)
{
	const char *mode = argc > 2 ? argv[argc - 2] : "";
	char *end;
	unsigned long port;

	errno = 0;
	port = argc > 2 ? strtoul(argv[argc - 1], &end, 10) : 0;
	if (argc < 3 || (strcmp(mode, "echo") != 0 && strcmp(mode, "sink") != 0)
	    || errno || *end || end == argv[argc - 1] || port > 65535) {
		fprintf(stderr, "usage: %s echo|sink PORT\n", argv[0]);
		exit(2);
	}
	ret_args->sink = strcmp(mode, "sink") == 0;
	ret_args->port = (unsigned short)port;
	signal(SIGPIPE, SIG_IGN);
}

int serve_listen(const struct serve_args *args)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd, on = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	addr.sin_port = htons(args->port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		serve_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		serve_die("bind");
	if (listen(fd, 4096) < 0)
		serve_die("listen");
	return fd;
}

unsigned short serve_port(int fd)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof addr;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		serve_die("getsockname");
	return ntohs(addr.sin_port);
}

void serve_say(unsigned short port)
{
	printf("listening on %hu\n", port);
	fflush(stdout);
}

void put_u32(unsigned char *p, uint32_t value)
{
	p[0] = (unsigned char)(value >> 24);
	p[1] = (unsigned char)(value >> 16);
	p[2] = (unsigned char)(value >> 8);
	p[3] = (unsigned char)value;
}

static void put_u64(unsigned char *p, uint64_t value)
{
	put_u32(p, (uint32_t)(value >> 32));
	put_u32(p + 4, (uint32_t)value);
}

void put_tally(unsigned char *p, const struct tally *tally)
{
	put_u32(p, TALLY_LEN);
	put_u64(p + HEAD_LEN, tally->frames);
	put_u64(p + HEAD_LEN + 8, tally->bytes);
}
