//! What a hostile workload cannot do to its own agent and VM (threats.md).

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use holm_e2e::{Holm, TestImage, until};
use holm_test_registry::{Fault, FaultyRegistry, RegistryImage, blob_path};
use rustix::process::{Pid, Signal, kill_process};

/// The process id of a new container's VMM.
fn vmm(holm: &Holm, options: &[&str]) -> String {
    let name = holm.name();
    let run = [&["run", "-d", "--name", &name], options, &["busybox", "sleep", "1000"]].concat();
    holm.holm(run).outcome().ok();
    holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok()
}

/// What `holm inspect` says of the jail of the VMM with this process id.
fn told(holm: &Holm, pid: &str) -> serde_json::Value {
    let all = holm.holm(["ps", "-q", "--no-trunc"]).outcome().ok();
    let words = ["inspect", "-f", "{{.State.Pid}} {{json .Vm.Jail}}"].into_iter().chain(all.lines());
    let out = holm.holm(words).outcome().out();
    let jail = out.lines().find_map(|line| line.strip_prefix(pid)?.strip_prefix(' ')).expect("it runs");
    serde_json::from_str(jail).unwrap()
}

/// Fields of /proc/PID/status of every thread of a process.
fn threads(pid: &str) -> Vec<HashMap<String, String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let fields = |status: String| {
        let fields = status.lines().filter_map(|line| line.split_once(":\t"));
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    tasks.map(|task| fields(fs::read_to_string(task.unwrap().path().join("status")).unwrap())).collect()
}

/// The namespaces that a process shares with this one.
pub(crate) fn shared_namespaces(pid: &str) -> Vec<&'static str> {
    let all = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    let namespace = |pid: &str, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    all.into_iter().filter(|kind| namespace(pid, kind) == namespace("self", kind)).collect()
}

/// What a directory holds of those that a process sees.
fn names(pid: &str, directory: &str) -> Vec<OsString> {
    let entries = fs::read_dir(format!("/proc/{pid}/root/{directory}")).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn t6_every_thread_of_the_vmm_is_confined() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let shares = vmm(&holm, &["-v", "data:/data"]);
    let with_shares = threads(&shares);
    // The main thread, a vCPU, two disks, a network, the shares.
    assert_eq!(with_shares.len(), 6);
    for thread in &with_shares {
        assert_eq!((thread["NoNewPrivs"].as_str(), thread["Seccomp"].as_str()), ("1", "2"), "{thread:?}");
        // CHOWN DAC_OVERRIDE FOWNER FSETID SETGID SETUID SETPCAP SETFCAP.
        assert_eq!(thread["CapPrm"], "00000000800001db", "{thread:?}");
    }
    assert_eq!(shared_namespaces(&shares), ["cgroup", "user"]);
    let jail = told(&holm, &shares);
    assert_eq!((&jail["User"], &jail["Capabilities"].as_array().unwrap().len()), (&0.into(), &8), "{jail}");
    // Nothing but what it has open, of which shares are a part.
    assert_eq!((names(&shares, ""), names(&shares, "proc/self")), (vec!["proc".into()], vec!["fd".into()]));
    // Without a share nothing is left, not even root's name.
    for options in [&[][..], &["--network", "none", "--cold"]] {
        let vmm = vmm(&holm, options);
        for thread in threads(&vmm) {
            let user: u32 = thread["Uid"].split('\t').next().unwrap().parse().unwrap();
            assert!(user > 0x7000_0000, "{thread:?}");
            for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
                assert_eq!(thread[set], "0000000000000000", "{thread:?}");
            }
            assert_eq!((thread["NoNewPrivs"].as_str(), thread["Seccomp"].as_str()), ("1", "2"), "{thread:?}");
        }
        assert_eq!(shared_namespaces(&vmm), ["cgroup", "user"]);
        assert!(names(&vmm, "").is_empty());
        let jail = told(&holm, &vmm);
        assert!(jail["Seccomp"] == true && jail["NoNewPrivileges"] == true, "{jail}");
        assert_eq!(jail["Capabilities"], serde_json::json!([]));
        assert_eq!(jail["Namespaces"], serde_json::json!(["ipc", "mnt", "net", "pid", "uts"]));
    }
}

