/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load_flood.c - steady pings beside a flood: how long do those wait who ask
 * for little?
 *
 * The flood comes from a thread for each of its connections, which sends
 * whatever the server takes and reads what comes; these threads are nice, so
 * that the pings are delayed by the server and not by them. Pings come from one
 * thread, each at its own time whether those before were answered or not, and
 * its latency runs from that time: a ping that could not be sent counts as late
 * as it was.
 */
#include "load.h"

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PINGERS 4
#define PING_SIZE 1024
#define PING_EVERY_NS (10 * NS_PER_MS)
#define NICE 10
#define LOOK_EVERY_MS 100	/* whether it is over */

struct flooder {
	const struct load *load;
	struct echo echo;
	unsigned char *scratch;
	pthread_t thread;
	uint64_t messages;
};

struct pinger {
	struct echo echo;
	uint64_t first_ns;	/* when the first ping is due */
	uint64_t asked, answered;
};

static struct histogram times;
static atomic_bool stopping;

static uint64_t due_ns(const struct pinger *p, uint64_t ping)
{
	return p->first_ns + ping * PING_EVERY_NS;
}

/* ---- the flood ---------------------------------------------------------- */

static void *flood(void *arg)
{
	struct flooder *f = arg;
	struct echo *echo = &f->echo;
	struct pollfd both = { .fd = echo->fd, .events = POLLIN | POLLOUT };
	uint64_t answered;
	bool sent;

	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
		/* not more at once: it reads in between, too */
		echo->due = echo->out + echo->stream->period;
		sent = echo_send(echo, MSG_DONTWAIT);
		answered = echo_recv(echo, f->scratch, echo->stream->period,
		    MSG_DONTWAIT);
		if (f->load->measuring)
			f->messages += answered;
		if (!sent && !echo->more && poll(&both, 1, LOOK_EVERY_MS) < 0)
			fail("poll: %m");
	}
	return NULL;
}

static void start_flood(struct load *load, struct flooder *flooders,
    const struct stream *stream)
{
	unsigned i;

	for (i = 0; i < load->connections; i++) {
		flooders[i].load = load;
		flooders[i].echo.fd = wire_connect(load, 0);
		flooders[i].echo.stream = stream;
		flooders[i].scratch = get_memory(1, stream->period);
		if (pthread_create(&flooders[i].thread, NULL, flood,
		    &flooders[i]) != 0)
			fail("no thread for each connection");
	}
}

static uint64_t end_flood(const struct load *load, struct flooder *flooders)
{
	uint64_t messages = 0;
	unsigned i;

	atomic_store(&stopping, true);
	for (i = 0; i < load->connections; i++) {
		pthread_join(flooders[i].thread, NULL);
		messages += flooders[i].messages;
	}
	return messages;
}

/* ---- the pings ---------------------------------------------------------- */

static void note(const struct load *load, struct pinger *p, uint64_t now)
{
	uint64_t due = due_ns(p, p->answered++);

	if (load->begin_ns > 0 && due >= load->begin_ns && due < load->next_ns)
		histogram_add(&times, now - due);
}

static void ping(const struct load *load, struct pinger *p,
    unsigned char *scratch, bool asking)
{
	uint64_t answered, now = clock_ns();

	for (; asking && due_ns(p, p->asked) <= now; p->asked++)
		echo_allow(&p->echo, 1);
	echo_send(&p->echo, MSG_DONTWAIT);
	answered = echo_recv(&p->echo, scratch, p->echo.stream->period,
	    MSG_DONTWAIT);
	for (now = clock_ns(); answered > 0; answered--)
		note(load, p, now);
}

/* Until something comes, can be sent or is due. */
static void wait_for(const struct pinger *pingers, bool asking)
{
	struct pollfd polls[PINGERS];
	uint64_t now = clock_ns(), next = now + 1000 * NS_PER_MS;
	struct timespec left = { 0 };
	int i;

	for (i = 0; i < PINGERS; i++) {
		const struct pinger *p = &pingers[i];

		polls[i].fd = p->echo.fd;
		polls[i].events = POLLIN;
		if (p->echo.out < p->echo.due)
			polls[i].events |= POLLOUT;
		if (asking && due_ns(p, p->asked) < next)
			next = due_ns(p, p->asked);
	}
	if (next > now)
		left.tv_nsec = (long)(next - now);
	if (left.tv_nsec >= 1000000000)
		left.tv_nsec = 999999999;
	if (ppoll(polls, PINGERS, &left, NULL) < 0)
		fail("ppoll: %m");
}

static bool all_answered(const struct pinger *pingers)
{
	int i;

	for (i = 0; i < PINGERS; i++)
		if (pingers[i].answered < pingers[i].asked)
			return false;
	return true;
}

/*
 * The flood goes on until the last ping is answered: it is one of those
 * measured.
 */
static void ping_all(struct load *load, struct pinger *pingers)
{
	size_t period = pingers[0].echo.stream->period;
	unsigned char *scratch = get_memory(1, period);
	bool asking = true;
	int i;

	/* to be woken at its time, not some 50 us later with others */
	prctl(PR_SET_TIMERSLACK, 1);
	for (i = 0; i < PINGERS; i++)
		pingers[i].first_ns = clock_ns()
		    + (uint64_t)i * PING_EVERY_NS / PINGERS;
	while (asking || !all_answered(pingers)) {
		wait_for(pingers, asking);
		asking = asking && span_goes_on(load, clock_ns());
		for (i = 0; i < PINGERS; i++)
			ping(load, &pingers[i], scratch, asking);
	}
}

void load_flood(struct load *load)
{
	struct load ping_load = *load;
	struct stream stream, ping_stream;
	struct flooder *flooders;
	struct pinger pingers[PINGERS] = { 0 };
	uint64_t messages;
	unsigned i;

	flooders = get_memory(load->connections, sizeof *flooders);
	stream_init(&stream, load);
	ping_load.size = PING_SIZE;
	stream_init(&ping_stream, &ping_load);
	for (i = 0; i < PINGERS; i++) {
		pingers[i].echo.fd = wire_connect(load, 0);
		pingers[i].echo.stream = &ping_stream;
	}
	span_start(load);
	start_flood(load, flooders, &stream);
	ping_all(load, pingers);
	messages = end_flood(load, flooders);
	report_head(load);
	report_rate(load, messages, messages * load->size);
	report_number("pings", times.count);
	report_latency(&times);
	report_cost(load, messages, messages * load->size);
	report_peak(load);
	report_end();
}
