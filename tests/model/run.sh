#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh - explore the models: each must hold, each of its mutants must fail.
#
# A check is a line of the table below: what is expected, the model, and what it is
# compiled with. "holds": no assertion fails and nobody is left waiting, in any
# order of steps. "ends": no run goes on for ever. "fails": a mutant, in which one
# of the two must be found to be violated. TAP on standard output.

dir=$(cd "$(dirname "$0")" && pwd) || exit 1
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

in="-DSENDS=0 -DFRAMES=1 -DMADE"
out="-DSENDS=1 -DFRAMES=0 -DMADE"
full="-DSENDS=1 -DFRAMES=0 -DTHROTTLED"

cat > "$tmp/table" <<END
holds level
holds ending $in
holds ending $out
holds ending $full
ends ending $in
ends ending $full
fails level -DMUTANT_LEVEL_COPIED
fails level -DMUTANT_LEVEL_NOT_READ_AGAIN
fails level -DMUTANT_VISIT_SKIPPED
fails level -DMUTANT_VISIT_EARLY
fails level -DMUTANT_PARKED_LATE
fails level -DMUTANT_CLEARED_AT_LOW_EXACTLY
fails level -DMUTANT_NOTIFY_ONCE
fails level -DMUTANT_NOTIFY_BY_ALL
fails level -DMUTANT_CLOSED_UNSETTLED
fails ending $in -DMUTANT_NO_LINGER
fails ending $in -DMUTANT_LATE_CLOSE_IGNORED
fails ending $in -DMUTANT_FD_CLOSED_BY_ABORTER
fails ending $in -DMUTANT_CLOSED_TOLD_BY_ABORTER
fails ending $out -DMUTANT_END_BEFORE_DATA
fails ending $out -DMUTANT_PIECES_FREED_IN_USE
fails ending $out -DMUTANT_TOKEN_IGNORED
fails ending $out -DMUTANT_START_IGNORED
fails ending $full -DMUTANT_WRITER_NOT_JOINED
fails ending $full -DMUTANT_WRITER_NOT_WOKEN
fails ending $full -DMUTANT_SENDERS_NOT_WOKEN
fails ending $full -DMUTANT_COUNTED_OFF_IN_SILENCE
fails ending $full -DMUTANT_FAILED_CLOSE_GOES_ON
END

CC=${CC:-cc}
for tool in spin "${CC%% *}"; do
	if ! command -v "$tool" > /dev/null; then
		echo "1..0 # SKIP there is no $tool"
		echo "0 passed, 0 failed, 1 skipped"
		exit 0
	fi
done

# explore MODEL HOW FLAGS...: what pan says, in a directory of its own
explore()
{
	model=$1 how=$2
	shift 2
	spin -a "$@" "$dir/$model.pml" > spin.out 2>&1 || { cat spin.out; return; }
	# no -O2: compiling takes longer than running
	case $how in
	ends) $CC -w -DNP -DMEMLIM=2000 -o pan pan.c && ./pan -l -m9999 -w24 ;;
	*) $CC -w -DSAFETY -DMEMLIM=2000 -o pan pan.c && ./pan -m9999 -w24 ;;
	esac
}

# check NUMBER HOW MODEL FLAGS...: its line of TAP
check()
{
	number=$1 how=$2 model=$3
	shift 3
	mkdir "$tmp/$number" && cd "$tmp/$number" || exit 1
	explore "$model" "$how" "$@" > report 2>&1
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' report)
	found=$(sed -n 's/^pan:1: \([a-z -]*[a-z]\).*/\1/p' report)
	complete=$(grep -c 'errors: 0' report)
	grep -q -e 'not completed' -e 'too small' -e 'out of memory' report && complete=0

	ok="not ok"
	case $how in
	holds | ends)
		name="$model $how${*:+ ($*)}: $states states"
		[ "$complete" = 1 ] && ok=ok ;;
	fails)
		name="$model fails${*:+ ($*)}: ${found:-nothing was found}"
		case $found in
		"assertion violated"* | "invalid end state"*) ok=ok ;;
		esac ;;
	esac
	echo "$ok $number - $name" | sed 's/-DMUTANT_//; s/-D//g'
	[ "$ok" = ok ] || sed 's/^/# /' report | tail -n 40
}

echo "1..$(grep -c . "$tmp/table")"
jobs=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 1)
number=0 running=0
while read -r line; do
	number=$((number + 1)) running=$((running + 1))
	# shellcheck disable=SC2086 # a line is several words
	check $number $line > "$tmp/$number.tap" &
	if [ $running -ge "$jobs" ]; then
		wait
		running=0
	fi
done < "$tmp/table"
wait

passed=0
for i in $(seq $number); do
	cat "$tmp/$i.tap"
	grep -q '^ok' "$tmp/$i.tap" && passed=$((passed + 1))
done
echo "$passed passed, $((number - passed)) failed, 0 skipped"
[ $passed -eq $number ]
