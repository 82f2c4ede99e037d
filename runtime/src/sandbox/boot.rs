//! From a container to a VM whose agent answers.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use holm_protocol::agent::CONTROL_PORT;
use holm_protocol::vm_config::{
    BootConfig, ConsoleConfig, DiskConfig, DiskRates, JailConfig, LATE_SLOTS, NetworkConfig, NetworkDevice,
    NetworkLink, SegmentConfig, ShareConfig, TemplateConfig, VmConfig, VsockConfig,
};
use holm_protocol::vm_control::DevicePlace;
use holm_protocol::vm_memory;

use super::dial::Switchboard;
use super::shape::VmShape;
use super::vmm_process::{VmmEnd, VmmError, VmmProcess};
use crate::host::{Installation, is_rootless};
use crate::template::{Platform, Template, TemplateKey, TemplateStore};

/// Serial number of the disk that holds the image.
pub const IMAGE_DISK: &str = "image";
/// Serial number of the disk that holds the writable layer.
pub const WRITABLE_DISK: &str = "layer";

/// Every guest's own context id. Host sockets are per VM, so ids need not differ between VMs.
const GUEST_CID: u32 = 3;

/// Users of VMMs have this number and their supervisor's process id, which is below 2^22: above all that systemd and the
/// tools for subordinate ids give out.
const FIRST_USER: u32 = 0x7000_0000;

/// What of the host a VM may use.
#[derive(Debug, Default)]
pub struct HostAccess {
    /// Directories and files.
    pub shares: Vec<ShareConfig>,
    /// Unix sockets, by the vsock port on which the guest reaches each.
    pub sockets: Vec<(u32, PathBuf)>,
    /// Disks beside its own.
    pub disks: Vec<DiskConfig>,
    /// Descriptors that the VMM only keeps open: locks that are to last as long as it does.
    pub locks: Vec<OwnedFd>,
    /// Networks.
    pub networks: Vec<VmNetwork>,
    /// What may be added while it runs; `None` for a VM that stays as it is.
    pub growth: Option<Growth>,
}

/// What a VM may get that it does not have at its start: further shares, and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// All of its memory then, in MiB: whole blocks.
    pub memory_mib: u32,
}

/// A VM that was started.
#[derive(Debug)]
pub struct Sandbox {
    /// Its process.
    pub vmm: VmmProcess,
    /// Its size.
    pub shape: VmShape,
    /// Where stdio streams are connected.
    pub vsock_socket: PathBuf,
    /// The slots of its networks, in their order.
    pub network_slots: Vec<u32>,
    /// What the guest has to be told of.
    pub told: Told,
    /// What it has to do with templates.
    pub start: Start,
}

/// What a guest does not find by itself: it was not there when it booted.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Disks, shares and networks.
    pub devices: Vec<DevicePlace>,
    /// Blocks of memory, by their addresses.
    pub memory_blocks: Vec<u64>,
    /// What no container waits for.
    pub late_devices: Vec<DevicePlace>,
}

/// What a VM may start from.
#[derive(Clone, Debug)]
pub enum StartFrom<'a> {
    /// It boots.
    Nothing,
    /// A template, if there is one for it.
    Templates(&'a TemplateStore),
    /// A checkpoint, or else it does not start. Its networks come later.
    Checkpoint(TemplateConfig),
}

/// How a VM starts, as far as this process knows.
#[derive(Debug)]
pub enum Start {
    /// It boots, and that is all.
    Cold,
    /// It boots for want of a template of this key.
    First(TemplateKey),
    /// It goes on from this template, if that is sound.
    From(Template),
    /// It goes on from this checkpoint.
    Checkpoint(TemplateConfig),
}

/// A network interface of a VM.
#[derive(Debug)]
pub struct VmNetwork {
    /// Where its frames go; the VM has it alone.
    pub link: VmLink,
    /// What the guest sees.
    pub device: NetworkDevice,
}

