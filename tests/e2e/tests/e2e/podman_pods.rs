//! podman's pods, and containers that podman or Docker puts into the network of another: they are in its VM.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use holm_e2e::{Outcome, Podman, until};

/// Answers on a port of the pod.
const SERVER: &str = "while :; do echo served | nc -l -p 80; done";
const BOOT: &str = "cat /proc/sys/kernel/random/boot_id";

/// How many VMs there are for containers of these names or ids, by their supervisors.
fn vmms(podman: &Podman, names: &[&str]) -> Vec<usize> {
    let pids = names.iter().map(|name| podman.inspect(name, ".State.Pid"));
    let count = |pid: String| {
        let found = Command::new("pgrep").args(["-f", &format!("holm-vmm.*--parent {pid}$")]).output();
        Outcome::from(found.unwrap()).out().lines().count()
    };
    pids.map(count).collect()
}

#[test]
fn podmans_pods_are_one_vm() {
    let podman = Podman::over_holm();
    let pod = podman.pod_name();
    let port = 20_000 + std::process::id() % 10_000;
    let published = format!("127.0.0.1:{port}:80");
    let subnet = format!("10.217.{}.0/24", std::process::id() % 256);
    podman.podman(["network", "create", "--subnet", &subnet, &pod]).ok();
    // A pod's cgroup of podman 4.3 forbids all devices where podman makes it itself (cgroupfs), to runtimes of all kinds.
    let options = ["-p", &published, "--network", &pod, "--share-parent=false"];
    let infra = ["--infra-image", "busybox", "--infra-command", "/bin/sleep 100000"];
    let created = podman.podman([&["pod", "create", "--name", &pod], &options[..], &infra].concat());
    let add = |script: &str| {
        let name = podman.name();
        podman.podman(["run", "-d", "--pod", &pod, "--name", &name, "busybox", "sh", "-c", script]).ok();
        name
    };
    created.ok();
    let server = add(SERVER);
    let client = add("echo mine > /file; sleep 10000");
    let infra = podman.podman(["pod", "inspect", "--format", "{{.InfraContainerID}}", &pod]).ok();
    assert_eq!(vmms(&podman, &[&infra, &server, &client]), [1, 0, 0]);
    let exec = |name: &str, script: &str| podman.podman(["exec", name, "sh", "-c", script]).out();
    let look =
        format!("{BOOT}; hostname; for n in net ipc uts pid; do readlink /proc/self/ns/$n; done; ls /file");
    let of_server = exec(&server, &format!("{look}; echo shared > /dev/shm/note"));
    let of_client = exec(&client, &format!("{look}; cat /dev/shm/note; ps"));
    let (seen, also): (Vec<_>, Vec<_>) = (of_server.lines().collect(), of_client.lines().collect());
    assert_eq!((&seen[..5], seen[1]), (&also[..5], pod.as_str()));
    assert_ne!(seen[5], also[5], "their processes");
    assert_eq!(also[6..8], ["/file", "shared"]);
    assert!(!of_client.contains("nc -l"), "{of_client}");
    let answers = || exec(&client, "nc -w 5 127.0.0.1 80 </dev/null") == "served";
    until("the other answers over localhost", answers);
    until("the pod's published port answers", || {
        let mut answer = String::new();
        let read = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.read_to_string(&mut answer)
        });
        read.is_ok() && answer == "served\n"
    });

    // One ends and is started again.
    podman.podman(["restart", "-t", "0", &server]).ok();
    until("it answers again", answers);
    assert_eq!(podman.inspect(&client, ".State.Status"), "running");
    let listed = podman.podman(["pod", "ps", "--filter", &format!("name={pod}"), "--format", "{{.Status}}"]);
    assert_eq!(listed.ok(), "Running");

    // All end with the first.
    podman.podman(["kill", &infra]).ok();
    until("the others end", || {
        [&server, &client].iter().all(|name| podman.inspect(name, ".State.ExitCode") == "137")
    });
    podman.podman(["pod", "start", &pod]).ok();
    until("all are there again", answers);
    podman.podman(["pod", "stop", "-t", "0", &pod]).ok();
    podman.podman(["pod", "rm", &pod]).ok();
    podman.podman(["network", "rm", &pod]).ok();
    let left = Command::new("pgrep").args(["-f", &format!("holm.*({infra}|{server}|{client})")]).output();
    assert_eq!(Outcome::from(left.unwrap()).out(), "");
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(&infra));
}

#[test]
fn a_container_in_the_network_of_another_is_in_its_vm() {
    let podman = Podman::over_holm();
    let server = podman.background(&["--memory", "100m", "--cpus", "1"], SERVER);
    let cgroup = podman.cgroup(&server);
    let of = format!("container:{server}");
    let beside = |options: &[&str], script: &str| {
        let network = ["run", "--rm", "--network", &of];
        podman.podman([&network, options, &["busybox", "sh", "-c", script]].concat())
    };
    until("it answers over localhost", || {
        beside(&[], "nc -w 5 127.0.0.1 80 </dev/null; echo ended").out() == "served\nended"
    });
    // Of its own are what is not asked for, as under runc.
    let look = "for n in ipc uts pid; do readlink /proc/self/ns/$n; done";
    let theirs = podman.podman(["exec", &server, "sh", "-c", look]).ok();
    let own = beside(&[], look).ok();
    assert!(theirs.lines().zip(own.lines()).all(|(theirs, own)| theirs != own), "{theirs}\n{own}");
    let with_ipc = beside(&["--ipc", &of], look).ok();
    assert_eq!(with_ipc.lines().next(), theirs.lines().next());
    let pids = beside(&["--pid", &of], "ps").ok();
    assert!(pids.contains("nc -l"), "{pids}");
    // The VM has room for both; what each may use is the guest's to see to.
    assert_eq!(fs::read_to_string(cgroup.join("cpu.max")).unwrap(), "max 100000\n");
    let limit = podman.podman(["exec", &server, "cat", "/sys/fs/cgroup/memory.max"]).ok();
    assert_eq!(limit, (100 << 20).to_string());

    // Not without the network.
    let refused = podman.run(&["--ipc", &of], "true");
    assert!(refused.err().contains("the ipc namespace of others"), "{}", refused.err());
    let stranger = podman.background(&[], "sleep 1000");
    let refused = beside(&["--pid", &format!("container:{stranger}")], "true");
    assert!(refused.err().contains("no container in the VM of its network"), "{}", refused.err());
    podman.podman(["rm", "-f", "-t", "0", &server, &stranger]).ok();
}
