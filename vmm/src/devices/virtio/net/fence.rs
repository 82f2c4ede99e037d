//! What may leave over a link whose other end opens the host's own sockets for it. No system calls.
//!
//! On a bridge the host's rules do this (docs/decisions/0017-network.md). Behind a stream there is a process of the host's, such
//! as passt, and what it connects to, it connects to as one. An address that leads a process to its own host, such as 127.0.0.1, is
//! none that a guest may name. There is another one, by which clients of the host's loopback appear to the guest: what goes there
//! must be an answer.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

const ETHER_TYPE: usize = 12;
const ETHERNET_BYTES: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const TCP_FLAGS: usize = 13;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// Clients of the host's loopback that are known at a time; the oldest is forgotten first.
const MAX_CLIENTS: usize = 1024;

/// The rules of one link.
#[derive(Debug)]
pub(super) struct Fence {
    /// By which the host's loopback appears.
    host: Ipv4Addr,
    /// Whom the guest may answer by UDP: its own port and the client's.
    clients: VecDeque<(u16, u16)>,
}

/// An IPv4 packet, as far as the rules look.
struct Packet<'a> {
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    /// What is behind its header, of this fragment.
    body: &'a [u8],
}

impl<'a> Packet<'a> {
    fn of(frame: &'a [u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET_BYTES..)?;
        let address = |at: usize| {
            let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(bytes))
        };
        let header_bytes = usize::from(packet.first()? & 0xf) * 4;
        let body = packet.get(header_bytes..).unwrap_or_default();
        Some(Self { protocol: *packet.get(9)?, source: address(12)?, destination: address(16)?, body })
    }

    fn ports(&self) -> Option<(u16, u16)> {
        let (source, rest) = self.body.split_first_chunk()?;
        let destination = rest.first_chunk()?;
        Some((u16::from_be_bytes(*source), u16::from_be_bytes(*destination)))
    }
}

impl Fence {
    pub(super) fn new(host: Ipv4Addr) -> Self {
        Self { host, clients: VecDeque::new() }
    }

    /// Notes a frame to the guest.
    pub(super) fn arrived(&mut self, frame: &[u8]) {
        let packet = if kind(frame) == Some(IPV4) { Packet::of(frame) } else { None };
        let Some(packet) = packet.filter(|packet| packet.protocol == UDP && packet.source == self.host)
        else {
            return;
        };
        if let Some((client, own)) = packet.ports()
            && !self.clients.contains(&(own, client))
        {
            if self.clients.len() == MAX_CLIENTS {
                self.clients.pop_front();
            }
            self.clients.push_back((own, client));
        }
    }

    /// Whether a frame may leave: ARP, and IPv4 to other addresses than this host's loopback (127.0.0.0/8, and 0.0.0.0/8, which
    /// Linux takes for the same), or in answer to it. Everything else, such as IPv6, is dropped.
    pub(super) fn may_leave(&self, frame: &[u8]) -> bool {
        match kind(frame) {
            Some(ARP) => true,
            Some(IPV4) => Packet::of(frame).is_some_and(|packet| match packet.destination.octets() {
                [0 | 127, ..] => false,
                _ if packet.destination == self.host => self.is_answer(&packet),
                _ => true,
            }),
            _ => false,
        }
    }

    fn is_answer(&self, packet: &Packet<'_>) -> bool {
        match packet.protocol {
            TCP => packet.body.get(TCP_FLAGS).is_some_and(|flags| flags & (SYN | ACK) != SYN),
            UDP => packet.ports().is_some_and(|ports| self.clients.contains(&ports)),
            protocol => protocol == ICMP,
        }
    }
}

fn kind(frame: &[u8]) -> Option<[u8; 2]> {
    frame.get(ETHER_TYPE..ETHERNET_BYTES)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: [u8; 4] = [10, 88, 0, 1];
    const GUEST: [u8; 4] = [10, 88, 0, 2];

    fn frame(kind: [u8; 2], destination: [u8; 4]) -> Vec<u8> {
        [&[2; 12][..], &kind, &[0; 16], &destination].concat()
    }

    /// A packet with options of four bytes.
    fn packet(protocol: u8, source: [u8; 4], destination: [u8; 4], body: &[u8]) -> Vec<u8> {
        let header = [0x46, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        [&[2; 12][..], &IPV4, &header, &source, &destination, &[1; 4], body].concat()
    }

    fn udp(source: ([u8; 4], u16), destination: ([u8; 4], u16)) -> Vec<u8> {
        let ports = [source.1.to_be_bytes(), destination.1.to_be_bytes()].concat();
        packet(UDP, source.0, destination.0, &[&ports[..], &[0; 4]].concat())
    }

    fn tcp(flags: u8) -> Vec<u8> {
        packet(TCP, GUEST, HOST, &[&[0; TCP_FLAGS][..], &[flags, 0, 0]].concat())
    }

    #[test]
    fn the_hosts_loopback_is_nobodys_destination() {
        let fence = Fence::new(HOST.into());
        for address in [[10, 88, 0, 9], [255; 4], [128, 0, 0, 1], [1, 1, 1, 1]] {
            assert!(fence.may_leave(&frame(IPV4, address)), "{address:?}");
        }
        for address in [[127, 0, 0, 1], [127, 255, 255, 255], [0; 4], [0, 1, 2, 3]] {
            assert!(!fence.may_leave(&frame(IPV4, address)), "{address:?}");
        }
        assert!(fence.may_leave(&frame(ARP, [127, 0, 0, 1])), "an answer says where nobody listens");
    }

    #[test]
    fn what_is_not_understood_stays() {
        let fence = Fence::new(HOST.into());
        for kind in [[0x86, 0xdd], [0x81, 0x00], [0, 46]] {
            assert!(!fence.may_leave(&frame(kind, [10, 0, 0, 1])), "{kind:?}");
        }
        let whole = frame(IPV4, [10, 0, 0, 1]);
        assert!((0..whole.len()).all(|length| !fence.may_leave(&whole[..length])));
        for whole in [tcp(ACK), udp((GUEST, 1), (HOST, 2))] {
            assert!((0..=50).all(|length| !fence.may_leave(&whole[..length.min(whole.len() - 4)])));
        }
        assert!(!fence.may_leave(&packet(47, GUEST, HOST, &[0; 20])));
    }

    #[test]
    fn clients_of_the_hosts_loopback_are_answered_and_never_asked() {
        let mut fence = Fence::new(HOST.into());
        for (flags, passes) in [(SYN, false), (SYN | 1, false), (SYN | ACK, true), (ACK, true), (4, true)] {
            assert_eq!(fence.may_leave(&tcp(flags)), passes, "{flags:#x}");
        }
        assert!(!fence.may_leave(&udp((GUEST, 53), (HOST, 4000))));
        fence.arrived(&udp((HOST, 4000), (GUEST, 53)));
        fence.arrived(&udp(([10, 0, 0, 9], 4001), (GUEST, 53)));
        assert!(fence.may_leave(&udp((GUEST, 53), (HOST, 4000))));
        for (own, other) in [(53, 4001), (54, 4000), (4000, 53)] {
            assert!(!fence.may_leave(&udp((GUEST, own), (HOST, other))), "{own} {other}");
        }
        for port in 5000..5000 + 2 * 1024 {
            fence.arrived(&udp((HOST, port), (GUEST, 53)));
        }
        assert_eq!(fence.clients.len(), MAX_CLIENTS);
        assert!(!fence.may_leave(&udp((GUEST, 53), (HOST, 4000))), "long ago");
    }
}