/// The host's end of a network interface of a VM.
#[derive(Debug)]
pub enum VmLink {
    /// A TAP interface, by its queues.
    Tap(Vec<OwnedFd>),
    /// A stream socket, with each frame behind its length, and the address by which the host's loopback appears on it.
    Stream(OwnedFd, Ipv4Addr),
}

/// Why a VM could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The channel for the guest's calls.
    #[error("cannot make a channel for the guest's calls")]
    Dial(#[source] io::Error),
    /// The VMM.
    #[error(transparent)]
    Vmm(#[from] VmmError),
}

/// What happens to a starting VM, told on other threads.
pub trait BootEvents: Clone + Send + 'static {
    /// The agent can be spoken to.
    fn agent_connected(&self, connection: UnixStream);
    /// The VM ended, whenever that is.
    fn vmm_ended(&self, end: VmmEnd);
}

impl Sandbox {
    /// Starts a VM over `image_segments`, disks that are files and what it may use of the `host`, with its sockets in `run_directory`.
    ///
    /// # Errors
    /// When the VMM cannot be started; later failures come through `events`.
    #[allow(clippy::too_many_arguments)] // each is one thing that a VM is made of
    pub fn boot(
        installation: &Installation,
        from: StartFrom<'_>,
        shape: VmShape,
        image_segments: Vec<SegmentConfig>,
        files: Vec<DiskConfig>,
        host: HostAccess,
        run_directory: &Path,
        events: impl BootEvents,
    ) -> Result<Self, BootError> {
        let vsock_socket = run_directory.join("vsock");
        let host_ports = std::iter::once(CONTROL_PORT).chain(host.sockets.iter().map(|(port, _)| *port));
        let host_ports = host_ports.collect();
        let on_agent = events.clone();
        let (switchboard, dial) =
            Switchboard::new(host.sockets, move |connection| on_agent.agent_connected(connection))
                .map_err(BootError::Dial)?;
        let image = DiskConfig {
            id: IMAGE_DISK.to_owned(),
            read_only: true,
            segments: image_segments,
            rates: DiskRates::default(),
        };
        let image = (!image.segments.is_empty()).then_some(image);
        let disks = image.into_iter().chain(files).chain(host.disks).collect();
        let console = console(run_directory);
        // Whoever wants to hear the guest's kernel wants to hear it boot.
        let start = match from {
            StartFrom::Templates(store) if console == ConsoleConfig::Off => {
                Start::of(store, installation, shape)
            }
            StartFrom::Nothing | StartFrom::Templates(_) => Start::Cold,
            StartFrom::Checkpoint(config) => Start::Checkpoint(config),
        };
        let jail = JailConfig { user: user_of_its_own(!host.shares.is_empty()) };
        let boots_with_mib = shape.memory_mib - start.told_memory_mib(shape);
        let most_mib = host.growth.map_or(0, |growth| growth.memory_mib).max(shape.memory_mib);
        let config = VmConfig {
            vcpus: shape.vcpus,
            template: start.template(),
            memory_mib: most_mib,
            told_memory_mib: most_mib - boots_with_mib,
            boot: BootConfig {
                kernel: installation.kernel.clone(),
                initramfs: installation.initramfs.clone(),
                cmdline: cmdline(),
            },
            disks,
            // One that has none is confined as such, and gets none.
            more_shares: host.growth.is_some() && !host.shares.is_empty(),
            shares: host.shares,
            networks: host.networks.iter().map(VmNetwork::config).collect(),
            vsock: Some(VsockConfig {
                guest_cid: GUEST_CID,
                socket: vsock_socket.clone(),
                host_ports,
                dial_fd: Some(dial.as_raw_fd()),
            }),
            console,
            control_fd: None,
            jail,
        };
        let network_slots = (0..config.networks.len()).map(|index| config.network_slot(index)).collect();
        let links = host.networks.into_iter().flat_map(|network| network.link.into_fds());
        let descriptors: Vec<OwnedFd> = links.chain(host.locks).chain([dial]).collect();
        let vmm =
            VmmProcess::start(&installation.vmm, &config, descriptors, move |end| events.vmm_ended(end))?;
        std::thread::spawn(move || switchboard.serve());
        let told = Told {
            devices: config.told_places(),
            memory_blocks: vm_memory::blocks(boots_with_mib, shape.memory_mib),
            late_devices: LATE_SLOTS.map(DevicePlace::of_slot).collect(),
        };
        Ok(Self { vmm, shape, vsock_socket, network_slots, told, start })
    }
}

