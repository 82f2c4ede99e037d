//! A whole VM, put together and run.
//!
//! ```text
//!   main thread     event loop: signals, the end, vsock, rng, balloon, requests of the host
//!   vcpuN           KVM_RUN; port and memory accesses through `Bus`
//!   disk-ID         event loop of one block device
//!   shares          event loop of the file system device
//!   net-N, net-N.M  event loops of one network device: the first pair of queues, and each further one
//! ```
//!
//! - `boot`, `restore`: the two ways to a VM that is ready to run.
//! - `plug`: its devices. `control`: what the host asks of it. `save`: a template or a checkpoint of it.

mod boot;
mod control;
mod plug;
mod restore;
mod save;
mod vm;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_manager::{EventOps, Events, MutEventSubscriber};
use holm_protocol::causes::with_causes;
use holm_protocol::vm_config::{ConfigError, VmConfig};
use holm_protocol::vm_control::Origin;
use holm_protocol::vm_exit::VmExit;
use kvm_ioctls::{Kvm, VmFd};
use vmm_sys_util::epoll::EventSet;

use crate::boot::BootError;
use crate::devices::bus::Bus;
use crate::devices::console::{Console, ConsoleError};
use crate::devices::ports::Ports;
use crate::devices::virtio::balloon::BalloonError;
use crate::devices::virtio::block::BlockError;
use crate::devices::virtio::fs::FsError;
use crate::devices::virtio::mmio::RestoreError;
use crate::devices::virtio::net::NetError;
use crate::devices::virtio::rng::RngError;
use crate::devices::virtio::vsock::VsockError;
use crate::ending::Ending;
use crate::event_loop::{EventLoop, EventLoopError};
use crate::jail::{self, JailError, Role};
use crate::kvm;
use crate::kvm::KvmError;
use crate::memory::{GuestRam, MemoryError};
use crate::probe::ProbeError;
use crate::signals::Signals;
use crate::template::{DocumentError, MemoryFileError, PageMap, Run, SavedSlot};
use crate::vcpu::{self, Stopped, Vcpu, VcpuError, VcpuThreads};

use control::Control;
pub use plug::SlotError;
use plug::Slots;
use vm::VmError;

