use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use virtio_bindings::virtio_net::{VIRTIO_NET_F_CSUM, VIRTIO_NET_F_MRG_RXBUF};

use super::config::OFFLOADS;
use super::*;
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::driver::{Driver, WRITE};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const HEADER: usize = 12;
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const ROOM: u32 = 2048;

struct Bench {
    net: Net<Stream>,
    receive: Driver,
    transmit: Driver,
    /// The host's side.
    peer: UnixStream,
}

fn bench() -> Bench {
    let (peer, own) = UnixStream::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    own.set_nonblocking(true).unwrap();
    let device = NetworkDevice { mac: MAC, mtu_bytes: 1500, rates: NetworkRates::default() };
    let mut net = Net::new([Stream::new(own.into(), HOST)], &device).unwrap();
    let receive = Driver::new();
    let transmit = receive.of_next_queue();
    receive.activate_with(&mut net, 1 << 32 | 1 << VIRTIO_NET_F_MRG_RXBUF, &[&transmit]);
    Bench { net, receive, transmit, peer }
}

/// An IPv4 packet to an address, of so many bytes in all.
fn frame(to: [u8; 4], length: usize) -> Vec<u8> {
    let mut frame = [&[2; 12][..], &[0x08, 0x00], &[0; 16], &to].concat();
    frame.resize(length, 7);
    frame
}

/// The frame as it is on the wire.
fn framed(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap().to_be_bytes(), frame].concat()
}

impl Bench {
    fn send(&mut self, at: u64, frame: &[u8]) {
        self.transmit.write(at, &[&[0; HEADER], frame].concat());
        let length = u32::try_from(HEADER + frame.len()).unwrap();
        self.transmit.send(&[(at, length, 0)]);
        self.net.pair(0).unwrap().serve_transmit();
    }

    /// What arrived at the host.
    fn arrived(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let count = self.peer.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }
}

#[test]
fn a_frame_goes_out_behind_its_length_and_without_the_devices_header() {
    let mut bench = bench();
    let body = frame([10, 0, 0, 1], 60);
    bench.send(0x10_0000, &body);
    assert_eq!(bench.arrived(), framed(&body));
    assert_eq!(bench.transmit.used(), [(0, 0)]);
}

#[test]
fn no_offloads_are_offered_and_none_pass() {
    let mut bench = bench();
    assert_eq!(bench.net.features() & OFFLOADS, 0);
    assert_ne!(bench.net.features() & 1 << VIRTIO_NET_F_MRG_RXBUF, 0);
    assert_ne!(OFFLOADS & 1 << VIRTIO_NET_F_CSUM, 0);
    let mut bytes = [&[0; HEADER][..], &frame([10, 0, 0, 1], 60)].concat();
    bytes[0] = 1;
    bench.transmit.write(0x10_0000, &bytes);
    bench.transmit.send(&[(0x10_0000, 72, 0)]);
    bench.net.pair(0).unwrap().serve_transmit();
    assert!(bench.arrived().is_empty());
    assert_eq!(bench.transmit.used().len(), 1);
}

#[test]
fn frames_come_in_however_the_stream_is_cut() {
    let bodies = [frame([1; 4], 60), frame([2; 4], 14), frame([3; 4], 1500)];
    let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
    for part in [1, 3, 64, stream.len()] {
        let mut bench = bench();
        for place in 0..3 {
            bench.receive.send(&[(0x10_0000 + place * 0x1000, ROOM, WRITE)]);
        }
        for bytes in stream.chunks(part) {
            bench.peer.write_all(bytes).unwrap();
            bench.net.pair(0).unwrap().serve_receive();
        }
        let lengths: Vec<_> = bench.receive.used().iter().map(|(_, length)| *length as usize).collect();
        assert_eq!(lengths, bodies.each_ref().map(|body| HEADER + body.len()), "in parts of {part}");
        for (place, body) in (0..).zip(&bodies) {
            let read = bench.receive.read(0x10_0000 + place * 0x1000, HEADER + body.len());
            assert_eq!(read, [&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], &body[..]].concat());
        }
    }
}

#[test]
fn a_length_that_no_frame_has_ends_the_link_and_not_the_device() {
    let too_long = u32::try_from(MAX_FRAME_BYTES + 1).unwrap();
    for length in [0, 13, too_long, u32::MAX] {
        let mut bench = bench();
        bench.receive.send(&[(0x10_0000, ROOM, WRITE)]);
        bench.peer.write_all(&length.to_be_bytes()).unwrap();
        bench.peer.write_all(&framed(&frame([1; 4], 60))).unwrap();
        bench.net.pair(0).unwrap().serve_receive();
        bench.send(0x20_0000, &frame([10, 0, 0, 1], 60));
        assert_eq!(bench.receive.used(), []);
        assert_eq!(bench.transmit.used().len(), 1, "what nobody takes is given back");
        assert!(!bench.receive.interrupt.is_reset_needed());
    }
}

