//! podman with `holm-runtime` as its runtime: what its users see of a container's life.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use holm_e2e::{Outcome, Podman, Pty, until};

#[test]
fn podman_gets_output_and_exit_codes() {
    let podman = Podman::over_holm();
    let ran = podman.run(&[], "echo out; echo err >&2; uname -r; exit 42");
    assert_eq!((ran.code, ran.err().as_str()), (42, "err"));
    let out = ran.out();
    assert!(out.starts_with("out\n") && out.ends_with("-holm"), "a kernel of its own: {out}");
    assert_eq!(podman.run(&[], "true").code, 0);
    assert_eq!(podman.run(&[], "kill -TERM $$").code, 0, "PID 1 without a handler");
    assert_eq!(podman.run(&[], "sh -c 'kill -KILL $$'; exit $?").code, 137);
}

#[test]
fn podman_tells_what_cannot_be_executed() {
    let podman = Podman::over_holm();
    let run = |program: &str| podman.podman(["run", "--rm", "--network", "none", "busybox", program]);
    let missing = run("nosuch");
    assert_eq!(missing.code, 127, "{}", missing.err());
    assert!(missing.err().contains("executable file not found in $PATH"), "{}", missing.err());
    assert_eq!(run("/etc").code, 126);
    assert_eq!(run("/etc/passwd").code, 126);
}

