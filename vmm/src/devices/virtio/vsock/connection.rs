//! One stream between a program in the guest and a program on the host (virtio 1.2 section 5.10.6.6).
//!
//! ```text
//!   host dials                                         guest dials (REQUEST)
//!       │ REQUEST ▸                                         │ RESPONSE ▸
//!       ▼                                                   ▼
//!   Requested ──────────── ◂ RESPONSE ("OK") ───────────► Open ◄─┐ data, credit, one direction shut
//!       │                                                 │ │ └──┘
//!       │                     the host's program is gone, │ │
//!       │                   all it sent is with the guest │ │ ◂ SHUTDOWN of both directions (answered RST)
//!       │                      SHUTDOWN of both ▸         │ │ ◂ RST, or a broken rule (answered RST)
//!       │                                                 ▼ │
//!       │                                          Closing  │
//!       │ ◂ RST, or the               ◂ RST, or a timeout │ │
//!       │ host's program is gone                          ▼ ▼
//!       └─────────────────────────────────────────────► Draining ──► removed, once the host's program has
//!                                                                    every byte that the guest had sent
//! ```
//!
//! ▸ and ◂ are packets to and from the guest. `Draining` has no ports any more: the guest may use them again.
//!
//! Each direction is shut on its own. The guest's SHUTDOWN(send) becomes a shutdown of the unix socket once everything
//! before it is written; the end of the host's data becomes SHUTDOWN(send) once everything before it is with the guest.
//!
//! Memory: what the unix socket does not take at once is kept, at most `buf_alloc` bytes, which the guest cannot exceed
//! unpunished. What the guest does not take stays in the unix socket.
//!
//! Readiness: the socket is watched for edges. `readable` and `writable` say "not known to block"; an edge sets them, an
//! EAGAIN clears them. A connection that may not read therefore costs nothing, however much waits for it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use event_manager::EventSet;
use vm_memory::{ReadVolatile, VolatileMemoryError, WriteVolatile};

use super::credit::Credit;
use super::packet::{
    self, Buffers, HEADER_BYTES, HOST_CID, Header, MAX_PAYLOAD_BYTES, SHUTDOWN_RCV, SHUTDOWN_SEND,
    TYPE_STREAM, op,
};
use crate::memory::VolatileSlice;

/// How long the guest may take to confirm that a connection is over. (Linux gives the other side 8 s.)
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// What a connection is to the guest: the two ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ports {
    pub(super) host: u32,
    pub(super) guest: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Requested,
    Open,
    Closing { deadline: Instant },
    Draining,
}

/// What a packet or an event means for the guest's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Verdict {
    /// It goes on.
    Keep,
    /// It is over, and the guest has to be told by a RST.
    Reset,
    /// It is over, and the guest knows.
    Over,
}

