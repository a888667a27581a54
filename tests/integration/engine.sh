#!/usr/bin/env bash
# The container engine is away, comes back, dies in the middle: what is said about it must be true
# at every moment. Containers outlive a killed daemon (their shims go on) when live-restore is on.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

testbed_up 2 --image sim:1 --dockerd-arg --live-restore
head=$TESTBED_NET.11

containers() { node_docker "$1" ps -aq --filter label=sparkbus.job | wc -l; }
both_empty() { [ "$(containers spark1)$(containers spark2)" = 00 ]; }
state() { sparkbus status --json 2>/dev/null | jq -r '[.jobs[] | select(.authoritative)][0].state // "none"'; }
state_is() { [ "$(state)" = "$1" ]; }
engine_of() { sparkbus node show "$1" --json | jq -r ".engine.reachable"; }
engine_is() { [ "$(engine_of "$1")" = "$2" ]; }
answers()
{
	curl -sf --max-time 5 "http://$head:8000/v1/completions" -H 'Content-Type: application/json' \
		-d '{"model":"example/pair","prompt":"x","max_tokens":1}' >/dev/null
}

# --- away before a launch ---

no_engine() # NAME REGEX
{
	run_expect 1 "$1: a launch is refused" sparkbus run "$recipe" --no-follow
	like "$err" "spark2: .*$2" "$1: it names the node and the cause"
	like "$err" "spark2: .*\(.*(systemctl|socket|engine\.socket).*\)" "$1: with a hint"
	unlike "$err" 'spark1: .*engine at' "$1: and blames nobody else"
	is "$(containers spark1)" 0 "$1: nothing was started on the other node"
	run_expect 0 "$1: status answers" sparkbus status
	like "$out" 'spark2: container engine: ' "$1: status tells of it"
}
sock=$tb/spark2/docker.sock
node_dockerd spark2 stop
wait_until 10 "spark2 knows that its engine is away" engine_is spark2 false
no_engine "no socket" 'not running'
node_dockerd spark2 start
node_dockerd spark2 kill9
no_engine "a socket that nobody serves" 'not running|refused'
rm -f "$sock"
echo nonsense >"$sock"
no_engine "a file in place of the socket" 'engine'
rm -f "$sock"

# A socket that the agent may not open: root without the right to pass over permissions.
node_dockerd spark2 start
node_agent spark2 stop
chown nobody "$sock"
chmod 600 "$sock"
node_agent spark2 start setpriv --bounding-set=-dac_override,-dac_read_search
no_engine "a socket that the agent may not open" '[Pp]ermission denied'
node_agent spark2 restart
chown root "$sock"
wait_until 20 "spark2 sees its engine again, by itself" engine_is spark2 true

# --- killed while the engine loads ---

sparkbus run "$recipe" --no-follow -o env.ENGINESIM_LOAD_MS=4000 >"$scratch/run" 2>&1 &
run_pid=$!
loading() { state_is STARTING && [ "$(containers spark1)$(containers spark2)" = 11 ]; }
wait_until 20 "a launch is under way" loading
run_expect 0 "spark2's daemon is killed" node_dockerd spark2 kill9
run_expect 0 "it starts again" node_dockerd spark2 start
status=0
wait $run_pid || status=$?
case $status in
0)
	is "$(state)" READY "the launch went on: READY"
	run_expect 0 "and it answers" answers
	;;
1)
	wait_until 20 "the launch failed: nothing is left" both_empty
	like "$(<"$scratch/run")" 'rank 1 \(spark2\)' "and it says of whom"
	;;
*) not_ok "a launch whose engine is killed ends in READY or failed, not with status $status" ;;
esac
diag "dockerd killed while loading: exit $status, $(state)"
run_expect 0 "stop" sparkbus stop --all
run_expect 0 "nothing is left" both_empty

# --- killed while READY ---

run_expect 0 "run" sparkbus run "$recipe" --no-follow
for node in spark1 spark2; do
	run_expect 0 "$node's daemon is killed" node_dockerd "$node" kill9
	wait_until 10 "$node knows it" engine_is "$node" false
	run_expect 0 "the model answers without it" answers
	is "$(state)" READY "and the job is READY still"
	run_expect 0 "it starts again" node_dockerd "$node" start
	wait_until 20 "$node sees it" engine_is "$node" true
	is "$(containers "$node")" 1 "the container is there"
	is "$(state)" READY "and the job is READY"
done
run_expect 0 "logs go on" sparkbus logs "$(sparkbus status --json | jq -r '.jobs[0].job')" --no-follow
like "$out" 'startup complete' "with what was there before"

# --- a rank dies while nobody can say so ---

main_pid() { node_docker "$1" inspect -f '{{.State.Pid}}' "$(node_docker "$1" ps -q)"; }
victim=$(main_pid spark2)
run_expect 0 "spark2's daemon is killed" node_dockerd spark2 kill9
kill -KILL "$victim"
gone() { ! kill -0 "$victim" 2>/dev/null; }
wait_until 10 "and then its rank" gone
run_expect 0 "the daemon starts again" node_dockerd spark2 start
ended() { state_is FAILED || state_is none; }
wait_until 60 "the job has FAILED" ended
run_expect 0 "status --all" sparkbus status --all
# Rank 0 misses its partner and ends as well; who is blamed depends on which is seen first.
like "$out" 'rank [01] \(spark[12]\) died' "because a rank died"
like "$out" 'rank 1 .*exit code 137' "and rank 1's end is told once it can be seen"
wait_until 30 "nothing is left" both_empty

# --- stop while it is away ---

run_expect 0 "run" sparkbus run "$recipe" --no-follow
job=$(sparkbus status --json | jq -r '.jobs[0].job')
node_dockerd spark2 kill9
wait_until 10 "spark2's engine is away" engine_is spark2 false
run_expect 3 "stop: what became of spark2's rank is unknown" sparkbus stop "$job"
like "$out" 'spark1: done' "spark1's is done"
like "$out" 'spark2: unknown' "spark2's is unknown"
run_expect 0 "the engine is back" node_dockerd spark2 start
wait_until 30 "and what was owed is done" both_empty
run_expect 0 "stop again: done" sparkbus stop "$job"
like "$out" 'spark2: done' "on spark2, too"
# The leader hears of it from spark2 in its own time: the nodes' answers do not wait for that.
over() { [[ ! $(state) =~ READY|STARTING|STOPPING ]]; }
wait_until 30 "the job has ended" over
done_testing
