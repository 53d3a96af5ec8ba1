/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * level.pml - a level that crosses two locks (R12), and the edges told of it (R7).
 *
 *	sender ---> queued >= HIGH: throttled ----+	written under C
 *	writer ---> queued <= LOW: not so --------+	and nowhere else
 *						  v
 *	reader, consumer: under Q, is it throttled? then park, under Q
 *
 * Nobody holds C and Q at once (R1), so between reading the level and acting on
 * it anything may happen under C. What saves it: whoever decides against reading
 * parks in the same section of Q, and whoever clears the level visits Q
 * afterwards, always. The mutants are the other orders of these steps.
 *
 * The scene: a coupled connection of an endpoint that is received from. Its peer
 * sends FRAMES; one consumer answers each with a send that waits, while another
 * thread sends on its own. When all is done the connection is closed; or it is
 * closed or aborted before, in the middle of anything.
 *
 * A section of a lock is one atomic step (README.md says why that is exact). A
 * nap is a wait on a condition: only a wake-up that comes after falling asleep
 * ends it, so one that comes too early is lost, as in life.
 */
#define FRAMES	2	/* from the peer, each answered with a byte */
#define SENDS	1	/* of the other thread, HIGH bytes each */
#define HIGH	2
#define LOW	1

/* who may sleep, each on a condition of its own (R5) */
#define CONSUMER	0	/* in bp_send() */
#define SENDER		1	/* likewise */
#define IN_RECEIVE	2	/* the consumer, in bp_receive() */
#define AT_FLOW		3	/* the reader, in bp__flow_may_read() */
#define AT_END		4	/* the reader, waiting for the others to let go */
#define WRITER		5
bool asleep[6];

#define nap(me)		asleep[me] = true; !asleep[me]
#define wake(who)	asleep[who] = false

bool throttled;			/* the level: written under C, read by anyone */

/* [C] */
byte queued;			/* bytes accepted and not yet written */
byte outq;			/* those of them that lie in the queue */
bool token;			/* somebody writes to the socket */
bool ending;			/* no further send; FIN after what was accepted */
bool fin;			/* it was sent */
bool dead;			/* nothing goes out any more */
bool writer_gone;
bool telling, told;		/* R7: somebody tells; what was told */
bool unblock;			/* chores.unblock */
chan senders = [2] of { byte, byte };	/* who waits to send, how many bytes */
bool admitted[2];

#define SENDABLE (!ending && !dead)

/* [Q] */
byte entries;			/* frames in the flow's queue */
bool last;			/* CLOSED is behind them */
bool shown;			/* the oldest is with the discipline */
bool turn;			/* one is out */
bool parked;			/* the reader waits for the level to clear */
bool idle;			/* the consumer waits for an entry */
bool cut;			/* nothing is delivered but CLOSED */

#define NOTHING	0
#define FRAME	1
#define CLOSED	2
byte handed;			/* what the consumer is given */

#ifdef MUTANT_PARKED_LATE	/* the reader leaves Q between the two */
#define DECIDE_AND_PARK
#else
#define DECIDE_AND_PARK atomic
#endif

#ifdef MUTANT_LEVEL_COPIED	/* the qdisc goes by a note of its own */
bool noted;			/* [C] the level that somebody carries there */
bool note;			/* [Q] */
#define LEVEL note
#else
#define LEVEL throttled
#endif

/* what does not outlast a step */
hidden byte ok, who, bytes, n;

/* what is observed, to be judged */
byte sent, answered;
bool in_notification, closed;
bool app_level;			/* what the application knows */
byte late;			/* frames read since the level rose */

/* ---- qdisc.c, order.c, flow.c: under Q ----------------------------------- */

/* take_ready_locked(): what is throttled stays behind, in its flow */
inline take_ready()
{
	handed = NOTHING;
	if
	:: shown ->
		shown = false;
		if
#ifdef MUTANT_LEVEL_NOT_READ_AGAIN
		:: entries > 0 ->
#else
		:: entries > 0 && !LEVEL ->
#endif
			assert(!LEVEL);
			entries--; handed = FRAME; turn = true
		:: entries == 0 -> last = false; handed = CLOSED; turn = true
		:: else
		fi
	:: else
	fi
}

/* bp__flow_show_locked(), bp__qdisc_dispatch_locked(): R5, into the waiter's hand */
inline show_oldest()
{
	if
	:: !shown && !turn && ((entries > 0 && !LEVEL) || (entries == 0 && last)) ->
		shown = true;
		if
		:: idle ->
			take_ready();
			if
			:: handed != NOTHING -> idle = false; wake(IN_RECEIVE)
			:: else
			fi
		:: else
		fi
	:: else
	fi
}

/* bp__flow_unblock(): the level was cleared, what is parked goes on */
inline visit()
{
	atomic {	/* Q */
		show_oldest();
		if
		:: parked && !LEVEL -> wake(AT_FLOW)
		:: else
		fi
	}
}

/* bp__flow_end(): cut; what waits is cancelled */
inline end_flow()
{
	atomic {	/* Q */
		cut = true;
		entries = 0;
		shown = false;
		show_oldest();
		wake(AT_FLOW)
	}
}

