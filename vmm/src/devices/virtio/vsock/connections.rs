//! All connections of a guest: which packet belongs to which, who may send next, and how many there may be.
//!
//! Connections that have something for the guest stand in one queue; each gets one rx buffer at a time and then stands at
//! its end, so a busy stream cannot starve another. Refusals (RST without a connection) go before them.
//!
//! Bounds, all per guest: [`MAX_CONNECTIONS`] descriptors, of which the guest itself can take [`MAX_FROM_GUEST`];
//! [`MAX_REPLIES`] refusals before the device stops to take packets until the guest gives it rx buffers; the memory that
//! [`BufferBudget`] promises.
//!
//! A connection is known by its file descriptor, which is unique because a socket is closed only after epoll forgot it
//! ([`Connections::sync`]).

use std::collections::{HashMap, VecDeque};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use event_manager::{EventOps, EventSet, Events};

use super::connection::{Connection, Ports, Verdict};
use super::credit::BufferBudget;
use super::dialler::Dialler;
use super::packet::{Buffers, HEADER_BYTES, HOST_CID, Header, MAX_PAYLOAD_BYTES, TYPE_STREAM, op};

/// Most connections of a guest, those included that only wait for the host's program to read what is left.
pub(super) const MAX_CONNECTIONS: usize = 1024;
/// Most connections that the guest dialled: the host can always reach its agent.
pub(super) const MAX_FROM_GUEST: usize = 768;
/// Most refusals that wait for rx buffers before the tx queue is left alone. A broken rule or a timeout of each
/// connection can add one more.
pub(super) const MAX_REPLIES: usize = 256;
/// The host's ports for its own calls: above what programs choose.
const FIRST_HOST_PORT: u32 = 1 << 30;
/// The end of those ports.
const END_HOST_PORT: u32 = 1 << 31;

/// See the module.
#[derive(Debug)]
pub(super) struct Connections {
    guest_cid: u64,
    dialler: Dialler,
    table: HashMap<RawFd, Connection>,
    by_ports: HashMap<Ports, RawFd>,
    /// Connections that want an rx buffer, each once.
    queue: VecDeque<RawFd>,
    /// Packets without a connection.
    replies: VecDeque<Header>,
    from_guest: usize,
    budget: BufferBudget,
    next_host_port: u32,
    has_deadlines: bool,
    /// Connections whose interest epoll does not know.
    changed: Vec<RawFd>,
    /// Sockets to be taken from epoll and closed.
    closed: Vec<UnixStream>,
}

impl Connections {
    pub(super) fn new(guest_cid: u64, dialler: Dialler) -> Self {
        Self {
            guest_cid,
            dialler,
            table: HashMap::new(),
            by_ports: HashMap::new(),
            queue: VecDeque::new(),
            replies: VecDeque::new(),
            from_guest: 0,
            budget: BufferBudget::new(),
            next_host_port: FIRST_HOST_PORT,
            has_deadlines: false,
            changed: Vec::new(),
            closed: Vec::new(),
        }
    }

    /// The port that the host's next call comes from.
    pub(super) fn next_host_port(&self) -> u32 {
        self.next_host_port
    }

    /// Continues with the ports of an earlier process, so that the guest sees none twice in a row.
    pub(super) fn set_next_host_port(&mut self, port: u32) {
        if (FIRST_HOST_PORT..END_HOST_PORT).contains(&port) {
            self.next_host_port = port;
        }
    }

    /// Connections that the guest has not answered.
    pub(super) fn requested(&self) -> usize {
        self.table.values().filter(|connection| connection.is_requested()).count()
    }

    /// Whether there is room for the answer to one more packet.
    pub(super) fn accepts_packets(&self) -> bool {
        self.replies.len() < MAX_REPLIES
    }

    /// Whether something waits for an rx buffer.
    pub(super) fn wants_rx(&self) -> bool {
        !self.replies.is_empty() || !self.queue.is_empty()
    }

