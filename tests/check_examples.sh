#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Every program the documents show compiles: each literal display with a main()
# in the man pages, and the README's first block of C. TAP out.

srcdir=${srcdir:-.}
CC=${CC:-cc}
tmp=$(mktemp -d "${TMPDIR:-/tmp}/bp_examples.XXXXXX") || exit 99
trap 'rm -rf "$tmp"' EXIT
count=0
failed=0

# man_blocks PAGE PREFIX: write the page's literal displays to PREFIX1.c, ...
man_blocks()
{
	awk -v prefix="$2" '
	/^\.Bd .*-literal/	{ n++; file = prefix n ".c"; inside = 1; next }
	/^\.Ed/			{ if (inside) close(file); inside = 0; next }
	!inside			{ next }
	/^\.\\"/		{ next }
	{
		gsub(/\\&/, "")
		gsub(/\\-/, "-")
		gsub(/\\\(dq/, "\"")
		gsub(/\\\((aq|cq)/, "\047")
		gsub(/\\\(ti/, "~")
		gsub(/\\\(ha/, "^")
		gsub(/\\(e|\(rs)/, "\\")
		print > file
	}' "$1"
}

# compile FILE NAME: one line of TAP
compile()
{
	count=$((count + 1))
	if $CC -std=c11 -Wall -Wextra -Werror \
	    -I"$srcdir/include" -fsyntax-only "$1" 2>"$tmp/log"; then
		echo "ok $count - $2 compiles"
	else
		echo "not ok $count - $2 compiles"
		sed 's/^/# /' "$tmp/log"
		failed=1
	fi
}

for page in "$srcdir"/man/*.[1-9]; do
	[ -f "$page" ] || continue
	name=${page##*/}
	man_blocks "$page" "$tmp/$name."
	found=0
	for file in "$tmp/$name."*.c; do
		[ -f "$file" ] && grep -q '^main(\|[ *]main(' "$file" || continue
		found=$((found + 1))
		compile "$file" "program $found of $name"
	done
	# A display that no longer looks like one must not pass in silence.
	if grep -q '^\.Sh EXAMPLES' "$page" && [ "$found" -eq 0 ]; then
		count=$((count + 1))
		echo "not ok $count - $name has EXAMPLES and shows a whole program"
		failed=1
	fi
done
[ "$count" -gt 0 ] || {
	count=1
	failed=1
	echo "not ok 1 - there are man pages with programs"
}

awk '/^```c$/ && !seen { inside = seen = 1; next }
    /^```/ { inside = 0 }
    inside' "$srcdir/README.md" > "$tmp/readme.c" 2>/dev/null
if grep -q 'main(' "$tmp/readme.c"; then
	compile "$tmp/readme.c" "the README's server"
else
	count=$((count + 1))
	failed=1
	echo "not ok $count - the README shows a server"
fi
echo "1..$count"
exit $failed
