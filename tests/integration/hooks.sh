#!/usr/bin/env bash
# What a recipe does besides its serve command: order, whom it runs as, what a failure says, and what
# it may do on the workstation.
. "$(dirname "$0")/../testbed/lib.sh"
recipes=$SB_SOURCE/tests/integration/recipes

testbed_up 2 --image sim:1
head=$TESTBED_NET.11

json() { jq -r "$1" <<<"$out"; }
containers() { node_docker "$1" ps -aq --filter label=sparkbus.job | wc -l; }
both_empty() { [ "$(containers spark1)$(containers spark2)" = 00 ]; }
container() { node_docker "$1" ps -q --filter label=sparkbus.job; }
in_container() { local node=$1; shift; node_docker "$node" exec "$(container "$node")" "$@"; }
status_of() { in_container "$1" sed -n "s/^$2:[[:space:]]*//p" /proc/1/status; }

stuff=$scratch/stuff
mkdir -p "$stuff/sub"
echo 'a note' >"$stuff/note"
echo 'deep' >"$stuff/sub/deep"
with=(-o "stuff=$stuff" -o extra=:)

# --- shown before it is done ---

run_expect 0 "a dry run" sparkbus run "$recipes/hooks.yaml" "${with[@]}" --dry-run
like "$out" 'pre_exec\[0\]' "shows the hooks"
like "$out" 'file: .*/.sparkbus/copy/1/sub/deep \(5 bytes' "and the files"
like "$out" "copies $stuff to the nodes' containers, as /opt/stuff" "and what leaves this machine"
is "$(containers spark1)$(containers spark2)" 00 "and starts nothing"

# --- before the serve command, as root, on every rank; the engine is somebody else ---

for node in spark1 spark2; do
	cache=$(sparkbus node show $node --json | jq -r .hf_cache)
	mkdir -p "$cache"
	chown 4321:4322 "$cache"
done
run_expect 0 "run" sparkbus run "$recipes/hooks.yaml" "${with[@]}" --no-follow
job=$(sparkbus status --json | jq -r '.jobs[0].job')
for node in spark1 spark2; do
	run_expect 0 "$node's log" sparkbus logs "$job" --rank "$([ $node = spark1 ] && echo 0 || echo 1)" --no-follow
	lines=$(sed 's/^rank [0-9]* | //' "$scratch/out" | grep -n -E 'first as|a note|^deep|quoted|mod as|EngineCore|vLLM API|INFO' | head -6)
	like "$(tr '\n' ' ' <<<"$lines")" \
		'first as 0 on port 8000 .*a note .*deep .*it.s "quoted" .*mod as 0 from /workspace/mods/marker, called in /workspace .*INFO' \
		"$node: hooks in their order, then the engine"
	is "$(status_of $node Uid)" "4321	4321	4321	4321" "$node: the engine is the owner of the model cache"
	is "$(status_of $node Gid)" "4322	4322	4322	4322" "$node: and of his group"
	is "$(status_of $node Groups)" "" "$node: and of no other"
	is "$(status_of $node CapEff)$(status_of $node CapPrm)$(status_of $node CapInh)" \
		"$(printf '0%.0s' {1..48})" "$node: without a capability"
	is "$(status_of $node NoNewPrivs)" 1 "$node: and will get none"
	like "$(in_container $node cat /proc/1/cmdline | tr '\0' ' ')" '^vllm serve' \
		"$node: process 1 is the serve command"
	is "$(in_container $node cat /usr/local/marker)" marked "$node: the mod has marked the image's files"
	is "$(in_container $node stat -c %u /.sparkbus/entry)" 0 "$node: the entry script is root's"
done
run_expect 0 "stop" sparkbus stop "$job"

# --- the same without hooks: the engine was never root ---

run_expect 0 "run without hooks" sparkbus run "$recipes/solo.yaml" --no-follow
is "$(status_of spark1 Uid)" "4321	4321	4321	4321" "the same user"
is "$(status_of spark1 CapEff)" "$(printf '0%.0s' {1..16})" "the same capabilities"
run_expect 0 "stop" sparkbus stop --all

# --- a hook that fails ---

run_expect 1 "a hook fails" sparkbus run "$recipes/hooks.yaml" -o "stuff=$stuff" \
	-o 'extra=echo no network >&2; exit 7' --no-follow
like "$err" 'pre_exec\[3\] failed with status 7; the serve command was not started' "the job says which"
like "$err" 'no network' "with its log"
like "$err" 'exit code 7' "and its status"
unlike "$err" 'mod as' "and what comes behind it did not run"
is "$(containers spark1)$(containers spark2)" 00 "no container is left"

