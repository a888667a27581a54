#!/bin/bash
# test_engines.sh ENGINESIM - TAP: the engines besides vLLM
here=$(cd "$(dirname "$0")" && pwd)
. "$here/testlib.sh"
chat='{"messages":[{"role":"user","content":"why is the sky blue?"}],"max_tokens":1}'

refused() { # STATUS TEXT COMMAND...
	ENGINESIM_PARSE_ONLY=1 "${@:3}" >"$dir/refused" 2>&1
	same $? "$1" && has "$dir/refused" "$2"
}
dies() { # STATUS TEXT COMMAND...
	"${@:3}" >"$dir/dies" 2>&1
	same $? "$1" && has "$dir/dies" "$2"
}
one_token() { # ask for one token, get it counted
	same "$(post /v1/chat/completions "$chat" | jq -c '[.usage.completion_tokens,.choices[0].finish_reason]')" \
		'[1,"length"]'
}
counted() { # METRIC - its value; labels do not matter
	curl -s "127.0.0.1:$port/metrics" | awk -v m="$1" '{ sub(/{.*}/, "", $1) } $1 == m { print $2 }'
}

### SGLang
sg=(python3 -m sglang.launch_server --model-path org/m --host 127.0.0.1)
ok 'sglang: all published commands are accepted' replay "$here/testdata/sglang_commands.txt" 0
ok 'sglang: the commands with a wrong flag are refused' replay "$here/testdata/sglang_refused.txt" 2
ok 'sglang: an unknown flag' refused 2 'launch_server.py: error: unrecognized arguments: --foo 1' "${sg[@]}" --foo 1
ok 'sglang: as a command' refused 2 'sglang: error: unrecognized arguments: --foo' sglang serve --model-path m --foo
ok 'sglang: no model' refused 2 'required: --model-path/--model' sglang serve --port 1
ok 'sglang: no positional' refused 2 'unrecognized arguments: m' sglang serve --model-path m m
ok 'sglang: underscores are not dashes' refused 2 'unrecognized arguments: --tp_size 2' "${sg[@]}" --tp_size 2
ok 'sglang: a name of several' refused 2 "argument --tensor-parallel-size/--tp-size: invalid int value: 'x'" "${sg[@]}" --tp x
ok 'sglang: another module' refused 1 'No module named foo' python3 -m foo
ok 'sglang: tp must fill the nodes' dies 1 'tp_size must be divisible by number of nodes' "${sg[@]}" --nnodes 2
ok 'sglang: two GPUs are too many for a node' dies 1 'invalid device ordinal' "${sg[@]}" --tp 2
ok 'sglang: an address without a port' dies 1 'Invalid dist-init-addr' "${sg[@]}" --tp 2 --nnodes 2 --dist-init-addr 127.0.0.1
free_port
init=$port
sg+=(--tp-size 2 --nnodes 2 --dist-init-addr "127.0.0.2:$init" --enable-metrics)
launch sg-1 "${sg[@]}" --node-rank 1 --port $((init + 1))
worker=$pid
launch sg-0 "${sg[@]}" --node-rank 0 --port $((init + 2))
head=$pid port=$((init + 2))
ok 'sglang: two ranks meet' await sg-0 'The server is fired up and ready to roll!'
ok 'sglang: one token' one_token
ok 'sglang: it is counted' same "$(counted sglang:generation_tokens_total)" 1
ok 'sglang: nothing runs' same "$(counted sglang:num_running_reqs)$(counted sglang:num_queue_reqs)" 00
ok 'sglang: the owner' same "$(curl -s "127.0.0.1:$port/v1/models" | jq -r '.data[0].owned_by')" sglang
pid=$worker
ok 'sglang: rank 1 is up' await sg-1 'Uvicorn running on'
port=$((init + 1))
ok 'sglang: rank 1 answers /health alone' same "$(code /health)$(code /v1/models)" 200404
kill -KILL "$worker"
wait "$worker" 2>/dev/null
ok 'sglang: a rank dies: rank 0 goes with 1' status_is 1 "$head"
free_port
launch sg-s sglang serve --model-path org/m --port "$port"
ok 'sglang: solo' await sg-s 'fired up'
ok 'sglang: metrics want a flag' same "$(code /metrics)" 404
kill -TERM "$pid"
ok 'sglang: SIGTERM: status 0' status_is 0 "$pid"

