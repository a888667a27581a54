# lib.sh - a virtual machine for a test: Debian's own kernel and an initramfs made of programs of
# this machine, in qemu without hardware help. Source it after tests/testbed/lib.sh. The kernel is
# unpacked, never installed, and kept in the build folder.
#
#   vm_kernel rdma_rxe virtio_net      # a kernel with these modules, or skips everything
#   vm_begin                           # an empty $vm_root
#   vm_module rdma_rxe                 # with what it needs, in the order of loading
#   vm_program /usr/bin/ibv_devinfo    # with its libraries
#   vm_start INIT [QEMU OPTIONS]       # boots; console in $vm_console, monitor by vm_monitor LINE
# shellcheck shell=bash
: "${scratch:?source tests/testbed/lib.sh first}"
vm_kernels=$SB_BUILD/vm
vm_root='' vm_console='' vm_pid='' vm_modules=''

vm_stop()
{
	[ -n "$vm_pid" ] || return 0
	exec 7>&- 2>/dev/null
	kill "$vm_pid" 2>/dev/null
	wait "$vm_pid" 2>/dev/null
	vm_pid=''
}
trap 'vm_stop; tap_exit' EXIT

# The package of the kernel for this machine, unpacked into $vm_kernels; prints why not.
vm_fetch_kernel()
{
	local package
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
		{ echo "no apt here to get Debian's kernel by"; return 1; }
	package=$(apt-cache depends --important linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1)
	[ -n "$package" ] || { echo "apt knows no linux-image-amd64"; return 1; }
	mkdir -p "$vm_kernels/new" || return 1
	(cd "$vm_kernels/new" && timeout 120 apt-get download "$package" >log 2>&1 &&
		dpkg-deb -x "$package"_*.deb . && rm -f ./*.deb) ||
		{ echo "apt-get download $package: $(tail -n 1 "$vm_kernels/new/log" 2>/dev/null)"; return 1; }
	rm -rf "$vm_kernels/linux" && mv "$vm_kernels/new" "$vm_kernels/linux"
}

vm_module_file() { find "$vm_modules" -name "${1//[-_]/[-_]}.ko" -print -quit; }

vm_kernel() # MODULE...
{
	local why
	[ "$(uname -m)" = x86_64 ] || skip_all "the virtual machine is x86_64, and this machine is not"
	command -v qemu-system-x86_64 >/dev/null || skip_all "needs qemu-system-x86_64"
	if [ ! -d "$vm_kernels/linux/lib/modules" ]; then
		why=$(vm_fetch_kernel) || skip_all "$why"
	fi
	vm_modules=$(find "$vm_kernels/linux/lib/modules" -mindepth 1 -maxdepth 1 | head -n 1)
	for why in "$@"; do
		[ -n "$(vm_module_file "$why")" ] || skip_all "Debian's kernel has no module $why"
	done
}

vm_begin()
{
	vm_root=$scratch/vm
	mkdir -p "$vm_root"/{bin,dev,etc,lib,modules,proc,run,sys,tmp}
	ln -s . "$vm_root/usr" # one place for what has two names
	cp "$(command -v busybox)" "$vm_root/bin/busybox"
	: >"$vm_root/modules/order"
}

vm_module() # MODULE...
{
	local name file need
	for name in "$@"; do
		file=$(vm_module_file "$name")
		# What is not there is part of the kernel itself.
		{ [ -n "$file" ] && ! grep -qxF "${file##*/}" "$vm_root/modules/order"; } || continue
		for need in $(tr '\0' '\n' <"$file" | sed -n 's/^depends=//p' | tr , ' '); do
			vm_module "$need"
		done
		cp "$file" "$vm_root/modules/"
		echo "${file##*/}" >>"$vm_root/modules/order"
	done
}

vm_file() # FILE...: at the same place
{
	local file
	for file in "$@"; do
		mkdir -p "$vm_root$(dirname "$file")"
		cp -L "$file" "$vm_root$file"
	done
}

vm_libraries() # FILE...: what these need
{
	local library
	for library in $(ldd "$@" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | sort -u); do
		[ -e "$vm_root$library" ] || vm_file "$library"
	done
}

vm_program() # FILE...: into /bin
{
	cp -L "$@" "$vm_root/bin/"
	vm_libraries "$@"
}

vm_monitor() { echo "$*" >&7; }

vm_start() # INIT [QEMU OPTIONS]
{
	local init=$1
	shift
	vm_console=$scratch/console
	install -m 755 "$init" "$vm_root/init"
	(cd "$vm_root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$scratch/initrd"
	mkfifo "$scratch/monitor"
	: >"$vm_console"
	qemu-system-x86_64 -machine accel=tcg -cpu max -m 512 -display none -no-reboot \
		-kernel "$(find "$vm_kernels/linux/boot" -name 'vmlinuz-*' | head -n 1)" \
		-initrd "$scratch/initrd" -append 'console=ttyS0 quiet panic=-1 mitigations=off' \
		-serial "file:$vm_console" -monitor stdio -nic none "$@" \
		<"$scratch/monitor" >"$scratch/qemu" 2>&1 &
	vm_pid=$!
	exec 7>"$scratch/monitor"
}

vm_runs() { kill -0 "$vm_pid" 2>/dev/null; }
vm_said() { grep -q "$1" "$vm_console" || ! vm_runs; }
# Wait for a line of the console; fails with its end when the machine stops before.
vm_await() # SECONDS NAME REGEX
{
	wait_until "$1" "$2" vm_said "$3" && grep -q "$3" "$vm_console" && return 0
	diag "$(tail -n 30 "$vm_console" "$scratch/qemu")"
	return 1
}
