#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The ABI: what the headers declare, what the shared library exports and what
# symbols.list says are the same names. A change of the ABI shows as a change of
# that list. Runs in the build tree.

. "${srcdir:-.}/tests/tap.sh"
list=${srcdir:-.}/tests/symbols.list
shared=.libs/libbpthread.so
static=.libs/libbpthread.a

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
	${NM:-nm} -D --defined-only "$shared" | awk '{ print $NF }' |
	    grep -v '^__odr_asan' | sort -u
}

# A line that begins with < is missing, one with > is not in the list.
same_as_list()
{
	"$1" | diff "$list" -
}

static_names_are_ours()
{
	${NM:-nm} -g --defined-only "$static" | awk 'NF == 3 { print $NF }' |
	    grep -v -e '^bp_' -e '^__odr_asan'
	return 0
}

check "the headers declare what symbols.list names" same_as_list declared
if test -f $shared; then
	check "the shared library exports what symbols.list names" same_as_list exported
else
	skip "the shared library exports what symbols.list names" "it was not built"
fi
if test -f $static; then
	check "every global name of the static library begins with bp_" static_names_are_ours
else
	skip "every global name of the static library begins with bp_" "it was not built"
fi
plan
