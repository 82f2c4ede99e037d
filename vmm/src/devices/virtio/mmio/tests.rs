//! Register sequences as drivers write them, and as nobody should.

use std::sync::{Arc, Mutex};

use event_manager::{EventOps, Events, MutEventSubscriber};
use proptest::prelude::*;
use virtio_queue::{Queue, QueueT};

use super::*;
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::{self, Kick};
use crate::devices::virtio::ring::RING_FEATURES;
use crate::memory;

const FEATURES: u64 = RING_FEATURES | 1 << 5;

struct Device {
    kicks: Vec<Kick>,
    active: Option<Vec<Queue>>,
    features: u64,
    config: [u8; 4],
    refuses: bool,
    resets: u32,
}

impl MutEventSubscriber for Device {
    fn process(&mut self, _: Events, _: &mut EventOps<'_>) {}
    fn init(&mut self, _: &mut EventOps<'_>) {}
}

impl VirtioDevice for Device {
    fn device_type(&self) -> u32 {
        42
    }
    fn queue_sizes(&self) -> &[u16] {
        &[256, 16]
    }
    fn kicks(&self) -> &[Kick] {
        &self.kicks
    }
    fn features(&self) -> u64 {
        FEATURES
    }
    fn read_config(&self, offset: u64, data: &mut [u8]) {
        for (byte, at) in data.iter_mut().zip(offset..) {
            *byte = usize::try_from(at).ok().and_then(|at| self.config.get(at)).copied().unwrap_or(0);
        }
    }
    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if offset == 0 && data.len() == 4 {
            self.config.copy_from_slice(data);
        }
    }
    fn activate(&mut self, activation: Activation) -> Result<(), ActivateError> {
        if self.refuses {
            return Err(ActivateError::QueueNotReady(0));
        }
        assert!(self.active.is_none(), "activated twice");
        self.features = activation.features;
        self.active = Some(activation.queues);
        Ok(())
    }
    fn reset(&mut self) {
        self.active = None;
        self.resets += 1;
    }
}

struct Bench {
    transport: Transport,
    device: Arc<Mutex<Device>>,
}

impl Bench {
    fn new() -> Self {
        let kicks = (0..2).map(|_| kicks::make().unwrap()).collect();
        let device =
            Device { kicks, active: None, features: 0, config: [1, 2, 3, 4], refuses: false, resets: 0 };
        let device = Arc::new(Mutex::new(device));
        let memory = Arc::new(memory::allocate(64).unwrap());
        let transport = Transport::new(device.clone(), memory, Interrupt::new().unwrap());
        Self { transport, device }
    }

