#!/usr/bin/env bash
# From a recipe to an answer on two nodes, and back to nothing: the main way, and the ways in which
# a launch must not begin.
. "$(dirname "$0")/../testbed/lib.sh"
recipes=$SB_SOURCE/tests/integration/recipes

testbed_up 2 --image sim:1
head=$TESTBED_NET.11

json() { jq -r "$1" <<<"$out"; }
containers() { node_docker "$1" ps -aq --filter label=sparkbus.job | wc -l; }

run_expect 0 "status of an idle cluster" sparkbus status
like "$out" 'spark1' "it names the nodes"

run_expect 0 "a dry run" sparkbus run "$recipes/pair.yaml" --dry-run
like "$out" '--node-rank 0' "it shows rank 0's command"
like "$out" '--headless' "it shows that rank 1 is headless"
is "$(containers spark1)$(containers spark2)" 00 "and starts nothing"
run_expect 0 "the same as JSON" sparkbus run "$recipes/pair.yaml" --dry-run --json
is "$(json '.ranks | length')" 2 "the plan has two ranks"
job=$(json .job)
like "$job" '^sparkbus_[0-9a-f]{12}$' "it has a job id"

# --- the memory that a launch takes, against what the nodes measure ---

snapshot=$TESTBED_DIR/hf-cli/models--example--pair/snapshots/0123456789abcdef
mkdir -p "$snapshot" "${snapshot%/*/*}/refs"
printf 0123456789abcdef >"${snapshot%/*/*}/refs/main"
echo '{"num_hidden_layers":32,"num_attention_heads":32,"num_key_value_heads":8,"hidden_size":4096}' >"$snapshot/config.json"
echo '{"metadata":{"total_size":109951162777600}}' >"$snapshot/model.safetensors.index.json"
export HF_HUB_CACHE=$TESTBED_DIR/hf-cli
run_expect 0 "a dry run of a model that is too large" sparkbus run "$recipes/pair.yaml" --dry-run
like "$out" 'Memory: +51200.0 GiB of weights on a node, of [0-9.]+ GiB: does not fit' "the plan says so"
like "$err" 'Warning: spark1: memory: 51204.0 GiB before any cache' "the warning names node and numbers"
like "$err" 'Warning: spark2: memory: ' "each node"
total=$(awk '/^MemTotal:/ { printf "%.1f", $2 * 0.85 / 1048576 }' /proc/meminfo)
like "$err" "share of $total GiB" "its share of the memory that the node measured"
ln -s models--example--pair "$HF_HUB_CACHE/models--example--solo"
run_expect 1 "a run with --strict" sparkbus run "$recipes/solo.yaml" -H spark1 --no-follow --strict --no-lint
like "$err" 'spark1: memory: ' "is refused for it"
like "$err" 'Nothing was started' "and says so"
is "$(containers spark1)$(containers spark2)" 00 "and nothing runs"
unset HF_HUB_CACHE

run_expect 0 "run" sparkbus run "$recipes/pair.yaml" --no-follow
like "$out$err" "http://$head:8000/v1" "it says where the model is served"
run_expect 0 "the model answers" curl -sf "http://$head:8000/v1/chat/completions" \
	-H 'Content-Type: application/json' \
	-d '{"model":"example/pair","messages":[{"role":"user","content":"hello"}],"max_tokens":8}'
is "$(json .usage.completion_tokens)" 8 "with tokens"
run_expect 0 "status" sparkbus status --json
is "$(json '.jobs[0].state')" READY "the job is READY"
is "$(json '.jobs[0].health')" HEALTHY "and healthy"
is "$(json '[.jobs[0].ranks[].state] | unique | join(",")')" RUNNING "both ranks run"
is "$(containers spark1)$(containers spark2)" 11 "one container on each node"
is "$(node_docker spark2 inspect -f '{{.Path}}' "$(node_docker spark2 ps -q)")" vllm \
	"the container's main process is the serve command"

