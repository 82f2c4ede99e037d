# Where the lab keeps what it builds and runs. Nothing of it is in the repository.
#
#   lab/base/KEY/   immutable: disk.img vmlinux initramfs release ssh_key[.pub] known_hosts
#   lab/machine/    the one running lab: base (its KEY), disk.qcow2, pid, port, console.log, ssh[.pid] (the
#                   shared connection),
#                   stage (what was synced), tests/ (test binaries that were pushed), exchange/ (files on their way)
#   lab/*.lock      base.lock: building; machine.lock: starting and stopping; stage.lock, tests.lock: sending those

lab_cache=${HOLM_CACHE:-$HOME/.cache/holm}/lab
lab_machine=$lab_cache/machine
lab_stage=$lab_repo/target/stage

# The recipe's key: its files' names, bytes and executable bits.
recipe_key() {
	(
		cd "$lab_home/recipe"
		find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum
		find . -type f -perm -u+x -printf '%P\n' | LC_ALL=C sort
	) | sha256sum | cut -c 1-16
}

# locked NAME CMD...: runs CMD holding lab/NAME.lock.
locked() {
	local name=$1 status=0 lock_fd
	shift
	mkdir -p "$lab_cache"
	exec {lock_fd}>"$lab_cache/$name.lock"
	if ! flock -n "$lock_fd"; then
		[[ $name == base || $name == machine ]] && say "waiting for another lab command ($name.lock)"
		flock "$lock_fd"
	fi
	"$@" || status=$?
	exec {lock_fd}>&-
	return "$status"
}

# For what outlives us, in a subshell: keep no lock, no pipe of the caller.
close_inherited() {
	local fd
	for fd in "/proc/$BASHPID/fd"/*; do
		fd=${fd##*/}
		((fd <= 2)) || exec {fd}>&-
	done
}
