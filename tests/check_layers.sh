#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The layers of src: a file includes what is in its own layer or in one before it,
# so that each can be read, and tested, knowing only what lies below it.

. "${srcdir:-.}/tests/tap.sh"
cd "${srcdir:-.}" || exit 1

layers='
0 list sync error
1 heap line share lines wfq qdisc_fifo qdisc_prio qdisc_fair qdisc_parse peer pool histogram qdisc flow locked gate order turn consumers drill drill_calls drill_flows drill_model drill_starve buf outq framer addr sock
2 conn identify conn_api marks send callback notify event spin inbox large deliver reader writer
3 endpoint defaults crew listen listener connect deadlines reaper stats history
'

# layer_of FILE: its number, or nothing.
layer_of()
{
	module=${1##*/}
	module=${module%.[ch]}
	echo "$layers" | while read -r number modules; do
		case " $modules " in
		*" $module "*) echo "$number" ;;
		esac
	done
}

own_includes()
{
	sed -n 's/^#[ 	]*include[ 	]*"\([^"]*\)".*/\1/p' "$1"
}

every_file_has_a_layer()
{
	for file in src/*.[ch]; do
		test -n "$(layer_of "$file")" || echo "$file is in no layer"
	done
}

no_layer_includes_a_later_one()
{
	for file in src/*.[ch]; do
		layer=$(layer_of "$file")
		for included in $(own_includes "$file"); do
			case $included in
			config.h) continue ;;
			*/*) echo "$file includes $included, not a file beside it" ;;
			esac
			below=$(layer_of "$included")
			test "${below:-9}" -le "${layer:-0}" ||
			    echo "$file (layer $layer) includes $included (layer $below)"
		done
	done
}

disciplines_are_plain_data()
{
	for file in src/lines.c src/wfq.c src/qdisc_fifo.c src/qdisc_prio.c src/qdisc_fair.c; do
		grep -nE 'pthread|bp__(un)?lock|bp__wait|sync\.h|<sys/socket\.h>' "$file" |
		    sed "s|^|$file:|"
	done
}

# What is linked with the real library includes its headers and its own, no more.
users_see_public_headers_only()
{
	for file in demos/*.[ch] tests/examples/*.c; do
		test -f "$file" || continue
		for included in $(own_includes "$file"); do
			test -f "${file%/*}/$included" ||
			    echo "$file includes $included"
		done
		grep -n 'bp__' "$file" | sed "s|^|$file:|"
	done
}

check "every file of src is in a layer" every_file_has_a_layer
check "no layer includes a later one" no_layer_includes_a_later_one
check "a discipline has no lock, thread or socket" disciplines_are_plain_data
# The monitor is one of them; its own names are bpm_, so that none is by chance another's.
monitor_sees_public_headers_only()
{
	for file in monitor/*.[ch]; do
		for included in $(own_includes "$file"); do
			test "$included" = config.h || test -f "monitor/$included" ||
			    echo "$file includes $included"
		done
		grep -n 'bp__' "$file" | sed "s|^|$file:|"
		sed -n 's/^#[ 	]*include[ 	]*<\(bpthread[^>]*\)>.*/\1/p' "$file" |
		while read -r included; do
			test -f "include/$included" || echo "$file includes $included"
		done
	done
}

check "demos and examples see the public headers only" users_see_public_headers_only
check "the monitor sees the public headers only" monitor_sees_public_headers_only
plan
