use std::num::NonZeroU64;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_TSO4,
    VIRTIO_NET_F_MRG_RXBUF,
};
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;

use super::config::Offloads;
use super::fuzzing::Wire;
use super::*;
use crate::devices::virtio::device::VirtioDevice;
use crate::devices::virtio::driver::{Driver, NEXT, RAM_BYTES, WRITE};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const HEADER: usize = 12;
const MERGEABLE: u64 = 1 << VIRTIO_NET_F_MRG_RXBUF;

struct Bench {
    net: Net<Wire>,
    receive: Driver,
    transmit: Driver,
    /// The host's side.
    peer: UnixDatagram,
    offloads: Arc<Mutex<Option<Offloads>>>,
}

fn bench(features: u64) -> Bench {
    limited(features, NetworkRates::default())
}

fn limited(features: u64, rates: NetworkRates) -> Bench {
    let (peer, own) = UnixDatagram::pair().unwrap();
    peer.set_nonblocking(true).unwrap();
    own.set_nonblocking(true).unwrap();
    let offloads = Arc::default();
    let wire = Wire::new(own.into(), Arc::clone(&offloads));
    let mut net = Net::new(wire, &NetworkDevice { mac: MAC, mtu_bytes: 1500, rates }).unwrap();
    let receive = Driver::new();
    let transmit = receive.of_next_queue();
    receive.activate_with(&mut net, 1 << 32 | features, &[&transmit]);
    Bench { net, receive, transmit, peer, offloads }
}

impl Bench {
    /// What arrived at the host.
    fn arrived(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 1 << 17];
        let count = self.peer.recv(&mut frame).ok()?;
        frame.truncate(count);
        Some(frame)
    }

    /// Puts a frame with an empty header on the wire.
    fn give(&self, body: &[u8]) {
        self.peer.send(&[&[0; HEADER], body].concat()).unwrap();
    }
}

#[test]
fn a_frame_goes_out_however_it_is_cut() {
    let mut bench = bench(0);
    bench.transmit.write(0x10_0000, &[0; 7]);
    bench.transmit.write(0x20_0000, &[0, 0, 0, 0, 0, b'a', b'b']);
    bench.transmit.write(0x30_0000, b"cd");
    bench.transmit.send(&[(0x10_0000, 7, 0), (0x20_0000, 7, 0), (0x30_0000, 2, 0)]);
    bench.net.serve_transmit();
    assert_eq!(bench.arrived().unwrap(), [&[0; HEADER][..], b"abcd"].concat());
    assert_eq!(bench.transmit.used(), [(0, 0)]);
    assert_eq!(bench.transmit.interrupt.pending(), 1);
}

#[test]
fn frames_that_ask_for_what_was_not_negotiated_are_dropped() {
    let header = |flags: u8, kind: u8| [flags, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'x'];
    let mut plain = bench(0);
    let mut offloading = bench(1 << VIRTIO_NET_F_CSUM | 1 << VIRTIO_NET_F_HOST_TSO4);
    for (bench, expected) in
        [(&mut plain, [true, false, false, false]), (&mut offloading, [true, true, true, false])]
    {
        for (bytes, passes) in [header(0, 0), header(1, 0), header(1, 1), header(1, 4)].iter().zip(expected) {
            bench.transmit.write(0x10_0000, bytes);
            bench.transmit.send(&[(0x10_0000, 13, 0)]);
            bench.net.serve_transmit();
            assert_eq!(bench.arrived().is_some(), passes, "{bytes:?}");
        }
        assert_eq!(bench.transmit.used().len(), 4, "dropped frames are given back");
    }
}

#[test]
fn frames_of_odd_lengths_are_dropped_and_given_back() {
    let mut bench = bench(0);
    let too_long = u32::try_from(HEADER + MAX_FRAME_BYTES + 1).unwrap();
    for length in [0, 11, 12, too_long, 32 << 20] {
        bench.transmit.send(&[(0x10_0000, length, 0)]);
    }
    bench.transmit.send(&[(0x10_0000, 2048, WRITE)]);
    bench.net.serve_transmit();
    assert_eq!(bench.arrived(), None);
    assert_eq!(bench.transmit.used().len(), 6);
    assert!(!bench.transmit.interrupt.is_reset_needed());
}

#[test]
fn a_frame_comes_in() {
    let mut bench = bench(0);
    bench.receive.send(&[(0x10_0000, 12, WRITE), (0x20_0000, 1514, WRITE)]);
    bench.give(b"hello");
    bench.net.serve_receive();
    assert_eq!(bench.receive.used(), [(0, 17)]);
    assert_eq!(bench.receive.read(0x20_0000, 6), b"hello\0");
    assert_eq!(bench.receive.read(0x10_0000, HEADER), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], "one buffer");
    assert_eq!(bench.receive.interrupt.pending(), 1);
}

