# Keeps the lab's /usr/local equal to <repo>/target/stage, the tree that `make install` makes: before each command, what
# changed is sent and renamed into place, so that running binaries are not disturbed and nobody sees half a file.

sync_stage() {
	[[ -d $lab_stage ]] || return 0
	stage_list
	[[ $stage_now == "$(cat "$lab_machine/stage" 2>/dev/null)" ]] || locked stage push_stage
}

# One line for each file: path, size, time, mode, link target.
stage_list() {
	stage_now=$(printf '%s\n' "# $lab_stage" && cd "$lab_stage" &&
		find . ! -type d -printf '%P\t%s %T@ %m %l\n' 2>/dev/null | LC_ALL=C sort)
}

push_stage() {
	local before now gone
	before=$(cat "$lab_machine/stage" 2>/dev/null || true)
	stage_list
	now=$stage_now
	[[ $now != "$before" ]] || return 0
	gone=$(LC_ALL=C comm -13 <(cut -f 1 <<<"$now") <(cut -f 1 <<<"$before") | grep -v '^#' || true)
	# The new files, then the names of those that went.
	LC_ALL=C comm -13 <(echo "$before") <(echo "$now") | grep -v '^#' | cut -f 1 |
		tar -c -C "$lab_stage" --owner=0 --group=0 --no-recursion --verbatim-files-from -T - |
		(lab_ssh 'set -e
			new=$(mktemp -d /var/lib/holm-lab.XXXXXX); trap "rm -rf $new" EXIT
			tar -x -C "$new"; cd "$new"; sync -f .
			find . -type d | while read -r d; do [ -d "/$d" ] || mkdir -p "/$d"; done
			find . ! -type d | while read -r f; do mv -fT "$f" "/$f"; done') >&2 ||
		die "could not sync $lab_stage into the lab"
	if [[ $gone ]]; then
		(lab_ssh 'cd / && xargs -d "\n" rm -f' <<<"$gone") || die "could not remove what left $lab_stage from the lab"
	fi
	printf '%s\n' "$now" >"$lab_machine/stage.new"
	mv "$lab_machine/stage.new" "$lab_machine/stage"
}
