//! Networks: the container model's M37 to M39. What is outside of the host is a network namespace of the test's own.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use holm_e2e::{Holm, TestImage, until};
use serde_json::Value;

/// Serves /etc/hostname.
pub(crate) const SERVER: &str = "exec httpd -f -p 80 -h /etc";

pub(crate) fn host(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().expect("start sh");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

pub(crate) fn succeeds(command: &str) -> bool {
    Command::new("sh").args(["-c", command]).output().expect("start sh").status.success()
}

fn fetch(address: &str) -> bool {
    succeeds(&format!("curl -sfg -m 5 http://{address}/hostname"))
}

/// The same, when it is there, from outside of the host.
fn is_fetched_by(outside: &Outside, address: &str) -> bool {
    let get = format!("curl -sfg -m 5 http://{address}/hostname");
    outside.run(&get).output().expect("curl").status.success()
}

pub(crate) fn inspected(holm: &Holm, name: &str, what: &str) -> String {
    holm.holm(["inspect", "-f", what, name]).outcome().ok()
}

/// The container's address on the network that it is on.
fn address(holm: &Holm, name: &str) -> String {
    inspected(holm, name, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
}

/// A namespace joined with the host by a pair of interfaces.
pub(crate) struct Outside {
    namespace: String,
    pub(crate) own_ip: String,
    pub(crate) host_ip: String,
    pub(crate) own_ip6: String,
    pub(crate) host_ip6: String,
}

static NEXT: AtomicU8 = AtomicU8::new(0);

impl Outside {
    pub(crate) fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pid = std::process::id();
        let (namespace, veth) = (format!("out{pid}-{number}"), format!("ve{pid}-{number}"));
        // Tests run beside each other: four networks of four addresses for each process, out of 198.18.0.0/15.
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + pid % 8192 * 16 + u32::from(number) * 4;
        let (host_ip, own_ip) = (Ipv4Addr::from(base + 1).to_string(), Ipv4Addr::from(base + 2).to_string());
        let base6 = 0xfd00_0198_u128 << 96 | u128::from(base);
        let (host_ip6, own_ip6) =
            (Ipv6Addr::from(base6 + 1).to_string(), Ipv6Addr::from(base6 + 2).to_string());
        host(&format!(
            "ip netns add {namespace} && ip link add {veth} type veth peer name eth0 netns {namespace} && \
             ip addr add {host_ip}/30 dev {veth} && ip link set {veth} up && \
             ip -n {namespace} addr add {own_ip}/30 dev eth0 && ip -n {namespace} link set eth0 up && \
             ip -n {namespace} link set lo up && \
             ip addr add {host_ip6}/126 dev {veth} nodad && ip -n {namespace} addr add {own_ip6}/126 dev eth0 nodad"
        ));
        Self { namespace, own_ip, host_ip, own_ip6, host_ip6 }
    }

    pub(crate) fn run(&self, command: &str) -> Command {
        let mut words = Command::new("ip");
        words.args(["netns", "exec", &self.namespace, "sh", "-c", command]);
        words
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).output();
    }
}

/// What the host has for a container that publishes a port: its interface, its rule, its endpoint.
struct Traces {
    id: String,
    tap: String,
    target: String,
}

impl Traces {
    /// Of a container on a network of its own: on one that others join, its address is soon somebody else's, and so is what
    /// the rules say of it.
    fn of(holm: &Holm, name: &str) -> Self {
        let id = inspected(holm, name, "{{.Id}}");
        let network = inspected(holm, name, "{{range .NetworkSettings.Networks}}{{.NetworkID}}{{end}}");
        let endpoint = holm.run_directory().join(format!("networks/{id}-{}.json", &network[..12]));
        let endpoint: Value = serde_json::from_slice(&std::fs::read(endpoint).unwrap()).unwrap();
        let tap = endpoint["Tap"].as_str().unwrap().to_owned();
        Self { id, tap, target: format!("{} . 80", address(holm, name)) }
    }

    fn is_connected(&self) -> bool {
        succeeds(&format!("ip -o link | grep {}", self.tap))
    }

