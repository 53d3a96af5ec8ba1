/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.pml - the gate: who may read a frame into memory, and when.
 *
 *	reader ---> reserve ---> recv ---> put ---> consumer
 *		     |    ^				|
 *	       waits |    | granted: charged, woken	| the event and its payload,
 *		     v    |				v each by itself
 *		    line, pump, lane <-------------- release, cancel
 *
 * A peer has a guarantee; what it holds above that is of the pool, which all share.
 * A request passes in the lane, within the guarantee, or has to be chosen for the
 * pool. Which peer is chosen is the discipline's affair (tags, bands, arrival): here
 * it is any, and one that comes later may be chosen before it. But while the chosen
 * one does not fit nobody else is granted of the pool, lest small ones starve it; only
 * the lane goes on. Whatever is read, kept, dropped or ended, in whatever order,
 *
 *	what is held stays within the budget, the pool and the peer's limit;
 *	all of it comes back, once, and the guarantee of a peer not before;
 *	nobody waits who could go on, or is woken in vain, and every wait ends (R5);
 *	readers that wait hold nothing of the pool (R8);
 *	who is within its guarantee waits for no stranger, however long that stalls.
 *
 * The scenes: three or four connections of three peers or two, with frames to come
 * that cost little, or the most that is ever admitted. One consumer, which may keep a
 * payload beyond the event. A connection may end at any moment. The network may stall
 * within a frame, and the application keep what it keeps, until nothing else can
 * happen: then whoever waits must have a reason. After that the deadline passes.
 *
 * A section of a lock is one atomic step and a nap is a wait on a condition, as in
 * level.pml. All of it is under Q.
 */
#if defined LANE	/* three peers; one may stand behind another who stalls */
#define CONNS		3
#define PEER(r)		(r)
#define FRAMES(r)	(r == 2 -> 2 : 1)
#define SMALLEST(r)	SMALL
#define POOL		3
#define GUARANTEES	3
#define CHUNK		0
#define KEEPS		1
#define ENDS		1	/* besides those by deadline */
#elif defined LINE	/* two of one peer, one behind the other; two that want much */
#define CONNS		4
#define PEER(r)		(r / 2 + r / 3)
#define FRAMES(r)	1
#define SMALLEST(r)	(r < 2 -> SMALL : LARGEST)
#define POOL		3
#define GUARANTEES	3
#define CHUNK		0
#define KEEPS		0
#define ENDS		1
#elif defined LIMIT	/* two of one peer, which has a limit; and chunks */
#define CONNS		3
#define PEER(r)		(r / 2)
#define FRAMES(r)	(r == 2 -> 2 : 1)
#define SMALLEST(r)	SMALL
#define POOL		4
#define GUARANTEES	2
#define CHUNK		1
#define KEEPS		1
#define ENDS		1
#else	/* PLACE: the third peer comes when one of the others is gone */
#define CONNS		3
#define PEER(r)		(r)
#define FRAMES(r)	1
#define SMALLEST(r)	SMALL
#define POOL		3
#define GUARANTEES	2
#define CHUNK		0
#define KEEPS		1
#define ENDS		2
#endif

#define GUARANTEE	1
#define BUDGET		(POOL + GUARANTEES * GUARANTEE)
#define OVERHEAD	1	/* of an event */
#define SMALL		1	/* what a frame costs, its overhead included */
#define LARGEST		3	/* I4: it fits an empty pool */
#ifdef MUTANT_LIMIT_IS_A_FRAME
#define PEER_MAX	LARGEST
#else
#define PEER_MAX	(LARGEST + GUARANTEE)
#endif

#define NOBODY		255

/* ---- what there is ------------------------------------------------------- */

/* a peer */
byte held[3];
byte conns[3];			/* of which CLOSED was not yet freed */
chan line[3] = [2] of { byte };	/* its readers at the gate, */
byte asks[3];			/* what the first of them asks for, */
bool armed[3];			/* and whether the peer's own limit allows it */

/* the gate */
byte pool_used;
byte head = NOBODY;		/* the peer that was chosen for the pool */
byte guarantees;		/* taken */

/* a connection */
mtype = { OPEN, BROKEN, CUT };
mtype stage[4] = OPEN;
byte cost[4];			/* what its reader asks for, or has been granted */
bool granted[4];
byte in_hand[4];		/* held for what its reader has not delivered */
chan queue[4] = [3] of { byte };	/* its events, by what they cost; CLOSED: 0 */
byte events[4];			/* those queued or out, but for that */

/* its reader, at flow->reader_cond */
bool asleep[4];
bool crowded[4];		/* until its own events leave room for a chunk */

