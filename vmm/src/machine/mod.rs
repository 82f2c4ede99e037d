//! A whole VM, put together and run.
//!
//! ```text
//!   main thread     event loop: signals, the end, rng, vsock, balloon, requests of the host
//!   vcpuN           KVM_RUN; port and memory accesses through `Bus`
//!   disk-ID         event loop of one block device
//!   shares          event loop of the file system device
//!   net-N           event loop of one network device
//! ```

mod control;
mod plug;
mod vm;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::vm_config::{ConfigError, VmConfig};
use holm_protocol::vm_exit::VmExit;
use vmm_sys_util::epoll::EventSet;

use crate::boot::{self, BootError};
use crate::devices::bus::Bus;
use crate::devices::console::{Console, ConsoleError};
use crate::devices::ports::Ports;
use crate::devices::virtio::balloon::BalloonError;
use crate::devices::virtio::block::BlockError;
use crate::devices::virtio::fs::FsError;
use crate::devices::virtio::net::NetError;
use crate::devices::virtio::rng::RngError;
use crate::devices::virtio::vsock::VsockError;
use crate::ending::Ending;
use crate::event_loop::{EventLoop, EventLoopError};
use crate::kvm::KvmError;
use crate::memory::{self, MemoryError};
use crate::probe::ProbeError;
use crate::signals::Signals;
use crate::vcpu::{self, Vcpu, VcpuError};
use crate::{kvm, probe};

use control::Control;
pub use plug::SlotError;
use plug::Slots;
use vm::VmError;

/// How long a vCPU that does not stop is waited for.
const STOP_PATIENCE: Duration = Duration::from_millis(500);

/// Why a VM cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The configuration breaks a rule.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// KVM is missing or lacks something.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// KVM does not run guest kernels as hardware does.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// Kernel, initramfs or command line.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A disk.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The shares.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// A network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The vsock device.
    #[error(transparent)]
    Vsock(#[from] VsockError),
    /// The entropy device.
    #[error(transparent)]
    Rng(#[from] RngError),
    /// The balloon.
    #[error(transparent)]
    Balloon(#[from] BalloonError),
    /// The console.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// Guest memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// The VM itself.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A vCPU.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// An event loop.
    #[error(transparent)]
    EventLoop(#[from] EventLoopError),
    /// Events or signals.
    #[error("cannot set up events")]
    Event(#[source] std::io::Error),
}

impl From<&MachineError> for VmExit {
    /// What the host is told: its own mistakes apart from KVM's and from ours.
    fn from(error: &MachineError) -> Self {
        let reason = reason(error);
        match error {
            MachineError::Config(_)
            | MachineError::Boot(_)
            | MachineError::Block(BlockError::Disk(_))
            | MachineError::Fs(FsError::Directory { .. })
            | MachineError::Net(NetError::Link(_))
            | MachineError::Vsock(VsockError::Path { .. } | VsockError::NotASocket(_))
            | MachineError::Console(_) => Self::ConfigRefused(reason),
            MachineError::Kvm(_) | MachineError::Probe(_) => Self::KvmUnusable(reason),
            _ => Self::Internal(reason),
        }
    }
}

/// An error with its causes, on one line.
pub(crate) fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Runs the VM that `config` describes to its end.
#[must_use]
pub fn run(config: &VmConfig) -> VmExit {
    build_and_run(config).unwrap_or_else(|error| VmExit::from(&error))
}

fn build_and_run(config: &VmConfig) -> Result<VmExit, MachineError> {
    config.check()?;
    let ending = Arc::new(Ending::new().map_err(MachineError::Event)?);
    let mut event_loop = EventLoop::new()?;
    // First of all, so that every thread inherits the blocked signals.
    let signals = Signals::new(Arc::clone(&ending)).map_err(|error| MachineError::Event(error.into()))?;
    event_loop.add(Arc::new(Mutex::new(signals)));
    event_loop.add(Arc::new(Mutex::new(EndWatch(Arc::clone(&ending)))));

    let kvm = kvm::open()?;
    probe::refuse_interpretation(&kvm)?;
    let memory = Arc::new(memory::allocate(config.memory_mib)?);
    let vm = Arc::new(vm::create(&kvm, &memory)?);
    tracing::debug!("VM made");

    let kernel = boot::kernel::load(&memory, &config.boot.kernel)?;
    let initramfs = boot::initramfs::load(&memory, &config.boot.initramfs, kernel.end)?;
    tracing::debug!(?kernel, ?initramfs, "loaded");

    let bus = Arc::new(Bus::new(Ports::new(Console::new(&config.console)?)));
    let mut slots = Slots::new(Arc::clone(&vm), Arc::clone(&memory), Arc::clone(&bus));
    slots.plug_all(config, &mut event_loop)?;
    let cmdline = boot::cmdline::assemble(config, &slots.places());
    boot::boot_params::write(&memory, &cmdline, &initramfs)?;
    boot::page_tables::write(&memory).map_err(BootError::from)?;
    boot::mptable::write(&memory, config.vcpus)?;
    tracing::debug!(cmdline, "devices plugged in");

    let supported = vm::supported_cpuid(&kvm)?;
    let vcpus = (0..config.vcpus)
        .map(|id| Vcpu::new(&vm, id, config.vcpus, &supported))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(boot_vcpu) = vcpus.first() {
        boot_vcpu.boot_at(kernel.entry)?;
    }

    if let Some(fd) = config.control_fd {
        event_loop.add(Arc::new(Mutex::new(Control::inherited(fd, slots)?)));
    }
    let threads = vcpu::start(vcpus, &bus, &ending)?;
    tracing::debug!("vCPUs started");
    let exit = loop {
        if let Some(exit) = ending.get() {
            break exit.clone();
        }
        event_loop.turn()?;
    };
    tracing::debug!(?exit, "ended");
    if !threads.stop(STOP_PATIENCE) {
        tracing::warn!("a vCPU is held up by a device and left behind");
    }
    Ok(exit)
}

/// Wakes the main event loop when the VM has ended.
struct EndWatch(Arc<Ending>);

impl MutEventSubscriber for EndWatch {
    fn process(&mut self, _: Events, _: &mut EventOps<'_>) {
        let _ = self.0.event().read();
    }

    fn init(&mut self, ops: &mut EventOps<'_>) {
        if let Err(error) = ops.add(Events::new(self.0.event(), EventSet::IN)) {
            tracing::error!(?error, "cannot watch for the end");
        }
    }
}