    fn found(&self, holm: &Holm) -> [bool; 3] {
        let run = holm.run_directory().display();
        let is_published = succeeds(&format!("nft list ruleset | grep '{}'", self.target));
        let has_endpoint = succeeds(&format!("ls {run}/networks | grep {}", self.id));
        [self.is_connected(), is_published, has_endpoint]
    }
}

#[test]
fn m37_each_container_has_a_stack_and_an_address_of_its_own() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let (one, two) = (holm.background(&[], "sleep 1000"), holm.background(&[], "sleep 1000"));
    let (first, second) = (address(&holm, &one), address(&holm, &two));
    assert_ne!(first, second);
    let shown = holm.holm(["exec", &one, "ip", "-4", "addr", "show", "dev", "eth0"]).outcome().ok();
    assert!(shown.contains(&format!("inet {first}/")), "{shown}");
    let gateway = inspected(&holm, &one, "{{.NetworkSettings.Gateway}}");
    for target in [&second, &gateway] {
        holm.holm(["exec", &one, "ping", "-c", "1", "-W", "10", target]).outcome().ok();
    }
}

#[test]
fn m37_the_outside_is_reached_through_nat() {
    let (holm, outside) = (Holm::with(TestImage::Busybox).networked(), Outside::new());
    // Tells whoever connects where it came from.
    let server = "exec python3 -c 'import socket; s = socket.create_server((\"\", 80)); c, a = s.accept(); c.sendall(a[0].encode()); c.close()'";
    let mut server = outside.run(server).spawn().expect("start a server");
    let seen = holm.run([
        "busybox",
        "sh",
        "-c",
        &format!(
            "for i in 1 2 3 4 5 6 7 8 9; do nc {} 80 </dev/null && exit; sleep 1; done; exit 1",
            outside.own_ip
        ),
    ]);
    assert_eq!(seen.ok(), outside.host_ip);
    server.wait().expect("the server");
}

#[test]
fn m37_published_ports_are_reached_from_outside_and_from_the_host() {
    let (holm, outside) = (Holm::with(TestImage::Busybox).networked(), Outside::new());
    let name = holm.background(&["-p", "80", "-p", "127.0.0.1::80"], SERVER);
    let ports = holm.holm(["port", &name, "80"]).outcome().ok();
    let of = |ip: &str| ports.lines().find_map(|line| line.strip_prefix(ip)).expect("a port").to_owned();
    let (everywhere, local) = (of("0.0.0.0:"), of("127.0.0.1:"));
    until("the server serves", || fetch(&format!("127.0.0.1:{everywhere}")));
    assert!(fetch(&format!("{}:{everywhere}", outside.host_ip)), "from the host by another address");
    assert!(fetch(&format!("127.0.0.1:{local}")));
    let from_outside = |port: &str| {
        let get = format!("curl -sf -m 5 http://{}:{port}/hostname", outside.host_ip);
        outside.run(&get).output().expect("curl").status.success()
    };
    assert!(from_outside(&everywhere));
    assert!(!from_outside(&local), "published for the host only");
    let shown =
        holm.holm(["ps", "--filter", &format!("name={name}"), "--format", "{{.Ports}}"]).outcome().ok();
    let both = format!("0.0.0.0:{everywhere}->80/tcp, [::]:{everywhere}->80/tcp");
    assert_eq!(shown, format!("{both}, 127.0.0.1:{local}->80/tcp"));
    holm.run(["-p", &format!("{everywhere}:80"), "busybox", "true"]).fails(125, "Address already in use");
}

#[test]
fn m37_published_udp_ports_are_reached_from_the_hosts_loopback() {
    let holm = Holm::with(TestImage::Debian).networked();
    let name = holm.name();
    let server = "$| = 1; my $s = IO::Socket::INET->new(LocalPort => 5000, Proto => 'udp') or die; \
                  while ($s->recv(my $d, 99)) { print $d }";
    let run = ["run", "-d", "--name", &name, "-p", "127.0.0.1::5000/udp", "debian"];
    holm.holm(run).args(["perl", "-MIO::Socket::INET", "-e", server]).outcome().ok();
    let target = holm.holm(["port", &name, "5000/udp"]).outcome().ok();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    until("a datagram arrives", || {
        socket.send_to(b"knock\n", &target).expect("send");
        holm.holm(["logs", &name]).outcome().ok().contains("knock")
    });
}

