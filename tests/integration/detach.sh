#!/usr/bin/env bash
# Ctrl-C, and a CLI that is killed: what was not started stays so, what was started goes on.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

testbed_up 2 --image sim:1
head=$TESTBED_NET.11

containers() { { node_docker spark1 ps -aq --filter label=sparkbus.job
	node_docker spark2 ps -aq --filter label=sparkbus.job; } | wc -l; }
state() { sparkbus status --json 2>/dev/null | jq -r '[.jobs[] | select(.authoritative)][0].state // "none"'; }
state_is() { [ "$(state)" = "$1" ]; }
answers()
{
	curl -sf --max-time 5 "http://$head:8000/v1/completions" -H 'Content-Type: application/json' \
		-d '{"model":"example/pair","prompt":"x","max_tokens":1}' >/dev/null
}
agent_pid() { cat "$tb/$1/agent.pid"; }
has() { grep -qE "$1" "$scratch/cli.out" "$scratch/cli.err"; }
# A job that was committed keeps its file; this one is looked at when there was none before.
leased() { compgen -G "$tb/$1/state/jobs/*.pb" >/dev/null; }

# A CLI in the background that Ctrl-C can reach: bash has background jobs ignore SIGINT, and
# that is inherited, so env(1) sets it right.
cli() # ARGS...
{
	env --default-signal=INT sparkbus "$@" >"$scratch/cli.out" 2>"$scratch/cli.err" </dev/null &
	cli_pid=$!
}
cli_ends() # RC NAME
{
	local status=0
	wait $cli_pid || status=$?
	is "$status" "$1" "$2" || diag "$(cat "$scratch/cli.out" "$scratch/cli.err")"
}

# --- before anything was started: spark2's agent is frozen, so prepare cannot end ---

node_agent spark2 pause
cli run "$recipe" --no-follow
wait_until 10 "the CLI asks the nodes" has 'Asking nodes'
kill -INT $cli_pid
cli_ends 130 "Ctrl-C while nodes are asked"
node_agent spark2 resume
is "$(containers)" 0 "nothing was started"

# Catch the CLI between the leases and the commit: it is stopped when a lease is seen on disk, which
# is some round trips before. If it was too fast for that, once more.
catch_prepared() # NAME
{
	local try
	for ((try = 0; try < 20; try++)); do
		rm -f "$tb"/spark?/state/jobs/*.pb
		cli run "$recipe" --no-follow
		until leased spark1 || ! kill -0 $cli_pid 2>/dev/null; do :; done
		kill -STOP $cli_pid
		if state_is PREPARED; then
			ok "$1: the nodes hold leases, and nobody committed"
			return 0
		fi
		kill -CONT $cli_pid
		wait $cli_pid
		sparkbus stop --all >/dev/null
	done
	not_ok "$1: the CLI could not be caught before its commit in $try tries"
	return 1
}
catch_prepared "Ctrl-C before the commit"
kill -INT $cli_pid
kill -CONT $cli_pid
cli_ends 130 "Ctrl-C before the commit"
like "$(<"$scratch/cli.err")" 'nothing was started' "says that nothing was started"
is "$(containers)" 0 "and nothing was"
is "$(state)" none "the leases are given back"

# --- while it loads: the launch goes on ---

cli run "$recipe" -o env.ENGINESIM_LOAD_MS=3000
loading() { state_is STARTING && [ "$(containers)" = 2 ]; }
wait_until 20 "the engine loads" loading
kill -INT $cli_pid
cli_ends 3 "Ctrl-C while the engine loads: not known yet how it ends"
like "$(<"$scratch/cli.err")" 'Detached; the launch goes on' "says that it goes on"
wait_until 30 "the job becomes READY without the CLI" state_is READY
run_expect 0 "and answers" answers

# --- --ensure, and a second launch beside it ---

run_expect 0 "run --ensure of a job that runs" \
	sparkbus run "$recipe" -o env.ENGINESIM_LOAD_MS=3000 --ensure
like "$out$err" 'already running' "touches nothing"
run_expect 0 "stop" sparkbus stop --all
run_expect 0 "run --ensure of a job that does not run" sparkbus run "$recipe" --ensure --no-follow
is "$(state)" READY "starts it"
run_expect 0 "run --ensure --json" sparkbus run "$recipe" --ensure --json
is "$(jq -r .state <<<"$out")" READY "tells the state of the one that runs"

# --- while the log is followed ---

run_expect 0 "stop" sparkbus stop --all
cli run "$recipe"
wait_until 30 "the log is followed" has 'startup complete'
kill -INT $cli_pid
cli_ends 0 "Ctrl-C while the log is followed"
like "$(<"$scratch/cli.err")" 'Detached; the job goes on' "says that the job goes on"
is "$(state)" READY "and it does"
run_expect 0 "it answers" answers
cli logs "$(sparkbus status --json | jq -r '.jobs[0].job')" --follow
wait_until 10 "logs -f shows the log" has 'startup complete'
kill -INT $cli_pid
cli_ends 0 "Ctrl-C of logs -f"
is "$(state)" READY "leaves the job alone"
run_expect 0 "stop" sparkbus stop --all

# --- --foreground ---

cli run "$recipe" --foreground
wait_until 30 "a job in the foreground" has 'startup complete'
kill -INT $cli_pid
cli_ends 0 "Ctrl-C stops it"
like "$(<"$scratch/cli.out")" 'gone from the engine' "with evidence"
is "$(containers)" 0 "and it is gone"
cli run "$recipe" --foreground -o env.ENGINESIM_LOAD_MS=60000
wait_until 20 "one that still loads" loading
kill -INT $cli_pid
cli_ends 0 "Ctrl-C stops that, too"
is "$(containers)" 0 "and it is gone"

# --- kill -9 ---

cli run "$recipe" -o env.ENGINESIM_LOAD_MS=2000
wait_until 20 "a launch is under way" loading
kill -KILL $cli_pid
wait $cli_pid 2>/dev/null
wait_until 30 "its CLI is killed: it becomes READY" state_is READY
run_expect 0 "stop" sparkbus stop --all

catch_prepared "kill -9 before the commit"
kill -KILL $cli_pid
wait $cli_pid 2>/dev/null
is "$(state)" PREPARED "a lease is left"
wait_until 75 "which runs out" state_is none
is "$(containers)" 0 "and nothing was started"
run_expect 0 "the next launch works" sparkbus run "$recipe" --no-follow
run_expect 0 "stop" sparkbus stop --all
done_testing
