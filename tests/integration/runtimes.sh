#!/usr/bin/env bash
# One recipe of every runtime on two nodes: READY, an answer, and gone without a trace. The recipes
# are those of the corpus, under the names of the images that they ask for.
. "$(dirname "$0")/../testbed/lib.sh"
corpus=$SB_SOURCE/tests/golden/corpus/handmade

testbed_up 2 --image scitrera/dgx-spark-vllm:latest \
	--image ghcr.io/spark-arena/dgx-vllm-eugr-nightly-tf5:latest \
	--image scitrera/dgx-spark-llama-cpp:latest --image scitrera/dgx-spark-sglang:latest \
	--image avarok/atlas-gb10:latest --image vllm-node --image nvcr.io/nvidia/tensorrt-llm/release:latest
head=$TESTBED_NET.11

containers() { node_docker "$1" ps -aq --filter label=sparkbus.job | wc -l; }
both_empty() { [ "$(containers spark1)$(containers spark2)" = 00 ]; }
json() { jq -r "$1" <<<"$out"; }
main_path() { node_docker "$1" inspect -f '{{.Path}} {{join .Args " "}}' "$(node_docker "$1" ps -q)"; }

launch() # RUNTIME RECIPE PORT WORKER-COMMAND [OPTION...]
{
	local runtime=$1 recipe=$2 port=$3 worker=$4
	shift 4
	run_expect 0 "$runtime: run" sparkbus run "$corpus/$recipe.yaml" --no-follow "$@" || return
	said=$err
	run_expect 0 "$runtime: status" sparkbus status --json
	is "$(json '.jobs[0].state')" READY "$runtime: the job is READY"
	is "$(json '[.jobs[0].ranks[].state] | join(",")')" RUNNING,RUNNING "$runtime: both ranks run"
	is "$(containers spark1)$(containers spark2)" 11 "$runtime: one container on each node"
	like "$(main_path spark2)" "$worker" "$runtime: the second node's command"
	run_expect 0 "$runtime: it answers" curl -sf --max-time 10 "http://$head:$port/v1/chat/completions" \
		-H 'Content-Type: application/json' \
		-d '{"messages":[{"role":"user","content":"hello"}],"max_tokens":24}'
	is "$(json .usage.completion_tokens)" 24 "$runtime: with tokens"
	like "$(json '.choices[0].message.content')" 'across 2 ranks' "$runtime: of both ranks"
	"look_at_$runtime"
	run_expect 0 "$runtime: stop" sparkbus stop --all
	like "$out" 'gone from the engine' "$runtime: with evidence of the container"
	like "$out" "port $port is closed" "$runtime: and of the port"
	is "$(containers spark1)$(containers spark2)" 00 "$runtime: nothing is left"
}

# What becomes of a job when the second node's rank dies.
loses_a_rank() # RUNTIME RECIPE
{
	run_expect 0 "$1: run again" sparkbus run "$corpus/$2.yaml" --no-follow || return
	lost=$err
	[ "$1" != llama-cpp ] || lost+=$(main_path spark1)
	node_docker spark2 kill "$(node_docker spark2 ps -q)" >/dev/null
	wait_until 30 "$1: its second rank dies: the job is torn down" both_empty
	run_expect 0 "$1: status --all" sparkbus status --all
	like "$out" 'rank 1 .*137' "$1: and says which rank died"
	run sparkbus stop --all
}

# What is special about one of them, while it runs; $said is what `sparkbus run` said.
look_at_vllm-distributed() { :; }
look_at_sglang() { :; }
look_at_vllm-ray() { :; }
look_at_atlas() { :; }
look_at_eugr-vllm() { :; }

# A GGUF model, whose file the head's node has in its cache.
look_at_llama-cpp()
{
	like "$said" 'spark1: serves hub/models--Qwen--Qwen3-1.7B-GGUF/snapshots/0000/Qwen3-1.7B-Q8_0.gguf from the model cache' \
		"GGUF: the node says which file"
	like "$(main_path spark1)" 'llama-server -m /cache/huggingface/hub/models--Qwen--[^ ]*/snapshots/0000/Qwen3-1.7B-Q8_0.gguf ' \
		"GGUF: the file takes the place of its name"
}
hf=$(sparkbus node show spark1 --json | jq -r .hf_cache)
model=$hf/hub/models--Qwen--Qwen3-1.7B-GGUF
mkdir -p "$model/refs" "$model/blobs" "$model/snapshots/0000"
printf 0000 >"$model/refs/main"
echo GGUF >"$model/blobs/abc"
ln -s ../../blobs/abc "$model/snapshots/0000/Qwen3-1.7B-Q8_0.gguf"

# The daemon of MPI is the container's main process, and the secret is in none of what is to be seen.
look_at_trtllm()
{
	local secret worker
	worker=$(node_docker spark2 ps -q)
	like "$(node_docker spark2 exec "$worker" ps -o args)" '^orted .*ess_base_vpid' \
		"trtllm: the waiter became MPI's daemon"
	secret=$(node_docker spark2 exec "$worker" cat /.sparkbus/mpi/secret)
	like "$secret" '^[0-9a-f]{64}$' "trtllm: the launch has a secret"
	is "$(node_docker spark2 exec "$worker" stat -c %a /.sparkbus/mpi/secret)" 600 \
		"trtllm: in a file that others cannot read"
	run_expect 0 "trtllm: the job in JSON" sparkbus job show "$(sparkbus status --json | jq -r '.jobs[0].job')" --json
	unlike "$out$(node_docker spark2 inspect "$worker")" "$secret" "trtllm: and nowhere to be seen"
}

launch vllm-distributed vd 8000 'vllm serve .* --node-rank 1 .*--headless'
launch llama-cpp lc 8000 'rpc-server --host .* --port 50052'
launch sglang sg 30000 'sglang.launch_server .* --node-rank 1'
launch vllm-ray ray 8000 'ray start --block --address'
launch atlas atlas 8888 'spark serve .* --rank 1'
launch trtllm trt 8000 'python3 /.sparkbus/mpi/start wait'
launch eugr-vllm eug 52001 'ray start --block --address'

rm "$model/blobs/abc"
loses_a_rank llama-cpp lc
like "$lost" 'spark1: warning: .* no GGUF file for Q8_0; the engine must find Qwen/Qwen3-1.7B-GGUF:Q8_0 itself' \
	"GGUF: a link that leads nowhere is no file"
like "$lost" 'llama-server -hf Qwen/Qwen3-1.7B-GGUF:Q8_0' "GGUF: then the command stays"
loses_a_rank sglang sg
loses_a_rank vllm-ray ray
loses_a_rank trtllm trt

run_expect 0 "trtllm: on one node" sparkbus run "$corpus/trt.yaml" --no-follow --solo --tp 1
like "$(main_path spark1)" 'trtllm-serve nvidia/Qwen3-8B-NVFP4' "trtllm: alone it is the main process"
like "$(node_docker spark1 exec "$(node_docker spark1 ps -q)" cat /tmp/extra-llm-api-config.yml)" 'backend: CUTLASS' \
	"trtllm: with its file of settings"
run_expect 0 "trtllm: stop" sparkbus stop --all
both_empty || not_ok "nothing is left"

done_testing
