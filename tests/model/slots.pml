/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slots.pml - handlers_max: who calls its handler now, and who waits for a slot.
 *
 *	reader ---> wanting ---> shown ---> turn, in a slot ---> handler ---> turn_end
 *		      |		 |  ^		|
 *		      |		 v  |		| muted, throttled or cut, before it ran
 *		      |		parked <--------'
 *		      `- ended --'	muted, or throttled and coupled (R12),
 *					until unmute or unblock shows it again
 *
 * A reader with a frame in hand shows it to the discipline, and free slots go to those
 * who are next in its order: here, to any. A slot that is free is taken on the way, by
 * the same code (help first). Whatever is muted, throttled, stopped, broken or
 * aborted, at any moment,
 *
 *	at most SLOTS handlers run, at most one of a flow, and no slot is lost;
 *	nobody waits who could run, and every wait ends;
 *	CLOSED is told, once, in a slot, after all else, whatever is muted;
 *	who mutes or aborts its own flow in its handler is told no more frames;
 *	a flow that nobody ends is told all of them.
 *
 * The scene: three flows. The first meets with all of that, from its own handler or
 * from elsewhere; the others want their turns. A mute is undone in the end, unless its
 * flow has ended. Frames are at hand, or must be read first.
 *
 * A section of a lock is one atomic step and a nap is a wait on a condition, as in
 * level.pml. All is under Q but the level, and what is looked at between two frames.
 */
#ifndef SLOTS
#define SLOTS		1
#endif
#ifndef MUTES
#define MUTES		1
#endif
#ifndef THROTTLES
#define THROTTLES	1
#endif
#ifndef ENDS
#define ENDS		1
#endif
#define FRAMES		2	/* of each flow */
#define DISTURBED	0	/* the flow that meets with all of it */

#define OPEN		0
#define STOPPING	1
#define BROKEN		2
#define CUT		3

/* ---- what there is ------------------------------------------------------- */

bool throttled;			/* the level: written under C, read by anyone */

/* [Q] */
byte slots_used;

/* [Q] a flow */
byte stage[3];
byte mutes[3];
bool wanting[3];		/* its reader has something for its handler, */
bool last[3];			/* which is CLOSED; */
bool shown[3];			/* it is with the discipline, */
bool turn[3];			/* or has its slot */

/* its reader, at flow->reader_cond */
bool parked[3];
bool asleep[3];

#define nap(me)		asleep[me] = true; !asleep[me]
#define wake(who)	asleep[who] = false

/* what is observed, to be judged */
byte running;
bool in_handler[3];
bool hushed[3], no_more[3];	/* its handler has muted, or aborted it */
byte delivered[3];
bool told_closed[3];
byte may_mute = MUTES, may_end = ENDS;	/* whoever does */
byte muted;			/* to be undone */

/* ---- order.c, turn.c: under Q -------------------------------------------- */

#define THROTTLED(f)	(f == DISTURBED && throttled && stage[f] < BROKEN)
#define PASSED_OVER(f)	(mutes[f] > 0 || THROTTLED(f))
#ifdef MUTANT_MUTED_GETS_A_SLOT
#define STAYS_BEHIND(f)	THROTTLED(f)
#elif defined MUTANT_LEVEL_NOT_READ_AGAIN
#define STAYS_BEHIND(f)	(mutes[f] > 0)
#else
#define STAYS_BEHIND(f)	PASSED_OVER(f)
#endif

/* who is ending does not wait for a level or an unmute */
inline wake_ending(f)
{
	if
	:: parked[f] && stage[f] != OPEN -> wake(f)
	:: else
	fi
}

/* bp__qdisc_next_locked() */
inline next(f)
{
	shown[f] = false;
	if
	:: last[f] || !STAYS_BEHIND(f) ->
		assert(wanting[f] && !turn[f]);
		assert(last[f] || (!PASSED_OVER(f) && stage[f] != CUT));
		turn[f] = true;
		slots_used++;
		if
		:: parked[f] -> wake(f)
		:: else
		fi
#ifdef MUTANT_PASSED_OVER_IN_SILENCE
	:: else
#else
	:: else -> wake_ending(f)
#endif
	fi
}

inline fill_slots()
{
	do
	:: slots_used < SLOTS && shown[0] -> next(0)
	:: slots_used < SLOTS && shown[1] -> next(1)
	:: slots_used < SLOTS && shown[2] -> next(2)
	:: else -> break
	od
}

#ifdef MUTANT_CUT_AND_SHOWN
#define MAY_BE_SHOWN(f)	(last[f] || !PASSED_OVER(f))
#else
#define MAY_BE_SHOWN(f)	(last[f] || (!PASSED_OVER(f) && stage[f] != CUT))
#endif
#ifdef MUTANT_SHOWN_IN_ITS_TURN
#define SHOWN(f)	(shown[f])
#else
#define SHOWN(f)	(shown[f] || turn[f])
#endif

/* bp__flow_show_locked() */
inline show_flow(f)
{
	if
	:: wanting[f] && !SHOWN(f) && MAY_BE_SHOWN(f) -> shown[f] = true; fill_slots()
	:: else
	fi
}

/* ---- flow.c: under Q ----------------------------------------------------- */

/* set_stage_locked() */
inline set_stage(f, how)
{
	stage[f] = (how == BROKEN && mutes[f] > 0 -> CUT : how);
#ifndef MUTANT_CUT_NOT_HIDDEN
	if
	:: stage[f] == CUT -> shown[f] = false
	:: else
	fi;
#endif
	show_flow(f);
#ifndef MUTANT_ENDED_IN_SILENCE
	wake_ending(f)
#endif
}

/* bp__flow_end() */
inline end(f, how)
{
	if
	:: how > stage[f] -> set_stage(f, how)
	:: else
	fi
}

/* bp__flow_mute() */
inline mute(f)
{
	mutes[f]++;
	muted++;
	if
	:: mutes[f] == 1 && stage[f] == BROKEN ->
#ifdef MUTANT_CUT_BY_MUTE_IN_SILENCE
		stage[f] = CUT;
		shown[f] = shown[f] && last[f]
#else
		set_stage(f, CUT)
#endif
#ifndef MUTANT_MUTED_GETS_A_SLOT
	:: mutes[f] == 1 && stage[f] != BROKEN && !last[f] ->
		shown[f] = false;
#ifndef MUTANT_MUTED_IN_SILENCE
		wake_ending(f)
#endif
#endif
	:: else
	fi
}

inline wake_parked(f)
{
	if
	:: parked[f] && (stage[f] != OPEN || !PASSED_OVER(f)) -> wake(f)
	:: else
	fi
}

/* bp__flow_unmute() */
inline unmute(f)
{
	mutes[f]--;
	muted--;
	if
	:: mutes[f] == 0 ->
		hushed[f] = false;
#ifndef MUTANT_UNMUTED_NOT_SHOWN
		show_flow(f);
#endif
		wake_parked(f)
	:: else
	fi
}

/* bp__flow_unblock() */
inline unblock(f)
{
#ifndef MUTANT_UNBLOCKED_NOT_SHOWN
	show_flow(f);
#endif
	wake_parked(f)
}

inline park(f)
{
	parked[f] = true;
	nap(f);
	parked[f] = false
}

/* ---- turn.c: under Q ----------------------------------------------------- */

inline give_slot_back(f)
{
	turn[f] = false;
	slots_used--;
#ifndef MUTANT_SLOT_BACK_IN_SILENCE
	fill_slots()
#endif
}

#define HOPELESS(f) \
	(!last[f] && (stage[f] == CUT || (stage[f] != OPEN && PASSED_OVER(f))))
#define FORBIDDEN(f)	(!last[f] && (stage[f] == CUT || PASSED_OVER(f)))

/* bp__flow_turn(), await_slot_locked() */
inline await_slot(f)
{
	wanting[f] = true;
	do
	:: show_flow(f);
	   do
	   :: !turn[f] && !HOPELESS(f) -> park(f)
	   :: else -> break
	   od;
	   if
	   :: turn[f] && FORBIDDEN(f) ->	/* before it ran */
#ifdef MUTANT_SLOT_KEPT
		break
#else
		give_slot_back(f)
#endif
	   :: else
	   fi;
	   if
	   :: turn[f] || HOPELESS(f) -> break
	   :: else
	   fi
	od;
#ifndef MUTANT_GIVES_UP_SHOWN
	shown[f] = false;
#endif
	wanting[f] = false
}

/* ---- the threads --------------------------------------------------------- */

inline enter_handler(f)
{
	assert(!in_handler[f] && !told_closed[f]);
	in_handler[f] = true;
	running++;
	assert(running <= SLOTS)
}

inline leave_handler(f)
{
	in_handler[f] = false;
	running--
}

/*
 * Until nothing else happens. Who waits then is muted or throttled, and has not ended:
 * else what it has in hand is lost with it, rather than waited with.
 */
inline for_long()
{
	timeout;
	assert(!wanting[1] && !wanting[2]);
	assert(!wanting[DISTURBED] || (!last[DISTURBED]
	    && stage[DISTURBED] == OPEN && PASSED_OVER(DISTURBED)))
}

/* bp__flow_may_go_on(), and the quantum while another waits */
#define MAY_GO_ON(f)	(stage[f] < CUT && !PASSED_OVER(f))
#define WAITED_FOR	(shown[0] || shown[1] || shown[2])

proctype reader(byte me)
{
	byte to_come = FRAMES, at_hand;

	do
	:: at_hand == 0 && to_come > 0 ->
		atomic {	/* Q: bp__flow_may_read() */
			do
			:: stage[me] == OPEN && PASSED_OVER(me) -> park(me)
			:: else -> break
			od;
			if
			:: stage[me] != OPEN -> break
			:: else
			fi
		}
		atomic {	/* recv() */
			if
			:: at_hand = 1
			:: at_hand = to_come
			fi;
			to_come = to_come - at_hand
		}
	:: at_hand > 0 ->
		atomic {	/* Q: bp__flow_turn() */
			await_slot(me);
			if
			:: !turn[me] || FORBIDDEN(me) -> break
			:: else
			fi
		}
		do	/* handle_run() */
		:: atomic {
			assert(!hushed[me] && !no_more[me]);
			enter_handler(me);
			at_hand--;
			delivered[me]++
		   }
		   if
		   :: atomic {	/* Q: bp__flow_mute() */
			me == DISTURBED && may_mute > 0 -> may_mute--;
			mute(me);
			hushed[me] = true
		      }
		   :: atomic {	/* Q: bp__flow_end() */
			me == DISTURBED && may_end > 0 -> may_end--;
			end(me, CUT);
			no_more[me] = true
		      }
		   :: true
		   fi;
		   atomic {
			leave_handler(me);
			if
			:: at_hand > 0 && MAY_GO_ON(me)
			:: at_hand == 0 || !MAY_GO_ON(me) || WAITED_FOR -> break
			fi
		   }
		od;
		atomic { give_slot_back(me) }	/* Q: bp__flow_turn_end() */
	:: at_hand + to_come == 0 -> break
	od;
	assert(!shown[me] && !turn[me]);
	if	/* its end takes as long as its peer likes: nobody waits for that */
	:: stage[me] != OPEN -> for_long()
	:: true
	fi;
	assert(stage[me] != OPEN || delivered[me] == FRAMES);
#ifndef MUTANT_CLOSED_WITHOUT_SLOT
	atomic {	/* Q: bp__flow_turn() */
		last[me] = true;
		await_slot(me)
	}
#endif
	atomic { enter_handler(me) }
	atomic { leave_handler(me); told_closed[me] = true }
#ifndef MUTANT_CLOSED_WITHOUT_SLOT
	atomic { give_slot_back(me) }	/* Q: bp__flow_turn_end() */
#endif
}

/* mutes, and undoes all mutes, but for those of a flow that has ended */
proctype muter()
{
	do
	:: atomic { may_mute > 0 -> may_mute--; mute(DISTURBED) }	/* Q */
	:: muted > 0 ->
		if
		:: ENDS > 0 -> for_long()
		:: true
		fi;
		atomic { unmute(DISTURBED) }				/* Q */
	:: stage[DISTURBED] != OPEN || (muted == 0 && told_closed[DISTURBED]) -> break
	od
}

/* sends too much, and then its writer has sent it */
proctype sender()
{
	byte left = THROTTLES;

	do
	:: left > 0 ->
		left--;
		throttled = true;		/* C */
		if
		:: ENDS > 0 -> for_long()
		:: true
		fi;
		throttled = false;		/* C: clear_level_locked() */
		atomic { unblock(DISTURBED) }	/* Q */
	:: break
	od
}

/* a close or an abort, a reset, the end of the endpoint and then of its grace */
proctype ender()
{
	if
	:: atomic { may_end > 0 -> may_end--; end(DISTURBED, CUT) }
	:: atomic { may_end > 0 -> may_end--; end(DISTURBED, BROKEN) }
	:: atomic { may_end > 0 -> may_end--; end(DISTURBED, STOPPING) }
	   if
	   :: true -> for_long()
	   :: true
	   fi;
	   atomic { end(DISTURBED, BROKEN) }
	:: true
	fi
}

init
{
	atomic {
		run reader(0);
		run reader(1);
		run reader(2);
		run muter();
		run sender();
		run ender()
	}
	_nr_pr == 1;
	assert(slots_used == 0 && !shown[0] && !shown[1] && !shown[2])
}
