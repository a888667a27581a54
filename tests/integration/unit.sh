#!/usr/bin/env bash
# The agent's unit under a real systemd: a virtual machine with Debian's kernel and the installed
# package. It is started, watched by the watchdog, kept in its sandbox, reloaded, upgraded, stopped
# and removed. Without hardware help that takes a minute or two of processor time: SB_VM=1 asks for it.
. "$(dirname "$0")/../testbed/lib.sh"
. "$SB_SOURCE/tests/testbed/root.sh"
. "$SB_SOURCE/tests/vm/lib.sh"

[ -n "${SB_VM:-}" ] || skip_all "a virtual machine with systemd takes long; SB_VM=1 asks for it"
root_check
vm_kernel
run_expect 0 "the packages are built" packages_built
root_base
root_new vm
vm_root=$scratch/vm
cp "$packages"/sparkbus*_*.deb "$scratch/"
run_expect 0 "install" in_root vm sh -c "dpkg -i $scratch/sparkbus-agent_*.deb $scratch/sparkbus_*.deb"
run_expect 0 "an identity" in_root vm sh -c 'export SPARKBUS_HOME=/root/operator
	sparkbus init --operator vm && csr=$(sparkbusd enroll --name vm | tail -n 1) &&
	sparkbus node add vm 127.0.0.1 --csr "$csr" --out /root/bundle && sparkbusd enroll --install /root/bundle'
# The same package under a later version.
dpkg-deb -R "$scratch"/sparkbus-agent_*.deb "$scratch/later"
sed -i 's/^Version: .*/&+later/' "$scratch/later/DEBIAN/control"
dpkg-deb --root-owner-group -b "$scratch/later" "$vm_root/root/later.deb" >/dev/null

# What happens inside; each line is a word for the test and what was read.
cat >"$vm_root/root/inside" <<'INSIDE'
#!/bin/bash
exec >/dev/ttyS0 2>&1
export SPARKBUS_HOME=/root/operator
say() { echo "vm: $*"; }
property() { systemctl show -p "$1" --value sparkbusd; }
until_ok() { local n=0; until "$@" >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 300 ] || return 1; sleep 0.1; done; }
in_sandbox() { nsenter -t "$(property MainPID)" -m -- "$@" 2>/dev/null && echo yes || echo no; }
other_pid() { [ "$(property MainPID)" != "$1" ] && [ "$(property MainPID)" != 0 ] && [ "$(property ActiveState)" = active ]; }
ip link set lo up
ip addr add 10.9.9.9/32 dev lo

if ! systemctl start sparkbusd; then
	journalctl -q --no-pager -n 30 -u sparkbusd | sed 's/^/log: /'
	say "the end"
	systemctl poweroff --force --force
fi
say "started $? $(property ActiveState) $(property NotifyAccess) $(property OOMScoreAdjust) $(cat "/proc/$(property MainPID)/oom_score_adj")"
until_ok sparkbus node show vm
say "bus $?"
for path in /usr/x /etc/x /boot/x /var/lib/x /var/lib/sparkbus/x /etc/sparkbus/identity/x /home/x /proc/sys/vm/drop_caches /proc/sys/vm/swappiness; do
	say "writes $path $(in_sandbox sh -c ": >>$path")"
done
say "reads /dev/mem $(in_sandbox test -r /dev/mem -a ! -c /dev/mem) seccomp $(sed -n 's/^Seccomp:\t//p' /proc/$(property MainPID)/status) nonewprivs $(sed -n 's/^NoNewPrivs:\t//p' /proc/$(property MainPID)/status)"
say "crl $(sparkbus node push-crl | tail -n 1)"
systemctl reload sparkbusd
until_ok sparkbus node show vm
say "reload $? $(property ActiveState)"

