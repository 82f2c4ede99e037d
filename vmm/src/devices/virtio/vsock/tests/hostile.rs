//! Guests that break the rules, by accident or not. Each test ends with a device that still serves, or that waits for a
//! reset and serves after it.

use std::fs;
use std::io::Write;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use proptest::prelude::*;

use super::super::connections::{MAX_CONNECTIONS, MAX_FROM_GUEST, MAX_REPLIES};
use super::super::packet::{HOST_CID, Header, op};
use super::driver::{GUEST_CID, Guest, HOST_PORT, is_at_end, read};
use crate::devices::virtio::device::VirtioDevice;

/// The device works as on its first day.
fn assert_serves(guest: &mut Guest) {
    guest.drain();
    let (mut stream, port) = guest.called(4_000_000, 1 << 20);
    guest.send(guest.header(4_000_000, port, op::RW), b"alive");
    assert_eq!(read(&mut stream), b"alive");
}

#[test]
fn a_forged_sender_is_ignored() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    for src_cid in [0, 1, HOST_CID, GUEST_CID + 1, u64::from(u32::MAX), GUEST_CID | 1 << 32] {
        guest.send(Header { src_cid, ..guest.header(5, port, op::RW) }, b"forged");
    }
    guest.expect_silence();
    assert!(read(&mut stream).is_empty());
    assert_serves(&mut guest);
}

#[test]
fn nobody_but_the_host_is_reached() {
    let mut guest = Guest::new();
    let _listener = guest.listen();
    for dst_cid in [0, 1, GUEST_CID, GUEST_CID + 1, HOST_CID | 1 << 32] {
        guest.send(Header { dst_cid, ..guest.header(7, HOST_PORT, op::REQUEST) }, &[]);
        assert_eq!(guest.expect(op::RST).src_cid, dst_cid);
    }
    assert_serves(&mut guest);
}

#[test]
fn other_socket_types_are_refused() {
    let mut guest = Guest::new();
    let _listener = guest.listen();
    for kind in [0, 2, 3, u16::MAX] {
        guest.send(Header { kind, ..guest.header(7, HOST_PORT, op::REQUEST) }, &[]);
        assert_eq!(guest.expect(op::RST).kind, kind);
        guest.send(Header { kind, ..guest.header(7, HOST_PORT, op::RST) }, &[]);
        guest.expect_silence();
    }
    assert_serves(&mut guest);
}

#[test]
fn packets_without_a_connection_are_reset_but_resets_are_not() {
    let mut guest = Guest::new();
    for operation in
        [0, op::RESPONSE, op::SHUTDOWN, op::RW, op::CREDIT_UPDATE, op::CREDIT_REQUEST, 8, u16::MAX]
    {
        guest.send(guest.header(7, HOST_PORT, operation), &[]);
        let rst = guest.expect(op::RST);
        assert_eq!((rst.src_port, rst.dst_port), (HOST_PORT, 7));
    }
    guest.send(guest.header(7, HOST_PORT, op::RST), &[]);
    guest.expect_silence();
    assert_serves(&mut guest);
}

#[test]
fn operations_out_of_place_end_their_connection_only() {
    let mut guest = Guest::new();
    let (mut other, other_port) = guest.called(100, 1 << 20);
    for operation in [0, op::REQUEST, op::RESPONSE, 8, u16::MAX] {
        let (mut stream, port) = guest.called(5, 1 << 20);
        guest.send(guest.header(5, port, operation), &[]);
        guest.expect(op::RST);
        assert!(is_at_end(&mut stream), "operation {operation}");
    }
    for operation in [op::REQUEST, op::RW, op::SHUTDOWN, op::CREDIT_UPDATE, op::CREDIT_REQUEST] {
        let mut stream = guest.call(5);
        let port = guest.expect(op::REQUEST).src_port;
        guest.send(guest.header(5, port, operation), &[]);
        guest.expect(op::RST);
        assert!(is_at_end(&mut stream), "operation {operation} before the answer");
    }
    guest.send(guest.header(100, other_port, op::RW), b"untouched");
    assert_eq!(read(&mut other), b"untouched");
}

#[test]
fn a_length_beyond_the_buffers_ends_the_connection() {
    let mut guest = Guest::new();
    for len in [6, 65_537, 1 << 31, u32::MAX] {
        let (mut stream, port) = guest.called(5, 1 << 20);
        guest.send_raw(&Header { len, ..guest.header(5, port, op::RW) }, b"short");
        guest.expect(op::RST);
        assert!(is_at_end(&mut stream));
    }
    // Shorter than the buffers is a driver's right.
    let (mut stream, port) = guest.called(5, 1 << 20);
    guest.send_raw(&Header { len: 2, ..guest.header(5, port, op::RW) }, b"longer");
    assert_eq!(read(&mut stream), b"lo");
}

