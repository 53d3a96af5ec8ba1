/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpthread.h - TCP whose peers cannot outrun you, one thread for each way.
 *
 *	            reader thread            qdisc
 *	socket ---> recv ---> framer ---> [gate | order] ---> bp_receive(), or your handler
 *	            writer thread         out queue
 *	socket <--- send <--------------[ low | high ] <----- bp_send()
 *
 * In: a frame is read only when the qdisc has room for it; until then the peer
 * is slowed by TCP itself. Out: above the high mark the connection is throttled
 * and bp_send() waits (or says so), until the queue has drained to the low mark.
 *
 * What is true of every function, unless it says otherwise:
 *
 *   Errors	0 is success; failure is a negative errno. -EPIPE: it has ended.
 *		-EAGAIN: not now (timeout 0). -ETIMEDOUT: not in time. -EMSGSIZE:
 *		over a limit. -EDEADLK: you would wait for your own thread. -EINVAL,
 *		-ENOMEM. Results go through ret_ pointers, on success only.
 *   Timeouts	in milliseconds: 0 tries, BP_FOREVER waits. A function without a
 *		timeout does not block.
 *   Threads	any thread may call any function, also from within a callback.
 *		The library calls you with no lock held.
 *   Config	zero every config struct: 0 or NULL is the default given beside the
 *		field. To switch a limit off say BP_UNLIMITED, a deadline BP_FOREVER.
 *   Ownership	_new, _ref, bp_connect() and bp_adopt() give you a reference, _unref
 *		takes it back. What an event or a callback shows you is borrowed: valid
 *		until bp_event_free(), or until the callback returns. NULL may be freed,
 *		and an endpoint that is NULL closed and stopped.
 *   Addresses	"host:port", "[v6]:port", ":port" (any address), "unix:/path";
 *		port 0: any free one. The same format in and out.
 */
#ifndef BPTHREAD_H
#define BPTHREAD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined __GNUC__
#define BP_API __attribute__((visibility("default")))
#define BP_MUST_USE __attribute__((warn_unused_result))
#else
#define BP_API
#define BP_MUST_USE
#endif
#define BP_VERSION "0.1.0"
#define BP_FOREVER (-1)
#define BP_UNLIMITED SIZE_MAX
#define BP_ANY SIZE_MAX		/* bp_conn_expect(): whatever arrives */

struct bp_endpoint;		/* a qdisc and the connections that feed it */
struct bp_listener;		/* a listening socket; the endpoint owns it */
struct bp_conn;			/* one connection, accepted or made */
struct bp_qdisc_ops;		/* a queueing discipline */
struct bp_framer_ops;		/* how bytes are cut into frames: bpthread_ops.h */

enum bp_switch { BP_DEFAULT, BP_ON, BP_OFF };
/* ---- what arrives ------------------------------------------------------- */

/* A counted payload. Read-only from when it was received or first sent. */
struct bp_buf {
	void *data;
	size_t len;
};

/*
 * One frame of the peer's, or one turn in a connection's life. In this order:
 * OPENED (unless it ended before), any number of RECEIVED, perhaps ENDED, CLOSED;
 * exactly one CLOSED.
 */
enum bp_event_kind {
	BP_OPENED,
	BP_RECEIVED,
	BP_ENDED,		/* the peer sends no more; it still gets your answer */
	BP_CLOSED,		/* nothing follows; reason and err say why */
};

enum bp_reason {		/* the first that held */
	BP_REASON_NONE,
	BP_REASON_LOCAL,	/* bp_conn_close(), or bp_conn_end() first; all was sent */
	BP_REASON_PEER,		/* the peer ended first, in good order */
	BP_REASON_SHUTDOWN,	/* bp_endpoint_close(), bp_endpoint_stop() */
	BP_REASON_ABORT,	/* bp_conn_abort() */
	BP_REASON_RESET,	/* it broke, or was never made; err says how */
	BP_REASON_TRUNCATED,	/* the peer ended within a frame */
	BP_REASON_OVERSIZE,	/* a frame above frame_max was announced */
	BP_REASON_PROTOCOL,	/* malformed, in the framer's opinion or yours */
	BP_REASON_HEADER,	/* header_ms */
	BP_REASON_IDLE,		/* idle_ms */
	BP_REASON_STALLED_FRAME, /* frame_ms, or under rate_min while others waited */
	BP_REASON_STALLED_WRITE, /* write_ms or linger_ms: not all arrived; likewise */
	BP_REASON_SLOW,		/* too slow, in your opinion */
	BP_REASON_LIMIT,	/* over a quota, in your opinion */
	BP_REASON_NO_MEMORY,	/* or no thread */
};
#define BP_REASONS (BP_REASON_NO_MEMORY + 1)

