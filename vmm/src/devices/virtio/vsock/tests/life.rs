//! Connections begin, end and reset; the device too.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::super::VsockState;
use super::super::packet::{HOST_CID, SHUTDOWN_RCV, SHUTDOWN_SEND, op};
use super::driver::{Guest, HOST_PORT, is_at_end, pattern, read};
use crate::devices::virtio::device::VirtioDevice;

const BOTH: u32 = SHUTDOWN_RCV | SHUTDOWN_SEND;

#[test]
fn the_host_calls_the_guest_and_both_are_heard() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    stream.write_all(b"question").unwrap();
    let (header, payload) = guest.recv().unwrap();
    assert_eq!((header.op, header.src_port, header.dst_port), (op::RW, port, 5));
    assert_eq!(payload, b"question");
    guest.send(guest.header(5, port, op::RW), b"answer");
    assert_eq!(read(&mut stream), b"answer");
}

#[test]
fn the_guest_calls_the_host_and_both_are_heard() {
    let mut guest = Guest::new();
    let listener = guest.listen();
    let mut stream = guest.dialled(&listener, 7);
    guest.send(guest.header(7, HOST_PORT, op::RW), b"question");
    assert_eq!(read(&mut stream), b"question");
    stream.write_all(b"answer").unwrap();
    assert_eq!(guest.recv().unwrap().1, b"answer");
}

#[test]
fn the_guest_reaches_only_allowed_ports_where_somebody_listens() {
    let mut guest = Guest::new();
    // Allowed, but nobody listens.
    guest.send(guest.header(7, HOST_PORT, op::REQUEST), &[]);
    assert_eq!(guest.expect(op::RST).dst_port, 7);
    // Somebody listens where the guest may not go.
    let path = guest.socket().with_file_name((HOST_PORT + 1).to_string());
    let _listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    guest.send(guest.header(7, HOST_PORT + 1, op::REQUEST), &[]);
    assert_eq!(guest.expect(op::RST).src_port, HOST_PORT + 1);
    guest.expect_silence();
}

#[test]
fn calls_wait_for_the_driver_in_order() {
    let mut guest = Guest::asleep();
    let _streams: Vec<_> = (1..=5).map(|port| guest.call(port)).collect();
    guest.run();
    guest.wake();
    let ports: Vec<_> = guest.drain().into_iter().map(|(header, _)| header.dst_port).collect();
    assert_eq!(ports, [1, 2, 3, 4, 5]);
}

#[test]
fn more_calls_than_fit_are_all_answered_in_the_end() {
    let mut guest = Guest::new();
    let mut streams: Vec<_> = (0..200).map(|_| guest.call(9)).collect();
    let mut answered = 0;
    while let Some((request, _)) = guest.recv() {
        assert_eq!(request.op, op::REQUEST);
        guest.send(guest.header(9, request.src_port, op::RESPONSE), &[]);
        answered += 1;
    }
    assert_eq!(answered, 200);
    assert!(streams.iter_mut().all(|stream| read(stream).starts_with(b"OK ")));
}

#[test]
fn nothing_after_the_callers_line_is_lost() {
    let mut guest = Guest::new();
    let mut stream = UnixStream::connect(guest.socket()).unwrap();
    for piece in [&b"CONN"[..], b"ECT 5", b"\nearly data"] {
        stream.write_all(piece).unwrap();
        guest.run();
    }
    let request = guest.expect(op::REQUEST);
    guest.expect_silence();
    guest.send(guest.header(5, request.src_port, op::RESPONSE), &[]);
    assert_eq!(guest.recv().unwrap().1, b"early data");
}

#[test]
fn a_wrong_line_ends_the_call() {
    let mut guest = Guest::new();
    for line in ["CONNECT x\n", "HELLO 1234567890123456789", "\n", "CONNECT 5 \n"] {
        let mut stream = UnixStream::connect(guest.socket()).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        guest.expect_silence();
        stream.set_nonblocking(true).unwrap();
        // ECONNRESET when bytes were left unread, the end otherwise.
        assert!(
            !matches!(std::io::Read::read(&mut stream, &mut [0]), Err(e) if e.kind() == std::io::ErrorKind::WouldBlock)
        );
    }
}

