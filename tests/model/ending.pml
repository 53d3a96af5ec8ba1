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
 * The writer is started when first needed. A deadline may pass at any time while
 * it runs. What a section of C leaves to be done without the lock, the chores of
 * conn.h, is done in steps of its own. run.sh plays it in three parts, since at
 * once it takes minutes: in (a consumer, nobody sends), out (somebody sends, and
 * handlers receive), full (the same, throttled from the beginning).
 *
 * A section of a lock is one atomic step and a nap is a wait on a condition, as in
 * level.pml, which has the marks and the notifications that are left out here.
 */
#ifndef SENDS
#define SENDS	1		/* frames we send */
#endif
#ifndef FRAMES
#define FRAMES	1		/* frames the peer sends; 0: handlers, no consumer */
#endif

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

/* ---- what there is ------------------------------------------------------- */

/* [C] */
byte state;
bool was_open;
bool close_wanted;		/* as soon as it is connected */
bool end_wanted, end_sent;	/* FIN after what was accepted; it was sent */
bool out_dead;			/* nothing goes out any more */
bool peer_ended, ended_handled, stopping;
bool linger;			/* its deadline runs */
bool token;			/* somebody writes to the socket, */
bool from_queue;		/* pieces of the queue */
bool withheld;			/* answers that wait for more of them */
byte queued, outq;		/* frames accepted; those of them in the queue */
bool throttled, wants, admitted; /* the sender waits; may go on */
byte writer_state;
bool c_starts, c_frees;		/* c->chores */
byte c_ends;

/* [Q] */
byte stage;			/* of the flow */
bool frame, ended, closed;	/* what is in its queue, in this order */
bool turn, watched;

/* [E] */
bool finished;

/* the socket */
bool fd_open;
byte calls;			/* threads in a system call on it */
bool broken;			/* reset, by us or by the peer */
bool peer_fin;
byte to_come = FRAMES;

/* what holds from the beginning, and is chosen when it first matters */
mtype = { UNKNOWN, YES, NO, NEVER_AGAIN };
mtype peer_reads = UNKNOWN;	/* what we send; or says that it does not */
mtype muted = UNKNOWN;

/* what is observed, to be judged */
bool in_recv, writer_gone;
bool no_more;			/* a close or abort of ours has returned */
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

/* a system call: begun, and over when it returns */
#define enter_call()	assert(fd_open); calls++
#define leave_call()	assert(fd_open); calls--

/* ---- send.c, writer.c: under C ------------------------------------------- */

#define SENDABLE (state <= OPEN && !end_wanted && !out_dead)

/* count_locked(); the high mark is one frame, or more */
inline count()
{
	queued++;
	if
	:: throttled = true
	:: queued == 1
	fi
}

/* bp__writer_wake_locked() */
inline wake_writer()
{
	if
	:: writer_state == NO_WRITER -> writer_state = STARTING; c_starts = true
	:: else -> wake(WRITER)
	fi
}

#ifdef MUTANT_END_BEFORE_DATA
#define ALL_WRITTEN (was_open)
#else
#define ALL_WRITTEN (!token && queued == 0)
#endif

/* bp__conn_try_end_locked(): FIN, once everything before it is written */
inline try_end()
{
	if
	:: end_wanted && !end_sent && !out_dead && ALL_WRITTEN ->
		assert(fd_open);
		end_sent = true;
#ifndef MUTANT_NO_LINGER
		linger = (state == CLOSING);
#endif
		wake(READER);
		wake(WRITER)
	:: else
	fi
}

/* bp__conn_uncount_locked(), admit_waiting_locked() */
inline uncount()
{
	if
	:: out_dead		/* it was counted off with all the rest */
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
#ifndef MUTANT_COUNTED_OFF_IN_SILENCE
		try_end()
#endif
	fi
}

