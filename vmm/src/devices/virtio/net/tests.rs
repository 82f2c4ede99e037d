use std::num::NonZeroU64;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use holm_protocol::vm_config::{NetworkDevice, NetworkRates};
use virtio_bindings::virtio_net::{
    VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_TSO4,
    VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_MQ, VIRTIO_NET_F_MRG_RXBUF,
};
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::{Queue, QueueT};

use super::config::Offloads;
use super::fuzzing::Wire;
use super::*;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
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
    let mut net = Net::new([wire], &NetworkDevice { mac: MAC, mtu_bytes: 1500, rates }).unwrap();
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
    bench.net.pair(0).unwrap().serve_transmit();
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
            bench.net.pair(0).unwrap().serve_transmit();
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
    bench.net.pair(0).unwrap().serve_transmit();
    assert_eq!(bench.arrived(), None);
    assert_eq!(bench.transmit.used().len(), 6);
    assert!(!bench.transmit.interrupt.is_reset_needed());
}

#[test]
fn a_frame_comes_in() {
    let mut bench = bench(0);
    bench.receive.send(&[(0x10_0000, 12, WRITE), (0x20_0000, 1514, WRITE)]);
    bench.give(b"hello");
    bench.net.pair(0).unwrap().serve_receive();
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
    bench.net.pair(0).unwrap().serve_receive();
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
    bench.net.pair(0).unwrap().serve_receive();
    assert_eq!(bench.receive.used(), []);
    assert_eq!(
        bench.receive.available_event(),
        1,
        "a kick is wanted for what comes after the one that is too few"
    );
    bench.receive.send(&[(0x20_0000, 100, WRITE)]);
    bench.receive.send(&[(0x30_0000, 100, WRITE)]);
    bench.net.pair(0).unwrap().serve_receive();
    assert_eq!(bench.receive.used(), [(0, 100), (1, 62), (2, 16)]);
    assert_eq!(bench.receive.read(0x30_000c, 4), b"next");
}

#[test]
fn without_merging_a_frame_that_does_not_fit_is_dropped() {
    let mut bench = bench(0);
    bench.receive.send(&[(0x10_0000, 100, WRITE)]);
    bench.give(&[7; 150]);
    bench.give(b"small");
    bench.net.pair(0).unwrap().serve_receive();
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
    bench.net.pair(0).unwrap().serve_receive();
    assert_eq!(bench.receive.interrupt.pending(), 0);
    bench.give(b"2");
    bench.give(b"3");
    bench.net.pair(0).unwrap().serve_receive();
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
    bench.net.pair(0).unwrap().serve_receive();
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
        bench.net.pair(0).unwrap().serve_transmit();
        bench.net.pair(0).unwrap().serve_receive();
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
        bench.net.pair(0).unwrap().serve_receive();
        assert!(bench.receive.interrupt.is_reset_needed());
        assert_eq!(bench.net.state().queues, []);
        bench.net.pair(0).unwrap().serve_transmit();
        bench.net.reset();
        bench.receive.interrupt.clear();
        let mut receive = Driver::new();
        let transmit = receive.of_next_queue();
        receive.activate_with(&mut bench.net, 1 << 32, &[&transmit]);
        receive.send(&[(0x10_0000, 100, WRITE)]);
        bench.give(b"frame");
        bench.net.pair(0).unwrap().serve_receive();
        assert_eq!(receive.used(), [(0, 17)]);
    }
}

#[test]
fn hostile_frames_to_send_stop_the_device() {
    for chain in [[(RAM_BYTES - 1, 20, 0, 0)], [(0x10_0000, 13, NEXT, 0)], [(u64::MAX - 1, u32::MAX, 0, 0)]] {
        let mut bench = bench(0);
        bench.transmit.describe(0, &chain);
        bench.transmit.offer(0);
        bench.net.pair(0).unwrap().serve_transmit();
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
        bench.net.pair(0).unwrap().serve_transmit();
    };
    let arrived = |bench: &Bench| std::iter::from_fn(|| bench.arrived()).count();
    // The first one empties the bucket for hours.
    let frames = [64 << 10, 100, 100, 100];
    frames.into_iter().for_each(|bytes| send(&mut bench, bytes));
    let passed = arrived(&bench);
    assert!((1..4).contains(&passed), "{passed}");
    bench.net.rates().set(NetworkRates::default());
    bench.net.pair(0).unwrap().serve_transmit();
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
    bench.net.pair(0).unwrap().serve_transmit();
    let json = serde_json::to_string(&bench.net.state()).unwrap();
    let state: NetState = serde_json::from_str(&json).unwrap();
    assert_eq!((state.mac, state.features), (MAC, Some(1 << 32 | MERGEABLE)));
    assert_eq!(state.queues.iter().map(|queue| queue.unwrap().next_used).collect::<Vec<_>>(), [0, 1]);
}

