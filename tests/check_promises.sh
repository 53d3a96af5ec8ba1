#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# docs/promises.md: no promise and no situation without a test, no test named that is
# not there.

. "${srcdir:-.}/tests/tap.sh"
cd "${srcdir:-.}" || exit 1
promises=docs/promises.md

ids='1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22'
situations='1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25'

tests_named()
{
	grep -oE '\<(test|check)_[a-z0-9_]+(\.sh)?' | sort -u
}

# exists NAME: a test function, or a script.
exists()
{
	case $1 in
	*.sh) test -f "tests/$1" ;;
	*) grep -qE "^(static )?(void|int) $1\(" tests/test_*.c ;;
	esac
}

# has_tests ID: the row of that id names tests, and they exist.
has_tests()
{
	row=$(grep -E "^\| *$1 " $promises) || {
		echo "$1 has no row"
		return
	}
	names=$(echo "$row" | tests_named)
	test -n "$names" || echo "$1 names no test"
	for name in $names; do
		exists "$name" || echo "$1: $name does not exist"
	done
}

all_named_tests_exist()
{
	for name in $(tests_named <$promises); do
		exists "$name" || echo "$name does not exist"
	done
}

for id in $ids; do
	check "P$id has a test" has_tests "P$id"
done
for number in $situations; do
	check "situation $number has a test" has_tests "$number"
done
check "every test named in $promises exists" all_named_tests_exist
plan