/* ---- notify.c -------------------------------------------------------------- */

/*
 * bp__notify(): carry the level to the callbacks, one thread at a time, until what
 * was told is what is. Anybody may tell throttled; unthrottled only the writer, or
 * the reader at the end, so that no abort and no deadline runs what may wait.
 */
inline notify(as_writer)
{
	atomic {	/* C */
#ifdef MUTANT_NOTIFY_BY_ALL
		tell = told != throttled && (throttled || as_writer);
#else
		tell = !telling && told != throttled && (throttled || as_writer);
#endif
		if
		:: tell -> telling = true; told = throttled
		:: else
		fi
	}
	do
	:: tell ->
		atomic {	/* without a lock: throttled() or unthrottled() */
			assert(!in_notification && !closed);
			assert(app_level != told);
			in_notification = true;
			app_level = told
		}
		in_notification = false;
		atomic {	/* C: who changed it meanwhile has left it to us */
			tell = told != throttled && (throttled || as_writer);
			if
			:: tell -> told = throttled
#ifdef MUTANT_NOTIFY_ONCE
			:: else -> telling = false; wake(AT_END)
#else
			:: else -> telling = false; wake(AT_END); wake(WRITER)
#endif
			fi
		}
	:: else -> break
	od
}

/* ---- conn.c: what a section of C leaves to be done without the lock -------- */

/* bp__conn_unlock(): take the chores, as the last thing in a section, ... */
inline take_chores()
{
	must_visit = unblock;
	unblock = false;
#ifdef MUTANT_LEVEL_COPIED
	must_note = noted != throttled;
	noted = throttled;
	new_note = noted
#endif
}

/* ... and do them */
inline do_chores()
{
#ifdef MUTANT_LEVEL_COPIED
	if
	:: must_note -> note = new_note; must_note = false
	:: else
	fi;
#endif
	if
	:: must_visit -> must_visit = false; visit()
	:: else
	fi
}

/* ---- marks.c, under C ---------------------------------------------------- */

/* count_locked() */
inline count(n)
{
	queued = queued + n;
	if
	:: queued >= HIGH && !throttled -> throttled = true; late = 0
	:: else
	fi
}

/* bp__conn_try_end_locked() */
inline try_end()
{
	if
	:: ending && !dead && !token && queued == 0 ->
		fin = true;
		wake(AT_END);
		wake(WRITER)
	:: else
	fi
}

/* clear_level_locked() */
inline clear_level()
{
	throttled = false;
#if !defined MUTANT_VISIT_SKIPPED && !defined MUTANT_VISIT_EARLY
	unblock = true;		/* R12: always */
#endif
#ifndef MUTANT_CLEARED_UNTOLD
	wake(WRITER)		/* to say unthrottled */
#endif
}

/* bp__conn_drop_out_locked() */
inline drop_out()
{
	dead = true;
	queued = 0;
	outq = 0;
	if
	:: throttled -> clear_level()
	:: else
	fi
}

/* bp__conn_uncount_locked(), admit_waiting_locked() */
inline uncount(n)
{
	if
	:: dead
	:: else ->
		queued = queued - n;
		if
#ifdef MUTANT_CLEARED_AT_LOW_EXACTLY
		:: throttled && queued == LOW ->
#else
		:: throttled && queued <= LOW ->
#endif
			clear_level();
			do	/* in order, until it rises again */
			:: nempty(senders) && !throttled ->
				senders?who, bytes;
				count(bytes);
				admitted[who] = true;
				wake(who)
			:: empty(senders) || throttled -> break
			od
		:: else
		fi;
		try_end()
	fi
}

/* bp__conn_give_token_locked() */
inline give_token()
{
	token = false;
	wake(AT_END);
	if
	:: outq > 0 -> wake(WRITER)
	:: else -> try_end()
	fi
}

/* bp_send() of size bytes: admitted, then tried inline or left to the writer */
inline send(me, size)
{
	atomic {	/* C: admit_locked() */
		ok = SENDABLE;
		if
		:: ok && throttled ->
			senders!me, size;
			nap(me);
			ok = admitted[me];
			admitted[me] = false
		:: ok && !throttled -> count(size)
		:: else
		fi;
		inline_try = false;
		if
		:: !ok				/* -EPIPE */
		:: ok && !SENDABLE -> uncount(size)	/* it ended meanwhile */
		:: ok && SENDABLE && (token || outq > 0) ->
			outq = outq + size;
			if
			:: !token -> wake(WRITER)
			:: else
			fi
		:: ok && SENDABLE && !token && outq == 0 ->
			token = true; inline_try = true
		fi;
		must_tell = throttled && !told && !telling;
		if
		:: !inline_try -> take_chores()
		:: else			/* the edge is told after the attempt */
		fi
	}
	if
	:: inline_try -> atomic {	/* C, when the kernel has taken n bytes of it */
		inline_try = false;
		select(n : 0 .. size);
		if
		:: !dead -> outq = outq + size - n; uncount(n)
		:: else
		fi;
		give_token();
		must_tell = throttled && !told && !telling;
		take_chores()
	   }
	:: else
	fi;
	do_chores();
	if
	:: must_tell -> must_tell = false; notify(false)
	:: else
	fi
}

