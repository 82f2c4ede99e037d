//! The network device over a stream, as for an ordinary user's containers: what the guest sends, which is fenced, and what comes out
//! of the stream, cut anywhere.
//!
//! No frame leaves that opens a connection to the address behind which the host's loopback is.

use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;

use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use holm_vmm::devices::virtio::net::{Net, Stream};

use crate::Target;
use crate::guest::{Guest, SeedPart, step};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "net_stream",
    run,
    seeds,
    max_bytes: 4096,
    code: &["virtio/net/stream.rs", "virtio/net/fence.rs"],
    words: &[],
};

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const SYN: u8 = 2;
const ACK: u8 = 16;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let features = input.u64();
    let (mut peer, own) = UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    let config = NetworkDevice { mac: [2, 0, 0, 0, 0, 9], mtu_bytes: 1500, rates: NetworkRates::default() };
    let net = Net::new([Stream::inherited(own.into_raw_fd(), HOST).unwrap()], &config).unwrap();
    let mut left = Vec::new();
    let mut guest = Guest::new(net, features);
    while !input.is_empty() {
        guest.step(&mut input, &mut |input| {
            let _ = peer.read_to_end(&mut left);
            let _ = peer.write_all(input.counted());
        });
    }
    guest.finish();
    let _ = peer.read_to_end(&mut left);
    let mut frames = left.as_slice();
    while let Some((length, rest)) = frames.split_first_chunk() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        frames = rest;
        assert!(!opens_a_connection(frame), "a connection to the host's loopback was opened");
    }
}

/// A TCP segment over plain IPv4 to the host that has SYN and not ACK.
fn opens_a_connection(frame: &[u8]) -> bool {
    let Some((ethernet, packet)) = frame.split_at_checked(14) else { return false };
    let header_bytes = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    ethernet[12..] == [8, 0]
        && packet.len() >= header_bytes + 14
        && packet[0] >> 4 == 4
        && header_bytes >= 20
        && packet[9] == 6
        && packet[6..8] == [0, 0]
        && packet[16..20] == HOST.octets()
        && packet[header_bytes + 13] & (SYN | ACK) == SYN
}

/// An Ethernet frame with an IPv4 packet.
fn frame(protocol: u8, to: Ipv4Addr, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, (20 + body.len()) as u8, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 2, 100];
    packet.extend(to.octets());
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 8, 0][..], &packet, body].concat()
}

fn tcp(flags: u8) -> Vec<u8> {
    vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]
}

fn udp() -> Vec<u8> {
    vec![0x9c, 0x40, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4]
}

fn seeds() -> Vec<Vec<u8>> {
    let start = Output::default().u64(u64::MAX);
    let out = |frame: &[u8]| {
        let bytes = [&[0; 12][..], frame].concat();
        start.clone().chain(1, &[SeedPart::Data(&bytes)]).u8(step::HOST).counted(b"")
    };
    let into = |output: Output, bytes: &[u8]| {
        let output = output.chain(0, &[SeedPart::Room(1600)]).u8(step::HOST).counted(bytes);
        output.chain(0, &[SeedPart::Room(2000)])
    };
    let behind_length = |frame: &[u8]| [&(frame.len() as u32).to_be_bytes()[..], frame].concat();
    let mut seeds = Vec::new();
    let else_where = Ipv4Addr::new(9, 9, 9, 9);
    for to in [HOST, else_where, Ipv4Addr::BROADCAST, Ipv4Addr::LOCALHOST] {
        for body in [tcp(SYN), tcp(SYN | ACK), tcp(ACK), tcp(4)] {
            seeds.push(out(&frame(6, to, &body)).0);
        }
        // Asked, and answered: out, then in, and the other way round.
        let question = frame(17, to, &udp());
        seeds.push(into(out(&question), &behind_length(&question)).0);
        let asked = into(start.clone(), &behind_length(&frame(17, to, &udp())));
        seeds.push(asked.chain(1, &[SeedPart::Data(&[&[0; 12][..], &question].concat())]).0);
        seeds.push(out(&frame(1, to, &[8, 0, 0, 0, 0, 1, 0, 1])).0);
    }
    let arp = [&[255; 6][..], &[2, 0, 0, 0, 0, 9, 8, 6], &[0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat();
    seeds.push(into(out(&arp), &behind_length(&arp)).0);
    let ipv6 =
        [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd][..], &[0x60, 0, 0, 0, 0, 20, 6, 64], &[1; 52]]
            .concat();
    seeds.push(out(&ipv6).0);
    let vlan = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x81, 0, 0, 1, 8, 0][..], &[0x45; 40]].concat();
    seeds.push(out(&vlan).0);
    for length in [0_u32, 13, 14, 65_553, 65_554, u32::MAX] {
        seeds.push(into(start.clone(), &[&length.to_be_bytes()[..], &[0; 40]].concat()).0);
    }
    let two = [behind_length(&arp), behind_length(&arp)].concat();
    let cut = into(start.clone(), &two[..50]);
    seeds.push(cut.u8(step::HOST).counted(&two[50..]).0);
    seeds
}