#define nap(me)		asleep[me] = true; !asleep[me]
#define wake(who)	asleep[who] = false

byte told_closed;

/* what does not outlast a step */
hidden byte first, chosen, entry;

/* ---- the discipline ------------------------------------------------------ */

#define ABOVE(h)		((h) > GUARANTEE -> (h) - GUARANTEE : 0)
#define FITS_GUARANTEE(p, c)	(held[p] + c <= GUARANTEE)
#define FITS_LIMIT(p, c)	(held[p] + c <= PEER_MAX)
#define FITS_POOL(p, c) \
	(pool_used + ABOVE(held[p] + c) - ABOVE(held[p]) <= POOL)

inline charge(p, bytes)
{
	pool_used = pool_used + ABOVE(held[p] + bytes) - ABOVE(held[p]);
	held[p] = held[p] + bytes;
	assert(held[0] + held[1] + held[2] <= BUDGET);
	assert(pool_used <= POOL);
	assert(held[p] <= LARGEST + GUARANTEE)
}

/* it may be chosen; before who was, with an earlier tag or a higher band */
inline arm(p)
{
	armed[p] = true;
	if
	:: head != NOBODY -> head = p
	:: true
	fi
}

/* a line has another first */
inline look_at_first(p)
{
	armed[p] = false;
	asks[p] = 0;
	if
	:: nempty(line[p]) ->
		line[p]?<first>;
		asks[p] = cost[first];
		if
		:: FITS_LIMIT(p, asks[p]) -> arm(p)
		:: else
		fi
	:: empty(line[p])
	fi
}

/* R5: it is charged before its reader wakes, and nobody else wakes */
inline grant_first(p)
{
	assert(head == NOBODY || head == p || FITS_GUARANTEE(p, asks[p]));
	head = (head == p -> NOBODY : head);
	line[p]?first;
	charge(p, cost[first]);
	granted[first] = true;
#ifndef MUTANT_GRANTED_IN_SILENCE
	wake(first);
#endif
	look_at_first(p)
}

inline serve_lane(p)
{
	do
	:: asks[p] > 0 && FITS_GUARANTEE(p, asks[p]) -> grant_first(p)
	:: else -> break
	od
}

/* bp__qdisc_pump_locked() */
inline pump()
{
	do
	:: head == NOBODY && armed[0] -> head = 0
	:: head == NOBODY && armed[1] -> head = 1
	:: head == NOBODY && armed[2] -> head = 2
#ifdef MUTANT_POOL_OVERDRAWN
	:: head != NOBODY ->
#else
	:: head != NOBODY && FITS_POOL(head, asks[head]) ->
#endif
		chosen = head;
		grant_first(chosen)
#ifdef MUTANT_HEAD_PASSED_BY
	:: head != NOBODY && armed[0] && FITS_POOL(0, asks[0]) -> grant_first(0)
	:: head != NOBODY && armed[1] && FITS_POOL(1, asks[1]) -> grant_first(1)
	:: head != NOBODY && armed[2] && FITS_POOL(2, asks[2]) -> grant_first(2)
#endif
	:: else -> break
	od
}

/* ask_locked() */
inline ask(me)
{
	if
#ifdef MUTANT_LANE_OVERTAKES
	:: FITS_GUARANTEE(PEER(me), cost[me]) ->
#else
	:: asks[PEER(me)] == 0 && FITS_GUARANTEE(PEER(me), cost[me]) ->
#endif
		assert(empty(line[PEER(me)]));	/* a peer's readers pass in order */
		charge(PEER(me), cost[me]);
		granted[me] = true
	:: else ->
		line[PEER(me)]!me;
		if
		:: asks[PEER(me)] == 0 -> look_at_first(PEER(me))
		:: else
		fi;
		pump()
	fi
}

/* cancel_locked(): who stood behind it may fit the guarantee, or the pool */
inline cancel(me)
{
	line[PEER(me)]?<first>;
#ifndef MUTANT_GRANTED_WHEN_GONE
	line[PEER(me)]??eval(me);
	if
	:: first == me ->
		head = (head == PEER(me) -> NOBODY : head);
		look_at_first(PEER(me));
#ifndef MUTANT_CANCEL_SKIPS_LANE
		serve_lane(PEER(me))
#endif
	:: else
	fi;
#ifndef MUTANT_CANCEL_SKIPS_PUMP
	pump()
#endif
#endif
}

/* ---- what is charged ----------------------------------------------------- */

#ifdef MUTANT_PLACE_BACK_EARLY
#define GONE(p)	(conns[p] == 0)
#else
#define GONE(p)	(conns[p] == 0 && held[p] == 0)
#endif

