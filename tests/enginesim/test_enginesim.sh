#!/bin/bash
# test_enginesim.sh ENGINESIM - TAP: what all engines share, and vLLM
here=$(cd "$(dirname "$0")" && pwd)
. "$here/testlib.sh"

start() { # NAME ARGUMENT... - a vllm in the background; its log is $dir/NAME.log
	launch "$1" vllm serve "${@:2}"
}

serve() { # ARGUMENT... - a ready engine on $port; its pid in $pid
	free_port
	start "s$port" org/m --host 127.0.0.1 --port "$port" "$@"
	await "s$port" 'Uvicorn running on' || exit 1
}

metric() { # NAME [LABEL="VALUE"] - the sum of its samples
	curl -s "127.0.0.1:$port/metrics" | grep "^vllm:$1{" | grep -F -- "${2-}" | awk '{ n += $2 } END { print n + 0 }'
}
chat='{"model":"org/m","messages":[{"role":"user","content":"why is the sky blue?"}]}'

### the command line
refused() { # TEXT ARGUMENT...
	ENGINESIM_PARSE_ONLY=1 vllm serve "${@:2}" >"$dir/refused" 2>&1
	same $? 2 && has "$dir/refused" "$1"
}
accepted() { ENGINESIM_PARSE_ONLY=1 vllm serve "$@"; }
ok 'version' eval 'vllm --version | grep -q "^0\."'
ok 'an unknown flag is refused' refused 'vllm: error: unrecognized arguments: --foo 1' m --foo 1
ok 'usage comes first' eval 'vllm serve m --foo 2>&1 | head -1 | grep -q "^usage: vllm serve"'
ok 'a second positional is refused' refused 'unrecognized arguments: n' m n
ok 'a word with a space is no flag' refused 'unrecognized arguments: --dtype auto' m '--dtype auto'
ok 'a missing value' refused 'argument --port: expected one argument' m --port
ok 'a flag is no value' refused 'argument --port: expected one argument' m --port --headless
ok 'not an int' refused "argument --tensor-parallel-size/-tp: invalid int value: '2x'" m -tp 2x
ok 'not a float' refused 'invalid float value' m --gpu-memory-utilization high
ok 'not a choice' refused "invalid choice: 'int3' (choose from 'auto', 'half'" m --dtype int3
ok 'not JSON' refused 'argument --speculative-config/-sc: Value {x} cannot be converted' m -sc '{x}'
ok 'ambiguous beginning' refused 'ambiguous option: --data-parallel could match' m --data-parallel 2
ok 'a switch takes no value' refused "ignored explicit argument '1'" m --enforce-eager=1
ok 'no negation of a plain flag' refused 'unrecognized arguments: --no-headless' m --no-headless
ok 'a dotted name needs a JSON flag' refused 'unrecognized arguments' m --port.x 1
ok 'equals, underscores, beginnings, short forms' accepted m --max_model_len=4k -tp=1 --max-model 8K \
	-O3 -O 2 -qfp8 --no-enable-prefix-caching --seed -1 --compilation_config.mode 3 -cc.level=2 \
	--served-model-name a b c --max-model-len auto
ok 'the model after the flags' accepted --enforce-eager m

ok 'all published commands are accepted' replay "$here/testdata/vllm_commands.txt" 0
ok 'the commands with a wrong flag are refused' replay "$here/testdata/vllm_refused.txt" 2

### the world
dies() { # STATUS TEXT ARGUMENT...
	vllm serve m "${@:3}" >"$dir/dies" 2>&1
	same $? "$1" && has "$dir/dies" "$2"
}
ok 'two GPUs are too many for a node' dies 1 'World size (2) is larger than the number of available GPUs (1)' -tp 2
ok 'tp x pp must fill the nodes' dies 1 'world_size=1 must be divisible by nnodes=2' --nnodes 2
ok 'a rank outside the world' dies 1 'must be less than nnodes' --nnodes 2 -tp 2 --node-rank 2
ok 'ray without a cluster' dies 1 'number of required GPUs exceeds' -tp 2 --distributed-executor-backend ray
ok 'auto tools need a parser' dies 1 'requires --tool-call-parser' --enable-auto-tool-choice
ok 'more GPUs by environment' env ENGINESIM_GPUS_PER_NODE=2 ENGINESIM_FAULT=exit_code=0 vllm serve m -tp 2 --port 0
ok 'the check can be off' env ENGINESIM_LAX_WORLD=1 ENGINESIM_FAULT=exit_code=0 vllm serve m -tp 9 --port 0