#[test]
fn what_carries_a_guests_bytes_has_nothing_to_open() {
    let holm = Holm::with(TestImage::Busybox);
    let [created, running] = [holm.name(), holm.name()];
    holm.holm(["create", "-i", "--name", &created, "busybox", "cat"]).outcome().ok();
    holm.holm(["run", "-d", "-i", "--name", &running, "busybox", "cat"]).outcome().ok();
    for words in [
        &["run", "--rm", "-i", "busybox", "cat"][..],
        &["start", "-a", "-i", &created],
        &["exec", "-i", &running, "cat"],
        &["attach", &running],
    ] {
        let mut command = holm.holm(words).command();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        to.write_all(b"echo\n").unwrap();
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        assert_eq!(line, "echo\n", "{words:?}");
        for thread in threads(&child.id().to_string()) {
            assert_eq!(thread["NoNewPrivs"], "1", "{words:?}: {thread:?}");
            // The six of chown(2) and access to files.
            let held = u64::from_str_radix(&thread["CapPrm"], 16).unwrap();
            assert_eq!(held & !0x8000_001f, 0, "{words:?}: {thread:?}");
        }
        drop(to);
        assert!(child.wait().unwrap().success(), "{words:?}");
    }
}

/// Whether no thread of a process has a capability, or could get one.
fn has_no_capability(pid: u32) -> bool {
    let none = |thread: &HashMap<String, String>| {
        let sets = ["CapEff", "CapPrm", "CapInh", "CapAmb"];
        thread["NoNewPrivs"] == "1" && sets.iter().all(|set| thread[*set] == "0000000000000000")
    };
    threads(&pid.to_string()).iter().all(none)
}

#[test]
fn what_reads_an_archive_has_no_capability() {
    let holm = Holm::empty();
    let mut child = holm.holm(["load", "-q"]).command().stdin(Stdio::piped()).spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let archive = fs::read(TestImage::Busybox.archive()).unwrap();
    let (start, rest) = archive.split_at(archive.len() / 2);
    // More than fits into a pipe: by the end it reads.
    assert!(start.len() > 1 << 18);
    to.write_all(start).unwrap();
    assert!(has_no_capability(child.id()));
    to.write_all(rest).unwrap();
    drop(to);
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_reads_an_archive_has_nothing_to_open_but_the_store() {
    let holm = Holm::empty();
    assert_eq!(holm.holm(["images", "-q"]).outcome().ok(), "");
    // A part of the store that is elsewhere.
    let (layers, elsewhere) = (holm.root().join("image/layers"), tempfile::tempdir_in("/var/tmp").unwrap());
    fs::remove_dir(&layers).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &layers).unwrap();
    let archive = TestImage::Busybox.archive();
    holm.holm(["load", "-i"]).arg(&archive).outcome().fails(125, "Permission denied");
    fs::remove_file(&layers).unwrap();
    holm.holm(["load", "-i"]).arg(&archive).outcome().ok();
}

#[test]
fn what_reads_a_registrys_answers_has_no_capability() {
    let image = RegistryImage::new(1, 400_000);
    for verb in ["pull", "create"] {
        let (holm, registry) = (Holm::empty(), FaultyRegistry::with(&image));
        // It tries again, and waits for a second before it does.
        registry.fail(&blob_path(&image.layers[0]), &[Fault::Status(503); 2]);
        let name = registry.name().replace("127.0.0.1", "localhost");
        let mut child = holm.holm([verb, &name]).command().spawn().unwrap();
        let asked = || registry.requests().iter().any(|line| line.contains(&blob_path(&image.layers[0])));
        until("it asks for the layer", asked);
        let own = child.id();
        let pulls = match verb {
            "create" => fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap(),
            _ => own.to_string(),
        };
        assert!(has_no_capability(pulls.trim().parse().unwrap()), "{verb}");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{verb}");
        assert_eq!(fs::read_dir(holm.root().join("image/staging")).unwrap().count(), 0, "{verb}");
        holm.holm([verb, &name]).outcome().ok();
    }
}

