# `lab push` and `lab pull`: files and directories, in and out. The target is the copy's own name (or, when it ends in /,
# the directory that it goes into); it appears by rename, whole or not at all. What is pushed belongs to root.

# The way is a directory that QEMU shows to the lab by 9p, a hundred times as fast as ssh; as one tar file, since 9p
# itself keeps neither owners nor special files when QEMU is not root.
lab_exchange=/run/holm-lab/exchange

# pack_for_lab FILE TAR-ARGUMENT...: FILE is in the exchange directory
pack_for_lab() {
	local file=$1
	shift
	tar -c --format=posix --sparse --owner=root:0 --group=root:0 -f "$file" "$@"
}

# unpacker FILE: a shell function `unpack DIRECTORY` for the lab's side
unpacker() {
	echo "unpack() { tar -x --warning=no-timestamp -f $lab_exchange/$(basename "$1") -C \"\$1\"; sync -f \"\$1\"; };"
}

# copy_target TARGET SOURCE: sets target
copy_target() {
	target=$1
	[[ $target != */ ]] || target+=$(basename "$2")
	[[ $target == /* ]] || die "the path in the lab must be absolute: $1"
}

lab_push() {
	local target name quoted packed
	(($# == 2)) || die "lab push LOCAL REMOTE"
	[[ -e $1 ]] || die "push: no such file: $1"
	machine_alive || die "the lab is not up (start it with: $lab_home/lab up)"
	ensure_master
	copy_target "$2" "$1"
	# A regular file that is there with the same size and time is not sent again.
	if [[ -f $1 && $(stat -Lc '%s %.9Y' "$1") == "$(quote "$target" && lab_ssh -n "stat -c '%s %.9Y' $quoted 2>/dev/null")" ]]; then
		return 0
	fi
	name=$(basename "$(realpath "$1")")
	packed=$(mktemp "$lab_machine/exchange/XXXXXX")
	pack_for_lab "$packed" -C "$(dirname "$(realpath "$1")")" -- "$name" || die "could not read $1"
	quote "$(dirname "$target")" "$name" "$target"
	(lab_ssh -n "$(unpacker "$packed")
		set -e; set -- $quoted; mkdir -p \"\$1\"
		new=\$(mktemp -d \"\$1/.push.XXXXXX\"); trap 'rm -rf \"\$new\"' EXIT
		unpack \"\$new\"
		[ ! -d \"\$3\" ] || mv -T \"\$3\" \"\$new/.old\"
		mv -T \"\$new/\$2\" \"\$3\"") || die "push of $1 to $2 failed"
	rm -f "$packed"
}

lab_pull() {
	local source target new quoted packed
	(($# == 2)) || die "lab pull REMOTE LOCAL"
	source=$1 target=$2
	[[ $source == /* ]] || die "the path in the lab must be absolute: $source"
	machine_alive || die "the lab is not up (start it with: $lab_home/lab up)"
	ensure_master
	[[ $target != */ ]] || target+=$(basename "$source")
	mkdir -p "$(dirname "$target")"
	target=$(realpath -s "$target")
	packed=$(mktemp "$lab_machine/exchange/XXXXXX")
	new=$(mktemp -d "$(dirname "$target")/.pull.XXXXXX")
	# shellcheck disable=SC2064 # expanded now
	trap "rm -rf '$packed' '$new'" EXIT
	quote "$(dirname "$source")" "$(basename "$source")" "$lab_exchange/$(basename "$packed")"
	(lab_ssh -n "set -- $quoted; tar -c --format=posix --sparse -f \"\$3\" -C \"\$1\" -- \"\$2\"") || die "pull of $source failed"
	tar -x --no-same-owner -f "$packed" -C "$new"
	[[ ! -d $target ]] || mv -T "$target" "$new/.old"
	mv -T "$new/$(basename "$source")" "$target"
}