# --- files that are not there ---

run_expect 1 "a folder that is not there" sparkbus run "$recipes/hooks.yaml" -o extra=: --no-follow
like "$err" 'pre_exec\[1\]: /nowhere: No such file' "is an error with its name"
ln -s /etc/passwd "$stuff/out"
run_expect 1 "a link that leads out" sparkbus run "$recipes/hooks.yaml" "${with[@]}" --no-follow
like "$err" "$stuff/out: a link that leads out" "is refused"
rm "$stuff/out"
sed 's|mods/marker|mods/none|' "$recipes/hooks.yaml" >"$scratch/nomod.yaml"
run_expect 1 "a mod that is not there" sparkbus run "$scratch/nomod.yaml" "${with[@]}" --no-follow
like "$err" "mods/none' was not found: tried $scratch/none, $scratch/mods/none" "says where it was looked for"
is "$(containers spark1)$(containers spark2)" 00 "and nothing was started"

# --- trust ---

cp "$recipes/hooks.yaml" "$scratch/other.yaml"
mkdir -p "$scratch/mods"
cp -r "$recipes/mods/marker" "$scratch/mods/"
chown 4321 "$scratch/other.yaml"
run_expect 1 "a recipe of another user" sparkbus run "$scratch/other.yaml" "${with[@]}" --no-follow
like "$err" 'from a file of another user and does this on your machine' "is told from where it is"
like "$err" "pre_exec\[1\]: copies $stuff to" "and what it would do"
like "$err" '--trust' "and how it may"
is "$(containers spark1)$(containers spark2)" 00 "and nothing was started"
run_expect 0 "with --trust it may" sparkbus run "$scratch/other.yaml" "${with[@]}" --no-follow --trust
run_expect 0 "stop" sparkbus stop --all

# --- after READY: in the head's container, then here, then the end ---

cat >"$scratch/post.yaml" <<'YAML'
model: example/post
runtime: vllm
container: sim:1
defaults: {port: 8000, host: 0.0.0.0, tensor_parallel: 2, then: ':', here: ':'}
post_exec:
  - |
    echo "exec as $(id -u): {head_ip} {head_host} {port} {base_url} {container_name} {cluster_id} {cache_dir}"
    wget -qO- http://127.0.0.1:{port}/v1/models | grep -o example/post; echo said >/tmp/said
  - "{then}"
post_commands:
  - "echo here: {base_url} {container_name} {cache_dir} >>$HOOKS_OUT; wget -qO- {base_url}/models 2>/dev/null || curl -s {base_url}/models; {here}"
YAML
export HOOKS_OUT=$scratch/here
run_expect 0 "run with post hooks" sparkbus run "$scratch/post.yaml" --no-follow
job=$(sparkbus status --json | jq -r '.jobs[0].job')
cache=$(sparkbus node show spark1 --json | jq -r .hf_cache)
run_expect 0 "the log" sparkbus logs "$job" --no-follow
like "$out" "post_exec\\[0\\]: exec as 0: $head spark1 8000 http://$head:8000/v1 ${job}_node_0 $job $cache" \
	"post_exec ran in the head's container, as root, with what it asked for"
like "$out" 'post_exec\[0\]: example/post' "and the model was served"
is "$(in_container spark1 cat /tmp/said)" said "in the head's container"
is "$(cat "$HOOKS_OUT")" "here: http://$head:8000/v1 ${job}_node_0 $cache" "post_commands ran here"
is "$(sparkbus job show "$job" --json | jq -r '.. | .post? // empty | .state')" DONE "the leader says that they are done"
run_expect 0 "stop" sparkbus stop "$job"

rm "$HOOKS_OUT"
run_expect 1 "post_exec fails" sparkbus run "$scratch/post.yaml" --no-follow -o 'then=echo wrong; exit 5'
like "$err" 'Error in post hooks: post_exec\[1\] ended with status 5' "which one, and how"
like "$err" 'wrong' "and what it said"
is "$(ls "$HOOKS_OUT" 2>/dev/null)" "" "nothing ran here"
is "$(sparkbus status --json | jq -r '.jobs[0].state')" READY "the job goes on"
run_expect 0 "stop" sparkbus stop --all
run_expect 1 "post_commands fail" sparkbus run "$scratch/post.yaml" --no-follow -o 'here=exit 6'
like "$err" 'Error in post hooks: post_commands\[0\] ended with status 6' "which one, and how"
run_expect 0 "stop" sparkbus stop --all

