/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ending.pml - how a connection ends: by close, abort, the peer, the endpoint or a
 * deadline, against its reader, its writer, the send token and the reaper.
 *
 *	CONNECTING ---> OPEN ---> CLOSING ---> ENDED
 *	     \            \           \         ^
 *	      `------------`-----------`-> ABORTED
 *
 * Whatever the order of things, in the end
 *
 *	nobody waits for ever, and nobody runs for ever;
 *	the descriptor was closed once, with nobody in a call on it (R3);
 *	CLOSED came once, and nothing after it, nor after a close or abort of ours;
 *	what was accepted was written before FIN, unless the connection broke;
 *	the state only grew (R6).
 *
 * The scene: a connection, accepted or still being made. One thread sends, one
 * consumer receives, one thread ends it, and the peer does anything, or nothing.
 * The writer is started when first needed. A deadline may pass at any time from
 * when it runs. What a section of C leaves to be done without the lock, the
 * chores of conn.h, is done in steps of its own.
 *
 * A section of a lock is one atomic step and a nap is a wait on a condition, as in
 * level.pml, which has the notifications that are left out here.
 */

/* ---- the connection -------------------------------------------------------------------- */

#define CONNECTING	0
#define OPEN		1
#define CLOSING		2
#define ABORTED		3
#define ENDED		4

#define NO_WRITER	0
#define STARTING	1
#define RUNS		2

#define FLOW_OPEN	0
#define FLOW_STOPPING	1
#define FLOW_BROKEN	2
#define FLOW_CUT	3

/* the socket */
bool fd_open;
byte calls;			/* threads in a system call on it */
bool broken;			/* reset, by us or by the peer */
bool frame_to_come = true;
bool peer_fin;			/* and after that nothing */

/* what is true from the beginning, and chosen when it first matters */
mtype = { UNKNOWN, NO, YES, REFUSES };
mtype peer_reads = UNKNOWN;	/* what we send; it may also say that it never will */
mtype muted = UNKNOWN;		/* for ever */

/* [C] */
byte state;
bool was_open;
bool end_wanted, end_sent, out_dead;
bool peer_ended, ended_handled, stopping;
bool let_go;
bool linger;			/* its deadline runs */
bool token;			/* somebody writes to the socket */
bool from_queue;		/* ... pieces of the queue */
bool throttled;
byte queued, outq;		/* frames accepted; those of them in the queue */
bool withheld;
byte writer_state;
bool wants, admitted;		/* who sends waits; may go on */
bool c_start, c_free;		/* c->chores */
byte c_stage;

/* [Q] */
byte stage;			/* of the flow; only grows */
bool frame, ended, closed;	/* entries of its queue, in this order */
bool turn, watched;

/* [E] */
bool rings, finished;

/* what is observed, to be judged */
bool waiting;			/* the reader: not in recv, so the reaper polls for it */
bool writer_gone;
bool no_more;			/* our close or abort has returned */
byte told_closed;

/* who sleeps, each on a condition of its own (R5) */
#define SENDER		0
#define READER		1	/* at c->reader_cond */
#define WRITER		2
#define AT_FLOW		3	/* the reader, at flow->reader_cond */
#define IN_RECEIVE	4
#define WAIT_CLOSED	5
bool asleep[6];

#define nap(me)		asleep[me] = true; !asleep[me]
#define wake(who)	asleep[who] = false

/* ---- under C: send.c, writer.c --------------------------------------------------------- */

#define SENDABLE (state <= OPEN && !end_wanted && !out_dead)

/* bp__writer_wake_locked() */
inline wake_writer()
{
	if
	:: writer_state == NO_WRITER -> writer_state = STARTING; c_start = true
	:: else -> wake(WRITER)
	fi
}

inline wake_senders()
{
	wants = false;
	wake(SENDER)
}

/* bp__conn_try_end_locked(): FIN, once everything before it is written */
inline try_end()
{
	if
#ifdef MUTANT_FIN_BEFORE_DATA
	:: end_wanted && !end_sent && !out_dead && state >= OPEN ->
#else
	:: end_wanted && !end_sent && !out_dead && !token && queued == 0 ->
#endif
		assert(fd_open && outq == 0 && state >= OPEN && calls <= 1);
		end_sent = true;
#ifndef MUTANT_NO_LINGER
		linger = (state == CLOSING);
#endif
		wake(READER);
		wake(WRITER)
	:: else
	fi
}

/* count_locked(); the high mark is one frame, or two */
inline count()
{
	queued++;
	if
	:: throttled = true
	:: queued < 2
	fi
}

/* bp__conn_uncount_locked(), admit_waiting_locked() */
inline uncount()
{
	if
	:: out_dead
	:: else ->
		queued--;
		if
		:: throttled && queued == 0 ->
			throttled = false;
			if
			:: wants -> wants = false; count(); admitted = true; wake(SENDER)
			:: else
			fi
		:: else
		fi;
		try_end()
	fi
}

/* bp__conn_drop_out_locked(): what somebody is writing is his to free */
inline drop_out()
{
	out_dead = true;
	queued = 0;
	throttled = false;
#ifdef MUTANT_PIECES_FREED_IN_USE
	c_free = c_free || outq > 0;
#else
	c_free = c_free || (outq > 0 && !from_queue);
#endif
	outq = 0
}

/* bp__conn_give_token_locked() */
inline give_token()
{
	token = false;
	c_free = c_free || (from_queue && out_dead);
	from_queue = false;
	if
	:: state >= CLOSING -> wake(READER)
	:: else
	fi;
	if
	:: outq > 0 -> wake_writer()
	:: else -> try_end()
	fi
}

/* ---- under C: conn.c ---------------------------------------------------------------------- */

/* grow_locked(), the one place where state changes */
inline grow(next)
{
	assert(next > state);
	state = next;
#ifndef MUTANT_SENDERS_NOT_WOKEN
	wake_senders();
#endif
	wake(READER);
#ifndef MUTANT_WRITER_NOT_WOKEN
	wake(WRITER)
#endif
}

/* end_flow_locked() */
inline end_flow(flow_stage)
{
	c_stage = (flow_stage > c_stage -> flow_stage : c_stage)
}

/* bp__conn_abort_locked() */
inline abort_conn(flow_stage)
{
	if
	:: state >= ABORTED -> end_flow(flow_stage)
	:: else ->
		grow(ABORTED);
		end_flow(flow_stage);
		drop_out();
#ifdef MUTANT_CLOSED_BY_ABORTER
		fd_open = false;
#endif
		broken = broken || fd_open
	fi
}

/* bp__conn_close_locked() */
inline close_conn(flow_stage)
{
	if
#ifdef MUTANT_CLOSE_AFTER_END_IGNORED
	:: state >= CLOSING
#else
	:: state >= CLOSING -> end_flow(flow_stage)
#endif
	:: state < CLOSING && (state == CONNECTING || out_dead) ->
		abort_conn(flow_stage)
	:: else ->
		grow(CLOSING);
		end_flow(flow_stage);
		if
		:: end_sent -> linger = true
		:: else -> end_out()
		fi
	fi
}

/* end_out_locked() */
inline end_out()
{
	end_wanted = true;
	wake_senders();
	if
	:: queued > 0 && !token -> wake_writer()
	:: else -> try_end()
	fi
}

/* bp__conn_out_failed_locked(): nothing goes out any more */
inline out_failed()
{
	if
	:: out_dead
	:: else ->
		drop_out();
		wake_senders();
		wake(READER);
		wake(WRITER);
		if
#ifdef MUTANT_FAILED_CLOSE_GOES_ON
		:: peer_ended && state < CLOSING -> abort_conn(FLOW_BROKEN)
#else
		:: peer_ended || (state == CLOSING && !end_sent) ->
			abort_conn(FLOW_BROKEN)
#endif
		:: else
		fi
	fi
}

/* bp__conn_unlock(), its first half: what is left to be done without the lock */
inline unlock()
{
	starts = starts || c_start;
	frees = frees || c_free;
	ends = (c_stage > ends -> c_stage : ends);
	c_start = false;
	c_free = false;
	c_stage = FLOW_OPEN
}

/* ---- without a lock, and under Q ------------------------------------------------------------ */

#define CLOSED_OFF (stage == FLOW_CUT || (stage == FLOW_BROKEN && muted == YES))
#define QUIET (watched && !turn && !frame && !ended && !closed)

/* bp__conn_unlock(), its second half; bp__conn_quiet() is called by what it calls */
inline do_chores()
{
	do
	:: starts ->
		if	/* bp__writer_start() */
		:: run writer(); atomic { writer_state = RUNS; wake(READER); unlock() }
		:: atomic {	/* there is no thread to be had */
			writer_state = NO_WRITER;
			abort_conn(FLOW_BROKEN);
			wake(READER);
			unlock()
		   }
		fi;
		starts = false
	:: !starts && (frees || ends > FLOW_OPEN) ->
		atomic {	/* bp__outq_clear(); Q: bp__flow_end() */
			assert(!frees || !from_queue);
			frees = false;
			stage = (ends > stage -> ends : stage);
			watched = watched || ends == FLOW_STOPPING;
			ends = FLOW_OPEN;
			if
			:: CLOSED_OFF -> frame = false; ended = false
			:: else
			fi;
			quiet = QUIET;
			wake(AT_FLOW)
		}
	:: !starts && !frees && ends == FLOW_OPEN && quiet ->
		atomic {	/* C: bp__conn_quiet() */
			quiet = false;
			if
			:: stopping || ended_handled -> close_conn(FLOW_OPEN); unlock()
			:: else
			fi
		}
	:: else -> break
	od
}

inline does_it_read()
{
	if
	:: peer_reads != UNKNOWN
	:: peer_reads == UNKNOWN -> peer_reads = YES
	:: peer_reads == UNKNOWN -> peer_reads = NO
	:: peer_reads == UNKNOWN -> peer_reads = REFUSES
	fi
}

/* a system call on the socket: begun, and over when it returns */
inline enter_call()	{ assert(fd_open); calls++ }
inline leave_call()	{ assert(fd_open); calls-- }

#define STACK \
	bool starts, frees, quiet; \
	byte ends

/* ---- those who send ------------------------------------------------------------------------- */

/* send_message(), send_inline_locked(): two frames, each waits while throttled */
proctype sender()
{
	STACK;
	bool try_inline;
	byte left = 2;

	do
	:: left > 0 ->
		left--;
		atomic {	/* C */
			if
			:: SENDABLE && throttled -> wants = true; nap(SENDER)
			:: SENDABLE && !throttled -> count(); admitted = true
			:: else
			fi;
			if
			:: admitted && !SENDABLE -> uncount()	/* it ended meanwhile */
			:: admitted && SENDABLE && !token && outq == 0 ->
				token = true;
				try_inline = true;
				enter_call()
			:: admitted && SENDABLE && (token || outq > 0) ->
				outq++;
				if
				:: !token -> wake_writer()
				:: else
				fi
			:: admitted && SENDABLE && state == OPEN ->
				outq++;		/* withheld: more answers are to come */
				withheld = true
			:: else			/* -EPIPE */
			fi;
			admitted = false;
			unlock()
		}
		if
		:: try_inline -> atomic {	/* C, when the call has returned */
			try_inline = false;
			leave_call();
			does_it_read();
			if
			:: broken || peer_reads == REFUSES -> out_failed()
			:: !broken && peer_reads != REFUSES && !out_dead -> uncount()
			:: !broken && peer_reads != REFUSES && !out_dead -> outq++
			:: else
			fi;
			give_token();
			unlock()
		   }
		:: else
		fi;
		do_chores()
	:: else -> break
	od
}

/* writer_main(), begin_locked(), end_locked() */
proctype writer()
{
	STACK;

#define WRITER_DONE (out_dead || end_sent || state >= ABORTED)
	do
	:: atomic {	/* C */
		do
		:: !WRITER_DONE && (token || outq == 0) -> nap(WRITER)
		:: else -> break
		od;
		if
		:: WRITER_DONE -> break
		:: else -> token = true; from_queue = true; withheld = false; enter_call()
		fi;
		does_it_read()
	   }
	   atomic {	/* C, when the blocking call has returned */
		(peer_reads != NO || broken) -> leave_call();
		if
		:: broken || peer_reads == REFUSES -> out_failed()
		:: !broken && peer_reads == YES && !out_dead ->
			outq--; token = false; uncount()
		:: else
		fi;
		give_token();
		unlock()
	   }
	   do_chores()
	od;
	writer_gone = true
}

/* ---- the reader ------------------------------------------------------------------------------ */

mtype = { DATA, END, ERROR, NO_MORE };

/* what recv() returns */
inline received()
{
	atomic {
		(frame_to_come || peer_fin || broken) -> leave_call();
		waiting = true;
		if
		:: frame_to_come -> got = DATA; frame_to_come = false
		:: broken -> got = ERROR
		:: !broken && peer_fin -> got = END
		fi
	}
}

/* bp__connect_try(): the descriptor is the reader's own until it is connected */
inline connect()
{
	atomic {	/* C: bp__conn_set_fd() */
		fd_open = (state == CONNECTING)
	}
	if
	:: fd_open -> atomic {	/* C: bp__conn_opened() */
		if
		:: state == CONNECTING -> grow(OPEN); was_open = true; give_token()
		:: else -> fd_open = false
		fi;
		unlock()
	   }
	:: fd_open = false;
	   atomic { abort_conn(FLOW_BROKEN); unlock() }	/* C: bp__conn_break() */
	fi;
	do_chores()
}

/* read_frames(): until there is nothing more to be read */
inline read_frames()
{
	if
	:: muted = YES
	:: muted = NO
	fi;
	do
	:: atomic {	/* Q: bp__flow_may_read() */
		do
		:: stage == FLOW_OPEN && muted == YES -> nap(AT_FLOW)
		:: else -> break
		od;
		if
		:: stage != FLOW_OPEN -> got = NO_MORE; break
		:: else -> enter_call(); waiting = false
		fi
	   }
	   received();
	   if
	   :: got == DATA && stage == FLOW_OPEN -> atomic {	/* Q: bp__flow_put() */
		if
		:: CLOSED_OFF
		:: else -> frame = true; wake(IN_RECEIVE)
		fi
	      }
	   :: else -> break
	   fi
	od
}

/* read_ended(), tell_ended() */
inline read_ended()
{
	if
	:: got == END ->
		atomic {	/* C: bp__conn_peer_ended() */
			peer_ended = true;
			if
			:: out_dead -> abort_conn(FLOW_BROKEN)
			:: else
			fi;
			unlock()
		}
		do_chores();
		atomic {	/* Q: bp__flow_put() */
			if
			:: CLOSED_OFF
			:: else -> ended = true; wake(IN_RECEIVE)
			fi
		}
	:: got == ERROR ->
		atomic { abort_conn(FLOW_BROKEN); unlock() }
		do_chores()
	:: else
	fi
}

/* wait_for_end(), discard_to_end() */
inline wait_for_end()
{
	atomic {	/* C */
		do
		:: state < CLOSING -> nap(READER)
		:: else -> break
		od
	}
	do
	:: atomic { state == CLOSING && !peer_ended -> enter_call(); waiting = false }
		received();
		if
		:: got != DATA -> atomic {	/* C */
			peer_ended = true;
			if
			:: got == ERROR -> out_failed()
			:: else
			fi;
			unlock()
		   }
		   do_chores()
		:: else
		fi
	:: else -> break
	od;
	atomic {	/* C */
		do
		:: state == CLOSING && !end_sent && !out_dead -> nap(READER)
		:: else -> break
		od;
		drop_out();
		grow(ENDED);
		unlock()
	}
	do_chores()
}

/* join_writer(): nobody writes, and nobody will */
inline join_writer()
{
	atomic {	/* C */
		do
#ifdef MUTANT_STARTING_IGNORED
		:: token -> nap(READER)
#elif defined MUTANT_TOKEN_IGNORED
		:: writer_state == STARTING -> nap(READER)
#else
		:: token || writer_state == STARTING -> nap(READER)
#endif
		:: else -> break
		od
	}
#ifndef MUTANT_WRITER_NOT_JOINED
	(writer_state == NO_WRITER || writer_gone)
#endif
}

/* bp__reader_serve() */
proctype reader()
{
	STACK;
	mtype got;

	waiting = true;
	if
	:: !was_open -> connect()
	:: was_open
	fi;
	if
	:: state == OPEN -> read_frames(); read_ended()
	:: state != OPEN
	fi;
	if
	:: !was_open -> token = false	/* nobody has written anything */
	:: else
	fi;
	wait_for_end();
	join_writer();
	atomic { let_go = true; rings = true }		/* C, E: fd can be closed */
	atomic { closed = true; wake(IN_RECEIVE) }	/* Q: tell_closed() */
	atomic { finished = true; rings = true }	/* E */
}

/* ---- the reaper -------------------------------------------------------------------------------- */

#define STALLED (queued > 0 && (state == OPEN || state == CLOSING) && peer_reads == NO)
#define SEEN_BROKEN (state == OPEN && waiting && broken)

proctype reaper()
{
	STACK;
	bool last;

	do
	:: atomic {	/* E, C: reap(), bp__conn_close_fd() */
		rings -> rings = false; last = finished;
		if
		:: let_go && fd_open ->
			assert(calls == 0 && !token);
			assert(writer_state == NO_WRITER || writer_gone);
			fd_open = false
		:: else
		fi;
		if
		:: !fd_open -> wake(WAIT_CLOSED)
		:: else
		fi
	   }
	   if
	   :: last -> break
	   :: else
	   fi
	:: atomic {	/* C: a deadline is over, or the socket broken with nobody in recv */
		(linger && state == CLOSING) || STALLED || SEEN_BROKEN ->
		abort_conn(FLOW_BROKEN);
		unlock()
	   }
	   do_chores()
	:: atomic {	/* C: look_at_withheld() */
		withheld && !token && outq > 0 -> wake_writer(); withheld = false; unlock()
	   }
	   do_chores()
	od
}

/* ---- the application ------------------------------------------------------------------------------ */

/* bp_receive(), bp_event_free(), until CLOSED */
proctype consumer()
{
	STACK;
	bool was_end, closes;

	do
	:: atomic {	/* Q: bp__qdisc_take() */
		do
		:: turn || !(frame || ended || closed) -> nap(IN_RECEIVE)
		:: else -> break
		od;
		turn = true;
		was_end = false;
		if
		:: frame -> frame = false; assert(!no_more)
		:: !frame && ended -> ended = false; was_end = true; assert(!no_more)
		:: !frame && !ended -> told_closed++; break
		fi
	   }
	   if	/* what it may do about a frame */
	   :: !was_end -> atomic { close_conn(FLOW_CUT); unlock(); closes = true }
		do_chores()
	   :: true
	   fi;
	   atomic {	/* Q: bp__flow_turn_back() */
		no_more = no_more || closes;
		turn = false;
		quiet = QUIET
	   }
	   if
	   :: was_end -> atomic {	/* C: bp__conn_ended_handled() */
		ended_handled = true;
		if
		:: end_wanted -> close_conn(FLOW_OPEN)
		:: else
		fi;
		unlock()
	      }
	      atomic { watched = true; quiet = QUIET }	/* Q: bp__flow_watch() */
	   :: else
	   fi;
	   do_chores()
	od
}

mtype = { CLOSE, ABORT, CLOSE_ABORT, END_CLOSE, STOP, NOTHING };

/* one of the ways to end a connection, at any time, and bp_conn_wait_closed() */
proctype ender()
{
	STACK;
	mtype way;

	if
	:: way = CLOSE
	:: way = ABORT
	:: way = CLOSE_ABORT
	:: way = END_CLOSE
	:: way = STOP
	:: broken || (peer_fin && muted == NO) -> way = NOTHING
	fi;
	if
	:: way == END_CLOSE -> atomic {		/* C: bp_conn_end() */
		if
		:: state < CLOSING ->
			end_out();
			if
			:: ended_handled -> close_conn(FLOW_OPEN)
			:: else
			fi
		:: else
		fi;
		unlock()
	   }
	   do_chores()
	:: way == STOP -> atomic {		/* C: bp__conn_stop() */
		stopping = true;
		if
		:: state == CONNECTING -> abort_conn(FLOW_CUT)
		:: else -> end_flow(FLOW_STOPPING)
		fi;
		unlock()
	   }
	   do_chores()
	:: else
	fi;
	if
	:: way == CLOSE || way == CLOSE_ABORT || way == END_CLOSE ->
		atomic { close_conn(FLOW_CUT); unlock() }
		do_chores()
	:: else
	fi;
	if
	:: way == ABORT || way == CLOSE_ABORT ->
		atomic {
			no_more = (way == CLOSE_ABORT);
			abort_conn(FLOW_CUT);
			unlock()
		}
		do_chores()
	:: else
	fi;
	atomic {	/* C: bp_conn_wait_closed() */
		no_more = no_more || (way != STOP && way != NOTHING);
		if
		:: fd_open || state < ENDED -> nap(WAIT_CLOSED)
		:: else
		fi;
		assert(!fd_open && state == ENDED)
	}
}

/* the other side of the wire */
proctype peer()
{
	if
	:: peer_fin = true
	:: broken = true
	:: true			/* is silent */
	fi
}

init
{
	atomic {
		if
		:: state = OPEN; fd_open = true; was_open = true
		:: state = CONNECTING; token = true
		fi;
		run sender();
		run reader();
		run reaper();
		run consumer();
		run ender();
		run peer()
	}
	_nr_pr == 1;
	assert(told_closed == 1 && !fd_open && state == ENDED && !wants)
}
