//! vsock: packets of any kind from the guest, calls from the host's programs, and programs that read, write and go in the middle
//! of it.
//!
//! The guest reaches nobody but who listens behind an allowed port.

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use holm_protocol::vm_config::VsockConfig;
use holm_protocol::vm_dial::CONNECTED;
use holm_vmm::devices::virtio::vsock::Vsock;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, sendmsg, shutdown, socketpair,
};

use crate::Target;
use crate::guest::{Guest, SeedPart, hostile, step};
use crate::input::{Input, Output};

pub(crate) const TARGET: Target = Target {
    name: "vsock_queue",
    run,
    seeds,
    max_bytes: 4096,
    code: &["vmm/src/devices/virtio/vsock/"],
    words: &[],
};

const GUEST_CID: u64 = 42;
const HOST_CID: u64 = 2;
const HOST_PORT: u32 = 1024;
/// Calls of the guest's that the host answers; it hangs up then.
const ANSWERED: usize = 3;

/// What a program of the host does; any other number is the last one.
mod act {
    /// Calls the guest: bytes of the line.
    pub(super) const CALL: u8 = 0;
    /// Writes bytes: which stream, bytes.
    pub(super) const WRITE: u8 = 1;
    /// Reads what there is: which stream.
    pub(super) const READ: u8 = 2;
    /// Goes: which stream.
    pub(super) const CLOSE: u8 = 3;
    /// Sends no more: which stream.
    pub(super) const SHUT: u8 = 4;
    /// How many there are.
    pub(super) const COUNT: u8 = 5;
}

fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (features, refills) = (input.u64(), input.u8());
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("vsock");
    let (host, channel) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
    // The host's answers lie ready.
    let mut streams: Vec<Option<UnixStream>> = Vec::new();
    for _ in 0..ANSWERED {
        let (own, guests) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        let rights = [guests.as_raw_fd()];
        let rights = [ControlMessage::ScmRights(&rights)];
        sendmsg::<()>(host.as_raw_fd(), &[IoSlice::new(&[CONNECTED])], &rights, MsgFlags::empty(), None)
            .unwrap();
        streams.push(Some(own));
    }
    shutdown(host.as_raw_fd(), Shutdown::Write).unwrap();
    let config = VsockConfig {
        guest_cid: GUEST_CID as u32,
        socket: socket.clone(),
        host_ports: vec![HOST_PORT],
        dial_fd: Some(channel.into_raw_fd()),
    };
    let mut guest = Guest::new(Vsock::new(&config).unwrap(), features);
    for _ in 0..refills % 32 {
        let room = guest.room(1024);
        guest.chain(0, &[room], false);
    }
    while !input.is_empty() {
        guest.step(&mut input, &mut |input| program(&mut streams, &socket, input));
    }
    guest.finish();
}

/// A program of the host does something.
fn program(streams: &mut Vec<Option<UnixStream>>, socket: &Path, input: &mut Input<'_>) {
    let what = input.u8() % act::COUNT;
    if what == act::CALL {
        if streams.len() < 16
            && let Ok(mut stream) = UnixStream::connect(socket)
        {
            stream.set_nonblocking(true).unwrap();
            let _ = stream.write_all(input.counted());
            streams.push(Some(stream));
        }
        return;
    }
    let which = usize::from(input.u8()) % streams.len();
    let Some(stream) = &mut streams[which] else { return };
    match what {
        act::WRITE => drop(stream.write_all(input.counted())),
        act::READ => drop(stream.read_to_end(&mut Vec::new())),
        act::SHUT => drop(stream.shutdown(std::net::Shutdown::Write)),
        _ => streams[which] = None,
    }
}

/// A packet of the guest's.
fn packet(guest_port: u32, host_port: u32, operation: u16, payload: &[u8]) -> Vec<u8> {
    let header = Output::default().u64(GUEST_CID).u64(HOST_CID).u32(guest_port).u32(host_port);
    let header = header.u32(payload.len() as u32).u16(1).u16(operation).u32(3).u32(1 << 16).u32(0);
    header.bytes(payload).0
}

fn seeds() -> Vec<Vec<u8>> {
    const REQUEST: u16 = 1;
    const RESPONSE: u16 = 2;
    const RST: u16 = 3;
    const SHUTDOWN: u16 = 4;
    const RW: u16 = 5;
    let start = |refills| Output::default().u64(u64::MAX).u8(refills);
    let send = |output: Output, port: u32, operation: u16, payload: &[u8]| {
        output.chain(1, &[SeedPart::Data(&packet(7, port, operation, payload))])
    };
    let acts = |output: Output, what: u8, which: u8| output.u8(step::HOST).u8(what).u8(which);
    let mut seeds = Vec::new();
    for refills in [0, 1, 30] {
        // The guest calls, writes, is written to, and either side ends it.
        let dialled = || send(start(refills), HOST_PORT, REQUEST, b"");
        let talked = || {
            let output = send(dialled(), HOST_PORT, RW, b"hello");
            let output = acts(output, act::READ, 0);
            acts(output, act::WRITE, 0).counted(b"hello yourself").chain(0, &[SeedPart::Room(2000)])
        };
        seeds.push(send(talked(), HOST_PORT, SHUTDOWN, b"").0);
        seeds.push(send(talked(), HOST_PORT, RST, b"").0);
        seeds.push(acts(talked(), act::CLOSE, 0).0);
        seeds.push(acts(talked(), act::SHUT, 0).0);
        for operation in 0..10 {
            seeds.push(send(dialled(), HOST_PORT, operation, b"").0);
            seeds.push(send(start(refills), 99, operation, b"x").0);
        }
        let flood = (0..20).fold(dialled(), |output, _| send(output, HOST_PORT, RW, &[7; 150]));
        seeds.push(acts(flood, act::READ, 0).0);
        // A program of the host's calls; its first port is the device's choice.
        for line in ["CONNECT 7\n", "CONNECT 07\n", "CONNECT", "CONNECT 4294967296\n", "x\n"] {
            let called = start(refills).u8(step::HOST).u8(act::CALL).counted(line.as_bytes());
            seeds.push(called.clone().chain(0, &[SeedPart::Room(44), SeedPart::Room(100)]).0);
            for port in [1 << 30, 1 << 31, 0x4000_0000, 1_073_741_824] {
                let answered = send(called.clone(), port, RESPONSE, b"");
                seeds.push(acts(answered, act::READ, 3).0);
            }
        }
        seeds.push((0..5).fold(start(refills), |output, _| send(output, HOST_PORT, REQUEST, b"")).0);
        seeds.push(start(refills).chain(2, &[SeedPart::Room(4)]).u8(step::RESET).u64(u64::MAX).0);
    }
    let cut = packet(7, HOST_PORT, REQUEST, b"and more");
    seeds.push(
        start(9)
            .chain(1, &[SeedPart::Data(&cut[..3]), SeedPart::Data(&cut[3..44]), SeedPart::Data(&cut[44..])])
            .0,
    );
    seeds.push(start(9).chain(1, &[SeedPart::Data(&cut[..43])]).0);
    seeds.extend(hostile(&start(3), 3));
    seeds
}
