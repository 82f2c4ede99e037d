# ssh to the lab: one master connection, which every command shares.

connect_limit_s=20

# Options for a lab whose files are in the current directory (relative, since a socket's path is at most 107 bytes).
lab_ssh_options() {
	local port base
	read -r port <port
	read -r base <base
	ssh_options=(-F /dev/null -i "../base/$base/ssh_key" -p "$port" -l root
		-o "UserKnownHostsFile=../base/$base/known_hosts" -o GlobalKnownHostsFile=/dev/null -o HostKeyAlias=holm-lab
		-o IdentitiesOnly=yes -o BatchMode=yes -o ControlPath=ssh -o LogLevel=ERROR -o ConnectTimeout=10
		-o ServerAliveInterval=10 -o ServerAliveCountMax=3 -o EscapeChar=none -o IPQoS=none)
}

# lab_ssh [OPTION...] COMMAND-LINE: runs it; through the master when there is one.
lab_ssh() {
	local ssh_options
	cd "$lab_machine" 2>/dev/null && [[ -r port && -r base ]] || return 255
	lab_ssh_options
	ssh "${ssh_options[@]}" 127.0.0.1 "$@"
}

# Is our side of the connection there? (Cheap: every command asks.)
master_alive() {
	local pid comm
	[[ -S $lab_machine/ssh && -r $lab_machine/ssh.pid ]] || return 1
	read -r pid <"$lab_machine/ssh.pid" || return 1
	read -r comm 2>/dev/null <"/proc/$pid/comm" && [[ $comm == ssh ]]
}

# Waits for a start that is under way; starts the master again when it was lost.
ensure_master() {
	master_alive || locked machine start_lost_master
}

# A lab that cannot be reached is stopped, so that whoever comes next is told at once and does not wait as well.
start_lost_master() {
	master_alive || lab_ssh_master && return
	machine_condemn
	die "the lab did not answer for $connect_limit_s s and has been stopped; console: $lab_machine/console.log"
}

# Does the lab answer?
lab_answers() (
	cd "$lab_machine" || return
	lab_ssh_options
	timeout "$connect_limit_s" ssh "${ssh_options[@]}" -n 127.0.0.1 true
) 2>/dev/null

# Starts the master; it stays in the background until the machine goes. sshd says that it is up a little before it
# listens.
lab_ssh_master() (
	local limit=$((SECONDS + connect_limit_s))
	cd "$lab_machine" || return
	lab_ssh_options
	rm -f ssh ssh.pid
	while ((SECONDS < limit)); do
		(
			close_inherited
			exec ssh "${ssh_options[@]}" -o ControlMaster=yes -o ControlPersist=yes -N -f 127.0.0.1
		) </dev/null >/dev/null 2>ssh.log && break
		machine_alive || return
		sleep 0.2
	done
	ssh "${ssh_options[@]}" -O check 127.0.0.1 2>&1 | sed -n 's/.*pid=\([0-9]*\).*/\1/p' >ssh.pid
	[[ -s ssh.pid ]]
)
