#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The closing line of "make check", from the results automake left: closing.sh FILE.trs...
# A file that is not there is a program that could not be built or run: it failed.

passed=0 failed=0 skipped=0
for results; do
	if test ! -f "$results"; then
		echo "no result: ${results%.trs}" >&2
		failed=$((failed + 1))
		continue
	fi
	failed_before=$failed
	while read -r field result _; do
		test "$field" = :test-result: || continue
		case $result in
		PASS | XFAIL) passed=$((passed + 1)) ;;
		SKIP) skipped=$((skipped + 1)) ;;
		*) failed=$((failed + 1)) ;;
		esac
	done <"$results"
	# A suite that failed says so twice, the second time by its exit status.
	test $((failed - failed_before)) -gt 1 &&
	    grep -q '^ERROR: .* exited with status 1$' "${results%.trs}.log" &&
	    failed=$((failed - 1))
done
echo "$passed passed, $failed failed, $skipped skipped"
test "$failed" -eq 0