### llama.cpp
ls=(llama-server --host 127.0.0.1 -hf org/m-GGUF:Q8_0 --alias q)
ok 'llama: all published commands are accepted' replay "$here/testdata/llama_commands.txt" 0
ok 'llama: an unknown flag' refused 1 'error: invalid argument: --foo' "${ls[@]}" --foo 1
ok 'llama: no beginnings' refused 1 'error: invalid argument: --ctx' "${ls[@]}" --ctx 1
ok 'llama: no NAME=VALUE' refused 1 'error: invalid argument: --port=1' "${ls[@]}" --port=1
ok 'llama: no positional' refused 1 'error: invalid argument: m' "${ls[@]}" m
ok 'llama: a missing value' refused 1 'while handling argument "-c": expected value for argument' "${ls[@]}" -c
ok 'llama: not an int' refused 1 'while handling argument "-c": stoi' "${ls[@]}" -c x
ok 'llama: not a choice' refused 1 "unknown value 'maybe'" "${ls[@]}" --split-mode maybe
ok 'llama: underscores, short names, --flash-attn bare or not' env ENGINESIM_PARSE_ONLY=1 "${ls[@]}" \
	--ctx_size 4096 -ngl all -fa on --flash-attn --jinja -fa
ok 'llama: no model' dies 1 '--model is required' llama-server
ok 'rpc: an unknown flag ends with 0' refused 0 'error: unknown argument: --foo' rpc-server --foo
ok 'rpc: a missing value' refused 1 'Invalid parameters' rpc-server --port
free_port
rpc=$port
ok 'llama: nobody at --rpc' dies 1 "Failed to connect to 127.0.0.2:$rpc" "${ls[@]}" --rpc "127.0.0.2:$rpc"
launch rpc rpc-server --host 127.0.0.2 --port "$rpc"
worker=$pid
ok 'rpc: it listens' await rpc 'Starting RPC server'
free_port
ENGINESIM_FAULT=never_ready launch ll-n "${ls[@]}" --port "$port"
ok 'llama: 503 while it loads' until_is 503 code /health
kill -TERM "$pid"
ok 'llama: SIGTERM ends that, too' status_is 0 "$pid"
free_port
until (exec 3<>"/dev/tcp/127.0.0.2/$rpc") 2>/dev/null; do sleep 0.05; done # connects and leaves, as a probe does
launch ll-0 "${ls[@]}" --port "$port" --rpc "127.0.0.2:$rpc" --metrics
head=$pid
ok 'llama: it meets the RPC server' await ll-0 'server is listening on'
ok 'llama: 200 now' same "$(code /health)" 200
ok 'llama: one token' one_token
ok 'llama: it is counted' same "$(counted llamacpp:tokens_predicted_total)" 1
ok 'llama: any model name will do' same "$(code /v1/chat/completions -d "${chat/\{/\{\"model\":\"x\",}")" 200
ok 'llama: the alias' same "$(curl -s "127.0.0.1:$port/v1/models" | jq -r '.data[0]|.id,.owned_by' | xargs)" 'q llamacpp'
ok 'llama: a busy port' dies 1 "couldn't bind HTTP server socket" "${ls[@]}" --port "$port"
kill -KILL "$worker"
wait "$worker" 2>/dev/null
ok 'llama: the RPC server dies: /health stays green' same "$(code /health)" 200
post /v1/chat/completions "$chat" >/dev/null
ok 'llama: the next token ends it' status_is 134 "$head"
free_port
launch ll-k "${ls[@]}" --port "$port" --api-key k1,k2
await ll-k 'server is listening on' >/dev/null
ok 'llama: keys' same "$(code /v1/models)$(code /v1/chat/completions -d "$chat")$(code /v1/chat/completions -d "$chat" -H 'Authorization: Bearer k2')" 200401200
ok 'llama: metrics want a flag' same "$(code /metrics -H 'Authorization: Bearer k1')" 501
ENGINESIM_FAULT=oom_load launch ll-o "${ls[@]}" --port $((port + 1))
ok 'llama: out of memory' eval "status_is 1 $pid && has $dir/ll-o.log 'cudaMalloc failed: out of memory'"
ok 'llama: a file that is not there' dies 1 "failed to open GGUF file '/no.gguf'" llama-server -m /no.gguf --port $((port + 1))

echo "1..$count"
exit "$failed"
