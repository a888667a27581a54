#!/usr/bin/env bash
# The doors against those who mean no good, before anyone is authenticated and after: garbage,
# plain HTTP, half a handshake, thousands who connect and say nothing, and many who only listen.
# The agent answers its operator all the while, and neither its descriptors nor its memory grow.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/solo.yaml

for tool in openssl busybox strings; do
	command -v $tool >/dev/null || skip_all "needs $tool"
done
testbed_up 1 --image sim:1
one=$TESTBED_NET.11
pid=$(<"$tb/spark1/agent.pid")

fds() { find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l; }
dirty_kb() { awk '/^Private_Dirty:/ { print $2 }' "/proc/$pid/smaps_rollup"; }
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
status_ms() # the best of five
{
	local best=999999 start took k
	for k in 1 2 3 4 5; do
		start=$(now_ms)
		sparkbus status >/dev/null || return 1
		took=$(($(now_ms) - start))
		[ $took -ge $best ] || best=$took
	done
	echo "$best"
}
fds_at_most() { [ "$(fds)" -le "$1" ]; }
same_agent() { [ "$(<"$tb/spark1/agent.pid")" = "$pid" ] && kill -0 "$pid"; }

run_expect 0 "status" sparkbus status
fds_idle=$(fds)

# --- not TLS ---

# Send stdin; print what comes back until the agent hangs up, or "kept open" after five seconds.
send() # PORT
{
	local status=0
	timeout 5 bash -c "exec 3<>/dev/tcp/$one/$1 && cat >&3 && cat <&3" 2>/dev/null || status=$?
	[ $status != 124 ] || echo "kept open"
}
for port in 47100 47101; do
	is "$(head -c 65536 /dev/urandom | send $port | tr -d '\0-\377' | wc -c)" 0 \
		"port $port: garbage is answered by hanging up"
	printf '\26\3\1\377\377' >"$scratch/lie" # a handshake record longer than any may be
	head -c 4096 /dev/zero >>"$scratch/lie"
	unlike "$(send $port <"$scratch/lie" | tr -d '\0')" 'kept open' "port $port: a record too long"
	unlike "$(printf 'GET / HTTP/1.1\r\nHost: spark1\r\n\r\n' | send $port | tr -d '\0')" \
		'kept open|HTTP/' "port $port: plain HTTP"
	printf '\0SP\0\0\60\0\0' | send $port | tr -d '\0' >"$scratch/sp"
	unlike "$(<"$scratch/sp")" 'kept open|SP' "port $port: the bus protocol without TLS"
done
run_expect 0 "the agent answers" sparkbus status

# --- after the handshake: an operator who speaks nonsense ---

pki=$SPARKBUS_HOME/pki
as_operator() # send stdin inside TLS
{
	timeout 5 openssl s_client -quiet -connect "$one:47100" -cert "$pki/operator.crt" \
		-key "$pki/operator.key" 2>/dev/null
	[ $? != 124 ] || echo "kept open"
}
sp='\0SP\0\0\60\0\0'
for junk in 'GET / HTTP/1.0\r\n\r\n' '\0SP\0\0\1\0\0' "$sp"'\377\377\377\377\377\377\377\377' \
	"$sp"'\0\0\0\0\0\0\0\3abc' "$sp"'\0\0\0\0\0\0\0\10\0\0\0\1abcd'; do
	unlike "$({ printf "$junk"; sleep 1; } | as_operator | tr -d '\0')" 'kept open' \
		"within TLS: $(printf '%q' "$junk" | cut -c -40) is hung up on"
done
# A message that is none gets an answer that says so, and the connection stays.
like "$({ printf "$sp"'\0\0\0\0\0\0\0\16\200\0\0\1\377\377\377\377\377\377\377\377\377\377'
	sleep 1; } | as_operator | tr -d '\0' | strings)" '10 bytes are not a Request' "within TLS: a body that is no request"
run_expect 0 "the agent answers" sparkbus status

# --- half a handshake, and silence ---

# The first bytes of a real ClientHello.
hello=$scratch/hello
sleep 20 | busybox nc -l -p 45123 >"$hello" 2>/dev/null &
listens() { grep -qE ':B043 [0:]+ 0A' /proc/net/tcp /proc/net/tcp6; }
wait_until 10 "somebody records a ClientHello" listens
timeout 1 openssl s_client -connect "$TESTBED_NET.1:45123" </dev/null >/dev/null 2>&1
run_expect 0 "it is there" [ "$(wc -c <"$hello")" -gt 100 ]