impl Start {
    /// How a VM of this size starts that may go on from a template.
    pub(crate) fn of(store: &TemplateStore, installation: &Installation, shape: VmShape) -> Self {
        match TemplateKey::of(installation, &cmdline(), shape.booted()) {
            Ok(key) if store.is_refused(&key) => Self::Cold,
            Ok(key) => store.find(&key).map_or(Self::First(key), Self::From),
            Err(error) => {
                tracing::warn!(%error, "cannot tell which template would do");
                Self::Cold
            }
        }
    }

    /// How much of its memory a VM of this size does not find when it boots.
    fn told_memory_mib(&self, shape: VmShape) -> u32 {
        match self {
            Self::Cold | Self::Checkpoint(_) => 0,
            Self::First(_) | Self::From(_) => shape.memory_mib - shape.booted().memory_mib,
        }
    }

    fn template(&self) -> Option<TemplateConfig> {
        match self {
            Self::From(template) => Some(template.config.clone()),
            Self::Checkpoint(config) => Some(config.clone()),
            Self::Cold | Self::First(_) => None,
        }
    }
}

impl VmNetwork {
    fn config(&self) -> NetworkConfig {
        let link = match &self.link {
            VmLink::Tap(queues) => NetworkLink::Tap(queues.iter().map(AsRawFd::as_raw_fd).collect()),
            VmLink::Stream(stream, host) => NetworkLink::Stream { fd: stream.as_raw_fd(), host: *host },
        };
        NetworkConfig { link, device: self.device }
    }
}

impl VmLink {
    /// Its descriptors.
    #[must_use]
    pub fn fds(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Tap(queues) => queues.iter().map(AsFd::as_fd).collect(),
            Self::Stream(stream, _) => vec![stream.as_fd()],
        }
    }

    fn into_fds(self) -> Vec<OwnedFd> {
        match self {
            Self::Tap(queues) => queues,
            Self::Stream(stream, _) => vec![stream],
        }
    }
}

/// The user of a VMM that this process starts, if it can choose. No other VMM has it: there is one for each supervisor at a time.
fn user_of_its_own(has_shares: bool) -> Option<u32> {
    (!is_rootless() && !has_shares).then(|| FIRST_USER + std::process::id())
}

fn cmdline() -> Vec<String> {
    CMDLINE.map(str::to_owned).to_vec()
}

/// Where templates that are of use to this installation go on.
///
/// # Errors
/// As [`Platform::of`].
pub fn template_platform(installation: &Installation) -> io::Result<Platform> {
    Platform::of(installation, &cmdline())
}

/// Where kernel parameters are the engine's choice. The compiler of BPF programs is off (docs/decisions/0010-no-bpf-jit.md).
const CMDLINE: [&str; 1] = ["sysctl.net.core.bpf_jit_enable=0"];

/// `HOLM_CONSOLE=1` keeps the guest kernel's messages in `console.log` beside the sockets.
fn console(run_directory: &Path) -> ConsoleConfig {
    match std::env::var_os("HOLM_CONSOLE") {
        Some(value) if !value.is_empty() => ConsoleConfig::File(run_directory.join("console.log")),
        _ => ConsoleConfig::Off,
    }
}

/// A disk that is one file, whole.
#[must_use]
pub fn file_disk(id: &str, path: &Path, length_bytes: u64, read_only: bool, rates: DiskRates) -> DiskConfig {
    let segment = SegmentConfig { path: path.to_owned(), offset_bytes: 0, length_bytes };
    DiskConfig { id: id.to_owned(), read_only, segments: vec![segment], rates }
}
