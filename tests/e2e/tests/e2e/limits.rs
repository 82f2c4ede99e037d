//! What a container gets of the machine: the container model's M31.

use std::fs;

use holm_e2e::{Holm, TestImage, until};

#[test]
fn m31_limits_are_those_of_the_containers_cgroup() {
    let holm = Holm::with(TestImage::Busybox);
    let limits = [
        "--cpus=0.5",
        "-m=64m",
        "--memory-swap=96m",
        "--memory-reservation=32m",
        "--pids-limit=20",
        "--shm-size=8m",
    ];
    let script = "cd /sys/fs/cgroup; cat cpu.max memory.max memory.swap.max memory.low pids.max; df -k /dev/shm | tail -n 1";
    let shown = holm.run(limits.iter().copied().chain(["busybox", "sh", "-c", script])).ok();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[..5], ["50000 100000", "67108864", "33554432", "33554432", "20"]);
    assert_eq!(lines[5].split_whitespace().nth(1), Some("8192"), "{shown}");
}

#[test]
fn m31_processor_time_is_given_by_period_and_quota_too() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--cpu-period=50000", "--cpu-quota=75000"], "sleep 1000");
    let shown = || holm.holm(["exec", &name, "sh", "-c", "cat /sys/fs/cgroup/cpu.max; nproc"]).outcome().ok();
    assert_eq!(shown(), "75000 50000\n2");
    holm.holm(["update", "--cpu-quota", "25000", &name]).outcome().ok();
    assert_eq!(shown(), "25000 50000\n2");
    holm.holm(["update", "--cpu-quota", "-1", &name]).outcome().ok();
    assert_eq!(shown(), "max 50000\n2");
    holm.holm(["update", "--cpu-period", "1000", "--cpu-quota", "9000", &name])
        .outcome()
        .fails(1, "--vm-cpus");
    holm.run(["--cpus=1", "--cpu-quota=5000", "busybox", "true"]).fails(125, "conflicting options");
}

#[test]
fn a_vm_of_32_processors_has_memory_above_the_devices_too() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "cat /sys/devices/system/cpu/online; grep MemTotal /proc/meminfo";
    let options = ["--cold", "--network=none", "--vm-cpus=32", "--vm-memory=5g"];
    let shown = holm.run(options.iter().chain(&["busybox", "sh", "-c", script])).ok();
    let (online, memory) = shown.split_once('\n').unwrap();
    let total_kib: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(online == "0-31" && total_kib > 4 << 20, "{shown}");
}

#[test]
fn m31_a_fork_bomb_is_stopped_by_its_pids_limit() {
    let holm = Holm::with(TestImage::Busybox);
    let bomb = "f() { f | f & }; f; sleep 3; echo over";
    let outcome = holm.run(["--pids-limit", "30", "busybox", "sh", "-c", bomb]);
    assert!(outcome.err().contains("can't fork"), "{outcome:?}");
}

#[test]
fn m31_the_vm_runs_on_the_cpus_that_were_chosen() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--cpuset-cpus", "1"], "exec sleep 1000");
    let pid = holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t1\n"), "{status}");
    assert_eq!(holm.run(["--cpuset-cpus", "0,1", "busybox", "nproc"]).ok(), "2");
    holm.run(["--cpuset-cpus", "0,900", "busybox", "true"]).fails(125, "requested CPUs are not available");
}

#[test]
fn m31_limits_that_contradict_each_other_are_refused() {
    let holm = Holm::with(TestImage::Busybox);
    let refused = |limits: &[&str], why| {
        holm.run(limits.iter().copied().chain(["busybox", "true"])).fails(125, why);
    };
    refused(&["--memory-swap=64m"], "always set the memory limit");
    refused(&["-m=64m", "--memory-swap=32m"], "should be larger than memory limit");
    refused(&["-m=64m", "--memory-reservation=65m"], "less than memory reservation");
}

