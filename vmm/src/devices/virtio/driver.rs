//! For device tests: the driver's side of one real virtqueue in guest memory.

use std::sync::Arc;

use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::{Descriptor, VirtqUsedElem};
use virtio_queue::mock::MockSplitQueue;
use virtio_queue::{Queue, QueueState};

use super::device::{Activation, VirtioDevice};
use super::interrupt::Interrupt;
use crate::memory::{self, Bytes, GuestAddress, GuestRam};

pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT: u16 = 4;

/// Memory of the test guests in bytes.
pub(crate) const RAM_BYTES: u64 = 64 << 20;
const QUEUE_SIZE: u16 = 64;

/// A driver that can do anything.
pub(crate) struct Driver {
    pub(crate) memory: Arc<GuestRam>,
    pub(crate) interrupt: Interrupt,
    /// Guest physical address of the ring.
    base: u64,
    added: u16,
    free: u16,
}

impl Driver {
    pub(crate) fn new() -> Self {
        let memory = Arc::new(memory::allocate(64).unwrap());
        Self { memory, interrupt: Interrupt::new().unwrap(), base: 0, added: 0, free: 0 }
    }

    /// The driver of another queue of the same device.
    pub(crate) fn of_next_queue(&self) -> Self {
        let (memory, interrupt) = (Arc::clone(&self.memory), self.interrupt.clone());
        Self { memory, interrupt, base: self.base + 0x1_0000, added: 0, free: 0 }
    }

    fn ring(&self) -> MockSplitQueue<'_, GuestRam> {
        MockSplitQueue::create(&*self.memory, GuestAddress(self.base), QUEUE_SIZE)
    }

    /// Activates a device of one queue.
    pub(crate) fn activate(&self, device: &mut dyn VirtioDevice, features: u64) {
        self.activate_with(device, features, &[]);
    }

    /// Activates a device whose further queues are these.
    pub(crate) fn activate_with(&self, device: &mut dyn VirtioDevice, features: u64, others: &[&Self]) {
        let activation = Activation {
            memory: Arc::clone(&self.memory),
            queues: [self].iter().chain(others).map(|driver| driver.queue(features)).collect(),
            interrupt: self.interrupt.clone(),
            features,
        };
        device.activate(activation).unwrap();
    }

    /// Its queue, as the transport hands it over.
    pub(crate) fn queue(&self, features: u64) -> Queue {
        let state = self.ring().create_queue::<Queue>().unwrap().state();
        let event_idx_enabled = features & 1 << VIRTIO_RING_F_EVENT_IDX != 0;
        // The mock lays the used ring over the second half of the available one.
        let used_ring = self.ring_used_address();
        Queue::try_from(QueueState { max_size: 256, event_idx_enabled, used_ring, ..state }).unwrap()
    }

    /// When the device is to interrupt: once the used ring's index goes past this (only with EVENT_IDX).
    pub(crate) fn set_used_event(&self, index: u16) {
        let address = self.base + u64::from(QUEUE_SIZE) * 18 + 4;
        self.memory.write_obj(index, GuestAddress(address)).unwrap();
    }

    /// Up to where the device has seen the available ring when it wants to be kicked (only with EVENT_IDX).
    pub(crate) fn available_event(&self) -> u16 {
        let address = self.ring_used_address() + 4 + u64::from(QUEUE_SIZE) * 8;
        self.memory.read_obj(GuestAddress(address)).unwrap()
    }

    /// Writes descriptors (address, length, flags, next) from the table's `at`th entry on.
    pub(crate) fn describe(&self, at: u16, descriptors: &[(u64, u32, u16, u16)]) {
        for (index, &(address, length, flags, next)) in (at..).zip(descriptors) {
            let raw = RawDescriptor::from(Descriptor::new(address, length, flags, next));
            self.memory.write_obj(raw, GuestAddress(self.base + u64::from(index) * 16)).unwrap();
        }
    }

    /// Makes the chain at this head available.
    pub(crate) fn offer(&mut self, head: u16) {
        let base = self.base + u64::from(QUEUE_SIZE) * 16;
        let slot = base + 4 + u64::from(self.added % QUEUE_SIZE) * 2;
        self.memory.write_obj(head, GuestAddress(slot)).unwrap();
        self.added = self.added.wrapping_add(1);
        self.set_available_index(self.added);
    }

    pub(crate) fn set_available_index(&self, index: u16) {
        self.memory.write_obj(index, GuestAddress(self.base + u64::from(QUEUE_SIZE) * 16 + 2)).unwrap();
    }

    /// Offers buffers (address, length, WRITE or 0) as one chain.
    pub(crate) fn send(&mut self, buffers: &[(u64, u32, u16)]) {
        let count = u16::try_from(buffers.len()).unwrap();
        if self.free + count > QUEUE_SIZE {
            self.free = 0;
        }
        let head = self.free;
        let descriptors: Vec<_> = (1..)
            .zip(buffers)
            .map(|(place, &(address, length, write))| {
                let more = if place < count { NEXT } else { 0 };
                (address, length, write | more, head + place)
            })
            .collect();
        self.describe(head, &descriptors);
        self.free += count;
        self.offer(head);
    }

    /// The used ring's entries so far, as (head, bytes written). Valid until it wraps.
    pub(crate) fn used(&self) -> Vec<(u32, u32)> {
        let address = self.ring_used_address();
        let index: u16 = self.memory.read_obj(GuestAddress(address + 2)).unwrap();
        (0..u64::from(index))
            .map(|at| {
                let element: VirtqUsedElem =
                    self.memory.read_obj(GuestAddress(address + 4 + at * 8)).unwrap();
                (element.id(), element.len())
            })
            .collect()
    }

    fn ring_used_address(&self) -> u64 {
        let available_end = u64::from(QUEUE_SIZE) * 16 + 4 + u64::from(QUEUE_SIZE) * 2 + 2;
        self.base + available_end.next_multiple_of(4)
    }

    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).unwrap();
    }

    pub(crate) fn read(&self, address: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }
}
