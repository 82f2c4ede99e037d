//! An ordinary user's containers (docs/decisions/0027-rootless.md): everything that needs no more than /dev/kvm.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use holm_e2e::{Holm, TestImage, until};

use crate::confinement::shared_namespaces;
use crate::network::{Outside, SERVER, host, inspected, succeeds};

const NONE: [&str; 2] = ["--network", "none"];

/// Answers each datagram on port 5000.
const ECHO: &str = "my $s = IO::Socket::INET->new(LocalPort => 5000, Proto => 'udp') or die; \
                    while ($s->recv(my $d, 99)) { $s->send(\"got $d\") }";

/// Where a published port of the container is, as `IP:PORT`.
fn published(holm: &Holm, name: &str, port: &str) -> String {
    holm.holm(["port", name, port]).outcome().ok().lines().next().expect("a port").to_owned()
}

fn fetched(target: &str) -> bool {
    succeeds(&format!("curl -sf -m 5 http://{target}/hostname"))
}

/// The pid of the passt that speaks for a container.
fn passt_of(holm: &Holm, name: &str) -> Option<u32> {
    let supervisor = format!("supervise {}", inspected(holm, name, "{{.Id}}"));
    let found = host(&format!("pgrep -P $(pgrep -f '{supervisor}' | head -1) passt || true"));
    found.lines().next().and_then(|pid| pid.parse().ok())
}

fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

#[test]
fn rootless_containers_run_with_root_inside_and_the_user_outside() {
    let holm = Holm::of_user(TestImage::Busybox).networked();
    let shown = holm
        .holm(["run", "--rm"])
        .args(NONE)
        .args(["busybox", "sh", "-c", "id -u; touch /file; exit 7"])
        .outcome();
    assert_eq!((shown.code, shown.out().as_str()), (7, "0"), "{}", shown.err());
    let name = holm.background(&NONE, "sleep 1000");
    let vmm = inspected(&holm, &name, "{{.State.Pid}}");
    for key in ["Uid", "Gid"] {
        let status = host(&format!("grep {key}: /proc/{vmm}/status"));
        assert!(!status.split_whitespace().skip(1).any(|id| id == "0"), "{status}");
    }
    assert_eq!(shared_namespaces(&vmm), ["cgroup", "pid"]);
    assert!(fs::read_dir(format!("/proc/{vmm}/root")).unwrap().next().is_none());
    assert!(!holm.holm(["template", "ls"]).outcome().ok().is_empty());
    let doctor = holm.holm(["doctor"]).outcome().ok();
    assert!(doctor.contains("/home/holm-tests/.local/share/holm") && doctor.contains("by passt"), "{doctor}");
}

#[test]
fn rootless_containers_have_all_verbs() {
    let holm = Holm::of_user(TestImage::Busybox).networked();
    let name = holm.background(&NONE, "echo begun; trap 'exit 3' TERM; while :; do sleep 0.1; done");
    until("the log has it", || holm.holm(["logs", &name]).outcome().ok() == "begun");
    assert_eq!(holm.holm(["exec", &name, "sh", "-c", "echo x > /made; cat /made"]).outcome().ok(), "x");
    let file = "/home/holm-tests/copied";
    let place = format!("{name}:/made");
    holm.holm(["cp", &place, file]).outcome().ok();
    assert_eq!(fs::read_to_string(file).expect("the copy"), "x\n");
    holm.holm(["cp", file, &format!("{name}:/again")]).outcome().ok();
    assert!(holm.holm(["diff", &name]).outcome().ok().contains("A /again"));
    assert!(holm.holm(["stats", "--no-stream", &name]).outcome().ok().contains(&name));
    holm.holm(["update", "-m", "200m", "--pids-limit", "50", &name]).outcome().ok();
    assert!(holm.holm(["top", &name]).outcome().ok().contains("sleep"));
    holm.holm(["pause", &name]).outcome().ok();
    holm.holm(["unpause", &name]).outcome().ok();
    holm.holm(["stop", &name]).outcome().ok();
    assert_eq!(inspected(&holm, &name, "{{.State.ExitCode}}"), "3");
    holm.holm(["start", &name]).outcome().ok();
    assert_eq!(holm.holm(["exec", &name, "cat", "/made"]).outcome().ok(), "x", "the layer stays");
    let image = format!("local/{name}");
    holm.holm(["commit", &name, &image]).outcome().ok();
    holm.holm(["rm", "-f", &name]).outcome().ok();
    assert_eq!(holm.holm(["run", "--rm"]).args(NONE).args([&image, "cat", "/again"]).outcome().ok(), "x");
    holm.holm(["rmi", &image]).outcome().ok();
}

