#!/usr/bin/env bash
# The live view on a real terminal: a pseudo terminal that is typed into, resized and hung up, and
# a small reader of what arrives there in place of a person.
. "$(dirname "$0")/../testbed/lib.sh"
command -v python3 >/dev/null || skip_all "python3 is not installed"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

testbed_up 2 --image sim:1
run_expect 0 "run" sparkbus run "$recipe" --no-follow
job=$(sparkbus status --json | jq -r '.jobs[0].job')

# --- paper ---

run_expect 0 "monitor --once" env LC_ALL=C.UTF-8 sparkbus monitor --once
like "$out" '^sparkbus  2 nodes, 1 job$' "says how many"
like "$out" '^spark2 +ok +[0-9.]+ of [0-9.]+ GiB ' "has the nodes"
like "$out" '^pair(\.yaml)? .* spark1,spark2$|/pair.* ready ' "has the job"
like "$out" 'http://.*:8000/v1' "with its address"
like "$out" ' job\.state ' "has the events"
unlike "$out" $'\033' "without escape codes"
run_expect 0 "the same where the locale has ASCII alone" env LC_ALL=C sparkbus monitor --once
is "$(LC_ALL=C awk 'length > 80 || /[^ -~]/' <<<"$out")" "" "is that, in 80 columns"
run_expect 2 "without a terminal" sparkbus monitor
like "$err" 'sparkbus status' "says what to take instead"

# --- a terminal ---

# drive NAME: runs the steps on stdin against `sparkbus monitor` in a terminal of 80 by 24:
#   see TEXT | key KEYS | size COLUMNS ROWS | signal NAME | end STATUS
cat >"$scratch/drive.py" <<'PY'
import fcntl, os, pty, select, signal, struct, sys, termios, time

LIMIT_S = 60
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="xterm", LC_ALL="C.UTF-8")
    os.execvp("sparkbus", ["sparkbus", "monitor"])
seen = b""

def size(columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

def read(deadline):
    """More of the output; False at its end."""
    global seen
    if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
        os.kill(pid, signal.SIGKILL)
        sys.exit("nothing like it arrived; last: %r" % seen[-2000:])
    try:
        part = os.read(fd, 65536)
    except OSError:
        part = b""
    seen += part
    return part != b""

size(80, 24)
for line in sys.stdin:
    word, _, rest = line.rstrip("\n").partition(" ")
    deadline = time.monotonic() + LIMIT_S
    if word == "see":
        while rest.encode() not in seen:
            if not read(deadline):
                sys.exit("it ended before %r; last: %r" % (rest, seen[-2000:]))
    elif word == "key":
        seen = b""
        os.write(fd, rest.encode().decode("unicode_escape").encode("latin1"))
    elif word == "size":
        seen = b""
        size(*map(int, rest.split()))
    elif word == "signal":
        seen = b""
        os.kill(pid, getattr(signal, rest))
    elif word == "end":
        while read(deadline):
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status != int(rest):
            sys.exit("exit status %d; last: %r" % (status, seen[-2000:]))
        if b"\x1b[?1049l" not in seen:
            sys.exit("the terminal was left as it was: %r" % seen)
PY
drive() { python3 "$scratch/drive.py"; }

run_expect 0 "it shows, reacts and leaves by q" drive <<END
see 2 nodes
see spark1
see spark2
see ready
see job.state
key s
see by memory
key jj
key l
see LOG ${job#*_}
key ?
see leave
key ?
see spark1
size 120 40
see spark2
size 40 10
see spark2
key q
end 0
END
run_expect 0 "Ctrl-C gives the terminal back" drive <<END
see spark2
key \x03
end 0
END
for name in SIGTERM SIGHUP SIGQUIT; do
	run_expect 0 "$name gives the terminal back" drive <<END
see spark2
signal $name
end 0
END
done

# --- a node that does not answer ---

# Stopped, not ended: its connection stays, and no answer comes.
node_agent spark2 pause
run_expect 0 "keys work while a node is silent" drive <<END
see 1 silent
see unknown
key s
see by memory
key ?
see leave
key q
end 0
END
node_agent spark2 resume
node_agent spark2 stop
run_expect 3 "monitor --once without spark2" sparkbus monitor --once
like "$out" '^spark2 unknown ' "shows it as unknown"
like "$out" '^spark1 ok ' "and the other as ever"
node_agent spark2 start
run_expect 0 "stop" sparkbus stop --all
done_testing