/* bp__conn_give_token_locked() */
inline give_token()
{
	token = false;
	c_frees = c_frees || (from_queue && out_dead);
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

/* bp__conn_drop_out_locked(); pieces that are being written are the writer's to free */
inline drop_out()
{
	out_dead = true;
	throttled = false;
	queued = 0;
#ifdef MUTANT_PIECES_FREED_IN_USE
	c_frees = c_frees || outq > 0;
#else
	c_frees = c_frees || (outq > 0 && !from_queue);
#endif
	outq = 0
}

/* ---- conn.c: under C ----------------------------------------------------- */

inline wake_senders()
{
	wants = false;
	wake(SENDER)
}

/* grow_locked(): the one place where state changes */
inline grow(next)
{
	assert(next > state);
	state = next;
#ifndef MUTANT_SENDERS_NOT_WOKEN
	if
	:: state > OPEN -> wake_senders()
	:: else
	fi;
#endif
#ifndef MUTANT_WRITER_NOT_WOKEN
	wake(WRITER);
#endif
	wake(READER)
}

/* end_out_locked() */
inline end_out()
{
	end_wanted = true;
	wake_senders();
	if
	:: end_sent -> linger = (state == CLOSING)
	:: !end_sent && queued > 0 && !token -> wake_writer()
	:: else -> try_end()
	fi
}

/*
 * bp__conn_close_locked(), or, at_once, bp__conn_abort_locked(). Who comes late
 * may still have less delivered than the first one wanted.
 */
inline end_conn(at_once, flow_stage)
{
#ifdef MUTANT_LATE_CLOSE_IGNORED
	c_ends = (state < (at_once -> ABORTED : CLOSING) && flow_stage > c_ends
	    -> flow_stage : c_ends);
#else
	c_ends = (flow_stage > c_ends -> flow_stage : c_ends);
#endif
	if
	:: state >= (at_once -> ABORTED : CLOSING)
	:: !at_once && state == CONNECTING && queued > 0 && !out_dead ->
		close_wanted = true;
		end_wanted = true;
		wake_senders()
	:: !at_once && state == OPEN && !out_dead -> grow(CLOSING); end_out()
	:: else ->
		grow(ABORTED);
		drop_out();
#ifdef MUTANT_FD_CLOSED_BY_ABORTER
		fd_open = false;
#endif
#ifdef MUTANT_CLOSED_TOLD_BY_ABORTER
		told_closed++;
#endif
		broken = broken || fd_open
	fi
}

/* bp__conn_out_failed_locked(): a write has failed; what comes in is still read */
inline out_failed()
{
	if
	:: out_dead
#ifdef MUTANT_FAILED_CLOSE_GOES_ON
	:: !out_dead && state != CLOSING && peer_ended ->
#else
	:: !out_dead && (state == CLOSING -> !end_sent : peer_ended) ->
#endif
		end_conn(true, FLOW_BROKEN)
	:: else -> drop_out(); wake_senders(); wake(READER); wake(WRITER)
	fi
}

/* ---- without a lock ------------------------------------------------------ */

#define STACK \
	bool starts, frees, quiet; \
	byte ends

/* bp__conn_unlock(): take the chores, as the last thing in a section, ... */
inline take_chores()
{
	starts = c_starts;
	frees = c_frees;
	ends = c_ends;
	c_starts = false;
	c_frees = false;
	c_ends = FLOW_OPEN
}

#define QUIET (watched && !turn && !frame && !ended && !closed)

/* ... and do them: bp__writer_start(), bp__outq_clear(), bp__flow_end() */
inline do_chores()
{
	if
	:: starts ->
		run writer();
		atomic {	/* C */
			if
			:: writer_state == STARTING -> writer_state = RUNS
			:: else		/* there was no thread to be had */
			fi;
			wake(READER)
		}
	:: else
	fi;
	if
	:: frees || ends > FLOW_OPEN -> atomic {	/* Q */
		assert(!frees || !from_queue);
		watched = watched || ends == FLOW_STOPPING;
		stage = (ends > stage -> ends : stage);
		stage = (stage == FLOW_BROKEN && muted == YES -> FLOW_CUT : stage);
		if
		:: stage == FLOW_CUT -> frame = false; ended = false
		:: else
		fi;
		quiet = QUIET;
		wake(AT_FLOW)
	   }
	:: else
	fi
}

/* bp__conn_quiet(): the hook of a flow that is watched, when nothing of it is left */
inline when_quiet()
{
	if
	:: quiet ->
		quiet = false;
		atomic {	/* C */
			if
			:: stopping || ended_handled -> end_conn(false, FLOW_OPEN)
			:: else
			fi;
			take_chores()
		}
		do_chores()
	:: else
	fi
}

/* bp__conn_ended_handled() */
inline end_handled()
{
	atomic {	/* C */
		ended_handled = true;
		if
		:: end_wanted -> end_conn(false, FLOW_OPEN)
		:: else
		fi;
		take_chores()
	}
	do_chores();
	atomic {	/* Q: bp__flow_watch() */
		watched = true;
		quiet = QUIET
	}
}

/* ---- those who write ----------------------------------------------------- */

inline does_it_read()
{
	if
	:: peer_reads != UNKNOWN
	:: peer_reads == UNKNOWN -> peer_reads = YES
	:: peer_reads == UNKNOWN -> peer_reads = NO
	:: peer_reads == UNKNOWN -> peer_reads = NEVER_AGAIN
	fi
}

/* send_message(), send_inline_locked(), append_locked() */
proctype sender()
{
	STACK;
	bool inline_try, appends;
	byte left = SENDS;

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
			:: admitted && SENDABLE && !token && outq == 0 ->
				token = true;
				enter_call();
				inline_try = true
			:: admitted && SENDABLE -> appends = true
			:: admitted && !SENDABLE -> uncount()
			:: !admitted		/* -EPIPE */
			fi;
			admitted = false;
			take_chores()
		}
		do_chores();
		if
		:: inline_try -> atomic {	/* C, when the call has returned */
			leave_call();
			does_it_read();
			if
			:: broken || peer_reads == NEVER_AGAIN -> out_failed()
			:: !broken && peer_reads != NEVER_AGAIN && !out_dead -> outq++
			:: !broken && peer_reads != NEVER_AGAIN && !out_dead -> uncount()
			:: else
			fi;
			give_token();
			take_chores()
		   }
		:: appends -> atomic {	/* C, when the pieces are made */
			if
			:: SENDABLE && !token -> outq++; wake_writer()
			:: SENDABLE && token -> outq++
			:: SENDABLE && state == OPEN -> outq++; withheld = true
			:: else -> uncount()
			fi;
			take_chores()
		   }
		:: else
		fi;
		do_chores();
		inline_try = false;
		appends = false
	:: else -> break
	od
}

