//! Credit, back-pressure, fairness and bulk.

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;

use super::super::packet::{Header, op};
use super::driver::{Guest, HOST_PORT, pattern, read};
use crate::devices::virtio::interrupt::INTERRUPT_USED_BUFFER;

#[test]
fn the_host_sends_no_more_than_the_guest_has_room_for() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1000);
    stream.write_all(&pattern(5000)).unwrap();
    let packets = guest.drain();
    assert_eq!(packets.iter().map(|(_, payload)| payload.len()).sum::<usize>(), 1000);
    assert_eq!(packets.last().unwrap().0.op, op::CREDIT_REQUEST, "asked once, then quiet");
    assert_eq!(guest.step(), 0, "data that may not be read does not keep the loop awake");
    // 300 bytes were read.
    let update = Header { buf_alloc: 1000, fwd_cnt: 300, ..guest.header(5, port, op::CREDIT_UPDATE) };
    guest.send(update, &[]);
    assert_eq!(guest.drain().iter().map(|(_, payload)| payload.len()).sum::<usize>(), 300);
    // The same again: no new room, no new question.
    guest.send(update, &[]);
    guest.expect_silence();
}

#[test]
fn a_stream_without_rx_buffers_waits_in_its_socket() {
    let mut guest = Guest::new();
    let (mut stream, _) = guest.called(5, 1 << 20);
    guest.refills = false;
    let data = pattern(1 << 20);
    stream.set_nonblocking(true).unwrap();
    let mut written = 0;
    while let Ok(bytes) = stream.write(&data[written..]) {
        written += bytes;
        guest.run();
    }
    let received: usize = guest.drain().iter().map(|(_, payload)| payload.len()).sum();
    assert!(written < data.len(), "the device takes what the guest can take and no more");
    assert!(received <= 128 * 4096);
    assert_eq!(guest.step(), 0, "and does not spin");
    guest.refills = true;
    guest.fill_rx(128);
    let rest: usize = guest.drain().iter().map(|(_, payload)| payload.len()).sum();
    assert_eq!(received + rest, written);
}

#[test]
fn a_slow_reader_costs_at_most_what_was_promised() {
    let mut guest = Guest::new();
    let listener = guest.listen();
    guest.send(guest.header(7, HOST_PORT, op::REQUEST), &[]);
    let promise = guest.expect(op::RESPONSE).buf_alloc;
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();

    // As an honest guest: never more than promised and not yet forwarded.
    let (mut sent, mut forwarded, mut data) = (0_u32, 0_u32, Vec::<u8>::new());
    loop {
        let room = promise - sent.wrapping_sub(forwarded);
        if room == 0 {
            break;
        }
        let chunk = pattern(usize::try_from(room.min(50_000)).unwrap());
        guest.send(guest.header(7, HOST_PORT, op::RW), &chunk);
        data.extend(&chunk);
        sent += u32::try_from(chunk.len()).unwrap();
        for (header, _) in guest.drain() {
            assert_eq!(header.op, op::CREDIT_UPDATE);
            forwarded = header.fwd_cnt;
        }
    }
    assert!(sent > promise, "the socket took some");
    assert!(sent < 4 * promise, "but nobody reads");
    assert_eq!(guest.step(), 0, "a full socket does not keep the loop awake");
    // The question is answered, also when nothing is new.
    guest.send(guest.header(7, HOST_PORT, op::CREDIT_REQUEST), &[]);
    assert_eq!(guest.expect(op::CREDIT_UPDATE).fwd_cnt, forwarded);

    // The reader comes back: everything arrives, and the guest hears of room.
    let mut received = Vec::new();
    while received.len() < data.len() {
        let bytes = read(&mut stream);
        assert!(!bytes.is_empty());
        received.extend(bytes);
        for (header, _) in guest.drain() {
            forwarded = header.fwd_cnt;
        }
    }
    assert!(received == data);
    assert!(promise - sent.wrapping_sub(forwarded) >= promise / 2);
}