/* bp_conn_close(), or, at once, bp_conn_abort() */
inline end_conn(at_once)
{
	atomic {	/* C */
		ending = true;
		do
		:: nempty(senders) -> senders?who, _; wake(who)
		:: empty(senders) -> break
		od;
		if
		:: at_once -> drop_out()
		:: else -> try_end()
		fi;
		wake(AT_END);
		wake(WRITER);
		take_chores()
	}
	end_flow();
	do_chores()
}

/* ---- the threads --------------------------------------------------------- */

/* what the inlines above keep on a thread's stack from one step to the next */
#ifdef MUTANT_LEVEL_COPIED
#define STACK	bool must_visit, must_tell, tell, inline_try, must_note, new_note
#else
#define STACK	bool must_visit, must_tell, tell, inline_try
#endif

/* another thread of the application */
active proctype sender()
{
	STACK;

	do
	:: sent < SENDS -> send(SENDER, HIGH); sent++
	:: else -> break
	od
}

/* bp_receive(), an answer, bp_event_free(); until CLOSED */
active proctype consumer()
{
	STACK;
	byte event;

	do
	:: atomic {	/* Q: bp__qdisc_take() */
		take_ready();
		if
		:: handed == NOTHING -> idle = true; nap(IN_RECEIVE)
		:: else
		fi;
		event = handed;
		handed = NOTHING
	   }
	   if
	   :: event == CLOSED -> break
	   :: else
	   fi;
	   send(CONSUMER, 1);
	   answered++;
	   atomic {	/* Q: bp__flow_turn_back() */
		turn = false;
		show_oldest()
	   }
	od
}

#define WRITER_DONE (fin || dead)
#define WRITER_TELLS (told && !throttled && !telling)

/* writer_main(), with begin_locked() and end_locked(); if there is a thread for it */
active proctype writer()
{
	STACK;

	outq > 0 || WRITER_TELLS || WRITER_DONE;
	if
	:: end_conn(true); goto none
	:: true
	fi;
	do
	:: atomic {	/* C */
		do
		:: !WRITER_TELLS && WRITER_DONE && told -> nap(WRITER)
		:: !WRITER_TELLS && !WRITER_DONE && (token || outq == 0) -> nap(WRITER)
		:: else -> break
		od;
		if
		:: WRITER_TELLS -> must_tell = true
		:: !WRITER_TELLS && WRITER_DONE -> break
		:: else -> token = true
		fi
	   }
	   if
	   :: must_tell -> must_tell = false; notify(true)
	   :: else ->
#ifdef MUTANT_VISIT_EARLY
		visit();
#endif
		atomic {	/* C, when a blocking call has sent n bytes */
			if
			:: !dead -> select(n : 1 .. outq); outq = outq - n; uncount(n)
			:: else
			fi;
			give_token();
			take_chores()
		}
		do_chores()
	   fi
	od;
none:	writer_gone = true
}

/* bp__reader_serve() */
active proctype reader()
{
	STACK;
	byte left = FRAMES;

	do
	:: left > 0 ->
		if	/* bp__flow_may_read(), which need not lock to see that it may */
		:: !cut && !LEVEL
		:: true -> DECIDE_AND_PARK {	/* Q */
			do
			:: !cut && LEVEL ->
				parked = true; nap(AT_FLOW); parked = false
			:: else -> break
			od
		   }
		fi;
		if
		:: cut -> break
		:: else -> left--	/* recv() */
		fi;
#ifndef MUTANT_LEVEL_COPIED	/* it fails of this, too; the wedge is worse */
		if
		:: throttled -> late++; assert(late <= 1)
		:: else
		fi;
#endif
		atomic {	/* Q: bp__flow_put() */
			if
			:: !cut -> entries++; show_oldest()
			:: else
			fi
		}
	:: else -> break
	od;

	atomic {	/* C: wait_for_end() */
		do
		:: !fin && !dead -> nap(AT_END)
		:: else -> break
		od;
		drop_out();
		wake(WRITER);
		take_chores()
	}
	do_chores();
	atomic {	/* C: join_writer() */
		do
		:: token -> nap(AT_END)
		:: else -> break
		od
	}
	writer_gone;
#ifndef MUTANT_CLOSED_UNSETTLED
	do
	:: atomic {	/* C: bp__notify_settle() */
		do
		:: telling -> nap(AT_END)
		:: else -> break
		od;
		if
		:: told == throttled -> break
		:: else
		fi
	   }
	   notify(true)
	od;
#endif
	assert(!in_notification && !app_level);
	closed = true;
	atomic {	/* Q: bp__tell_closed() */
		last = true;
		show_oldest()
	}
}

/* The end: when all is done, or at any time; in good order, or not. */
active proctype closer()
{
	STACK;

	if
	:: true -> dead ||
		(sent == SENDS && answered == FRAMES && queued == 0 && !app_level)
	:: true
	fi;
	if
	:: end_conn(true)
	:: end_conn(false)
	fi
}
