#!/usr/bin/env bash
# The agent is killed with -9 at each step of a launch, on the leader and on the other node. After
# its restart the job is either READY and answers, or gone from both nodes; status says which, and
# the next launch works.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

testbed_up 2 --image sim:1
head=$TESTBED_NET.11

containers() { { node_docker spark1 ps -aq --filter label=sparkbus.job
	node_docker spark2 ps -aq --filter label=sparkbus.job; } | wc -l; }
status() { sparkbus status --all --json; }
state() { status 2>/dev/null | jq -r '[.jobs[] | select(.authoritative)][0].state // "none"'; }
answers()
{
	curl -sf --max-time 5 "http://$head:8000/v1/completions" -H 'Content-Type: application/json' \
		-d '{"model":"example/pair","prompt":"x","max_tokens":1}' >/dev/null
}

# Settled: READY, or ended with nothing left in either engine. "none" = the leases went.
settled()
{
	case $(state) in
	READY) answers && [ "$(containers)" = 2 ] ;;
	STOPPED | FAILED | none) [ "$(containers)" = 0 ] ;;
	*) return 1 ;;
	esac
}

# Each waits for the event after which the agent of NODE is killed.
engine_event() # NODE ACTION: the engine has just done it. The stream itself ends with the testbed.
{
	read -r _ < <(node_docker "$1" events --filter label=sparkbus.job --filter "event=$2" --format .)
}
at_created() { engine_event "$1" create; }
at_started() { engine_event "$1" start; }
# A busy machine may be past it already; then this is one more crash of a READY job.
at_loading() { until [ "$(containers)" = 2 ] && [[ $(state) = STARTING || $(state) = READY ]]; do :; done; }
at_ready() { until [ "$(state)" = READY ]; do sleep 0.02; done; }

crash() # NODE POINT
{
	local node=$1 point=$2 waiter run_pid
	"at_$point" "$node" &
	waiter=$!
	[ "$point" = created ] || [ "$point" = started ] && sleep 0.3 # the event stream is being opened
	sparkbus run "$recipe" --no-follow -o env.ENGINESIM_LOAD_MS=3000 >"$scratch/run" 2>&1 &
	run_pid=$!
	wait $waiter || true
	node_agent "$node" kill9
	node_agent "$node" start
	wait $run_pid || true # what it saw is not what counts here
	wait_until 60 "$node killed when $point: READY or cleanly gone" settled
	diag "$node killed when $point: $(state)"
	run sparkbus stop --all
	is "$rc" 0 "$node killed when $point: what is left can be stopped" || diag "$out $err"
	is "$(containers)" 0 "$node killed when $point: nothing is left"
}

for point in ${CRASH_POINTS:-created started loading ready}; do
	for node in spark1 spark2; do
		crash "$node" "$point"
	done
done

# SIGTERM leaves containers running; the next agent adopts them.
run_expect 0 "run" sparkbus run "$recipe" --no-follow
for node in spark1 spark2; do
	run_expect 0 "$node's agent is restarted" node_agent "$node" restart
done
is "$(containers)" 2 "the containers run on"
run_expect 0 "and the model answers" answers
ready() { [ "$(state)" = READY ]; }
wait_until 30 "the job is READY still" ready

# A tombstone: stopped while the leader was away, so it must not start anything when it is back.
node_agent spark1 kill9
run sparkbus stop --all
is "$rc" 3 "a stop that reaches only one node is unknown"
like "$out$err" 'spark1.*unknown|unknown.*spark1' "and says for whom"
node_agent spark1 start
ended() { [ "$(state)" = STOPPED ] && [ "$(containers)" = 0 ]; }
wait_until 60 "the leader learns of it and ends the job" ended
done_testing
