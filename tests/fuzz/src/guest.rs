//! A guest without vCPUs: memory, a device behind its transport and its event loop, and a driver that does what the input
//! says.
//!
//! The program of a guest is a sequence of steps (see [`step`]). Those that a sound driver might take keep account of what
//! the device may write; [`Guest::finish`] then compares all of memory with that. The first step of another kind ends the
//! account, and only panics, hangs and growth count from then on.

use std::sync::{Arc, Mutex};

use event_manager::{EventManager, SubscriberOps};
use holm_vmm::devices::virtio::device::VirtioDevice;
use holm_vmm::devices::virtio::interrupt::Interrupt;
use holm_vmm::devices::virtio::mmio::{SharedDevice, Transport};
use holm_vmm::devices::virtio::saved_device::SavedDevice;
use holm_vmm::event_loop::Subscriber;
use holm_vmm::memory::{Bytes, GuestAddress, GuestRam};

use crate::input::{Input, Output};

/// Two pieces with a hole between them, so that a buffer can cross every kind of end.
const PIECES: [(u64, usize); 2] = [(0, 0x2_0000), (0x3_0000, 0x1_0000)];
/// Rings lie below, one every [`RING_STRIDE`]; messages of the driver above.
const ARENA: std::ops::Range<u64> = 0x1_0000..0x2_0000;
const RING_STRIDE: u64 = 0x3000;
const AVAILABLE: u64 = 0x1000;
const USED: u64 = 0x2000;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// Turns of the event loop after each notification: a device that always finds more to do gets no more than that.
const TURNS: usize = 64;

/// What a step of a program is; any other number is the last one.
pub mod step {
    /// A chain: queue, count of parts (see [`super::part`]), whether by an indirect table; then the device works.
    pub const CHAIN: u8 = 0;
    /// Something of the host's does something: what follows is up to the target.
    pub const HOST: u8 = 1;
    /// Notifies a queue: its number.
    pub const NOTIFY: u8 = 2;
    /// Reads the configuration space: offset (16 bits), width.
    pub const READ_CONFIG: u8 = 3;
    /// Resets the device and sets it up again: features to take (64 bits).
    pub const RESET: u8 = 4;
    /// Writes into memory: address (32 bits), bytes.
    pub const WRITE_MEMORY: u8 = 5;
    /// Writes a descriptor: queue, index, address, length, flags, next.
    pub const DESCRIBE: u8 = 6;
    /// Makes a head available: queue, head (16 bits).
    pub const OFFER: u8 = 7;
    /// Sets the available index: queue, index (16 bits).
    pub const SET_INDEX: u8 = 8;
    /// Writes a register or the configuration space: offset (16 bits), value (32 bits), width.
    pub const WRITE_REGISTER: u8 = 9;
    /// How many there are.
    pub const COUNT: u8 = 10;
}

/// What a part of a chain is.
pub mod part {
    /// For the device to read: bytes.
    pub const DATA: u8 = 0;
    /// For the device to write: length (16 bits).
    pub const ROOM: u8 = 1;
    /// Wherever it says: address (64 bits), length (32 bits), flags (16 bits).
    pub const RAW: u8 = 2;
    /// How many there are.
    pub const COUNT: u8 = 3;
}

/// A driver's side of a queue.
struct Ring {
    base: u64,
    size: u16,
    added: u16,
    free: u16,
}

/// See the module.
pub struct Guest {
    memory: Arc<GuestRam>,
    transport: Transport,
    manager: EventManager<Subscriber>,
    rings: Vec<Ring>,
    /// Where the next message goes.
    arena: u64,
    /// What memory holds if the device keeps to what it may write. `None` once nobody knows.
    expected: Option<Vec<u8>>,
    /// What it may write: start and length.
    writable: Vec<(u64, u64)>,
}

/// A part of a chain as the driver has it.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Where.
    pub address: u64,
    /// How long.
    pub length: u32,
    /// Its flags, but for the next one's.
    pub flags: u16,
}

