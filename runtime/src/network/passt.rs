//! The way to the network of a container whose user may not make interfaces: a passt process of its own, which speaks for it with
//! the user's own sockets (passt(1)).
//!
//! ```text
//!   guest ── virtio-net ── VMM ══ pair of sockets, a frame behind its length each ══ passt ── sockets of the user's ── host
//! ```
//!
//! passt ends by itself when the VMM's end of the pair is closed, so none outlives its VM, however that and its supervisor end.
//!
//! Trust: passt parses what the guest sends, in a sandbox of its own making. It would open connections to the host's loopback
//! addresses for whoever sends such frames, or frames to the gateway, by whose address clients of the loopback appear: the VMM lets
//! none out but answers. (passt would do that, too, with --no-map-gw; as of 2023 it then loses answers over UDP.)

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};

use super::endpoint::Endpoint;
use super::error::NetworkError;
use super::mac_address::MacAddress;
use super::record::Network;
use crate::container::settings::Protocol;
use crate::sandbox::inherit;

/// What the link carries, in bytes. With its headers a frame fits into one buffer of a unix socket, which takes it whole or not at
/// all: passt, as of 2023, loses its place in the stream where a frame arrives in parts.
pub(super) const MTU_BYTES: u16 = 32_000;

/// How long it may take to be ready.
const READY_TIMEOUT_S: i64 = 30;
/// Longest message of passt that is passed on, in bytes.
const MAX_MESSAGE_BYTES: usize = 512;

/// A passt process. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Passt {
    child: Child,
    /// On which it says that it is ready.
    ready: Option<ChildStdout>,
    complaints: File,
}

impl Passt {
    /// Starts one for an endpoint; the VM's end of the link.
    pub(super) fn start(network: &Network, endpoint: &Endpoint) -> Result<(Self, OwnedFd), NetworkError> {
        let started = || {
            let (mut own, others) = UnixStream::pair()?;
            let others = OwnedFd::from(others);
            own.write_all(&announcement(endpoint.mac, endpoint.address))?;
            let complaints = File::from(memfd_create("passt-errors", MemfdFlags::CLOEXEC)?);
            let mut command = Command::new("passt");
            command
                .args(["--fd", &others.as_raw_fd().to_string()])
                .args(arguments(network, endpoint))
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(complaints.try_clone()?);
            inherit(&mut command, vec![others]);
            let mut child = command.spawn()?;
            let ready = child.stdout.take();
            Ok((Self { child, ready, complaints }, own.into()))
        };
        started().map_err(NetworkError::PasstMissing)
    }

    /// Waits until it has opened what it needs of the host, once.
    pub(super) fn await_ready(&mut self) -> Result<(), NetworkError> {
        let Some(mut ready) = self.ready.take() else { return Ok(()) };
        let longest = Timespec { tv_sec: READY_TIMEOUT_S, tv_nsec: 0 };
        let answered = poll(&mut [PollFd::new(&ready, PollFlags::IN)], Some(&longest));
        if matches!(answered, Ok(0)) {
            return Err(NetworkError::Passt(format!("it was not ready within {READY_TIMEOUT_S} s")));
        }
        // Its pid, or nothing when it has ended.
        match ready.read(&mut [0; 16]) {
            Ok(1..) => Ok(()),
            _ => Err(NetworkError::Passt(self.last_words())),
        }
    }

    /// What it said last, on one line.
    fn last_words(&mut self) -> String {
        let mut said = Vec::new();
        // Nothing to read is nothing said.
        let _ = self.complaints.rewind();
        let _ = Read::by_ref(&mut self.complaints).take(1 << 16).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it ended");
        last.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE_BYTES).collect()
    }

    /// Ends it: it has given its ports back afterwards.
    pub(super) fn stop(&mut self) {
        // One that has ended is what was wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Passt {
    fn drop(&mut self) {
        self.stop();
    }
}

