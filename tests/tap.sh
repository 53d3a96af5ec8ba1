# SPDX-License-Identifier: BSD-2-Clause
#
# tap.sh - how the checks written in shell report, in TAP. A check is a function that
# fails, or prints what is wrong; each has a sentence that says what was to be true.

set -u
export LC_ALL=C

tap_count=0
tap_scratch=$(mktemp -d)
trap 'rm -rf "$tap_scratch"' EXIT

# check SENTENCE FUNCTION [ARGUMENT...]
check()
{
	tap_sentence=$1
	shift
	tap_count=$((tap_count + 1))
	if "$@" >"$tap_scratch/said" 2>&1 && test ! -s "$tap_scratch/said"; then
		echo "ok $tap_count - $tap_sentence"
	else
		echo "not ok $tap_count - $tap_sentence"
		sed 's/^/# /' "$tap_scratch/said"
	fi
}

# skip SENTENCE REASON
skip()
{
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

plan()
{
	echo "1..$tap_count"
}

# await SECONDS COMMAND...: until it succeeds
await()
{
	tries=$(($1 * 20))
	shift
	until "$@"; do
		tries=$((tries - 1))
		test $tries -gt 0 || {
			echo "not in time: $*"
			return 1
		}
		sleep 0.05
	done
}