/* writer_main(), begin_locked(), end_locked() */
proctype writer()
{
	STACK;

#define WRITER_DONE (out_dead || end_sent || state >= ABORTED)
	if
	:: atomic {	/* C: bp__writer_start() has failed */
		writer_state == STARTING -> writer_state = NO_WRITER;
		end_conn(true, FLOW_BROKEN);
		wake(READER);
		take_chores()
	   }
	:: true
	fi;
	do
	:: do_chores();
	   atomic {	/* C */
		do
		:: !WRITER_DONE && (token || outq == 0) -> nap(WRITER)
		:: else -> break
		od;
		if
		:: WRITER_DONE -> break
		:: else -> token = true; from_queue = true; enter_call()
		fi;
		withheld = false;
		does_it_read()
	   }
	   atomic {	/* C, when the blocking call has returned */
		(peer_reads != NO || broken) -> leave_call();
		if
		:: broken || peer_reads == NEVER_AGAIN -> out_failed()
		:: !broken && peer_reads == YES && !out_dead -> outq--; uncount()
		:: else
		fi;
		give_token();
		take_chores()
	   }
	od;
	writer_gone = true
}

/* ---- the reader ---------------------------------------------------------- */

mtype = { NOTHING, FRAME, END, ERROR };

/* what recv() returns */
inline received()
{
	atomic {
		(to_come > 0 || peer_fin || broken) -> leave_call();
		in_recv = false;
		if
		:: to_come > 0 ->
			to_come--;
			got = (stage == FLOW_OPEN -> FRAME : NOTHING)
		:: broken -> got = ERROR
		:: to_come == 0 && peer_fin && !broken -> got = END
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
		:: state == CONNECTING ->
			grow(OPEN);
			was_open = true;
			give_token();
			if
			:: close_wanted -> end_conn(false, FLOW_CUT)
			:: else
			fi
		:: else -> fd_open = false
		fi;
		take_chores()
	   }
	   do_chores()
	:: fd_open = false; got = ERROR
	fi
}