/// All but its socket.
fn arguments(network: &Network, endpoint: &Endpoint) -> Vec<String> {
    let gateway = network.gateway();
    let mut words: Vec<String> = [
        // In front, so that its end is seen; its pid on standard output says that it is ready.
        "--foreground --quiet --pid /proc/self/fd/1",
        // The default network has no IPv6. The host's routes decide where packets go; nothing of them is for the guest, which is
        // told its addresses by its agent.
        "--ipv4-only --interface lo --no-dhcp --no-dhcpv6 --no-ndp --no-ra --dns none --search none",
    ]
    .iter()
    .flat_map(|some| some.split(' '))
    .map(str::to_owned)
    .collect();
    let values = [
        ("--address", endpoint.address.to_string()),
        ("--netmask", network.subnet.prefix_length().to_string()),
        ("--gateway", gateway.to_string()),
        ("--mac-addr", MacAddress::of_ip(gateway).to_string()),
    ];
    let published = endpoint.ports.iter().map(|port| {
        let flag = match port.protocol {
            Protocol::Tcp => "--tcp-ports",
            Protocol::Udp => "--udp-ports",
        };
        (flag, format!("{}/{}:{}", port.host_ip, port.host_port, port.container_port))
    });
    words.extend(values.into_iter().chain(published).flat_map(|(flag, value)| [flag.to_owned(), value]));
    words
}

/// An ARP announcement of the guest's, as it stands on the link: passt sends to the address that it saw last, and a client of the
/// host's may come before the guest has said a word.
fn announcement(mac: MacAddress, address: Ipv4Addr) -> Vec<u8> {
    const ARP_REQUEST: [u8; 10] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1];
    let (mac, address) = (mac.bytes(), address.octets());
    let frame = [&[0xff; 6][..], &mac, &ARP_REQUEST, &mac, &address, &[0; 6], &address].concat();
    // 42 bytes.
    let length = u32::try_from(frame.len()).unwrap_or_default();
    [&length.to_be_bytes()[..], &frame].concat()
}

/// Whether there is a passt to start.
#[must_use]
pub fn is_passt_there() -> bool {
    let version = Command::new("passt").arg("--version").stdin(Stdio::null()).output();
    !matches!(version, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::endpoint::PublishedPort;
    use super::*;
    use crate::container::settings::Labels;

    fn network() -> Network {
        Network {
            id: "a".repeat(64),
            name: "bridge".parse().unwrap(),
            created: OffsetDateTime::UNIX_EPOCH,
            subnet: "10.88.0.0/16".parse().unwrap(),
            chosen_gateway: None,
            ipv6: None,
            bridge: String::new(),
            internal: false,
            mtu: None,
            labels: Labels::new(),
        }
    }

    fn endpoint() -> Endpoint {
        let address = Ipv4Addr::new(10, 88, 0, 2);
        let port = |protocol, host_port| PublishedPort {
            protocol,
            host_ip: Ipv4Addr::LOCALHOST.into(),
            host_port,
            container_port: 80,
        };
        Endpoint {
            container_id: "1".repeat(64).parse().unwrap(),
            network_id: "a".repeat(64),
            address,
            address6: None,
            mac: MacAddress::of_ip(address),
            tap: String::new(),
            aliases: vec![],
            ports: vec![port(Protocol::Tcp, 8080), port(Protocol::Udp, 5353)],
        }
    }

    #[test]
    fn it_gets_the_addresses_that_the_guest_is_told_and_the_ports() {
        let words = arguments(&network(), &endpoint()).join(" ");
        for expected in [
            "--address 10.88.0.2 --netmask 16 --gateway 10.88.0.1 --mac-addr 02:42:0a:58:00:01",
            "--tcp-ports 127.0.0.1/8080:80",
            "--udp-ports 127.0.0.1/5353:80",
        ] {
            assert!(words.contains(expected), "{words}");
        }
    }

    #[test]
    fn the_guest_is_announced_in_one_frame() {
        let frame = announcement(endpoint().mac, endpoint().address);
        assert_eq!(frame.len(), 46);
        assert_eq!(frame[..10], [0, 0, 0, 42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(frame[10..16], endpoint().mac.bytes());
        assert_eq!(frame[32..36], [10, 88, 0, 2]);
        assert_eq!(frame[42..], [10, 88, 0, 2]);
    }
}