#[test]
fn a_long_frame_is_merged_from_buffers() {
    let mut bench = bench(MERGEABLE);
    let body: Vec<u8> = (0..250).collect();
    for at in [0x10_0000, 0x20_0000, 0x30_0000] {
        bench.receive.send(&[(at, 100, WRITE)]);
    }
    bench.give(&body);
    bench.net.serve_receive();
    assert_eq!(bench.receive.used(), [(0, 100), (1, 100), (2, 62)]);
    assert_eq!(bench.receive.read(0x10_0000 + 10, 2), [3, 0]);
    let parts = [(0x10_000c, 88), (0x20_0000, 100), (0x30_0000, 62)];
    assert_eq!(parts.map(|(at, count)| bench.receive.read(at, count)).concat(), body);
}

#[test]
fn a_frame_waits_until_there_are_enough_buffers() {
    let mut bench = bench(MERGEABLE | 1 << VIRTIO_RING_F_EVENT_IDX);
    bench.receive.send(&[(0x10_0000, 100, WRITE)]);
    bench.give(&[7; 150]);
    bench.give(b"next");
    bench.net.serve_receive();
    assert_eq!(bench.receive.used(), []);
    assert_eq!(
        bench.receive.available_event(),
        1,
        "a kick is wanted for what comes after the one that is too few"
    );
    bench.receive.send(&[(0x20_0000, 100, WRITE)]);
    bench.receive.send(&[(0x30_0000, 100, WRITE)]);
    bench.net.serve_receive();
    assert_eq!(bench.receive.used(), [(0, 100), (1, 62), (2, 16)]);
    assert_eq!(bench.receive.read(0x30_000c, 4), b"next");
}

#[test]
fn without_merging_a_frame_that_does_not_fit_is_dropped() {
    let mut bench = bench(0);
    bench.receive.send(&[(0x10_0000, 100, WRITE)]);
    bench.give(&[7; 150]);
    bench.give(b"small");
    bench.net.serve_receive();
    assert_eq!(bench.receive.used(), [(0, 17)]);
    assert_eq!(bench.receive.read(0x10_000c, 5), b"small");
}

#[test]
fn the_driver_is_interrupted_when_it_wants_to_be() {
    let mut bench = bench(1 << VIRTIO_RING_F_EVENT_IDX);
    bench.receive.set_used_event(1);
    for at in [0x10_0000, 0x20_0000, 0x30_0000] {
        bench.receive.send(&[(at, 100, WRITE)]);
    }
    bench.give(b"1");
    bench.net.serve_receive();
    assert_eq!(bench.receive.interrupt.pending(), 0);
    bench.give(b"2");
    bench.give(b"3");
    bench.net.serve_receive();
    assert_eq!(bench.receive.interrupt.pending(), 1);
    assert_eq!(bench.receive.used().len(), 3);
}

#[test]
fn a_flood_from_the_host_is_taken_in_rounds() {
    let mut bench = bench(0);
    for _ in 0..64 {
        bench.receive.send(&[(0x10_0000, 100, WRITE)]);
    }
    // A pair of sockets holds fewer frames than a queue has buffers.
    let mut sent = 0;
    while sent < 200 && bench.peer.send(&[0; 20]).is_ok() {
        sent += 1;
    }
    bench.net.serve_receive();
    assert_eq!(bench.receive.used().len(), sent.min(64));
}

#[test]
fn frames_beyond_a_limit_wait_where_they_are() {
    let slow = NonZeroU64::new(1);
    let mut bench = limited(0, NetworkRates { in_bytes_per_s: slow, out_bytes_per_s: slow });
    // A bucket holds 64 KiB: one such frame fits, the second is paid for afterwards, the third waits.
    let length = 40 << 10;
    for _ in 0..3 {
        bench.transmit.send(&[(0x10_0000, length, 0)]);
        bench.receive.send(&[(0x20_0000, 1 << 16, WRITE)]);
        bench.give(&vec![0; 40 << 10]);
    }
    for _ in 0..2 {
        bench.net.serve_transmit();
        bench.net.serve_receive();
        assert_eq!((bench.transmit.used().len(), bench.receive.used().len()), (2, 2));
    }
    let arrived = std::iter::from_fn(|| bench.arrived()).count();
    assert_eq!(arrived, 2);
    assert!(!bench.receive.interrupt.is_reset_needed());
}