### the API
serve --max-model-len 500 --served-model-name org/m alias
ok '/health' same "$(code /health)" 200
ok '/version' eval "curl -s 127.0.0.1:$port/version | jq -e .version"
ok '/v1/models' same "$(curl -s "127.0.0.1:$port/v1/models" | jq -c '[.data[]|[.id,.max_model_len,.root]]')" \
	'[["org/m",500,"org/m"],["alias",500,"org/m"]]'
post /v1/chat/completions "$chat" >"$dir/a"
ok 'chat says what it is and repeats the question' eval \
	"jq -r '.choices[0].message.content' $dir/a | grep -q 'enginesim, standing in for org/m across 1 rank.*why is the sky blue?'"
ok 'it ends by itself' same "$(jq -r '.choices[0].finish_reason' "$dir/a")" stop
ok 'completion tokens are the words' same "$(jq -r '.usage.completion_tokens' "$dir/a")" \
	"$(jq -r '.choices[0].message.content' "$dir/a" | wc -w)"
ok 'the same answer again' same "$(post /v1/chat/completions "$chat" | jq -r '.choices[0].message.content')" \
	"$(jq -r '.choices[0].message.content' "$dir/a")"

before=$(metric generation_tokens_total) prompts=$(metric prompt_tokens_total)
post /v1/chat/completions "${chat%\}},\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":7}" >"$dir/sse"
sed -n 's/^data: {/{/p' "$dir/sse" >"$dir/events"
ok 'a stream ends with [DONE]' same "$(grep -v '^$' "$dir/sse" | tail -1)" 'data: [DONE]'
ok 'one event a token' same "$(jq -s '[.[].choices[0].delta.content // empty|select(. != "")]|length' "$dir/events")" 7
ok 'cut at max_tokens: length' same "$(jq -rs '[.[].choices[0].finish_reason // empty]|join(",")' "$dir/events")" length
ok 'usage in the last event' same "$(jq -s '.[-1].usage.completion_tokens' "$dir/events")" 7
ok 'the streamed text is the beginning of the whole one' eval \
	"[[ \"\$(jq -r '.choices[0].message.content' $dir/a)\" == \"\$(jq -js '[.[].choices[0].delta.content // empty]|add' $dir/events)\"* ]]"
ok 'generation counter grew by the tokens' same "$(metric generation_tokens_total)" $((before + 7))
ok 'prompt counter grew by the usage' same "$(metric prompt_tokens_total)" \
	$((prompts + $(jq -s '.[-1].usage.prompt_tokens' "$dir/events")))
ok 'ttft is counted per request' same "$(metric time_to_first_token_seconds_count)" 3
ok 'finished reasons' same "$(metric request_success_total 'finished_reason="length"')$(metric request_success_total 'finished_reason="stop"')" 12
ok 'nothing runs' same "$(metric num_requests_running)$(metric num_requests_waiting)$(metric kv_cache_usage_perc)" 000
ok 'HELP and TYPE lead every family' eval "curl -s 127.0.0.1:$port/metrics | awk '
	/^# HELP/ { h = \$3 } /^# TYPE/ { if (\$3 != h) exit 1; t = \$3 }
	/^vllm/ { if (index(\$1, t) != 1) { print; exit 1 } n++ } END { exit n < 100 }'"
ok 'ignore_eos goes on to max_tokens' same \
	"$(post /v1/completions '{"model":"org/m","prompt":"a b","max_tokens":300,"ignore_eos":true}' | jq -c '[.usage.completion_tokens,.choices[0].finish_reason]')" '[300,"length"]'
ok 'completions: 16 tokens by default' same "$(post /v1/completions '{"prompt":"a b c"}' | jq -c '[.usage.prompt_tokens,.usage.completion_tokens]')" '[3,16]'
ok 'completions: several prompts' same "$(post /v1/completions '{"prompt":["a","b c"],"max_tokens":2}' | jq -c '[.choices[].index,.usage.prompt_tokens,.usage.completion_tokens]')" '[0,1,3,4]'
ok 'completions: streamed' eval "post /v1/completions '{\"prompt\":[1,2,3],\"stream\":true}' | grep -c '^data: {' | grep -qx 17"
ok 'past the context: 400' same "$(code /v1/completions -d '{"prompt":"a","max_tokens":500}')" 400
ok 'max_tokens 0: 400' same "$(code /v1/completions -d '{"prompt":"a","max_tokens":0}')" 400
ok 'an unknown model: 404' same "$(post /v1/chat/completions '{"model":"x","messages":[]}' | jq -r .error.type)" NotFoundError
ok 'the alias serves' same "$(post /v1/chat/completions "${chat/org\/m/alias}" | jq -r .model)" alias
ok 'no JSON: 400' same "$(code /v1/chat/completions -d '{"model":')" 400
ok 'no messages: 400' same "$(code /v1/chat/completions -d '{}')" 400
ok 'messages that are no objects: served or refused, not fatal' eval \
	"post /v1/chat/completions '{\"messages\":[1,null,\"x\",{\"content\":[1,{\"text\":3}]}]}' | jq -e ."
