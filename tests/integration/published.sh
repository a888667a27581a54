#!/usr/bin/env bash
# Every bundled recipe and many published ones, as they are: READY, an answer, and gone with evidence.
# Each runs under the name of the image that it asks for and on as many nodes as it asks for. The engine
# simulator refuses any flag that the real engine does not have. Several jobs run at a time, each on
# nodes of its own.
. "$(dirname "$0")/../testbed/lib.sh"
corpus=$SB_SOURCE/tests/golden/corpus
results=$scratch/results
mkdir "$results"
export SPARKBUS_RECIPES=$SB_SOURCE/recipes

# Besides the bundled ones and recipes/official: each runtime, mods, drafts, one to four nodes.
published='
	handmade/atlas handmade/eug handmade/lc handmade/ray handmade/trt
	official/experimental-recipes/deepseek4/deepseek4-flash-fp8-mtp-vllm
	official/experimental-recipes/eugr-vllm/nemotron-3-nano-nvfp4-vllm
	official/experimental-recipes/eugr-vllm/qwen3-coder-next-int4-autoround-vllm
	official/experimental-recipes/eugr-vllm/qwen3.5-397b-a17b-fp8-4x-vllm
	official/experimental-recipes/eugr-vllm/qwen3.6-35b-a3b-fp8-dflash-vllm
	official/experimental-recipes/gemma4/gemma4-26b-a4b-online-fp8-vllm
	official/experimental-recipes/minimax-m3/minimax-m3-v0-nvfp4-2x-reap25
	official/experimental-recipes/minimax-m3/minimax-m3-v0-nvfp4-4x
	official/experimental-recipes/qwen3.5/vllm-mesh/qwen3.5-397b-a17b-int4-autoround-3x-vllm
	official/official-recipes/qwen3.6/vllm/qwen3.6-27b-fp8-mtp-vllm'

# --- what there is to run ---