#[test]
fn m37_what_is_not_published_is_not_reached_from_outside() {
    let (holm, outside) = (Holm::with(TestImage::Busybox).networked(), Outside::new());
    let name = holm.background(&[], SERVER);
    let target = address(&holm, &name);
    until("the server serves", || fetch(&target));
    let get =
        format!("ip route add {target} via {}; curl -sf -m 3 http://{target}/hostname", outside.host_ip);
    assert!(!outside.run(&get).output().expect("curl").status.success());
}

#[test]
fn m37_foreign_addresses_are_dropped() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let peer = address(&holm, &holm.background(&[], "sleep 1000"));
    let ping = |change: &str| {
        let script = format!(
            "mac=$(cat /sys/class/net/eth0/address); ip=$(ip -4 -o addr show dev eth0 | awk '{{print $4}}'); {change}
             ip link set eth0 down; ip addr flush dev eth0; ip link set eth0 address $mac
             ip addr add $ip dev eth0; ip link set eth0 up; ping -c 1 -W 4 {peer}"
        );
        holm.run(["--cap-add", "NET_ADMIN", "busybox", "sh", "-c", &script]).code
    };
    assert_eq!(ping(""), 0, "its own");
    assert_ne!(ping("mac=02:42:0a:ff:ff:fe"), 0);
    assert_ne!(ping("ip=${ip%.*}.201/${ip#*/}"), 0);
}

#[test]
fn m37_without_a_network_there_is_only_loopback() {
    let holm = Holm::with(TestImage::Busybox).networked();
    assert_eq!(holm.run(["--network", "none", "busybox", "ls", "/sys/class/net"]).ok(), "lo");
    holm.run(["--network", "host", "busybox", "true"]).fails(125, "publish what it serves with -p");
    holm.run(["--network", "nowhere", "busybox", "true"]).fails(125, "network nowhere not found");
}

#[test]
fn m37_nothing_is_left_of_a_network_when_its_container_is_gone() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let network = holm.name();
    holm.holm(["network", "create", &network]).outcome().ok();
    let name = holm.background(&["--network", &network, "-p", "80"], "sleep 1000");
    let traces = Traces::of(&holm, &name);
    assert_eq!(traces.found(&holm), [true; 3]);
    holm.holm(["rm", "-f", &name]).outcome().ok();
    assert_eq!(traces.found(&holm), [false; 3]);
}

#[test]
fn m37_what_a_killed_supervisor_left_is_removed_by_the_next_command() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let network = holm.name();
    holm.holm(["network", "create", &network]).outcome().ok();
    let name = holm.background(&["--network", &network, "-p", "80"], "sleep 1000");
    let traces = Traces::of(&holm, &name);
    let killed = Command::new("pkill").args(["-9", "-f", &format!("supervise {}", traces.id)]).status();
    assert!(killed.expect("pkill").success());
    until("the interface is gone", || !traces.is_connected());
    holm.run(["busybox", "true"]).ok();
    until("the next container has cleaned up", || traces.found(&holm) == [false; 3]);
}

