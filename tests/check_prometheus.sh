#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The metrics in a real Prometheus ("make check-prometheus"): two of the demos are
# scraped while they are fed, and what contrib has, rules and board, is asked there.
# Ports are those the kernel chose; what is started here is ended here, by its id.
# ./bootstrap --monitor-tests installs what it needs; what is missing is skipped aloud.

. "${srcdir:-.}/tests/tap.sh"

contrib=${srcdir:-.}/contrib
demos=${DEMOS:-demos}
work=$tap_scratch
pids=
end()
{
	for pid in $pids; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	rm -rf "$tap_scratch"
}
trap end EXIT
trap 'exit 130' INT TERM HUP

get()
{
	curl -sS --max-time 5 "$@"
}

# start NAME COMMAND...: its id is in $pid, its output in $work/NAME
start()
{
	name=$1
	shift
	"$@" >"$work/$name" 2>&1 &
	pid=$!
	pids="$pids $pid"
}

# Where a demo listens and is watched.
port_of()
{
	sed -n 's/.*listening on .*:\([0-9]*\)[^0-9:]*.*/\1/p' "$work/$1" | head -n 1
}

url_of()
{
	sed -n 's/^watch it live: //p' "$work/$1"
}

# ---- the demos ------------------------------------------------------------------

lacks=
for tool in curl jq promtool prometheus; do
	command -v $tool >/dev/null || lacks="$lacks $tool"
done
if test -z "$lacks"; then
	start echo "$demos/echo" 127.0.0.1:0 --frame u32be --mode receive --monitor 0
	start server "$demos/abuse" server 127.0.0.1:0 one_place --monitor 127.0.0.1:0
	await 10 grep -q 'listening on' "$work/echo" &&
	    await 10 grep -q 'listening on' "$work/server" || exit 1
	! grep -q 'built without the monitor' "$work/echo" || lacks=' libmicrohttpd'
fi
if test -n "$lacks"; then
	skip "the metrics in a real Prometheus" "there is no$lacks"
	plan
	exit
fi
first=$(url_of echo) second=$(url_of server)

# Little by little, so that what each has had grows as long as it is looked at.
for port in $(port_of echo) $(port_of server); do
	start client-$port "$demos/abuse" client "$port" --size 1K --rate 20K --duration 10m
done

# ---- what a server says -----------------------------------------------------------

# silent COMMAND...: says something only if it fails.
silent()
{
	"$@" >"$work/out" 2>&1 || {
		cat "$work/out"
		return 1
	}
}

metrics_are_clean()
{
	get "${first}metrics" | promtool check metrics
	get "${second}metrics" | promtool check metrics
}

open_metrics_are_told()
{
	get -D "$work/head" -H 'Accept: application/openmetrics-text; version=1.0.0' \
	    "${first}metrics" >"$work/open"
	grep -qi '^content-type: application/openmetrics-text; version=1.0.0' "$work/head" ||
	    cat "$work/head"
	test "$(tail -n 1 "$work/open")" = '# EOF' || echo "no # EOF"
}

names_in()
{
	grep -ohE '(bpthread|process)_[a-z_]+' "$@" | sort -u
}

# Names of series: those of a histogram have an ending.
every_metric_is_there()
{
	get "${first}metrics" | grep -v '^#' | names_in >"$work/there"
	# The name of a panel is no metric, nor is a label.
	jq -r '.. | .expr? // empty' "$contrib/grafana-dashboard.json" >"$work/exprs"
	sed -n '/expr:/,/for:\|labels:/p' "$contrib/alerts.yml" >"$work/rules"
	names_in "$work/exprs" "$work/rules" >"$work/used"
	test "$(wc -l <"$work/used")" -gt 30 || echo "few are used: that cannot be"
	comm -13 "$work/there" "$work/used"
}

reasons_are_there()
{
	sed -n 's/.*reason=~"\(.*\)".*/\1/p' "$contrib/alerts.yml" >"$work/reasons"
	test -s "$work/reasons" || echo "there are none"
	get "${first}metrics" | sed -n 's/.*closed_total{reason="\(.*\)"}.*/\1/p' \
	    >"$work/real"
	test "$(grep -cxE "$(cat "$work/reasons")" "$work/real")" -eq 8 ||
	    echo "it means others than the eight it is to"
}

check "promtool has nothing to say of the metrics" metrics_are_clean
check "OpenMetrics are told to who asks for them" open_metrics_are_told
check "promtool takes the configuration" \
    silent promtool check config "$contrib/prometheus.yml"
check "promtool takes the rules" silent promtool check rules "$contrib/alerts.yml"
check "each alert does what it is to do" silent promtool test rules \
    "$contrib/alerts_test.yml"