ok 'parts of text' same "$(post /v1/chat/completions '{"messages":[{"role":"user","content":[{"type":"text","text":"a b"}]}]}' | jq .usage.prompt_tokens)" 6
ok 'tools without a parser: 400' same "$(code /v1/chat/completions -d "${chat%\}},\"tools\":[{\"function\":{\"name\":\"f\"}}]}")" 400
ok 'no embeddings from a generator' same "$(code /v1/embeddings -d '{"input":"a"}')" 400
ok 'tokenize' same "$(post /tokenize '{"prompt":"a b c"}' | jq -c '[.count,(.tokens|length)]')" '[3,3]'
ok 'an unknown path: 404' same "$(code /nope)" 404
ok 'a wrong method: 405' same "$(code /v1/chat/completions)" 405
ok 'a body past the cap: 413' eval "printf 'POST /v1/completions HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n' >/dev/tcp/127.0.0.1/$port; same \$(code /v1/completions -H 'Content-Length: 99999999' -H 'Expect:' -d x --max-time 5) 413"
ok 'junk is not HTTP: 400' eval "exec 3<>/dev/tcp/127.0.0.1/$port; printf 'junk\r\n\r\n' >&3; head -1 <&3 | grep -q 400"
ok 'keep-alive' eval "curl -sv 127.0.0.1:$port/health 127.0.0.1:$port/health 2>&1 | grep -q 'Re-using'"
ok 'a busy port' eval "vllm serve m --host 127.0.0.1 --port $port >$dir/busy 2>&1; same \$? 1 && has $dir/busy '[Errno 98] error while attempting to bind on address' && has $dir/busy 'address already in use'"
kill -TERM "$pid"
ok 'SIGTERM: status 0' status_is 0 "$pid"
ok 'it says so' has "$dir/s$port.log" 'Shutting down'

serve --api-key k1 k2 --reasoning-parser qwen3 --enable-auto-tool-choice --tool-call-parser hermes
ok 'no key: 401' same "$(code /v1/models)" 401
ok 'a wrong key: 401' same "$(code /v1/models -H 'Authorization: Bearer k')" 401
ok 'a right key' same "$(code /v1/models -H 'Authorization: Bearer k2')" 200
ok '/health needs none' same "$(code /health)" 200
keyed() { post /v1/chat/completions "$1" -H 'Authorization: Bearer k1'; }
ok 'reasoning' eval "keyed '$chat' | jq -e '.choices[0].message|(.reasoning_content|length > 9) and (.content|length > 9)'"
ok 'reasoning can be off' same "$(keyed "${chat%\}},\"chat_template_kwargs\":{\"enable_thinking\":false}}" | jq .choices[0].message.reasoning_content)" null
ok 'reasoning, streamed' eval "keyed '${chat%\}},\"stream\":true}' | sed -n 's/^data: {/{/p' | jq -es '[.[].choices[0].delta.reasoning_content // empty]|length > 3'"
tools='"tools":[{"type":"function","function":{"name":"get_weather"}}]'
ok 'a required tool is called' same "$(keyed "${chat%\}},$tools,\"tool_choice\":\"required\"}" | jq -c '.choices[0]|[.finish_reason,.message.tool_calls[0].function.name]')" '["tool_calls","get_weather"]'
ok 'an unmentioned tool is not' same "$(keyed "${chat%\}},$tools}" | jq -r '.choices[0].finish_reason')" stop
ok 'a streamed call' eval "keyed '${chat%\}},$tools,\"tool_choice\":\"required\",\"stream\":true}' | grep -q '\"tool_calls\":\[{\"index\":0'"
stop

serve --runner pooling
ok 'embeddings depend on the text alone' eval "post /v1/embeddings '{\"input\":[\"a b\",\"c\",\"a b\"]}' | jq -e '.data[0].embedding == .data[2].embedding and .data[0].embedding != .data[1].embedding and .usage.prompt_tokens == 5'"
ok 'embeddings have length 1' eval "post /v1/embeddings '{\"input\":\"x y z\"}' | jq -e '[.data[0].embedding[]|.*.]|add - 1|fabs < 1e-9'"
ok 'score: a text is most like itself' eval "post /score '{\"text_1\":\"a b\",\"text_2\":[\"c d\",\"a b\"]}' | jq -e '.data[1].score > .data[0].score'"
ok 'rerank' same "$(post /rerank '{"query":"blue sky","documents":["red sea","blue sky","blue sea"]}' | jq -c '[.results[].index]')" '[1,2,0]'
ok 'no chat from a pooling model' same "$(code /v1/chat/completions -d "$chat")" 400
stop

