#!/usr/bin/env bash
# The memory guard on a node that has a cgroup with a limit for its memory: who takes too much is
# stopped before the limit is reached, and nobody else is touched.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/solo.yaml
limit_mib=1200

testbed_up 1 --image sim:1
eval "$("$testbed" env "$tb")"

# The cgroup in which this testbed's containers live, by either kind of hierarchy.
for root in /sys/fs/cgroup/memory /sys/fs/cgroup; do
	cgroup=$root/sb-$TESTBED_ID
	for file in memory.limit_in_bytes memory.max; do
		[ ! -e "$root/memory.stat" ] || mkdir -p "$cgroup"
		[ ! -w "$cgroup/$file" ] || break 2
	done
done
[ -w "$cgroup/$file" ] || skip_all "no cgroup with a memory controller can be made here"
echo $((limit_mib << 20)) >"$cgroup/$file"

node_agent spark1 stop
cat >>"$tb/spark1/agent.yaml" <<YAML
guard: {mode: act, warn: 500MiB, critical: 350MiB, emergency: 250MiB, cgroup: $cgroup}
YAML
node_agent spark1 start

host=$TESTBED_NET.11
launch() # PORT NAME [OPTIONS]
{
	local port=$1 name=$2
	shift 2
	sparkbus run "$recipe" --no-follow --port "$port" --container-name "$name" "$@"
}
state_of() { sparkbus status --all --json | jq -r --arg j "$1" '[.jobs[] | select(.job == $j)][0].state // "none"'; }
reason_of() { sparkbus status --all --json | jq -r --arg j "$1" '[.jobs[] | select(.job == $j)][0].reason'; }
state_is() { [ "$(state_of "$1")" = "$2" ]; }
start_eating() { curl -sf -X POST "http://$host:$1/enginesim/fault?name=eat&value=on" >/dev/null; }
answers()
{
	curl -sf --max-time 10 "http://$host:$1/v1/completions" -H 'Content-Type: application/json' \
		-d '{"model":"example/solo","prompt":"x","max_tokens":1}' >/dev/null
}
# Killed by the kernel for the limit: what the guard is there to prevent. The files differ by kind.
kernel_kills() { cat "$cgroup"/memory.{oom_control,events} 2>/dev/null | awk '$1 == "oom_kill" { n += $2 } END { print n + 0 }'; }
started_at() { node_docker spark1 inspect -f '{{.State.StartedAt}}' "$(node_docker spark1 ps -q --filter "label=sparkbus.job=$1")"; }

run_expect 0 "a job that is to be left alone" launch 8001 keep --priority 1
before=$(started_at keep)
like "$before" '^20' "it runs since a moment that can be told"
run_expect 0 "node show" sparkbus node show spark1
like "$out" 'Guard: +acts; memory is ok \(limits 500' "node show tells of the guard and its limits"

# Ten that load without end, at 180 to 450 MiB/s: each is stopped before the limit.
for n in 1 2 3 4 5 6 7 8 9 10; do
	run launch 8002 "eat$n" -o env.ENGINESIM_FAULT=never_ready,eat -o env.ENGINESIM_EAT_MIB_S=$((150 + n * 30))
	is "$rc" 1 "load $n: the launch failed" || diag "$out $err"
	like "$out$err" 'by the memory guard: stopped the job: [0-9.]+ of 1\.[12] GiB available' \
		"load $n: and says by whom and with which figures"
	is "$(state_of keep)" READY "load $n: the other job is READY"
done
is "$(kernel_kills)" 0 "the kernel killed nobody"

# A job that serves and then takes more and more. Another, younger, has a lower priority: that one
# goes first, and as it was not the cause, then the one that is.
run_expect 0 "a job that will take more" launch 8003 greedy
run_expect 0 "a job of low priority" launch 8004 cheap --priority -1
run_expect 0 "the first begins to take memory" start_eating 8003
wait_until 30 "the job of low priority is stopped" state_is cheap FAILED
wait_until 30 "then the one that takes the memory" state_is greedy FAILED
like "$(reason_of greedy)" 'by the memory guard' "its reason says by whom"
run_expect 0 "logs of a job that was stopped" sparkbus logs greedy --no-follow --tail 5
like "$out" 'by the memory guard: stopped the job: [0-9.]+ of' "its log says it, too"
is "$(started_at keep)" "$before" "the job of higher priority was not touched"
run_expect 0 "and answers" answers 8001
is "$(kernel_kills)" 0 "the kernel killed nobody"
run_expect 0 "node show" sparkbus node show spark1 --json
like "$(jq -r .guard.last_act <<<"$out")" 'stopped the job: .*GiB available, limit' "node show has the last act"

# Of two that matter as much, the one goes that holds the memory, though it is the older one.
run_expect 0 "a job that will take more" launch 8006 large
run_expect 0 "one like it" launch 8007 small
run_expect 0 "the first begins to take memory" start_eating 8006
wait_until 30 "it is stopped" state_is large FAILED
is "$(state_of small)" READY "the other was not touched"
run_expect 0 "stop it" sparkbus stop small

# Only watching: it says so and does nothing. The memory is given back before the limit.
sed -i 's/guard: {mode: act/guard: {mode: warn/' "$tb/spark1/agent.yaml"
node_agent spark1 restart
wait_until 10 "after a restart the job is READY" state_is keep READY
run_expect 0 "a watcher begins to take memory" launch 8005 watched -o env.ENGINESIM_EAT_MIB_S=200
run_expect 0 "it takes memory" start_eating 8005
low() { [ "$(sparkbus node show spark1 --json | jq -r .guard.level)" != OK ]; }
wait_until 30 "memory gets low" low
is "$(state_of watched)" READY "nobody is stopped"
run_expect 0 "stop all" sparkbus stop --all
done_testing