impl Guest {
    /// A device whose driver took all of these features that are offered.
    pub fn new<D: VirtioDevice + 'static>(device: D, features: u64) -> Self {
        let ranges = PIECES.map(|(start, bytes)| (GuestAddress(start), bytes));
        Self::with(Arc::new(GuestRam::from_ranges(&ranges).unwrap()), device, features)
    }

    fn with<D: VirtioDevice + 'static>(memory: Arc<GuestRam>, device: D, features: u64) -> Self {
        let lanes = device.lanes();
        let device: SharedDevice = Arc::new(Mutex::new(device));
        let mut manager = EventManager::<Subscriber>::new().unwrap();
        manager.add_subscriber(device.clone());
        for lane in lanes {
            manager.add_subscriber(lane);
        }
        let transport = Transport::new(device, Arc::clone(&memory), Interrupt::new().unwrap());
        let end = PIECES.map(|(start, bytes)| start as usize + bytes).into_iter().max().unwrap();
        let mut guest = Self {
            memory,
            transport,
            manager,
            rings: Vec::new(),
            arena: ARENA.start,
            expected: Some(vec![0; end]),
            writable: Vec::new(),
        };
        guest.set_up(features);
        guest
    }

    fn set(&mut self, register: u64, value: u32) {
        self.transport.write(register, &value.to_le_bytes());
    }

    fn get(&self, register: u64) -> u32 {
        let mut value = [0; 4];
        self.transport.read(register, &mut value);
        u32::from_le_bytes(value)
    }

    /// As Linux' driver does (virtio 1.2 section 3.1.1).
    fn set_up(&mut self, features: u64) {
        for status in [0, 1, 3] {
            self.set(0x70, status);
        }
        for half in [0, 1] {
            self.set(0x14, half);
            let offered = self.get(0x10);
            self.set(0x24, half);
            // VIRTIO_F_VERSION_1 always.
            let wanted = (features >> (32 * half)) as u32 | half;
            self.set(0x20, offered & wanted);
        }
        self.set(0x70, 11);
        self.rings.clear();
        for index in 0.. {
            self.set(0x30, index);
            let size = self.get(0x34).min(256);
            if size == 0 {
                break;
            }
            let base = RING_STRIDE * u64::from(index);
            self.put(base, &[0; RING_STRIDE as usize]);
            self.set(0x38, size);
            for (register, offset) in [(0x80, 0), (0x90, AVAILABLE), (0xa0, USED)] {
                self.set(register, (base + offset) as u32);
            }
            self.set(0x44, 1);
            self.rings.push(Ring { base, size: size as u16, added: 0, free: 0 });
            self.writable.push((base + USED, 6 + 8 * u64::from(size)));
        }
        self.set(0x70, 15);
        self.turn();
    }

    /// Has the event loop do what is to be done.
    pub fn turn(&mut self) {
        for _ in 0..TURNS {
            if self.manager.run_with_timeout(0).unwrap() == 0 {
                return;
            }
        }
    }

    /// The driver writes, if there is memory.
    fn put(&mut self, address: u64, bytes: &[u8]) {
        if self.memory.write_slice(bytes, GuestAddress(address)).is_ok()
            && let Some(to) = self.expected.as_mut().and_then(|all| all.get_mut(address as usize..))
        {
            let count = bytes.len().min(to.len());
            to[..count].copy_from_slice(&bytes[..count]);
        }
    }

    /// What is in memory.
    #[must_use]
    pub fn read(&self, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let _ = self.memory.read_slice(&mut bytes, GuestAddress(address));
        bytes
    }

    fn lay(&mut self, bytes: u64) -> u64 {
        if self.arena + bytes > ARENA.end {
            self.arena = ARENA.start;
        }
        self.arena += bytes;
        self.arena - bytes
    }

    /// Bytes in memory for the device to read.
    pub fn data(&mut self, bytes: &[u8]) -> Part {
        let address = self.lay(bytes.len() as u64);
        self.put(address, bytes);
        Part { address, length: bytes.len() as u32, flags: 0 }
    }

    /// Room in memory for the device to write.
    pub fn room(&mut self, length: u16) -> Part {
        let address = self.lay(length.into());
        self.writable.push((address, length.into()));
        Part { address, length: length.into(), flags: WRITE }
    }

    fn describe(&mut self, table: u64, index: u16, part: Part, flags: u16, next: u16) {
        let at = table + 16 * u64::from(index);
        let flags = part.flags | flags;
        let bytes = Output::default().u64(part.address).u32(part.length).u16(flags).u16(next).0;
        self.put(at, &bytes);
    }

    /// Makes the parts one chain, and notifies the device.
    pub fn chain(&mut self, queue: usize, parts: &[Part], is_indirect: bool) {
        let Some(count) = u16::try_from(parts.len()).ok().filter(|count| *count > 0) else { return };
        let Some(ring) = self.rings.get_mut(queue) else { return };
        let wanted = if is_indirect { 1 } else { count };
        if wanted > ring.size {
            return;
        }
        if ring.free + wanted > ring.size {
            ring.free = 0;
        }
        let (base, head) = (ring.base, ring.free);
        ring.free += wanted;
        let (table, first) = if is_indirect { (self.lay(16 * u64::from(count)), 0) } else { (base, head) };
        for (index, part) in (0..).zip(parts) {
            let flags = if index + 1 < count { NEXT } else { 0 };
            self.describe(table, first + index, *part, flags, first + index + 1);
        }
        if is_indirect {
            let whole = Part { address: table, length: 16 * u32::from(count), flags: INDIRECT };
            self.describe(base, head, whole, 0, 0);
        }
        self.offer(queue, head);
        self.notify(queue as u32);
    }

    fn offer(&mut self, queue: usize, head: u16) {
        let Some(ring) = self.rings.get_mut(queue) else { return };
        let slot = ring.base + AVAILABLE + 4 + 2 * u64::from(ring.added % ring.size);
        ring.added = ring.added.wrapping_add(1);
        self.put(slot, &head.to_le_bytes());
        self.publish(queue);
    }

    fn publish(&mut self, queue: usize) {
        if let Some(Ring { base, added, .. }) = self.rings.get(queue) {
            let (at, bytes) = (base + AVAILABLE + 2, added.to_le_bytes());
            self.put(at, &bytes);
        }
    }

    /// Notifies the device and has it work.
    pub fn notify(&mut self, queue: u32) {
        self.set(0x50, queue);
        self.turn();
    }

    /// Takes one step; `host` does the step that is up to the target.
    pub fn step(&mut self, input: &mut Input<'_>, host: &mut dyn FnMut(&mut Input<'_>)) {
        let queue = |input: &mut Input<'_>, count: usize| usize::from(input.u8()) % count.max(1);
        let count = self.rings.len();
        let kind = input.u8() % step::COUNT;
        // What nobody can keep account of.
        if kind >= step::RESET {
            self.expected = None;
        }
        match kind {
            step::CHAIN => {
                let queue = queue(input, count);
                let parts = input.u8() % 12;
                let is_indirect = input.u8() & 1 != 0;
                let parts: Vec<Part> = (0..parts).map(|_| self.part(input)).collect();
                self.chain(queue, &parts, is_indirect);
            }
            step::HOST => {
                host(input);
                self.turn();
            }
            step::NOTIFY => self.notify(input.u8().into()),
            step::READ_CONFIG => {
                let offset = input.u16();
                let width = usize::from(input.u8() % 9);
                self.transport.read(u64::from(offset) % 0x1000, &mut vec![0; width]);
            }
            step::RESET => {
                let features = input.u64();
                self.set_up(features);
            }
            step::WRITE_MEMORY => {
                let address = input.u32() % 0x4_1000;
                let bytes = input.counted();
                self.put(address.into(), bytes);
            }
            step::DESCRIBE => {
                let queue = queue(input, count);
                let index = input.u8();
                let part = Part { address: input.u64(), length: input.u32(), flags: input.u16() };
                let next = input.u16();
                if let Some(base) = self.rings.get(queue).map(|ring| ring.base) {
                    self.describe(base, index.into(), part, 0, next);
                }
            }
            step::OFFER => {
                let queue = queue(input, count);
                let head = input.u16();
                self.offer(queue, head);
            }
            step::SET_INDEX => {
                let queue = queue(input, count);
                let index = input.u16();
                if let Some(ring) = self.rings.get_mut(queue) {
                    ring.added = index;
                }
                self.publish(queue);
            }
            _ => {
                let offset = u64::from(input.u16()) % 0x200;
                let value = u64::from(input.u32()).to_le_bytes();
                let width = match input.u8() {
                    width @ 1..=8 => usize::from(width),
                    _ => 4,
                };
                self.transport.write(offset, &value[..width]);
                self.turn();
            }
        }
    }

    fn part(&mut self, input: &mut Input<'_>) -> Part {
        match input.u8() % part::COUNT {
            part::DATA => self.data(input.counted()),
            part::ROOM => {
                let length = input.u16();
                self.room(length)
            }
            _ => {
                self.expected = None;
                Part { address: input.u64(), length: input.u32(), flags: input.u16() }
            }
        }
    }

    /// Has the device do what is left, and compares memory with what it may hold.
    ///
    /// # Panics
    /// The device wrote where it may not.
    pub fn finish(mut self) {
        for queue in 0..self.rings.len() {
            self.notify(queue as u32);
        }
        let Some(expected) = self.expected.take() else { return };
        self.writable.sort_unstable();
        for (start, bytes) in PIECES {
            let found = self.read(start, bytes);
            let end = start + bytes as u64;
            // What lies between two places that it may write.
            let mut from = start;
            for (address, length) in self.writable.iter().copied().chain([(end, 0)]) {
                let to = address.clamp(from, end);
                let known = &expected[from as usize..to as usize];
                let is_same = found[(from - start) as usize..(to - start) as usize] == *known;
                assert!(is_same, "the device wrote between {from:#x} and {to:#x}, which it was not given");
                from = from.max((address + length).clamp(start, end));
            }
        }
    }

    /// The device and its transport as they are now, where the device is one that is saved.
    #[must_use]
    pub fn saved(&self) -> Option<SavedDevice> {
        self.transport.saved()
    }

    /// Runs a whole program.
    pub fn run(mut self, input: &mut Input<'_>, host: &mut dyn FnMut(&mut Input<'_>)) {
        while !input.is_empty() {
            self.step(input, host);
        }
        self.finish();
    }
}