/* read_frames(): until there is nothing more to be read */
inline read_frames()
{
	if
	:: FRAMES > 0 -> muted = YES
	:: muted = NO
	fi;
	do
	:: atomic {	/* Q: bp__flow_may_read() */
		do
		:: stage == FLOW_OPEN && muted == YES -> nap(AT_FLOW)
		:: else -> break
		od;
		if
		:: stage != FLOW_OPEN -> got = NOTHING; break
		:: else -> enter_call(); in_recv = true
		fi
	   }
	   received();
	   if
	   :: got == FRAME -> atomic {	/* Q: bp__flow_put() */
		if
		:: stage != FLOW_CUT -> frame = true; wake(IN_RECEIVE)
		:: else
		fi
	      }
	   :: else -> break
	   fi
	od
}

/* bp__conn_peer_ended(), bp__conn_read_failed() */
inline nothing_comes()
{
	atomic {	/* C */
		peer_ended = (got == END || (got == ERROR && state == CLOSING));
		if
		:: (got == END && out_dead) ||
		    (got == ERROR && !(state == CLOSING && end_sent)) ->
			end_conn(true, FLOW_BROKEN)
		:: else
		fi;
		take_chores()
	}
	do_chores()
}

/* read_ended(), bp__tell_ended(); or it was never connected */
inline read_ended()
{
	nothing_comes();
#if FRAMES > 0
	if
	:: got == END -> atomic {	/* Q: bp__flow_put() */
		if
		:: stage != FLOW_CUT -> ended = true; wake(IN_RECEIVE)
		:: else
		fi
	   }
	:: else
	fi
#else
	if
	:: got == END && stage != FLOW_CUT -> end_handled(); when_quiet()
	:: else
	fi
#endif
}

/* wait_for_end(), discard_to_end() */
inline wait_for_end()
{
	atomic {	/* C */
		token = token && was_open;	/* nobody has written anything */
		do
		:: state < CLOSING -> nap(READER)
		:: else -> break
		od
	}
	do
	:: atomic { state == CLOSING && !peer_ended -> enter_call() }
	   received();
	   nothing_comes()
	:: state != CLOSING || peer_ended -> break
	od;
	atomic {	/* C */
		do
		:: state == CLOSING && !end_sent && !out_dead -> nap(READER)
		:: else -> break
		od;
		assert(out_dead || (end_sent && queued == 0));
		drop_out();
		grow(ENDED);
		take_chores()
	}
	do_chores()
}

/* join_writer(): nobody writes, and nobody will */
inline join_writer()
{
	atomic {	/* C */
		do
#ifndef MUTANT_TOKEN_IGNORED
		:: token -> nap(READER)
#endif
#ifndef MUTANT_START_IGNORED
		:: writer_state == STARTING -> nap(READER)
#endif
		:: else -> break
		od
	}
#ifndef MUTANT_WRITER_NOT_JOINED
	(writer_state != RUNS || writer_gone)
#endif
}

/* bp__reader_serve() */
proctype reader()
{
	STACK;
	mtype got = NOTHING;

	if
	:: was_open
	:: !was_open -> connect()
	fi;
	if
	:: state == OPEN -> read_frames()
	:: state != OPEN
	fi;
	read_ended();
	wait_for_end();
	join_writer();
	atomic {	/* C: bp__conn_close_fd() */
		assert(calls == 0 && !token);
		assert(writer_state == NO_WRITER || writer_gone);
		fd_open = false
	}
#if FRAMES > 0
	atomic { closed = true; wake(IN_RECEIVE) }		/* Q: bp__tell_closed() */
#else
	told_closed++;
#endif
	atomic { finished = true; wake(WAIT_CLOSED) }		/* C; E */
}

