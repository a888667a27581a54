#!/usr/bin/env bash
# A READY engine that stops generating while its door stays open is wedged, one that is gone is
# dead, and one that generates again is READY. The times are short; what they are is a setting.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/solo.yaml

testbed_up 1 --image sim:1
node_agent spark1 stop
echo 'health: {frozen_s: 2, prove_s: 2}' >>"$tb/spark1/agent.yaml"
node_agent spark1 start
url=http://$TESTBED_NET.11:8000

job() { sparkbus status --all --json | jq -r "[.jobs[] | select(.authoritative)][0].$1"; }
job_is() { [ "$(job state) $(job health)" = "$1" ]; }
fault() { curl -sf -X POST "$url/enginesim/fault?name=$1&value=$2" >/dev/null; }
generate() # TOKENS, in the background
{
	exec curl -s --max-time 60 "$url/v1/completions" -H 'Content-Type: application/json' \
		-d "{\"model\":\"example/solo\",\"prompt\":\"x\",\"max_tokens\":$1,\"ignore_eos\":true}" >/dev/null
}

run_expect 0 "run" sparkbus run "$recipe" --no-follow
is "$(job state) $(job health)" "READY HEALTHY" "it is READY and healthy"

# --- its tokens are the proof ---

proved=$(job proved_unix_ms)
generate 3000 &
busy() { [ "$(job engine.running)" = 1 ] && [ "$(job 'engine.tokens_per_s > 10')" = true ]; }
wait_until 15 "status has what the engine says of its work" busy
like "$(sparkbus status)" 'load: +1 running, 0 waiting, [0-9.]+ tokens/s, KV cache [0-9]+%' \
	"also for people"
newer() { [ "$(job proved_unix_ms)" -gt "$proved" ]; }
wait_until 15 "tokens prove its life" newer

# --- requests run, nothing is generated, /health is green ---

run_expect 0 "it hangs" fault hang on
wait_until 30 "wedged" job_is "UNHEALTHY WEDGED"
run_expect 0 "its /health is green all the while" curl -sf "$url/health"
like "$(job reason)" '^wedged: it serves, but generates nothing' "the reason says so"
like "$(sparkbus events --kind job.wedged)" 'job\.wedged .*it serves' "and an event"
is "$(node_docker spark1 ps -q | wc -l)" 1 "nobody killed it"
run_expect 0 "it goes on" fault hang off
wait_until 30 "READY again" job_is "READY HEALTHY"
kill $! 2>/dev/null || true
wait || true

# --- nobody asks it anything ---

idle() { [ "$(job engine.running)" = 0 ]; }
wait_until 15 "it has nothing to do" idle
run_expect 0 "it hangs while idle" fault hang on
wait_until 30 "that is found, too" job_is "UNHEALTHY WEDGED"
run_expect 0 "it goes on" fault hang off
wait_until 30 "READY again" job_is "READY HEALTHY"

# --- its process lives, its door is gone ---

pid=$(node_docker spark1 inspect -f '{{.State.Pid}}' "$(node_docker spark1 ps -q)")
kill -STOP "$pid"
not_ready() { [ "$(job state)" = UNHEALTHY ]; }
wait_until 40 "a stopped process is not READY" not_ready
kill -CONT "$pid"
wait_until 30 "READY again" job_is "READY HEALTHY"
run_expect 0 "stop" sparkbus stop --all
done_testing