# A watchdog of 3 s: it bears with an agent that is well, for three times as long, and no longer
# with one that stands still.
mkdir -p /run/systemd/system/sparkbusd.service.d
printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/sparkbusd.service.d/test.conf
say "watchdog $(property WatchdogUSec)"
systemctl daemon-reload
systemctl restart sparkbusd
pid=$(property MainPID)
sleep 9
say "well $([ "$(property MainPID)" = "$pid" ] && echo same) restarts $(property NRestarts)"
kill -STOP "$pid"
until_ok other_pid "$pid"
say "stopped $? restarts $(property NRestarts)"
until_ok sparkbus node show vm
say "again $? $(property ActiveState)"
kill -KILL "$(property MainPID)"
pid=$(property MainPID)
until_ok other_pid "$pid"
say "killed $? restarts $(property NRestarts)"

pid=$(property MainPID)
dpkg -i /root/later.deb >/dev/null
say "upgrade $? $(property ActiveState) $([ "$(property MainPID)" != "$pid" ] && echo "another process")"
until_ok sparkbus node show vm
say "later $?"
systemctl stop sparkbusd
say "stop $? $(property ActiveState) $(property Result)"
systemctl start sparkbusd
dpkg -r sparkbus-agent >/dev/null
say "remove $? $(systemctl is-active sparkbusd) $(pgrep -c sparkbusd)"
journalctl -q -o cat -u sparkbusd --no-pager | sed 's/^/log: /'
say "the end"
sync
systemctl poweroff --force --force
INSIDE
chmod 755 "$vm_root/root/inside"
cat >"$vm_root/etc/systemd/system/inside.service" <<'UNIT'
[Unit]
DefaultDependencies=no
After=basic.target
[Service]
ExecStart=/root/inside
UNIT
printf '#!/bin/sh\nexec /lib/systemd/systemd\n' >"$scratch/init"


mkdir -p "$vm_root/etc/systemd/system/multi-user.target.wants"
ln -s ../inside.service "$vm_root/etc/systemd/system/multi-user.target.wants/"
ln -sf /lib/systemd/system/multi-user.target "$vm_root/etc/systemd/system/default.target"
rm -f "$vm_root/usr/sbin/policy-rc.d"
ln -sf /dev/null "$vm_root/etc/systemd/system/ssh.service"

vm_start "$scratch/init" -m 1536
vm_await 400 "the machine runs to its end" '^vm: the end'
vm_stop
said=$(tr -d '\r' <"$vm_console" | grep -aE '^(vm|log): ')
like "$said" '^vm: started 0 active main -900 -900' "systemctl start waits for READY; the OOM killer spares it"
like "$said" '^vm: bus 0' "the bus works out of the sandbox"
for path in /usr/x /etc/x /boot/x /var/lib/x /proc/sys/vm/swappiness; do
	like "$said" "^vm: writes $path no" "it cannot write $path"
done
for path in /var/lib/sparkbus/x /etc/sparkbus/identity/x /home/x /proc/sys/vm/drop_caches; do
	like "$said" "^vm: writes $path yes" "it can write $path"
done
like "$said" 'seccomp 2 nonewprivs 1' "its system calls are filtered"
like "$said" '^vm: crl .*done' "revocation lists get through"
like "$said" '^vm: reload 0 active' "reload"
like "$said" '^vm: watchdog 30s' "the unit has a watchdog"
like "$said" '^vm: well same restarts 0' "which an agent that is well satisfies"
like "$said" '^vm: stopped 0 restarts 1' "and which restarts one that stands still"
like "$said" '^vm: again 0 active' "so that it answers again"
like "$said" '^vm: killed 0 restarts 2' "a killed one is restarted"
like "$said" '^vm: upgrade 0 active another process' "an upgrade restarts it"
like "$said" '^vm: later 0' "and it answers"
like "$said" '^vm: stop 0 inactive success' "systemctl stop ends it well"
like "$said" '^vm: remove 0 inactive 0' "removal stops it"
[ $tap_failed = 0 ] || diag "$(tail -n 80 "$vm_console")"
done_testing