    /// A packet of the guest; `buffers` hold its payload.
    pub(super) fn packet(&mut self, header: &Header, buffers: &Buffers<'_>) {
        if header.src_cid != self.guest_cid {
            // Forged: an answer would go to somebody who did not ask.
            return;
        }
        if header.dst_cid != HOST_CID || header.kind != TYPE_STREAM {
            return self.refuse(header);
        }
        let ports = Ports { host: header.dst_port, guest: header.src_port };
        let Some(fd) = self.by_ports.get(&ports).copied() else {
            return if header.op == op::REQUEST { self.dialled(header, ports) } else { self.refuse(header) };
        };
        let Some(connection) = self.table.get_mut(&fd) else { return };
        if header.op == op::REQUEST && connection.deadline().is_some() {
            // The guest has forgotten the connection that only waits for its confirmation.
            self.end(fd);
            return self.dialled(header, ports);
        }
        let whole = header.len <= MAX_PAYLOAD_BYTES.min(buffers.payload_bytes());
        let verdict = if whole { connection.packet(header, buffers) } else { Verdict::Reset };
        self.judge(fd, verdict);
    }

    /// Epoll reports a connection's socket.
    pub(super) fn host_event(&mut self, fd: RawFd, events: EventSet) {
        if let Some(connection) = self.table.get_mut(&fd) {
            let verdict = connection.host_event(events);
            self.judge(fd, verdict);
        }
    }

    /// A program of the host, known to epoll for input, calls the guest.
    pub(super) fn call(&mut self, stream: UnixStream, guest_port: u32) {
        let ports = self.host_port(guest_port).map(|host| Ports { host, guest: guest_port });
        let Some(ports) = ports.filter(|_| self.table.len() < MAX_CONNECTIONS) else {
            self.closed.push(stream);
            return;
        };
        let buf_alloc = self.budget.reserve();
        self.insert(Connection::from_host(stream, ports, buf_alloc));
    }

    /// Writes the next packet for the guest into an rx buffer and returns its length in bytes; `None` when there is none
    /// after all.
    pub(super) fn fill(&mut self, rx: &Buffers<'_>, now: Instant) -> Option<u32> {
        if let Some(reply) = self.replies.pop_front() {
            rx.write(&reply.encode());
            return u32::try_from(HEADER_BYTES).ok();
        }
        while let Some(fd) = self.queue.pop_front() {
            let Some(connection) = self.table.get_mut(&fd) else { continue };
            connection.queued = false;
            let used = connection.fill(rx, self.guest_cid, now);
            debug_assert!(
                used.is_some() || !connection.wants_rx(),
                "a connection that wants nothing asks again"
            );
            self.settle(fd);
            if used.is_some() {
                return used;
            }
        }
        None
    }

    /// Whether [`Self::expire`] may have something to do.
    pub(super) fn has_deadlines(&self) -> bool {
        self.has_deadlines
    }

    /// Ends what the guest did not confirm in time.
    pub(super) fn expire(&mut self, now: Instant) {
        let late = |connection: &Connection| connection.deadline().is_some_and(|deadline| deadline <= now);
        let late: Vec<_> = self.table.iter().filter(|(_, c)| late(c)).map(|(fd, _)| *fd).collect();
        late.into_iter().for_each(|fd| self.judge(fd, Verdict::Reset));
        self.has_deadlines = self.table.values().any(|connection| connection.deadline().is_some());
    }

