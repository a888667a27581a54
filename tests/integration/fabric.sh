#!/usr/bin/env bash
# The fabric where there is no RDMA: nodes with interfaces of different names, cables between them
# (veth) that have no addresses, agents that hear each other there, and a launch that says why it
# goes over Ethernet and gives each rank its own interface.
. "$(dirname "$0")/../testbed/lib.sh"
recipe=$SB_SOURCE/tests/integration/recipes/pair.yaml

testbed_up 2 --image sim:1
netns() { echo "sb-$(sed -n 's/^declare -g -- id="\(.*\)"/\1/p' "$tb/testbed.conf")-$1"; }
json() { jq -r "$1" <<<"$out"; }

# Names differ, as on a real cluster of which one node is on WiFi.
rename() # NODE FROM TO
{
	node_exec "$1" ip link set "$2" down
	node_exec "$1" ip link set "$2" name "$3"
	node_exec "$1" ip link set "$3" up
	node_exec "$1" ip route add default via "$TESTBED_NET.1"
}
rename spark2 eth0 lan7
plug() { # two cables: left to left, right to right
	ip link add left netns "$(netns spark1)" type veth peer name port3 netns "$(netns spark2)"
	ip link add right netns "$(netns spark1)" type veth peer name port4 netns "$(netns spark2)"
	node_exec spark1 ip link set left up
	node_exec spark1 ip link set right up
	node_exec spark2 ip link set port3 up
	node_exec spark2 ip link set port4 up
}
plug
printf 'fabric: { beacon: "left,right" }\n' >>"$tb/spark1/agent.yaml"
printf 'fabric: { beacon: "port3,port4" }\n' >>"$tb/spark2/agent.yaml"
run_expect 0 "spark1's agent starts again" node_agent spark1 restart
run_expect 0 "spark2's agent starts again" node_agent spark2 restart

# --- who hears whom ---

heard() # NODE INTERFACE: what the other end says
{
	sparkbus fabric show --json | jq -r --arg n "$1" --arg i "$2" \
		'.nodes[] | select(.name == $n) | .report.links[] | select(.name == $i) |
			[.heard[] | "\(.node) \(.interface)"] | join(",")'
}
hears() { [ "$(heard "$1" "$2")" = "$3" ]; }
wait_until 20 "spark1 hears spark2's third port on its left one" hears spark1 left 'spark2 port3'
wait_until 20 "and its fourth port on its right one" hears spark1 right 'spark2 port4'
wait_until 20 "spark2 hears spark1" hears spark2 port3 'spark1 left'
is "$(heard spark1 eth0)" '' "nothing is said on the management network"
run_expect 0 "fabric show" sparkbus fabric show
like "$out" 'spark1 +eth0 .*\(management: default route\)' "it shows the management interface"
like "$out" 'spark2 +port3 .* spark1 left' "and what is heard"

node_exec spark2 ip link set port3 down
wait_until 20 "a pulled cable is silent" hears spark1 left ''

# --- check ---

run_expect 1 "fabric check: there is no RDMA, which is wrong" sparkbus fabric check --json
is "$(json '[.findings[] | select(.severity != "note").id] | unique | join(" ")')" nic-missing \
	"and nothing else is"
is "$(json '[.paths[] | "\(.from) \(.to) \(.reached) \(.mtu_passes) \(.tcp_gbps > 0)"] | join(",")')" \
	'spark1 spark2 true true true,spark2 spark1 true true true' \
	"both nodes reach each other with packets of the whole MTU, and time it"
# One end is set up for large packets and what is between is not: nothing that a node says tells.
node_exec spark1 ip link set eth0 mtu 9000
run_expect 1 "a smaller MTU on the way" sparkbus fabric check --json
is "$(json '[.findings[] | select(.id == "large-packets-lost").text] | join(" ")')" \
	"packets of 9000 bytes do not pass from spark1 (eth0) to spark2 ($TESTBED_NET.12)" "is found"
node_exec spark1 ip link set eth0 mtu 1500
run_expect 0 "spark2 goes away" node_agent spark2 stop
run_expect 1 "a node that does not answer" sparkbus fabric check --json -H spark1,spark2
is "$(json '.unknown_nodes | length')" 1 "is unknown"
run_expect 0 "and comes back" node_agent spark2 start

# --- chores ---

run_expect 0 "setup clear-cache -n" sparkbus setup clear-cache -n
like "$out" 'GiB would be dropped' "says what would be dropped"
touch "$tb/spark2/hf/of-root"
chown 12345:12345 "$tb/spark2/hf"
run_expect 0 "setup fix-permissions" sparkbus setup fix-permissions --json
is "$(json '[.[] | "\(.node) \(.outcome)"] | join(",")')" 'spark1 DONE,spark2 DONE' "on both nodes"
is "$(stat -c %u "$tb/spark2/hf/of-root")" 12345 "gives the model cache's files to its owner"
chown -R root:root "$tb/spark2/hf"

# --- a launch ---

run_expect 0 "fabric explain" sparkbus fabric explain --json
is "$(json '[.ranks[].environment[] | select(.name == "NCCL_SOCKET_IFNAME").value] | join(" ")')" \
	'=eth0 =lan7' "each rank has its own interface"
run_expect 0 "run" sparkbus run "$recipe" --no-follow
like "$err" 'Warning: the ranks talk over Ethernet, not over the fabric' "it warns before it starts"
like "$err" 'no RDMA device on spark1' "and says why"
env_of() # NODE NAME: in the container
{
	node_docker "$1" inspect -f '{{range .Config.Env}}{{println .}}{{end}}' \
		"$(node_docker "$1" ps -q)" | sed -n "s/^$2=//p"
}
is "$(env_of spark1 GLOO_SOCKET_IFNAME) $(env_of spark2 GLOO_SOCKET_IFNAME)" 'eth0 lan7' \
	"the containers have it"
is "$(env_of spark2 VLLM_HOST_IP) $(env_of spark2 MASTER_ADDR)" "$TESTBED_NET.12 $TESTBED_NET.11" \
	"and the addresses at which ranks meet"
run_expect 0 "stop" sparkbus stop --all
run_expect 1 "--strict refuses it" sparkbus run "$recipe" --no-follow --strict
like "$err" 'Nothing was started' "and says so"

done_testing
