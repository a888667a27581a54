#!/usr/bin/env bash
# A cable that is pulled between two interfaces of a node comes to whoever follows its events, and
# node show says what is so, not what was.
. "$(dirname "$0")/../testbed/lib.sh"

testbed_up 1
node_ip() { node_exec spark1 ip "$@"; }
node_ip link add cab0 type veth peer name far0
node_ip link set cab0 up
node_ip link set far0 up
node_ip addr add 192.168.100.10/24 dev cab0

# Each line with the moment at which it came, in milliseconds.
stamped() { while read -r line; do printf '%s %s\n' $((${EPOCHREALTIME/[.,]/} / 1000)) "$line"; done; }
sparkbus events --follow --tail 0 --json > >(stamped >"$scratch/events") 2>&1 &
follower=$!
trap 'status=$?; kill $follower 2>/dev/null; (exit $status); tap_exit' EXIT
heard() { grep -q "$1" "$scratch/events"; }
wait_until 20 "an address is an event" heard 'cab0: address 192.168.100.10/24 added'

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
before=$(now_ms)
node_ip link set far0 down
wait_until 20 "a pulled cable is an event" heard 'cab0: link down (carrier lost)'
came=$(grep -m 1 'cab0: link down' "$scratch/events" | cut -d' ' -f1)
diag "from the command that pulls it to the command that follows: $((came - before)) ms"
link() { sparkbus node show spark1 --json | jq -r ".telemetry.fabric.links[] |
	select(.name == \"cab0\") | $1"; }
is "$(link '"\(.admin_up) \(.carrier // false)"')" "true false" "node show says so at once"
node_ip link set far0 up
wait_until 20 "and so is its return" heard 'cab0: link up'
is "$(link .carrier)" true "node show says so at once"
like "$(sparkbus node show spark1)" '^Links: +eth0 up, .*management' "node show in words"

# Many changes are few events, and one that sums them up.
for _ in $(seq 20); do
	node_ip link set far0 down
	node_ip link set far0 up
done
wait_until 30 "a link that flaps is summed up" heard 'cab0: [0-9]* more changes within 10 s; now up'
run_expect 0 "at most six times" [ "$(grep -c 'cab0: link' "$scratch/events")" -le 8 ]

node_ip link del cab0
gone() { [ -z "$(link .name)" ]; }
wait_until 20 "a link that was removed is gone" gone
kill $follower
wait $follower 2>/dev/null
done_testing