### pace and queue
ENGINESIM_DECODE_TPS=200 serve --max-num-seqs 1
t0=$(date +%s%N)
post /v1/completions '{"prompt":"a","max_tokens":40,"ignore_eos":true}' >/dev/null
ok '40 tokens at 200/s do not come sooner' test $((($(date +%s%N) - t0) / 1000000)) -ge 195
stop
serve --max-num-seqs 1
post '/enginesim/fault?name=hang&value=on' '' >/dev/null
post /v1/completions '{"prompt":"a"}' >"$dir/h1" &
c1=$!
until_is 1 metric num_requests_running
post /v1/completions '{"prompt":"a"}' >"$dir/h2" &
c2=$!
ok 'hang: one runs' until_is 1 metric num_requests_running
ok 'hang: one waits' until_is 1 metric num_requests_waiting
ok 'hang: no tokens' same "$(metric generation_tokens_total)" 0
ok 'hang: /health is green' same "$(code /health)" 200
ok 'hang: a client may give up' eval "! post /v1/completions '{\"prompt\":\"a\"}' --max-time 0.2"
ok 'its place is free again' until_is 1 metric num_requests_waiting
post '/enginesim/fault?name=hang&value=off' '' >/dev/null
wait $c1 $c2
ok 'hang off: both are served' same "$(cat "$dir/h1" "$dir/h2" | jq -s '[.[].usage.completion_tokens]|add')" 32
ok 'hang off: the counter moved' same "$(metric generation_tokens_total)" 32
ok 'an unknown fault: 400' same "$(code '/enginesim/fault?name=x' -d '')" 400
post /enginesim/crash '' >/dev/null
ok 'crash: status 1' status_is 1 "$pid"
ok 'crash: the log says so' has "$dir/s$port.log" EngineDeadError

### faults from the environment
free_port
with() { ENGINESIM_FAULT=$1 dies "$2" "$3" --host 127.0.0.1 --port "$port" "${@:4}"; }
ok 'oom_load' with oom_load 1 'torch.OutOfMemoryError: CUDA out of memory'
ok 'crash_load' with crash_load 1 'unspecified launch failure'
ok 'crash_load with a status' with crash_load,exit_code=139 139 EngineDeadError
ok 'crash_at' with crash_at=0.3 1 'illegal memory access'
ok 'exit_code' with exit_code=7 7 'API server version'
ok 'a fault that does not exist' with explode 2 "'explode' is not a fault"
ok 'a fault for another rank' env ENGINESIM_FAULT=crash_load@rank=1,exit_code=0 vllm serve m --port 0
ENGINESIM_FAULT=tools_400,ignore_term serve --enable-auto-tool-choice --tool-call-parser x
ok 'tools_400' same "$(code /v1/chat/completions -d "${chat%\}},$tools}")" 400
kill -TERM "$pid"
ok 'ignore_term' same "$(code /health)" 200
kill -INT "$pid"
ok 'SIGINT still ends it' status_is 0 "$pid"
free_port
ENGINESIM_FAULT=never_ready start never m --host 127.0.0.1 --port "$port"
ok 'never_ready: loads' await never '25% Completed'
ok 'never_ready: no port' eval "! (exec 3<>/dev/tcp/127.0.0.1/$port)"
kill -TERM "$pid"
ok 'never_ready: SIGTERM' status_is 0 "$pid"
ENGINESIM_FAULT=slow_load=600 start slow m --host 127.0.0.1 --port "$port"
ok 'slow_load: starts' await slow 'Starting to load model'
kill -TERM "$pid"
ok 'slow_load: SIGTERM ends it at once' status_is 0 "$pid"

