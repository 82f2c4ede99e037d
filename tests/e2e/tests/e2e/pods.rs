//! Containers that share a VM, by the annotations of containerd's CRI: over `ctr`, and over the CRI itself.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use holm_e2e::{Containerd, Executed, Outcome, Processes, until};

use crate::containerd::{parent, vmm};

/// What says that a container is in a pod.
const TYPE: &str = "io.kubernetes.cri.container-type";
const SANDBOX: &str = "io.kubernetes.cri.sandbox-id";
/// Answers who it is on a port of the pod.
const SERVER: &str =
    "mkdir -p /www; echo \"$(hostname) $0\" > /www/index.html; exec httpd -f -p 8080 -h /www";

struct Pod<'a> {
    containerd: &'a Containerd,
    sandbox: String,
}

impl<'a> Pod<'a> {
    fn start(containerd: &'a Containerd) -> Self {
        let kind = format!("{TYPE}=sandbox");
        let sandbox = containerd.background_with(&["--annotation", &kind], "exec sleep 10000");
        Self { containerd, sandbox }
    }

    fn add(&self, options: &[&str], script: &str) -> String {
        let (kind, of) = (format!("{TYPE}=container"), format!("{SANDBOX}={}", self.sandbox));
        let options = [&["--annotation", &kind, "--annotation", &of], options].concat();
        self.containerd.background_with(&options, script)
    }

    /// What a script in one of its containers prints.
    #[track_caller]
    fn exec(&self, name: &str, script: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("e{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.task(&["exec", "--exec-id", &id, name, "sh", "-c", script]).ok()
    }

    fn task(&self, words: &[&str]) -> Outcome {
        self.containerd.ctr([&["tasks"], words].concat())
    }

    #[track_caller]
    fn stops(&self, name: &str) {
        let stopped = || self.containerd.task(name).is_some_and(|(_, status)| status == "STOPPED");
        until("it has stopped", stopped);
    }

    #[track_caller]
    fn is_deleted_with(&self, name: &str, code: &str) {
        let deleted = self.task(&["delete", name]);
        assert!(deleted.err().contains(code), "{deleted:?}");
    }

    /// What the guest counts of a container.
    #[track_caller]
    fn usage(&self, name: &str) -> serde_json::Value {
        let root = self.containerd.bundle(name).join("holm");
        let mut command = Command::new("holm-runtime");
        let listed = command.arg("--root").arg(root).args(["events", "--stats", name]).output();
        serde_json::from_str(&Outcome::from(listed.unwrap()).ok()).unwrap()
    }
}

/// How many VMs a supervisor has.
fn vmms(supervisor: u32) -> usize {
    let found = Command::new("pgrep").args(["-f", &format!("holm-vmm.*--parent {supervisor}$")]).output();
    Outcome::from(found.unwrap()).out().lines().count()
}

#[test]
fn containers_of_a_pod_share_a_vm_and_end_alone() {
    let containerd = Containerd::start();
    let pod = Pod::start(&containerd);
    let server = pod.add(&["--memory-limit", "67108864"], SERVER);
    let client = pod.add(&[], "echo mine > /file; sleep 10000");
    let pid_of = |name: &str| containerd.task(name).unwrap().0;
    assert_eq!([&pod.sandbox, &server, &client].map(|name| vmms(pid_of(name))), [1, 0, 0]);

    // One kernel, network, name and shared memory; roots, processes and limits of their own.
    let look = "cat /proc/sys/kernel/random/boot_id; for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; cat /file || echo none";
    let of_server = pod.exec(&server, &format!("{look}; echo shared > /dev/shm/note"));
    let of_client = pod.exec(&client, &format!("{look}; cat /dev/shm/note; ps"));
    let (seen, also): (Vec<_>, Vec<_>) = (of_server.lines().collect(), of_client.lines().collect());
    assert_eq!(seen[..4], also[..4]);
    assert_ne!(seen[4], also[4], "their processes");
    assert_eq!((seen[5], &also[5..7]), ("none", &["mine", "shared"][..]));
    assert!(!of_client.contains("httpd"), "{of_client}");
    let limit = |name: &str| pod.usage(name)["data"]["memory"]["usage"]["limit"].as_u64().unwrap();
    assert_eq!(limit(&server), 64 << 20);
    assert!(limit(&client) > 512 << 20, "all that the VM has");
    let ask = "printf 'GET /index.html HTTP/1.0\r\n\r\n' | nc -w 5 127.0.0.1 8080 | tail -n 1 | grep sh";
    assert!(pod.exec(&client, ask).ends_with(" sh"));

    // One ends and is made again, by a signal and by the end of what stands for it.
    for killed in [true, false] {
        if killed {
            pod.task(&["kill", "-s", "KILL", &server]).ok();
        } else {
            let pid = pid_of(&server).to_string();
            assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        }
        pod.stops(&server);
        pod.is_deleted_with(&server, "exit code 137");
        assert_eq!(pod.exec(&client, &format!("{ask} || echo nobody")), "nobody");
        pod.task(&["start", "-d", &server]).ok();
        until("it answers", || {
            let words = ["exec", "--exec-id", "ask", &client, "sh", "-c", ask];
            pod.task(&words).code == 0
        });
    }

    // Memory comes with the containers that may use it.
    let memory = "awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo";
    let before: u32 = pod.exec(&client, memory).parse().unwrap();
    let large = pod.add(&["--memory-limit", "1073741824"], "exec sleep 10000");
    let after: u32 = pod.exec(&client, memory).parse().unwrap();
    assert!(after >= before + 900, "{before} MiB, then {after}");
    pod.task(&["kill", "-s", "KILL", &large]).ok();
    pod.stops(&large);
    pod.is_deleted_with(&large, "exit code 137");

    // All end with the sandbox.
    pod.task(&["kill", "-s", "KILL", &pod.sandbox]).ok();
    for name in [&server, &client, &pod.sandbox] {
        pod.stops(name);
        pod.is_deleted_with(name, "exit code 137");
        assert!(!containerd.bundle(name).exists());
    }
    until("the shim is gone", || {
        let pattern = format!("containerd-shim-holm-v2.*{}", pod.sandbox);
        Outcome::from(Command::new("pgrep").args(["-f", &pattern]).output().unwrap()).out().is_empty()
    });
}

#[test]
fn what_dies_under_a_pod_leaves_nothing_on_the_host() {
    let containerd = Containerd::start();
    let pair = || {
        let pod = Pod::start(&containerd);
        let member = pod.add(&[], "exec sleep 10000");
        let (supervisor, _) = containerd.task(&pod.sandbox).unwrap();
        (pod, member, supervisor)
    };
    let kill = |pid: u32| {
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    };
    let (pod, member, supervisor) = pair();
    kill(vmm(supervisor));
    for name in [&member, &pod.sandbox] {
        pod.stops(name);
        pod.is_deleted_with(name, "exit code 137");
        assert!(!containerd.bundle(name).exists());
    }
    // containerd itself cleans up after a shim.
    let (pod, member, supervisor) = pair();
    kill(parent(supervisor));
    for name in [&member, &pod.sandbox] {
        until("it is gone", || containerd.task(name).is_none() && !containerd.bundle(name).exists());
    }
    let pattern = format!("holm.*({}|{}|--parent {supervisor}$)", pod.sandbox, member);
    let left = || Outcome::from(Command::new("pgrep").args(["-f", &pattern]).output().unwrap()).out();
    until("no process is left", || left().is_empty());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&member) && !mounts.contains(&pod.sandbox), "{mounts}");
}

