# The virtual machine: started, stopped, asked whether it lives.

lab_memory_mib=${HOLM_LAB_MEMORY_MIB:-8192}
lab_cpus=${HOLM_LAB_CPUS:-2}
boot_limit_s=60
# QEMU before 8.1 reads code to translate without a lock: what a kernel patches meanwhile (static branches, at any time) may
# stay in its cache as it was, for ever, and all CPUs then loop in the breakpoint of a patch that is long done.
host_packages=(mmdebstrap 'qemu-system-x86>=1:8.1' qemu-utils e2fsprogs openssh-client util-linux zstd)

# One CPU more than asked for, and nothing may run on the first: QEMU (7.2 to 10.0 at least) lets a floating point restore on
# any CPU rewrite the first CPU's virtualization flags (cpu_clear_ignne), without a lock. A VMEXIT on the first CPU then
# keeps "nested paging" or "interrupts" set, and the lab's kernel dies of a stack overflow. The isolated CPU idles.
qemu_cpus=$((lab_cpus + 1))

# Is the QEMU that we recorded alive? Pids are reused, so its command line must be ours too.
machine_alive() {
	local pid
	[[ -r $lab_machine/pid ]] && read -r pid <"$lab_machine/pid" || return 1
	grep -qsF "$lab_machine/disk.qcow2" "/proc/$pid/cmdline"
}

ensure_packages() {
	"$lab_repo/tools/debian-packages" "${host_packages[@]}" || die "the lab needs these packages"
}

machine_up() {
	local key
	if machine_alive; then
		if { master_alive || lab_ssh_master; } && lab_answers; then
			machine_set_clock
			return 0
		fi
		machine_stop # alive but deaf: a boot that was cut short, or a hung kernel
	fi
	ensure_packages
	key=$(recipe_key)
	ensure_base "$key"
	mkdir -p "$lab_machine"
	machine_disk "$key"
	# A boot hangs now and then (README.md).
	(machine_boot "$lab_cache/base/$key") && return
	step "the lab did not come up; booting it once more"
	machine_condemn
	machine_boot "$lab_cache/base/$key"
}

# The machine's disk is an overlay of the base: kept from boot to boot, renewed when the recipe changed.
machine_disk() {
	local key=$1
	if [[ -e $lab_machine/disk.qcow2 && $(cat "$lab_machine/base" 2>/dev/null) == "$key" ]]; then
		return 0
	fi
	[[ -e $lab_machine/disk.qcow2 ]] && step "the recipe changed: starting from a clean disk"
	machine_clean
	qemu-img create -q -f qcow2 -F raw -b "$lab_cache/base/$key/disk.img" \
		-o cluster_size=64k,lazy_refcounts=on "$lab_machine/disk.qcow2"
	echo "$key" >"$lab_machine/base"
}

# Forgets the disk and what was on it.
machine_clean() {
	rm -rf "$lab_machine"/{disk.qcow2,base,stage,tests}
}

machine_boot() {
	local base=$1 begun_ns try
	begun_ns=$(date +%s%N)
	rm -rf "$lab_machine"/{pid,port,ssh,ssh.pid,console.log,tests,exchange}
	mkdir "$lab_machine/exchange"
	distrust_stage
	for try in 1 2 3 4 5; do
		machine_qemu "$base" $((20000 + RANDOM % 12000)) && break
		((try < 5)) || die "QEMU does not start: $(tail -n 3 "$lab_machine/qemu.log")"
	done
	step "booting ($lab_cpus emulated CPUs with AMD-V; console: $lab_machine/console.log)"
	machine_wait ssh
	lab_ssh_master || die "ssh to the lab does not come up; console: $lab_machine/console.log"
	machine_set_clock
	machine_wait ready
	step "up after $((($(date +%s%N) - begun_ns) / 1000000)) ms of boot"
}