/// How long a vCPU that does not stop is waited for at the end, when nothing is lost with it, and when it is to go on.
const STOP_PATIENCE: Duration = Duration::from_millis(500);
const SAVE_PATIENCE: Duration = Duration::from_secs(10);

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
    /// A device that was saved.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A saved VM's state.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A saved VM's memory.
    #[error(transparent)]
    MemoryFile(#[from] MemoryFileError),
    /// A saved VM of another size.
    #[error("the saved VM has {memory_mib} MiB and {vcpus} vCPUs")]
    TemplateSize {
        /// Its memory in MiB.
        memory_mib: u32,
        /// Its vCPUs.
        vcpus: usize,
    },
    /// A vCPU does not stop.
    #[error("a vCPU is held up by a device")]
    Held,
    /// The VM ended when it was to be saved.
    #[error("the VM has ended")]
    Ended,
    /// It is to go on and runs.
    #[error("the VM does not stand still")]
    Runs,
    /// A saved VM's file cannot be opened or written.
    #[error("cannot {action}")]
    TemplateFile {
        /// What was tried.
        action: &'static str,
        /// What the host said.
        source: std::io::Error,
    },
    /// The VM itself.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A vCPU.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// An event loop.
    #[error(transparent)]
    EventLoop(#[from] EventLoopError),
    /// The jail.
    #[error(transparent)]
    Jail(#[from] JailError),
    /// Events or signals.
    #[error("cannot set up events")]
    Event(#[source] std::io::Error),
}

impl From<&MachineError> for VmExit {
    /// What the host is told: its own mistakes apart from KVM's and from ours.
    fn from(error: &MachineError) -> Self {
        let reason = with_causes(error);
        match error {
            MachineError::Config(_)
            | MachineError::Boot(_)
            | MachineError::Block(BlockError::Disk(_))
            | MachineError::Fs(FsError::Directory { .. })
            | MachineError::Net(NetError::Link(_))
            | MachineError::Vsock(VsockError::Path { .. } | VsockError::NotASocket(_))
            | MachineError::Console(_) => Self::ConfigRefused(reason),
            // A template is passed over.
            error if error.is_of_template_files() => Self::ConfigRefused(reason),
            MachineError::Kvm(_) | MachineError::Probe(_) => Self::KvmUnusable(reason),
            _ => Self::Internal(reason),
        }
    }
}

impl MachineError {
    /// Whether it tells of a template's files and not of this host.
    const fn is_of_template_files(&self) -> bool {
        matches!(
            self,
            Self::Document(_) | Self::MemoryFile(_) | Self::TemplateFile { .. } | Self::TemplateSize { .. }
        )
    }
}

/// Runs the VM that `config` describes to its end, which is the `parent`'s at the latest.
#[must_use]
pub fn run(config: &VmConfig, parent: Option<i32>) -> VmExit {
    build_and_run(config, parent).unwrap_or_else(|error| VmExit::from(&error))
}

fn build_and_run(config: &VmConfig, parent: Option<i32>) -> Result<VmExit, MachineError> {
    holm_faults::crash!("vmm.configured");
    config.check()?;
    let ending = Arc::new(Ending::new().map_err(MachineError::Event)?);
    let mut event_loop = EventLoop::new()?;
    // First of all, so that every thread inherits the blocked signals.
    let signals = Signals::new(Arc::clone(&ending)).map_err(|error| MachineError::Event(error.into()))?;
    event_loop.add(Arc::new(Mutex::new(signals)));
    event_loop.add(Arc::new(Mutex::new(EndWatch(Arc::clone(&ending)))));

    holm_faults::fault!("vmm.kvm.open").map_err(MachineError::Event)?;
    let kvm = kvm::open()?;
    let (parts, origin) = match &config.template {
        None => (boot::boot(&kvm, config)?, Origin::Boot),
        Some(checkpoint) if checkpoint.is_checkpoint => {
            (restore::restore(&kvm, config, checkpoint)?, Origin::Template)
        }
        Some(template) => match restore::restore(&kvm, config, template) {
            Ok(parts) => (parts, Origin::Template),
            Err(error) => {
                let why = with_causes(&error);
                tracing::warn!(why, "booting, because the template cannot be used");
                let is_damaged = error.is_of_template_files();
                (boot::boot(&kvm, config)?, Origin::TemplateRefused { why, is_damaged })
            }
        },
    };
    let Parts { vm, memory, mapped, bus, mut slots, vcpus, saved } = parts;
    holm_faults::fault!("vmm.devices.open").map_err(MachineError::Event)?;
    let told = slots.open_told(config, saved)?;
    let page_map = PageMap::open()?;
    holm_faults::fault!("vmm.jail.enter").map_err(MachineError::Event)?;
    jail::enter(config, parent)?;
    holm_faults::crash!("vmm.jail.entered");
    slots.plug_told(told)?;
    for subscriber in slots.take_served_by_main() {
        event_loop.add(subscriber);
    }
    holm_faults::fault!("vmm.devices.plugged").map_err(MachineError::Event)?;
    vcpu::install_handler()?;
    let threads = Some(vcpu::start(vcpus, &bus, &ending)?);
    holm_faults::crash!("vmm.vcpus.started");
    tracing::debug!(?origin, "vCPUs started");
    let boot_memory_mib = config.boot_memory_mib();
    let machine = Machine {
        kvm,
        vm,
        memory,
        page_map,
        mapped,
        boot_memory_mib,
        memory_mib: config.memory_mib,
        bus,
        slots,
        threads,
        resting: None,
        ending: Arc::clone(&ending),
        origin,
    };
    let machine = Arc::new(Mutex::new(machine));
    if let Some(fd) = config.control_fd {
        event_loop.add(Arc::new(Mutex::new(Control::inherited(fd, Arc::clone(&machine))?)));
    }
    jail::confine_this_thread(Role::Main)?;
    holm_faults::crash!("vmm.serving");
    let exit = loop {
        if let Some(exit) = ending.get() {
            break exit.clone();
        }
        event_loop.turn()?;
    };
    tracing::debug!(?exit, "ended");
    let threads = machine.lock().unwrap_or_else(PoisonError::into_inner).threads.take();
    if let Some(Stopped::Some) = threads.map(|threads| threads.stop(STOP_PATIENCE)) {
        tracing::warn!("a vCPU is held up by a device and left behind");
    }
    Ok(exit)
}

/// A VM that is ready to run, without the devices that the guest is told of.
struct Parts {
    vm: Arc<VmFd>,
    memory: Arc<GuestRam>,
    /// What of it lies in a file.
    mapped: Vec<Run>,
    bus: Arc<Bus>,
    slots: Slots,
    vcpus: Vec<Vcpu>,
    /// Devices that are to be plugged in as they were.
    saved: Vec<SavedSlot>,
}

impl Parts {
    /// A VM with memory and nothing else.
    fn new(kvm: &Kvm, config: &VmConfig, memory: GuestRam) -> Result<Self, MachineError> {
        let memory = Arc::new(memory);
        let vm = Arc::new(vm::create(kvm, &memory)?);
        tracing::debug!("VM made");
        let bus = Arc::new(Bus::new(Ports::new(Console::new(&config.console)?)));
        let slots = Slots::new(Arc::clone(&vm), Arc::clone(&memory), Arc::clone(&bus));
        let (mapped, vcpus, saved) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { vm, memory, mapped, bus, slots, vcpus, saved })
    }
}

/// A VM that runs. Belongs to the main thread.
struct Machine {
    kvm: Kvm,
    vm: Arc<VmFd>,
    memory: Arc<GuestRam>,
    page_map: PageMap,
    /// What of its memory lies in a file.
    mapped: Vec<Run>,
    /// What a template of it has.
    boot_memory_mib: u32,
    /// What a checkpoint of it has.
    memory_mib: u32,
    bus: Arc<Bus>,
    slots: Slots,
    /// Absent while the vCPUs stand still.
    threads: Option<VcpuThreads>,
    /// The vCPUs of one that is to go on when the host says so.
    resting: Option<Vec<Vcpu>>,
    ending: Arc<Ending>,
    origin: Origin,
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
