//! Several networks of one container, and networks that come and go: the container model's M38, and M37 and M39 for them.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use holm_e2e::{Holm, TestImage, until};

fn create(holm: &Holm, options: &[&str]) -> String {
    let name = holm.name();
    holm.holm(["network", "create"]).args(options).arg(&name).outcome().ok();
    name
}

/// Networks are removed last.
fn remove(holm: &Holm, containers: &[&str], networks: &[&str]) {
    holm.holm(["rm", "-f"]).args(containers).outcome().ok();
    holm.holm(["network", "rm"]).args(networks).outcome().ok();
}

fn connect(holm: &Holm, words: &[&str]) {
    holm.holm(["network", "connect"]).args(words).outcome().ok();
}

fn disconnect(holm: &Holm, network: &str, container: &str) {
    holm.holm(["network", "disconnect", network, container]).outcome().ok();
}

fn address(holm: &Holm, container: &str, network: &str) -> String {
    let what = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
    holm.holm(["inspect", "-f", &what, container]).outcome().ok()
}

fn inside(holm: &Holm, container: &str, script: &str) -> String {
    holm.holm(["exec", container, "sh", "-c", script]).outcome().ok()
}

fn pings(holm: &Holm, container: &str, target: &str) -> bool {
    holm.holm(["exec", container, "ping", "-c", "1", "-W", "3", target]).outcome().code == 0
}

const SLEEP: &str = "sleep 1000";
const INTERFACES: &str = "echo $(ls /sys/class/net)";

/// On the first network, and on the second while it runs: what goes over several queues at once arrives. (With the thread of a share, the
/// VMM has more threads than the C library has heaps for without asking how many processors there are, which the VMM must not.)
#[test]
fn m38_each_processor_has_a_queue_of_each_network() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let (one, two) = (create(&holm, &[]), create(&holm, &[]));
    let serve = "head -c 262144 /dev/urandom >/file && exec httpd -f -p 80 -h /";
    let server = holm.background(&["--cpus", "2", "--network", &one], serve);
    let client = holm.background(&["--cpus", "2", "-v", "/volume", "--network", &one], SLEEP);
    connect(&holm, &[&two, &server]);
    connect(&holm, &[&two, &client]);
    let sum = inside(&holm, &server, "md5sum </file");
    for (interface, network) in [("eth0", &one), ("eth1", &two)] {
        let queues = inside(&holm, &client, &format!("echo $(ls /sys/class/net/{interface}/queues)"));
        assert_eq!(queues, "rx-0 rx-1 tx-0 tx-1", "{interface}");
        let get = format!(
            "printf 'GET /file HTTP/1.0\\r\\n\\r\\n' | nc {} 80 | tail -c 262144 | md5sum",
            address(&holm, &server, network)
        );
        let gets = inside(&holm, &client, &format!("for i in 1 2 3 4; do {get} & done; wait"));
        assert_eq!(gets, [sum.as_str(); 4].join("\n"));
    }
    remove(&holm, &[&server, &client], &[&one, &two]);
}

#[test]
fn m38_a_running_container_comes_onto_a_network_and_off_it() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let (one, two) = (create(&holm, &[]), create(&holm, &[]));
    let peer = holm.background(&["--network", &two], SLEEP);
    let name = holm.background(&["--network", &one], SLEEP);
    let target = address(&holm, &peer, &two);
    assert!(!pings(&holm, &name, &target));
    // Twice: the second time the guest's kernel knows the place of the device.
    for _ in 0..2 {
        connect(&holm, &[&two, &name]);
        assert_eq!(inside(&holm, &name, INTERFACES), "eth0 eth1 lo");
        assert!(pings(&holm, &name, &target));
        assert!(pings(&holm, &peer, &address(&holm, &name, &two)));
        holm.holm(["network", "connect", &two, &name]).outcome().fails(125, "already exists in network");
        disconnect(&holm, &two, &name);
        assert_eq!(inside(&holm, &name, INTERFACES), "eth0 lo");
        assert!(!pings(&holm, &name, &target));
        holm.holm(["network", "disconnect", &two, &name]).outcome().fails(125, "is not connected to network");
    }
    // Also the one with which it started, and then there is none.
    disconnect(&holm, &one, &name);
    assert_eq!(inside(&holm, &name, INTERFACES), "lo");
    connect(&holm, &["--ip", &target.replace(".0.2", ".9.9"), &two, &name]);
    assert!(address(&holm, &name, &two).ends_with(".9.9"));
    assert!(pings(&holm, &name, &target));
    assert_eq!(inside(&holm, &name, "ip route | grep -c default"), "1");
    remove(&holm, &[&name, &peer], &[&one, &two]);
}