/// A device of two pairs: its links' other ends, and the drivers of all queues.
struct Several {
    net: Net<Wire>,
    peers: Vec<UnixDatagram>,
    queues: Vec<Driver>,
}

const CONTROL: usize = 4;

fn several(features: u64) -> Several {
    let (peers, own): (Vec<_>, Vec<_>) = (0..2).map(|_| UnixDatagram::pair().unwrap()).unzip();
    peers.iter().chain(&own).for_each(|socket| socket.set_nonblocking(true).unwrap());
    let wires = own.into_iter().map(|own| Wire::new(own.into(), Arc::default()));
    let rates = NetworkRates::default();
    let mut net = Net::new(wires, &NetworkDevice { mac: MAC, mtu_bytes: 1500, rates }).unwrap();
    let mut queues = vec![Driver::new()];
    while queues.len() < net.queue_sizes().len() {
        queues.push(queues.last().unwrap().of_next_queue());
    }
    let (first, others) = queues.split_first().unwrap();
    first.activate_with(&mut net, 1 << 32 | features, &others.iter().collect::<Vec<_>>());
    Several { net, peers, queues }
}

impl Several {
    /// Sends a command; the answer.
    fn command(&mut self, command: &[u8]) -> u8 {
        let queue = &mut self.queues[CONTROL];
        queue.write(0x10_0000, command);
        queue.write(0x20_0000, &[0xaa]);
        let (header, data) = (2.min(command.len()), command.len().saturating_sub(2));
        let data = (0x10_0000 + 2, u32::try_from(data).unwrap(), 0);
        queue.send(&[(0x10_0000, u32::try_from(header).unwrap(), 0), data, (0x20_0000, 1, WRITE)]);
        self.net.serve_control();
        queue.read(0x20_0000, 1)[0]
    }

    /// Resets it and sets it up again, but for one queue.
    fn activate_without(&mut self, left_out: Option<usize>, features: u64) -> Result<(), ActivateError> {
        self.net.reset();
        let queue = |(index, driver): (usize, &Driver)| match left_out {
            Some(left_out) if left_out == index => Queue::new(256).unwrap(),
            _ => driver.queue(features),
        };
        let queues = self.queues.iter().enumerate().map(queue).collect();
        let (memory, interrupt) = (Arc::clone(&self.queues[0].memory), self.queues[0].interrupt.clone());
        self.net.activate(Activation { memory, queues, interrupt, features })
    }

    fn used(&self) -> [Option<bool>; 2] {
        [0, 1].map(|index| self.net.pair(index).unwrap().link().is_used)
    }
}

const SEVERAL: u64 = 1 << VIRTIO_NET_F_CTRL_VQ | 1 << VIRTIO_NET_F_MQ;

#[test]
fn a_driver_chooses_how_many_pairs_carry_frames() {
    let mut device = several(SEVERAL);
    let mut space = [0; 2];
    device.net.read_config(8, &mut space);
    assert_eq!(space, [2, 0], "max_virtqueue_pairs");
    assert_eq!(device.used(), [Some(true), Some(false)], "until it has chosen");
    assert_eq!((device.command(&[4, 0, 2, 0]), device.used()), (0, [Some(true); 2]));
    for refused in
        [&[4, 0, 0, 0][..], &[4, 0, 3, 0], &[4, 0, 2, 1], &[4, 1, 1, 0], &[0, 0, 1, 0], &[4, 0, 1], &[4]]
    {
        assert_eq!((device.command(refused), device.used()), (1, [Some(true); 2]), "{refused:?}");
    }
    assert_eq!((device.command(&[4, 0, 1, 0]), device.used()), (0, [Some(true), Some(false)]));
    assert_eq!(device.queues[CONTROL].used().len(), 9);
}

