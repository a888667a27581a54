#!/usr/bin/env bash
# Addresses of the fabric that undo themselves: a setting that works and is kept, one that cuts a
# node off, with the command killed, with the agent killed, and the way back to the beginning.
. "$(dirname "$0")/../testbed/lib.sh"

testbed_up 2
netns() { echo "sb-$(sed -n 's/^declare -g -- id="\(.*\)"/\1/p' "$tb/testbed.conf")-$1"; }
ip link add left netns "$(netns spark1)" type veth peer name left netns "$(netns spark2)"
for node in spark1 spark2; do
	# A test must not write into the /etc of the machine that it runs on.
	printf 'fabric: { backend: rtnetlink }\n' >>"$tb/$node/agent.yaml"
	node_exec $node ip link set left up
	run_expect 0 "$node's agent starts again" node_agent $node restart
done
addresses() { node_exec "$1" ip -j addr show left |
	jq -r '.[0] | "\([.addr_info[] | select(.family == "inet") | "\(.local)/\(.prefixlen)"] | join(",")) \(.mtu)"'; }
has() { [ "$(addresses "$1")" = "$2" ]; }
configure() { sparkbus fabric configure --yes "$@"; }
good=(--address spark1:left=192.168.200.11/24 --address spark2:left=192.168.200.12/24)

run_expect 0 "a dry run" configure -n "${good[@]}"
like "$out" 'spark1 +left +MTU 1500 +192\.168\.200\.11/24 MTU 9000' "shows what would change"
is "$(addresses spark1)" ' 1500' "and changes nothing"
run_expect 1 "the management interface is left alone" configure --address spark1:eth0=192.168.9.1/24
like "$out" 'eth0 is the management interface' "and it says so"

run_expect 0 "a good setting" configure "${good[@]}"
like "$out" 'spark2: keeps it' "is tried, and confirmed"
is "$(addresses spark1)|$(addresses spark2)" '192.168.200.11/24 9000|192.168.200.12/24 9000' "it is there"
run_expect 0 "the agent starts again" node_agent spark1 restart
is "$(addresses spark1)" '192.168.200.11/24 9000' "what was confirmed stays"

# The nodes do not reach each other by it: nobody confirms.
run_expect 1 "one address on both nodes" configure --address spark1:left=192.168.200.11/24 \
	--address spark2:left=192.168.200.11/24
like "$out" 'Not kept. Putting back' "is not kept"
is "$(addresses spark2)" '192.168.200.12/24 9000' "what was there is back"

# A network that swallows the way to the operator: the node cannot be reached any more.
cut=(--address "spark1:left=$TESTBED_NET.77/25" --confirm-seconds 4)
configure "${cut[@]}" >"$scratch/cut" 2>&1 &
cli=$!
wait_until 10 "spark1 is cut off" has spark1 "$TESTBED_NET.77/25 9000"
kill -KILL $cli
wait $cli 2>/dev/null
wait_until 20 "it puts back what it had, by itself" has spark1 '192.168.200.11/24 9000'
run_expect 0 "and is heard again" sparkbus node show spark1

# The same, and the agent dies before its time is up.
configure --address "spark1:left=$TESTBED_NET.77/25" --confirm-seconds 600 >"$scratch/cut" 2>&1 &
cli=$!
wait_until 10 "spark1 is cut off again" has spark1 "$TESTBED_NET.77/25 9000"
kill -KILL $cli
wait $cli 2>/dev/null
run_expect 0 "its agent is killed" node_agent spark1 kill9
is "$(addresses spark1)" "$TESTBED_NET.77/25 9000" "that alone changes nothing"
run_expect 0 "its agent starts" node_agent spark1 start
is "$(addresses spark1)" '192.168.200.11/24 9000' "and puts back what there was"

rm "$tb/spark2/state/network.first" # as if it never had been configured
node_exec spark2 ip addr flush dev left
node_exec spark2 ip link set left mtu 1500
run_expect 0 "the way back" configure --revert
is "$(addresses spark1)|$(addresses spark2)" ' 1500| 1500' "leads to the beginning"

done_testing
