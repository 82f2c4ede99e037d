//! Registers to state, state to device.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use virtio_queue::{Queue, QueueState, QueueT};

use super::register::{self, Area, Register};
use super::state::{QueueSetup, TransportState};
use super::status::{NEEDS_RESET, Status, Step};
use crate::devices::virtio::device::{ActivateError, Activation, VirtioDevice};
use crate::devices::virtio::interrupt::Interrupt;
use crate::devices::virtio::kicks::Kick;
use crate::devices::virtio::saved_device::SavedDevice;
use crate::memory::GuestRam;

/// A device as its transport and its event loop share it.
pub type SharedDevice = Arc<Mutex<dyn VirtioDevice>>;

/// Why a saved device cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Other queues than the device has, or outside of memory.
    #[error("the queues of the saved device of type {0} are not its own")]
    Queues(u32),
    /// The device refuses.
    #[error("the saved device of type {0} does not go on")]
    Device(u32, #[source] ActivateError),
}

/// One device's register window. Used under a lock by the vCPU threads.
pub struct Transport {
    device: SharedDevice,
    memory: Arc<GuestRam>,
    interrupt: Interrupt,
    state: TransportState,
    // Constant per device, so that reading them never waits for a busy one.
    device_type: u32,
    features: u64,
    max_sizes: Vec<u16>,
    kicks: Vec<Kick>,
}

impl Transport {
    /// A transport in front of `device`, as after a reset.
    #[must_use]
    pub fn new(device: SharedDevice, memory: Arc<GuestRam>, interrupt: Interrupt) -> Self {
        let (device_type, features, max_sizes, kicks) = {
            let device = lock(&device);
            (device.device_type(), device.features(), device.queue_sizes().to_vec(), device.kicks().to_vec())
        };
        let state = TransportState::new(&max_sizes);
        Self { device, memory, interrupt, state, device_type, features, max_sizes, kicks }
    }

    /// A transport in front of `device` that goes on as it was saved; the device's own state was restored before.
    ///
    /// # Errors
    /// What was saved is not this device's.
    pub fn restored(
        device: SharedDevice,
        memory: Arc<GuestRam>,
        interrupt: Interrupt,
        saved: &SavedDevice,
    ) -> Result<Self, RestoreError> {
        let mut transport = Self::new(device, memory, interrupt);
        let device_type = transport.device_type;
        let queues = saved.device.queues();
        let count = transport.max_sizes.len();
        if saved.transport.queues.len() != count || !(queues.is_empty() || queues.len() == count) {
            return Err(RestoreError::Queues(device_type));
        }
        transport.state = saved.transport.clone();
        transport.interrupt.restore(saved.interrupt);
        if queues.is_empty() {
            return Ok(transport);
        }
        let memory = transport.memory.as_ref();
        let queues = queues.iter().zip(&transport.max_sizes).map(|(queue, &max_size)| {
            let Some(saved) = queue else { return Queue::new(max_size).ok() };
            let queue = Queue::try_from(saved).ok()?;
            (saved.max_size == max_size && queue.is_valid(memory)).then_some(queue)
        });
        let queues = queues.collect::<Option<Vec<_>>>().ok_or(RestoreError::Queues(device_type))?;
        transport.hand_over(queues).map_err(|error| RestoreError::Device(device_type, error))?;
        Ok(transport)
    }

    /// The transport and the device as they are now; `None` for a device that is not saved.
    #[must_use]
    pub fn saved(&self) -> Option<SavedDevice> {
        let device = lock(&self.device).saved()?;
        Some(SavedDevice { transport: self.state.clone(), interrupt: self.interrupt.state(), device })
    }

