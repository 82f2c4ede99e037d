//! Docker with `holm-runtime` as a runtime of its daemon: what its users see. A daemon starts slowly, so there is one for all that
//! is seen here.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use holm_e2e::{Docker, Outcome, Pty, until};
use serde_json::Value;

#[test]
fn docker_runs_containers_over_holm() {
    let docker = Docker::with_bridge();
    output_and_exit_codes(&docker);
    settings(&docker);
    life(&docker);
    out_of_memory(&docker);
    two_on_a_network(&docker);
    one_in_the_network_of_another(&docker);
}

fn output_and_exit_codes(docker: &Docker) {
    let words = ["run", "--rm", "-i", "--runtime", "holm", "--network", "none", "busybox", "sh", "-c"];
    let mut command = docker.command([&words[..], &["cat; echo err >&2; uname -r; exit 42"]].concat());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"typed\n").unwrap();
    let ran = Outcome::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err().as_str()), (42, "err"));
    assert!(
        ran.out().starts_with("typed\n") && ran.out().ends_with("-holm"),
        "a kernel of its own: {}",
        ran.out()
    );
}

/// The same under runc, but for /dev/core: the guest kernel has no image of its memory.
fn settings(docker: &Docker) {
    let options = [
        "--network=none",
        "-eA=b c",
        "-w/tmp",
        "-u1000:1001",
        "--hostname=box",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-add=NET_ADMIN",
        "--ulimit=nofile=77:99",
        "--shm-size=1m",
        "--group-add=7",
    ];
    let script = "echo $A; pwd; id; hostname; touch /x 2>&1; touch /tmp/x /dev/shm/x && echo made; ulimit -n
        grep -E '^Cap|Seccomp:|NoNewPrivs' /proc/self/status; df /dev/shm | tail -1 | awk '{print $2}'
        cat /proc/1/cmdline | tr '\\0' ' '; ls /dev | grep -v core; head -1 /etc/hosts";
    let (holm, runc) = (docker.run("holm", &options, script), docker.run("runc", &options, script));
    assert_eq!(holm.ok(), runc.ok());
}

/// With a terminal, whose output docker has with carriage returns.
fn out_of_memory(docker: &Docker) {
    docker.background("hog", &["--network=none", "--memory=64m"], "tail /dev/zero; exit 3");
    assert_eq!(docker.docker(["wait", "hog"]).ok(), "3");
    until("the engine knows", || docker.inspect("hog", ".State.OOMKilled") == "true");
}

fn life(docker: &Docker) {
    let shared = tempfile::tempdir().unwrap();
    let volume = format!("{}:/v", shared.path().display());
    let options = [
        "--memory=128m",
        "--cpus=0.5",
        "-v",
        &volume,
        "--health-cmd=echo fine",
        "--health-interval=10s",
        "-t",
    ];
    docker.background(
        "app",
        &options,
        "trap 'exit 3' TERM; echo ready; while :; do echo >>/v/ticks; sleep 0.1; done",
    );
    until("it is ready", || docker.docker(["logs", "app"]).out() == "ready\r");
    let exec =
        |options: &[&str], words: &[&str]| docker.docker([&["exec"], options, &["app"], words].concat());
    let ran = exec(&["-u", "1000", "-w", "/tmp"], &["sh", "-c", "id -u; pwd; echo err >&2; exit 5"]);
    assert_eq!((ran.code, ran.out().as_str(), ran.err().as_str()), (5, "1000\n/tmp", "err"));
    let mut pty = Pty::start(docker.command(["exec", "-it", "app", "sh", "-c", "stty size; exit 6"]), 90, 25);
    pty.expect("25 90");
    assert_eq!(pty.wait(), 6);
    until("it is healthy", || docker.inspect("app", ".State.Health.Status") == "healthy");
    // What docker looks up by their pids are the host's processes.
    let top = docker.docker(["top", "app", "-o", "pid,args"]).ok();
    assert!(top.contains("holm-vmm") && top.contains("holm-runtime"), "{top}");
    let stats = docker.docker(["stats", "--no-stream", "--format", "{{.MemUsage}}", "app"]).ok();
    assert!(stats.ends_with("/ 320MiB") && !stats.starts_with("0B"), "{stats}");
    let pid = docker.inspect("app", ".State.Pid");
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let cgroup =
        Path::new("/sys/fs/cgroup").join(cgroup.trim().rsplit(':').next().unwrap().trim_start_matches('/'));
    docker
        .docker(["update", "--cpus=0.7", "--memory=100m", "--memory-swap=100m", "--pids-limit=50", "app"])
        .ok();
    assert_eq!(fs::read_to_string(cgroup.join("cpu.max")).unwrap(), "70000 100000\n");
    let inside = exec(&[], &["sh", "-c", "cd /sys/fs/cgroup; cat memory.max cpu.max pids.max"]).ok();
    assert_eq!(inside, "104857600\n70000 100000\n50");
    let refused = docker.docker(["update", "--memory=1g", "--memory-swap=1g", "app"]);
    assert!(refused.code == 1 && refused.err().contains("stop it first"), "{}", refused.err());
    let id = docker.inspect("app", ".Id");
    let root = docker.directory().join("exec/runtime-runc/moby");
    let mut events = std::process::Command::new("holm-runtime");
    let events = events.arg("--root").arg(root).args(["events", "--stats", &id]).output().unwrap();
    let events: Value = serde_json::from_str(&Outcome::from(events).ok()).unwrap();
    assert_eq!((&events["type"], &events["id"]), (&"stats".into(), &id.into()));
    assert_eq!(events["data"]["memory"]["usage"]["limit"], 104_857_600);
    assert!(events["data"]["cpu"]["usage"]["total"].as_u64().is_some_and(|ns| ns > 0), "{events}");
    docker.docker(["pause", "app"]).ok();
    assert_eq!(docker.inspect("app", ".State.Status"), "paused");
    let ticks = || fs::metadata(shared.path().join("ticks")).unwrap().len();
    let before = ticks();
    docker.docker(["unpause", "app"]).ok();
    until("it goes on", || ticks() > before);
    docker.docker(["stop", "-t", "60", "app"]).ok();
    assert_eq!(docker.inspect("app", ".State.ExitCode"), "3", "it heard SIGTERM");
    docker.docker(["rm", "app"]).ok();
    assert!(!cgroup.exists());
}

