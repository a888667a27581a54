# root.sh - file trees of a clean Debian 12, to install packages in. Source it after lib.sh.
#
#   root_check                      # or skips everything, with the reason
#   packages_built                  # our packages and tarball of this machine, in $packages
#   root_base                       # makes the tree that all are copies of, or skips everything
#   root_new NAME                   # a fresh copy: $scratch/NAME
#   in_root NAME CMD...             # in it, with /proc, /dev, and $scratch at its own path
#
# The base is made once for a build folder, and has what our packages depend on, and sshd. What
# in_root mounts is in a mount namespace of its own, so there is nothing to take down.
# shellcheck disable=SC2154 # scratch: of lib.sh
roots=$SB_BUILD/roots
root_tree=

# Only what the tests need of a node, so that a tree is made in seconds.
root_make() # PACKAGES
{
	rm -rf "$roots/new"
	mkdir -p "$roots/cache"
	debootstrap --variant=minbase --cache-dir="$roots/cache" --include="$1" \
		bookworm "$roots/new" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$roots/log" 2>&1 || return
	# No service starts in a tree, and nothing of the machine's is in it.
	printf '#!/bin/sh\nexit 101\n' >"$roots/new/usr/sbin/policy-rc.d"
	chmod 755 "$roots/new/usr/sbin/policy-rc.d"
	rm -rf "$roots/new"/var/cache/apt/archives/*.deb "$roots/new"/etc/ssh/ssh_host_* \
		"$roots/new"/var/lib/apt/lists/* "$roots/new"/usr/share/{doc,locale,man}/*
	mv "$roots/new" "$root_tree"
}

root_check()
{
	local tool
	[ "$(id -u)" = 0 ] || skip_all "needs root (chroot)"
	for tool in debootstrap dh dpkg-buildpackage; do
		command -v $tool >/dev/null || skip_all "needs $tool"
	done
	unshare -m true 2>/dev/null || skip_all "mount namespaces are refused"
	mkdir -p "$roots"
}

root_base()
{
	local key wanted
	wanted=$(for key in "$packages"/sparkbus*_*.deb; do
		dpkg-deb -f "$key" Depends | sed 's/([^)]*)//g; s/|[^,]*//g; s/ //g' | tr , '\n'
	done | grep -v '^sparkbus' | sort -u | paste -sd,),openssh-server,sudo,iproute2,systemd,systemd-sysv
	key=$(sha1sum <<<"$wanted")
	root_tree=$roots/${key:0:12}
	exec 6>"$roots/lock"
	flock 6
	[ -d "$root_tree" ] || root_make "$wanted" || skip_all "no Debian tree: $(tail -n 1 "$roots/log")"
	exec 6>&-
}

root_new() { cp -a --reflink=auto "$root_tree" "$scratch/$1"; }

# Built once for what the tree holds now; two tests need them. SB_PACKAGES=DIR: these instead.
packages_built()
{
	local key
	packages=${SB_PACKAGES:-}
	[ -z "$packages" ] || return 0
	key=$(. "$SB_SOURCE/deploy/lib.sh" && cd "$SB_SOURCE" && sb_files '*' | xargs -d '\n' sha1sum 2>/dev/null | sha1sum)
	packages=$SB_BUILD/packages/${key%% *}
	exec 6>"$roots/packages-lock"
	flock 6
	if [ ! -d "$packages" ]; then
		rm -rf "$SB_BUILD/packages"
		"$SB_SOURCE/deploy/build-deb" --out "$packages.new" --tarball && mv "$packages.new" "$packages"
	fi
	local status=$?
	exec 6>&-
	return $status
}

in_root() # NAME CMD...
{
	local tree=$scratch/$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m --propagation private -- sh -c 'set -e
		mount -t proc proc "$0/proc"
		mount --rbind /dev "$0/dev"
		mkdir -p "$0$1"
		mount --rbind "$1" "$0$1"
		tree=$0
		shift
		exec env -u TMPDIR PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
			DEBIAN_FRONTEND=noninteractive chroot "$tree" "$@"' "$tree" "$scratch" "$@"
}