struct bp_event {
	enum bp_event_kind kind;
	enum bp_reason reason;	/* CLOSED */
	int err;		/* CLOSED: the negative errno behind it, or 0 */
	struct bp_conn *conn;
	struct bp_buf *buf;	/* RECEIVED; else NULL */
	uint64_t arrived_ns;	/* CLOCK_MONOTONIC */
};

/* ---- endpoints ---------------------------------------------------------- */

/* Whom fair accounts to; the address is the host's, on a Unix socket the user's. */
enum bp_peer_by { BP_PEER_CONN, BP_PEER_ADDR, BP_PEER_KEY };

extern BP_API const struct bp_qdisc_ops
	bp_qdisc_unbounded,	/* never waits: memory is bounded by nothing */
	bp_qdisc_one_place,	/* one event, a frame in each reader's hand */
	bp_qdisc_bounded,	/* places events, likewise */
	bp_qdisc_bytes,		/* budget bytes, first come first served */
	bp_qdisc_prio,		/* budget bytes, strict bands */
	bp_qdisc_fair;		/* budget bytes, shared among peers by weight */

struct bp_endpoint_config {
	const struct bp_qdisc_ops *qdisc;	/* bp_qdisc_fair */
	size_t budget;		/* bytes held at most, overhead included; 128 MiB */
	size_t places;		/* bounded: events; 1024 */
	unsigned bands;		/* prio: 8, 0 is served first; at most 64 */
	unsigned min_share;	/* prio: percent of the bytes for each band; 0 */
	enum bp_peer_by peer_by;	/* whom memory and turns are accounted to; BP_PEER_CONN */
	size_t guarantee;	/* bytes set aside in budget for each peer; 64 KiB, or less:
				 * those of conns_max peers are at most half of it */
	size_t peer_max;	/* fair: bytes one peer holds; budget / 8, or two frames */
	int target_ms;		/* fair: shrink the pool above this delay; off */
	size_t handlers_max;	/* handlers running at once; no limit. 1: no locks. All
				 * connections then have handlers */
	size_t conns_max;	/* accepting pauses here; 1024, less if RLIMIT_NOFILE is */
	size_t conns_per_addr;	/* more are refused; no limit */
	size_t stack_size;	/* bytes for each reader, your handlers' stack; 256 KiB */
	void (*log)(int level, const char *line, void *log_arg); /* syslog levels; silent */
	void *log_arg;
};

/*
 * config may be NULL. Returns -EINVAL for parameters that contradict each other, and
 * for a discipline of yours that fails a short trial (the log tells which rule).
 */
BP_API int bp_endpoint_new(struct bp_endpoint **ret_ep,
    const struct bp_endpoint_config *config);

/*
 * Set qdisc and parameters from text: "fair:budget=64M,peer_max=32M"; the names
 * are those of the fields. bp_qdisc_help() gives name and purpose of the i-th
 * discipline, NULL after the last.
 */
BP_API int bp_qdisc_parse(struct bp_endpoint_config *config, const char *text);
BP_API const char *bp_qdisc_help(unsigned i);

/*
 * Begin to stop: accept and read no more; what is queued is still received and can
 * be answered; each connection closes when its last event and payload are released.
 * Never waits; allowed anywhere. bp_receive() gives what is queued, then -EPIPE.
 */
BP_API void bp_endpoint_close(struct bp_endpoint *ep);

/*
 * Close, wait up to grace_ms, abort the rest, join every thread. Blocks. No thread
 * and no descriptor is left. A second call can shorten the grace of the first. From a
 * callback: closes and returns -EDEADLK. Returns -ETIMEDOUT when a handler of yours
 * has not returned (the log names it).
 */
BP_API int bp_endpoint_stop(struct bp_endpoint *ep, int grace_ms);

/*
 * Stop with a grace of 0 if need be, wait for your handlers, drop what is queued.
 * Blocks; in a callback it only closes. References you still hold stay valid, and
 * are only memory.
 */
BP_API void bp_endpoint_free(struct bp_endpoint *ep);

