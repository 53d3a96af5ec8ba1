#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What a message costs, in system calls and in instructions of the server, is not above
# the ceilings in bench/ceilings.tsv: a path that became longer shows here on a busy
# machine, too. Two runs that differ only in how many messages there are are counted,
# and the difference is divided: what a server does to start and to end is in both.
# Runs in the build tree. TAP out.
#
# "check_counters.sh record" prints a new bench/ceilings.tsv instead.

. "${srcdir:-.}/tests/tap.sh"
ceilings=${srcdir:-.}/bench/ceilings.tsv
server=bench/server_bpthread
count=bench/count
work=$tap_scratch
running=

# How many messages in the first run and in the second.
messages_of()
{
	case $1 in
	ping-pong) echo 100 600 ;;
	pipelined) echo 640 6400 ;;
	sink) echo 9600 38400 ;;
	sink-large) echo 4 12 ;;
	connect) echo 20 100 ;;
	esac
}

end_server()
{
	test -z "$running" || kill "$running" || :
	wait
	running=
} 2>/dev/null

trap 'end_server; rm -rf "$tap_scratch"' EXIT
trap 'exit 1' INT TERM HUP

# On one processor it is less the machine's affair who finds what has come already.
if first=$(taskset -cp $$ 2>/dev/null); then
	first=$(echo "$first" | sed 's/.*: *\([0-9]*\).*/\1/')
	taskset -cp "$first" $$ >/dev/null 2>&1
fi

# ---- counting -------------------------------------------------------------------

# run MODE BY MESSAGES TOOL...: what the tool counted is in $work/counted then. Both
# tools leave the server the process that was started here.
run()
{
	mode=$1 by=$2 messages=$3
	shift 3
	case $mode in
	sink*) service=sink ;;
	*) service=echo ;;
	esac
	rm -f "$work/counted"
	: >"$work/port"
	"$@" $server --by "$by" $service 0 >"$work/port" 2>"$work/log" </dev/null &
	running=$!
	await 20 grep -q '^listening on' "$work/port" &&
	    $count "$mode" "$messages" "$(sed 's/.* //' "$work/port")" 2>>"$work/log"
	failed=$?
	end_server
	return $failed
}

# Futexes apart: how many depends on who runs when, of the others it does not.
strace_run()
{
	run "$@" strace -D -f -c -o "$work/counted" &&
	    await 20 grep -q 'total$' "$work/counted" &&
	    awk '$1 ~ /^[0-9]/ { n[$NF == "futex" ? 1 : $NF != "total"? 0 : 2] += $4 }
		END { print n[0] + 0, n[1] + 0 }' "$work/counted"
}

callgrind_run()
{
	run "$@" valgrind -q --tool=callgrind --callgrind-out-file="$work/counted" &&
	    await 20 grep -qs '^totals:' "$work/counted" &&
	    sed -n 's/^totals: //p' "$work/counted"
}

# slope RUN MODE BY: each number of the run's, for one message; nothing if it failed
slope()
{
	messages_of "$2" >"$work/messages"
	read -r few many <"$work/messages"
	a=$($1 "$2" "$3" "$few") && b=$($1 "$2" "$3" "$many") || {
		cat "$work/log" >&2
		return 1
	}
	echo "$a $b" | awk -v n=$((many - few)) '{
		for (i = 1; i <= NF / 2; i++)
			printf "%.4f ", ($(NF / 2 + i) - $i) / n
		print ""
	}'
}

# ---- recording ------------------------------------------------------------------

# worst_of RUN MODE BY: of three times, each number the highest; none is below 0
worst_of()
{
	for time in 1 2 3; do
		slope "$@" || return 1
	done | awk '{
		for (i = 1; i <= NF; i++)
			if ($i > worst[i])
				worst[i] = $i
		fields = NF
	} END {
		for (i = 1; i <= fields; i++)
			printf "%s ", worst[i] + 0
	}'
}