/* bp__flow_leave_place_locked(): else reconnecting defeats every bound */
inline leave_place(p)
{
	if
	:: GONE(p) -> guarantees--
	:: else
	fi
}

/* its own events, queued or out, leave no room for a chunk in its guarantee */
#define CROWDED(f)	(events[f] > 0 && !FITS_GUARANTEE(PEER(f), CHUNK))

/* bp__flow_uncharge_locked() */
inline uncharge(f, bytes)
{
	assert(held[PEER(f)] >= bytes);
	pool_used = pool_used + ABOVE(held[PEER(f)] - bytes) - ABOVE(held[PEER(f)]);
	held[PEER(f)] = held[PEER(f)] - bytes;
#ifndef MUTANT_RELEASE_SKIPS_LANE
	serve_lane(PEER(f));
#endif
#ifndef MUTANT_LIMIT_FOR_EVER
	if
	:: (asks[PEER(f)] > 0 && !armed[PEER(f)]
	    && FITS_LIMIT(PEER(f), asks[PEER(f)])) -> arm(PEER(f))
	:: else
	fi;
#endif
#ifndef MUTANT_RELEASE_SKIPS_PUMP
	pump();
#endif
#ifndef MUTANT_CROWDED_UNTOLD
	if
	:: crowded[f] && !CROWDED(f) -> wake(f)
	:: else
	fi;
#endif
#ifndef MUTANT_PLACE_BACK_EARLY
	leave_place(PEER(f))
#endif
}

/* bp__flow_end(): no wait goes on; and CUT, nothing is delivered but CLOSED */
inline end(f, how)
{
	stage[f] = how;
	do
	:: how == CUT && nempty(queue[f]) ->
		queue[f]?<entry>;
		if
		:: entry > 0 -> queue[f]?entry; events[f]--; uncharge(f, entry)
		:: else -> break
		fi
	:: how != CUT || empty(queue[f]) -> break
	od;
	wake(f)
}

/* ---- what is observed, to be judged -------------------------------------- */

#define WAITS_WITH(p, r)	(PEER(r) == p && asleep[r] -> in_hand[r] : 0)

/* R8: what a peer's waiting readers hold is within its guarantee */
inline hold_nothing(p)
{
	assert(WAITS_WITH(p, 0) + WAITS_WITH(p, 1) + WAITS_WITH(p, 2)
	    + WAITS_WITH(p, 3) <= GUARANTEE)
}

/*
 * Nothing else can happen. The first of a line waits for its own peer, which holds
 * more than its guarantee; or the pool is full.
 */
inline has_a_reason(p)
{
	assert(asks[p] == 0 || !FITS_GUARANTEE(p, asks[p]));
	assert(asks[p] == 0 || FITS_LIMIT(p, asks[p]) || held[p] > GUARANTEE);
	assert(asks[p] == 0 || !FITS_LIMIT(p, asks[p])
	    || (head != NOBODY && !FITS_POOL(head, asks[head])))
}

inline everybody_has_a_reason()
{
	has_a_reason(0);
	has_a_reason(1);
	has_a_reason(2);
	assert(!crowded[0] || CROWDED(0));
	assert(!crowded[1] || CROWDED(1));
	assert(!crowded[2] || CROWDED(2))
}

/* ---- the threads --------------------------------------------------------- */

#define IS_NEW(p)	(conns[p] == 0 && held[p] == 0)

inline drop_chunk(me)
{
	if
	:: has_chunk -> atomic {	/* Q: bp__flow_release() */
		has_chunk = false;
		in_hand[me] = 0;
		uncharge(me, CHUNK)
	   }
	:: else
	fi
}

