//! The network device over links that keep frames apart, as a TAP does: one pair of queues or two with the control queue, offloads,
//! and frames of any kind that arrive.

use std::os::unix::net::UnixDatagram;

use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use holm_vmm::devices::virtio::net::fuzzing::over_datagrams;

use crate::Target;
use crate::guest::{Guest, SeedPart, hostile};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "net_queue",
    run,
    seeds,
    max_bytes: 4096,
    code: &[
        "virtio/net/config.rs",
        "virtio/net/control.rs",
        "virtio/net/device.rs",
        "virtio/net/header.rs",
        "virtio/net/io.rs",
        "virtio/net/pair.rs",
        "virtio/net/receive.rs",
        "virtio/net/transmit.rs",
        "virtio/net/used.rs",
    ],
    words: &[],
};

/// In front of a body, on the wire and in the queues.
const HEADER_BYTES: usize = 12;
/// VIRTIO_NET_F_MQ: who takes it gets a device of two pairs.
const SEVERAL: u64 = 1 << 22;
/// That device's control queue.
const CONTROL: u8 = 4;

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let features = input.u64();
    let pairs = if features & SEVERAL == 0 { 1 } else { 2 };
    let (peers, own): (Vec<_>, Vec<_>) = (0..pairs).map(|_| UnixDatagram::pair().unwrap()).unzip();
    for socket in peers.iter().chain(&own) {
        socket.set_nonblocking(true).unwrap();
    }
    let config = NetworkDevice { mac: [2, 0, 0, 0, 0, 9], mtu_bytes: 1500, rates: NetworkRates::default() };
    let net = over_datagrams(own.into_iter().map(Into::into).collect(), &config).unwrap();
    let mut frame = vec![0; 1 << 17];
    Guest::new(net, features).run(&mut input, &mut |input| {
        let arriving = [&[0; HEADER_BYTES], input.counted()].concat();
        for peer in &peers {
            while let Ok(count) = peer.recv(&mut frame) {
                assert!(count >= HEADER_BYTES, "a frame without a header left");
            }
            let _ = peer.send(&arriving);
        }
    });
}

fn seeds() -> Vec<Vec<u8>> {
    use crate::guest::step::HOST;
    let sent = |features: u64, flags: u8, kind: u8| {
        let frame = [&[flags, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0x55; 60]].concat();
        Output::default()
            .u64(features)
            .chain(1, &[SeedPart::Data(&frame)])
            .chain(1, &[SeedPart::Data(&frame[..7]), SeedPart::Data(&frame[7..])])
            .u8(HOST)
            .counted(b"")
    };
    let received = |features: u64| {
        let output = Output::default().u64(features);
        let output = output.chain(0, &[SeedPart::Room(12), SeedPart::Room(100)]);
        let output = output.u8(HOST).counted(b"hello");
        let output = output.chain(0, &[SeedPart::Room(100)]).chain(0, &[SeedPart::Room(100)]);
        let output = output.u8(HOST).counted(&[7; 150]);
        output.chain(0, &[SeedPart::Room(1600)]).u8(HOST).counted(&[8; 1514])
    };
    let mut seeds = Vec::new();
    for features in [0, u64::MAX, 1 << 15, 1 << 29] {
        seeds.push(received(features).0);
        for (flags, kind) in [(0, 0), (1, 0), (1, 1), (0, 1), (1, 4), (255, 255)] {
            seeds.push(sent(features, flags, kind).0);
        }
    }
    let start = Output::default().u64(u64::MAX);
    seeds.extend(hostile(&start, 2));
    for pairs in [0, 1, 2, 3] {
        let command = |bytes: &[u8]| {
            Output::default().u64(u64::MAX).chain(CONTROL, &[SeedPart::Data(bytes), SeedPart::Room(1)])
        };
        seeds.push(command(&[4, 0, pairs, 0]).chain(2, &[SeedPart::Room(1600)]).u8(HOST).counted(b"hello").0);
        seeds.push(command(&[4, 1, pairs]).0);
    }
    let waiting = start.u8(HOST).counted(b"a frame that waits");
    seeds.extend(hostile(&waiting, 1));
    seeds
}