check "metrics of rules and board are there" every_metric_is_there
check "reasons of rules are there" reasons_are_there

# ---- Prometheus -------------------------------------------------------------------

cp "$contrib/alerts.yml" "$work"
strip()
{
	echo "$1" | sed 's|^http://||; s|/$||'
}
sed -e 's/^  scrape_interval:.*/  scrape_interval: 1s/' \
    -e 's/^  scrape_timeout:.*/  scrape_timeout: 1s/' \
    -e 's/^  evaluation_interval:.*/  evaluation_interval: 1s/' \
    -e "s|localhost:8000|$(strip "$first")|" \
    "$contrib/prometheus.yml" >"$work/prometheus.yml"
echo "          - $(strip "$second")" >>"$work/prometheus.yml"

begin_prometheus()
{
	await 30 grep -q 'msg="Listening on"' "$work/prometheus" || {
		cat "$work/prometheus"
		return 1
	}
	await 30 get -fo "$work/out" "$(prometheus_url)/-/ready" 2>/dev/null
}

prometheus_url()
{
	sed -n 's|.*msg="Listening on" address=\([^ ]*\).*|http://\1|p' "$work/prometheus"
}

start prometheus prometheus --config.file="$work/prometheus.yml" \
    --storage.tsdb.path="$work/data" --web.listen-address=127.0.0.1:0
check "Prometheus begins with the configuration" begin_prometheus
prometheus=$(prometheus_url)

# The answer to a query, or what is wrong with it.
ask()
{
	get -G "$prometheus/api/v1/query" --data-urlencode "query=$1" >"$work/answer"
	jq -e '.status == "success"' "$work/answer" >/dev/null || {
		echo "$1"
		cat "$work/answer"
		return 1
	}
}

# is QUERY VALUE: its first, and only, series has this value now.
is()
{
	ask "$1" && test "$(jq -r '.data.result[].value[1]' "$work/answer")" = "$2"
}

both_are_up()
{
	await 15 is 'count(up{job="libbpthread"} == 1)' 2
	get "$prometheus/api/v1/targets" |
	    jq -r '.data.activeTargets[].lastError | select(. != "")'
}

counters_grow()
{
	await 20 is 'count(increase(bpthread_received_bytes_total[15s]) > 0)' 2
	await 20 is 'count(increase(bpthread_events_dequeued_total[15s]) > 0)' 2
}

quantiles_are_told()
{
	await 20 is 'count(histogram_quantile(0.99,
	    rate(bpthread_queue_wait_seconds_bucket[15s])) > 0)' 2
	await 20 is 'count(histogram_quantile(0.5,
	    rate(bpthread_frame_bytes_bucket[15s])) > 1000 < 4096)' 2
}

discipline_is_told()
{
	await 5 is 'count(bpthread_build_info{qdisc="fair"})' 1
	await 5 is 'count(bpthread_build_info{qdisc="one_place"})' 1
}

rules_are_well()
{
	get "$prometheus/api/v1/rules" >"$work/answer"
	test "$(jq '[.data.groups[].rules[]] | length' "$work/answer")" = \
	    "$(grep -c 'alert:' "$contrib/alerts.yml")" || cat "$work/answer"
	jq -r '.data.groups[].rules[] | select(.health == "err") | .name, .lastError' \
	    "$work/answer"
	get "$prometheus/api/v1/alerts" |
	    jq -r '.data.alerts[] | select(.state == "firing").labels.alertname'
}

# Each panel shows something, but those of what should not be.
panels_show_something()
{
	while read -r expr; do
		expr=$(echo "$expr" | sed 's/\$__rate_interval/15s/g; s/\$__range/15s/g
		    s/\$instance/.+/g')
		ask "$expr" || return 1
		case $expr in
		*closed_total*) continue ;;	# nobody has left
		esac
		test "$(jq '.data.result | length' "$work/answer")" -gt 0 ||
		    echo "shows nothing: $expr"
	done <"$work/exprs"
}

one_that_is_gone_is_told()
{
	kill "$gone" && await 15 is 'count(up{job="libbpthread"} == 0)' 1
	await 10 is 'count(ALERTS{alertname="BpthreadDown", alertstate="pending"})' 1
}

check "two servers are scraped" both_are_up
check "counters of both grow" counters_grow
check "quantiles of both are told" quantiles_are_told
check "the disciplines are told" discipline_is_told
check "rules are evaluated, and none fires" rules_are_well
check "each panel of the board shows something" panels_show_something
gone=$(set -- $pids; echo $2)
check "a server that is gone is told" one_that_is_gone_is_told
plan