echo 'stop_after_post: true' >>"$scratch/post.yaml"
run_expect 0 "stop_after_post" sparkbus run "$scratch/post.yaml" --no-follow
like "$out" 'Stopped after its post hooks' "says so"
is "$(containers spark1)$(containers spark2)" 00 "nothing is left"
sed -i '/^post_commands/,/^  -/d' "$scratch/post.yaml"
run_expect 0 "without commands of ours the leader stops it" sparkbus run "$scratch/post.yaml" --no-follow
wait_until 30 "nothing is left" both_empty
is "$(sparkbus status --all --json | jq -r '[.jobs[] | select(.model == "example/post")][0].state')" STOPPED "and it is STOPPED"

chmod o+w "$scratch/other.yaml"
chown root "$scratch/other.yaml"
cat >>"$scratch/other.yaml" <<YAML
post_commands: ["touch $scratch/owned"]
YAML
run_expect 1 "commands of a recipe that everybody may write" sparkbus run "$scratch/other.yaml" "${with[@]}" --no-follow
like "$err" "touch $scratch/owned" "are shown"
is "$(ls "$scratch/owned" 2>/dev/null)" "" "and do not run"

# --- an image with an entrypoint of its own ---

# Upstream images have "vllm serve"; NVIDIA's have a script that prints something and becomes its
# arguments.
made=$(node_docker spark1 create sim:1 true)
mkdir -p "$scratch/opt/nvidia"
printf '#!/bin/sh\necho a banner\nexec "$@"\n' >"$scratch/opt/nvidia/nvidia_entrypoint.sh"
chmod +x "$scratch/opt/nvidia/nvidia_entrypoint.sh"
node_docker spark1 cp "$scratch/opt" "$made:/" >/dev/null 2>&1
node_docker spark1 commit --change 'ENTRYPOINT ["vllm","serve"]' "$made" engine:1 >/dev/null
node_docker spark1 commit --change 'ENTRYPOINT ["/opt/nvidia/nvidia_entrypoint.sh"]' "$made" wrapped:1 >/dev/null
node_docker spark1 rm "$made" >/dev/null
for image in engine:1 wrapped:1; do
	run_expect 0 "$image: run" sparkbus run "$recipes/solo.yaml" --image $image --no-follow
	like "$(in_container spark1 cat /proc/1/cmdline | tr '\0' ' ')" '^vllm serve example/[^ ]* -' \
		"$image: process 1 is the serve command, once"
	run sparkbus logs "$(sparkbus status --json | jq -r '.jobs[0].job')" --no-follow
	[ $image = engine:1 ] || like "$out" 'a banner' "$image: behind the script that sets the stage"
	run_expect 0 "$image: stop" sparkbus stop --all
done
sed '/^executor_config/d' "$recipes/solo.yaml" >"$scratch/engine.yaml"
echo 'pre_exec: ["echo a hook"]' >>"$scratch/engine.yaml"
run_expect 0 "hooks in such an image" sparkbus run "$scratch/engine.yaml" --image engine:1 --no-follow
like "$(in_container spark1 cat /proc/1/cmdline | tr '\0' ' ')" '^vllm serve example/[^ ]* -' "the same"
run_expect 0 "stop" sparkbus stop --all
echo 'executor_config: {entrypoint: null}' >>"$scratch/engine.yaml"
run_expect 1 "the image's entrypoint is kept where a recipe says so" \
	sparkbus run "$scratch/engine.yaml" --image engine:1 --no-follow
like "$err" 'unrecognized arguments|/bin/sh' "with what that leads to"
is "$(containers spark1)" 0 "and nothing is left"

# --- an image of no registry ---

sed 's|container: .*|container: vllm-node-tf5\nbuild_args: [--tf5]|; s|tensor_parallel: 1|tensor_parallel: 2|' \
	"$recipes/solo.yaml" >"$scratch/build.yaml"
node_docker spark2 tag sim:1 vllm-node-tf5
run_expect 1 "an image that is built" sparkbus run "$scratch/build.yaml" --no-follow
like "$err" 'spark1: image vllm-node-tf5 is not on this node' "the node that lacks it is named"
like "$err" 'spark2: has vllm-node-tf5' "and the one that has it"
like "$err" 'build-and-copy.sh -t vllm-node-tf5 --tf5 --cleanup' "and how it is built"
is "$(containers spark1)$(containers spark2)" 00 "and nothing was started"
node_docker spark1 tag sim:1 vllm-node-tf5
run_expect 0 "where it is there, it is used" sparkbus run "$scratch/build.yaml" --no-follow
run_expect 0 "stop" sparkbus stop --all

done_testing
