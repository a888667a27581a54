# lib.sh - what the scripts in deploy/ share. Source it; it runs nothing by itself.

sb_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=$PATH:/usr/sbin:/sbin # dockerd and ip, for users whose PATH lacks them

sb_say() { printf '%s\n' "$*"; }
sb_fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
sb_have() { command -v "$1" >/dev/null 2>&1; }
sb_now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# Run as root: directly, or by sudo when that can work.
sb_as_root()
{
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif sb_have sudo; then
		sudo -- "$@"
	else
		sb_fail "needs root (or sudo) for: $*"
	fi
}

# Packages of the sections that this machine lacks, one a line.
sb_missing_packages() # SECTION...
{
	local wanted name sections unless rest command have arch native
	native=$(dpkg --print-architecture)
	while read -r name sections unless rest; do
		[[ -n $name && $name != \#* ]] || continue
		for wanted in "$@"; do
			[[ ,$sections, == *",$wanted,"* ]] || continue
			# A name without an architecture means this machine's, whatever else is there.
			arch=$native
			[[ $name != *:* ]] || arch=${name#*:}
			have=$(dpkg-query -W -f '${Architecture} ${Status}\n' "$name" 2>/dev/null || true)
			! grep -qE "^($arch|all) install ok installed\$" <<<"$have" || break
			have=false
			if [ "$unless" != - ]; then
				have=true
				for command in ${unless//,/ }; do
					sb_have "$command" || have=false
				done
			fi
			$have || printf '%s\n' "$name"
			break
		done
	done <"$sb_root/deploy/packages.txt"
}

# Services must not start just because a test needs their program: Debian would put an sshd on
# port 22 and a registry on port 5000. A policy of the machine's own stays as it is.
sb_apt_install() # PACKAGE...
{
	local policy=/usr/sbin/policy-rc.d rc=0
	if [ -e $policy ]; then
		policy=
	else
		printf '#!/bin/sh\nexit 101\n' | sb_as_root tee $policy >/dev/null
		sb_as_root chmod 755 $policy
	fi
	sb_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends "$@" </dev/null || rc=$?
	[ -z "$policy" ] || sb_as_root rm -f "$policy"
	return $rc
}

# Install what is missing of the sections; says what it does; nothing missing = nothing done.
sb_install_packages() # SECTION...
{
	local missing log
	if ! sb_have apt-get || ! sb_have dpkg-query; then
		sb_say "packages: no apt here; deploy/packages.txt says what is needed ($*)"
		return 0
	fi
	mapfile -t missing < <(sb_missing_packages "$@")
	if [ ${#missing[@]} -eq 0 ]; then
		sb_say "packages: all there ($*)"
		return 0
	fi
	sb_say "packages: installing ${missing[*]}"
	log=$(mktemp)
	# Another architecture's packages are seen only after this machine was told of it.
	local name
	for name in "${missing[@]}"; do
		[[ $name != *:* ]] || sb_as_root dpkg --add-architecture "${name#*:}"
	done
	# A broken third-party source must not matter as long as the packages can be had.
	sb_as_root apt-get update -q </dev/null >"$log" 2>&1 || true
	if ! sb_apt_install "${missing[@]}" >>"$log" 2>&1; then
		tail -n 15 "$log" >&2
		rm -f "$log"
		sb_fail "apt could not install the packages (no network?); install them and run this again:
  apt-get install ${missing[*]}"
	fi
	rm -f "$log"
}

# The project's own files: what git tracks, or everything in an unpacked tarball.
sb_files() # PATTERN... as for git ls-files
{
	if git -C "$sb_root" -c safe.directory='*' rev-parse --git-dir >/dev/null 2>&1; then
		git -C "$sb_root" -c safe.directory='*' ls-files -- "$@"
	else
		local pattern args=()
		for pattern in "$@"; do
			args+=(-o -path "./${pattern}")
		done
		(cd "$sb_root" && find . -path './build*' -prune -o -type f \( "${args[@]:1}" \) -print |
			sed 's|^\./||')
	fi
}