#[test]
fn m31_what_an_interface_carries_is_limited() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let serve = "dd if=/dev/zero of=/tmp/file bs=1k count=1024; exec httpd -f -p 80 -h /tmp";
    let slow_name = holm.background(&["--net-rate-out", "256k"], serve);
    let fast_name = holm.background(&[], serve);
    let (slow, fast) = (address(&holm, &slow_name), address(&holm, &fast_name));
    let asker = holm.background(&["--net-rate-in", "256k"], "sleep 1000");
    for server in [&slow, &fast] {
        until("the server serves", || succeeds(&format!("curl -sfI -m 5 http://{server}/file")));
    }
    // A mebibyte at a quarter of one in a second; the first tenth of a second is free.
    let least = Duration::from_secs(3);
    let begin = Instant::now();
    assert_eq!(host(&format!("curl -sf -m 60 http://{slow}/file | wc -c")), "1048576");
    assert!(begin.elapsed() > least, "out: {:?}", begin.elapsed());
    let begin = Instant::now();
    let get = format!("printf 'GET /file HTTP/1.0\r\n\r\n' | nc {fast} 80 | tail -c 1048576 | wc -c");
    assert_eq!(holm.holm(["exec", &asker, "sh", "-c", &get]).outcome().ok(), "1048576");
    assert!(begin.elapsed() > least, "in: {:?}", begin.elapsed());
    assert_eq!(holm.run(["--net-rate-in", "0", "busybox", "true"]).code, 125);
    // Down for one that was made without a limit; and up: at 1 KiB a second it would take a quarter of an hour.
    let get = |server: &str| host(&format!("curl -sf -m 60 http://{server}/file | wc -c"));
    let update = |rate: &str, name: &str| holm.holm(["update", "--net-rate-out", rate, name]).outcome().ok();
    update("256k", &fast_name);
    let begin = Instant::now();
    assert_eq!(get(&fast), "1048576");
    assert!(begin.elapsed() > least, "limited later: {:?}", begin.elapsed());
    update("1k", &slow_name);
    assert!(!succeeds(&format!("curl -sf -m 3 http://{slow}/file")));
    update("0", &slow_name);
    assert_eq!(get(&slow), "1048576");
    assert_eq!(inspected(&holm, &fast_name, "{{.HostConfig.NetRateOut}}"), "262144");
    let carried = holm.holm(["stats", "--no-stream", "--format", "{{.NetIO}}", &fast_name]).outcome().ok();
    assert!(carried.ends_with("MB"), "{carried}");
}

#[test]
fn m31_a_neighbour_at_all_of_its_limits_makes_no_request_fail() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let server = address(&holm, &holm.background(&["--cpuset-cpus=0"], SERVER));
    until("the server serves", || fetch(&server));
    let limits = ["--cpuset-cpus=1", "--cpus=1", "-m=128m", "--pids-limit=100", "--storage-opt=size=256m"];
    let rates = ["--device-write-bps=/:4mb", "--net-rate-out=4m"];
    let worst = "(while :; do (b() { b | b & }; b) 2>/dev/null; sleep 1; done) &
        (while :; do tail /dev/zero 2>/dev/null; sleep 0.1; done) &
        (while :; do dd if=/dev/zero of=/fill bs=64k 2>/dev/null; rm -f /fill; sleep 0.1; done) &
        gateway=$(ip route | awk '/default/ { print $3 }')
        while :; do nc -u $gateway 9 </dev/zero 2>/dev/null; done";
    let neighbour = holm.background(&[&limits[..], &rates].concat(), worst);
    for number in 0..40 {
        assert!(succeeds(&format!("curl -sf -m 60 http://{server}/hostname")), "request {number}");
    }
    assert_eq!(inspected(&holm, &neighbour, "{{.State.Status}}"), "running");
}

#[test]
fn m37_the_gateway_keeps_its_hardware_address_when_containers_come_and_go() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let network = holm.name();
    holm.holm(["network", "create", &network]).outcome().ok();
    let stays = address(&holm, &holm.background(&["--network", &network], "sleep 1000"));
    let bridge = host(&format!("ip -o route get {stays} | sed 's/.* dev //; s/ .*//'"));
    // 3 is NET_ADDR_SET: somebody chose it. Otherwise it is that of the lowest member, whoever that is just now.
    assert_eq!(host(&format!("cat /sys/class/net/{bridge}/addr_assign_type")), "3");
    let address_of_bridge = || host(&format!("cat /sys/class/net/{bridge}/address"));
    let before = address_of_bridge();
    for _ in 0..2 {
        holm.run(["--network", &network, "busybox", "true"]).ok();
        assert_eq!(address_of_bridge(), before);
    }
}