bitflags::bitflags! {
    /// Packets to be sent whatever the state of the data.
    #[derive(Clone, Copy, Debug)]
    struct Due: u8 {
        const REQUEST = 1;
        const RESPONSE = 2;
        const CREDIT_UPDATE = 4;
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    ports: Ports,
    phase: Phase,
    credit: Credit,
    due: Due,
    /// A CREDIT_REQUEST was sent and no credit has come since.
    asked: bool,
    /// From the guest, not yet written. Allocated when first needed and given back when empty.
    buffer: VecDeque<u8>,
    readable: bool,
    writable: bool,
    /// Each end's two directions, until they are shut.
    guest_sends: bool,
    guest_receives: bool,
    host_sends: bool,
    host_receives: bool,
    /// SHUTDOWN flags that the guest was sent.
    told: u32,
    /// Whether the guest dialled.
    pub(super) from_guest: bool,
    /// Whether the connection stands in the queue for rx buffers.
    pub(super) queued: bool,
    /// What epoll watches; `None` before it knows the socket.
    pub(super) watched: Option<EventSet>,
}

impl Connection {
    /// The host's program, known to epoll for input, asked for a port of the guest.
    pub(super) fn from_host(stream: UnixStream, ports: Ports, buf_alloc: u32) -> Self {
        let mut connection = Self::new(stream, ports, Phase::Requested, buf_alloc, Due::REQUEST);
        connection.watched = Some(EventSet::IN | EventSet::EDGE_TRIGGERED);
        connection
    }

    /// The guest asked for a port of the host, and `stream` leads there.
    pub(super) fn from_guest(stream: UnixStream, ports: Ports, buf_alloc: u32, request: &Header) -> Self {
        let mut connection = Self::new(stream, ports, Phase::Open, buf_alloc, Due::RESPONSE);
        connection.credit.update(request.buf_alloc, request.fwd_cnt);
        connection.from_guest = true;
        connection
    }

    fn new(stream: UnixStream, ports: Ports, phase: Phase, buf_alloc: u32, due: Due) -> Self {
        Self {
            stream,
            ports,
            phase,
            credit: Credit::new(buf_alloc),
            due,
            asked: false,
            buffer: VecDeque::new(),
            readable: true,
            writable: true,
            guest_sends: true,
            guest_receives: true,
            host_sends: true,
            host_receives: true,
            told: 0,
            from_guest: false,
            queued: false,
            watched: None,
        }
    }

    /// The guest's name of the connection.
    pub(super) fn ports(&self) -> Ports {
        self.ports
    }

    /// The buffer that the guest was promised, in bytes.
    pub(super) fn buf_alloc(&self) -> u32 {
        self.credit.buf_alloc()
    }

    /// Whether the guest has not answered the REQUEST.
    pub(super) fn is_requested(&self) -> bool {
        self.phase == Phase::Requested
    }

    /// Until when the guest may confirm the end.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Closing { deadline } => Some(deadline),
            _ => None,
        }
    }

    /// Whether nothing is left to do.
    pub(super) fn is_finished(&self) -> bool {
        self.phase == Phase::Draining && self.buffer.is_empty()
    }

    /// What epoll should watch: output only while the socket is full, or every read of the host would wake the device.
    pub(super) fn interest(&self) -> EventSet {
        let output = if self.writable { EventSet::empty() } else { EventSet::OUT };
        EventSet::IN | EventSet::EDGE_TRIGGERED | output
    }

    /// The socket, when the connection is over.
    pub(super) fn into_stream(self) -> UnixStream {
        self.stream
    }

    /// The socket, to register it.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The guest's end is over; what it sent still goes to the host's program.
    pub(super) fn detach(&mut self) {
        self.phase = Phase::Draining;
        self.guest_sends = false;
        self.guest_receives = false;
        self.flush();
    }

    /// A packet of the guest, whose `len` is within `buffers` and [`MAX_PAYLOAD_BYTES`].
    pub(super) fn packet(&mut self, header: &Header, buffers: &Buffers<'_>) -> Verdict {
        self.credit.update(header.buf_alloc, header.fwd_cnt);
        if self.credit.sendable() > 0 {
            self.asked = false;
        }
        match (self.phase, header.op) {
            (_, op::RST) => Verdict::Over,
            (Phase::Requested, op::RESPONSE) => self.answered(),
            (Phase::Open | Phase::Closing { .. }, op::RW) => self.receive(header.len, buffers),
            (Phase::Open | Phase::Closing { .. }, op::SHUTDOWN) => self.shut_by_guest(header.flags),
            (Phase::Open | Phase::Closing { .. }, op::CREDIT_UPDATE) => Verdict::Keep,
            (Phase::Open | Phase::Closing { .. }, op::CREDIT_REQUEST) => {
                self.due |= Due::CREDIT_UPDATE;
                Verdict::Keep
            }
            _ => Verdict::Reset,
        }
    }

    /// Epoll reports the socket.
    pub(super) fn host_event(&mut self, events: EventSet) -> Verdict {
        self.readable |= events.contains(EventSet::IN);
        if events.contains(EventSet::OUT) {
            self.writable = true;
            self.flush();
        }
        if events.intersects(EventSet::HANG_UP | EventSet::ERROR) {
            if self.phase == Phase::Requested {
                return Verdict::Reset;
            }
            // What it sent before is still to be read, up to the end.
            self.readable = true;
            self.host_sends &= self.guest_receives;
            self.host_deaf();
        }
        Verdict::Keep
    }

    /// Whether [`Self::fill`] has something for the guest, or has to look.
    pub(super) fn wants_rx(&self) -> bool {
        match self.phase {
            Phase::Draining => false,
            _ => {
                !self.due.is_empty()
                    || self.shutdown_due().is_some()
                    || self.may_send()
                    || self.is_credit_request_due()
                    || self.is_credit_update_due()
            }
        }
    }

    /// Writes the next packet into an rx buffer and returns its length in bytes; `None` when there is none after all.
    pub(super) fn fill(&mut self, rx: &Buffers<'_>, guest_cid: u64, now: Instant) -> Option<u32> {
        let (op, flags, len) = self.next_packet(rx, now)?;
        let (buf_alloc, fwd_cnt) = self.credit.tell();
        self.due.remove(Due::CREDIT_UPDATE);
        let header = Header {
            src_cid: HOST_CID,
            dst_cid: guest_cid,
            src_port: self.ports.host,
            dst_port: self.ports.guest,
            len,
            kind: TYPE_STREAM,
            op,
            flags,
            buf_alloc,
            fwd_cnt,
        };
        rx.write(&header.encode());
        u32::try_from(HEADER_BYTES).ok()?.checked_add(len)
    }

    /// Operation, flags and payload length.
    fn next_packet(&mut self, rx: &Buffers<'_>, now: Instant) -> Option<(u16, u32, u32)> {
        for (due, op) in [(Due::REQUEST, op::REQUEST), (Due::RESPONSE, op::RESPONSE)] {
            if self.due.contains(due) {
                self.due.remove(due);
                return Some((op, 0, 0));
            }
        }
        // Before data, to stop the guest from sending in vain; after it, because reading may have found the end.
        if let Some(flags) = self.shutdown_due() {
            return Some(self.shut_by_host(flags, now));
        }
        if let Some(len) = self.send(rx) {
            return Some((op::RW, 0, len));
        }
        if let Some(flags) = self.shutdown_due() {
            return Some(self.shut_by_host(flags, now));
        }
        if self.due.contains(Due::CREDIT_UPDATE) || self.is_credit_update_due() {
            return Some((op::CREDIT_UPDATE, 0, 0));
        }
        if self.is_credit_request_due() {
            self.asked = true;
            return Some((op::CREDIT_REQUEST, 0, 0));
        }
        None
    }

    /// The guest accepted: from here on the host's program is connected.
    fn answered(&mut self) -> Verdict {
        self.phase = Phase::Open;
        let line = format!("OK {}\n", self.ports.host);
        // The socket is fresh: a line that does not fit means that nobody is there. Written as to a file: what sockets have of their
        // own would be one more call for the filter to let through.
        match rustix::io::write(&self.stream, line.as_bytes()) {
            Ok(written) if written == line.len() => Verdict::Keep,
            _ => Verdict::Reset,
        }
    }

    fn receive(&mut self, len: u32, buffers: &Buffers<'_>) -> Verdict {
        if !self.guest_sends || self.credit.receive(len).is_err() {
            return Verdict::Reset;
        }
        for slice in buffers.payload(len) {
            self.pass_on(slice);
        }
        Verdict::Keep
    }

    /// Writes to the socket what it takes and keeps the rest.
    fn pass_on(&mut self, mut slice: VolatileSlice<'_>) {
        while !slice.is_empty() {
            if !self.host_receives {
                self.credit.forward(bytes(slice.len()));
                return;
            }
            if !self.writable || !self.buffer.is_empty() {
                if self.buffer.capacity() == 0 {
                    self.buffer.reserve_exact(usize::try_from(self.credit.buf_alloc()).unwrap_or(0));
                }
                packet::append(&mut self.buffer, &slice);
                return;
            }
            let written = (&self.stream).write_volatile(&slice).map_err(io_error);
            if let Some(written) = self.written(written) {
                match slice.offset(written) {
                    Ok(rest) => slice = rest,
                    Err(_) => return,
                }
            }
        }
    }

    /// Writes what was kept, then the end of the guest's data.
    fn flush(&mut self) {
        while self.writable && !self.buffer.is_empty() {
            let (first, second) = self.buffer.as_slices();
            let written = (&self.stream).write_vectored(&[IoSlice::new(first), IoSlice::new(second)]);
            if let Some(written) = self.written(written) {
                self.buffer.drain(..written.min(self.buffer.len()));
            }
        }
        if self.buffer.is_empty() {
            self.buffer = VecDeque::new();
            if !self.guest_sends && self.host_receives {
                // Fails only when the host's program is gone, which epoll reports as well.
                let _ = self.stream.shutdown(Shutdown::Write);
            }
        }
    }

    /// Accounts for a write: how much of it was taken, or what stands in the way.
    fn written(&mut self, result: io::Result<usize>) -> Option<usize> {
        match result {
            Ok(written @ 1..) => {
                self.credit.forward(bytes(written));
                return Some(written);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) => self.writable = false,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
            Err(_) => self.host_deaf(),
        }
        None
    }

    /// The host's program takes no more: the guest is told, and what it sent in vain is forgotten.
    fn host_deaf(&mut self) {
        self.host_receives = false;
        self.credit.forward(bytes(self.buffer.len()));
        self.buffer = VecDeque::new();
    }

    fn shut_by_guest(&mut self, flags: u32) -> Verdict {
        if flags & SHUTDOWN_SEND != 0 {
            self.guest_sends = false;
            self.flush();
        }
        if flags & SHUTDOWN_RCV != 0 && self.guest_receives {
            self.guest_receives = false;
            let _ = self.stream.shutdown(Shutdown::Read);
        }
        if self.guest_sends || self.guest_receives { Verdict::Keep } else { Verdict::Reset }
    }

    /// The SHUTDOWN flags that the guest should know and does not.
    fn shutdown_due(&self) -> Option<u32> {
        let send = if self.host_sends { 0 } else { SHUTDOWN_SEND };
        let receive = if self.host_receives { 0 } else { SHUTDOWN_RCV };
        (self.phase == Phase::Open && send | receive != self.told).then_some(send | receive)
    }

    fn shut_by_host(&mut self, flags: u32, now: Instant) -> (u16, u32, u32) {
        self.told = flags;
        if flags == SHUTDOWN_SEND | SHUTDOWN_RCV {
            self.phase = Phase::Closing { deadline: now + CLOSE_TIMEOUT };
        }
        (op::SHUTDOWN, flags, 0)
    }

    /// Whether the host's program may have data, and the guest takes data.
    fn has_more(&self) -> bool {
        self.phase == Phase::Open && self.readable && self.host_sends && self.guest_receives
    }

    fn may_send(&self) -> bool {
        self.has_more() && self.credit.sendable() > 0
    }

    fn is_credit_request_due(&self) -> bool {
        self.has_more() && self.credit.sendable() == 0 && !self.asked
    }

    fn is_credit_update_due(&self) -> bool {
        self.phase == Phase::Open && self.guest_sends && self.credit.is_update_due()
    }

    /// Reads from the socket into the rx buffer: how much, or `None` when nothing is there.
    fn send(&mut self, rx: &Buffers<'_>) -> Option<u32> {
        if !self.may_send() {
            return None;
        }
        let limit = self.credit.sendable().min(rx.payload_bytes()).min(MAX_PAYLOAD_BYTES);
        let mut sent = 0;
        for mut slice in rx.payload(limit) {
            let read = loop {
                match (&self.stream).read_volatile(&mut slice).map_err(io_error) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            match read {
                Ok(0) if sent == 0 => self.host_sends = false,
                // The end is found again by the next read.
                Ok(0) => {}
                Ok(read) => {
                    sent += bytes(read);
                    if read == slice.len() {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(_) => {
                    self.host_sends = false;
                    self.host_deaf();
                }
            }
            break;
        }
        self.credit.send(sent);
        (sent > 0).then_some(sent)
    }
}

/// A length that one packet or one `buf_alloc` bounds.
fn bytes(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn io_error(error: VolatileMemoryError) -> io::Error {
    match error {
        VolatileMemoryError::IOError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
