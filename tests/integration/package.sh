#!/usr/bin/env bash
# The packages in a clean Debian 12: install, upgrade, downgrade refused, remove, purge, with a job
# running throughout that was launched by what is installed. There is no systemd in the tree, so
# the agent is started and ended here as the unit would; sparkbusd.service is tested by unit.sh.
. "$(dirname "$0")/../testbed/lib.sh"
. "$SB_SOURCE/tests/testbed/root.sh"

root_check
# The second build needs the processor while the tree waits for the network.
run_expect 0 "the packages are built, and lintian is content" packages_built
[ -n "${SB_PACKAGES:-}" ] || "$SB_SOURCE/deploy/build-deb" --out "$scratch/again" --no-lint \
	>"$scratch/again.log" 2>&1 &
again=$!
root_base
root_new spark
wait $again
is $? 0 "they are built again"
for file in "$scratch"/again/*.deb; do
	[ ! -e "$file" ] || run_expect 0 "with the same bytes: ${file##*/}" cmp "$file" "$packages/${file##*/}"
done
arch=$(dpkg --print-architecture)
version=$(dpkg-deb -f "$packages"/sparkbus_*.deb Version)
agent_deb=$scratch/sparkbus-agent_${version}_$arch.deb
cli_deb=$scratch/sparkbus_${version}_$arch.deb
cp "$packages/${agent_deb##*/}" "$packages/${cli_deb##*/}" "$scratch/"

# The same package under a later version.
later=$scratch/sparkbus-agent_later.deb
dpkg-deb -R "$agent_deb" "$scratch/later"
sed -i "s/^Version: .*/Version: $version+later/" "$scratch/later/DEBIAN/control"
dpkg-deb --root-owner-group -b "$scratch/later" "$later" >/dev/null

installed() { in_root spark dpkg-query -W -f '${Version} ${db:Status-Status}' sparkbus-agent; }
settings=$scratch/spark/etc/sparkbus/agent.yaml

# --- tarball ---

tar -C "$scratch" -xf "$packages"/sparkbus-*.tar.xz
cli=$(echo "$scratch"/sparkbus-"$version"-*/bin/sparkbus)
in_root spark apt-get -qq remove -y libnng1 libyaml-0-2 >/dev/null 2>&1
run_expect 0 "the unpacked command needs no library of the machine" in_root spark "$cli" list
like "$out" '@official/' "and finds its recipes beside it"
rm -rf "$scratch/spark"
root_new spark

# --- install ---

run_expect 0 "install" in_root spark dpkg -i "$agent_deb" "$cli_deb"
like "$out" 'no certificate yet' "and it says what is next"
is "$(in_root spark sparkbusd --version)" "sparkbusd $version" "the agent is there"
run_expect 0 "so is the command" in_root spark sparkbus list
like "$out" '@official/' "with its recipes"
run_expect 0 "what is installed is what was packed" in_root spark dpkg -V sparkbus-agent sparkbus
is "$(find "$scratch/spark/etc/systemd" -name 'sparkbusd*')" '' "the agent is not enabled without a certificate"

# --- a job ---

testbed_up 1 --image sim:1
node=$tb/spark1
node_agent spark1 stop >/dev/null
mkdir -m 700 "$scratch/spark/etc/sparkbus/identity"
cp "$node"/identity/* "$scratch/spark/etc/sparkbus/identity/"
grep -vE '^(identity_dir|state_dir):' "$node/agent.yaml" >"$settings"

agent=''
start_agent()
{
	nsenter --net="/run/netns/sb-$(sed -n 's/.* id="\([^"]*\)"$/\1/p' "$tb/testbed.conf")-spark1" -- \
		bash -c "$(declare -f in_root)"'; scratch=$0 in_root spark sparkbusd' "$scratch" \
		>>"$scratch/agent.log" 2>&1 </dev/null &
	agent=$!
	wait_until 30 "$1" sparkbus node show spark1
}
stop_agent()
{
	kill "$agent" 2>/dev/null
	wait "$agent" 2>/dev/null
	agent=''
}
trap 'status=$?; stop_agent; (exit $status); tap_exit' EXIT

serving() { [ "$(curl -sf --max-time 5 "http://$TESTBED_NET.11:8000/v1/models" | jq -r '.data[0].id')" = "$model" ]; }
# The containers by id and start: neither a new one nor a restarted one passes for the old.
containers() { node_docker spark1 ps -q --no-trunc --filter label=sparkbus.job |
	xargs -r "$testbed" docker "$tb" spark1 inspect -f '{{.Id}} {{.State.StartedAt}}'; }
unharmed() # NAME
{
	is "$(containers)" "$before" "$1: the job's container runs on"
	run_expect 0 "$1: and serves" serving
}
start_agent "the installed agent answers"
run_expect 0 "a job is launched" sparkbus run "$SB_SOURCE/tests/integration/recipes/solo.yaml" --no-follow
model=$(sparkbus status --json | jq -r '[.. | .model? // empty][0]')
before=$(containers)
like "$before" '^[0-9a-f]{64} ' "it has a container"
unharmed "before"

# --- upgrade ---

run_expect 0 "upgrade" in_root spark dpkg -i "$later"
is "$(installed)" "$version+later installed" "the later version is there"
unlike "$(<"$settings")" '^#listen' "the settings are the user's still"
unharmed "upgrade"
stop_agent
unharmed "agent stopped"
start_agent "the later agent answers"
run_expect 0 "it has the job" sparkbus status
like "$out" 'ready' "which is ready"

# --- downgrade ---

run_expect 1 "an older package is refused" in_root spark dpkg -i "$agent_deb"
like "$err" "going back to $version is refused" "with the reason"
is "$(installed)" "$version+later installed" "and nothing has changed"
unharmed "downgrade"
run_expect 0 "who insists may" in_root spark env SPARKBUS_ALLOW_DOWNGRADE=1 dpkg -i "$agent_deb"
in_root spark dpkg -i "$later" >/dev/null 2>&1

# --- remove ---

run_expect 0 "remove" in_root spark dpkg -r sparkbus-agent
stop_agent
unharmed "remove"
run_expect 0 "the identity stays" test -e "$scratch/spark/etc/sparkbus/identity/node.key"
run_expect 0 "the jobs stay" test -d "$scratch/spark/var/lib/sparkbus/jobs"
run_expect 1 "an older package is refused then, too" in_root spark dpkg -i "$agent_deb"
run_expect 0 "install again" in_root spark dpkg -i "$later"
start_agent "the agent answers"
run_expect 0 "it finds its job again" sparkbus status
like "$out" 'ready' "which is ready"

# --- purge ---

stop_agent
mkdir -p "$scratch/spark/var/lib/sparkbus/huggingface/hub"
run_expect 0 "purge" in_root spark dpkg -P sparkbus-agent
said=$out
for what in /etc/sparkbus/identity /var/lib/sparkbus/jobs /var/lib/sparkbus/logs \
	/var/lib/sparkbus/audit.log; do
	like "$said" "removing $what \(.*[0-9]" "it says that it removes $what"
	run_expect 1 "and $what is gone" test -e "$scratch/spark$what"
done
is "$(find "$scratch/spark/var/lib/sparkbus" -mindepth 1 -printf '%P ')" 'huggingface huggingface/hub ' \
	"of its state only models are left"
run_expect 1 "the settings are gone" test -e "$settings"
unharmed "purge"
run_expect 0 "the command goes, too" in_root spark dpkg -P sparkbus
is "$(find "$scratch/spark" -xdev -path '*/proc' -prune -o -path "$scratch/spark/tmp" -prune -o \
	-path '*/dpkg/*' -prune -o -path '*/root/.cache' -prune -o -iname '*sparkbus*' -print)" "$scratch/spark/var/lib/sparkbus" \
	"nothing else of the packages is left"
done_testing