#[test]
fn m38_a_network_carries_what_it_was_made_for() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let network = holm.name();
    let option = "com.docker.network.driver.mtu=1300";
    holm.holm(["network", "create", "-o", option, &network]).outcome().ok();
    let name = holm.background(&["--network", &network], "sleep 1000");
    assert_eq!(holm.holm(["exec", &name, "cat", "/sys/class/net/eth0/mtu"]).outcome().ok(), "1300");
    let bridge = "{{index .Options \"com.docker.network.bridge.name\"}}";
    let bridge = holm.holm(["network", "inspect", "-f", bridge, &network]).outcome().ok();
    let of_host = std::fs::read_to_string(format!("/sys/class/net/{bridge}/mtu")).unwrap();
    assert_eq!(of_host.trim(), "1300");
    holm.holm(["rm", "-f", &name]).outcome().ok();
    holm.holm(["network", "rm", &network]).outcome().ok();
}

#[test]
fn m38_networks_do_not_reach_each_other() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let network = holm.name();
    holm.holm(["network", "create", &network]).outcome().ok();
    let (inside, outside) =
        (holm.background(&["--network", &network], SERVER), holm.background(&[], "sleep 1000"));
    let target = address(&holm, &inside);
    let neighbour = holm.background(&["--network", &network], "sleep 1000");
    // The static busybox of the image has no resolver that its wget could start with.
    let get = format!("printf 'GET /hostname HTTP/1.0\r\n\r\n' | nc -w 5 {target} 80 | grep -q '200 OK'");
    let reached = |from: &str| holm.holm(["exec", from, "sh", "-c", &get]).outcome().code == 0;
    until("the neighbour reaches it", || reached(&neighbour));
    assert!(!reached(&outside));
    holm.holm(["network", "rm", &network]).outcome().fails(1, "has active endpoints");
    for name in [&inside, &neighbour] {
        holm.holm(["rm", "-f", name]).outcome().ok();
    }
    assert_eq!(holm.holm(["network", "rm", &network]).outcome().ok(), network);
}

#[test]
fn m38_containers_on_one_network_find_each_other_by_name_and_alias() {
    let (busybox, debian) =
        (Holm::with(TestImage::Busybox).networked(), Holm::with(TestImage::Debian).networked());
    let (network, other) = (debian.name(), debian.name());
    for name in [&network, &other] {
        debian.holm(["network", "create", name]).outcome().ok();
    }
    let server = busybox.background(&["--network", &network, "--network-alias", "store"], "sleep 1000");
    let target = address(&busybox, &server);
    let asker = debian.name();
    let run = ["run", "-d", "--name", &asker, "--network", &network, "debian", "sleep", "1000"];
    debian.holm(run).outcome().ok();
    let resolved = |name: &str| {
        let found = debian.holm(["exec", &asker, "getent", "ahostsv4", name]).outcome().out();
        found.split(' ').next().unwrap_or_default().to_owned()
    };
    for name in [server.as_str(), "store", &format!("{server}.{network}")] {
        assert_eq!(resolved(name), target, "{name}");
    }
    assert_eq!(resolved("nobody-here"), "");
    let back = debian.holm(["exec", &asker, "getent", "hosts", &target]).outcome().ok();
    assert!(back.ends_with(&format!("{server}.{network}")), "{back}");
    let stranger = ["--network", &other, "debian", "getent", "hosts", &server];
    assert_eq!(debian.run(stranger).code, 2, "another network has other names");
    busybox.holm(["rename", &server, &format!("{server}x")]).outcome().ok();
    assert_eq!(resolved(&format!("{server}x")), target);
    busybox.holm(["rename", &format!("{server}x"), &server]).outcome().ok();
    for name in [&server, &asker] {
        debian.holm(["rm", "-f", name]).outcome().ok();
    }
    debian.holm(["network", "rm", &network, &other]).outcome().ok();
}

#[test]
fn m37_ports_are_published_over_ipv6_to_containers_without_it() {
    let (holm, outside) = (Holm::with(TestImage::Busybox).networked(), Outside::new());
    let name = holm.background(&["-p", "80", "-p", "[::1]::80"], SERVER);
    let ports = holm.holm(["port", &name, "80"]).outcome().ok();
    let [over4, over6, local] = ports.lines().collect::<Vec<_>>()[..] else { panic!("{ports}") };
    let port = over4.strip_prefix("0.0.0.0:").expect("a port");
    assert_eq!(over6, format!("[::]:{port}"));
    assert!(local.starts_with("[::1]:"), "{ports}");
    until("the server serves", || fetch(&format!("127.0.0.1:{port}")));
    assert!(fetch(&format!("[::1]:{port}")) && fetch(local));
    assert!(is_fetched_by(&outside, &format!("[{}]:{port}", outside.host_ip6)));
    holm.run(["-p", &format!("[::1]:{port}:80"), "busybox", "true"]).fails(125, "Address already in use");
}

