#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Print assets.c: the page's files as const arrays, for a compiler as for every other
# source. (ld -r -b binary would do it in a line, and make the stack executable.)
#
#	monitor/embed.sh SRCDIR >assets.c
#
# The browser asks for one script and one stylesheet, so the parts are put together here:
# the library of plots with its licence, which has to go with it, then the page's own, in
# the order in which one uses what another defines.

set -eu
export LC_ALL=C

monitor=${1:?usage: embed.sh SRCDIR}/monitor
uplot=$monitor/vendor/uPlot
page=$monitor/page
scripts='format history scales overlay plot figures tables server board page'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# bare FILE: without comments, and indentation. A third.
bare()
{
	awk '
	/^[ \t]*\/\*/ { comment = 1 }
	!comment && !/^[ \t]*\/\// && NF {
		sub(/^[ \t]+/, "")
		sub(/[ \t]+\/\/ .*/, "")
		print
	}
	/\*\/$/ { comment = 0 }' "$1"
}

{
	echo '/*'
	cat "$uplot/LICENSE"
	printf '\n*/\n'
	cat "$uplot/uPlot.iife.min.js"
	for script in $scripts; do
		bare "$page/$script.js"
	done
} >"$scratch/js"
{
	cat "$uplot/uPlot.min.css"
	bare "$page/page.css"
} >"$scratch/css"
bare "$page/index.html" >"$scratch/html"

# array NAME FILE
array()
{
	echo "static const unsigned char $1[] = {"
	od -An -v -tx1 "$2" | sed 's/ *\(..\)/0x\1,/g; s/^/	/'
	echo '};'
}

# size FILE
size()
{
	wc -c <"$1" | tr -d ' '
}

# A comment with the sizes, which tests/check_vendor.sh adds up.
for asset in html js css; do
	gzip -9n <"$scratch/$asset" >"$scratch/$asset.gz"
	echo "/* $asset: $(size "$scratch/$asset") bytes," \
	    "$(size "$scratch/$asset.gz") gzipped */" >>"$scratch/sizes"
done

echo '/* Made by monitor/embed.sh. */'
cat "$scratch/sizes"
echo '#include "assets.h"'
for asset in html js css; do
	array "${asset}_plain" "$scratch/$asset"
	array "${asset}_gzip" "$scratch/$asset.gz"
done
cat <<'END'
#define ASSET(path, type, name) \
	{ path, type "; charset=utf-8", name##_plain, name##_gzip, \
	    sizeof name##_plain, sizeof name##_gzip }
const struct bpm_asset bpm_assets[] = {
	ASSET("/", "text/html", html),
	ASSET("/monitor.js", "text/javascript", js),
	ASSET("/monitor.css", "text/css", css),
};
const size_t bpm_n_assets = sizeof bpm_assets / sizeof *bpm_assets;
END