#[test]
fn a_caller_that_never_finishes_its_line_is_let_go() {
    let mut guest = Guest::new();
    let mut stream = UnixStream::connect(guest.socket()).unwrap();
    stream.set_nonblocking(true).unwrap();
    guest.run();
    guest.device.lock().unwrap().expire(Instant::now() + Duration::from_secs(5));
    guest.run();
    assert!(!is_at_end(&mut stream));
    guest.device.lock().unwrap().expire(Instant::now() + Duration::from_secs(11));
    guest.run();
    assert!(is_at_end(&mut stream));
}

#[test]
fn a_refused_call_ends() {
    let mut guest = Guest::new();
    let mut stream = guest.call(5);
    let request = guest.expect(op::REQUEST);
    guest.send(guest.header(5, request.src_port, op::RST), &[]);
    assert!(is_at_end(&mut stream));
    guest.expect_silence();
}

#[test]
fn a_caller_that_gives_up_frees_its_place() {
    let mut guest = Guest::new();
    drop(guest.call(5));
    // Gone before it was heard.
    guest.expect_silence();
    let stream = guest.call(5);
    let request = guest.expect(op::REQUEST);
    drop(stream);
    assert_eq!(guest.expect(op::RST).src_port, request.src_port);
    guest.send(guest.header(5, request.src_port, op::RESPONSE), &[]);
    guest.expect(op::RST);
}

#[test]
fn the_guest_half_closes() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    guest.send(guest.header(5, port, op::RW), b"last");
    let mut shutdown = guest.header(5, port, op::SHUTDOWN);
    shutdown.flags = SHUTDOWN_SEND;
    guest.send(shutdown, &[]);
    assert_eq!(read(&mut stream), b"last");
    assert!(is_at_end(&mut stream));
    stream.write_all(b"still heard").unwrap();
    assert_eq!(guest.recv().unwrap().1, b"still heard");
    // Data after that breaks the rules.
    guest.send(guest.header(5, port, op::RW), b"more");
    guest.expect(op::RST);
}

#[test]
fn the_guest_stops_to_receive() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    let mut shutdown = guest.header(5, port, op::SHUTDOWN);
    shutdown.flags = SHUTDOWN_RCV;
    guest.send(shutdown, &[]);
    assert_eq!(stream.write(b"in vain").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    guest.send(guest.header(5, port, op::RW), b"still heard");
    assert_eq!(read(&mut stream), b"still heard");
    guest.expect_silence();
}

#[test]
fn the_host_half_closes() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    stream.write_all(b"last").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(guest.recv().unwrap().1, b"last");
    assert_eq!(guest.expect(op::SHUTDOWN).flags, SHUTDOWN_SEND);
    guest.send(guest.header(5, port, op::RW), b"still heard");
    assert_eq!(read(&mut stream), b"still heard");
    drop(stream);
    assert_eq!(guest.expect(op::SHUTDOWN).flags, BOTH);
    guest.send(guest.header(5, port, op::RST), &[]);
    guest.expect_silence();
}

#[test]
fn the_host_stops_to_receive() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    stream.shutdown(Shutdown::Read).unwrap();
    guest.send(guest.header(5, port, op::RW), b"in vain");
    assert_eq!(guest.expect(op::SHUTDOWN).flags, SHUTDOWN_RCV);
    stream.write_all(b"still heard").unwrap();
    assert_eq!(guest.recv().unwrap().1, b"still heard");
}

#[test]
fn all_that_the_host_sent_comes_before_its_end() {
    let mut guest = Guest::new();
    let (mut stream, port) = guest.called(5, 1 << 20);
    let data = pattern(100_000);
    stream.write_all(&data).unwrap();
    drop(stream);
    let packets = guest.drain();
    let received: Vec<u8> = packets.iter().flat_map(|(_, payload)| payload).copied().collect();
    assert!(received == data);
    let (last, rest) = packets.split_last().unwrap();
    assert_eq!((last.0.op, last.0.flags), (op::SHUTDOWN, BOTH));
    // It may have been said in between that nobody listens any more.
    assert!(rest.iter().all(|(h, _)| h.op == op::RW || (h.op == op::SHUTDOWN && h.flags == SHUTDOWN_RCV)));
    guest.send(guest.header(5, port, op::RST), &[]);
    guest.expect_silence();
}