/// A container that waits, with bash and perl.
fn debian(holm: &Holm, options: &[&str]) -> String {
    let name = holm.name();
    holm.holm(["run", "-d", "--name", &name]).args(options).args(["debian", "sleep", "1000"]).outcome().ok();
    name
}

/// The container's IPv6 address on the network that it is on.
fn on_ipv6(holm: &Holm, name: &str) -> String {
    inspected(holm, name, "{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}")
}

#[test]
fn m38_a_network_with_ipv6_has_addresses_names_and_ports_of_both_families() {
    let (holm, outside) = (Holm::with(TestImage::Debian).networked(), Outside::new());
    let network = holm.name();
    holm.holm(["network", "create", "--ipv6", &network]).outcome().ok();
    let shown = holm.holm(["network", "inspect", "-f", "{{.EnableIPv6}} {{json .IPAM.Config}}", &network]);
    let shown = shown.outcome().ok();
    let prefix = shown.split("\"Subnet\":\"fd").nth(1).expect("a unique local subnet").split("::/64").next();
    let chosen = format!("fd{}::1:9", prefix.expect("a /64"));
    let on = ["--network", &network];
    let name = debian(&holm, &[&on[..], &["--network-alias", "store", "-p", "80"]].concat());
    let peer = debian(&holm, &[&on[..], &["--ip6", &chosen]].concat());
    let own = on_ipv6(&holm, &name);
    assert_eq!(on_ipv6(&holm, &peer), chosen);
    let inside = |script: &str| holm.holm(["exec", &peer, "bash", "-c", script]).outcome().out();
    for asked in [name.as_str(), "store"] {
        assert_eq!(inside(&format!("getent ahostsv6 {asked}")).split(' ').next(), Some(own.as_str()));
    }
    assert!(inside("cat /etc/hosts").contains(&format!("{chosen}\t")));
    // The guest has the address, the network and the way out; TCP says how far it gets: nobody listens.
    for (target, port) in [(own.as_str(), 9), (&outside.own_ip6, 9)] {
        let refused = inside(&format!("exec 2>&1; : > /dev/tcp/{target}/{port}"));
        assert!(refused.contains("Connection refused"), "{target}: {refused}");
    }
    let serve = "use Socket qw(:all); socket(my $s, AF_INET6, SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); \
                 bind($s, pack_sockaddr_in6(80, IN6ADDR_ANY)) or die; listen($s, 9); \
                 while (accept(my $c, $s)) { sysread($c, my $q, 999); print $c \"HTTP/1.0 200 OK\\r\\n\\r\\nx\"; close $c }";
    holm.holm(["exec", "-d", &name, "perl", "-e", serve]).outcome().ok();
    let port = holm.holm(["port", &name, "80"]).outcome().ok();
    let port = port.lines().find_map(|line| line.strip_prefix("[::]:")).expect("a port").to_owned();
    until("the server serves", || fetch(&format!("[::1]:{port}")));
    assert!(fetch(&format!("[{}]:{port}", outside.host_ip6)), "from the host by another address");
    assert!(is_fetched_by(&outside, &format!("[{}]:{port}", outside.host_ip6)));
    let direct = format!("ip -6 route add {own} via {}; curl -sfg -m 3 http://[{own}]", outside.host_ip6);
    assert!(!outside.run(&direct).output().expect("curl").status.success(), "not published there");
    holm.holm(["rm", "-f", &name, &peer]).outcome().ok();
    holm.holm(["network", "rm", &network]).outcome().ok();
}

