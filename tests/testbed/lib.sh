# lib.sh - TAP for shell tests on a testbed. A test is
#
#   . "$SB_SOURCE/tests/testbed/lib.sh"
#   testbed_up 2 --image example/engine:1     # or skips everything, with the reason
#   run_expect 0 "status answers" sparkbus status
#   like "$out" 'spark1 +healthy' "spark1 is healthy"
#   wait_until 30 "the port opens" curl -sf "http://$TESTBED_NET.11:8000/health"
#   done_testing
#
# However the test ends, the testbed goes down with it; what a sanitizer found in an agent, or what
# could not be removed, fails the test.
set -uo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
SB_SOURCE=${SB_SOURCE:-$(cd "$here/../.." && pwd)}
SB_BUILD=${SB_BUILD:-$SB_SOURCE/build}
export SB_SOURCE SB_BUILD
testbed=$SB_SOURCE/tests/testbed/testbed
tap_count=0 tap_failed=0 tap_done=false
scratch=$(mktemp -d "${TMPDIR:-/tmp}/sbt.XXXXXX")
out='' err='' rc=0

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

ok() { tap_count=$((tap_count + 1)); printf 'ok %d - %s\n' $tap_count "$*"; }

not_ok()
{
	tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
	printf 'not ok %d - %s\n' $tap_count "$*"
	diag "at ${BASH_SOURCE[2]:-?}:${BASH_LINENO[1]:-?}"
}

# Skip the whole file. Meson learns it from the plan and takes any exit status but 0 for an error;
# a person or another runner gets the customary 77.
skip_all() # REASON
{
	printf '1..0 # SKIP %s\n' "$*"
	tap_done=true
	[ -n "${MESON_TEST_ITERATION:-}" ] && exit 0
	exit 77
}

skip() # NAME REASON
{
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' $tap_count "$1" "$2"
}

is() # GOT WANT NAME
{
	[ "$1" = "$2" ] && ok "$3" && return 0
	not_ok "$3"
	diag "got:    $1"
	diag "wanted: $2"
	return 1
}

like() # TEXT REGEX NAME
{
	grep -qE -- "$2" <<<"$1" && ok "$3" && return 0
	not_ok "$3"
	diag "wanted a match of: $2"
	diag "got: $1"
	return 1
}

unlike() # TEXT REGEX NAME
{
	grep -qE -- "$2" <<<"$1" || { ok "$3"; return 0; }
	not_ok "$3"
	diag "wanted no match of: $2"
	diag "got: $1"
	return 1
}

# Run and keep $out, $err, $rc; no judgement.
run()
{
	rc=0
	"$@" >"$scratch/out" 2>"$scratch/err" </dev/null || rc=$?
	out=$(<"$scratch/out") err=$(<"$scratch/err")
}

run_expect() # RC NAME CMD...
{
	local want=$1 name=$2
	shift 2
	run "$@"
	[ "$rc" = "$want" ] && ok "$name" && return 0
	not_ok "$name"
	diag "exit status $rc instead of $want: $*"
	diag "stdout: $out"
	diag "stderr: $err"
	return 1
}

# Wait for an event: the command succeeds before the deadline, or the test fails.
wait_until() # SECONDS NAME CMD...
{
	local seconds=$1 name=$2 deadline
	shift 2
	deadline=$((SECONDS + seconds))
	until "$@" >"$scratch/out" 2>"$scratch/err" </dev/null; do
		if [ $SECONDS -ge $deadline ]; then
			not_ok "$name"
			diag "not within $seconds s: $*"
			diag "$(tail -n 20 "$scratch/out" "$scratch/err")"
			return 1
		fi
		sleep 0.05
	done
	out=$(<"$scratch/out") err=$(<"$scratch/err")
	ok "$name"
}

# Shorthands for the one testbed of the test: $tb is its folder.
tb=
node_docker() { local node=$1; shift; "$testbed" docker "$tb" "$node" "$@"; }
node_exec() { local node=$1; shift; "$testbed" exec "$tb" "$node" "$@"; }
node_agent() { "$testbed" agent "$tb" "$@"; }
node_dockerd() { "$testbed" dockerd "$tb" "$@"; }
node_link() { "$testbed" link "$tb" "$@"; }

testbed_up() # N [OPTIONS of `testbed up`]
{
	local status=0
	tb=$scratch/tb
	"$testbed" up "$tb" "$@" --build "$SB_BUILD" 2>"$scratch/up" 8>&- || status=$?
	diag "$(cat "$scratch/up")"
	if [ $status = 77 ]; then
		tb=
		skip_all "$(sed -n 's/^testbed: cannot run here: //p' "$scratch/up")"
	fi
	if [ $status != 0 ]; then
		tb=
		printf 'Bail out! the testbed did not come up\n'
		tap_done=true
		exit 1
	fi
	eval "$("$testbed" env "$tb")"
}

testbed_down()
{
	local status=0
	[ -n "$tb" ] || return 0
	if [ $tap_failed -gt 0 ]; then
		local log
		for log in "$tb"/spark*/agent.log; do
			[ ! -f "$log" ] || diag "the end of ${log#"$tb"/}:
$(tail -n 40 "$log")"
		done
	fi
	"$testbed" down "$tb" >"$scratch/down" 2>&1 || status=$?
	tb=
	[ $status = 0 ] && return 0
	diag "$(cat "$scratch/down")"
	return 1
}

done_testing()
{
	if [ -n "$tb" ]; then
		testbed_down && ok "the testbed goes down without a trace or a sanitizer report" ||
			not_ok "the testbed goes down without a trace or a sanitizer report"
	fi
	printf '1..%d\n' $tap_count
	tap_done=true
	exit $((tap_failed > 0))
}

tap_exit()
{
	local status=$?
	trap - EXIT
	testbed_down || status=1
	rm -rf "$scratch"
	$tap_done || { printf 'Bail out! the test ended early (status %d)\n' "$status"; status=1; }
	exit $status
}
trap tap_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
