//! containerd with the shim for Holm: what users of `ctr` see, and what is left when something dies. A daemon starts slowly, so
//! there is one for each of the two.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use holm_e2e::{Containerd, Outcome, Pty, ThinPool, until};

#[test]
fn containerd_runs_containers_over_holm() {
    let mut containerd = Containerd::start();
    streams_and_exit_codes(&containerd);
    logs(&containerd);
    life(&mut containerd);
}

fn streams_and_exit_codes(containerd: &Containerd) {
    let name = containerd.name();
    let mut command = containerd.run(&name, &["--rm"], "cat; echo err >&2; uname -r; exit 42");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    let ran = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err().as_str()), (42, "err"));
    assert!(ran.out().starts_with("typed\n") && ran.out().ends_with("-holm"), "{}", ran.out());
    assert_eq!(containerd.task(&name), None);

    let name = containerd.name();
    // The size is set when it runs.
    let script =
        "until [ \"$(stty size)\" = '25 90' ]; do sleep 0.1; done; read line; echo \"got $line\"; exit 6";
    let mut pty = Pty::start(containerd.run(&name, &["--rm", "-t"], script), 90, 25);
    pty.type_("word\r");
    pty.expect("got word");
    assert_eq!(pty.wait(), 6);

    let name = containerd.name();
    let words =
        ["run", "--rm", "--runtime", "io.containerd.holm.v2", "docker.io/library/busybox:latest", &name];
    let missing = containerd.ctr([&words[..], &["nosuch"]].concat());
    missing.fails(1, "executable file not found in $PATH");
    assert_eq!(containerd.task(&name), None);
    assert!(!containerd.bundle(&name).exists());
}

fn logs(containerd: &Containerd) {
    let directory = containerd.directory();
    let run = |uri: &str| {
        let name = containerd.name();
        let ran = containerd.run(&name, &["--rm", "--log-uri", uri], "echo out; echo err >&2").output();
        (name, Outcome::from(ran.unwrap()))
    };
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    let uri = format!("file://{}/logs/file", directory.display());
    run(&uri).1.ok();
    run(&uri).1.ok();
    let logged = read("logs/file");
    let mut lines: Vec<_> = logged.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "err", "out", "out"]);
    // One that says when it is ready, and is waited for at the end.
    let binary = directory.join("logger");
    let script = "#!/bin/sh\ncd \"$2\"; echo \"$CONTAINER_NAMESPACE $CONTAINER_ID $1 $3\" >about; exec 5>&-
        cat <&3 >out & cat <&4 >err; wait; sleep 1; echo ended >>about";
    fs::write(&binary, script).unwrap();
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).unwrap();
    let (name, ran) = run(&format!("binary://{}?to={}&more=", binary.display(), directory.display()));
    ran.ok();
    assert_eq!(read("about"), format!("default {name} to more\nended\n"));
    assert_eq!((read("out"), read("err")), ("out\n".to_owned(), "err\n".to_owned()));
    run("binary:///nosuch").1.fails(1, "cannot start the logging binary /nosuch");
    run("journal:///x").1.fails(1, "is none of these");
}