#[test]
fn m37_foreign_ipv6_addresses_and_router_advertisements_are_dropped() {
    let holm = Holm::with(TestImage::Debian).networked();
    let network = holm.name();
    holm.holm(["network", "create", "--ipv6", &network]).outcome().ok();
    let name = debian(&holm, &["--network", &network, "--privileged"]);
    let (own, gateway) = (
        on_ipv6(&holm, &name),
        inspected(&holm, &name, "{{range .NetworkSettings.Networks}}{{.IPv6Gateway}}{{end}}"),
    );
    let bridge = host(&format!("ip -6 -o route get {own} | sed 's/.* dev //; s/ .*//'"));
    // What comes to the bridge, by ICMPv6 type and what stands where a target does, until the last message.
    let listen = format!(
        "timeout 60 python3 -c 'import socket as s, struct\n\
         r = s.socket(s.AF_INET6, s.SOCK_RAW, s.IPPROTO_ICMPV6); r.setsockopt(s.SOL_SOCKET, 25, b\"{bridge}\")\n\
         print(\"ready\", flush=True)\n\
         while True:\n  m = r.recv(999)\n  print(m[0], s.inet_ntop(s.AF_INET6, (m + bytes(24))[8:24]), flush=True)\n  \
         if m[0] == 128 and m[8:9] == b\"9\": break'"
    );
    let mut listener = Command::new("sh");
    let mut listener = listener.args(["-c", &listen]).stdout(Stdio::piped()).spawn().expect("start python");
    let mut heard = BufReader::new(listener.stdout.take().expect("its output"));
    heard.read_line(&mut String::new()).expect("ready");
    // Advertisements as a router, as the gateway, and as itself; a redirect; two echo requests, one from a foreign address.
    let send = format!(
        "use Socket qw(:all); my $to = sub {{ my ($from, $type, $rest) = @_; socket(my $s, AF_INET6, SOCK_RAW, 58) or die; \
         setsockopt($s, 41, 18, pack('i', 255)); bind($s, pack_sockaddr_in6(0, inet_pton(AF_INET6, $from))) or die $from; \
         send($s, pack('CCnN', $type, 0, 0, 0) . $rest, 0, pack_sockaddr_in6(0, inet_pton(AF_INET6, '{gateway}'))) or die }}; \
         my ($own, $foreign) = ('{own}', '{own}f'); my $at = sub {{ inet_pton(AF_INET6, $_[0]) }}; \
         $to->($own, 134, 'x' x 8); $to->($own, 137, $at->($own) x 2); $to->($own, 136, $at->('{gateway}')); \
         $to->($own, 136, $at->($own)); $to->($foreign, 128, '7' x 16); $to->($own, 128, '9' x 16)"
    );
    let add = "echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind; perl -e \"$0\"";
    holm.holm(["exec", &name, "bash", "-c", add, &send]).outcome().ok();
    let mut rest = String::new();
    heard.read_to_string(&mut rest).expect("what it heard");
    listener.wait().expect("python");
    assert!(rest.contains(&format!("136 {own}\n")), "its own advertisement: {rest}");
    for dropped in ["134 ", "137 ", &format!("136 {gateway}\n"), "3737:"] {
        assert!(!rest.contains(dropped), "{dropped}: {rest}");
    }
    assert!(rest.contains("128 3939:"), "{rest}");
    holm.holm(["rm", "-f", &name]).outcome().ok();
    holm.holm(["network", "rm", &network]).outcome().ok();
}

#[test]
fn m39_hosts_and_resolver_are_the_containers_own() {
    let holm = Holm::with(TestImage::Busybox).networked();
    let options = [
        "--hostname",
        "box",
        "--add-host",
        "db:192.0.2.9",
        "--dns",
        "192.0.2.1",
        "--dns-search",
        "a.example",
    ];
    let name = holm.background(&options, "sleep 1000");
    let shown = |file: &str| holm.holm(["exec", &name, "cat", file]).outcome().ok();
    let own = format!("{}\tbox", address(&holm, &name));
    let hosts = shown("/etc/hosts");
    assert!(hosts.contains("192.0.2.9\tdb") && hosts.contains(&own), "{hosts}");
    assert_eq!(shown("/etc/resolv.conf"), "nameserver 192.0.2.1\nsearch a.example");
    assert_eq!(shown("/etc/hostname"), "box");
}