#[test]
fn all_that_the_guest_sent_is_read_after_its_end_and_its_port_is_free_at_once() {
    for end in [op::SHUTDOWN, op::RST] {
        let mut guest = Guest::new();
        let listener = guest.listen();
        let mut stream = guest.dialled(&listener, 7);
        let data = pattern(400_000);
        let mut sent = 0;
        // More than the socket holds, while nobody reads.
        for chunk in data.chunks(60_000) {
            guest.send(guest.header(7, HOST_PORT, op::RW), chunk);
            sent += chunk.len();
        }
        assert_eq!(sent, data.len());
        let mut last = guest.header(7, HOST_PORT, end);
        last.flags = BOTH;
        guest.send(last, &[]);
        let answers = guest.drain().into_iter().filter(|(h, _)| h.op == op::RST).count();
        assert_eq!(answers, usize::from(end == op::SHUTDOWN));
        // The same port again, while the old bytes wait.
        let mut second = guest.dialled(&listener, 7);
        guest.send(guest.header(7, HOST_PORT, op::RW), b"second");
        let mut received = Vec::new();
        while received.len() < data.len() {
            let bytes = read(&mut stream);
            assert!(!bytes.is_empty(), "{} of {}", received.len(), data.len());
            received.extend(bytes);
            guest.run();
        }
        assert!(received == data);
        assert!(is_at_end(&mut stream));
        assert_eq!(read(&mut second), b"second");
    }
}

#[test]
fn a_guest_that_does_not_confirm_the_end_is_not_waited_for() {
    let mut guest = Guest::new();
    let (stream, port) = guest.called(5, 1 << 20);
    drop(stream);
    while guest.expect(op::SHUTDOWN).flags != BOTH {}
    guest.device.lock().unwrap().expire(Instant::now() + Duration::from_secs(7));
    guest.expect_silence();
    guest.device.lock().unwrap().expire(Instant::now() + Duration::from_secs(9));
    assert_eq!(guest.expect(op::RST).src_port, port);
    // Forgotten: a late packet belongs to nobody.
    guest.send(guest.header(5, port, op::CREDIT_UPDATE), &[]);
    guest.expect(op::RST);
}

#[test]
fn a_port_is_used_again_while_its_last_end_is_not_confirmed() {
    let mut guest = Guest::new();
    let listener = guest.listen();
    drop(guest.dialled(&listener, 7));
    while guest.expect(op::SHUTDOWN).flags != BOTH {}
    let mut stream = guest.dialled(&listener, 7);
    guest.send(guest.header(7, HOST_PORT, op::RW), b"new");
    assert_eq!(read(&mut stream), b"new");
}

#[test]
fn a_reset_ends_everything_and_the_next_driver_starts_anew() {
    let mut guest = Guest::new();
    let (mut first, port) = guest.called(5, 1 << 20);
    let mut waiting = guest.call(6);
    guest.expect(op::REQUEST);
    guest.device.lock().unwrap().reset();
    assert!(is_at_end(&mut first), "at once, without the event loop");
    assert!(is_at_end(&mut waiting));
    // Kicks without a driver are ignored.
    guest.run();
    guest.wake();
    guest.send(guest.header(5, port, op::RW), b"from before");
    guest.expect(op::RST);
    let (mut second, port) = guest.called(5, 1 << 20);
    guest.send(guest.header(5, port, op::RW), b"new");
    assert_eq!(read(&mut second), b"new");
}

#[test]
fn a_restored_guest_is_told_that_its_connections_are_gone() {
    let mut guest = Guest::new();
    let (_stream, port) = guest.called(5, 1 << 20);
    let state = guest.device.lock().unwrap().state();
    let json = serde_json::to_string(&state).unwrap();
    let state: VsockState = serde_json::from_str(&json).unwrap();
    let mut guest = Guest::restored(&state);
    guest.wake();
    assert_eq!(guest.event(), None, "no buffer yet");
    guest.fill_event();
    assert_eq!(guest.event(), Some(0));
    guest.fill_event();
    assert_eq!(guest.event(), None, "once");
    let (_stream, next) = guest.called(5, 1 << 20);
    assert_ne!(next, port);
}

#[test]
fn the_configuration_space_is_the_cid_and_nothing_more() {
    let guest = Guest::asleep();
    let device = guest.device.lock().unwrap();
    let mut bytes = [0xff; 8];
    device.read_config(0, &mut bytes);
    assert_eq!(u64::from_le_bytes(bytes), super::driver::GUEST_CID);
    for offset in [8, 4, u64::MAX] {
        let mut bytes = [0xff; 4];
        device.read_config(offset, &mut bytes);
        assert_eq!(bytes, [0; 4]);
    }
    assert_eq!(device.device_type(), 19);
    assert_ne!(HOST_CID, super::driver::GUEST_CID);
}