#[test]
fn m38_networks_of_a_container_that_does_not_run_change_for_its_next_start() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let (one, two) = (create(&holm, &[]), create(&holm, &[]));
    let name = holm.name();
    let words = ["create", "--name", &name, "--network", &one, "busybox", "sleep", "1000"];
    holm.holm(words).outcome().ok();
    connect(&holm, &[&two, &name]);
    holm.holm(["network", "connect", &two, &name]).outcome().fails(125, "already exists in network");
    let shown =
        |what: &str| holm.holm(["ps", "-a", "-f", &format!("name={name}"), "--format", what]).outcome().ok();
    assert_eq!(shown("{{.Networks}}"), format!("{one},{two}"));
    holm.holm(["start", &name]).outcome().ok();
    assert_eq!(inside(&holm, &name, INTERFACES), "eth0 eth1 lo");
    holm.holm(["stop", "-t", "0", &name]).outcome().ok();
    disconnect(&holm, &one, &name);
    holm.holm(["start", &name]).outcome().ok();
    assert_eq!(inside(&holm, &name, INTERFACES), "eth0 lo");
    // What changed while it ran holds for the next start, too.
    connect(&holm, &[&one, &name]);
    holm.holm(["restart", "-t", "0", &name]).outcome().ok();
    assert_eq!(inside(&holm, &name, INTERFACES), "eth0 eth1 lo");
    remove(&holm, &[&name], &[&one, &two]);
}

#[test]
fn m38_the_way_out_is_by_the_first_network_that_has_one() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let (inner, one, two) = (create(&holm, &["--internal"]), create(&holm, &[]), create(&holm, &[]));
    let networks = ["--network", &inner, "--network", &format!("name={one},alias=x"), "--network", &two];
    let name =
        holm.background(&[&networks[..], &["-p", "127.0.0.1::80"]].concat(), "exec httpd -f -p 80 -h /etc");
    let route = || inside(&holm, &name, "ip route | awk '/default/ { print $5 }'");
    let port = || holm.holm(["port", &name, "80"]).outcome().ok();
    let serves = || {
        let url = format!("http://{}/hostname", port());
        Command::new("curl").args(["-sf", "-m", "5", &url]).output().expect("curl").status.success()
    };
    assert_eq!((inside(&holm, &name, INTERFACES).as_str(), route().as_str()), ("eth0 eth1 eth2 lo", "eth1"));
    until("the server serves", serves);
    disconnect(&holm, &one, &name);
    assert_eq!(route(), "eth2");
    until("the port leads there by another network", serves);
    connect(&holm, &[&one, &name]);
    assert_eq!((route().as_str(), port().is_empty()), ("eth2", false));
    remove(&holm, &[&name], &[&inner, &one, &two]);
}

