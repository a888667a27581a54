#!/usr/bin/env bash
# The folder of the agent's state is full: before a launch, which then must not begin, and under a
# running job, which must go on and can be stopped.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

testbed_up 2 --image sim:1
head=$TESTBED_NET.11
dir=$tb/spark2/state

containers() { { node_docker spark1 ps -aq --filter label=sparkbus.job
	node_docker spark2 ps -aq --filter label=sparkbus.job; } | wc -l; }
state() { sparkbus status --json 2>/dev/null | jq -r '[.jobs[] | select(.authoritative)][0].state // "none"'; }
answers()
{
	curl -sf --max-time 5 "http://$head:8000/v1/completions" -H 'Content-Type: application/json' \
		-d '{"model":"example/pair","prompt":"x","max_tokens":1}' >/dev/null
}

# A small disk for spark2's state; an agent asks for 64 MiB free there. The testbed takes the mount down with everything below its folder.
node_agent spark2 stop
mount -t tmpfs -o size=128m,mode=700 sparkbus-test "$dir" 2>/dev/null || {
	node_agent spark2 start
	skip_all "mounting a tmpfs is refused"
}
fill() { dd if=/dev/zero of="$dir/filler" bs=64k; dd if=/dev/zero bs=1k >>"$dir/filler"; } 2>/dev/null
empty() { rm -f "$dir/filler"; }
left() { df --output=avail -k "$dir" | tail -n 1 | tr -d ' '; }
node_agent spark2 start

# --- full before a launch ---

fill
is "$(left)" 0 "spark2's state folder is full"
run_expect 0 "status answers" sparkbus status
run_expect 1 "a launch is refused" sparkbus run "$recipe" --no-follow
like "$err" "spark2: .*$dir" "naming node and folder"
like "$err" 'No space|no room|full|free' "and what is wrong with it"
like "$err" 'Nothing was started' "nothing was started"
is "$(containers)" 0 "indeed"
unlike "$(state)" 'STARTING|READY|PREPARED' "no lease is left"
node_agent spark2 restart
run_expect 0 "an agent starts on a full disk" sparkbus node show spark2
empty
run_expect 0 "with room again the launch works" sparkbus run "$recipe" --no-follow

# --- filled up while a job runs ---

job=$(sparkbus status --json | jq -r '.jobs[0].job')
fill
is "$(left)" 0 "it is full again"
for _ in 1 2 3 4 5; do
	curl -sf "http://$head:8000/v1/models" >/dev/null
done
run_expect 0 "the model answers" answers
is "$(state)" READY "the job is READY still"
run_expect 0 "logs are read" sparkbus logs "$job" --rank all --no-follow
run sparkbus stop "$job"
case $rc in
0)
	ok "stop works"
	like "$out" 'spark2: done' "on the full node, too"
	;;
*)
	ok "stop says that it did not work (status $rc)"
	like "$out$err" "spark2: (failed|unknown).*(space|full|$dir)" "and why"
	;;
esac
is "$(containers)" 0 "no container is left"
empty
run_expect 0 "with room again: stop" sparkbus stop --all
run_expect 0 "status" sparkbus status
like "$(<"$tb/spark2/agent.log")" 'No space left' "the log told of it"
run_expect 0 "the next launch works" sparkbus run "$recipe" --no-follow
is "$(state)" READY "it is READY"

# --- full, and the agent is restarted under the job ---

fill
run_expect 0 "spark2's agent is restarted on the full disk" node_agent spark2 restart
run_expect 0 "the model answers" answers
ready() { [ "$(state)" = READY ]; }
wait_until 30 "the job is READY still" ready
run sparkbus stop --all
diag "stop on a full disk after a restart: status $rc"
is "$(containers)" 0 "and can be stopped"
empty
done_testing
