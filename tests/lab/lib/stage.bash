# Keeps the lab's /usr/local equal to <repo>/target/stage, the tree that `make install` makes: before each command, what
# changed is sent and renamed into place, so that running binaries are not disturbed and nobody sees half a file.

sync_stage() {
	[[ -d $lab_stage ]] || return 0
	stage_list
	[[ $stage_now == "$(cat "$lab_machine/stage" 2>/dev/null)" ]] || locked stage push_stage
}

# After a boot everything is sent again, since a killed machine's page cache is lost; what was there is remembered, so
# that what left the tree meanwhile is removed.
distrust_stage() {
	[[ ! -e $lab_machine/stage ]] || sed -i 's/\t.*/\t?/' "$lab_machine/stage"
}

# One line for each file: path, size, time, mode, link target.
stage_list() {
	stage_now=$(printf '%s\n' "# $lab_stage" && cd "$lab_stage" &&
		find . ! -type d -printf '%P\t%s %T@ %m %l\n' 2>/dev/null | LC_ALL=C sort)
}

push_stage() {
	local before now gone try
	before=$(cat "$lab_machine/stage" 2>/dev/null || true)
	for try in 1 2 3 4 5; do # an installation may be going on
		stage_list
		now=$stage_now
		[[ $now != "$before" ]] || return 0
		gone=$(LC_ALL=C comm -13 <(cut -f 1 <<<"$now") <(cut -f 1 <<<"$before") | grep -v '^#' || true)
		if (pack_for_lab "$lab_machine/exchange/stage" -C "$lab_stage" --no-recursion --verbatim-files-from -T - \
			< <(LC_ALL=C comm -13 <(echo "$before") <(echo "$now") | grep -v '^#' | cut -f 1)); then
			break
		fi
		((try < 5)) || die "could not read $lab_stage"
		sleep 1
	done
	(lab_ssh "$(unpacker "$lab_machine/exchange/stage")"'
		set -e
		new=$(mktemp -d /var/lib/holm-lab.XXXXXX); trap "rm -rf $new" EXIT
		unpack "$new"; cd "$new"
		find . -type d | while read -r d; do [ -d "/$d" ] || mkdir -p "/$d"; done
		find . ! -type d | while read -r f; do mv -fT "$f" "/$f"; done
		cd /; xargs -r -d "\n" rm -f' <<<"$gone") || die "could not sync $lab_stage into the lab"
	rm -f "$lab_machine/exchange/stage"
	printf '%s\n' "$now" >"$lab_machine/stage.new"
	mv "$lab_machine/stage.new" "$lab_machine/stage"
}