proctype reader(byte me)
{
	byte frames = FRAMES(me);
	bool has_chunk, stalls;

	atomic {	/* Q: bp__flow_open() */
		!IS_NEW(PEER(me)) || guarantees < GUARANTEES;
		guarantees = (IS_NEW(PEER(me)) -> guarantees + 1 : guarantees);
		conns[PEER(me)]++
	}
	do
	:: stage[me] != OPEN || frames == 0 -> break
	:: stage[me] == OPEN && frames > 0 ->	/* bp__flow_may_read() */
	   frames--;
	   if
	   :: CHUNK > 0 ->
		atomic {	/* Q: bp__flow_await_guarantee() */
			do
			:: stage[me] == OPEN && CROWDED(me) ->
				crowded[me] = true;
				nap(me);
				crowded[me] = false
			:: else -> break
			od
		}
		atomic {	/* Q: bp__flow_try_reserve(), of the guarantee alone */
			if
#ifdef MUTANT_CHUNK_OF_THE_POOL
			:: (asks[PEER(me)] == 0 && FITS_LIMIT(PEER(me), CHUNK)
			    && FITS_POOL(PEER(me), CHUNK)) ->
#else
			:: asks[PEER(me)] == 0 && FITS_GUARANTEE(PEER(me), CHUNK) ->
#endif
				charge(PEER(me), CHUNK);
				in_hand[me] = CHUNK;
				has_chunk = true
			:: else
			fi
		}
	   :: else
	   fi;
	   atomic {	/* Q: bp__flow_reserve() */
		if
		:: cost[me] = SMALLEST(me)
		:: cost[me] = LARGEST
		fi;
		ask(me);
		if
		:: !granted[me] && stage[me] == OPEN ->
			hold_nothing(PEER(me));
			nap(me);
			assert(granted[me] || stage[me] != OPEN)
		:: else
		fi;
		if
#ifdef MUTANT_GRANT_FORGOTTEN
		:: stage[me] != OPEN ->
			if
			:: !granted[me] -> cancel(me)
			:: else
			fi;
			break
#else
		:: !granted[me] -> cancel(me); break
#endif
		:: else -> granted[me] = false; in_hand[me] = in_hand[me] + cost[me]
		fi;
		if
		:: stalls = true
		:: true
		fi
	   }
	   if	/* recv() */
	   :: !stalls
	   :: stalls && stage[me] != OPEN
	   :: atomic { stalls && timeout ->	/* Q: the reaper's bp__flow_end() */
		everybody_has_a_reason();
#ifdef MUTANT_GIVEN_BACK_TWICE
		uncharge(me, cost[me]);
#endif
		end(me, BROKEN)
	      }
	   fi;
	   atomic {	/* Q: bp__flow_put(), or bp__flow_release() */
		in_hand[me] = in_hand[me] - cost[me];
		if
		:: stalls || stage[me] == CUT -> uncharge(me, cost[me])
		:: else -> queue[me]!cost[me]; events[me]++
		fi;
		stalls = false;
		cost[me] = 0
	   }
	   drop_chunk(me)
	od;
	drop_chunk(me);
	queue[me]!0			/* Q: bp__tell_closed() */
}

/* bp_receive(), bp_event_free(), bp_buf_unref(), until all are closed */
proctype consumer()
{
	byte from, bytes, kept, whose;
	bool for_long;

	do
	:: atomic {	/* Q: bp__qdisc_take() */
		if
		:: nempty(queue[0]) -> from = 0
		:: nempty(queue[1]) -> from = 1
		:: nempty(queue[2]) -> from = 2
		:: nempty(queue[3]) -> from = 3
		fi;
		queue[from]?bytes
	   }
	   if
	   :: bytes > OVERHEAD ->
		if
		:: atomic { uncharge(from, (bytes - OVERHEAD)) }
		:: atomic { KEEPS && kept == 0 ->
			kept = bytes - OVERHEAD;
			whose = from;
			if
			:: for_long = true
			:: true
			fi
		   }
		fi
	   :: else
	   fi;
	   atomic {	/* Q: bp__flow_turn_back() */
		if
		:: bytes > 0 -> events[from]--; uncharge(from, OVERHEAD)
		:: else ->
			told_closed++;
			conns[PEER(from)]--;
			leave_place(PEER(from))
		fi;
		bytes = 0;
		from = 0
	   }
	:: atomic { kept > 0 && for_long && timeout ->
		everybody_has_a_reason();
		for_long = false
	   }
	:: atomic { kept > 0 && !for_long ->
		uncharge(whose, kept);
		kept = 0;
		whose = 0
	   }
	:: told_closed == CONNS && kept == 0 -> break
	od
}

/* a close, an abort, a reset */
proctype ender()
{
	byte left = ENDS;

	do
	:: atomic {
		left > 0 -> left--;
		if
		:: stage[0] == OPEN -> end(0, CUT)
		:: stage[1] == OPEN -> end(1, CUT)
		:: stage[2] == OPEN -> end(2, CUT)
		:: stage[3] == OPEN && CONNS == 4 -> end(3, CUT)
		:: else
		fi
	   }
	:: break
	od
}

init
{
	atomic {
		run reader(0);
		run reader(1);
		run reader(2);
		if
		:: CONNS == 4 -> run reader(3)
		:: else
		fi;
		run consumer();
		run ender()
	}
	_nr_pr == 1;
	assert(held[0] + held[1] + held[2] + pool_used + guarantees == 0);
	assert(asks[0] + asks[1] + asks[2] == 0 && head == NOBODY)
}