#[test]
fn each_pair_has_its_own_link() {
    let mut device = several(SEVERAL);
    for (pair, body) in [(0, b"first"), (1, b"other")] {
        let transmit = &mut device.queues[2 * pair + 1];
        transmit.write(0x10_0000, &[&[0; HEADER], &body[..]].concat());
        transmit.send(&[(0x10_0000, 17, 0)]);
        device.net.pair(pair).unwrap().serve_transmit();
        let mut frame = [0; 64];
        assert_eq!(device.peers[pair].recv(&mut frame).unwrap(), 17);
        assert_eq!(&frame[HEADER..17], body);
        device.peers[pair].send(&frame[..17]).unwrap();
        device.queues[2 * pair].send(&[(0x20_0000, 100, WRITE)]);
        device.net.pair(pair).unwrap().serve_receive();
        assert_eq!(device.queues[2 * pair].read(0x20_000c, 5), body);
    }
    assert_eq!(device.net.lanes().len(), 1);
    let state = device.net.state();
    assert_eq!((state.pairs, state.queues.len()), (2, 5));
    assert!(state.queues.iter().all(Option::is_some));
}

#[test]
fn a_broken_queue_stops_all_pairs() {
    for broken in [0, 3, CONTROL] {
        let mut device = several(SEVERAL);
        device.queues[broken].describe(0, &[(u64::MAX - 1, u32::MAX, 0, 0)]);
        device.queues[broken].offer(0);
        for peer in &device.peers {
            peer.send(&[0; 20]).unwrap();
        }
        let serve = |device: &mut Several| {
            device.net.serve_control();
            for pair in [0, 1] {
                device.net.pair(pair).unwrap().serve_transmit();
                device.net.pair(pair).unwrap().serve_receive();
            }
        };
        serve(&mut device);
        assert!(device.queues[0].interrupt.is_reset_needed(), "{broken}");
        assert_eq!(device.net.state().queues, []);
        for pair in [0, 1] {
            device.queues[2 * pair].send(&[(0x20_0000, 100, WRITE)]);
        }
        serve(&mut device);
        assert_eq!(device.queues[2].used(), [], "{broken}");
    }
}

#[test]
fn pairs_that_a_driver_leaves_out_cannot_be_chosen() {
    let mut device = several(SEVERAL);
    device.activate_without(Some(2), 1 << 32 | SEVERAL).unwrap();
    assert_eq!((device.command(&[4, 0, 2, 0]), device.command(&[4, 0, 1, 0])), (1, 0));
    assert_eq!(device.used(), [Some(true), Some(false)]);
    let lacking = device.net.state().queues;
    assert_eq!(lacking.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false, false, true]);
}

#[test]
fn a_control_queue_needs_several_pairs() {
    let mut device = several(SEVERAL);
    let refusal = device.activate_without(None, 1 << 32 | 1 << VIRTIO_NET_F_CTRL_VQ);
    assert_eq!(refusal, Err(ActivateError::FeatureMissing(VIRTIO_NET_F_MQ)));
    assert_eq!(device.activate_without(Some(1), 1 << 32), Err(ActivateError::QueueNotReady(1)));
}

#[test]
fn pairs_share_one_rate() {
    let mut device = several(SEVERAL);
    let slow = NetworkRates { out_bytes_per_s: NonZeroU64::new(1), ..NetworkRates::default() };
    device.net.rates().set(slow);
    for pair in [0, 1] {
        for _ in 0..4 {
            device.queues[2 * pair + 1].send(&[(0x10_0000, 40 << 10, 0)]);
        }
        device.net.pair(pair).unwrap().serve_transmit();
    }
    let passed = [0, 1].map(|pair| device.queues[2 * pair + 1].used().len());
    // A bucket holds 64 KiB, and what passes is paid for afterwards.
    assert_eq!(passed, [2, 0]);
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