# Open N connections with bash, send each the file, and hold them.
hold() # N FILE PORT
{
	bash -c 'for ((i = 0; i < $1; i++)); do
			{ exec {fd}<>/dev/tcp/$4/$3; } 2>/dev/null || continue
			head -c 100 "$2" >&"$fd" 2>/dev/null
		done; echo held; exec sleep 600' _ "$1" "$2" "$3" "$one" >"$scratch/held" &
	holder=$!
}
held() { grep -q held "$scratch/held"; }
let_go() { kill $holder 2>/dev/null; wait $holder 2>/dev/null; }
hold 200 "$hello" 47100
wait_until 30 "200 hold half a handshake" held
run_expect 0 "the agent answers" sparkbus status
most=$(fds)
diag "descriptors: $fds_idle idle, $most with 200 half handshakes"
wait_until 30 "it lets them go by itself" fds_at_most $((fds_idle + 8))
let_go

# --- thousands who say nothing ---

most=0
for chunk in 1 2 3 4 5 6 7 8 9 10; do
	hold 500 /dev/null $((47100 + chunk % 2))
	until held; do sleep 0.02; done
	if [ $chunk = 5 ]; then
		run_expect 0 "in the middle of 5,000 silent connections the agent answers" sparkbus status
	fi
	n=$(fds)
	[ "$n" -le $most ] || most=$n
	let_go
done
diag "descriptors: at most $most with 5,000 silent connections, 500 at a time"
run_expect 0 "its descriptors are bounded" [ $most -lt $((fds_idle + 400)) ]
run_expect 0 "it answers after them" sparkbus status
wait_until 30 "and all are closed" fds_at_most $((fds_idle + 8))
run_expect 0 "it is the same process" same_agent

# --- many who listen ---

run_expect 0 "a job" sparkbus run "$recipe" --solo --no-follow
job=$(sparkbus status --json | jq -r '.jobs[0].job')
alone=$(status_ms)
followers=()
wait_for_followers() # N: at most half a minute
{
	local tries
	for ((tries = 0; tries < 150; tries++)); do
		[ "$(grep -l 'startup complete' "$scratch"/follow.* | wc -l)" -lt "$1" ] || return 0
		sleep 0.2
	done
}
for ((i = 0; i < 64; i++)); do
	sparkbus logs "$job" --follow >"$scratch/follow.$i" 2>&1 </dev/null &
	followers+=($!)
	# Few cores shake few hands at a time, and a caller gives up after seconds.
	((i % 8 < 7)) || wait_for_followers $((i + 1))
done
all_follow() { [ "$(grep -l 'startup complete' "$scratch"/follow.* | wc -l)" = 64 ]; }
wait_until 60 "64 follow the log" all_follow
crowded=$(status_ms)
diag "status: $alone ms alone, $crowded ms beside 64 followers; $(fds) descriptors"
run_expect 0 "status is as prompt beside them" [ "$crowded" -le $((alone * 5 + 50)) ]
curl -sf "http://$one:8000/v1/models" >/dev/null # a request, which the engine logs
run_expect 0 "stop" sparkbus stop "$job"
ended=0
for p in "${followers[@]}"; do
	wait "$p" && ended=$((ended + 1))
done
is $ended 64 "all 64 hear of the end, and end well"
wait_until 30 "their connections are closed" fds_at_most $((fds_idle + 12))

# --- memory over many requests ---

ask() { local k; for ((k = 0; k < $1; k++)); do sparkbus status >/dev/null; done; }
if grep -q __asan "$tb/bin/sparkbusd" 2>/dev/null; then
	skip "memory over many requests" "a sanitizer keeps freed memory"
else
	ask 50
	before=$(dirty_kb)
	ask 300
	after=$(dirty_kb)
	diag "private dirty memory: $before KiB, $after KiB after 300 more requests"
	run_expect 0 "memory does not grow with requests" [ "$after" -le $((before + 1024)) ]
fi
unlike "$(<"$tb/spark1/agent.log")" 'agent.failed' "the log has no failure"
done_testing
