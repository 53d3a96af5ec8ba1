#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The man pages: clean for mandoc, and every public function has one. Pages of the
# system they refer to may not be installed here; those of ours must be in the tree.

. "${srcdir:-.}/tests/tap.sh"
cd "${srcdir:-.}" || exit 1

clean()
{
	$MANDOC -T lint "$1" 2>&1 |
	    grep -v -e 'referenced manual not found' -e 'outdated mandoc.db'
	return 0
}

named()
{
	sed -n 's/^\.Nm \([A-Za-z0-9_]*\).*/\1/p' man/*.[37] | sort -u
}

references_exist()
{
	sed -n 's/^\.Xr \(bp[A-Za-z0-9_]*\) .*/\1/p' "$1" | sort -u |
	while read -r page; do
		named | grep -qx "$page" || echo "$1 refers to $page"
	done
}

functions_are_named()
{
	sort tests/symbols.list tests/symbols_monitor.list >"$tap_scratch/symbols"
	named | comm -23 "$tap_scratch/symbols" -
}

metrics_are_explained()
{
	sed -n 's/^	{ "\([a-z_]*\)", BPM_.*/\1/p' monitor/metrics.c |
	while read -r name; do
		grep -qE "^\| \`(bpthread_)?$name(_total)?\`" docs/monitoring.md ||
		    echo "$name is not in docs/monitoring.md"
	done
}

for page in man/*.[37]; do
	test -f "$page" || continue
	if test -n "${MANDOC-}"; then
		check "${page##*/} is clean for mandoc" clean "$page"
	else
		skip "${page##*/} is clean for mandoc" "mandoc was not found"
	fi
	check "${page##*/} refers to pages that exist" references_exist "$page"
done
check "every public name has a page" functions_are_named
check "every metric is explained" metrics_are_explained
plan
