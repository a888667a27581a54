#!/usr/bin/env bash
# MPI without SSH, with the real Open MPI: mpirun on one node and the waiting worker of another, each
# in a network and under a host name of its own, start processes of one job. Who has not the secret,
# or only what was said before, starts nothing.
. "$(dirname "$0")/../testbed/lib.sh"
corpus=$SB_SOURCE/tests/golden/corpus/handmade

[ "$(id -u)" = 0 ] || skip_all "needs root"
for program in mpirun orted python3 ip nsenter unshare; do
	command -v $program >/dev/null || skip_all "needs $program"
done

secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
id=$$
ns=("sbmpi-$id-0" "sbmpi-$id-1")
net=10.$((id % 200 + 20)).$((id / 200 % 250))
address=("$net.11" "$net.12")
worker=

end()
{
	[ -z "$worker" ] || kill -KILL "$worker" 2>/dev/null
	for n in "${ns[@]}"; do
		ip netns pids "$n" 2>/dev/null | xargs -r kill -KILL 2>/dev/null
		ip netns del "$n" 2>/dev/null
	done
}
trap 'status=$?; end; (exit $status); tap_exit' EXIT
ip netns add "${ns[0]}" 2>/dev/null && ip netns add "${ns[1]}" || skip_all "cannot make network namespaces"
ip link add eth0 netns "${ns[0]}" type veth peer name eth0 netns "${ns[1]}"
for i in 0 1; do
	ip -n "${ns[i]}" addr add "${address[i]}/24" dev eth0
	ip -n "${ns[i]}" link set lo up
	ip -n "${ns[i]}" link set eth0 up
done

run_expect 0 "a plan for two nodes" \
	"$SB_BUILD/tests/integration/plan_files" "$corpus/trt.yaml" "$scratch" "$secret" "${address[@]}"
is "$(stat -c %a "$scratch/1/.sparkbus/mpi/secret")" 600 "the secret is private"
unlike "$(cat "$scratch"/*/argv)" "$secret" "and on no command line"
cat >"$scratch/where" <<'SH'
#!/bin/sh
echo "rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE on $(hostname), a process of $WHO, set as $OMPI_MCA_sparkbus_test"
exec sleep "${1:-0}"
SH
chmod +x "$scratch/where"

# As in its container: words and files of the plan, a host name and a folder for temporary files.
enter() # RANK WORD...: does not return
{
	local i=$1
	shift
	mkdir -p "$scratch/tmp$i"
	# shellcheck disable=SC2016 # for the inner shell
	OMPI_MCA_sparkbus_test=own$i WHO=container$i TMPDIR=$scratch/tmp$i exec nsenter --net="/run/netns/${ns[i]}" \
		unshare --uts sh -c 'hostname "$0"; exec "$@"' "spark$((i + 1))" "$@"
}
in_node() { (enter "$@"); }
words_of() # RANK, into the array words; without what MPI is to start
{
	mapfile -t words < <(sed "s|/.sparkbus/|$scratch/$1/.sparkbus/|; /^trtllm-llmapi-launch$/Q" "$scratch/$1/argv")
}
listens() { ip netns exec "${ns[1]}" cat /proc/net/tcp | grep -q ':61A8 .* 0A '; }
start_worker()
{
	words_of 1
	(enter 1 "${words[@]}") >"$scratch/worker" 2>&1 &
	worker=$!
	wait_until 20 "the worker waits" listens
}
worker_ends() # STATUS NAME
{
	local status=0
	wait "$worker" || status=$?
	worker=
	is "$status" "$1" "$2" || diag "$(cat "$scratch/worker")"
}
empty() { [ -z "$(ip netns pids "${ns[0]}")$(ip netns pids "${ns[1]}")" ]; }
both_run() { grep -q '^rank 0' "$scratch/job" && grep -q '^rank 1' "$scratch/job"; }
start_job() # WORD...: mpirun in the background; its output in $scratch/job
{
	words_of 0
	(enter 0 "${words[@]}" "$@") >"$scratch/job" 2>&1 &
	mpirun=$!
	wait_until 30 "both ranks run" both_run
}