record()
{
	cat <<-END
	# SPDX-License-Identifier: BSD-2-Clause
	#
	# What a message may cost bench/server_bpthread: in system calls other than futex,
	# in futexes, in instructions. Written by "sh tests/check_counters.sh record", judged
	# by tests/check_counters.sh. Each is the highest of three counts, and a margin: a
	# quarter; twice for futexes, but ten times by receive, where they depend on who runs
	# when; four times for sink-large, whose system calls depend on how fast the bytes
	# come; and what 2 calls and 8 futexes are for one message, as no two starts are alike.
	#
	# machine: $(uname -m)
	mode	by	calls	futexes	instructions
	END
	for by in handler receive; do
		for mode in ping-pong pipelined sink sink-large connect; do
			echo "$mode $by $(worst_of strace_run $mode $by)" \
			    "$(worst_of callgrind_run $mode $by) $(messages_of $mode)" |
			    awk '{ large = $1 == "sink-large" ? 4 : 0
				times = $2 == "receive" ? 10 : large ? large : 2
				printf "%s\t%s\t%.4f\t%.4f\t%.0f\n", $1, $2,
				    $3 * (large ? large : 1.25) + 2 / ($7 - $6),
				    $4 * times + 8 / ($7 - $6), $5 * 1.25 }'
		done
	done
}

# ---- judging --------------------------------------------------------------------

# above CEILING...: says which number of $work/slope is, or that there is none
above()
{
	echo "$*" | cat "$work/slope" - | awk '
	NR == 1 { for (i = 1; i <= NF; i++) got[i] = $i; numbers = NF }
	NR == 2 { for (i = 1; i <= NF; i++) {
			if (numbers != NF || got[1] <= 0)
				wrong = "nothing was counted"
			else if (got[i] > $i)
				wrong = wrong " " got[i] " is above " $i
		}
	}
	END { if (NR != 2) wrong = "nothing was counted"; if (wrong) print wrong }'
}

# within RUN MODE BY CEILING...: what another program disturbs is not there each time,
# what the server does is, so one count of three is enough. What failed altogether may
# have taken until its deadline, and is not tried again, nor the rest.
within()
{
	run=$1 mode=$2 by=$3
	shift 3
	if test -s "$work/failed"; then
		echo "not counted after what failed before"
		return
	fi
	for time in 1 2 3; do
		if ! slope "$run" "$mode" "$by" >"$work/slope" 2>>"$work/failed"; then
			echo "could not be counted" >>"$work/failed"
			cat "$work/failed"
			return
		fi
		test -n "$(above "$@")" || return 0
	done
	above "$@"
}

can_strace()
{
	strace -D -f -c -o "$work/counted" true 2>/dev/null &&
	    await 20 grep -q 'total$' "$work/counted"
}

can_callgrind()
{
	valgrind -q --tool=callgrind --callgrind-out-file="$work/counted" true 2>/dev/null
}

# Why not to count what; nothing when there is no reason.
why_no_calls()
{
	can_strace || echo "strace was not found, or may not trace"
}

why_no_instructions()
{
	machine=$(sed -n 's/^# machine: //p' "$ceilings")
	case " ${CFLAGS--O2} " in
	*" -O"[123s]*) ;;
	*) echo "built without optimisation" && return ;;
	esac
	if test "$machine" != "$(uname -m)"; then
		echo "the ceilings are those of $machine"
	elif ! can_callgrind; then
		echo "valgrind was not found, or does not run"
	fi
}

why_nothing()
{
	if ! test -x $server || ! test -x $count; then
		echo "$server and $count were not built"
	elif test "$(head -c 2 $server)" = '#!'; then
		echo "$server is a script that runs it"
	elif ${NM:-nm} $server | grep -qE '__(a|t|ub)san_'; then
		echo "built with a sanitizer"
	fi
}

# judge WHY SENTENCE RUN MODE BY CEILING...
judge()
{
	why=$1 sentence=$2
	shift 2
	if test -n "$why"; then
		skip "$sentence" "$why"
	else
		check "$sentence" within "$@"
	fi
}

judge_all()
{
	grep -vE '^(#|mode	)' "$ceilings" >"$work/ceilings"
	why=$(why_nothing)
	no_calls=${why:-$(why_no_calls)}
	no_instructions=${why:-$(why_no_instructions)}
	while read -r mode by calls futexes instructions; do
		judge "$no_calls" \
		    "$mode by $by: at most $calls system calls and $futexes futexes" \
		    strace_run "$mode" "$by" "$calls" "$futexes"
		judge "$no_instructions" \
		    "$mode by $by: at most $instructions instructions" \
		    callgrind_run "$mode" "$by" "$instructions"
	done <"$work/ceilings"
	plan
}

case ${1-} in
record) record ;;
*) judge_all ;;
esac