    fn get(&self, offset: u64) -> u32 {
        let mut data = [0xaa; 4];
        self.transport.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn set(&mut self, offset: u64, value: u32) {
        self.transport.write(offset, &value.to_le_bytes());
    }

    fn choose(&mut self, features: u64) {
        for (select, half) in [(0, features), (1, features >> 32)] {
            self.set(0x24, select);
            self.set(0x20, u32::try_from(half & 0xffff_ffff).unwrap());
        }
    }

    fn queue(&mut self, index: u32, size: u32, address: u32) {
        self.set(0x30, index);
        self.set(0x38, size);
        self.set(0x80, address);
        self.set(0x90, address + 0x2000);
        self.set(0xa0, address + 0x4000);
        self.set(0x44, 1);
    }

    fn until_features_ok(&mut self) {
        for status in [0, 1, 3] {
            self.set(0x70, status);
        }
        self.choose(FEATURES);
        self.set(0x70, 11);
        assert_eq!(self.get(0x70), 11);
    }
}

#[test]
fn it_introduces_itself() {
    let bench = Bench::new();
    assert_eq!([0, 4, 8].map(|o| bench.get(o)), [0x7472_6976, 2, 42]);
    assert_eq!(bench.get(0x34), 256);
    assert_eq!(bench.get(0xb0), u32::MAX);
}

#[test]
fn a_driver_like_linux_gets_through() {
    let mut bench = Bench::new();
    bench.until_features_ok();
    bench.queue(0, 128, 0x10_0000);
    bench.queue(1, 16, 0x20_0000);
    bench.set(0x70, 15);
    assert_eq!(bench.get(0x70), 15);
    {
        let device = bench.device.lock().unwrap();
        assert_eq!(device.features, FEATURES);
        let queues = device.active.as_ref().unwrap();
        assert_eq!((queues[0].size(), queues[0].avail_ring()), (128, 0x10_2000));
        assert!(queues[1].ready() && queues[1].event_idx_enabled());
        assert_eq!(device.kicks[0].read().unwrap(), 1, "kicked once at the start");
    }
    bench.set(0x50, 1);
    assert_eq!(bench.device.lock().unwrap().kicks[1].read().unwrap(), 2);
    bench.set(0x70, 0);
    assert!(bench.device.lock().unwrap().active.is_none());
    assert_eq!((bench.get(0x70), bench.get(0x44)), (0, 0));
}

#[test]
fn features_beyond_the_offer_or_without_version_1_are_not_ok() {
    for features in [FEATURES | 1 << 6, FEATURES & !(1 << 32), 0, u64::MAX] {
        let mut bench = Bench::new();
        bench.set(0x70, 1);
        bench.set(0x70, 3);
        bench.choose(features);
        bench.set(0x70, 11);
        assert_eq!(bench.get(0x70), 3);
    }
}

#[test]
fn features_are_fixed_once_ok() {
    let mut bench = Bench::new();
    bench.until_features_ok();
    bench.choose(u64::MAX);
    bench.set(0x70, 15);
    assert_eq!(bench.device.lock().unwrap().features, FEATURES);
}

#[test]
fn impossible_queues_need_a_reset() {
    let end = 64 << 20;
    for (size, address) in [
        (0, 0x10_0000),
        (100, 0x10_0000),
        (512, 0x10_0000),
        (65536 + 16, 0x10_0000),
        (16, end),
        (16, 0x10_0001),
    ] {
        let mut bench = Bench::new();
        bench.until_features_ok();
        bench.queue(0, size, address);
        bench.set(0x70, 15);
        assert_eq!(bench.get(0x70), 15 | 64, "{size} {address:#x}");
        assert_eq!(bench.get(0x60), 2);
        assert!(bench.device.lock().unwrap().active.is_none());
        bench.set(0x70, 0);
        assert_eq!(bench.get(0x70), 0);
    }
}

#[test]
fn a_device_may_refuse() {
    let mut bench = Bench::new();
    bench.device.lock().unwrap().refuses = true;
    bench.until_features_ok();
    bench.set(0x70, 15);
    assert_eq!(bench.get(0x70), 15 | 64);
}

#[test]
fn a_ready_queue_does_not_move() {
    let mut bench = Bench::new();
    bench.until_features_ok();
    bench.queue(0, 16, 0x10_0000);
    bench.set(0x80, 0x66_0000);
    bench.set(0x38, 64);
    bench.set(0x70, 15);
    let device = bench.device.lock().unwrap();
    let queue = &device.active.as_ref().unwrap()[0];
    assert_eq!((queue.desc_table(), queue.size()), (0x10_0000, 16));
}

#[test]
fn configuration_space_takes_any_width() {
    let mut bench = Bench::new();
    assert_eq!(bench.get(0x100), 0x0403_0201);
    assert_eq!(bench.get(0x102), 0x0403);
    let mut byte = [0];
    bench.transport.read(0x103, &mut byte);
    assert_eq!(byte, [4]);
    bench.set(0x100, 7);
    assert_eq!(bench.get(0x100), 7);
    assert_eq!(bench.get(0xffc), 0);
}

#[test]
fn registers_take_only_words() {
    let mut bench = Bench::new();
    bench.transport.write(0x70, &[1]);
    bench.transport.write(0x70, &[1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.get(0x70), 0);
    let mut data = [0xaa; 2];
    bench.transport.read(0, &mut data);
    assert_eq!(data, [0; 2]);
}

#[test]
fn interrupts_are_seen_and_acknowledged() {
    let mut bench = Bench::new();
    bench.transport.interrupt().used_buffer();
    bench.transport.interrupt().configuration_changed();
    assert_eq!((bench.get(0x60), bench.get(0xfc)), (3, 1));
    bench.set(0x64, 1);
    assert_eq!(bench.get(0x60), 2);
}

proptest! {
    /// Whatever is written wherever in whatever order: nothing panics, the device is never activated twice without a
    /// reset between (it asserts so itself), and a reset always leads back to the start.
    #[test]
    fn no_sequence_breaks_it(
        writes in prop::collection::vec(
            (prop_oneof![Just(0x70_u64), (0_u64..0x48).prop_map(|o| o * 4), 0..0x1000_u64],
             prop_oneof![Just(0_u32), Just(1), Just(3), Just(11), Just(15), Just(16), Just(0x10_0000), any::<u32>()],
             prop_oneof![8 => Just(4_usize), 1 => 0..9_usize]),
            0..200)
    ) {
        let mut bench = Bench::new();
        for (offset, value, width) in writes {
            let bytes = u64::from(value).to_le_bytes();
            bench.transport.write(offset, &bytes[..width.min(8)]);
            bench.transport.read(offset, &mut vec![0; width]);
        }
        bench.set(0x70, 0);
        prop_assert_eq!(bench.get(0x70), 0);
        bench.until_features_ok();
    }
}
