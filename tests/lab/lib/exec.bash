# `lab exec`: one command in the lab, with its own stdin, stdout, stderr and exit code.
#
# What is sent is one line for the lab's sh: set up, the command, and its exit code. The line ends in a comment with an
# id, by which `signal_remote` finds it in the process table: killing an ssh session does not kill what runs in it.

# quote WORD...: each in single quotes, which every shell takes to the byte.
quote() {
	local word
	quoted=
	for word; do
		quoted+=" '${word//\'/\'\\\'\'}'"
	done
}

lab_exec() {
	local tty='' sync=1
	while (($#)); do
		case $1 in
		-t) tty=1 ;;
		--no-sync) sync='' ;;
		--)
			shift
			break
			;;
		-*) die "exec: unknown option $1 (lab exec [-t] -- CMD...)" ;;
		*) break ;;
		esac
		shift
	done
	(($#)) || die "exec: no command (lab exec [-t] -- CMD...)"
	machine_alive || die "the lab is not up (start it with: $lab_home/lab up)"
	# A background process group that reads the terminal is stopped for ever.
	if [[ -t 0 ]]; then
		local stat
		read -ra stat <"/proc/$$/stat"
		((stat[4] == stat[7])) || exec </dev/null
	fi
	ensure_master
	[[ -z $sync ]] || sync_stage
	cd "$lab_machine" || die "the lab is not up"
	lab_ssh_options
	run_remote "$tty" "$@"
}

run_remote() {
	local tty=$1 id=$$.$EPOCHREALTIME line status=0
	shift
	quote "$@"
	# The shell's own stderr is closed, since it would add "Killed" to the command's.
	line="export LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; cd /root;"
	line+=" exec 9>&2 2>/dev/null; (exec 2>&9 9>&-; exec$quoted); r=\$?;"
	line+=" [ \$r != 255 ] || : >/run/holm-lab/$id; exit \$r"
	if [[ $tty ]]; then
		ssh "${ssh_options[@]}" -tt 127.0.0.1 "$line" || status=$?
	else
		run_with_signals "trap : HUP INT QUIT TERM; $line # holm-lab-id=$id" || status=$?
	fi
	if ((status == 255)); then # the command's own, or ssh's?
		ssh "${ssh_options[@]}" -n 127.0.0.1 "rm /run/holm-lab/$id" 2>/dev/null ||
			die "the connection to the lab broke while this ran: $*"
	fi
	exit "$status"
}

# Signals that come to us go to the remote command; we stay until it ends, so that its exit code is told. ssh runs in a
# session of its own, since a signal to our process group must not cut the connection.
run_with_signals() {
	local line=$1 pid status caught='' last=''
	exec {stdin_fd}<&0
	setsid ssh "${ssh_options[@]}" 127.0.0.1 "$line" <&"$stdin_fd" {stdin_fd}<&- &
	pid=$!
	exec {stdin_fd}<&- </dev/null
	local signal
	for signal in HUP INT QUIT TERM; do
		# shellcheck disable=SC2064 # expanded now
		trap "caught=$signal" "$signal"
	done
	while :; do
		status=0
		wait "$pid" || status=$?
		[[ $caught ]] || break
		signal_remote "$caught" "$line"
		last=$caught caught=
	done
	# What had to be killed has no exit code of its own.
	[[ -z $last || $status != 255 ]] || status=$((128 + $(kill -l "$last")))
	return "$status"
}

signal_remote() {
	local signal=$1 id=${2##*holm-lab-id=} script
	# The remote line's process leads a session; its children get the signal, and a TERM or HUP that is ignored for
	# five seconds becomes a KILL.
	script="p=\$(grep -lz 'holm-lab-id=$id\$' /proc/[0-9]*/cmdline 2>/dev/null | cut -d / -f 3 | grep -vx \$\$ | head -n 1);"
	script+=" [ \"\$p\" ] || exit 0; kill -$signal -\$p;"
	case $signal in
	HUP | TERM)
		script+=" (for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.5; kill -0 -\$p || exit; done; kill -KILL -\$p)"
		script+=" >/dev/null 2>&1 </dev/null &"
		;;
	esac
	setsid ssh "${ssh_options[@]}" -n 127.0.0.1 "$script" >/dev/null 2>&1 || true
}