#[test]
fn m31_update_changes_the_limits_of_a_running_container_and_of_its_next_start() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["--vm-memory=256m", "--cpus=2"], "exec sleep 1000");
    let update = |flags: &[&str]| holm.holm(["update"]).args(flags).arg(&name).outcome();
    let shown = || {
        let script =
            "cd /sys/fs/cgroup; cat cpu.max memory.max memory.swap.max memory.low cpu.weight pids.max";
        let shown = holm.holm(["exec", &name, "sh", "-c", script]).outcome().ok();
        shown.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    update(&[
        "-m=64m",
        "--memory-swap=96m",
        "--memory-reservation=32m",
        "--cpus=0.5",
        "-c=2048",
        "--pids-limit=20",
    ])
    .ok();
    assert_eq!(shown(), ["50000 100000", "67108864", "33554432", "33554432", "174", "20"]);
    update(&["-m=128m"]).fails(1, "update the memoryswap at the same time");
    update(&["-m=128m", "--memory-swap=-1", "--cpus=1.5", "--pids-limit=-1", "--cpuset-cpus=1"]).ok();
    let after = ["150000 100000", "134217728", "max", "33554432", "174", "max"];
    assert_eq!(shown(), after);
    let inspect = |fields: &str| holm.holm(["inspect", "-f", fields, &name]).outcome().ok();
    let status = fs::read_to_string(format!("/proc/{}/status", inspect("{{.State.Pid}}"))).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t1\n"), "{status}");
    assert_eq!(inspect("{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}"), "134217728 1500000000");
    holm.holm(["restart", "-t", "0", &name]).outcome().ok();
    assert_eq!(shown(), after);
}

#[test]
fn m31_a_running_container_is_not_given_more_than_its_vm_has() {
    let holm = Holm::with(TestImage::Busybox);
    let name = holm.background(&["-m=64m"], "exec sleep 1000");
    let inspect = || {
        let fields = "{{.HostConfig.Memory}} {{.Vm.MemoryMiB}} {{.Vm.Vcpus}}";
        holm.holm(["inspect", "-f", fields, &name]).outcome().ok()
    };
    let update = |flags: &[&str]| holm.holm(["update"]).args(flags).arg(&name).outcome();
    update(&["-m=1g"]).fails(1, "needs a VM of 1280 MiB and the running one has 128 MiB");
    update(&["--cpus=2"]).fails(1, "need a VM of 2 and the running one has 1");
    assert_eq!(inspect(), "67108864 128 1");
    holm.holm(["kill", &name]).outcome().ok();
    holm.holm(["wait", &name]).outcome().ok();
    update(&["-m=128m", "--cpus=2"]).ok();
    holm.holm(["start", &name]).outcome().ok();
    assert_eq!(inspect(), "134217728 256 2");
    // Lowered below what it uses, it is killed as if it had grown beyond it.
    let hog = holm.background(
        &["--vm-memory=256m"],
        "dd if=/dev/zero of=/dev/shm/x bs=1M count=40; echo full; exec sleep 1000",
    );
    until("the memory is used", || holm.holm(["logs", &hog]).outcome().ok().contains("full"));
    holm.holm(["update", "-m=16m", &hog]).outcome().ok();
    assert_eq!(holm.holm(["wait", &hog]).outcome().ok(), "137");
    assert_eq!(holm.holm(["inspect", "-f", "{{.State.OOMKilled}}", &hog]).outcome().ok(), "true");
}

/// Resident memory of a process in MiB.
fn resident_mib(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn m32_memory_that_a_guest_frees_goes_back_to_the_host() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "trap 'rm /dev/shm/x' USR1; dd if=/dev/zero of=/dev/shm/x bs=1M count=160; echo full; \
                  while :; do sleep 1; done";
    let name = holm.background(&["--shm-size=200m"], script);
    let pid = holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok();
    until("the memory is used", || holm.holm(["logs", &name]).outcome().ok().contains("full"));
    let full = resident_mib(&pid);
    assert!(full > 160, "{full} MiB");
    holm.holm(["kill", "-s", "USR1", &name]).outcome().ok();
    until("the memory is back", || resident_mib(&pid) + 140 < full);
    // What went can come again.
    let again = "dd if=/dev/urandom of=/dev/shm/y bs=1M count=100 2>/dev/null; md5sum < /dev/shm/y; md5sum < /dev/shm/y";
    let sums = holm.holm(["exec", &name, "sh", "-c", again]).outcome().ok();
    let sums: Vec<&str> = sums.lines().collect();
    assert!(sums.len() == 2 && sums[0] == sums[1], "{sums:?}");
}