#[test]
fn hostile_chains_stop_the_device_and_reset_revives_it() {
    let hostile: [&[(u64, u32, u16, u16)]; 4] = [
        &[(RAM_BYTES - 1, 20, WRITE, 0)],
        &[(0x10_0000, 1, WRITE | NEXT, 0)],
        &[(u64::MAX - 1, u32::MAX, WRITE, 0)],
        // No room for a header.
        &[(0x10_0000, 11, WRITE, 0)],
    ];
    for chain in hostile {
        let mut bench = bench(MERGEABLE);
        bench.receive.describe(0, chain);
        bench.receive.offer(0);
        bench.give(b"frame");
        bench.net.serve_receive();
        assert!(bench.receive.interrupt.is_reset_needed());
        assert_eq!(bench.net.state().queues, None);
        bench.net.serve_transmit();
        bench.net.reset();
        bench.receive.interrupt.clear();
        let mut receive = Driver::new();
        let transmit = receive.of_next_queue();
        receive.activate_with(&mut bench.net, 1 << 32, &[&transmit]);
        receive.send(&[(0x10_0000, 100, WRITE)]);
        bench.give(b"frame");
        bench.net.serve_receive();
        assert_eq!(receive.used(), [(0, 17)]);
    }
}

#[test]
fn hostile_frames_to_send_stop_the_device() {
    for chain in [[(RAM_BYTES - 1, 20, 0, 0)], [(0x10_0000, 13, NEXT, 0)], [(u64::MAX - 1, u32::MAX, 0, 0)]] {
        let mut bench = bench(0);
        bench.transmit.describe(0, &chain);
        bench.transmit.offer(0);
        bench.net.serve_transmit();
        assert!(bench.transmit.interrupt.is_reset_needed());
        assert_eq!(bench.arrived(), None);
    }
}

#[test]
fn rates_change_up_and_down_while_frames_wait() {
    let slow = NetworkRates { out_bytes_per_s: NonZeroU64::new(1), ..NetworkRates::default() };
    let mut bench = limited(0, slow);
    let send = |bench: &mut Bench, bytes: u32| {
        bench.transmit.write(0x10_0000, &[0; 100]);
        bench.transmit.send(&[(0x10_0000, bytes, 0)]);
        bench.net.serve_transmit();
    };
    let arrived = |bench: &Bench| std::iter::from_fn(|| bench.arrived()).count();
    // The first one empties the bucket for hours.
    let frames = [64 << 10, 100, 100, 100];
    frames.into_iter().for_each(|bytes| send(&mut bench, bytes));
    let passed = arrived(&bench);
    assert!((1..4).contains(&passed), "{passed}");
    bench.net.rates().set(NetworkRates::default());
    bench.net.serve_transmit();
    assert_eq!(passed + arrived(&bench), 4);
    bench.net.rates().set(slow);
    frames.into_iter().for_each(|bytes| send(&mut bench, bytes));
    assert!((1..4).contains(&arrived(&bench)), "down again");
}

#[test]
fn the_link_learns_what_the_guest_takes() {
    let all = 1 << VIRTIO_NET_F_GUEST_CSUM | 1 << VIRTIO_NET_F_GUEST_TSO4;
    let expected = Offloads { guest_checksum: true, guest_tso4: true, ..Offloads::default() };
    assert_eq!(*bench(all).offloads.lock().unwrap(), Some(expected));
    // Segments without checksums break the rules.
    let broken = bench(1 << VIRTIO_NET_F_GUEST_TSO4);
    assert_eq!(*broken.offloads.lock().unwrap(), Some(Offloads::default()));
}

#[test]
fn the_driver_reads_address_and_mtu() {
    let bench = bench(0);
    let mut space = [0xff; 8];
    bench.net.read_config(0, &mut space);
    assert_eq!(space, [2, 0, 0, 0, 0, 9, 0, 0]);
    bench.net.read_config(8, &mut space);
    assert_eq!(space, [1, 0, 0xdc, 0x05, 0, 0, 0, 0]);
    bench.net.read_config(u64::MAX, &mut space);
    assert_eq!(space, [0; 8]);
}

#[test]
fn its_state_names_both_queues() {
    let mut bench = bench(MERGEABLE);
    bench.transmit.write(0x10_0000, &[0; 20]);
    bench.transmit.send(&[(0x10_0000, 20, 0)]);
    bench.net.serve_transmit();
    let json = serde_json::to_string(&bench.net.state()).unwrap();
    let state: NetState = serde_json::from_str(&json).unwrap();
    assert_eq!((state.mac, state.features), (MAC, Some(1 << 32 | MERGEABLE)));
    assert_eq!(state.queues.unwrap().map(|queue| queue.next_used), [0, 1]);
}

#[test]
fn only_taps_are_taken_over() {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(matches!(Tap::inherited(file.as_raw_fd()), Err(LinkError::NotATap(_))));
    for fd in [-1, 0, 2, 1_000_000] {
        assert!(matches!(Tap::inherited(fd), Err(LinkError::Descriptor(_))));
    }
}