/* ---- connections: how they are made ------------------------------------- */

/*
 * Handlers. With received, all four of the first group are called, instead of
 * events; without it they must be NULL and bp_receive() gets the events.
 * They run on the connection's own reader thread, one at a time and in order:
 * the time they take is the backpressure. They may wait, in bp_send() as well.
 *
 * throttled and unthrottled serve both ways. They alternate, one at a time, end
 * with unthrottled, and come before closed. throttled runs inside the bp_send()
 * that crossed the mark (hold no lock there that it takes), unthrottled on the
 * writer thread, perhaps while a handler runs: it may be what that waits for. A
 * mark crossed while unthrottled runs is told there, too, right after it.
 */
struct bp_conn_ops {
	void (*opened)(struct bp_conn *conn, void *data);
	void (*received)(struct bp_conn *conn, struct bp_buf *buf, void *data);
	void (*ended)(struct bp_conn *conn, void *data);
	void (*closed)(struct bp_conn *conn, enum bp_reason why, int err, void *data);

	void (*throttled)(struct bp_conn *conn, void *data);
	void (*unthrottled)(struct bp_conn *conn, void *data);
};

extern BP_API const struct bp_framer_ops
	bp_framer_raw,		/* what recv(2) returned, or expect bytes */
	bp_framer_line,		/* up to '\n', which is not part of the frame */
	bp_framer_u32be;	/* a 4-byte big-endian length, then so many bytes */

struct bp_conn_config {
	const struct bp_framer_ops *framer;	/* raw */
	size_t expect;		/* raw: bytes in a frame, see bp_conn_expect(); BP_ANY */
	size_t frame_max;	/* bytes; 16 MiB (line: 16 KiB), or what budget and peer_max
				 * can ever admit; set above that: -EINVAL */
	const struct bp_conn_ops *ops;	/* none; must outlive the connection */
	void *data;		/* first value of bp_conn_data() */

	size_t out_high;	/* bytes queued at which throttled; 256 KiB */
	size_t out_low;		/* bytes queued at which no more; half of out_high */
	enum bp_switch couple;	/* while throttled neither read nor deliver its
				 * frames; accepted connections on, made ones off */
	bool half_open;		/* do not close after ENDED: I shall; closes by itself */

	unsigned band;		/* prio: 0 */
	unsigned weight;	/* fair: 1..1024; 64 */
	/*
	 * prio: the band of the frame that starts so, or negative: it is malformed. head
	 * is the wire's, the framer's header included: 64 bytes, unless the whole frame
	 * is less. On the reader thread, before memory is asked for; none: band.
	 */
	int (*classify)(struct bp_conn *conn, const void *head, size_t len,
	    void *data);

	int header_ms;		/* from a header's first byte to its last; 10 s */
	int frame_ms;		/* likewise a frame, less what it waited for us; 120 s */
	int idle_ms;		/* nothing either way; accepted 10 min, made FOREVER */
	size_t rate_min;	/* bytes/s of a frame while others wait for memory; 64 KiB */
	int rate_ms;		/* measured over that, after as much grace; 5 s */
	int write_ms;		/* under 4 KiB taken of what is queued; 60 s */
	int linger_ms;		/* close: from our end to the peer's, then cut; 5 s */

	enum bp_switch nodelay, keepalive;	/* on, on */
	enum bp_switch gather;	/* answers to one read in one write; on */
	enum bp_switch spin;	/* look for the next bytes for 50 us before sleeping,
				 * when their sender is on another core; off */
	int user_timeout_ms;	/* TCP_USER_TIMEOUT; the system's */
	size_t rcvbuf, sndbuf;	/* bytes; the kernel's own tuning */
	int backlog;		/* listeners; SOMAXCONN */
	bool reuseport;		/* listeners */
	const char *local;	/* bp_connect(): "host:port" to connect from; any */
	int (*setup)(int fd, void *data); /* options of your own, before connect or
				 * after accept; fd is yours only here; nonzero refuses */
};

/*
 * Accept connections on addr; each gets a copy of config. ":port" takes IPv4 and
 * IPv6. ret_listener may be NULL; it lives until closed or the endpoint is freed.
 * A stale Unix socket file is replaced, the own one removed at close.
 * Resolving a name blocks. Returns -EADDRINUSE, -EACCES, -ENOENT (no such name or path).
 */
BP_API int bp_listen(struct bp_endpoint *ep, struct bp_listener **ret_listener,
    const char *addr, const struct bp_conn_config *config);