#[test]
fn m31_disks_are_as_fast_as_their_rates_and_no_faster() {
    let holm = Holm::with(TestImage::Busybox);
    // Nothing but a rate makes this take long: 4 MiB are an instant without.
    let seconds = |rate: &str, dd: &str| -> f64 {
        let script = format!(
            "dd if=/dev/zero of=/x bs=4k count=1024 conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches; \
             read a _ < /proc/uptime; {dd} 2>/dev/null; read b _ < /proc/uptime; echo $a $b"
        );
        let shown = holm.run(["--privileged", rate, "busybox", "sh", "-c", &script]).ok();
        let (a, b) = shown.split_once(' ').unwrap();
        b.parse::<f64>().unwrap() - a.parse::<f64>().unwrap()
    };
    let read = "dd if=/x of=/dev/null bs=64k";
    let write = "dd if=/dev/zero of=/y bs=64k count=64 conv=fsync";
    // A bucket holds a tenth of a second's worth, and the clock is right to a hundredth.
    assert!(seconds("--device-read-bps=/:1mb", read) > 3.8);
    assert!(seconds("--device-write-bps=/:1mb", write) > 3.8);
    // At least one request for each file.
    let each = "for i in $(seq 32); do dd if=/dev/zero of=/y$i bs=64k count=1 conv=fsync; done";
    assert!(seconds("--device-write-iops=/:20", each) > 1.4);
    let refused = holm.run(["--device-read-bps=/srv:1mb", "busybox", "true"]);
    refused.fails(125, "no disk of the container is mounted on /srv");
    let name = holm.name();
    holm.holm(["create", "--name", &name, "--device-write-iops=/:20", "busybox"]).outcome().ok();
    let shown =
        holm.holm(["inspect", "-f", "{{json .HostConfig.BlkioDeviceWriteIOps}}", &name]).outcome().ok();
    assert_eq!(shown, r#"[{"Path":"/","Rate":20}]"#);
}

#[test]
fn m31_the_rate_of_a_disk_changes_while_the_container_runs() {
    let holm = Holm::with(TestImage::Busybox);
    let write = "dd if=/dev/zero of=/x bs=64k count=16 conv=fsync 2>/dev/null && echo written";
    let name = holm.background(&["--device-write-bps=/:1kb"], &format!("{write}; exec sleep 1000"));
    let update = |rate: &str| holm.holm(["update", "--device-write-bps", rate, &name]).outcome();
    // A quarter of an hour, unless somebody changes it.
    assert!(!holm.holm(["logs", &name]).outcome().ok().contains("written"));
    update("/:0").ok();
    until("it is written", || holm.holm(["logs", &name]).outcome().ok().contains("written"));
    update("/:1kb").ok();
    let exec = ["exec", &name, "timeout", "3", "sh", "-c", write];
    assert!(!holm.holm(exec).outcome().out().contains("written"), "limited again");
    update("/srv:1kb").fails(1, "no disk of the container is mounted on /srv");
    let shown =
        holm.holm(["inspect", "-f", "{{json .HostConfig.BlkioDeviceWriteBps}}", &name]).outcome().ok();
    assert_eq!(shown, r#"[{"Path":"/","Rate":1024}]"#);
}

#[test]
fn m31_what_waits_for_a_rate_is_written_when_the_container_stops() {
    let holm = Holm::with(TestImage::Busybox);
    // An hour's worth of data, in the guest's memory.
    let script = "dd if=/dev/urandom of=/x bs=1M count=16 2>/dev/null; md5sum < /x; exec sleep 1000";
    let name = holm.background(&["--device-write-bps=/:4kb"], script);
    let logs = || holm.holm(["logs", &name]).outcome().ok();
    until("it is written to memory", || logs().contains('-'));
    holm.holm(["stop", "-t", "0", &name]).outcome().ok();
    let copied = holm.holm(["cp", &format!("{name}:/x"), "-"]).outcome();
    assert!(copied.stdout.len() > 16 << 20, "{} bytes, {}", copied.stdout.len(), copied.err());
}
