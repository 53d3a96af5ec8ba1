#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# What is not ours is as its authors published it, and the page with it stays small and
# asks no other host for anything.

. "${srcdir:-.}/tests/tap.sh"
cd "${srcdir:-.}" || exit 1

gzipped_max=40000	# bytes, all three files

vendored_files_are_as_published()
{
	(cd monitor/vendor/uPlot && sha256sum --strict --quiet -c SHA256SUMS)
	grep -F -f monitor/vendor/uPlot/SHA256SUMS -c monitor/vendor/uPlot/README |
	    grep -vx 3
	test "$(ls monitor/vendor/uPlot | tr '\n' ' ')" = \
	    'LICENSE README SHA256SUMS uPlot.iife.min.js uPlot.min.css ' ||
	    ls monitor/vendor/uPlot
}

page_is_small()
{
	sh monitor/embed.sh . >"$tap_scratch/assets.c" || echo "embed.sh failed"
	sed -n 's|^/\* .*, \([0-9]*\) gzipped \*/$|\1|p' "$tap_scratch/assets.c" |
	    awk -v max=$gzipped_max '{ sum += $1 }
	    END { if (NR != 3 || sum > max) print sum " bytes gzipped in " NR " files" }'
}

# The address of a namespace is a name; nobody asks for it.
page_names_no_host()
{
	grep -nE 'https?:|//[a-z]' monitor/page/*.html monitor/page/*.css \
	    monitor/page/*.js | grep -v 'http://www.w3.org/2000/svg' || :
}

# The policy forbids it, and peers choose some of what is shown.
page_has_no_markup_from_data()
{
	grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function' \
	    monitor/page/*.js
	grep -nE ' (style|on[a-z]+)=|<style|<script>' monitor/page/*.html || :
}

check "vendored files are as published" vendored_files_are_as_published
check "the page is at most $gzipped_max bytes gzipped" page_is_small
check "the page names no other host" page_names_no_host
check "the page makes no markup from data, and has none inline" \
    page_has_no_markup_from_data
plan