#[test]
fn m37_rootless_containers_reach_the_outside_with_the_users_sockets() {
    let (holm, outside) = (Holm::of_user(TestImage::Busybox).networked(), Outside::new());
    let server = "exec python3 -c 'import socket; s = socket.create_server((\"\", 80)); c, a = s.accept(); \
                  c.sendall(a[0].encode()); c.close()'";
    let mut server = outside.run(server).spawn().expect("start a server");
    // Its own side stays open until the answer is there: passt of 2023 may lose what comes after the guest's end.
    let get = format!(
        "for i in 1 2 3 4 5 6 7 8 9; do (sleep 5 | nc {} 80) && exit; sleep 1; done; exit 1",
        outside.own_ip
    );
    assert_eq!(holm.run(["busybox", "sh", "-c", &get]).ok(), outside.host_ip);
    server.wait().expect("the server");
}

#[test]
fn m37_rootless_containers_are_reached_by_published_ports() {
    let (holm, outside) = (Holm::of_user(TestImage::Busybox).networked(), Outside::new());
    let name = holm.background(&["-p", "80", "-p", "127.0.0.1::81"], SERVER);
    let everywhere = published(&holm, &name, "80").replace("0.0.0.0:", "");
    until("the server serves", || fetched(&format!("127.0.0.1:{everywhere}")));
    assert!(fetched(&format!("{}:{everywhere}", outside.host_ip)), "from the host by another address");
    let get = format!("curl -sf -m 5 http://{}:{everywhere}/hostname", outside.host_ip);
    assert!(outside.run(&get).output().expect("curl").status.success(), "from outside");
    assert!(published(&holm, &name, "81").starts_with("127.0.0.1:"));
    holm.run(["-p", &format!("{everywhere}:80"), "busybox", "true"]).fails(125, "Address already in use");
    holm.run(["-p", "80:80", "busybox", "true"]).fails(125, "net.ipv4.ip_unprivileged_port_start");
    // The port is free again when the container has ended.
    holm.holm(["rm", "-f", &name]).outcome().ok();
    drop(TcpListener::bind(format!("0.0.0.0:{everywhere}")).expect("the port"));
}

#[test]
fn m37_rootless_containers_are_reached_by_published_udp_ports() {
    let (holm, outside) = (Holm::of_user(TestImage::Debian).networked(), Outside::new());
    let name = holm.name();
    let run = ["run", "-d", "--name", &name, "-p", "5000/udp", "debian", "perl", "-MIO::Socket::INET", "-e"];
    holm.holm(run).arg(ECHO).outcome().ok();
    let port = published(&holm, &name, "5000/udp").replace("0.0.0.0:", "");
    for address in [&outside.host_ip, "127.0.0.1"] {
        let socket = UdpSocket::bind((address, 0)).expect("a socket");
        socket.set_read_timeout(Some(std::time::Duration::from_secs(1))).expect("a timeout");
        until("an answer arrives", || {
            socket.send_to(b"knock", format!("{address}:{port}")).expect("send");
            let mut answer = [0; 99];
            socket.recv(&mut answer).is_ok_and(|count| &answer[..count] == b"got knock")
        });
    }
}

#[test]
fn m37_rootless_containers_do_not_reach_the_hosts_loopback() {
    let holm = Holm::of_user(TestImage::Busybox).networked();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let name = holm.background(&["--cap-add", "NET_ADMIN"], "sleep 1000");
    let gateway = inspected(&holm, &name, "{{.NetworkSettings.Gateway}}");
    for target in [gateway.as_str(), "127.0.0.1", "127.0.0.2"] {
        let connect = format!("nc -w 3 {target} {port} </dev/null");
        assert_ne!(holm.holm(["exec", &name, "sh", "-c", &connect]).outcome().code, 0, "{target}");
    }
}