/// The process that started another.
fn parent(pid: &str) -> String {
    threads(pid)[0]["PPid"].clone()
}

#[test]
fn the_supervisor_keeps_no_capability_that_no_vm_takes() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let supervisor = parent(&vmm(&holm, &["-p", "80", "-v", "data:/data"]));
    for thread in threads(&supervisor) {
        assert_eq!(thread["NoNewPrivs"], "1", "{thread:?}");
        for set in ["CapEff", "CapPrm"] {
            let held = u64::from_str_radix(&thread[set], 16).unwrap();
            assert_eq!(held.count_ones(), 19, "{thread:?}");
            // SYS_MODULE SYS_RAWIO SYS_BOOT SYS_TIME MKNOD PERFMON BPF.
            for gone in [16, 17, 22, 25, 27, 38, 39] {
                assert_eq!(held >> gone & 1, 0, "{thread:?}");
            }
        }
    }
}

#[test]
fn the_supervisor_is_hidden_from_its_user_and_has_nothing_of_whoever_started_it() {
    let holm = Holm::of_user(TestImage::Busybox);
    let name = holm.name();
    // What a shell leaves open: the supervisor would hold it for as long as the container runs.
    let run = holm.holm(["run", "-d", "--name", &name, "busybox", "sleep", "1000"]).command();
    let mut words =
        vec!["-c".into(), "exec \"$@\" 7</etc/passwd".into(), "sh".into(), run.get_program().to_owned()];
    words.extend(run.get_args().map(ToOwned::to_owned));
    let variables = run.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let out = Command::new("sh").args(words).envs(variables).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let supervisor = parent(&holm.holm(["inspect", "-f", "{{.State.Pid}}", &name]).outcome().ok());
    assert_ne!(threads(&supervisor)[0]["Uid"].split('\t').next(), Some("0"));
    // To others it is root's.
    assert_eq!(fs::metadata(format!("/proc/{supervisor}/environ")).unwrap().uid(), 0);
    let open = fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap();
    let open = open.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    assert!(open.into_iter().all(|file| file != *"/etc/passwd"));
}

#[test]
fn t14_the_agent_is_out_of_reach() {
    let holm = Holm::with(TestImage::Busybox);
    let script =
        "ls -l /proc/*/exe 2>/dev/null | grep -c holm; ls /proc/self/fd | wc -l; cat /proc/1/comm; true";
    let out = holm.run(["busybox", "sh", "-c", script]).ok();
    // 0, 1, 2 and the directory that ls reads.
    assert_eq!(out, "0\n4\nsh");
}

#[test]
fn t15_device_nodes_of_the_guests_disks_cannot_be_opened() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "mknod /tmp/vda b 254 0 && head -c 1 /tmp/vda; mknod /tmp/port c 1 4 && head -c 1 /tmp/port; echo end";
    let out = holm.run(["busybox", "sh", "-c", script]);
    assert_eq!(out.ok(), "end");
    assert_eq!(out.err().matches("Operation not permitted").count(), 2, "{}", out.err());
}

#[test]
fn m22_a_kernel_panic_has_its_own_reason() {
    let holm = Holm::with(TestImage::Busybox);
    let script = "mount -t proc proc /mnt 2>/dev/null; echo c > /proc/sysrq-trigger; sleep 60";
    let out = holm.run(["--privileged", "busybox", "sh", "-c", script]);
    assert_eq!(out.code, 125, "{}", out.err());
    assert!(out.err().contains("guest kernel panic: "), "{}", out.err());
}

#[test]
fn t8_the_guest_sees_no_virtualization_of_its_own() {
    let holm = Holm::with(TestImage::Busybox);
    let out = holm.run([
        "busybox",
        "sh",
        "-c",
        "grep -cwE 'vmx|svm' /proc/cpuinfo; grep -c hypervisor /proc/cpuinfo",
    ]);
    assert_eq!(out.out(), "0\n1");
}