#[test]
fn a_guest_that_sends_more_than_promised_loses_the_connection_and_not_what_it_sent_before() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    let mut sent = Vec::new();
    let rst = loop {
        let chunk = pattern(60_000);
        guest.send(guest.header(5, port, op::RW), &chunk);
        if guest.drain().iter().any(|(header, _)| header.op == op::RST) {
            break true;
        }
        sent.extend(chunk);
        if sent.len() > 4 << 20 {
            break false;
        }
    };
    assert!(rst, "unbounded");
    let mut received = Vec::new();
    loop {
        match read(&mut stream) {
            bytes if bytes.is_empty() => break,
            bytes => received.extend(bytes),
        }
        guest.run();
    }
    assert!(received == sent);
}

#[test]
fn busy_streams_take_turns() {
    let mut guest = Guest::new();
    let mut streams: Vec<_> = (1..=3).map(|port| guest.called(port, 1 << 20)).collect();
    // A first stream takes all rx buffers.
    let (mut greedy, _) = guest.called(4, 1 << 20);
    guest.refills = false;
    for _ in 0..6 {
        greedy.write_all(&pattern(100_000)).unwrap();
        guest.run();
    }
    for (stream, _) in &mut streams {
        stream.write_all(&pattern(60_000)).unwrap();
    }
    assert_eq!(guest.drain().len(), 128);
    guest.refills = true;
    guest.fill_rx(128);
    let order: Vec<_> = guest.drain().iter().map(|(header, _)| header.dst_port).collect();
    assert!(order.len() > 60);
    // Whoever has something left gets every fourth buffer.
    for turn in order.chunks(4).take(10) {
        assert!((1..=4).all(|port| turn.contains(&port)), "{order:?}");
    }
}

#[test]
fn one_interrupt_serves_many_packets() {
    let mut guest = Guest::new();
    let (mut stream, _) = guest.called(5, 1 << 20);
    guest.drain();
    while guest.interrupt.irqfd().read().is_ok() {}
    stream.write_all(&pattern(100_000)).unwrap();
    guest.run();
    assert_eq!(guest.interrupt.irqfd().read().unwrap(), 1);
    assert_eq!(guest.interrupt.pending() & INTERRUPT_USED_BUFFER, INTERRUPT_USED_BUFFER);
    assert!(guest.drain().len() > 20);
}

/// Writes what the socket takes.
fn feed(stream: &mut UnixStream, data: &[u8], at: &mut usize) {
    loop {
        match stream.write(data.get(*at..).unwrap_or_default()) {
            Ok(0) => return,
            Ok(bytes) => *at += bytes,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return;
            }
        }
    }
}

#[test]
fn bulk_goes_both_ways_at_once_and_whole() {
    let mut guest = Guest::new();
    let listener = guest.listen();
    guest.send(guest.header(7, HOST_PORT, op::REQUEST), &[]);
    let promise = guest.expect(op::RESPONSE).buf_alloc;
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let data = pattern(8 << 20);
    let (mut fed, mut to_guest, mut to_host) = (0, Vec::new(), Vec::new());
    let (mut sent, mut forwarded) = (0_u32, 0_u32);
    while to_guest.len() < data.len() || to_host.len() < data.len() {
        feed(&mut stream, &data, &mut fed);
        let room = usize::try_from(promise - sent.wrapping_sub(forwarded)).unwrap();
        let begin = usize::try_from(sent).unwrap();
        let chunk = data.get(begin..data.len().min(begin + room.min(65_536))).unwrap();
        let fwd_cnt = u32::try_from(to_guest.len()).unwrap();
        let header = guest.header(7, HOST_PORT, if chunk.is_empty() { op::CREDIT_UPDATE } else { op::RW });
        guest.send(Header { fwd_cnt, buf_alloc: 1 << 18, ..header }, chunk);
        sent += u32::try_from(chunk.len()).unwrap();
        for (header, payload) in guest.drain() {
            forwarded = header.fwd_cnt;
            to_guest.extend(payload);
        }
        to_host.extend(read(&mut stream));
    }
    assert!(to_guest == data);
    assert!(to_host == data);
}