    /// The guest's side is gone as a whole: ends everything at once.
    pub(super) fn clear(&mut self) {
        for (_, connection) in self.table.drain() {
            self.closed.push(connection.into_stream());
        }
        for stream in &self.closed {
            // The programs see the end now; the descriptors go with the next `sync`.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.by_ports.clear();
        self.queue.clear();
        self.replies.clear();
        self.changed.clear();
        self.from_guest = 0;
        self.budget = BufferBudget::new();
    }

    /// Takes a socket that is known to epoll, to close it.
    pub(super) fn close(&mut self, stream: UnixStream) {
        self.closed.push(stream);
    }

    /// Tells epoll what has changed, and closes what is over.
    pub(super) fn sync(&mut self, ops: &mut EventOps<'_>) {
        while let Some(fd) = self.changed.pop() {
            let Some(connection) = self.table.get_mut(&fd) else { continue };
            let interest = connection.interest();
            let events = Events::new(connection.stream(), interest);
            let done = match connection.watched {
                Some(watched) if watched == interest => Ok(()),
                Some(_) => ops.modify(events),
                None => ops.add(events),
            };
            connection.watched = Some(interest);
            if done.is_err() {
                // Out of epoll watches: nobody would notice this socket again.
                self.judge(fd, Verdict::Reset);
                self.remove(fd);
            }
        }
        for stream in self.closed.drain(..) {
            // Fails for a socket that was over before epoll knew it.
            let _ = ops.remove(Events::empty(&stream));
        }
    }

    /// The guest calls the host.
    fn dialled(&mut self, request: &Header, ports: Ports) {
        let room = self.table.len() < MAX_CONNECTIONS && self.from_guest < MAX_FROM_GUEST;
        match room.then(|| self.dialler.dial(ports.host)).flatten() {
            Some(stream) => {
                self.from_guest += 1;
                let buf_alloc = self.budget.reserve();
                self.insert(Connection::from_guest(stream, ports, buf_alloc, request));
            }
            None => self.refuse(request),
        }
    }

    fn insert(&mut self, connection: Connection) {
        let fd = connection.stream().as_raw_fd();
        self.by_ports.insert(connection.ports(), fd);
        self.table.insert(fd, connection);
        self.settle(fd);
    }

    /// A free port for a call to `guest`: one more try than there can be connections finds it.
    fn host_port(&mut self, guest: u32) -> Option<u32> {
        for _ in 0..=MAX_CONNECTIONS {
            let host = self.next_host_port;
            self.next_host_port = if host + 1 < END_HOST_PORT { host + 1 } else { FIRST_HOST_PORT };
            if !self.by_ports.contains_key(&Ports { host, guest }) && !self.dialler.allows(host) {
                return Some(host);
            }
        }
        None
    }

    /// Answers a packet that belongs to no connection; a RST gets no answer.
    fn refuse(&mut self, header: &Header) {
        if header.op != op::RST {
            self.replies.push_back(header.refusal());
        }
    }

    fn judge(&mut self, fd: RawFd, verdict: Verdict) {
        match verdict {
            Verdict::Keep => self.settle(fd),
            Verdict::Over => self.end(fd),
            Verdict::Reset => {
                // Without ports the guest does not know it any more.
                if let Some(connection) = self.table.get(&fd)
                    && self.by_ports.get(&connection.ports()) == Some(&fd)
                {
                    let Ports { host, guest } = connection.ports();
                    self.replies.push_back(Header {
                        src_cid: HOST_CID,
                        dst_cid: self.guest_cid,
                        src_port: host,
                        dst_port: guest,
                        kind: TYPE_STREAM,
                        op: op::RST,
                        ..Header::default()
                    });
                }
                self.end(fd);
            }
        }
    }

    /// The guest's end of a connection is over.
    fn end(&mut self, fd: RawFd) {
        let Some(connection) = self.table.get_mut(&fd) else { return };
        connection.detach();
        let ports = connection.ports();
        if self.by_ports.get(&ports) == Some(&fd) {
            self.by_ports.remove(&ports);
        }
        self.settle(fd);
    }

    /// Puts a connection where it belongs after anything happened to it.
    fn settle(&mut self, fd: RawFd) {
        let Some(connection) = self.table.get_mut(&fd) else { return };
        if connection.is_finished() {
            return self.remove(fd);
        }
        if !connection.queued && connection.wants_rx() {
            connection.queued = true;
            self.queue.push_back(fd);
        }
        self.has_deadlines |= connection.deadline().is_some();
        if connection.watched != Some(connection.interest()) {
            self.changed.push(fd);
        }
    }

    fn remove(&mut self, fd: RawFd) {
        let Some(connection) = self.table.remove(&fd) else { return };
        if connection.queued {
            self.queue.retain(|queued| *queued != fd);
        }
        self.from_guest -= usize::from(connection.from_guest);
        self.budget.release(connection.buf_alloc());
        self.closed.push(connection.into_stream());
    }
}
