# The immutable base: built once for each recipe by mmdebstrap and mke2fs.

# ensure_base KEY
ensure_base() {
	[[ -e $lab_cache/base/$1/disk.img ]] || locked base build_base "$1"
}

build_base() {
	local base=$lab_cache/base/$1 work
	[[ -e $base/disk.img ]] && return 0 # built while we waited for the lock
	((EUID == 0)) || die "building the lab's disk needs root (sudo -E $lab_home/lab disk)"
	mkdir -p "$lab_cache/base"
	rm -rf "$lab_cache"/base/*.building
	work=$base.building
	mkdir -m 755 "$work"
	step "building the lab's disk, once for this recipe (a few minutes)"
	ssh-keygen -q -t ed25519 -N '' -C holm-lab -f "$work/ssh_key"
	ssh-keygen -q -t ed25519 -N '' -C holm-lab -f "$work/host_key"
	printf 'holm-lab %s\n' "$(cut -d ' ' -f 1,2 "$work/host_key.pub")" >"$work/known_hosts"

	step "mmdebstrap: Debian bookworm with $(grep -vc '^#' "$lab_home/recipe/packages") packages and what they need"
	debootstrap "$work" >"$work/build.log" 2>&1 </dev/null || {
		tail -n 20 "$work/build.log" >&2
		die "mmdebstrap failed; its output is in $work/build.log"
	}
	step "packing it into a file system image"
	"$lab_home/recipe/pack" "$work/root.tar" "$work" >>"$work/build.log" 2>&1 </dev/null || {
		tail -n 20 "$work/build.log" >&2
		die "packing the disk failed; its output is in $work/build.log"
	}
	rm -f "$work/root.tar" "$work/host_key" "$work/host_key.pub"
	mv -T "$work" "$base"
	step "built: kernel $(<"$base/release"), $(du -sh "$base" | cut -f 1) on disk"
	remove_old_bases "$1"
}

debootstrap() {
	local work=$1 proxy options=()
	proxy=$(apt-config dump --format '%v%n' Acquire::http::Proxy 2>/dev/null || true)
	[[ -z $proxy ]] || options+=(--aptopt="Acquire::http::Proxy \"$proxy\"")
	LAB_RECIPE=$lab_home/recipe LAB_KEYS=$work TMPDIR=${TMPDIR:-/var/tmp} mmdebstrap --variant=apt \
		--include="$(grep -v '^#' "$lab_home/recipe/packages" | paste -sd ,)" \
		--aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Retries "3"' \
		--aptopt='Acquire::Languages "none"' "${options[@]}" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook="$lab_home/recipe/customize" \
		bookworm "$work/root.tar"
}

# Bases of other recipes go, except the one that the machine's disk is an overlay of.
remove_old_bases() {
	local dir used=
	[[ -e $lab_machine/base ]] && used=$(<"$lab_machine/base")
	for dir in "$lab_cache"/base/*/; do
		dir=$(basename "$dir")
		[[ $dir == "$1" || $dir == "$used" ]] || rm -rf "${lab_cache:?}/base/$dir"
	done
}
