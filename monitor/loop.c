/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop.c - see loop.h. libmicrohttpd could have a thread of its own and accept
 * for itself. But its timeout begins anew with each byte, so that who drips
 * stays for ever; and when it is full it leaves all others waiting. So the
 * waiting and the accepting is done here, and it is only run when one of its
 * sockets is ready. One thread, and no locks.
 *
 * What it does when its own state is broken is left as it is, an abort: the
 * function that would change that is the whole program's.
 */
#include "config.h"

#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL_BYTES (BPM_HEAD_MAX + 8192) /* of a guest: its request, our headers */
#define NO_FDS_NS 100000000u	/* until the next try to accept */

/* ---- guests come and go -------------------------------------------------- */

static void connected(void *arg, struct MHD_Connection *connection, void **guest,
    enum MHD_ConnectionNotificationCode what)
{
	struct bpm_loop *loop = arg;
	int fd = MHD_get_connection_info(connection,
	    MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*guest = bpm_guests_add(&loop->guests, fd, bpm_now_ns());
	else if (*guest)
		bpm_guests_remove(*guest);
}

static struct bpm_guest *guest_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection,
    const char *url, const char *method, const char *version,
    const char *upload_data, size_t *upload_data_size, void **request)
{
	struct bpm_guest *guest = guest_of(connection);

	if (guest)
		guest->answering = true;
	return bpm_http_answer(arg, connection, url, method, version, upload_data,
	    upload_data_size, request);
}

static void answered(void *arg, struct MHD_Connection *connection, void **request,
    enum MHD_RequestTerminationCode how)
{
	struct bpm_guest *guest = guest_of(connection);

	(void)arg;
	(void)request;
	(void)how;
	if (!guest)
		return;
	guest->answering = false;
	guest->since_ns = bpm_now_ns();
}

/* What holds a zero byte would seem to end there: it is left as it was written. */
static size_t unescape(void *arg, struct MHD_Connection *connection, char *text)
{
	(void)arg;
	(void)connection;
	return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

/* Where the program has used up its descriptors one is kept, to say so. */
static void keep_spare(struct bpm_loop *loop)
{
	if (loop->spare < 0)
		loop->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int accept_guest(struct bpm_loop *loop, struct sockaddr_storage *sa,
    socklen_t *len)
{
	int fd = accept4(loop->listener, (struct sockaddr *)sa, len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || loop->spare < 0)
		return fd;
	close(loop->spare);
	loop->spare = -1;
	return accept4(loop->listener, (struct sockaddr *)sa, len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void accept_one(struct bpm_loop *loop)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof sa;
	int fd;

	if (bpm_guests_full(&loop->guests)) {
		bpm_guests_cut_oldest(&loop->guests);
		return;
	}
	fd = accept_guest(loop, &sa, &len);
	if (fd >= 0) {
		MHD_add_connection(loop->daemon, fd, (struct sockaddr *)&sa, len);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM
	    || errno == ENOBUFS) {
		bpm_guests_cut_oldest(&loop->guests);
		loop->accept_ns = bpm_now_ns() + NO_FDS_NS;
	}
}

/* ---- the thread ---------------------------------------------------------- */

static int until_ms(uint64_t now_ns, uint64_t then_ns)
{
	if (then_ns == UINT64_MAX)
		return -1;
	return then_ns <= now_ns ? 0 : (int)((then_ns - now_ns) / 1000000 + 1);
}

static void *run(void *arg)
{
	struct bpm_loop *loop = arg;
	struct pollfd fds[] = {
		{ .fd = loop->end, .events = POLLIN },
		{ .fd = loop->epoll, .events = POLLIN },
		{ .events = POLLIN },
	};

	uselocale(loop->locale);
	for (;;) {
		uint64_t now_ns = bpm_now_ns();
		uint64_t next_ns = bpm_guests_cut_late(&loop->guests, now_ns);
		MHD_UNSIGNED_LONG_LONG wants_ms;
		bool accepts = now_ns >= loop->accept_ns
		    && !bpm_guests_leaving(&loop->guests);

		fds[2].fd = accepts ? loop->listener : -1;
		if (now_ns < loop->accept_ns && loop->accept_ns < next_ns)
			next_ns = loop->accept_ns;
		if (MHD_get_timeout(loop->daemon, &wants_ms) == MHD_YES
		    && now_ns + wants_ms * 1000000 < next_ns)
			next_ns = now_ns + wants_ms * 1000000;
		if (poll(fds, 3, until_ms(now_ns, next_ns)) < 0)
			continue;
		if (fds[0].revents)
			return NULL;
		if (accepts && fds[2].revents)
			accept_one(loop);
		MHD_run(loop->daemon);
		keep_spare(loop);
	}
}

/* A thread of ours takes no signal that is meant for the program. */
static int start_thread(struct bpm_loop *loop)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&loop->thread, NULL, run, loop);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static struct MHD_Daemon *start_daemon(struct bpm_loop *loop, struct bpm_http *http)
{
	/* room for those who have gone and were not yet swept up */
	unsigned connections = 2 * BPM_GUESTS_MAX;
	size_t pool = POOL_BYTES;

	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
	    answer, http,
	    MHD_OPTION_CONNECTION_LIMIT, connections,
	    MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool,
	    MHD_OPTION_NOTIFY_CONNECTION, connected, loop,
	    MHD_OPTION_NOTIFY_COMPLETED, answered, loop,
	    MHD_OPTION_END);
}

int bpm_loop_start(struct bpm_loop *loop, struct bpm_http *http, int listener)
{
	int rc;

	loop->listener = listener;
	loop->accept_ns = 0;
	loop->spare = -1;
	keep_spare(loop);
	bpm_guests_init(&loop->guests);
	loop->end = eventfd(0, EFD_CLOEXEC);
	if (loop->end < 0) {
		rc = -errno;
		goto close_spare;
	}
	loop->locale = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
	if (!loop->locale) {
		rc = -ENOMEM;
		goto close_end;
	}
	loop->daemon = start_daemon(loop, http);
	if (!loop->daemon) {
		rc = errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
		goto free_locale;
	}
	loop->epoll = MHD_get_daemon_info(loop->daemon,
	    MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	rc = start_thread(loop);
	if (rc == 0)
		return 0;
	MHD_stop_daemon(loop->daemon);
free_locale:
	freelocale(loop->locale);
close_end:
	close(loop->end);
close_spare:
	if (loop->spare >= 0)
		close(loop->spare);
	return rc;
}

void bpm_loop_stop(struct bpm_loop *loop)
{
	eventfd_write(loop->end, 1);
	pthread_join(loop->thread, NULL);
	MHD_stop_daemon(loop->daemon);
	freelocale(loop->locale);
	close(loop->end);
	if (loop->spare >= 0)
		close(loop->spare);
	shutdown(loop->listener, SHUT_RDWR);	/* a child may have it, too */
	close(loop->listener);
}