/// As compose sets them up: by name, and from outside by a published port. Other names are those of the nameserver that was asked for.
fn two_on_a_network(docker: &Docker) {
    docker.docker(["network", "create", "--subnet", "10.215.0.0/24", "pair"]).ok();
    let serve = "while :; do echo from db | nc -l -p 5432; done";
    docker.background("db", &["--network", "pair", "--network-alias", "store", "-p", "8432:5432"], serve);
    docker.background("web", &["--network", "pair", "--dns", "10.215.0.1"], "sleep 1000");
    let inside = |script: &str| docker.docker(["exec", "web", "sh", "-c", script]);
    until("the other answers", || inside("nc -w 5 store 5432").out() == "from db");
    until("the published port answers", || {
        docker.in_its_network(|| {
            let mut answer = String::new();
            let read = TcpStream::connect("10.214.0.1:8432").and_then(|mut stream| {
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                stream.read_to_string(&mut answer)
            });
            read.is_ok() && answer == "from db\n"
        })
    });
    let nameserver = docker.in_its_network(|| UdpSocket::bind("10.215.0.1:53").unwrap());
    std::thread::spawn(move || answer_with(&nameserver, [10, 9, 8, 7]));
    let found = inside("nslookup -type=a elsewhere.test").out();
    assert!(found.contains("Address: 10.9.8.7"), "{found}");
}

/// It is in the VM of that one, and asks Docker for names by its address.
fn one_in_the_network_of_another(docker: &Docker) {
    let script =
        "nc -w 5 127.0.0.1 5432; cat /proc/sys/kernel/random/boot_id; nslookup -type=a web | grep -c 10.215";
    let ask = || docker.run("holm", &["--network=container:db"], script).out();
    until("it answers over localhost", || ask().starts_with("from db\n"));
    let boot = docker.docker(["exec", "db", "cat", "/proc/sys/kernel/random/boot_id"]).ok();
    let asked = ask();
    assert!(asked.contains(&boot) && asked.ends_with("\n1"), "{asked}");
}

/// A nameserver that has one address for every name (RFC 1035, 4.1).
fn answer_with(socket: &UdpSocket, address: [u8; 4]) {
    let mut question = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut question) {
        let name_end = 12 + question[12..length].iter().position(|byte| *byte == 0).unwrap();
        let header = [question[0], question[1], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        // The name is the question's, type A, class IN, for a minute.
        let answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4];
        let reply = [&header[..], &question[12..name_end + 5], &answer, &address].concat();
        let _ = socket.send_to(&reply, from);
    }
}
