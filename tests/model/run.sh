#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh - explore the models: each must hold, each of its mutants must fail.
#
# A line of the table is a check: what is expected of which model in which scene,
# with which mutant. "holds": in no order of steps does an assertion fail, or is
# anybody left waiting. "ends": and none goes on for ever. "fails": a mutant, of
# which the contrary must be found. As many run at once as there are processors, so
# that what takes long stands side by side. TAP on standard output.

dir=$(cd "$(dirname "$0")" && pwd) || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

cat > "$tmp/table" << 'END'
holds ending out
holds slots level2
ends ending full
holds slots mute2
holds slots level
ends slots both
holds slots mute
holds gate line
holds slots both2
holds gate limit
holds ending full
holds gate lane
holds slots both
holds level whole
ends ending in
ends gate place
holds ending in
holds gate place
fails level whole LEVEL_COPIED
fails level whole LEVEL_NOT_READ_AGAIN
fails level whole VISIT_SKIPPED
fails level whole VISIT_EARLY
fails level whole PARKED_LATE
fails level whole CLEARED_AT_LOW_EXACTLY
fails level whole NOTIFY_ONCE
fails level whole NOTIFY_BY_ALL
fails level whole CLEARED_UNTOLD
fails level whole CLOSED_UNSETTLED
fails ending in NO_LINGER
fails ending in LATE_CLOSE_IGNORED
fails ending in FD_CLOSED_BY_ABORTER
fails ending in CLOSED_TOLD_BY_ABORTER
fails ending out END_BEFORE_DATA
fails ending out PIECES_FREED_IN_USE
fails ending out TOKEN_IGNORED
fails ending out START_IGNORED
fails ending full WRITER_NOT_JOINED
fails ending full WRITER_NOT_WOKEN
fails ending full SENDERS_NOT_WOKEN
fails ending full COUNTED_OFF_IN_SILENCE
fails ending full FAILED_CLOSE_GOES_ON
fails gate lane POOL_OVERDRAWN
fails gate lane HEAD_PASSED_BY
fails gate lane RELEASE_SKIPS_LANE
fails gate lane RELEASE_SKIPS_PUMP
fails gate lane CANCEL_SKIPS_PUMP
fails gate lane GRANTED_IN_SILENCE
fails gate lane GIVEN_BACK_TWICE
fails gate line CANCEL_SKIPS_LANE
fails gate line LANE_OVERTAKES
fails gate limit LIMIT_IS_A_FRAME
fails gate limit LIMIT_FOR_EVER
fails gate limit CHUNK_OF_THE_POOL
fails gate limit CROWDED_UNTOLD
fails gate place PLACE_BACK_EARLY
fails gate place GRANT_FORGOTTEN
fails gate place GRANTED_WHEN_GONE
fails slots mute SLOT_BACK_IN_SILENCE
fails slots mute SLOT_KEPT
fails slots mute CLOSED_WITHOUT_SLOT
fails slots mute CUT_AND_SHOWN
fails slots mute CUT_NOT_HIDDEN
fails slots mute ENDED_IN_SILENCE
fails slots mute MUTED_IN_SILENCE
fails slots mute CUT_BY_MUTE_IN_SILENCE
fails slots mute MUTED_GETS_A_SLOT
fails slots mute UNMUTED_NOT_SHOWN
fails slots level GIVES_UP_SHOWN
fails slots level LEVEL_NOT_READ_AGAIN
fails slots level PASSED_OVER_IN_SILENCE
fails slots level UNBLOCKED_NOT_SHOWN
fails slots both2 SHOWN_IN_ITS_TURN
END

CC=${CC:-cc}
for tool in spin "${CC%% *}"; do
	if ! command -v "$tool" > /dev/null; then
		echo "1..0 # SKIP there is no $tool"
		echo "0 passed, 0 failed, 1 skipped"
		exit 0
	fi
done

# explore HOW MODEL SCENE MUTANT: what pan reports
explore()
{
	case $3 in
	in) scene="-DSENDS=0 -DFRAMES=1 -DMADE" ;;
	out) scene="-DSENDS=1 -DFRAMES=0 -DMADE" ;;
	full) scene="-DSENDS=1 -DFRAMES=0 -DFULL" ;;
	lane) scene=-DLANE ;;
	line) scene=-DLINE ;;
	limit) scene=-DLIMIT ;;
	place) scene=-DPLACE ;;
	mute) scene="-DTHROTTLES=0 -DSLOTS=1" ;;
	mute2) scene="-DTHROTTLES=0 -DSLOTS=2" ;;
	level) scene="-DMUTES=0 -DSLOTS=1" ;;
	level2) scene="-DMUTES=0 -DSLOTS=2" ;;
	both) scene="-DENDS=0 -DSLOTS=1" ;;
	both2) scene="-DENDS=0 -DSLOTS=2" ;;
	*) scene= ;;
	esac
	# shellcheck disable=SC2086 # several words
	spin -a $scene ${4:+"-DMUTANT_$4"} "$dir/$2.pml" || return
	# not optimised: compiling would take longer than running
	case $1 in
	ends) $CC -w -DNP -DMEMLIM=2000 -o pan pan.c && ./pan -l -m9999 -w24 ;;
	*) $CC -w -DSAFETY -DMEMLIM=2000 -o pan pan.c && ./pan -m9999 -w24 ;;
	esac
}

# check NUMBER HOW MODEL SCENE MUTANT: its line of TAP
check()
{
	mkdir "$tmp/$1" && cd "$tmp/$1" || exit 1
	explore "$2" "$3" "$4" "$5" > report 2>&1
	found=$(sed -n 's/^pan:1: \([a-z][a-z -]*[a-z]\).*/\1/p' report)
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' report)
	ok="not ok"
	case "$2 $found" in
	"fails assertion violated"* | "fails invalid end state"*)
		ok=ok ;;
	"holds " | "ends ")
		grep -q 'errors: 0' report && ! grep -q \
		    -e 'not completed' -e 'too small' -e 'out of memory' report \
		    && ok=ok ;;
	esac
	echo "$ok $1 - $3 ($4) ${5:+with $5 }$2: ${found:-${states:-no} states}"
	[ "$ok" = ok ] || sed 's/^/# /' report
}

echo "1..$(grep -c . "$tmp/table")"
jobs=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)
number=0 running=0
while read -r how model scene mutant; do
	number=$((number + 1)) running=$((running + 1))
	check $number "$how" "$model" "$scene" "$mutant" > "$tmp/$number.tap" &
	if [ $running -ge "$jobs" ]; then
		wait
		running=0
	fi
done < "$tmp/table"
wait

passed=0 i=0
while [ $i -lt $number ]; do
	i=$((i + 1))
	cat "$tmp/$i.tap"
	grep -q '^ok' "$tmp/$i.tap" && passed=$((passed + 1))
done
echo "$passed passed, $((number - passed)) failed, 0 skipped"
[ $passed -eq $number ]