#[test]
fn m39_rootless_containers_ask_the_hosts_nameserver_wherever_it_is() {
    let holm = Holm::of_user(TestImage::Debian).networked();
    // It answers that everything is at 192.0.2.7, on a loopback address of the host.
    let server = "import socket\n\
                  s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((\"127.0.0.54\", 53))\n\
                  while True:\n \
                  q, a = s.recvfrom(512); n = q.index(b\"\\0\", 12) + 5\n \
                  s.sendto(q[:2] + b\"\\x81\\x80\\0\\1\" + (b\"\\0\\1\" if q[n-3] == 1 else b\"\\0\\0\") + \
                  b\"\\0\\0\\0\\0\" + q[12:n] + (b\"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4\\xc0\\0\\2\\7\" if q[n-3] == 1 \
                  else b\"\"), a)";
    let mut server = Command::new("python3").args(["-c", server]).spawn().expect("start a nameserver");
    let options = ["--dns", "127.0.0.54", "--hostname", "box", "--add-host", "db:192.0.2.9"];
    let script = "cat /etc/resolv.conf /etc/hosts; hostname; getent ahostsv4 somewhere.example";
    let shown = holm.holm(["run", "--rm"]).args(options).args(["debian", "sh", "-c", script]).outcome();
    server.kill().and_then(|()| server.wait()).expect("end the nameserver");
    let shown = shown.ok();
    for expected in ["nameserver 127.0.0.11", "192.0.2.9\tdb", "\tbox", "\nbox\n", "192.0.2.7"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn nothing_speaks_for_a_rootless_container_that_is_gone() {
    let holm = Holm::of_user(TestImage::Busybox).networked();
    let name = holm.background(&["-p", "80"], "sleep 1000");
    let passt = passt_of(&holm, &name).expect("a passt");
    holm.holm(["rm", "-f", &name]).outcome().ok();
    assert!(!is_running(passt));
    let name = holm.background(&["-p", "80"], "sleep 1000");
    let passt = passt_of(&holm, &name).expect("a passt");
    let id = inspected(&holm, &name, "{{.Id}}");
    let killed = Command::new("pkill").args(["-9", "-f", &format!("supervise {id}")]).status();
    assert!(killed.expect("pkill").success());
    until("passt has ended", || !is_running(passt));
    assert_eq!(inspected(&holm, &name, "{{.State.ExitCode}}"), "255");
    // And the other way round: who loses passt loses the network, not the VM.
    holm.holm(["start", &name]).outcome().ok();
    host(&format!("kill -9 {}", passt_of(&holm, &name).expect("a passt")));
    assert_eq!(holm.holm(["exec", &name, "echo", "alive"]).outcome().ok(), "alive");
}

#[test]
fn m38_what_takes_root_says_so() {
    let holm = Holm::of_user(TestImage::Busybox).networked();
    let create = holm.holm(["network", "create", &holm.name()]).outcome();
    assert!(create.code != 0 && create.err().contains("needs root"), "{create:?}");
    assert_eq!(holm.run(["--network", "nowhere", "busybox", "true"]).code, 125);
    let name = holm.background(&[], "sleep 1000");
    let disconnect = holm.holm(["network", "disconnect", "bridge", &name]).outcome();
    assert!(disconnect.code != 0 && disconnect.err().contains("needs root"), "{disconnect:?}");
}

#[test]
fn rootless_volumes_keep_the_owners_that_the_container_gives_them() {
    let holm = Holm::of_user(TestImage::Busybox).networked();
    let volume = holm.name();
    let mount = format!("{volume}:/v");
    let sh = |user: &str, script: &str| {
        let options = ["--network", "none", "-u", user, "-v", &mount, "busybox", "sh", "-c", script];
        holm.run(options).ok()
    };
    sh("0", "mkdir /v/data; chown 999:998 /v/data; chmod 700 /v/data; echo root > /v/file");
    sh("999:998", "umask 277; echo theirs > /v/data/file");
    assert_eq!(sh("0", "cd /v; stat -c '%u:%g %a' file data data/file"), "0:0 644\n999:998 700\n999:998 400");
    let data = holm.holm(["volume", "inspect", "-f", "{{.Mountpoint}}", &volume]).outcome().ok();
    let data = Path::new(&data);
    let outside = ["file", "data/file"].map(|file| fs::metadata(data.join(file)).expect("a file").uid());
    let user = fs::metadata("/home/holm-tests").expect("the home").uid();
    assert_eq!(outside, [user; 2]);
    holm.holm(["volume", "rm", &volume]).outcome().ok();
    // A bind mount: the user's own is root's, what is others' is nobody's and stays theirs.
    let shown =
        ["-v", "/home:/h", "-v", "/etc:/e", "busybox", "stat", "-c", "%u", "/h/holm-tests", "/e/shadow"];
    assert_eq!(holm.holm(["run", "--rm"]).args(NONE).args(shown).outcome().ok(), "0\n65534");
    assert_ne!(
        holm.holm(["run", "--rm"])
            .args(NONE)
            .args(["-v", "/etc:/e", "busybox", "cat", "/e/shadow"])
            .outcome()
            .code,
        0
    );
}
