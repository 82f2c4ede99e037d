//! A guest's driver in miniature: real rings in guest memory, an event loop that is run by hand, and no socket layer, so
//! that a test says each packet itself.

use std::collections::VecDeque;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use event_manager::{EventManager, SubscriberOps};
use holm_protocol::vm_config::VsockConfig;
use holm_protocol::vm_dial::{CONNECTED, REFUSED, REQUEST_BYTES};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair,
};
use virtio_queue::{Queue, QueueT};

use super::super::packet::{HEADER_BYTES, HOST_CID, Header, TYPE_STREAM, op};
use super::super::{Vsock, VsockState};
use crate::devices::virtio::device::{Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::memory::{Bytes, GuestAddress, GuestRam};

pub(super) const GUEST_CID: u64 = 42;
/// The only port that the guest may call.
pub(super) const HOST_PORT: u32 = 1024;
const MEMORY_BYTES: usize = 16 << 20;
const RX_BUFFER_BYTES: u32 = 4096;
const RX_BUFFERS: u64 = 0x10_0000;
const TX_BUFFERS: u64 = 0x20_0000;
/// Enough for a header and the largest payload.
const TX_STRIDE: u64 = 0x1_1000;
const DESC_NEXT: u16 = 1;
const DESC_WRITE: u16 = 2;

/// A guest packet as a driver sees it.
pub(super) type Packet = (Header, Vec<u8>);

/// One ring, from the driver's side.
pub(super) struct Ring {
    memory: Arc<GuestRam>,
    base: u64,
    size: u16,
    avail: u16,
    used: u16,
}

impl Ring {
    fn new(memory: &Arc<GuestRam>, index: u64, size: u16) -> Self {
        Self { memory: Arc::clone(memory), base: 0x1_0000 * (index + 1), size, avail: 0, used: 0 }
    }

    /// The device's side, with EVENT_IDX.
    fn queue(&self) -> Queue {
        let mut queue = Queue::new(self.size).unwrap();
        queue.set_size(self.size);
        queue.try_set_desc_table_address(GuestAddress(self.base)).unwrap();
        queue.try_set_avail_ring_address(GuestAddress(self.base + 0x1000)).unwrap();
        queue.try_set_used_ring_address(GuestAddress(self.base + 0x2000)).unwrap();
        queue.set_event_idx(true);
        queue.set_ready(true);
        queue
    }

    pub(super) fn describe(&self, index: u16, address: u64, bytes: u32, flags: u16, next: u16) {
        let at = self.base + 16 * u64::from(index);
        self.memory.write_obj(address, GuestAddress(at)).unwrap();
        self.memory.write_obj(bytes, GuestAddress(at + 8)).unwrap();
        self.memory.write_obj(flags, GuestAddress(at + 12)).unwrap();
        self.memory.write_obj(next, GuestAddress(at + 14)).unwrap();
    }

    pub(super) fn publish(&mut self, head: u16) {
        let at = self.base + 0x1004 + 2 * u64::from(self.avail % self.size);
        self.memory.write_obj(head, GuestAddress(at)).unwrap();
        self.avail = self.avail.wrapping_add(1);
        self.set_avail_index(self.avail);
    }

    pub(super) fn set_avail_index(&self, index: u16) {
        self.memory.write_obj(index, GuestAddress(self.base + 0x1002)).unwrap();
    }

    /// The next used head and length.
    fn take(&mut self) -> Option<(u16, u32)> {
        let index: u16 = self.memory.read_obj(GuestAddress(self.base + 0x2002)).unwrap();
        if index == self.used {
            return None;
        }
        let at = self.base + 0x2004 + 8 * u64::from(self.used % self.size);
        self.used = self.used.wrapping_add(1);
        // used_event: interrupt again for the next one.
        self.memory
            .write_obj(self.used, GuestAddress(self.base + 0x1004 + 2 * u64::from(self.size)))
            .unwrap();
        let head: u32 = self.memory.read_obj(GuestAddress(at)).unwrap();
        Some((u16::try_from(head).unwrap(), self.memory.read_obj(GuestAddress(at + 4)).unwrap()))
    }
}

/// A guest with a driver and the device that serves it.
pub(super) struct Guest {
    pub(super) device: Arc<Mutex<Vsock>>,
    manager: EventManager<Arc<Mutex<Vsock>>>,
    pub(super) memory: Arc<GuestRam>,
    pub(super) interrupt: Interrupt,
    pub(super) rx: Ring,
    pub(super) tx: Ring,
    pub(super) event: Ring,
    free_tx: Vec<u16>,
    received: VecDeque<Packet>,
    /// Whether rx buffers are given back to the device at once.
    pub(super) refills: bool,
    config: VsockConfig,
    directory: tempfile::TempDir,
}

impl Guest {
    /// A device whose driver is not up.
    pub(super) fn asleep() -> Self {
        Self::with(Vsock::new)
    }

    /// A device whose driver is up and has filled its queues.
    pub(super) fn new() -> Self {
        let mut guest = Self::asleep();
        guest.wake();
        guest
    }

    /// A device that continues after a snapshot.
    pub(super) fn restored(state: &VsockState) -> Self {
        Self::with(|config| Vsock::restore(config, state))
    }

    fn with(make: impl FnOnce(&VsockConfig) -> Result<Vsock, super::super::VsockError>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (host, channel) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let sockets = directory.path().to_owned();
        thread::spawn(move || connect_guest(&host, &sockets));
        let config = VsockConfig {
            guest_cid: u32::try_from(GUEST_CID).unwrap(),
            socket: directory.path().join("vsock"),
            host_ports: vec![HOST_PORT],
            dial_fd: Some(channel.into_raw_fd()),
        };
        let device = Arc::new(Mutex::new(make(&config).unwrap()));
        let mut manager = EventManager::new().unwrap();
        manager.add_subscriber(Arc::clone(&device));
        let memory = Arc::new(GuestRam::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).unwrap());
        let ring = |index, size| Ring::new(&memory, index, size);
        Self {
            device,
            manager,
            rx: ring(0, 128),
            tx: ring(1, 128),
            event: ring(2, 8),
            memory,
            interrupt: Interrupt::new().unwrap(),
            free_tx: (0..64).collect(),
            received: VecDeque::new(),
            refills: true,
            config,
            directory,
        }
    }

    /// The driver comes up, with empty queues.
    pub(super) fn activate(&mut self) {
        self.memory.write_slice(&[0; 0x4_0000], GuestAddress(0x1_0000)).unwrap();
        for ring in [&mut self.rx, &mut self.tx, &mut self.event] {
            (ring.avail, ring.used) = (0, 0);
        }
        self.free_tx = (0..64).collect();
        self.received.clear();
        self.interrupt.clear();
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            queues: vec![self.rx.queue(), self.tx.queue(), self.event.queue()],
            interrupt: self.interrupt.clone(),
            features: self.device.lock().unwrap().features(),
        };
        self.device.lock().unwrap().activate(activation).unwrap();
        self.kick();
    }

    /// The driver comes up and fills the rx queue.
    pub(super) fn wake(&mut self) {
        self.activate();
        self.fill_rx(128);
    }

    /// Gives the first `count` rx buffers to the device.
    pub(super) fn fill_rx(&mut self, count: u16) {
        for index in 0..count {
            let address = RX_BUFFERS + u64::from(RX_BUFFER_BYTES) * u64::from(index);
            self.rx.describe(index, address, RX_BUFFER_BYTES, DESC_WRITE, 0);
            self.rx.publish(index);
        }
        self.run();
    }

    /// Notifies all queues.
    pub(super) fn kick(&self) {
        for kick in self.device.lock().unwrap().kicks() {
            kick.write(1).unwrap();
        }
    }

    /// Runs the event loop until nothing happens, which has to come soon: a loop that never rests is a failure.
    pub(super) fn run(&mut self) {
        self.kick();
        for _ in 0..10_000 {
            if self.manager.run_with_timeout(0).unwrap() == 0 {
                return;
            }
        }
        panic!("the device never rests");
    }

    /// Runs the event loop for one round and returns the number of events.
    pub(super) fn step(&mut self) -> usize {
        self.manager.run_with_timeout(0).unwrap()
    }

    /// A packet of the guest on a stream.
    pub(super) fn header(&self, guest_port: u32, host_port: u32, op: u16) -> Header {
        Header {
            src_cid: GUEST_CID,
            dst_cid: HOST_CID,
            src_port: guest_port,
            dst_port: host_port,
            kind: TYPE_STREAM,
            op,
            buf_alloc: 1 << 20,
            ..Header::default()
        }
    }

    /// Puts a packet into the tx queue, if the driver has a free slot.
    pub(super) fn try_send(&mut self, header: &Header, payload: &[u8]) -> bool {
        while let Some((head, _)) = self.tx.take() {
            self.free_tx.push(head / 2);
        }
        let Some(slot) = self.free_tx.pop() else { return false };
        let address = TX_BUFFERS + TX_STRIDE * u64::from(slot);
        self.memory.write_slice(&header.encode(), GuestAddress(address)).unwrap();
        let header_bytes = u32::try_from(HEADER_BYTES).unwrap();
        if payload.is_empty() {
            self.tx.describe(2 * slot, address, header_bytes, 0, 0);
        } else {
            let data = address + u64::from(header_bytes);
            self.memory.write_slice(payload, GuestAddress(data)).unwrap();
            self.tx.describe(2 * slot, address, header_bytes, DESC_NEXT, 2 * slot + 1);
            self.tx.describe(2 * slot + 1, data, u32::try_from(payload.len()).unwrap(), 0, 0);
        }
        self.tx.publish(2 * slot);
        true
    }

    /// Sends a packet, `len` included as the header has it, and lets the device work.
    pub(super) fn send_raw(&mut self, header: &Header, payload: &[u8]) {
        assert!(self.try_send(header, payload), "the tx queue is full");
        self.run();
    }

    /// Sends a well-formed packet.
    pub(super) fn send(&mut self, header: Header, payload: &[u8]) {
        self.send_raw(&Header { len: u32::try_from(payload.len()).unwrap(), ..header }, payload);
    }

    /// Takes the next packet from the rx queue, after the device has worked.
    pub(super) fn recv(&mut self) -> Option<Packet> {
        if let Some(packet) = self.received.pop_front() {
            return Some(packet);
        }
        self.run();
        while let Some((head, bytes)) = self.rx.take() {
            let address = GuestAddress(RX_BUFFERS + u64::from(RX_BUFFER_BYTES) * u64::from(head));
            let mut whole = vec![0; usize::try_from(bytes).unwrap()];
            self.memory.read_slice(&mut whole, address).unwrap();
            let (header, payload) = whole.split_first_chunk::<HEADER_BYTES>().unwrap();
            let header = Header::parse(header);
            assert_eq!(usize::try_from(header.len).unwrap(), payload.len());
            assert_eq!(header.dst_cid, GUEST_CID);
            self.received.push_back((header, payload.to_vec()));
            if self.refills {
                self.rx.publish(head);
            }
        }
        self.received.pop_front()
    }

    /// The next packet has to be this operation.
    pub(super) fn expect(&mut self, op: u16) -> Header {
        let (header, payload) = self.recv().expect("a packet");
        assert_eq!(header.op, op, "{header:?}");
        assert!(payload.is_empty());
        header
    }

    /// All packets up to silence.
    pub(super) fn drain(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.recv()).collect()
    }

    /// Nothing has come for the guest.
    pub(super) fn expect_silence(&mut self) {
        assert_eq!(self.recv(), None);
    }

    /// Takes the next event, as its number.
    pub(super) fn event(&mut self) -> Option<u32> {
        self.run();
        let (_, bytes) = self.event.take()?;
        assert_eq!(bytes, 4);
        Some(self.memory.read_obj(GuestAddress(0xf_0000)).unwrap())
    }

    /// Gives the device one event buffer.
    pub(super) fn fill_event(&mut self) {
        self.memory.write_obj(u32::MAX, GuestAddress(0xf_0000)).unwrap();
        self.event.describe(0, 0xf_0000, 4, DESC_WRITE, 0);
        self.event.publish(0);
    }

    /// The socket that the host's programs call.
    pub(super) fn socket(&self) -> PathBuf {
        self.config.socket.clone()
    }

    /// A program of the host listens for the guest.
    pub(super) fn listen(&self) -> UnixListener {
        let listener = UnixListener::bind(self.directory.path().join(HOST_PORT.to_string())).unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }

    /// A program of the host calls `port` of the guest; the answer has not come.
    pub(super) fn call(&self, port: u32) -> UnixStream {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.write_all(format!("CONNECT {port}\n").as_bytes()).unwrap();
        stream
    }

    /// A stream that the host dialled, and its host port.
    pub(super) fn called(&mut self, port: u32, buf_alloc: u32) -> (UnixStream, u32) {
        let mut stream = self.call(port);
        let request = self.expect(op::REQUEST);
        assert_eq!((request.src_cid, request.dst_port), (HOST_CID, port));
        let response = Header { buf_alloc, ..self.header(port, request.src_port, op::RESPONSE) };
        self.send(response, &[]);
        assert_eq!(read(&mut stream), format!("OK {}\n", request.src_port).into_bytes());
        (stream, request.src_port)
    }

    /// A stream that the guest dialled from `port`, and the host's end of it.
    pub(super) fn dialled(&mut self, listener: &UnixListener, port: u32) -> UnixStream {
        self.send(self.header(port, HOST_PORT, op::REQUEST), &[]);
        self.expect(op::RESPONSE);
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }
}

/// What the runtime does: connects the guest to the socket that bears the port's name.
fn connect_guest(channel: &OwnedFd, sockets: &Path) {
    let mut port = [0; REQUEST_BYTES];
    while let Ok(REQUEST_BYTES) = recv(channel.as_raw_fd(), &mut port, MsgFlags::empty()) {
        let stream = UnixStream::connect(sockets.join(u32::from_le_bytes(port).to_string()));
        let descriptors: Vec<_> = stream.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&descriptors)];
        let (answer, rights) = if stream.is_ok() { (CONNECTED, &rights[..]) } else { (REFUSED, &[][..]) };
        sendmsg::<()>(channel.as_raw_fd(), &[IoSlice::new(&[answer])], rights, MsgFlags::empty(), None)
            .unwrap();
    }
}

/// What can be read without waiting.
pub(super) fn read(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
    }
    bytes
}

/// Whether the other end has closed, or shut its sending side, and everything was read.
pub(super) fn is_at_end(stream: &mut UnixStream) -> bool {
    matches!(stream.read(&mut [0]), Ok(0))
}

/// Bytes that differ from place to place.
pub(super) fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| u8::try_from((i * 31 + i / 251) % 256).unwrap()).collect()
}
