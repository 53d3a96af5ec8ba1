#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# No file is forgotten: what is not named in Makefile.am is neither built, nor run, nor
# in the tarball, and nobody would notice.

. "${srcdir:-.}/tests/tap.sh"
cd "${srcdir:-.}" || exit 1

# A program is named without .c, its source's default.
all_are_named()
{
	for file; do
		test ! -f "$file" || grep -qE "(^|[ 	])${file%.c}(\.c)?( |\$)" Makefile.am ||
		    echo "$file is not in Makefile.am"
	done
}

check "headers are in Makefile.am" all_are_named include/*.h
check "the library's sources are in Makefile.am" all_are_named src/*.[ch]
check "the monitor's files are in Makefile.am" all_are_named \
    monitor/*.[ch] monitor/*.sh monitor/page/* monitor/vendor/*/*
check "the demos' sources are in Makefile.am" all_are_named demos/*.[ch]
check "suites, helpers and checks are in Makefile.am" all_are_named \
    tests/*.[ch] tests/*.sh tests/examples/*.c
check "the benchmark's files are in Makefile.am" all_are_named \
    bench/*.[ch] bench/*.cc bench/*.go bench/*.tsv
check "documents are in Makefile.am" all_are_named *.md docs/* man/*.[1-9]
plan
