#!/usr/bin/env bash
# The testbed itself, without agents: what it promises to the other tests.
. "$(dirname "$0")/../testbed/lib.sh"

testbed_up 2 --no-agent

# The smallest image there is: one static binary.
make_image()
{
	mkdir -p "$scratch/image/bin"
	cp "$(command -v busybox)" "$scratch/image/bin/busybox"
	tar -C "$scratch/image" -c . >"$scratch/image.tar"
}
command -v busybox >/dev/null || skip_all "needs busybox (busybox-static)"
make_image

for node in spark1 spark2; do
	is "$(node_docker "$node" import - box:1 <"$scratch/image.tar" | cut -c -7)" sha256: \
		"$node takes an image"
done
run node_docker spark1 info --format '{{.ID}}'
first=$out
run node_docker spark2 info --format '{{.ID}}'
unlike "$out" "^$first\$" "the nodes have daemons of their own"

# A container with the host's network sits on its node's address and nowhere else.
serve() # NODE TEXT
{
	node_docker "$1" run -d --network host box:1 /bin/busybox nc -ll -p 8000 -e /bin/busybox echo "$2"
}
answer() { timeout 5 bash -c "exec 3<>/dev/tcp/$1/8000 && cat <&3"; }
answers() { [ "$(answer "$1")" = "$2" ]; }
run_expect 0 "a container on spark1" serve spark1 one
run_expect 0 "a container on spark2" serve spark2 two
wait_until 10 "the host reaches spark1" answers "$TESTBED_NET.11" one
wait_until 10 "the host reaches spark2" answers "$TESTBED_NET.12" two
is "$(node_exec spark1 bash -c "exec 3<>/dev/tcp/$TESTBED_NET.12/8000 && cat <&3")" two \
	"spark1 reaches spark2"

run_expect 0 "spark2's cable is pulled" node_link spark2 down
run answer "$TESTBED_NET.12"
unlike "$rc" '^0$' "nobody reaches spark2"
is "$(answer "$TESTBED_NET.11")" one "spark1 is not affected"
run_expect 0 "spark2's cable is plugged in" node_link spark2 up
wait_until 20 "the host reaches spark2 again" answers "$TESTBED_NET.12" two

# Containers outlive a killed daemon, as they do on a real node.
run_expect 0 "spark1's daemon is killed" node_dockerd spark1 kill9
is "$(answer "$TESTBED_NET.11")" one "its container goes on"
run_expect 0 "it starts again" node_dockerd spark1 start
run_expect 0 "and answers" node_docker spark1 ps
run_expect 0 "a container with a network of its own" \
	node_docker spark1 run -d --network none box:1 /bin/busybox sleep 1000
run_expect 0 "spark1's daemon is killed again" node_dockerd spark1 kill9

# What a crash in the middle leaves is removed as well.
crashed=$scratch/crashed
"$testbed" up "$crashed" 2 --no-agent 2>"$scratch/crash" &
victim=$!
wait_until 10 "a second testbed begins" test -e "$crashed/testbed.conf"
kill -KILL $victim 2>/dev/null
wait $victim 2>/dev/null
run_expect 0 "the killed one is taken down" "$testbed" down "$crashed"
run_expect 0 "twice" "$testbed" down "$crashed"
unlike "$("$testbed" list)" "$crashed" "it is gone from the list"
run_expect 1 "and so are its files" test -e "$crashed"

done_testing