#[test]
fn a_packet_may_be_cut_anywhere() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    let header = Header { len: 10, ..guest.header(5, port, op::RW) };
    let whole: Vec<u8> = header.encode().into_iter().chain(*b"0123456789").collect();
    // Three pieces of the header, one across, three of the payload, an empty one.
    let pieces = [10, 20, 10, 6, 2, 0, 4, 2];
    let mut at = 0;
    for (index, bytes) in (0_u16..).zip(pieces) {
        let address = 0xe_0000 + 0x100 * u64::from(index);
        let begin = usize::try_from(at).unwrap();
        let piece = whole.get(begin..begin + usize::try_from(bytes).unwrap()).unwrap();
        crate::memory::Bytes::write_slice(&*guest.memory, piece, crate::memory::GuestAddress(address))
            .unwrap();
        guest.tx.describe(index, address, bytes, u16::from(index < 7), index + 1);
        at += bytes;
    }
    guest.tx.publish(0);
    guest.run();
    assert_eq!(read(&mut stream), b"0123456789");
}

/// Publishes one chain of the tx queue (`index` 1) or rx queue (0) and expects the device to give up, then to serve
/// again after a reset.
fn assert_gives_up(rx: bool, break_it: impl Fn(&mut Guest)) {
    let mut guest = Guest::asleep();
    guest.activate();
    if !rx {
        guest.fill_rx(128);
    }
    let mut stream = guest.call(5);
    if !rx {
        guest.expect(op::REQUEST);
    }
    break_it(&mut guest);
    guest.run();
    assert!(guest.interrupt.is_reset_needed());
    assert!(is_at_end(&mut stream), "nobody is left waiting");
    // Silent until the reset.
    guest.tx.publish(0);
    guest.run();
    guest.device.lock().unwrap().reset();
    guest.wake();
    assert!(!guest.interrupt.is_reset_needed());
    assert_serves(&mut guest);
}

#[test]
fn broken_chains_stop_the_device_until_it_is_reset() {
    const END: u64 = 16 << 20;
    const WRITE: u16 = 2;
    const NEXT: u16 = 1;
    const INDIRECT: u16 = 4;
    let tx: [fn(&mut Guest); 9] = [
        // A loop.
        |g| g.tx.describe(0, 0xe_0000, 44, NEXT, 0),
        |g| g.tx.describe(0, END, 44, 0, 0),
        |g| g.tx.describe(0, END - 43, 44, 0, 0),
        |g| g.tx.describe(0, u64::MAX - 10, 44, 0, 0),
        |g| g.tx.describe(0, 0xe_0000, 43, 0, 0),
        |g| g.tx.describe(0, 0xe_0000, 0, 0, 0),
        |g| g.tx.describe(0, 0xe_0000, 44, WRITE, 0),
        |g| {
            // The device's part after the driver's.
            g.tx.describe(0, 0xe_0000, 44, NEXT, 1);
            g.tx.describe(1, 0xe_1000, 100, WRITE, 0);
        },
        |g| g.tx.describe(0, 0xe_0000, 15, INDIRECT, 0),
    ];
    for case in tx {
        assert_gives_up(false, |guest| {
            case(guest);
            guest.tx.publish(0);
        });
    }
    let rx: [fn(&mut Guest); 5] = [
        |g| g.rx.describe(0, END - 100, 4096, WRITE, 0),
        |g| g.rx.describe(0, 0xe_0000, 4096, 0, 0),
        |g| g.rx.describe(0, 0xe_0000, 43, WRITE, 0),
        |g| g.rx.describe(0, 0xe_0000, 44, WRITE, 0),
        |g| {
            g.rx.describe(0, 0xe_0000, 44, WRITE | NEXT, 1);
            g.rx.describe(1, u64::MAX, 4096, WRITE, 0);
        },
    ];
    for case in rx {
        assert_gives_up(true, |guest| {
            case(guest);
            guest.rx.publish(0);
        });
    }
    // Heads beyond the table, and an index that claims more than the ring holds.
    assert_gives_up(false, |guest| guest.tx.publish(128));
    assert_gives_up(false, |guest| guest.tx.publish(u16::MAX));
    assert_gives_up(false, |guest| guest.tx.set_avail_index(200));
    assert_gives_up(true, |guest| guest.rx.set_avail_index(u16::MAX));
}