#[test]
fn the_longest_frame_comes_in() {
    let mut bench = bench();
    bench.receive.send(&[(0x10_0000, 1 << 17, WRITE)]);
    let body = frame([1; 4], MAX_FRAME_BYTES);
    bench.peer.write_all(&framed(&body)).unwrap();
    bench.net.pair(0).unwrap().serve_receive();
    assert_eq!(bench.receive.used().len(), 1);
    assert_eq!(bench.receive.read(0x10_000c, body.len()), body);
}

#[test]
fn an_end_that_is_closed_is_a_link_that_is_down() {
    let mut bench = bench();
    bench.receive.send(&[(0x10_0000, ROOM, WRITE)]);
    bench.peer.write_all(&framed(&frame([1; 4], 60))).unwrap();
    bench.peer.write_all(&[0, 0, 0, 60, 1, 2, 3]).unwrap();
    drop(std::mem::replace(&mut bench.peer, UnixStream::pair().unwrap().0));
    // What came before is delivered, what was cut is not.
    bench.net.pair(0).unwrap().serve_receive();
    bench.net.pair(0).unwrap().serve_receive();
    assert_eq!(bench.receive.used().len(), 1);
    for _ in 0..3 {
        bench.send(0x20_0000, &frame([10, 0, 0, 1], 60));
    }
    assert_eq!(bench.transmit.used().len(), 3);
    assert!(!bench.transmit.interrupt.is_reset_needed());
}

#[test]
fn frames_wait_for_an_end_that_does_not_read_and_arrive_whole() {
    let mut bench = bench();
    let frames: Vec<_> = (0..40).map(|number| frame([10, 0, 0, number], 20_000)).collect();
    for (place, frame) in (0..).zip(&frames) {
        bench.send(0x10_0000 + place * 0x8000, frame);
    }
    let first = bench.transmit.used().len();
    assert!((1..40).contains(&first), "{first} of 40 fit");
    let mut arrived = Vec::new();
    for _ in 0..200 {
        arrived.extend(bench.arrived());
        bench.net.pair(0).unwrap().serve_transmit();
    }
    assert_eq!(bench.transmit.used().len(), 40);
    assert!(arrived == frames.iter().flat_map(|frame| framed(frame)).collect::<Vec<_>>());
}

#[test]
fn nothing_leaves_for_the_hosts_loopback() {
    let mut bench = bench();
    for to in [[127, 0, 0, 1], [0; 4], HOST.octets()] {
        bench.send(0x10_0000, &frame(to, 60));
    }
    bench.send(0x10_0000, &frame([10, 0, 0, 1], 20));
    assert!(bench.arrived().is_empty());
    assert_eq!(bench.transmit.used().len(), 4);
}

#[test]
fn a_client_of_the_hosts_loopback_is_answered() {
    let mut bench = bench();
    let udp = |from: Ipv4Addr, to: Ipv4Addr, ports: [u16; 2]| {
        let header = [0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        let ports = ports.map(u16::to_be_bytes).concat();
        [&[2; 12][..], &[8, 0], &header, &from.octets(), &to.octets(), &ports, &[0; 20]].concat()
    };
    let guest = Ipv4Addr::new(10, 0, 0, 2);
    let answer = udp(guest, HOST, [53, 4000]);
    bench.send(0x10_0000, &answer);
    assert!(bench.arrived().is_empty(), "nobody asked");
    bench.receive.send(&[(0x20_0000, ROOM, WRITE)]);
    bench.peer.write_all(&framed(&udp(HOST, guest, [4000, 53]))).unwrap();
    bench.net.pair(0).unwrap().serve_receive();
    bench.send(0x10_0000, &answer);
    assert_eq!(bench.arrived(), framed(&answer));
}

#[test]
fn only_connected_stream_sockets_are_taken_over() {
    let file: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let datagrams: OwnedFd = UnixDatagram::pair().unwrap().0.into();
    let name = tempfile::tempdir().unwrap();
    let listener = std::os::unix::net::UnixListener::bind(name.path().join("socket")).unwrap();
    for fd in [file.as_raw_fd(), datagrams.as_raw_fd(), listener.as_raw_fd()] {
        assert!(matches!(Stream::inherited(fd, HOST), Err(LinkError::NotAStream(_))));
    }
    assert!(matches!(Stream::inherited(-1, HOST), Err(LinkError::Descriptor(-1))));
}
