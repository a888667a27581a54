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

### Ray
export ENGINESIM_RAY_DIR=$dir/traces
nodes() { ray status | awk '/^[A-Z]/ { in_active = $1 == "Active:" } in_active && /^ 1 node_[0-9a-f]+$/ { n++ } END { print n + 0 }'; }
ok 'ray: an unknown flag' refused 2 'Error: No such option: --foo' ray start --head --foo
ok 'ray: how to get help' refused 2 "Try 'ray start --help' for help." ray start --foo=1
ok 'ray: no beginnings' refused 2 'No such option: --addr' ray start --addr x
ok 'ray: a missing value' refused 2 "Option '--port' requires an argument." ray start --head --port
ok 'ray: not an int' refused 2 "Invalid value for '--port': 'x' is not a valid integer." ray start --head --port x
ok 'ray: no positional' refused 2 'Got unexpected extra argument (x)' ray start --head x
ok 'ray: an unknown command' refused 2 "No such command 'up'" ray up
ok 'ray: what launches start' env ENGINESIM_PARSE_ONLY=1 ray start --block --head --port 46379 --node-ip-address 10.0.0.11 \
	--include-dashboard=True --dashboard-host 0.0.0.0 --dashboard-port 8265 --disable-usage-stats
ok 'ray: head or address' dies 1 'Either --head or --address must be given' ray start
ok 'ray: no cluster to tell of' dies 1 'Could not find any running Ray instance' ray status
ok 'ray: nothing to stop' eval "ray stop | grep -q 'Did not find any active'"
free_port
gcs=$port
ok 'ray: nobody to join' env ENGINESIM_JOIN_TIMEOUT=0.3 bash -c "! ray start --address=127.0.0.1:$gcs 2>$dir/alone && grep -q 'Failed to connect to GCS at address' $dir/alone"
launch ray-1 ray start --block --address="127.0.0.1:$gcs" --node-ip-address 127.0.0.3
w1=$pid
ok 'ray: the head starts and comes back' eval "ray start --head --port $gcs --node-ip-address 127.0.0.1 --disable-usage-stats | grep -q 'Ray runtime started'"
ok 'ray: a busy port' dies 1 'is already running at' ray start --head --port "$gcs" --node-ip-address 127.0.0.1
pid=$w1
ok 'ray: the worker was patient' await ray-1 'will now block forever'
ok 'ray: two nodes' until_is 2 nodes
launch ray-2 ray start --block --address="127.0.0.1:$gcs" --node-ip-address 127.0.0.4
w2=$pid
ok 'ray: three nodes' until_is 3 nodes
ok 'ray: its sections' same "$(ray status | grep -E '^[A-Z].*:$|^=' | sed 's/[0-9]//g' | xargs)" \
	'======== Autoscaler status: -- ::. ======== Active: Pending: Recent failures: Total Usage: Total Constraints: Total Demands:'
over=(vllm serve org/m --distributed-executor-backend ray --host 127.0.0.1)
ok 'ray: more GPUs than there are' dies 1 'number of required GPUs exceeds the total number of available GPUs in the placement group (4 > 3)' "${over[@]}" -tp 4 --port 0
free_port
launch ray-v "${over[@]}" -tp 3 --port "$port"
server=$pid
ok 'ray: vLLM spreads over it' await ray-v 'Uvicorn running on'
ok 'ray: one token' one_token
ok 'ray: it speaks for three nodes' eval "post /v1/chat/completions '${chat/1\}/99\}}' | grep -q 'across 3 ranks'"
ok 'ray: the GPUs are taken' eval "ray status | grep -qxF ' 3.0/3.0 GPU'"
kill -KILL "$w2"
wait "$w2" 2>/dev/null
ok 'ray: a node dies: vLLM goes with 1' eval "status_is 1 $server && has $dir/ray-v.log ActorDiedError"
ok 'ray: two nodes are left' until_is 2 nodes
ok 'ray: the third one failed' eval "ray status | grep -qE '^ node_[0-9a-f]{56}: NodeTerminated'"
ok 'ray: the GPUs are free' until_is ' 0.0/2.0 GPU' eval "ray status | grep GPU"
launch ray-3 ray start --block --address="127.0.0.1:$gcs"
until_is 3 nodes >/dev/null
kill -TERM "$pid"
ok 'ray: SIGTERM ends a worker' status_is 1 "$pid"
rm "$dir/traces/node.$w1" # or it would be stopped, too
ok 'ray: the head is stopped' eval "ray stop | grep -q '^Stopped all'"
ok 'ray: the worker goes with 1' eval "status_is 1 $w1 && has $dir/ray-1.log 'Some Ray subprocesses exited unexpectedly'"