# --- both meet ---

start_worker
words_of 0
run_expect 0 "mpirun" in_node 0 "${words[@]}" "$scratch/where"
like "$out" '^rank 0 of 2 on spark1, a process of container0, set as own0$' "one rank on the first node"
like "$out" '^rank 1 of 2 on spark2, a process of container1, set as own1$' "one on the second, with what its own container has set"
worker_ends 0 "the worker ends with the job"

start_worker
words_of 0
run_expect 0 "mpirun that sets the daemon's PATH" in_node 0 "${words[0]}" --prefix /usr "${words[@]:1}" "$scratch/where"
like "$out" '^rank 1 of 2 on spark2' "is understood"
worker_ends 0 "the worker ends"

# --- who may not ---

start_worker
run_expect 0 "a plan of another launch" \
	"$SB_BUILD/tests/integration/plan_files" "$corpus/trt.yaml" "$scratch/other" \
	"00000000000000000000000000000000" "${address[@]}"
run_expect 1 "with another launch's secret" \
	in_node 0 "$scratch/other/0/.sparkbus/mpi/start" run 25000 "${address[1]}" ' orted' --version
like "$err" "${address[1]} refused the command" "nothing is started"
cat >"$scratch/attack.py" <<'PY'
import hashlib, hmac, socket, sys

address, secret = sys.argv[1], open(sys.argv[2], "rb").read()

def dial():
    conn = socket.create_connection((address, 25000), 10)
    return conn, conn.recv(32)

def say(conn, data):
    try:
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        return conn.recv(2)
    except OSError:
        return b""

def proof(nonce, where, command):
    return hmac.new(secret, nonce + where.encode() + b"\0" + command, hashlib.sha256).digest() + command

command = b"touch /tmp/never"
first, nonce = dial()
recorded = proof(nonce, address, command)
first.close()
for name, data in (
    ("a replay", lambda nonce: recorded),
    ("a proof for another worker", lambda nonce: proof(nonce, "10.0.0.1", command)),
    ("another command behind the proof", lambda nonce: proof(nonce, address, command) + b" more"),
    ("no command", lambda nonce: proof(nonce, address, b"")),
    ("nothing", lambda nonce: b""),
    ("a megabyte", lambda nonce: b"x" * (1 << 20)),
):
    conn, nonce = dial()
    print("%s: %s" % (name, say(conn, data(nonce)).decode() or "refused"))
PY
run_expect 0 "attacks" in_node 0 python3 "$scratch/attack.py" "${address[1]}" "$scratch/0/.sparkbus/mpi/secret"
is "$(grep -c ': refused$' <<<"$out")" 6 "all are refused" || diag "$out"
like "$(cat "$scratch/worker")" "refused a caller from ${address[0]}" "the worker's log tells"
run_expect 0 "and then the launch's own" \
	in_node 0 "$scratch/0/.sparkbus/mpi/start" run 25000 "${address[1]}" ' orted' --help
worker_ends 1 "is obeyed" # orted ends so after its help
like "$(cat "$scratch/worker")" 'Usage: orted' "and is what was asked for"

# --- ends ---

start_worker
kill -TERM "$worker"
worker_ends 143 "SIGTERM ends a worker that waits"

start_worker
start_job "$scratch/where" 1000
kill -TERM "$mpirun"
wait "$mpirun"
wait "$worker"
worker=
wait_until 20 "SIGTERM to the head ends it all" empty

start_worker
start_job "$scratch/where" 1000
kill -TERM "$worker"
wait "$worker"
worker=
wait "$mpirun" && not_ok "the head says that its worker went" || ok "the head says that its worker went"
wait_until 20 "and nothing is left" empty

end
done_testing