    /// Whether a driver has touched the device.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.state.status != 0
    }

    /// One event per queue that KVM writes when the driver notifies the queue.
    #[must_use]
    pub fn kicks(&self) -> &[Kick] {
        &self.kicks
    }

    /// The device's interrupt.
    #[must_use]
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// A load from the window at `offset`.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(offset) = offset.checked_sub(register::CONFIG) {
            lock(&self.device).read_config(offset, data);
        } else if let (Ok(data), Some(register)) = (<&mut [u8; 4]>::try_from(data), Register::at(offset)) {
            *data = self.read_register(register).to_le_bytes();
        }
    }

    /// A store to the window at `offset`.
    pub fn write(&mut self, offset: u64, data: &[u8]) {
        if let Some(offset) = offset.checked_sub(register::CONFIG) {
            lock(&self.device).write_config(offset, data);
        } else if let (Ok(data), Some(register)) = (<[u8; 4]>::try_from(data), Register::at(offset)) {
            self.write_register(register, u32::from_le_bytes(data));
        }
    }

    fn read_register(&self, register: Register) -> u32 {
        let selected = usize::try_from(self.state.queue_select).unwrap_or(usize::MAX);
        match register {
            Register::MagicValue => register::MAGIC,
            Register::Version => register::VERSION,
            Register::DeviceId => self.device_type,
            Register::VendorId => register::VENDOR,
            Register::DeviceFeatures => half(self.features, self.state.device_features_select),
            Register::QueueNumMax => self.max_sizes.get(selected).map_or(0, |&size| size.into()),
            Register::QueueReady => self.state.queue().is_some_and(|q| q.ready).into(),
            Register::InterruptStatus => self.interrupt.pending(),
            Register::Status if self.interrupt.is_reset_needed() => self.state.status | NEEDS_RESET,
            Register::Status => self.state.status,
            Register::SharedMemory => u32::MAX,
            Register::ConfigGeneration => self.interrupt.generation(),
            _ => 0,
        }
    }

    fn write_register(&mut self, register: Register, value: u32) {
        let status = Status::from_bits_truncate(self.state.status);
        match register {
            Register::DeviceFeaturesSel => self.state.device_features_select = value,
            Register::DriverFeaturesSel => self.state.driver_features_select = value,
            Register::DriverFeatures if status.may_choose_features() => self.choose_features(value),
            Register::QueueSel => self.state.queue_select = value,
            Register::QueueNotify => {
                let queue = usize::try_from(value).ok().and_then(|index| self.kicks.get(index));
                if let Some(kick) = queue {
                    // Fails only when the counter is full: then it is readable anyway.
                    let _ = kick.write(1);
                }
            }
            Register::InterruptAck => self.interrupt.acknowledge(value),
            Register::Status => self.take_step(status.step(value)),
            _ if status.may_set_up_queues() => {
                if let Some(queue) = self.state.queue_mut() {
                    set_up(queue, register, value);
                }
            }
            _ => {}
        }
    }

    fn choose_features(&mut self, value: u32) {
        let features = &mut self.state.driver_features;
        match self.state.driver_features_select {
            0 => *features = *features & !u64::from(u32::MAX) | u64::from(value),
            1 => *features = *features & u64::from(u32::MAX) | u64::from(value) << 32,
            _ => {}
        }
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Reset => {
                lock(&self.device).reset();
                self.interrupt.clear();
                self.state = TransportState::new(&self.max_sizes);
            }
            Step::Noted(status) => self.state.status = status.bits(),
            Step::FeaturesOk(status) => {
                let chosen = self.state.driver_features;
                if chosen & !self.features == 0 && chosen & 1 << VIRTIO_F_VERSION_1 != 0 {
                    self.state.status = status.bits();
                }
            }
            Step::DriverOk(status) => {
                self.state.status = status.bits();
                self.activate();
            }
            Step::Refused => tracing::debug!(device_type = self.device_type, "driver took a wrong step"),
        }
    }

    fn activate(&mut self) {
        let queues: Option<Vec<Queue>> = self
            .state
            .queues
            .iter()
            .zip(&self.max_sizes)
            .map(|(setup, &max)| self.queue(setup, max))
            .collect();
        let Some(queues) = queues else {
            tracing::debug!(device_type = self.device_type, "driver set up an impossible queue");
            self.interrupt.needs_reset();
            return;
        };
        if let Err(error) = self.hand_over(queues) {
            tracing::debug!(device_type = self.device_type, %error, "device refused its driver");
            self.interrupt.needs_reset();
        }
    }

    /// Gives the device its queues, and has it look for work in them.
    fn hand_over(&self, queues: Vec<Queue>) -> Result<(), ActivateError> {
        lock(&self.device).activate(Activation {
            memory: Arc::clone(&self.memory),
            queues,
            interrupt: self.interrupt.clone(),
            features: self.state.driver_features,
        })?;
        for kick in &self.kicks {
            let _ = kick.write(1);
        }
        Ok(())
    }

    /// A queue as the device may use it; `None` if the driver wants one that cannot be.
    fn queue(&self, setup: &QueueSetup, max_size: u16) -> Option<Queue> {
        let mut queue = Queue::new(max_size).ok()?;
        if setup.ready {
            queue = Queue::try_from(QueueState {
                max_size,
                size: u16::try_from(setup.size).ok()?,
                ready: true,
                event_idx_enabled: self.state.driver_features & 1 << VIRTIO_RING_F_EVENT_IDX != 0,
                desc_table: setup.descriptors,
                avail_ring: setup.driver,
                used_ring: setup.device,
                ..Default::default()
            })
            .ok()?;
            if !queue.is_valid(self.memory.as_ref()) {
                return None;
            }
        }
        Some(queue)
    }
}

fn lock(device: &SharedDevice) -> MutexGuard<'_, dyn VirtioDevice + 'static> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// 32 bits of the features; there are two halves.
fn half(features: u64, select: u32) -> u32 {
    let half = match select {
        0 => features,
        1 => features >> 32,
        _ => 0,
    };
    u32::try_from(half & u64::from(u32::MAX)).unwrap_or(0)
}

fn set_up(queue: &mut QueueSetup, register: Register, value: u32) {
    if let Register::QueueReady = register {
        queue.ready = value & 1 != 0;
        return;
    }
    if queue.ready {
        return;
    }
    match register {
        Register::QueueNum => queue.size = value,
        Register::QueueLow(area) => {
            let address = address_of(queue, area);
            *address = *address & !u64::from(u32::MAX) | u64::from(value);
        }
        Register::QueueHigh(area) => {
            let address = address_of(queue, area);
            *address = *address & u64::from(u32::MAX) | u64::from(value) << 32;
        }
        _ => {}
    }
}

fn address_of(queue: &mut QueueSetup, area: Area) -> &mut u64 {
    match area {
        Area::Descriptors => &mut queue.descriptors,
        Area::Driver => &mut queue.driver,
        Area::Device => &mut queue.device,
    }
}