declare -A of_nodes=([1]='' [2]='' [3]='' [4]='')
runtimes='' images=()
look_at() # PATH
{
	local nodes runtime image
	read -r nodes runtime image < <("$SB_BUILD/coordinator/sparkbus" show --no-vram --json "$1" | jq -r '
		[([.min_nodes, ((.defaults.tensor_parallel // 1) * (.defaults.pipeline_parallel // 1))] | max),
		.runtime, .container] | @tsv')
	[ -n "${nodes:-}" ] || { not_ok "$1 can be read"; return; }
	of_nodes[$nodes]+=" $1"
	runtimes+="$runtime "
	images+=(--image "${image:-${default_image[$runtime]}}")
}
declare -A default_image=(
	[vllm-distributed]=ghcr.io/spark-arena/dgx-vllm-eugr-nightly-tf5:latest
	[vllm-ray]=ghcr.io/spark-arena/dgx-vllm-eugr-nightly-tf5:latest
	[eugr-vllm]=vllm-node [sglang]=scitrera/dgx-spark-sglang:latest
	[llama-cpp]=scitrera/dgx-spark-llama-cpp:latest [atlas]=avarok/atlas-gb10:latest
	[trtllm]=nvcr.io/nvidia/tensorrt-llm/release:latest)
n_recipes=0
# shellcheck disable=SC2086 # words
for path in "$SPARKBUS_RECIPES"/*/*.yaml $(printf "$corpus/%s.yaml " $published); do
	[[ $path != */rules/* ]] || continue
	look_at "$path"
	n_recipes=$((n_recipes + 1))
done
for runtime in "${!default_image[@]}"; do
	like " $runtimes" " $runtime " "a recipe for $runtime"
done

testbed_up 4 "${images[@]}"

# Some recipes use a file of the checkpoint, which must be in the model cache.
for file in bg-digitalservices--Gemma-4-26B-A4B-it-NVFP4/gemma4_patched.py \
	sakamakismile--gemma-4-12B-coder-fable5-composer2.5-MTP-NVFP4/assistant/config.json \
	nvidia--NVIDIA-Nemotron-3-Nano-30B-A3B-NVFP4/nano_v3_reasoning_parser.py; do
	for node in spark1 spark2 spark3 spark4; do
		repo=$tb/$node/hf/hub/models--${file%%/*}
		mkdir -p "$repo/refs" "$(dirname "$repo/snapshots/c0ffee/${file#*/}")"
		printf c0ffee >"$repo/refs/main"
		echo "# $file" >"$repo/snapshots/c0ffee/${file#*/}"
	done
done

# Nodes for a job, as a cluster with the settings that this machine needs.
mapfile -t executor < <(sparkbus cluster show testbed --json |
	jq -r '.executor[] | "--executor", .')
lane() { sparkbus cluster create "$1" --hosts "$2" "${executor[@]}" >/dev/null; }
for k in 1 2 3 4; do lane "one$k" "spark$k"; done
lane two1 spark1,spark2
lane two2 spark3,spark4
lane three1 spark1,spark2,spark3
lane four1 spark1,spark2,spark3,spark4

# --- one recipe, in a process of its own: lines "ok NAME" or "not ok NAME" and why ---

declare -A ranks=([one]='standing in for' [two]='across 2 ranks' [three]='across 3 ranks' [four]='across 4 ranks')
ask() # URL NAME LANE
{
	local path=chat/completions body='{"messages": [{"role": "user", "content": "hello"}], "max_tokens": 24}'
	local want=".usage.completion_tokens == 24 and (.choices[0].message | .content // .reasoning_content // .reasoning |
		contains(\"${ranks[${3%[0-9]}]}\"))"
	case $2 in
	*embedding*) path=embeddings body='{"input": "hello"}' want='.data[0].embedding | length > 0' ;;
	*reranker*) path=score body='{"text_1": "a", "text_2": ["b", "c"]}' want='.data | length == 2' ;;
	esac
	curl -s --max-time 20 "$1/$path" -H 'Content-Type: application/json' -d "$body" |
		tee /dev/stderr | jq -e "$want" >/dev/null
}

say() # NAME COMMAND... : its status, and what it printed when that is bad
{
	local name=$1
	shift
	if "$@" >"$log" 2>&1 </dev/null; then
		echo "ok $name"
		return
	fi
	echo "not ok $name"
	tail -n 20 "$log" | tr -d '\0' | sed 's/^/  /'
	return 1
}

gone() # JOB LANE
{
	local text status=0
	text=$(sparkbus stop "$1" --cluster "$2") || status=$?
	echo "$text"
	[ "$status" = 0 ] && grep -q 'gone from the engine' <<<"$text" && grep -q 'port .* is closed' <<<"$text" &&
		! grep -qE '^ +(spark.: (failed|unknown)|- )' <<<"$text"
}

one() # LANE PATH
{
	local name=${2#"$SB_SOURCE"/} log run job url
	name=${name#tests/golden/corpus/}
	log=$results/${name//\//_}.log run=$results/${name//\//_}.run
	if ! say "$name: READY" sparkbus run "$2" --cluster "$1" --no-follow; then
		sparkbus stop --all --cluster "$1" >/dev/null 2>&1
		return
	fi
	mv "$log" "$run"
	url=$(sed -n 's/^URL: *//p' "$run") job=$(sed -n 's/^Job: *//p' "$run" | tail -n 1)
	say "$name: it answers" ask "$url" "$name" "$1"
	say "$name: gone, with evidence" gone "$job" "$1"
}

queue() # LANE PATH...
{
	local lane=$1 path
	shift
	for path; do
		one "$lane" "$path"
	done >"$results/$lane.tap"
}

# The recipes for N nodes, over N's lanes.
all_of() # WORD LANES PATH...
{
	local word=$1 lanes=$2 i k
	shift 2
	local -a paths=("$@") mine
	for ((k = 0; k < lanes; k++)); do
		mine=()
		for ((i = k; i < ${#paths[@]}; i += lanes)); do mine+=("${paths[i]}"); done
		queue "$word$((k + 1))" "${mine[@]}" &
	done
	wait
}
began=$SECONDS
# shellcheck disable=SC2086 # lists of paths without blanks
{
	all_of one 4 ${of_nodes[1]}
	all_of two 2 ${of_nodes[2]}
	all_of three 1 ${of_nodes[3]}
	all_of four 1 ${of_nodes[4]}
}
diag "$n_recipes recipes in $((SECONDS - began)) s"

while IFS= read -r line; do
	case $line in
	'ok '*) ok "${line#ok }" ;;
	'not ok '*) not_ok "${line#not ok }" ;;
	*) diag "$line" ;;
	esac
done < <(cat "$results"/*.tap)
is "$(grep -c 'evidence$' <(cat "$results"/*.tap))" $n_recipes "every recipe came to its end"
like "$(cat "$results"/*qwen3.6-27b-dflash.yaml.run)" \
	'warning: the draft z-lab/Qwen3.6-27B-DFlash is not in the model cache' "nodes look for drafts, too"
for node in spark1 spark2 spark3 spark4; do
	is "$(node_docker "$node" ps -aq --filter label=sparkbus.job)" '' "nothing is left on $node"
done
done_testing
