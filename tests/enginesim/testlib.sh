# shellcheck shell=bash
# testlib.sh - what the tests of the engines share; sourced with the path of enginesim as $1. TAP;
# needs curl and jq. Waits for log lines and exits, not for time.
set -u
dir=$(mktemp -d)
for engine in vllm sglang python3 llama-server rpc-server ray spark trtllm-serve \
	trtllm-llmapi-launch mpirun orted; do ln -s "$(realpath "$1")" "$dir/$engine"; done
PATH=$dir:$PATH
export ENGINESIM_LOAD_MS=20 ENGINESIM_PREFILL_TPS=0 ENGINESIM_DECODE_TPS=0
export ENGINESIM_JOIN_TIMEOUT=20
count=0
failed=0
pids=()

cleanup() {
	for p in "${pids[@]}"; do kill -KILL "$p" 2>/dev/null; done
	wait 2>/dev/null
	rm -rf "$dir"
}
trap cleanup EXIT

ok() { # DESCRIPTION COMMAND... - the command decides
	local what=$1 r=ok
	shift
	count=$((count + 1))
	if ! "$@" >"$dir/out" 2>&1; then
		r='not ok'
		# shellcheck disable=SC2034 # the sourcing script exits with it
		failed=1
		sed 's/^/# /' "$dir/out"
	fi
	echo "$r $count - $what"
}

# Two programs of this machine can pick the same port; each run starts at its own place.
port=$((20000 + $$ % 12000)) # below the ports that the kernel hands out
free_port() { # sets $port to the next one that nobody listens on
	while port=$((port + 1)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
}

await() { # NAME TEXT - until the log has it; fails if the process ends without it
	local p=$pid
	for _ in $(seq 600); do
		grep -qF -- "$2" "$dir/$1.log" && return 0
		if ! kill -0 "$p" 2>/dev/null; then
			grep -qF -- "$2" "$dir/$1.log" && return 0
			break
		fi
		sleep 0.05
	done
	cat "$dir/$1.log"
	return 1
}

status_is() { # EXPECTED PID - one that does not end is killed, which is status 137
	for _ in $(seq 600); do
		kill -0 "$2" 2>/dev/null || break
		sleep 0.05
	done
	kill -KILL "$2" 2>/dev/null
	wait "$2"
	local rc=$?
	[ $rc = "$1" ] || { echo "status $rc, expected $1"; return 1; }
}

stop() { kill -TERM "$pid"; wait "$pid"; }

post() { curl -s -H 'Content-Type: application/json' "127.0.0.1:$port$1" -d "$2" "${@:3}"; }
code() { curl -s -o /dev/null -w '%{http_code}' "127.0.0.1:$port$1" "${@:2}"; }
same() { [ "$1" = "$2" ] || { echo "got '$1', expected '$2'"; return 1; }; }
has() { grep -qF -- "$2" "$1" || { cat "$1"; return 1; }; }
until_is() { # EXPECTED COMMAND...
	for _ in $(seq 400); do
		[ "$("${@:2}")" = "$1" ] && return 0
		sleep 0.05
	done
	echo "last: $("${@:2}")"
	return 1
}
replay() { # FILE EXPECTED
	local record='' line bad=0 n=0
	while IFS= read -r line; do
		if [ "$line" != %% ]; then
			record+=$line$'\n'
			continue
		fi
		n=$((n + 1))
		ENGINESIM_PARSE_ONLY=1 bash -c "$record" >"$dir/replay" 2>&1
		if [ $? != "$2" ]; then
			bad=1
			printf '%s\n' "$record"
			cat "$dir/replay"
		fi
		record=
	done <"$1"
	[ $n -gt 0 ] && return $bad
}

launch() { # NAME COMMAND... - an engine in the background; its log is $dir/NAME.log, its pid in $pid
	local name=$1
	shift
	"$@" >"$dir/$name.log" 2>&1 &
	pids+=($!)
	pid=$!
}