/* ---- the reaper ---------------------------------------------------------- */

#define LINGERS	(linger && state == CLOSING)
#define STALLED	(queued > 0 && (state == OPEN || state == CLOSING) && peer_reads == NO)
#define SEEN_BROKEN (broken && state == OPEN && !in_recv)
#define WITHHELD (withheld && outq > 0 && !token)

proctype reaper()
{
	STACK;

	do
	:: finished -> break
	:: atomic {	/* C: look_at(), look_at_withheld(): it is time */
		if
		:: LINGERS || STALLED || SEEN_BROKEN -> end_conn(true, FLOW_BROKEN)
		:: WITHHELD -> withheld = false; wake_writer()
		fi;
		take_chores()
	   }
	   do_chores()
	od
}

/* ---- the application ----------------------------------------------------- */

/* bp_receive(), bp_event_free(), until CLOSED; a frame may make it close */
proctype consumer()
{
	STACK;
	bool closes, handles_end;

	do
	:: atomic {	/* Q: bp__qdisc_take() */
		do
		:: !frame && !ended && !closed -> nap(IN_RECEIVE)
		:: else -> break
		od;
		if
		:: frame -> frame = false
		:: !frame && ended -> ended = false; handles_end = true
		:: else -> closed = false; told_closed++; break
		fi;
		assert(!no_more);
		turn = true;
		if
		:: closes = !handles_end
		:: true
		fi
	   }
	   if
	   :: closes ->
		atomic { end_conn(false, FLOW_CUT); take_chores() }
		do_chores()
	   :: else
	   fi;
	   atomic {	/* Q: bp__flow_turn_back() */
		turn = false;
		no_more = no_more || closes;
		quiet = QUIET
	   }
	   if
	   :: handles_end -> end_handled()
	   :: else
	   fi;
	   when_quiet()
	od
}

mtype = { CLOSE, ABORT, HALF_CLOSE, STOP };

/* Ends it in one of many ways, at any time; or the peer has, and we let it. */
proctype ender()
{
	STACK;
	bool ends_it;
	mtype how = NOTHING;

	if
	:: how = CLOSE
	:: how = ABORT
	:: how = HALF_CLOSE
	:: how = STOP
	:: broken || (peer_fin && muted == NO)
	fi;
	do
	:: how == NOTHING -> break
	:: else ->
		atomic {	/* C */
			ends_it = (how == CLOSE || how == ABORT
			    || (how == STOP && state == CONNECTING));
			if
			:: how == HALF_CLOSE && state < CLOSING ->
				end_out();
				ends_it = ended_handled
			:: how == STOP -> stopping = true; c_ends = FLOW_STOPPING
			:: else
			fi;
			if
			:: ends_it -> end_conn((how == ABORT || how == STOP),
			    (how == HALF_CLOSE -> FLOW_OPEN : FLOW_CUT))
			:: else
			fi;
			take_chores()
		}
		do_chores();
		if
		:: how == HALF_CLOSE -> how = CLOSE
		:: how == CLOSE -> how = ABORT
		:: how != HALF_CLOSE -> how = NOTHING
		fi
	od;
	when_quiet();
	atomic {	/* C: bp_conn_wait_closed() */
		if
		:: fd_open || state < ENDED || !finished -> nap(WAIT_CLOSED)
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
		:: state = OPEN; was_open = true; fd_open = true
#ifdef MADE
		:: state = CONNECTING; token = true
#endif
		fi;
#ifdef FULL	/* a frame is queued, senders wait, the writer has begun */
		queued = 1;
		outq = 1;
		throttled = true;
		writer_state = RUNS;
		run writer();
#endif
		run sender();
		run reader();
		run reaper();
#if FRAMES > 0
		run consumer();
#endif
		run ender();
		run peer()
	}
	_nr_pr == 1;
	assert(told_closed == 1 && !fd_open && state == ENDED && !wants)
}