### several ranks
pair() { # NAME: two ranks, the master on 127.0.0.2; sets head and worker
	free_port
	master=$port
	free_port
	start "$1-1" org/m -tp 2 --nnodes 2 --node-rank 1 --master-addr 127.0.0.2 --master-port $master --headless --port "$port"
	worker=$pid
	start "$1-0" org/m -tp 2 --nnodes 2 --node-rank 0 --master-addr 127.0.0.2 --master-port $master --host 127.0.0.1 --port "$port"
	head=$pid
}
pair w
ok 'two ranks meet' await w-0 'Uvicorn running on'
ok 'it speaks for two ranks' eval "post /v1/chat/completions '$chat' | grep -q 'across 2 ranks'"
ok 'only rank 0 serves' eval "! grep -q Uvicorn $dir/w-1.log"
kill -KILL "$worker"
wait "$worker" 2>/dev/null
ok 'the worker dies: the head goes with 1' status_is 1 "$head"
ok 'and blames NCCL and the rank' has "$dir/w-0.log" 'ncclRemoteError: socket closed by world rank 1'
pair h
await h-0 'Uvicorn running on' >/dev/null
kill -TERM "$head"
ok 'the head is stopped: 0' status_is 0 "$head"
ok 'the worker goes with 1' status_is 1 "$worker"
ENGINESIM_FAULT=crash_at=0.5@rank=1 pair c
ok 'a fault on rank 1 takes rank 0 along' status_is 1 "$head"
ok 'rank 1 itself crashed' eval "status_is 1 $worker && has $dir/c-1.log EngineDeadError"
ENGINESIM_FAULT=hang@rank=1 pair g
await g-0 'Uvicorn running on' >/dev/null
ok 'a rank that hangs stalls the head' eval "! post /v1/completions '{\"prompt\":\"a\"}' --max-time 0.4 && same \$(metric generation_tokens_total) 0"
kill -KILL "$worker" "$head" 2>/dev/null
wait "$worker" "$head" 2>/dev/null

free_port
three() { start "t-$1" org/m -pp 3 --nnodes 3 --node-rank "$1" --master-addr 127.0.0.1 --master-port "$port" --host 127.0.0.1 --port $((port + 1)) "${@:2}"; }
three 0
t0=$pid
await t-0 world_size=3 >/dev/null
three 2 --headless
t2=$pid
start other org/other -pp 3 --nnodes 3 --node-rank 1 --master-addr 127.0.0.1 --master-port "$port" --headless
ok 'another model is refused' eval "status_is 1 $pid && has $dir/other.log 'refuse model differs'"
start size org/m -pp 2 --nnodes 2 --node-rank 1 --master-addr 127.0.0.1 --master-port "$port" --headless
ok 'another world size is refused' eval "status_is 1 $pid && has $dir/size.log 'refuse world size differs'"
three 1 --headless
t1=$pid pid=$t0
ok 'the right ones still meet' await t-0 'Uvicorn running on'
kill -KILL "$t2"
wait "$t2" 2>/dev/null
ok 'rank 2 dies: rank 1 goes with 1' status_is 1 "$t1"
ok 'rank 2 dies: rank 0 goes with 1' status_is 1 "$t0"

ok 'a master address that is not ours' dies 1 'Cannot assign requested address' -tp 2 --nnodes 2 --node-rank 0 --master-addr 192.0.2.1 --port 0
ok 'nobody comes' env ENGINESIM_JOIN_TIMEOUT=0.3 bash -c "! vllm serve m -tp 2 --nnodes 2 --node-rank 0 --master-port $((port + 3)) --port 0 2>$dir/lonely; grep -q '1/2 clients joined' $dir/lonely"
ok 'no master' env ENGINESIM_JOIN_TIMEOUT=0.3 bash -c "! vllm serve m -tp 2 --nnodes 2 --node-rank 1 --headless --master-port $((port + 3)) 2>$dir/lonely; grep -q 'client socket has timed out' $dir/lonely"

### replicas
free_port
rpc=$port
dp=(--data-parallel-size 2 --data-parallel-address 127.0.0.2 --data-parallel-rpc-port "$rpc" --host 127.0.0.1)
start d-1 org/m "${dp[@]}" --data-parallel-rank 1 --port $((rpc + 2))
d1=$pid
start d-0 org/m "${dp[@]}" --data-parallel-rank 0 --port $((rpc + 1))
d0=$pid
ok 'replica 0 serves' await d-0 'Uvicorn running on'
pid=$d1
ok 'replica 1 serves, too' await d-1 'Uvicorn running on'
kill -KILL "$d0"
wait "$d0" 2>/dev/null
ok 'replica 0 dies: replica 1 goes with 1' status_is 1 "$d1"

### the image
ok 'the tar is the same each time, and small' eval "$here/make-image --tar $dir/1.tar $1 && $here/make-image --tar $dir/2.tar $1 && cmp $dir/1.tar $dir/2.tar && test \$(stat -c %s $dir/1.tar) -lt 20000000"
ok 'it has the engine, bash and sh' eval "tar -tf $dir/1.tar | grep -cxE './usr/local/bin/vllm|./bin/bash|./bin/sh|./usr/bin/env' | grep -qx 4"

echo "1..$count"
exit $failed
