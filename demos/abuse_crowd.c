/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * abuse_crowd.c - any number of peers that write as fast as they are let, driven by
 * one thread with poll: the abuser must not need more threads than the abused.
 *
 * What a peer writes is prepared, headers and all, so that sending costs no more
 * than the copy into the kernel.
 */
#define _GNU_SOURCE

#include "abuse_service.h"

#include <arpa/inet.h>
#include <bpthread.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT_ONCE ((size_t)256 << 10)	/* bytes; then it is another one's turn */
#define SNDBUF (128 << 10)		/* what a peer has in the kernel is not the point */

struct member {
	const char *bytes;
	size_t len, at;
	bool once;
};

/* ---- a peer ---------------------------------------------------------- */

int peer_connect(const struct trial *t)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)t->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err, size = SNDBUF, on = 1;

	if (fd < 0)
		return compare_failed("make", "a socket", -errno), -1;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
		return fd;
	err = -errno;
	close(fd);
	compare_failed("connect to", "the server", err);
	return -1;
}

size_t peer_frame(char *out, size_t len, char mark)
{
	uint32_t head = htonl((uint32_t)len);

	memcpy(out, &head, HEAD);
	memset(out + HEAD, mark, len ? 1 : 0);
	return HEAD + len;
}

char *peer_stream(size_t len, size_t *ret_len)
{
	size_t n = AT_ONCE / (HEAD + len) + 1, at = 0;
	char *bytes = calloc(n, HEAD + len);

	while (bytes && at < n * (HEAD + len))
		at += peer_frame(bytes + at, len, 'f');
	*ret_len = at;
	if (!bytes)
		compare_failed("make", "messages", -ENOMEM);
	return bytes;
}

/* ---- the crowd ------------------------------------------------------- */

static void lose(struct crowd *crowd, size_t i)
{
	crowd->trial->cut += crowd->counts_cut && phase_now(crowd->trial) != OVER;
	close(crowd->polls[i].fd);
	crowd->polls[i].fd = -1;
}

static void push(struct crowd *crowd, size_t i)
{
	struct member *m = &crowd->members[i];
	size_t len = m->len - m->at < AT_ONCE ? m->len - m->at : AT_ONCE;
	ssize_t n = send(crowd->polls[i].fd, m->bytes + m->at, len,
	    MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lose(crowd, i);
		return;
	}
	m->at += n > 0 ? (size_t)n : 0;
	if (m->at == m->len && !m->once)
		m->at = 0;
	if (m->at == m->len)
		crowd->polls[i].events = 0;	/* an end is told all the same */
}

static void *push_all(void *arg)
{
	struct crowd *crowd = arg;

	while (phase_now(crowd->trial) != OVER) {
		if (poll(crowd->polls, crowd->n, (int)(TICK_NS / NS_PER_MS)) <= 0)
			continue;
		for (size_t i = 0; i < crowd->n; i++)
			if (crowd->polls[i].revents & (POLLERR | POLLHUP | POLLNVAL))
				lose(crowd, i);
			else if (crowd->polls[i].revents & POLLOUT)
				push(crowd, i);
	}
	return NULL;
}

int crowd_new(struct crowd *crowd, struct trial *t, size_t n)
{
	*crowd = (struct crowd){ .trial = t, .counts_cut = true };
	crowd->members = calloc(n, sizeof *crowd->members);
	crowd->polls = calloc(n, sizeof *crowd->polls);
	if (crowd->members && crowd->polls)
		return 0;
	return compare_failed("make", "peers", -ENOMEM);
}

int crowd_add(struct crowd *crowd, const char *bytes, size_t len, bool once)
{
	int fd = peer_connect(crowd->trial);

	if (fd < 0)
		return 1;
	crowd->members[crowd->n] = (struct member){
		.bytes = bytes, .len = len, .once = once
	};
	crowd->polls[crowd->n++] = (struct pollfd){ .fd = fd, .events = POLLOUT };
	if (once)
		push(crowd, crowd->n - 1);
	return 0;
}

int crowd_start(struct crowd *crowd)
{
	int rc = pthread_create(&crowd->thread, NULL, push_all, crowd);

	return rc ? compare_failed("start", "a thread", -rc) : 0;
}

void crowd_stop(struct crowd *crowd)
{
	pthread_join(crowd->thread, NULL);
	for (size_t i = 0; i < crowd->n; i++)
		if (crowd->polls[i].fd >= 0)
			close(crowd->polls[i].fd);
	free(crowd->members);
	free(crowd->polls);
}
