#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The ABI: what the headers declare, what the shared libraries export and what
# symbols.list and symbols_monitor.list say are the same names. A change of the ABI shows
# as a change of those lists. Runs in the build tree.

. "${srcdir:-.}/tests/tap.sh"
tests=${srcdir:-.}/tests

# One statement at a time: a function's name stands before its first parenthesis,
# variables stand between commas.
declared()
{
	for header in "${srcdir:-.}"/include/*.h; do
		${CC:-cc} -E -P -I"${srcdir:-.}/include" "$header"
	done | awk '
	BEGIN { RS = ";" }
	/visibility\("default"\)/ {
		gsub(/__attribute__[ ]*\(\([a-z_]*(\("default"\))?\)\)/, "")
		names = split(index($0, "(") ? substr($0, 1, index($0, "(") - 1) : $0, name, ",")
		for (i = 1; i <= names; i++) {
			sub(/[ \n\t]*$/, "", name[i])
			sub(/.*[^A-Za-z0-9_]/, "", name[i])
			print name[i]
		}
	}' | sort -u
}

# __odr_asan: what AddressSanitizer adds to find a variable defined twice.
exported()
{
	${NM:-nm} -D --defined-only "$1" | awk '{ print $NF }' |
	    grep -v '^__odr_asan' | sort -u
}

# A line that begins with < is missing, one with > is not in the lists.
declared_as_listed()
{
	sort "$tests/symbols.list" "$tests/symbols_monitor.list" >"$tap_scratch/lists"
	declared | diff "$tap_scratch/lists" -
}

exported_as_listed()
{
	exported "$1" | diff "$2" -
}

# not_ours LIBRARY PREFIX: what a program that is linked with it might have, too.
not_ours()
{
	${NM:-nm} -g --defined-only "$1" | awk 'NF == 3 { print $NF }' |
	    grep -v -e "^$2" -e '^__odr_asan'
	return 0
}

# check_library NAME LIST PREFIX
check_library()
{
	sentence="$1.so exports what ${2##*/} names"
	if test -f ".libs/$1.so"; then
		check "$sentence" exported_as_listed ".libs/$1.so" "$2"
	else
		skip "$sentence" "it was not built"
	fi
	sentence="every global name of $1.a begins with bp"
	if test -f ".libs/$1.a"; then
		check "$sentence" not_ours ".libs/$1.a" "$3"
	else
		skip "$sentence" "it was not built"
	fi
}

check "the headers declare what the lists name" declared_as_listed
check_library libbpthread "$tests/symbols.list" bp_
check_library libbpthread-monitor "$tests/symbols_monitor.list" 'bpm\{0,1\}_'
plan
