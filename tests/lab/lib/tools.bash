# The host's tools: found, or installed when we may.

need_tools() {
	local pair missing=()
	for pair in mmdebstrap:mmdebstrap qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils mke2fs:e2fsprogs \
		ssh:openssh-client ssh-keygen:openssh-client flock:util-linux setsid:util-linux zstd:zstd; do
		PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
	done
	((${#missing[@]})) || return 0
	((EUID == 0)) || die "missing Debian packages: ${missing[*]} (as root: apt-get install --no-install-recommends ${missing[*]})"
	step "installing Debian packages on this machine: ${missing[*]}"
	local apt=(apt-get -q -o DPkg::Lock::Timeout=600)
	export DEBIAN_FRONTEND=noninteractive
	"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2 </dev/null && return 0
	"${apt[@]}" update >&2 </dev/null
	"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2 </dev/null || die "apt-get could not install ${missing[*]}"
}
