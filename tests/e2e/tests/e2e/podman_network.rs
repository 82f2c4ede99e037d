//! The network that podman prepares for a container is the guest's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use holm_e2e::{Outcome, Podman, until};

#[test]
fn podmans_network_is_the_guests() {
    let podman = Podman::over_holm();
    let name = podman.name();
    let script = "echo ready; while :; do echo from the guest | nc -l -p 80; done";
    // A subnet of its own: bridges of Holm's have podman's default one on the host of these tests. One for each run: what a run leaves that
    // the lab's death cut off, podman still knows when the test is run again.
    let subnet = format!("10.216.{}.0/24", std::process::id() % 256);
    podman.podman(["network", "create", "--subnet", &subnet, &name]).ok();
    let words = ["run", "-d", "--name", &name, "--network", &name, "busybox", "sh", "-c", script];
    podman.podman(words).ok();
    let field =
        |field: &str| podman.inspect(&name, &format!("(index .NetworkSettings.Networks \"{name}\").{field}"));
    let address = field("IPAddress");
    let gateway = field("Gateway");
    let mac = field("MacAddress");
    let inside = |words: &[&str]| podman.podman([&["exec", name.as_str()], words].concat());
    let shown = inside(&["ip", "addr", "show", "eth0"]).ok();
    assert!(shown.contains(&address) && shown.contains(&mac), "{address} {mac}: {shown}");
    assert!(inside(&["ip", "route"]).ok().contains(&format!("default via {gateway}")));
    assert_eq!(said_by_the_host(&gateway, &inside), "from the host");
    assert!(inside(&["cat", "/etc/hosts"]).ok().contains(&address));
    until("a server in the guest answers", || {
        let mut answer = String::new();
        let connected = TcpStream::connect((address.as_str(), 80)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(b"\n")?;
            stream.read_to_string(&mut answer)
        });
        connected.is_ok() && answer == "from the guest\n"
    });
    // Started again, in a namespace that is made anew.
    podman.podman(["restart", "-t", "0", &name]).ok();
    assert_eq!(said_by_the_host(&gateway, &inside), "from the host");
    podman.podman(["rm", "-f", "-t", "0", &name]).ok();
    podman.podman(["network", "rm", &name]).ok();
}

/// What the guest hears from a server at the gateway's address.
fn said_by_the_host(gateway: &str, inside: &impl Fn(&[&str]) -> Outcome) -> String {
    let listener = TcpListener::bind((gateway, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    // It ends with the test if nobody comes.
    thread::spawn(move || listener.accept().map(|(mut stream, _)| stream.write_all(b"from the host\n")));
    inside(&["nc", "-w", "10", gateway, &port]).out()
}