#[test]
fn a_flood_that_wants_answers_waits_until_they_are_taken() {
    let mut guest = Guest::asleep();
    guest.activate();
    let flood = guest.header(7, HOST_PORT, op::RW);
    let mut sent = 0;
    while guest.try_send(&flood, &[]) {
        sent += 1;
        guest.run();
    }
    assert!((MAX_REPLIES..MAX_REPLIES + 70).contains(&sent), "{sent} packets were taken");
    assert_eq!(guest.step(), 0, "and the device does not spin");
    guest.fill_rx(128);
    let mut answers = guest.drain().len();
    assert_eq!(answers, sent);
    // With buffers, any number passes.
    for _ in 0..2000 {
        guest.send(flood, &[]);
        answers += guest.drain().len();
    }
    assert_eq!(answers, sent + 2000);
    assert_serves(&mut guest);
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn a_hundred_thousand_requests_hold_a_bounded_number_of_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).unwrap();
    let mut guest = Guest::new();
    let listener = guest.listen();
    let before = open_descriptors();
    let (mut accepted, mut responses, mut refusals) = (Vec::new(), 0, 0);
    for port in 0..100_000 {
        // As many as the tx queue holds at a time.
        let request = guest.header(port, HOST_PORT, op::REQUEST);
        if guest.try_send(&request, &[]) && port % 60 != 0 && port != 99_999 {
            continue;
        }
        guest.run();
        while let Ok((stream, _)) = listener.accept() {
            accepted.push(stream);
        }
        for (header, _) in guest.drain() {
            match header.op {
                op::RESPONSE => responses += 1,
                _ => refusals += 1,
            }
        }
    }
    assert_eq!((responses, refusals), (MAX_FROM_GUEST, 100_000 - MAX_FROM_GUEST));
    // Each has a descriptor here and one in the device.
    assert_eq!(open_descriptors() - before, 2 * MAX_FROM_GUEST);
    // The host still gets through.
    assert_serves(&mut guest);
    // And places become free again.
    for port in 0..100 {
        guest.send(guest.header(port, HOST_PORT, op::RST), &[]);
    }
    guest.drain();
    guest.send(guest.header(200_000, HOST_PORT, op::REQUEST), &[]);
    guest.expect(op::RESPONSE);
}

#[test]
fn connections_that_nobody_reads_to_the_end_are_bounded_too() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).unwrap();
    let mut guest = Guest::new();
    let listener = guest.listen();
    let mut accepted = Vec::new();
    let chunk = vec![1; 8000];
    // Each leaves bytes that the host does not read, and frees its port.
    for _ in 0..2 * MAX_CONNECTIONS {
        guest.send(guest.header(7, HOST_PORT, op::REQUEST), &[]);
        if guest.drain().iter().any(|(header, _)| header.op == op::RST) {
            break;
        }
        accepted.push(listener.accept().unwrap());
        let data = Header { len: 8000, ..guest.header(7, HOST_PORT, op::RW) };
        // More than the socket takes.
        for _ in 0..30 {
            assert!(guest.try_send(&data, &chunk));
        }
        guest.send(guest.header(7, HOST_PORT, op::RST), &[]);
        guest.drain();
    }
    assert_eq!(accepted.len(), MAX_FROM_GUEST);
    accepted.clear();
    guest.run();
    let _stream = guest.dialled(&listener, 7);
    assert_serves(&mut guest);
}

#[test]
fn a_guest_without_rx_buffers_cannot_make_the_queue_grow() {
    let mut guest = Guest::asleep();
    guest.activate();
    let listener = guest.listen();
    for round in 0..2000 {
        guest.send(guest.header(7, HOST_PORT, op::REQUEST), &[]);
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"never delivered").unwrap();
        guest.send(guest.header(7, HOST_PORT, op::RST), &[]);
        assert!(guest.interrupt.pending() <= 3, "round {round}");
    }
    guest.fill_rx(128);
    guest.expect_silence();
    assert_serves(&mut guest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any packets on few ports, so that they meet connections in every state: no panic, no endless loop, and the
    /// device serves on.
    #[test]
    fn any_packets_leave_a_serving_device(
        packets in prop::collection::vec(
            (0_u32..4, 0_u16..9, 0_u32..4, any::<u32>(), any::<u32>(), 0_usize..3, any::<bool>()),
            1..200,
        ),
    ) {
        let mut guest = Guest::new();
        let listener = guest.listen();
        let mut calls: Vec<_> = (0..2).map(|port| guest.call(port)).collect();
        let mut ports = vec![HOST_PORT];
        let mut streams = Vec::new();
        for (port, operation, flags, buf_alloc, fwd_cnt, payload, host_acts) in packets {
            for (header, _) in guest.drain() {
                if header.op == op::REQUEST {
                    ports.push(header.src_port);
                }
            }
            let host_port = *ports.get(usize::try_from(buf_alloc).unwrap() % ports.len()).unwrap();
            let payload = vec![7; [0, 1, 60_000][payload]];
            let header = guest.header(port, host_port, operation);
            guest.send(Header { flags, buf_alloc, fwd_cnt, ..header }, &payload);
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).unwrap();
                streams.push(stream);
            }
            if host_acts {
                match flags {
                    0 => drop(streams.pop()),
                    1 => streams.iter_mut().chain(&mut calls).for_each(|stream| drop(stream.write(b"host"))),
                    2 => drop(calls.pop()),
                    _ => streams.iter().for_each(|stream| drop(stream.shutdown(std::net::Shutdown::Write))),
                }
            }
        }
        assert_serves(&mut guest);
        prop_assert!(!guest.interrupt.is_reset_needed());
    }
}
