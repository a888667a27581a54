#!/usr/bin/env bash
# A real RDMA stack: a virtual machine with Debian's kernel and software RDMA devices. The agent,
# asked by the real CLI, must say what ibv_devinfo, ip and rdma say, field by field, and make an
# event of a pulled cable.
. "$(dirname "$0")/../testbed/lib.sh"
. "$SB_SOURCE/tests/vm/lib.sh"

for tool in busybox jq ibv_devinfo rdma ip; do
	command -v $tool >/dev/null || skip_all "needs $tool"
done
provider=$(ldconfig -p | sed -n 's/.*=> \(.*\/libibverbs\)\.so\.1$/\1/p' | head -n 1)
provider=$(find "${provider:-/nowhere}" -name 'librxe*.so' 2>/dev/null | head -n 1)
[ -n "$provider" ] || skip_all "needs ibverbs-providers"
vm_kernel rdma_rxe virtio_net crc32_generic

# --- what the machine has on board ---

find_program() { find "$SB_BUILD" -type f -name "$1" -perm -u+x -print -quit; }
PATH=$(dirname "$(find_program sparkbus)"):$(dirname "$(find_program sparkbusd)"):$PATH
export SPARKBUS_HOME=$scratch/operator
cat >"$scratch/agent.yaml" <<YAML
identity_dir: $scratch/identity
state_dir: $scratch/state
YAML
sparkbus init --operator vm >/dev/null
csr=$(sparkbusd enroll --name vm --config "$scratch/agent.yaml" | tail -n 1)
sparkbus node add vm 192.168.1.21 --csr "$csr" --out "$scratch/bundle" >/dev/null
run_expect 0 "an identity for the node" \
	sparkbusd enroll --install "$scratch/bundle" --config "$scratch/agent.yaml"

vm_begin
vm_module virtio_pci virtio_net crc32_generic rdma_rxe ib_uverbs
vm_program "$(command -v sparkbus)" "$(command -v sparkbusd)" "$(command -v ibv_devinfo)" \
	"$(command -v ip)" "$(command -v rdma)"
vm_file "$provider" /etc/libibverbs.d/rxe.driver
vm_libraries "$provider"
cp -r "$SPARKBUS_HOME" "$vm_root/etc/operator"
cp -r "$scratch/identity" "$vm_root/etc/identity"
cat >"$vm_root/etc/agent.yaml" <<'YAML'
identity_dir: /etc/identity
state_dir: /run/state
YAML
vm_start "$SB_SOURCE/tests/vm/rdma-init" -serial "file:$scratch/report" \
	-netdev hubport,hubid=1,id=n0 -device virtio-net-pci,netdev=n0,mac=4c:bb:47:10:20:15 \
	-netdev hubport,hubid=2,id=n1 \
	-device virtio-net-pci,netdev=n1,id=cable,mac=4c:bb:47:10:20:17,host_mtu=9000

if vm_await 120 "the agent in the machine answers" 'vm: cut'; then
	vm_monitor set_link cable off
	vm_await 60 "it notices the pulled cable" 'vm: join' && vm_monitor set_link cable on
	vm_await 60 "and the cable back in its place" 'vm: the end'
fi
unlike "$(<"$vm_console")" 'vm: failed|Kernel panic|segfault' "nothing failed in the machine"
wait_until 20 "the machine goes off" sh -c "! kill -0 $vm_pid"
vm_stop

# --- what was said ---

part() # NAME
{
	tr -d '\r' <"$scratch/report" |
		awk -v want="== $1" '/^== / { on = $0 == want; next } on'
}
fabric() { part "node $1" | jq -c .telemetry.fabric; } # WHEN
# The value of a field of a device as ibv_devinfo prints it, without what is in brackets.
devinfo() # WHEN DEVICE FIELD
{
	part "devinfo $1" | awk -v device="$2" -v field="$3:" '
		$1 == "hca_id:" { on = $2 == device }
		on && $1 == field { $1 = ""; sub(/^ +/, ""); sub(/ *\([0-9]+\)$/, ""); print; exit }'
}
device() { fabric "$1" | jq -r --arg d "$2" ".rdma[] | select(.name == \$d) | $3"; }
link() { fabric "$1" | jq -r --arg l "$2" ".links[] | select(.name == \$l) | $3"; }
ip_says() { part "addr $1" | jq -r --arg l "$2" ".[] | select(.ifname == \$l) | $3"; }