/// A part of a chain, for seeds.
#[derive(Clone, Copy)]
pub enum SeedPart<'a> {
    /// For the device to read.
    Data(&'a [u8]),
    /// For the device to write.
    Room(u16),
    /// Wherever: address, length, flags.
    Raw(u64, u32, u16),
}

impl Output {
    /// The step that offers a chain.
    #[must_use]
    pub fn chain(mut self, queue: u8, parts: &[SeedPart<'_>]) -> Self {
        self = self.u8(step::CHAIN).u8(queue).u8(parts.len() as u8).u8(0);
        for part in parts {
            self = match part {
                SeedPart::Data(bytes) => self.u8(part::DATA).counted(bytes),
                SeedPart::Room(length) => self.u8(part::ROOM).u16(*length),
                SeedPart::Raw(address, length, flags) => {
                    self.u8(part::RAW).u64(*address).u32(*length).u16(*flags)
                }
            };
        }
        self
    }
}

/// Programs that break the rules of any queue: loops, nested and impossible tables, memory's ends, indices that jump.
#[must_use]
pub fn hostile(start: &Output, queues: u8) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for queue in 0..queues {
        let raw =
            |address, length, flags| start.clone().chain(queue, &[SeedPart::Raw(address, length, flags)]).0;
        seeds.extend([
            raw(0x1_ffff, 2, WRITE),
            raw(0x3_ffff, 16, 0),
            raw(u64::MAX - 1, u32::MAX, WRITE),
            raw(0x1_0000, 0, WRITE),
            raw(RING_STRIDE * u64::from(queue), 256, INDIRECT),
            raw(0x1_0000, 17, INDIRECT),
        ]);
        let describe = |output: Output, index, flags, next| {
            output.u8(step::DESCRIBE).u8(queue).u8(index).u64(0x1_0000).u32(16).u16(flags).u16(next)
        };
        let looped = describe(describe(start.clone(), 0, NEXT, 1), 1, NEXT, 0);
        seeds.push(looped.u8(step::OFFER).u8(queue).u16(0).u8(step::NOTIFY).u8(queue).0);
        let beyond = describe(start.clone(), 0, NEXT, 999).u8(step::OFFER).u8(queue).u16(0);
        seeds.push(beyond.u8(step::NOTIFY).u8(queue).u8(step::OFFER).u8(queue).u16(777).0);
        let jump = start.clone().u8(step::SET_INDEX).u8(queue).u16(1000).u8(step::NOTIFY).u8(queue);
        seeds.push(jump.u8(step::RESET).u64(u64::MAX).chain(queue, &[SeedPart::Room(64)]).0);
        let registers = start.clone().u8(step::WRITE_REGISTER).u16(0x70).u32(0).u8(4);
        seeds.push(
            registers.u8(step::READ_CONFIG).u16(0x100).u8(8).u8(step::WRITE_MEMORY).u32(0).counted(b"x").0,
        );
    }
    seeds
}