BP_API const char *bp_listener_addr(const struct bp_listener *listener);
BP_API void bp_listener_close(struct bp_listener *listener);

/*
 * Connect, trying each address of a name in turn. Blocks; a slow resolver may
 * overrun the timeout. With timeout 0 only the name is resolved here: OPENED or
 * CLOSED tells how it went. ret_conn is written before the first handler or event,
 * and may be NULL; a failure returned has none. -ETIMEDOUT, -ECONNREFUSED, -EMFILE
 * (descriptors, or conns_max), ...
 */
BP_API int bp_connect(struct bp_endpoint *ep, struct bp_conn **ret_conn,
    const char *addr, const struct bp_conn_config *config, int timeout_ms);

/* Take over a connected stream socket; it counts as accepted. fd is ours on success. */
BP_API int bp_adopt(struct bp_endpoint *ep, struct bp_conn **ret_conn, int fd,
    const struct bp_conn_config *config);

/* ---- receiving ---------------------------------------------------------- */

/*
 * Take the next event, from any thread; whatever thread frees it. Until then no other
 * event of its connection is given to anyone: what arrived in order is handled in
 * order. Passes over connections that are muted, or coupled and throttled.
 */
BP_API int bp_receive(struct bp_endpoint *ep, struct bp_event **ret_event,
    int timeout_ms);

/*
 * Take up to n, as many as there are within 64 KiB, at least one; several may be of one
 * connection, in order, and its next ones wait until all of them are freed. What you
 * answer to those of one connection goes out together. Returns how many.
 */
BP_API int bp_receive_many(struct bp_endpoint *ep, struct bp_event **ret_events, int n,
    int timeout_ms);

/*
 * Handled. Once ENDED is freed, and every payload that was kept is released, the
 * connection closes, unless it is half_open.
 */
BP_API void bp_event_free(struct bp_event *event);

/*
 * Keep a payload beyond its event or handler. Returns the buffer to keep, which
 * need not be the one given (a small frame is copied), or NULL: no memory, or no
 * budget for the copy. It stays charged to the peer it came from until the last of
 * your references is gone; what out queues still hold counts in their marks.
 */
BP_API BP_MUST_USE struct bp_buf *bp_buf_ref(struct bp_buf *buf);
BP_API void bp_buf_unref(struct bp_buf *buf);

/* A buffer of your own to fill and send, charged to nobody; len may be lowered. */
BP_API int bp_buf_new(struct bp_buf **ret_buf, size_t len);

/*
 * Stop and resume reading: after return no delivery begins but that of CLOSED (one
 * that another thread has begun goes on); nothing is lost, unless the connection
 * breaks meanwhile: a reset is noticed within a second, the peer's end when unmuted.
 * Counted: as many unmutes as mutes. Output and closing go on as ever.
 */
BP_API void bp_conn_mute(struct bp_conn *conn);
BP_API void bp_conn_unmute(struct bp_conn *conn);

/*
 * The next frame is exactly len bytes (0: an empty one, at once; BP_ANY: whatever
 * arrives); those after it are config.expect bytes again. Only for the raw framer,
 * and only within this connection's opened or received, before the next frame is
 * cut: elsewhere -EPERM. Returns -EMSGSIZE above frame_max.
 */
BP_API int bp_conn_expect(struct bp_conn *conn, size_t len);

/* ---- sending ------------------------------------------------------------ */

/*
 * Send one frame: whole or not at all, never mixed with another's. Waits only while
 * the connection is throttled; so at most out_high and one frame are ever queued.
 * Success means accepted: it will be written unless the connection breaks. data and
 * iov are copied if need be, buf is shared: your reference stays yours.
 * Returns -EAGAIN, -ETIMEDOUT (nothing was queued), -EPIPE, -EMSGSIZE,
 * -EDEADLK (would wait, on the writer thread: within unthrottled).
 */
BP_API int bp_send(struct bp_conn *conn, const void *data, size_t len, int timeout_ms);
BP_API int bp_sendv(struct bp_conn *conn, const struct iovec *iov, int n, int timeout_ms);
BP_API int bp_send_buf(struct bp_conn *conn, struct bp_buf *buf, int timeout_ms);

/* Exact, not last-notified: would a send wait? How many bytes are queued? */
BP_API bool bp_conn_throttled(const struct bp_conn *conn);
BP_API size_t bp_conn_pending(const struct bp_conn *conn);

