#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Real programs talk through demos/relay as if it were not there ("make relay-check"):
# iperf3, curl and nginx, nc, psql and PostgreSQL; and when one side is stopped the
# relay stays small, and all arrives. What is not installed is skipped. Servers are
# this script's own, on free ports of the loopback, and are gone with it. TAP out.

: "${RELAY:=demos/relay}"
: "${STOPPED:=30}"		# seconds for which one side is stopped
: "${GROWTH:=4096}"		# KiB a relay may grow by, for one connection

. "${srcdir:-.}/tests/tap.sh"
PATH=$PATH:/usr/sbin:/sbin:$(echo /usr/lib/postgresql/*/bin | tr ' ' :)
work=$(mktemp -d)
chmod 755 "$work"
started=
failed=0

# ---- what is started here -------------------------------------------------------

clean_up()
{
	for pid in $started; do
		kill -CONT "$pid" && kill "$pid"
	done
	for pid in $started; do
		wait "$pid"
	done
	rm -rf "$work" "$tap_scratch"
} 2>/dev/null
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

# spawn NAME COMMAND...: in the background; sets $spawned
spawn()
{
	name=$1
	shift
	"$@" >"$work/$name.out" 2>"$work/$name.err" </dev/null 3>&- 4>&- &
	spawned=$!
	started="$started $spawned"
}

has_ended()
{
	! kill -0 "$1" 2>/dev/null || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

# ends_well SECONDS PID
ends_well()
{
	await "$1" has_ended "$2" && wait "$2" || {
		echo "process $2 did not end well"
		return 1
	}
	started=$(for pid in $started; do test "$pid" = "$2" || echo "$pid"; done)
}

listens_on()
{
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
	    grep -q "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$1") [0-9A-F]*:0000 0A"
}

# Sets $port to one that nobody listens on; outside the range that clients are given.
next_port=$((20000 + $$ % 5000))
free_port()
{
	next_port=$((next_port + 1))
	while listens_on $next_port; do
		next_port=$((next_port + 1))
	done
	port=$next_port
}

# relay_to NAME ADDR: sets $relay, $via (its port) and $idle (KiB)
relay_to()
{
	spawn "relay-$1" "$RELAY" 127.0.0.1:0 "$2"
	relay=$spawned
	await 10 grep -qs listening "$work/relay-$1.out" || return 1
	via=$(sed -n 's/.*listening on .*://p' "$work/relay-$1.out")
	idle=$(resident)
}

resident()
{
	awk '/^VmRSS:/ { print $2 }' "/proc/$relay/status"
}

is_small()
{
	now=$(resident)
	test "$now" -le $((idle + GROWTH)) || {
		echo "relay grew from $idle to $now KiB"
		return 1
	}
}

# ... with status 0, and has said nothing of note.
relay_ends()
{
	kill "$relay"
	ends_well 5 "$relay" && ! grep -v 'raised the limit' "$work/relay-$1.err"
}

# stays_small_while_stopped PID: and that one goes on after it
stays_small_while_stopped()
{
	kill -STOP "$1"
	seconds=$STOPPED
	while test "$seconds" -gt 0; do
		sleep 1
		is_small || break
		seconds=$((seconds - 1))
	done
	kill -CONT "$1"
	test "$seconds" -eq 0
}

# true_of SENTENCE COMMAND...: as check, and the exit status will tell
true_of()
{
	check "$@" >"$work/verdict"
	cat "$work/verdict"
	grep -q '^not ok' "$work/verdict" && failed=1
}

# lacks SENTENCE PROGRAM...: says so for the first that is not there
lacks()
{
	sentence=$1
	shift
	for program; do
		command -v "$program" >/dev/null || {
			skip "$sentence" "there is no $program"
			return 0
		}
	done
	return 1
}

# ---- iperf3 -----------------------------------------------------------------------

iperf3_runs()
{
	timeout 60 iperf3 -c 127.0.0.1 -p "$via" -t 3 "$@" >"$work/iperf3.said" 2>&1 || {
		cat "$work/iperf3.said"
		return 1
	}
	is_small
}

check_iperf3()
{
	lacks "iperf3 runs" iperf3 && return
	free_port
	spawn iperf3 iperf3 -s -B 127.0.0.1 -p "$port"
	await 10 listens_on "$port"
	relay_to iperf3 "127.0.0.1:$port"
	true_of "iperf3 sends" iperf3_runs
	true_of "iperf3 receives" iperf3_runs -R
	true_of "iperf3 does both at once" iperf3_runs --bidir
	true_of "the relay of iperf3 ends well" relay_ends iperf3
}

# ---- curl -------------------------------------------------------------------------

nginx_config()
{
	cat <<-END
	daemon off;
	master_process off;
	pid $work/nginx.pid;
	error_log $work/nginx.log;
	events { }
	http {
		access_log off;
		client_body_temp_path $work/nginx.body;
		proxy_temp_path $work/nginx.proxy;
		fastcgi_temp_path $work/nginx.fastcgi;
		uwsgi_temp_path $work/nginx.uwsgi;
		scgi_temp_path $work/nginx.scgi;
		server {
			listen 127.0.0.1:$port;
			root $work/www;
		}
	}
	END
}

start_web_server()
{
	mkdir "$work/www"
	head -c 50000000 /dev/urandom >"$work/www/large"
	free_port
	if command -v nginx >/dev/null; then
		web=nginx
		nginx_config >"$work/nginx.conf"
		spawn web nginx -p "$work" -e "$work/nginx.log" -c "$work/nginx.conf"
	else
		web="python3's http.server"
		spawn web python3 -m http.server --bind 127.0.0.1 \
		    --directory "$work/www" "$port"
	fi
	await 10 listens_on "$port"
}

curl_gets()
{
	curl -sS --max-time 60 -o "$work/got" "http://127.0.0.1:$via/large" &&
	    cmp "$work/got" "$work/www/large" && is_small
}

curl_gets_many()
{
	curl -sS --max-time 60 -Z -o "$work/got.#1" \
	    "http://127.0.0.1:$via/large?[1-8]" 2>"$work/curl.said" || return 1
	for i in 1 2 3 4 5 6 7 8; do
		cmp "$work/got.$i" "$work/www/large" || return 1
	done
}

curl_is_stopped()
{
	spawn curl curl -sS --limit-rate 10M -o "$work/slow" "http://127.0.0.1:$via/large"
	curl=$spawned
	await 10 test -s "$work/slow"
	stays_small_while_stopped "$curl"
	cmp -s "$work/slow" "$work/www/large" && echo "it was not stopped in the middle"
	ends_well 60 "$curl" && cmp "$work/slow" "$work/www/large"
}

check_curl()
{
	lacks "curl gets 50 MB" curl && return
	if ! command -v nginx >/dev/null; then
		lacks "curl gets 50 MB" python3 && return
	fi
	start_web_server
	relay_to web "127.0.0.1:$port"
	true_of "curl gets 50 MB from $web" curl_gets
	true_of "curl gets it eight times at once" curl_gets_many
	true_of "the relay of eight ends well" relay_ends web
	relay_to web2 "127.0.0.1:$port"
	true_of "curl is stopped for $STOPPED s: memory is flat, all arrives" curl_is_stopped
	true_of "the relay of curl ends well" relay_ends web2
}

# ---- nc ---------------------------------------------------------------------------

# Two that are typed into: near connects to far, through the relay.
start_conversation()
{
	mkfifo "$work/near.in" "$work/far.in"
	exec 3<>"$work/near.in" 4<>"$work/far.in"
	free_port
	nc -N -l 127.0.0.1 "$port" <"$work/far.in" >"$work/far.out" 3>&- 4>&- &
	far=$!
	started="$started $far"
	await 10 listens_on "$port"
	relay_to nc "127.0.0.1:$port"
	nc -N 127.0.0.1 "$via" <"$work/near.in" >"$work/near.out" 3>&- 4>&- &
	near=$!
	started="$started $near"
}

# Each line has come before the next is typed.
lines_are_exchanged()
{
	for i in 1 2 3 4 5 6 7 8 9 10; do
		echo "question $i" >&3
		await 10 grep -qx "question $i" "$work/far.out" || return 1
		echo "answer $i" >&4
		await 10 grep -qx "answer $i" "$work/near.out" || return 1
	done
}

end_is_told()
{
	exec 3>&-
	ends_well 10 "$far" && ends_well 10 "$near"
	exec 4>&-
}

receiver_is_stopped()
{
	free_port
	spawn receiver nc -d -l 127.0.0.1 "$port"
	receiver=$spawned
	await 10 listens_on "$port"
	relay_to stopped "127.0.0.1:$port"
	head -c 50000000 /dev/urandom >"$work/sent"
	nc -N 127.0.0.1 "$via" <"$work/sent" >/dev/null &
	sender=$!
	started="$started $sender"
	await 10 test -s "$work/receiver.out"
	stays_small_while_stopped "$receiver"
	cmp -s "$work/receiver.out" "$work/sent" && echo "it was not stopped in the middle"
	ends_well 60 "$sender" && ends_well 60 "$receiver" &&
	    cmp "$work/receiver.out" "$work/sent"
}

check_nc()
{
	lacks "nc exchanges lines" nc && return
	nc -h 2>&1 | grep -q '^OpenBSD netcat' || {
		skip "nc exchanges lines" "it is not the nc of OpenBSD"
		return
	}
	start_conversation
	true_of "nc exchanges lines" lines_are_exchanged
	true_of "nc is told the end" end_is_told
	true_of "the relay of nc ends well" relay_ends nc
	true_of "nc is stopped for $STOPPED s: memory is flat, all arrives" \
	    receiver_is_stopped
}

# ---- PostgreSQL -------------------------------------------------------------------

# How not to run the server as root, which it refuses.
as_user=
find_user()
{
	test "$(id -u)" = 0 || return
	user=nobody
	id postgres >/dev/null 2>&1 && user=postgres
	as_user="setpriv --reuid $user --regid $(id -g $user) --clear-groups"
	mkdir "$work/pg" && chown $user "$work/pg"
}

start_postgres()
{
	find_user
	$as_user initdb -D "$work/pg" -U postgres -A trust -E UTF8 --no-locale -N \
	    >"$work/initdb.out" 2>&1 || cat "$work/initdb.out"
	free_port
	spawn postgres $as_user postgres -D "$work/pg" -k "$work/pg" -h 127.0.0.1 \
	    -p "$port" -c fsync=off
	await 20 listens_on "$port"
	relay_to postgres "127.0.0.1:$port"
}

sql()
{
	psql -XAqt -h 127.0.0.1 -p "$via" -U postgres -v ON_ERROR_STOP=1 -c "$1"
}

psql_selects()
{
	await 10 sql "select 1" >/dev/null 2>&1 || return 1
	test "$(sql 'select 6 * 7')" = 42 && is_small
}

psql_copies()
{
	base64 -w 99 /dev/urandom | head -n 200000 >"$work/rows"
	sql "create table rows (line text)" &&
	    sql "\\copy rows from '$work/rows'" &&
	    test "$(sql 'select count(*) from rows')" = 200000 &&
	    sql "\\copy rows to '$work/rows.back'" &&
	    cmp "$work/rows" "$work/rows.back" && is_small
}

check_postgres()
{
	lacks "psql selects" psql initdb postgres && return
	start_postgres
	true_of "psql selects" psql_selects
	true_of "psql copies 20 MB in and out" psql_copies
	true_of "the relay of psql ends well" relay_ends postgres
}

check_iperf3
check_curl
check_nc
check_postgres
plan
exit $failed
