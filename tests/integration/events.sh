#!/usr/bin/env bash
# What the nodes tell of themselves: `events`, also while it follows, and the nodes of `status`.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

testbed_up 2 --image sim:1
run_expect 0 "run" sparkbus run "$recipe" --no-follow
job=$(sparkbus status --json | jq -r '.jobs[0].job')

# --- what is kept ---

run_expect 0 "events" sparkbus events --tail 0
like "$out" "spark1 +rank\.state +\[${job#*_}\] rank 0 running" "a line has node, kind, job and text"
like "$out" 'spark2 +rank\.state' "of both nodes"
is "$out" "$(LC_ALL=C sort -s -k 1,2 <<<"$out")" "by time"
run_expect 0 "the last two" sparkbus events --tail 2
is "$(wc -l <<<"$out")" 2 "are two"
run_expect 0 "of one kind" sparkbus events --kind job.state --tail 0
unlike "$out" 'rank\.state' "only of that kind"
like "$out" 'job\.state .*READY' "with the kind asked for"
run_expect 0 "of one job, by its recipe" sparkbus events --job pair --json --tail 0
is "$(jq -rs '[.[].job] | unique | join(",")' <<<"$out")" "$job" "are only this job's"
run_expect 1 "of a job that is not" sparkbus events --job nothing
like "$err" 'No such job: nothing' "is an error"

# --- the nodes at a glance ---

run_expect 0 "status" sparkbus status
like "$out" '^NODE +HEALTH +AVAILABLE +GPU +FABRIC +JOBS$' "status has a table of the nodes"
like "$out" '^spark1 +ok +[0-9.]+ of [0-9.]+ GiB +[^ ]+.* 1$' "with memory and jobs"
is "$(awk 'length > 80' <<<"$out")" "" "in 80 columns"
run_expect 0 "status --json" sparkbus status --json
is "$(jq -r '[.nodes[] | select(.memory_available_bytes > 0 and .jobs == 1)] | length' <<<"$out")" 2 \
	"JSON has them, too"

# --- follow ---

sparkbus events -f --tail 0 --kind link >"$scratch/follow" 2>"$scratch/follow.err" &
follower=$!
node_exec spark1 ip link add cable0 type veth peer name cable1
node_exec spark1 ip link set cable1 up
node_exec spark1 ip link set cable0 up
said() { grep -qE "$1" "$scratch/follow"; }
wait_until 10 "a new link is told" said 'spark1 +link\.up +.*cable0'
now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }
began=$(now_ms)
node_exec spark1 ip link set cable1 down
wait_until 10 "a pulled cable is told" said 'spark1 +link\.down +.*cable0'
diag "the cable was pulled $(($(now_ms) - began)) ms before it was seen here (polling of 50 ms included)"
node_agent spark1 restart
node_exec spark1 ip link add cable8 type veth peer name cable9
node_exec spark1 ip link set cable8 up
node_exec spark1 ip link set cable9 up
wait_until 20 "after a restart of the agent it goes on" said 'spark1 +link\.[a-z]+ +.*cable9'
kill -INT $follower
status=0
wait $follower || status=$?
is $status 0 "Ctrl-C ends it"

# --- a node that does not answer, one without an engine ---

node_dockerd spark2 stop
no_engine() { sparkbus status | grep -qE '^spark2 +no engine '; }
wait_until 10 "status: spark2 has no engine" no_engine
node_dockerd spark2 start
node_agent spark2 stop
run_expect 3 "events without spark2" sparkbus events
like "$err" 'Unknown: node spark2: ' "say who did not answer"
like "$out" 'spark1' "and show the others"
node_agent spark2 start
run_expect 0 "stop" sparkbus stop --all
done_testing