states='{"PORT_DOWN":1,"PORT_INIT":2,"PORT_ARMED":3,"PORT_ACTIVE":4}'
phys='{"POLLING":2,"DISABLED":3,"LINK_UP":5}'
number_of() { jq -nr --argjson t "$1" --arg k "$2" '$t[$k] // "none"'; }
compare_device() # WHEN DEVICE
{
	is "$(device "$1" "$2" .node_guid)" "$(devinfo "$1" "$2" node_guid)" "$1: $2: node_guid"
	is "$(device "$1" "$2" .sys_image_guid)" "$(devinfo "$1" "$2" sys_image_guid)" "$1: $2: sys_image_guid"
	is "$(device "$1" "$2" '.firmware // ""')" "$(devinfo "$1" "$2" fw_ver)" "$1: $2: firmware"
	is "$(device "$1" "$2" .vendor_id)" "$(($(devinfo "$1" "$2" vendor_id)))" "$1: $2: vendor"
	is "$(device "$1" "$2" '.vendor_part_id // 0')" "$(devinfo "$1" "$2" vendor_part_id)" "$1: $2: part"
	is "$(device "$1" "$2" '.ports | length')" "$(devinfo "$1" "$2" phys_port_cnt)" "$1: $2: ports"
	is "$(device "$1" "$2" '.ports[0].state')" "$(number_of "$states" "$(devinfo "$1" "$2" state)")" \
		"$1: $2: state"
	is "$(device "$1" "$2" '.ports[0].phys_state')" \
		"$(number_of "$phys" "$(devinfo "$1" "$2" phys_state)")" "$1: $2: physical state"
	is "$(device "$1" "$2" '.ports[0].max_mtu')" "$(devinfo "$1" "$2" max_mtu)" "$1: $2: max_mtu"
	is "$(device "$1" "$2" '.ports[0].active_mtu')" "$(devinfo "$1" "$2" active_mtu)" "$1: $2: active_mtu"
	is "$(device "$1" "$2" '.ports[0].link_layer')" "$(devinfo "$1" "$2" link_layer)" "$1: $2: link layer"
	is "$(device "$1" "$2" '.netdev')" "$(part "rdma $1" |
		jq -r --arg d "$2" '.[] | select(.ifname == $d) | .netdev')" "$1: $2: netdev"
	is "$(device "$1" "$2" '.ports[0].gids[] | "\(.index // 0) \(.type)"' | wc -l)" \
		"$(part "devinfo $1" | awk -v d="$2" '$1 == "hca_id:" { on = $2 == d } on && /GID\[/' |
			wc -l)" "$1: $2: as many GIDs"
}
compare_link() # WHEN LINK
{
	is "$(link "$1" "$2" .mac)" "$(ip_says "$1" "$2" .address)" "$1: $2: MAC"
	is "$(link "$1" "$2" .mtu)" "$(ip_says "$1" "$2" .mtu)" "$1: $2: MTU"
	is "$(link "$1" "$2" .index)" "$(ip_says "$1" "$2" .ifindex)" "$1: $2: index"
	is "$(link "$1" "$2" '.admin_up // false')" "$(ip_says "$1" "$2" '.flags | any(. == "UP")')" \
		"$1: $2: set up"
	is "$(link "$1" "$2" '.carrier // false')" "$(ip_says "$1" "$2" '.flags | any(. == "LOWER_UP")')" \
		"$1: $2: carrier"
	is "$(link "$1" "$2" '.oper_state // 0')" "$(number_of '{"UP":6,"DOWN":2,"UNKNOWN":0}' \
		"$(ip_says "$1" "$2" .operstate)")" "$1: $2: operstate"
	is "$(link "$1" "$2" '[.addresses[]? | "\(.ip)/\(.prefix_len)"] | sort | join(" ")')" \
		"$(ip_says "$1" "$2" '[.addr_info[] | "\(.local)/\(.prefixlen)"] | sort | join(" ")')" \
		"$1: $2: addresses"
}
for when in whole cut joined; do
	for name in rxe0 rxe1; do compare_device $when $name; done
	for name in lo eth0 eth1; do compare_link $when $name; done
done
# Not only alike, but what it must be.
is "$(device whole rxe1 '.ports[0] | "\(.state) \(.active_mtu) \(.rate_mbps)"')" "4 4096 2500" \
	"a port that is up"
is "$(device cut rxe1 '.ports[0] | "\(.state) \(.rate_mbps // "no rate")"')" "1 no rate" \
	"a port whose cable is pulled"
is "$(link cut eth1 '.carrier // false')" false "a link whose cable is pulled"
is "$(device whole rxe1 '.ports[0].gids[] | select(.gid | endswith("ffff:c0a8:640a")) |
	"\(.type) \(.netdev)"')" "RoCE v2 eth1" "the GID of the address"
like "$(device whole rxe1 '.ports[0].counters[].name')" '^sent_pkts$' "its counters"
is "$(device removed rxe0 .name)" '' "a device that was removed is gone"
is "$(device removed rxe1 .name)" rxe1 "and the other one is not"
is "$(link whole eth1 .driver)" virtio_net "what only sysfs knows of a link"
is "$(fabric whole | jq -r '"\(.management_interface) \(.management_address)"')" "eth0 192.168.1.21" \
	"the management interface"
is "$(fabric whole | jq -r '.routes[] | (if .prefix_len > 0 then "\(.network)/\(.prefix_len)" else "default" end) + " " + .interface' |
	sort)" "$(part "route whole" | jq -r '.[] | "\(.dst) \(.dev)"' | sort)" "routes"

# --- the event ---

like "$(part events)" 'link.down +eth1: link down \(carrier lost\)$' "the event in words"
like "$(part events)" 'link.up +eth1: link up$' "and its end"
like "$(part events)" 'rdma.down +rxe1: port 1 is not active any more' "the event of the RDMA port"
diag "the kernel told: $(part monitor | grep -oE -m 1 '^\[[^]]*\] [0-9]+: eth1: <NO-CARRIER')"
diag "the event: $(part events | grep -m 1 link.down)"
diag "$(part cost | grep -E '^(Pss|Private_Dirty):|^[0-9]' | tr '\n' ' ')"
like "$(part end)" 'agent: 0' "the agent ends well"
unlike "$(part log)" 'Sanitizer|runtime error' "and no sanitizer has anything to say"
done_testing