run_expect 0 "--ensure finds it" sparkbus run "$recipes/pair.yaml" --ensure
like "$out$err" 'already' "and says so"
run_expect 1 "a second run is refused" sparkbus run "$recipes/pair.yaml" --no-follow
like "$err" "$job is already here" "because it runs"
is "$(containers spark1)$(containers spark2)" 11 "and nothing was touched"

run_expect 0 "logs" sparkbus logs "$job" --no-follow
like "$out" 'startup complete' "the head's log"
run_expect 0 "logs of all ranks" sparkbus logs "$job" --rank all --no-follow

run_expect 0 "the recipe of the job" sparkbus export running-recipe "$job"
like "$out" "^# Job $job, launched from .* on spark1, spark2" "it says what of"
printf '%s\n' "$out" >"$TESTBED_DIR/again.yaml"
run_expect 0 "and launches the same" sparkbus run "$TESTBED_DIR/again.yaml" --dry-run --json
is "$(json .job)" "$job" "by its id"

run_expect 0 "stop" sparkbus stop "$job"
like "$out" 'gone from the engine' "with evidence of the container"
like "$out" 'port 8000 is closed' "and of the port"
is "$(containers spark1)$(containers spark2)" 00 "no container is left"
run_expect 0 "logs outlive the containers" sparkbus logs "$job" --no-follow
like "$out" 'startup complete' "they say what they said"
run_expect 0 "stopping again is harmless" sparkbus stop "$job"
run_expect 1 "stop of an unknown job" sparkbus stop 0123456789ab

# --- what must not begin ---

node_exec spark1 busybox nc -ll -p 8000 -e true & squatter=$!
wait_until 10 "somebody listens on spark1's port 8000" \
	node_exec spark1 bash -c 'exec 3<>/dev/tcp/127.0.0.1/8000'
run_expect 1 "a port in use" sparkbus run "$recipes/pair.yaml" --no-follow
like "$err" 'spark1: port 8000 is in use by .*(nc|busybox)' "names node, port and owner"
is "$(containers spark1)$(containers spark2)" 00 "and nothing was started"
pkill -f "nc -ll -p 8000 -e true"; wait $squatter 2>/dev/null

node_docker spark2 create --name "${job}_node_1" sim:1 /bin/true >/dev/null
run_expect 1 "a name taken by a foreign container" sparkbus run "$recipes/pair.yaml" --no-follow
like "$err" "spark2: .*${job}_node_1" "names node and container"
is "$(node_docker spark2 ps -aq --filter "name=${job}_node_1" | wc -l)" 1 "and leaves it alone"
node_docker spark2 rm "${job}_node_1" >/dev/null

run_expect 1 "an image that cannot be had" \
	sparkbus run "$recipes/pair.yaml" --no-follow --image "127.0.0.1:1/no/such:1"
like "$err" '127.0.0.1:1/no/such' "names it"
is "$(containers spark1)$(containers spark2)" 00 "and nothing was started"

run_expect 1 "more nodes needed than given" sparkbus run "$recipes/pair.yaml" --tp 4 --no-follow
like "$err" 'requires 4 nodes, but only 2' "says how many"

# --- what fails on the way ---

run_expect 1 "a rank that dies while loading" \
	sparkbus run "$recipes/pair.yaml" --no-follow -o env.ENGINESIM_FAULT=oom_load@rank=1
like "$err" 'rank 1 \(spark2\)' "is named"
like "$err" 'OutOfMemory' "with the lines that matter"
is "$(containers spark1)$(containers spark2)" 00 "and every rank is torn down"

run_expect 1 "an engine with a green /health that generates nothing" \
	sparkbus run "$recipes/solo.yaml" --solo --no-follow --ready-timeout 3 \
	-o env.ENGINESIM_FAULT=hang
like "$err" 'generates nothing|never came alive' "is not READY"
is "$(containers spark1)$(containers spark2)" 00 "and is torn down"

run_expect 1 "a flag that the engine does not know" \
	sparkbus run "$recipes/badflag.yaml" --solo --no-follow
like "$err" 'unrecognized arguments: --no-such-flag' "is told in the engine's words"
is "$(containers spark1)$(containers spark2)" 00 "leaves nothing"

done_testing