#[test]
fn podman_feeds_standard_input() {
    let podman = Podman::over_holm();
    let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut command = podman.command(["run", "--rm", "-i", "--network", "none", "busybox", "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let expected = sent.clone();
    let feeding = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let outcome = Outcome::from(child.wait_with_output().unwrap());
    feeding.join().unwrap();
    assert!(outcome.code == 0 && outcome.stdout == expected);
}

#[test]
fn podman_gives_a_terminal_of_the_right_size() {
    let podman = Podman::over_holm();
    let words = ["run", "--rm", "-it", "--network", "none", "busybox", "sh"];
    let mut pty = Pty::start(podman.command(words), 100, 30);
    pty.expect("# ");
    pty.type_("tty; stty size\r");
    pty.expect("/dev/pts/0");
    pty.expect("30 100");
    pty.resize(120, 40);
    pty.type_("sleep 1; stty size\r");
    pty.expect("40 120");
    // ^C is the guest's terminal's.
    pty.type_("trap 'echo inter''rupted' INT; echo go''ing; sleep 100\r");
    pty.expect("going");
    std::thread::sleep(Duration::from_secs(2));
    pty.type_("\x03");
    pty.expect("interrupted");
    pty.type_("exit 7\r");
    assert_eq!(pty.wait(), 7);
}

#[test]
fn podmans_settings_reach_the_guest() {
    let podman = Podman::over_holm();
    let options = ["-e", "A=b c", "-w", "/tmp", "-u", "1000:1001", "--hostname", "box", "--read-only"];
    let script = "echo $A; pwd; id -u; id -g; hostname; touch /x 2>/dev/null || echo read-only; touch /dev/shm/x && echo shm";
    let seen = podman.run(&options, script).ok();
    assert_eq!(seen, "b c\n/tmp\n1000\n1001\nbox\nread-only\nshm");
    let caps = "grep -E 'Cap(Eff|Bnd)|Seccomp:|NoNewPrivs' /proc/self/status";
    let (holm, runc) = (podman.run(&[], caps).ok(), Podman::over("runc").run(&[], caps).ok());
    assert_eq!(holm, runc, "capabilities and seccomp are those under runc");
}

#[test]
fn podman_stops_and_kills() {
    let podman = Podman::over_holm();
    let name = podman.background(&[], "trap 'exit 3' TERM; while :; do sleep 0.1; done");
    podman.podman(["stop", "--time", "300", &name]).ok();
    assert_eq!(podman.inspect(&name, ".State.ExitCode"), "3", "it heard SIGTERM");
    podman.podman(["start", &name]).ok();
    podman.podman(["kill", &name]).ok();
    until("it is dead", || podman.inspect(&name, ".State.Status") == "exited");
    assert_eq!(podman.inspect(&name, ".State.ExitCode"), "137");
    podman.podman(["rm", &name]).ok();
}

#[test]
fn podman_pauses() {
    let podman = Podman::over_holm();
    let name = podman.background(&[], "while :; do echo tick; sleep 0.05; done");
    podman.podman(["pause", &name]).ok();
    assert_eq!(podman.inspect(&name, ".State.Status"), "paused");
    let lines = || podman.podman(["logs", &name]).out().lines().count();
    let before = lines();
    assert_eq!(lines(), before);
    podman.podman(["unpause", &name]).ok();
    until("it goes on", || lines() > before);
}

#[test]
fn podman_executes_beside_the_workload() {
    let podman = Podman::over_holm();
    let name = podman.background(&[], "sleep 1000");
    let exec = |options: &[&str], words: &[&str]| {
        podman.podman([&["exec"], options, &[name.as_str()], words].concat())
    };
    let ran = exec(
        &["-e", "A=b", "-w", "/tmp", "-u", "1000"],
        &["sh", "-c", "echo $A $PWD; id -u; echo e >&2; exit 5"],
    );
    assert_eq!((ran.code, ran.out().as_str(), ran.err().as_str()), (5, "b /tmp\n1000", "e"));
    assert_eq!(exec(&[], &["cat", "/proc/1/cmdline"]).out().replace('\0', " ").trim(), "sleep 1000");
    assert_eq!(exec(&[], &["nosuch"]).code, 127);
    assert_eq!(exec(&[], &["sh", "-c", "kill -TERM $$"]).code, 143);
    let mut command = podman.command(["exec", "-i", &name, "cat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"typed");
    let mut pty = Pty::start(podman.command(["exec", "-it", &name, "sh"]), 90, 25);
    pty.expect("# ");
    pty.type_("stty size; exit 6\r");
    pty.expect("25 90");
    assert_eq!(pty.wait(), 6);
    exec(&["-d"], &["sh", "-c", "echo detached >/tmp/seen"]).ok();
    until("it ran", || exec(&[], &["cat", "/tmp/seen"]).out() == "detached");
}

#[test]
fn podman_finds_a_container_stopped_whose_processes_were_killed() {
    let podman = Podman::over_holm();
    for victim in ["holm-runtime", "holm-vmm"] {
        let name = podman.background(&[], "sleep 1000");
        let members = fs::read_to_string(podman.cgroup(&name).join("cgroup.procs")).unwrap();
        let is_victim = |pid: &&str| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == victim)
        };
        let pid = members.lines().find(is_victim).expect("it is in the container's cgroup");
        Command::new("kill").args(["-9", pid]).status().unwrap();
        until("it is stopped", || podman.inspect(&name, ".State.Status") == "exited");
        assert_eq!(podman.inspect(&name, ".State.ExitCode"), "137", "{victim}");
        let id = podman.inspect(&name, ".Id");
        podman.podman(["rm", &name]).ok();
        let listed = Outcome::from(Command::new("holm-runtime").args(["list", "-q"]).output().unwrap()).ok();
        assert!(!listed.contains(&id), "{listed}");
    }
}

#[test]
fn podman_limits_the_vm_and_reads_what_it_uses() {
    let podman = Podman::over_holm();
    let name = podman.background(&["--memory", "128m", "--cpus", "0.5"], "sleep 1000");
    let cgroup = podman.cgroup(&name);
    let read = |file: &str| fs::read_to_string(cgroup.join(file)).unwrap().trim().to_owned();
    assert_eq!(read("cpu.max"), "50000 100000");
    assert!(read("memory.max").parse::<u64>().unwrap() >= 192 << 20);
    let inside = podman.podman(["exec", &name, "cat", "/sys/fs/cgroup/memory.max"]).ok();
    assert_eq!(inside, (128 << 20).to_string());
    let stats = podman.podman(["stats", "--no-stream", "--format", "{{.MemUsage}}", &name]).ok();
    assert!(!stats.starts_with("0B"), "{stats}");
    podman.podman(["rm", "-f", "-t", "0", &name]).ok();
    assert!(!cgroup.exists());
}

#[test]
fn podman_is_told_what_a_vm_cannot_give() {
    let podman = Podman::over_holm();
    for (options, words) in [
        (["--network", "host"], "the host's network"),
        (["--pid", "host"], "the host's processes"),
        (["--ipc", "host"], "System V IPC"),
        (["--uts", "host"], "the host's name"),
        (["--device", "/dev/kvm"], "the host's device /dev/kvm"),
    ] {
        let network: &[&str] = if options[0] == "--network" { &[] } else { &["--network", "none"] };
        let refused = podman.podman([&["run", "--rm"], network, &options, &["busybox", "true"]].concat());
        assert!(refused.code == 126 && refused.err().contains(words), "{}: {}", refused.code, refused.err());
    }
}

#[test]
fn podman_checks_health_and_updates_limits() {
    let podman = Podman::over_holm();
    let check = "test -e /tmp/sound";
    let name = podman.background(&["--health-cmd", check, "--health-interval", "disable"], "sleep 1000");
    let is_healthy = || podman.podman(["healthcheck", "run", &name]).code == 0;
    assert!(!is_healthy());
    podman.podman(["exec", &name, "touch", "/tmp/sound"]).ok();
    assert!(is_healthy());
    podman.podman(["update", "--cpus", "0.7", "--memory", "100m", &name]).ok();
    let inside = podman.podman(["exec", &name, "sh", "-c", "cd /sys/fs/cgroup; cat memory.max cpu.max"]).ok();
    assert_eq!(inside, "104857600\n70000 100000");
    assert_eq!(fs::read_to_string(podman.cgroup(&name).join("cpu.max")).unwrap(), "70000 100000\n");
    let refused = podman.podman(["update", "--cpus", "3", &name]);
    assert!(refused.code == 125 && refused.err().contains("stop it first"), "{}", refused.err());
}

#[test]
fn podman_and_buildah_build() {
    let podman = Podman::over_holm();
    let context = tempfile::tempdir().unwrap();
    fs::write(context.path().join("file"), "hello\n").unwrap();
    let steps = "FROM busybox\nENV A=b\nCOPY file /file\nRUN echo $A | cat - /file >/made && uname -r >/kernel\n\
                 USER 1000\nWORKDIR /tmp\nRUN id -u >made\nCMD [\"cat\", \"/made\", \"/tmp/made\", \"/kernel\"]\n";
    fs::write(context.path().join("Containerfile"), steps).unwrap();
    let image = format!("localhost/{}", podman.name());
    podman.podman(["build", "-q", "--network=none", "-t", &image, context.path().to_str().unwrap()]).ok();
    let built = Podman::over("crun").podman(["run", "--rm", "--network=none", &image]).ok();
    assert!(built.starts_with("b\nhello\n1000\n") && built.ends_with("-holm"), "{built}");
    let container = podman.buildah_from(&image);
    let mut command = podman.buildah_run(&container, "cat >/tmp/typed; cat /tmp/typed; exit 3");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed").unwrap();
    let ran = Outcome::from(child.wait_with_output().unwrap());
    podman.podman(["rm", "-f", &container]).ok();
    podman.podman(["rmi", "-f", &image]).ok();
    assert_eq!((ran.code, ran.out().as_str()), (3, "typed"));
}
