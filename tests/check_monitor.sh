#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The monitor as others' programs see it: curl, gzip, jq and promtool against demos/echo.
# The suites test_monitor*.c ask the same by hand, and what curl would not.

. "${srcdir:-.}/tests/tap.sh"

echo=${DEMOS:-demos}/echo
url= pid=
end()
{
	test -z "$pid" || { kill "$pid" && wait "$pid"; } 2>/dev/null
	rm -rf "$tap_scratch"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

have()
{
	command -v "$1" >/dev/null
}

get()
{
	curl -sS --max-time 10 "$@"
}

# answers STATUS TYPE PATH [OPTION...]
answers()
{
	status=$1 type=$2 path=$3
	shift 3
	said=$(get -o "$tap_scratch/body" -w '%{http_code} %{content_type}' "$@" \
	    "$url$path")
	test "$said" = "$status $type" || echo "$path: $said, not $status $type"
}

every_path_answers()
{
	html='text/html; charset=utf-8' plain='text/plain; charset=utf-8'
	answers 200 "$html" ''
	answers 200 application/json '' -H 'Accept: application/json'
	answers 200 'text/javascript; charset=utf-8' monitor.js
	answers 200 'text/css; charset=utf-8' monitor.css
	for path in status history connections; do
		answers 200 application/json api/v1/$path
	done
	answers 200 'text/plain; version=0.0.4; charset=utf-8' metrics
	answers 200 'application/openmetrics-text; version=1.0.0; charset=utf-8' \
	    metrics -H 'Accept: application/openmetrics-text'
	answers 200 "$plain" healthz
	answers 200 "$plain" readyz
	answers 200 "$plain" status.txt
	answers 200 application/json endpoint/held_bytes
	answers 200 "$plain" endpoint/held_bytes -H 'Accept: text/plain'
	answers 200 "$html" '' -I
	answers 404 "$plain" nothing
	answers 400 "$plain" 'api/v1/history?step=2'
	answers 405 "$plain" '' -d body
	answers 405 "$plain" '' -X DELETE
	answers 403 "$plain" '' -H 'Host: evil.example'
	answers 400 "$plain" '' -H 'Host:'
	answers 200 "$html" '' -0
}

says_how_it_goes_in_a_line()
{
	get "${url}status.txt" >"$tap_scratch/line"
	test "$(wc -l <"$tap_scratch/line")" -eq 1 &&
	    grep -q '^echo.*: ok, up 00:0[0-9]:[0-9]*, 0 connections' \
	    "$tap_scratch/line" || cat "$tap_scratch/line"
}

gzipped_is_the_same()
{
	for path in '' monitor.js monitor.css; do
		get "$url$path" >"$tap_scratch/plain"
		get -H 'Accept-Encoding: gzip' "$url$path" | gzip -d |
		    cmp - "$tap_scratch/plain"
	done
}

# What jq prints is true or it is said.
holds()
{
	path=$1 filter=$2
	shift 2
	said=$(get "$@" "$url$path" | jq -c "$filter" 2>&1)
	test "$said" = true || echo "$path: $filter: $said"
}

json_is_as_promised()
{
	holds '' '.endpoint.received_bytes == {"type": "c", "val": 0}
	    and .process.name.type == "l"' -H 'Accept: application/json'
	holds endpoint/frame_bytes 'keys == ["count", "max", "mean", "min", "sum",
	    "type", "variance"] and .type == "d"'
	holds api/v1/status '(.metrics | map(.name) | length == (unique | length))
	    and all(.metrics[]; has("type") and has("unit") and has("help"))
	    and (.limits.budget_bytes == 134217728) and .ready'
	holds api/v1/history '.step_s == 1
	    and ([.columns[] | length] | unique | length == 1)'
	holds api/v1/connections '.rows == [] and .total == 0'
	holds 'api/v1/connections?state=closed' '.rows == []'
}

metrics_are_plain_to_promtool()
{
	get "${url}metrics" | promtool check metrics 2>&1
}

check_with()
{
	program=$1
	shift
	if have "$program"; then
		check "$@"
	else
		skip "$1" "there is no $program"
	fi
}

sentence='every path has its status and type'
if ! test -f libbpthread-monitor.la; then
	skip "$sentence" "built without libmicrohttpd"
	plan
	exit
elif ! have curl; then
	skip "$sentence" "there is no curl"
	plan
	exit
fi

"$echo" --monitor 127.0.0.1:0 127.0.0.1:0 >"$tap_scratch/echo" 2>&1 &
pid=$!
await 10 grep -qs http: "$tap_scratch/echo"
url=$(grep -o 'http://[^ ]*/' "$tap_scratch/echo")

check "$sentence" every_path_answers
check "status.txt is one line" says_how_it_goes_in_a_line
check_with gzip "what is gzipped is what is not" gzipped_is_the_same
check_with jq "jq finds in the JSON what was promised" json_is_as_promised
check_with promtool "promtool has nothing to say of the metrics" \
    metrics_are_plain_to_promtool
plan