### Atlas
ok 'atlas: all published commands are accepted' replay "$here/testdata/atlas_commands.txt" 0
ok 'atlas: an unknown flag' refused 2 "error: unexpected argument '--foo' found" spark serve m --foo 1
ok 'atlas: no beginnings' refused 2 "error: unexpected argument '--tp' found" spark serve m --tp 2
ok 'atlas: a second positional' refused 2 "error: unexpected argument 'n' found" spark serve m n
ok 'atlas: twice' refused 2 "error: the argument '--port <PORT>' cannot be used multiple times" spark serve m --port 1 --port=2
ok 'atlas: not an int' refused 2 "error: invalid value 'x' for '--tp-size <TP_SIZE>': invalid digit found in string" spark serve m --tp-size x
ok 'atlas: a missing value' refused 2 "error: a value is required for '--port <PORT>' but none was supplied" spark serve m --port
ok 'atlas: no model' refused 2 'required arguments were not provided' spark serve
free_port
init=$port
free_port
at=(spark serve org/m --tp-size 2 --world-size 2 --master-addr 127.0.0.2 --master-port "$init" --require-auth --auth-token k)
launch at-1 "${at[@]}" --port 0 --rank 1
worker=$pid
launch at-0 "${at[@]}" --port "$port" --rank 0
head=$pid
ok 'atlas: two ranks meet' await at-0 'listening on http://127.0.0.1'
ok 'atlas: keys' same "$(code /v1/chat/completions -d "$chat")$(code /health)" 401200
ok 'atlas: one token' same "$(post /v1/chat/completions "$chat" -H 'Authorization: Bearer k' | jq .usage.completion_tokens)" 1
kill -KILL "$worker"
wait "$worker" 2>/dev/null
ok 'atlas: a rank dies: rank 0 goes with 1' status_is 1 "$head"

### TensorRT-LLM
export ENGINESIM_GPUS_PER_NODE=1
tr=(trtllm-serve org/m --backend pytorch)
ok 'trtllm: all published commands are accepted' replay "$here/testdata/trtllm_commands.txt" 0
ok 'trtllm: an unknown flag' refused 2 'Error: No such option: --foo' "${tr[@]}" --foo 1
ok 'trtllm: dashes are not underscores' refused 2 'Error: No such option: --tp-size' "${tr[@]}" --tp-size 2
ok 'trtllm: not an int' refused 2 "Invalid value for '--tp_size'" "${tr[@]}" --tp_size x
ok 'trtllm: not a choice' refused 2 "Invalid value for '--backend'" trtllm-serve m --backend vllm
ok 'trtllm: no model' refused 2 "Missing argument 'MODEL'" trtllm-serve serve --port 1
ok 'trtllm: the command by its name' env ENGINESIM_PARSE_ONLY=1 trtllm-serve serve m --port 1
ok 'trtllm: no file of settings' dies 1 "No such file or directory: '/nowhere'" "${tr[@]}" --extra_llm_api_options /nowhere
ok 'trtllm: two GPUs are too many for a node' dies 1 'is less than the world size 2' "${tr[@]}" --tp_size 2
ok 'mpirun: an unknown option' refused 1 'mpirun: Error: unknown option "--foo"' mpirun --foo true
ok 'mpirun: nothing to do' refused 1 'could not find anything to do' mpirun -n 2
free_port
launch tr-s "${tr[@]}" --port "$port"
ok 'trtllm: solo' await tr-s 'Uvicorn running on http://127.0.0.1'
ok 'trtllm: one token' one_token
ok 'trtllm: the owner' same "$(curl -s "127.0.0.1:$port/v1/models" | jq -r '.data[0].owned_by')" tensorrt_llm
kill -TERM "$pid"
ok 'trtllm: SIGTERM: status 0' status_is 0 "$pid"
cat >"$dir/agent" <<'SH'
#!/bin/bash
host=$1
shift
setsid sh -c "exec $*" >"$0-$host.log" 2>&1 </dev/null &
echo $! >"$0-$host.pid"
SH
cat >"$dir/seven" <<'SH'
#!/bin/sh
exit $((OMPI_COMM_WORLD_RANK * 7))
SH
chmod +x "$dir/agent" "$dir/seven"
hosts=127.0.0.1,127.0.0.2
mpi=(mpirun --allow-run-as-root -H "$hosts" --mca plm_rsh_agent "$dir/agent")
ok 'mpirun: no agent' dies 1 'unable to reliably start' mpirun --allow-run-as-root -H 127.0.0.1,127.0.0.2 --mca plm_rsh_agent false true
ok 'mpirun: the daemon does not come' env ENGINESIM_JOIN_TIMEOUT=0.3 bash -c "! mpirun --allow-run-as-root -H 127.0.0.1,127.0.0.2 --mca plm_rsh_agent true true"
ok 'mpirun: daemons go to the background' "${mpi[@]}" true
ok 'mpirun: the status of a rank' dies 7 'Exit code:    7' "${mpi[@]}" --leave-session-attached "$dir/seven"
ok 'trtllm: sizes must be the ranks' dies 1 'Exit code:    1' "${mpi[@]}" trtllm-llmapi-launch "${tr[@]}" --tp_size 3
free_port
launch tr-m "${mpi[@]}" --leave-session-attached trtllm-llmapi-launch "${tr[@]}" --tp_size 2 --port "$port"
ok 'trtllm: two ranks meet' await tr-m 'Uvicorn running on'
ok 'trtllm: it speaks for two ranks' eval "post /v1/chat/completions '${chat/1\}/99\}}' | grep -q 'across 2 ranks'"
kill -KILL "$(cat "$dir/agent-127.0.0.2.pid")"
ok 'trtllm: the other daemon dies: mpirun goes with 1' status_is 1 "$pid"
free_port
launch tr-n "${mpi[@]}" --leave-session-attached trtllm-llmapi-launch "${tr[@]}" --tp_size 2 --port "$port"
ok 'trtllm: once more' await tr-n 'Uvicorn running on'
kill -TERM "$pid"
ok 'trtllm: SIGTERM ends mpirun' status_is 1 "$pid"

echo "1..$count"
exit "$failed"
