#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The installed headers, each included alone and first: as C11 and as C++11 without a
# warning, and without a name that is not ours.

. "${srcdir:-.}/tests/tap.sh"
include=${srcdir:-.}/include

compiles_as_c11()
{
	echo "#include <$1>" |
	    ${CC:-cc} -std=c11 -pedantic -Wall -Wextra -Werror -I"$include" \
	    -fsyntax-only -x c -
}

compiles_as_cxx11()
{
	echo "#include <$1>" |
	    $CXX -std=c++11 -pedantic -Wall -Wextra -Werror -I"$include" \
	    -fsyntax-only -x c++ -
}

system_includes()
{
	sed -n 's/^#include <\([^>]*\)>.*/\1/p' "$include"/*.h | grep -v '^bpthread'
}

macros()
{
	sed 's/.*/#include <&>/' |
	    ${CC:-cc} -std=c11 -I"$include" -dM -E -x c - | awk '{ print $2 }' | sort
}

defines_only_our_macros()
{
	system_includes | macros >"$tap_scratch/system"
	{ system_includes; echo "$1"; } | macros |
	    comm -13 "$tap_scratch/system" - | grep -vE '^(BP|BPTHREAD)_'
	return 0
}

# Tags, functions and enumerators: every name a header begins a line or a list with.
declares_only_our_names()
{
	grep -oE '^(struct|enum|union) +[A-Za-z0-9_]+' "$include/$1" |
	    grep -v ' bp_'
	sed -n '/^enum/,/}/p' "$include/$1" | sed 's|/\*.*||' |
	    grep -oE '\<[A-Z][A-Z0-9_]*\>' | grep -v '^BP_'
	return 0
}

for path in "$include"/*.h; do
	header=${path##*/}
	check "$header compiles alone as C11" compiles_as_c11 "$header"
	if test -n "${CXX-}"; then
		check "$header compiles alone as C++11" compiles_as_cxx11 "$header"
	else
		skip "$header compiles alone as C++11" "no C++ compiler"
	fi
	check "$header defines no macro but BP_ ones" defines_only_our_macros "$header"
	check "$header declares no name but bp_ ones" declares_only_our_names "$header"
done
plan