fn life(containerd: &mut Containerd) {
    let log = containerd.directory().join("events");
    let mut events = containerd.command(["events"]).stdout(File::create(&log).unwrap()).spawn().unwrap();
    let name = containerd.background("trap 'exit 3' TERM; while :; do sleep 0.1; done");
    let (pid, status) = containerd.task(&name).unwrap();
    assert_eq!(status, "RUNNING");
    let task = |words: &[&str]| containerd.ctr([&["tasks"], words].concat());
    // What stands for it are the host's processes.
    let listed = task(&["ps", &name]).ok();
    let pids: Vec<u32> =
        listed.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    assert!(pids.contains(&pid) && pids.len() > 1, "{listed}");
    let metrics = task(&["metrics", &name]).ok();
    let metric = |of: &str| {
        let line = metrics.lines().find(|line| line.starts_with(of)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert!(metric("memory.usage ") > 1 << 20 && metric("cpu.usage_usec") > 0, "{metrics}");

    let ran = task(&["exec", "--exec-id", "one", &name, "sh", "-c", "echo out; echo err >&2; exit 5"]);
    assert_eq!((ran.code, ran.out().as_str(), ran.err().as_str()), (5, "out", "err"));
    // Under the same id once more, and ended from outside.
    let mut child =
        containerd.command(["tasks", "exec", "--exec-id", "one", &name, "sleep", "1000"]).spawn().unwrap();
    until("it can be killed", || task(&["kill", "--exec-id", "one", "-s", "KILL", &name]).code == 0);
    assert_eq!(child.wait().unwrap().code(), Some(137));

    task(&["pause", &name]).ok();
    assert_eq!(containerd.task(&name).unwrap().1, "PAUSED");
    task(&["resume", &name]).ok();
    task(&["resume", &name]).fails(1, "cannot resume a container that is running");
    // Before it asks for one, ctr pauses the task.
    task(&["checkpoint", &name]).fails(1, "checkpoints are not supported");
    let running = task(&["delete", &name]);
    assert_ne!(running.code, 0, "{running:?}");

    let address = socket_of(containerd, &name);
    events.kill().unwrap();
    events.wait().unwrap();
    containerd.kill_and_restart();
    let task = |words: &[&str]| containerd.ctr([&["tasks"], words].concat());
    assert_eq!(containerd.task(&name), Some((pid, "RUNNING".to_owned())), "a new containerd finds it");
    task(&["kill", "-s", "TERM", &name]).ok();
    until("it heard it", || containerd.task(&name).is_some_and(|(_, status)| status == "STOPPED"));
    let deleted = task(&["delete", &name]);
    assert!(deleted.err().contains("exit code 3"), "{}", deleted.err());
    task(&["kill", &name]).fails(1, "not found");
    nothing_is_left(containerd, &name, &address);
    let events = fs::read_to_string(log).unwrap();
    let topics: Vec<&str> =
        events.split_whitespace().filter_map(|word| word.strip_prefix("/tasks/")).collect();
    let (exec, pause) = (["exec-added", "exec-started", "exit"], ["paused", "resumed"]);
    let expected = [&["create", "start"], &exec[..], &exec, &pause, &pause];
    assert_eq!(topics, expected.concat(), "{events}");
}

#[test]
fn what_dies_under_containerd_leaves_nothing_on_the_host() {
    let containerd = Containerd::start();
    let killed = |pid_of: fn(u32) -> u32| {
        let name = containerd.background("exec sleep 1000");
        let address = socket_of(&containerd, &name);
        let (supervisor, _) = containerd.task(&name).unwrap();
        let pid = pid_of(supervisor);
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        (name, address)
    };
    // containerd itself cleans up after a shim.
    let (name, address) = killed(parent);
    until("the task is gone", || containerd.task(&name).is_none() && !containerd.bundle(&name).exists());
    nothing_is_left(&containerd, &name, &address);
    for pid_of in [std::convert::identity, vmm] {
        let (name, address) = killed(pid_of);
        until("it has stopped", || containerd.task(&name).is_some_and(|(_, status)| status == "STOPPED"));
        let deleted = containerd.ctr(["tasks", "delete", "--force", &name]);
        assert!(deleted.err().contains("exit code 137"), "{}", deleted.err());
        nothing_is_left(&containerd, &name, &address);
    }
    // One that hangs, and nobody reads what it has written.
    for pid_of in [std::convert::identity, vmm] {
        let name = containerd.background("exec yes");
        let address = socket_of(&containerd, &name);
        let (supervisor, _) = containerd.task(&name).unwrap();
        let pid = pid_of(supervisor).to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        containerd.ctr(["tasks", "delete", "--force", &name]).ok();
        nothing_is_left(&containerd, &name, &address);
    }
}

#[test]
fn a_snapshot_on_a_block_device_goes_to_the_vm() {
    let files = tempfile::tempdir_in("/var/tmp").unwrap();
    let pool = ThinPool::new(&format!("holm-e2e-{}", std::process::id()), files.path());
    let containerd = Containerd::start_with_devices(&pool);
    let devmapper = ["--snapshotter", "devmapper"];
    let run = |options: &[&str], script: &str| {
        let name = containerd.name();
        let ran = containerd.run(&name, &[&devmapper[..], options].concat(), script).output();
        (name, Outcome::from(ran.unwrap()))
    };
    let root = "grep ' / ' /proc/mounts";
    let (name, ran) = run(&[], &format!("{root}; echo text >/made; sync"));
    assert!(ran.ok().starts_with("/dev/vd"));
    // The host mounts it when containerd is asked to, and not before.
    containerd.ctr(["tasks", "delete", &name]);
    let at = files.path().join("mounted");
    fs::create_dir(&at).unwrap();
    let words = ["snapshots", "--snapshotter", "devmapper", "mounts", at.to_str().unwrap(), &name];
    let mount = containerd.ctr(words).ok();
    // It prints options also where there are none.
    let mount = mount.trim_end().trim_end_matches(" -o");
    let script = format!("{mount} && cat {0}/made; umount {0}", at.display());
    let seen = Outcome::from(Command::new("sh").args(["-c", &script]).output().unwrap());
    assert_eq!(seen.out(), "text", "{}", seen.err());
    containerd.ctr(["containers", "delete", &name]).ok();

    let (name, ran) = run(&["--rm", "--read-only"], &format!("{root}; echo x >/made || echo refused"));
    assert!(ran.out().contains(" ro,") && ran.out().ends_with("refused"), "{ran:?}");
    assert_eq!(containerd.task(&name), None);

    // In the VM of another, which goes on when it has ended.
    let kind = ["--annotation", "io.kubernetes.cri.container-type=sandbox"];
    let sandbox = containerd.background_with(&[&devmapper[..], &kind].concat(), "exec sleep 10000");
    let of = format!("io.kubernetes.cri.sandbox-id={sandbox}");
    let kind = ["--rm", "--annotation", "io.kubernetes.cri.container-type=container", "--annotation", &of];
    for _ in 0..2 {
        let (_, ran) = run(&kind, &format!("{root}; ls /made; echo x >/made; cat /made"));
        assert!(ran.out().starts_with("/dev/vd") && ran.out().ends_with("\nx"), "{ran:?}");
    }
    let refused = containerd.run(&containerd.name(), &kind, "true").output().unwrap();
    Outcome::from(refused).fails(1, "containers that have no files of the host");
    containerd.ctr(["tasks", "delete", "--force", &sandbox]);
    containerd.ctr(["containers", "delete", &sandbox]).ok();
    drop(containerd);
    drop(pool);
}

fn socket_of(containerd: &Containerd, name: &str) -> PathBuf {
    let address = fs::read_to_string(containerd.bundle(name).join("address")).unwrap();
    address.strip_prefix("unix://").unwrap().into()
}

/// A shim ends a moment after its last task was deleted.
#[track_caller]
fn nothing_is_left(containerd: &Containerd, name: &str, address: &Path) {
    let processes = || {
        let listed = Command::new("pgrep").args(["-f", &format!("containerd-shim-holm-v2.*{name}")]).output();
        Outcome::from(listed.unwrap()).out()
    };
    until("its processes and its socket are gone", || processes().is_empty() && !address.exists());
    assert_eq!(containerd.task(name), None);
    assert!(!containerd.bundle(name).exists());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(name), "{mounts}");
    assert!(!Path::new("/sys/fs/cgroup/default").join(name).exists());
}

pub(crate) fn parent(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

pub(crate) fn vmm(supervisor: u32) -> u32 {
    let found = Command::new("pgrep").args(["-f", &format!("holm-vmm.*--parent {supervisor}$")]).output();
    Outcome::from(found.unwrap()).ok().lines().next().unwrap().parse().unwrap()
}