machine_qemu() {
	local base=$1 port=$2 cmdline
	(: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return 1 # somebody listens there
	cmdline="root=/dev/vda rw console=ttyS0 quiet loglevel=3 mitigations=off apparmor=0 selinux=0 audit=0 cgroup_no_v1=all"
	cmdline+=" net.ifnames=0 random.trust_cpu=on panic=-1 tsc=reliable no_timer_check cryptomgr.notests"
	cmdline+=" systemd.show_status=0 8250.nr_uarts=1 isolcpus=0"
	# A kernel that went wrong must end (panic=-1 and -no-reboot), so that what waits for the lab ends too.
	cmdline+=" oops=panic softlockup_panic=1"
	echo "$port" >"$lab_machine/port"
	(
		close_inherited
		exec qemu-system-x86_64 -name holm-lab -nodefaults -no-user-config -display none -no-reboot \
			-machine q35,usb=off -accel tcg,thread=multi,tb-size=1024 -cpu EPYC,+svm,+npt \
			-smp "$qemu_cpus" -m "$lab_memory_mib" \
			-kernel "$base/vmlinux" -initrd "$base/initramfs" -append "$cmdline" \
			-drive "if=none,id=root,file=$lab_machine/disk.qcow2,format=qcow2,cache=unsafe,aio=threads,discard=unmap" \
			-device virtio-blk-pci,drive=root,num-queues=2 \
			-netdev "user,id=net,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:$port-10.0.2.15:22" \
			-device virtio-net-pci,netdev=net,romfile= \
			-device virtio-rng-pci \
			-virtfs "local,path=$lab_machine/exchange,mount_tag=exchange,security_model=none" \
			-monitor "unix:$lab_machine/monitor,server=on,wait=off" -serial "file:$lab_machine/console.log" -rtc base=utc \
			-pidfile "$lab_machine/pid" -daemonize
	) 2>"$lab_machine/qemu.log" </dev/null >/dev/null
}

# The emulated clock chip knows whole seconds only, and the emulated time stamp counter drifts a little.
machine_set_clock() {
	# The time is sent when the other side waits for it: starting a command takes longer than the error that we accept.
	local pid to from
	coproc lab_ssh 'echo now; read t; date -s "@$t"'
	pid=$COPROC_PID from=${COPROC[0]} to=${COPROC[1]}
	if read -r <&"$from"; then
		echo "$EPOCHREALTIME" >&"$to"
	fi
	wait "$pid" || die "could not set the lab's clock"
}

# machine_wait MARK: until the lab's console says so
machine_wait() {
	local limit=$((SECONDS + boot_limit_s))
	until grep -qs "holm-lab: $1" "$lab_machine/console.log"; do
		machine_alive || die "the lab's kernel stopped: $(tail -n 5 "$lab_machine/console.log")"
		((SECONDS < limit)) || die "not ready after $boot_limit_s s; console: $lab_machine/console.log"
		sleep 0.1
	done
}

machine_stop() {
	local pid limit
	machine_alive || {
		machine_kill
		return 0
	}
	read -r pid <"$lab_machine/pid"
	# The disk stays for the next start: write back and stop writing; nothing else is worth a shutdown's time.
	if master_alive; then
		timeout 30 "$0" exec --no-sync -- sh -c 'sync; echo u >/proc/sysrq-trigger; sleep 0.2' </dev/null >/dev/null 2>&1 || true
	fi
	kill "$pid" 2>/dev/null || true
	limit=$((SECONDS + 10))
	while machine_alive && ((SECONDS < limit)); do
		sleep 0.05
	done
	machine_kill
}

# What the CPUs of a lab that hangs are doing, for whoever looks into it: hang.log (when this machine has python3).
machine_witness() {
	machine_alive || return 0
	timeout 10 python3 - "$lab_machine/monitor" >"$lab_machine/hang.log" 2>/dev/null <<-'END' || true
		import socket, sys
		monitor = socket.socket(socket.AF_UNIX)
		monitor.settimeout(2)
		monitor.connect(sys.argv[1])
		for _ in range(2):
		    monitor.sendall(b"info registers -a\ninfo lapic 0\ninfo lapic 1\ninfo lapic 2\ninfo irq\n")
		    try:
		        while data := monitor.recv(65536):
		            print(data.decode(errors="replace"), end="")
		    except TimeoutError:
		        pass
	END
}

# Gives up a lab that failed.
machine_condemn() {
	machine_witness
	machine_kill
}

machine_kill() {
	local pid
	while machine_alive && read -r pid <"$lab_machine/pid"; do
		kill -9 "$pid" 2>/dev/null || true
		sleep 0.05
	done
	rm -f "$lab_machine"/{pid,port,ssh,ssh.pid}
}