#[test]
fn the_cri_runs_pods_over_holm() {
    const IMAGE: &str = "docker.io/library/busybox:latest";
    let containerd = Containerd::start_with_cri();
    let cri = containerd.cri();
    let pod = cri.run_pod("pod-a");
    let server = cri.start(&pod, IMAGE, "server", SERVER, Processes::Own);
    let client = cri.start(&pod, IMAGE, "client", "exec sleep 10000", Processes::Own);
    let get = |address: &str| {
        format!("printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} 8080 | tail -n 1")
    };
    let page = || Executed { code: 0, out: "pod-a sh".to_owned() };
    until("it answers over localhost", || cri.exec(&client, &get("127.0.0.1")) == page());
    // The network is what the CNI made of it.
    let address = cri.address(&pod);
    let from_the_host = Command::new("curl").arg(format!("http://{address}:8080/index.html")).output();
    assert_eq!(Outcome::from(from_the_host.unwrap()).ok(), "pod-a sh");
    let other = cri.run_pod("pod-b");
    let stranger = cri.start(&other, IMAGE, "stranger", "exec sleep 10000", Processes::Own);
    assert_eq!(cri.exec(&stranger, &get(&address)), page());
    assert_ne!(cri.exec(&stranger, "nc -w 5 127.0.0.1 8080 </dev/null").code, 0);
    let boot = |container: &str| cri.exec(container, "cat /proc/sys/kernel/random/boot_id; hostname");
    assert_eq!(boot(&client), boot(&server));
    assert_ne!(boot(&client).out, boot(&stranger).out);
    assert_eq!(cri.exec(&client, "cat /etc/hosts | grep -c pod-a; exit 3").code, 3);
    assert!(cri.memory(&server) > 4096);
    let processes = |container: &str| cri.exec(container, "ps | grep -c [h]ttpd");
    assert_eq!(processes(&client).out, "0");
    let watcher = cri.start(&pod, IMAGE, "watcher", "exec sleep 10000", Processes::Pod);
    assert_eq!(processes(&watcher).out, "0", "the server has processes of its own");
    assert_eq!(cri.exec(&watcher, "ps | grep -c '[s]leep 1000000'").out, "1", "the sandbox's are seen");
    let debugger = cri.start(&pod, IMAGE, "debugger", "exec sleep 10000", Processes::Of(&server));
    assert_eq!(processes(&debugger).out, "1", "the server's are seen");

    cri.remove(&server);
    assert_ne!(cri.exec(&client, "nc -w 5 127.0.0.1 8080 </dev/null").code, 0);
    let server = cri.start(&pod, IMAGE, "server", SERVER, Processes::Own);
    until("a new one answers", || cri.exec(&client, &get("127.0.0.1")) == page());
    assert_eq!((cri.exit_code(&server), cri.exit_code(&client)), (None, None));

    cri.remove_pod(&pod);
    cri.remove_pod(&other);
    let left =
        || Outcome::from(Command::new("pgrep").args(["-f", "shim-holm-v2.*k8s.io"]).output().unwrap()).out();
    until("nothing is left", || left().is_empty());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&pod.id) && !mounts.contains(&client), "{mounts}");
}