#[test]
fn m38_names_come_and_go_with_networks() {
    let (busybox, debian) =
        (Holm::with(TestImage::Busybox).networked(), Holm::with(TestImage::Debian).networked());
    let network = create(&debian, &[]);
    let server = busybox.background(&["--network", &network], SLEEP);
    let asker = debian.name();
    debian.holm(["run", "-d", "--name", &asker, "debian", "sleep", "1000"]).outcome().ok();
    let resolved = |name: &str| {
        let found = debian.holm(["exec", &asker, "getent", "ahostsv4", name]).outcome().out();
        found.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(resolved(&server), "");
    connect(&debian, &["--alias", "me", &network, &asker]);
    assert_eq!(resolved(&server), address(&busybox, &server, &network));
    assert_eq!(resolved("me"), address(&debian, &asker, &network));
    let hosts = debian.holm(["exec", &asker, "cat", "/etc/hosts"]).outcome().ok();
    assert!(hosts.contains(&address(&debian, &asker, &network)), "{hosts}");
    disconnect(&debian, &network, &asker);
    assert_eq!(resolved(&server), "");
    remove(&debian, &[&asker, &server], &[&network]);
}

#[test]
fn m37_a_network_that_came_later_is_as_strict_as_the_first() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let (network, other) = (create(&holm, &[]), create(&holm, &[]));
    let peer = holm.background(&["--network", &network], SLEEP);
    let stranger = holm.background(&["--network", &other], SLEEP);
    let name = holm.background(&["--cap-add", "NET_ADMIN", "--network", &other], SLEEP);
    connect(&holm, &[&network, &name]);
    let target = address(&holm, &peer, &network);
    assert!(pings(&holm, &name, &target));
    // Who is on two networks joins nobody else.
    assert!(!pings(&holm, &stranger, &target));
    let own = address(&holm, &name, &network);
    inside(
        &holm,
        &name,
        &format!("ip addr del {own}/16 dev eth1; ip addr add {}/16 dev eth1", own.replace(".0.", ".7.")),
    );
    assert!(!pings(&holm, &name, &target), "an address that is not its own");
    remove(&holm, &[&name, &peer, &stranger], &[&network, &other]);
}

#[test]
fn m38_nothing_is_left_of_a_network_that_came_later() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let network = create(&holm, &[]);
    let name = holm.background(&[], SLEEP);
    let id = holm.holm(["inspect", "-f", "{{.Id}}", &name]).outcome().ok();
    let traces = |tap: &str| {
        let endpoints = std::fs::read_dir(holm.run_directory().join("networks")).expect("endpoints");
        let names = endpoints.map(|entry| entry.expect("endpoint").file_name().into_string().expect("name"));
        (names.filter(|name| name.starts_with(&id)).count(), Path::new("/sys/class/net").join(tap).exists())
    };
    let tap = || {
        let address: Ipv4Addr = address(&holm, &name, &network).parse().expect("an address");
        format!("holm{:08x}", address.to_bits())
    };
    connect(&holm, &[&network, &name]);
    let first = tap();
    assert_eq!(traces(&first), (2, true));
    disconnect(&holm, &network, &name);
    assert_eq!(traces(&first), (1, false));
    connect(&holm, &[&network, &name]);
    let second = tap();
    let killed = Command::new("pkill").args(["-9", "-f", &format!("supervise {id}")]).status();
    assert!(killed.expect("pkill").success());
    until("the interface is gone", || !traces(&second).1);
    holm.run(["busybox", "true"]).ok();
    until("the next container has cleaned up", || traces(&second).0 == 0);
    remove(&holm, &[&name], &[&network]);
}

#[test]
fn m38_what_cannot_be_connected_is_refused() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let network = create(&holm, &[]);
    let name = holm.background(&["--network", "none"], SLEEP);
    holm.holm(["network", "connect", &network, &name]).outcome().fails(125, "private (none) mode");
    holm.holm(["network", "connect", "nowhere", &name]).outcome().fails(125, "network nowhere not found");
    holm.holm(["network", "disconnect", &network, "nobody"]).outcome().fails(125, "no such container");
    holm.holm(["network", "disconnect", "-f", &network, "nobody"]).outcome().ok();
    let run = |networks: &[&str]| holm.run([networks, &["busybox", "true"]].concat());
    run(&["--network", &format!("container:{name}")]).fails(125, "find each other by name");
    run(&["--network", &network, "--network", "bridge"]).fails(125, "conflicting options");
    run(&["--network", &network, "--network", &network]).fails(125, "specified multiple times");
    run(&["--network", &format!("name={network},color=red")]).fails(125, "invalid field");
    let actions =
        ["events", "--since", "1h", "--until", "0s", "-f", "type=network", "--format", "{{.Action}}"];
    let filter = format!("network={network}");
    run(&["--network", &network]).ok();
    until("the network was left", || {
        holm.holm(actions).args(["-f", &filter]).outcome().ok() == "connect\ndisconnect"
    });
    remove(&holm, &[&name], &[&network]);
}
