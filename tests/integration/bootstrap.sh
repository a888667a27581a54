#!/usr/bin/env bash
# Agents come to three nodes over a real sshd each: one with free sudo, one whose sudo wants a
# password, one as root. One of them fails in the middle and is repaired by the same command. Then
# there is no SSH any more, and everything works. The nodes are clean Debian trees without systemd,
# so the package's init script starts the agent.
. "$(dirname "$0")/../testbed/lib.sh"
. "$SB_SOURCE/tests/testbed/root.sh"

command -v ssh >/dev/null || skip_all "needs ssh"
root_check
run_expect 0 "the packages are built" packages_built
root_base
testbed_up 3 --image sim:1 --no-agent
PATH=$SB_BUILD/coordinator:$PATH
export SPARKBUS_HOME=$scratch/operator
run_expect 0 "an operator" sparkbus init --operator tester

# --- three machines ---

net_id=$(sed -n 's/.* id="\([^"]*\)"$/\1/p' "$tb/testbed.conf")
ssh-keygen -q -t ed25519 -N '' -f "$scratch/key"
make_machine() # NODE USER
{
	local tree=$scratch/$1 home=/root
	root_new "$1"
	in_root "$1" sh -c 'mkdir -p /run/sshd && ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'
	if [ "$2" != root ]; then
		in_root "$1" sh -c "useradd -m -s /bin/sh $2 && echo $2:secret | chpasswd"
		home=/home/$2
	fi
	mkdir -p "$tree$home/.ssh"
	cp "$scratch/key.pub" "$tree$home/.ssh/authorized_keys"
	in_root "$1" chown -R "$2:" "$home/.ssh"
	ln -s "$tb/$1/docker.sock" "$tree/run/docker.sock"
	# The engine is outside of the tree, and so is what it mounts.
	mkdir -p "$tree/etc/sparkbus"
	printf 'models:\n  hf_cache: %s\n' "$tb/$1/hf" >"$tree/etc/sparkbus/agent.yaml"
	# As an installed Debian has it: sudo looks its own machine up, and there is no name server.
	printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$1" >"$tree/etc/hosts"
	rm -f "$tree/etc/resolv.conf"
	echo "$TESTBED_NET.$((10 + ${1#spark})) $(cut -d' ' -f1,2 "$tree/etc/ssh/ssh_host_ed25519_key.pub")" \
		>>"$scratch/known"
	cat >>"$scratch/ssh_config" <<-CONFIG
		Host $1
			HostName $TESTBED_NET.$((10 + ${1#spark}))
			User $2
	CONFIG
}
start_sshd() # NODE
{
	nsenter --net="/run/netns/sb-$net_id-$1" -- unshare --uts -- bash -c "$(declare -f in_root)
		hostname $1; scratch=\$0 in_root $1 /usr/sbin/sshd -D -e" "$scratch" >"$scratch/$1.sshd" 2>&1 </dev/null &
}
echo 127.0.0.1 none >"$scratch/known"
make_machine spark1 dgx
make_machine spark2 dgx
make_machine spark3 root
cat >>"$scratch/ssh_config" <<-CONFIG
	Host *
		IdentityFile $scratch/key
		IdentitiesOnly yes
		UserKnownHostsFile $scratch/known
		GlobalKnownHostsFile /dev/null
CONFIG
echo 'dgx ALL=(ALL) NOPASSWD: ALL' >"$scratch/spark1/etc/sudoers.d/dgx"
echo 'dgx ALL=(ALL) ALL' >"$scratch/spark2/etc/sudoers.d/dgx"
echo secret >"$scratch/password"
for node in spark1 spark2 spark3; do
	start_sshd $node
done
reachable() { ssh -F "$scratch/ssh_config" "$1" true; }
for node in spark1 spark2 spark3; do
	wait_until 20 "$node takes SSH" reachable $node
done

bootstrap() { sparkbus bootstrap --ssh-config "$scratch/ssh_config" --packages "$packages" "$@"; }
with_password() { bootstrap --sudo-password-file "$scratch/password" "$@"; }
installed() { in_root "$1" dpkg-query -W -f '${db:Status-Status}' sparkbus-agent 2>/dev/null; }

# --- before anything ---

run_expect 0 "dry run" with_password --dry-run spark1 spark2 spark3
like "$out" 'spark2: debian 12, .*agent: none; root by: password' "it says what is there"
like "$out" 'spark1: would install .*sparkbus-agent_' "and what would be done"
is "$(installed spark1)$(installed spark2)$(installed spark3)$(sparkbus node list --json | jq length)" 0 \
	"and does none of it"
run_expect 1 "without sudo's password" bootstrap spark2
like "$out" 'spark2: failed: sudo wants a password' "it says what is missing"
run_expect 1 "without a package for the node" \
	sparkbus bootstrap --ssh-config "$scratch/ssh_config" --packages "$scratch" spark1
like "$out" 'failed: there is no sparkbus-agent for' "it says where to get one"

# --- one fails in the middle ---

echo nonsense >"$scratch/spark3/etc/dpkg/dpkg.cfg.d/broken"
began=$SECONDS
run_expect 1 "three hosts, of which one fails" with_password spark1 spark2 spark3
diag "$((SECONDS - began)) s"
like "$out" '^spark3: failed: install: ' "it is the third, in the installation"
like "$out" '^1 of 3 hosts failed\. Running the same again' "the report says how to go on"
for node in spark1 spark2; do
	like "$out" "^$node: answers over the bus as $node at $TESTBED_NET" "$node's bus works"
	like "$out" "^$node: done" "$node is done"
done
before=$(sha1sum "$scratch"/spark[12]/etc/sparkbus/identity/node.crt "$scratch"/spark[12]/run/sparkbusd.pid)
rm "$scratch/spark3/etc/dpkg/dpkg.cfg.d/broken"
run_expect 0 "the same again" with_password spark1 spark2 spark3
like "$out" '^spark3: done' "repairs the third"
like "$out" '^spark1: has a certificate that works' "and leaves the others as they are"
is "$(sha1sum "$scratch"/spark[12]/etc/sparkbus/identity/node.crt "$scratch"/spark[12]/run/sparkbusd.pid)" \
	"$before" "with their certificates and processes"
is "$(sparkbus cluster default --json | jq -c '.hosts')" '["spark1","spark2","spark3"]' "they are one cluster" ||
	diag "$(sparkbus cluster default --json)"
is "$(find "$scratch"/spark?/tmp -name 'sparkbus-bootstrap*')" '' "no file is left there"
is "$(find "$scratch/operator" -name '*.key' | wc -l)" 3 "no node's key came here"

# --- what must not pass ---

cp "$scratch/known" "$scratch/good"
sed -i "s|^\($TESTBED_NET.13 ssh-ed25519\) .*|\1 $(cut -d' ' -f2 "$scratch/key.pub")|" "$scratch/known"
run_expect 1 "a host whose key has changed" with_password spark1 spark3
like "$out" '^spark3: failed: no connection: its SSH host key is not the one that is known' "is refused"
like "$out" '^spark1: done' "the other is done"
cp "$scratch/good" "$scratch/known"
mkdir "$scratch/other"
run_expect 0 "another operator" env SPARKBUS_HOME="$scratch/other" sparkbus init --operator other
run_expect 1 "cannot take a node" env SPARKBUS_HOME="$scratch/other" sparkbus bootstrap \
	--ssh-config "$scratch/ssh_config" --packages "$packages" spark1
like "$out" 'this node belongs to another operator' "and is told so"
run_expect 0 "which still answers to us" sparkbus node show spark1

# --- without SSH ---

run_expect 0 "a node is taken out" with_password --remove spark3
like "$out" 'removing /etc/sparkbus/identity' "it says what goes"
is "$(installed spark3)" '' "the package is gone"
run_expect 1 "so is the identity" test -e "$scratch/spark3/etc/sparkbus"
is "$(sparkbus node list --json | jq -r '[.[].name] | join(" ")')" 'spark1 spark2' "it is not registered"
cat "$scratch"/spark?/run/sshd.pid | xargs kill
unreachable() { ! reachable spark1; }
wait_until 10 "SSH is gone" unreachable
flags=()
[ -e /dev/nvidiactl ] || flags+=(--executor gpus=)
(ulimit -l unlimited) 2>/dev/null || flags+=(--executor ulimit=)
[ -d /dev/infiniband ] || flags+=(--executor devices=)
sparkbus cluster update sparks "${flags[@]}" --topology none >/dev/null 2>&1
run_expect 0 "status" sparkbus status
like "$out" 'Total: 0 jobs on 2 nodes' "of both nodes"
run_expect 0 "a launch on both" sparkbus run "$SB_SOURCE/tests/integration/recipes/pair.yaml" --no-follow
run_expect 0 "its log" sparkbus logs pair --no-follow --tail 3
run_expect 0 "and its end" sparkbus stop pair
done_testing
