# `lab push` and `lab pull`: files and directories, in and out. The target is the copy's own name (or, when it ends in /,
# the directory that it goes into); it appears by rename, whole or not at all. What is pushed belongs to root.

# copy_target TARGET SOURCE: sets target
copy_target() {
	target=$1
	[[ $target != */ ]] || target+=$(basename "$2")
	[[ $target == /* ]] || die "the path in the lab must be absolute: $1"
}

lab_push() {
	local target name size quoted
	(($# == 2)) || die "lab push LOCAL REMOTE"
	[[ -e $1 ]] || die "push: no such file: $1"
	machine_alive || die "the lab is not up (start it with: $lab_home/lab up)"
	copy_target "$2" "$1"
	# A regular file that is there with the same size and time is not sent again.
	if [[ -f $1 && $(stat -Lc '%s %Y' "$1") == "$(quote "$target" && lab_ssh -n "stat -c '%s %Y' $quoted 2>/dev/null")" ]]; then
		return 0
	fi
	name=$(basename "$(realpath "$1")")
	quote "$(dirname "$target")" "$name" "$target"
	tar -c -C "$(dirname "$(realpath "$1")")" --sparse --owner=0 --group=0 -- "$name" |
		(lab_ssh "set -e; set -- $quoted; mkdir -p \"\$1\"
			new=\$(mktemp -d \"\$1/.push.XXXXXX\"); trap 'rm -rf \"\$new\"' EXIT
			tar -x --no-same-owner -C \"\$new\"; sync -f \"\$new\"
			[ ! -d \"\$3\" ] || mv -T \"\$3\" \"\$new/.old\"
			mv -T \"\$new/\$2\" \"\$3\"") || die "push of $1 to $2 failed"
}

lab_pull() {
	local source=$1 target=$2 new quoted
	(($# == 2)) || die "lab pull REMOTE LOCAL"
	[[ $source == /* ]] || die "the path in the lab must be absolute: $source"
	machine_alive || die "the lab is not up (start it with: $lab_home/lab up)"
	[[ $target != */ ]] || target+=$(basename "$source")
	mkdir -p "$(dirname "$target")"
	target=$(realpath -s "$target")
	new=$(mktemp -d "$(dirname "$target")/.pull.XXXXXX")
	quote "$(dirname "$source")" "$(basename "$source")"
	if ! (lab_ssh -n "set -- $quoted; tar -c --sparse -C \"\$1\" -- \"\$2\"") | tar -x --no-same-owner -C "$new"; then
		rm -rf "$new"
		die "pull of $source failed"
	fi
	[[ ! -d $target ]] || mv -T "$target" "$new/.old"
	mv -T "$new/$(basename "$source")" "$target"
	rm -rf "$new"
}