/* Wait until a send would not. -EAGAIN, -ETIMEDOUT, -EPIPE, -EDEADLK as for bp_send(). */
BP_API int bp_conn_wait_unthrottled(struct bp_conn *conn, int timeout_ms);

/* ---- ending ------------------------------------------------------------- */

/*
 * Send no more: what was accepted is written, then the peer sees the end, and you
 * its ENDED. Reading goes on. When both sides have ended the connection closes.
 */
BP_API void bp_conn_end(struct bp_conn *conn);

/*
 * close sends what was accepted, then ends in good order within linger_ms; abort ends
 * at once, with a reset, and CLOSED says why you did. After either, sends return
 * -EPIPE and nothing is delivered but CLOSED. Idempotent; abort may follow close.
 */
BP_API void bp_conn_close(struct bp_conn *conn);
BP_API void bp_conn_abort(struct bp_conn *conn, enum bp_reason why);

/*
 * Wait until its socket is gone and its last handler has returned. -EDEADLK: in one
 * of its callbacks, or in a handler of its endpoint where handlers_max is set.
 */
BP_API int bp_conn_wait_closed(struct bp_conn *conn, int timeout_ms);

BP_API struct bp_conn *bp_conn_ref(struct bp_conn *conn);
BP_API void bp_conn_unref(struct bp_conn *conn);

BP_API uint64_t bp_conn_id(const struct bp_conn *conn);		/* never used again */
BP_API const char *bp_conn_peer(const struct bp_conn *conn);
BP_API const char *bp_conn_local(const struct bp_conn *conn);
BP_API struct bp_endpoint *bp_conn_endpoint(const struct bp_conn *conn);

/* A pointer of yours, handed to every callback. Set it in opened, free it in closed. */
BP_API void *bp_conn_data(const struct bp_conn *conn);
BP_API void bp_conn_set_data(struct bp_conn *conn, void *data);

/*
 * Whom it is, say after a login. From the next frame on; what is held stays as it
 * was. key counts with BP_PEER_KEY; until it is set a connection is its own peer.
 * The weight is its peer's, that of all who share the key; 0 is 64. Returns -EINVAL
 * (weight, band), -ENOMEM.
 */
BP_API int bp_conn_set_peer(struct bp_conn *conn, uint64_t key, unsigned weight,
    unsigned band);

/* ---- watching ----------------------------------------------------------- */

struct bp_endpoint_stats {
	uint64_t received_bytes, received_events;	/* queued or handed to a handler */
	uint64_t sent_bytes;				/* written to sockets */
	uint64_t opened, closed, refused;		/* connections, ever */
	size_t conns, conns_max;			/* now; limit */
	size_t queued_events, queued_bytes;		/* not yet taken */
	size_t held_bytes, budget, out_bytes;		/* charged now; limit; to be sent */
	size_t waiting, throttled, muted;		/* connections now */
	uint64_t wait_p50_ns, wait_p99_ns, wait_max_ns;	/* in queue, since new */
	uint64_t stalls, futile_wakeups, reserved[8];
	uint64_t ended[BP_REASONS];			/* of those closed, by reason */
};

struct bp_conn_stats {
	uint64_t received_bytes, received_frames, sent_bytes, sent_frames;
	uint64_t gate_ns, muted_ns, throttled_ns, throttles;	/* time so far; edges */
	uint64_t rwnd_limited_us, sndbuf_limited_us, busy_us;	/* the kernel's TCP_INFO */
	size_t held_bytes, out_bytes;				/* now */
	bool waiting, muted, throttled;				/* now */
	enum bp_reason reason;					/* NONE while it lives */
	uint64_t reserved[8];
};

BP_API void bp_endpoint_stats(struct bp_endpoint *ep, struct bp_endpoint_stats *ret);
BP_API void bp_conn_stats(struct bp_conn *conn, struct bp_conn_stats *ret);
/* Call fn for each connection of ep, with no lock held; stop when it returns false. */
BP_API void bp_endpoint_each(struct bp_endpoint *ep,
    bool (*fn)(struct bp_conn *conn, void *arg), void *arg);

BP_API const char *bp_strerror(int err);		/* a negative errno */
BP_API const char *bp_reason_name(enum bp_reason why);	/* "stalled write" */

#ifdef __cplusplus
}
#endif
#endif /* BPTHREAD_H */
