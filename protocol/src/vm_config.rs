//! What a VM is made of: the one document that the host hands to `holm-vmm`, as JSON on a file descriptor.
//!
//! The VMM refuses a document it does not fully understand (`deny_unknown_fields`) and one that fails
//! [`VmConfig::check`]. Paths are resolved in the VMM's own root, which a jail narrows.
//!
//! Trust: written by the host's runtime; nothing in it comes from a guest or an image but sizes.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::vm_control::DevicePlace;
use crate::vm_memory::{self, MEMORY_BLOCK_MIB};

/// Smallest memory a guest boots with.
pub const MIN_MEMORY_MIB: u32 = 64;
/// Most memory a guest may have: 1 TiB.
pub const MAX_MEMORY_MIB: u32 = 1 << 20;
/// Most virtual CPUs.
pub const MAX_VCPUS: u8 = 32;
/// Most disks: one virtio-mmio interrupt line each, beside the other devices.
pub const MAX_DISKS: usize = 12;
/// Most shares of one VM; one device carries them all.
pub const MAX_SHARES: usize = 200;
/// Most networks.
pub const MAX_NETWORKS: usize = 8;
/// Most pairs of queues of a network device: more virtual CPUs share them.
pub const MAX_QUEUE_PAIRS: usize = 8;
/// Most of [`TemplateConfig::written`], which goes through the control channel in one packet.
pub const MAX_WRITTEN_RUNS: usize = 512;
/// Most pages of it: 16 MiB.
pub const MAX_WRITTEN_PAGES: usize = 4096;
/// Most disks and networks together: of 19 interrupt lines, four are for shares, vsock, entropy and the balloon.
pub const MAX_DISKS_AND_NETWORKS: usize = 15;
/// The slot of vsock, the one device that is named on the kernel's command line: by it the guest hears of the others.
pub const VSOCK_SLOT: u32 = 0;
/// The slots of what every VM has and no container waits for, entropy and the balloon: the guest looks at these when its container
/// has started.
pub const LATE_SLOTS: Range<u32> = 1..3;
/// The first slot of those devices that the guest is told of when it has started (`Awakening` in protocol/proto/agent.proto): disks,
/// shares and networks.
pub const FIRST_TOLD_SLOT: u32 = 3;
/// The control channel, for whoever wants to inherit no other descriptor.
pub const STANDARD_OUTPUT: i32 = 1;
/// Smallest MTU (virtio 1.2 section 5.1.4.1; also what IPv4 asks of a link), in bytes.
pub const MIN_MTU_BYTES: u16 = 68;
/// A disk's segments and their lengths are multiples of this, in bytes.
pub const SECTOR_BYTES: u64 = 512;
/// Length of a virtio-blk serial number in bytes (virtio 1.2 section 5.2.6).
pub const MAX_DISK_ID_BYTES: usize = 20;

/// One virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmConfig {
    /// Number of virtual CPUs, 1 to [`MAX_VCPUS`].
    pub vcpus: u8,
    /// Guest memory in MiB, from [`MIN_MEMORY_MIB`].
    pub memory_mib: u32,
    /// How much of it, at its end, the guest does not find when it boots and is told of later (`Awakening` in
    /// protocol/proto/agent.proto), in MiB: whole blocks. So VMs of many sizes go on from one template.
    #[serde(default)]
    pub told_memory_mib: u32,
    /// The guest kernel and what it starts with.
    pub boot: BootConfig,
    /// A saved VM to go on from instead of booting.
    #[serde(default)]
    pub template: Option<TemplateConfig>,
    /// Disks in the order in which the guest sees them.
    #[serde(default)]
    pub disks: Vec<DiskConfig>,
    /// Directories and files of the host, in the order of the names that the guest sees: `0`, `1`, ... (virtio-fs).
    #[serde(default)]
    pub shares: Vec<ShareConfig>,
    /// Whether there may be more of them later ([`crate::vm_control::ControlRequest::AddShare`]).
    #[serde(default)]
    pub more_shares: bool,
    /// Networks in the order in which the guest sees them.
    #[serde(default)]
    pub networks: Vec<NetworkConfig>,
    /// The channel between host and guest.
    #[serde(default)]
    pub vsock: Option<VsockConfig>,
    /// Where kernel messages go.
    #[serde(default)]
    pub console: ConsoleConfig,
    /// Inherited descriptor on which requests come while the VM runs ([`crate::vm_control`]): standard output, on which nothing
    /// else is written, or none of the standard streams.
    #[serde(default)]
    pub control_fd: Option<i32>,
    /// What the VMM gives up before the guest runs.
    #[serde(default)]
    pub jail: JailConfig,
}

/// The part of the VMM's jail that differs between VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JailConfig {
    /// User and group that the VMM becomes; none for a VM with shares, which makes files for the guest's users, and for one that no
    /// privileged user starts.
    #[serde(default)]
    pub user: Option<u32>,
}

/// Kernel, initramfs and additions to the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootConfig {
    /// Uncompressed ELF vmlinux with a PVH note.
    pub kernel: PathBuf,
    /// cpio archive, unpacked by the guest kernel into its root.
    pub initramfs: PathBuf,
    /// Appended to the command line that the VMM makes; printable ASCII.
    #[serde(default)]
    pub cmdline: Vec<String>,
}

/// A VM of this size that was saved ([`crate::vm_control::ControlRequest::Save`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateConfig {
    /// What is not memory.
    pub state: PathBuf,
    /// Memory; mapped copy-on-write, so whoever has it running must not be overwritten, only removed.
    pub memory: PathBuf,
    /// Whether the memory's checksum is to be verified, too; the state's always is.
    pub check_memory: bool,
    /// Whether it was saved with all of its devices: the configuration has its disks, by the ids that they had, and no networks,
    /// which come later. One that cannot be used is the VM's end; a template that cannot is passed over, and the VM boots.
    #[serde(default)]
    pub is_checkpoint: bool,
    /// What guests that go on from it write to soon: it is copied ahead, rather than with a page fault for each page. At most
    /// [`MAX_WRITTEN_RUNS`] and [`MAX_WRITTEN_PAGES`].
    #[serde(default)]
    pub written: Vec<PageRun>,
}

/// Pages of 4 KiB of a guest's memory that follow each other: the number of the first, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRun(pub u64, pub u32);

/// One virtio-blk disk, made of file segments laid end to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskConfig {
    /// The disk's serial number in the guest: 1 to [`MAX_DISK_ID_BYTES`] of `[A-Za-z0-9_-]`.
    pub id: String,
    /// Enforced by the VMM, not only announced.
    pub read_only: bool,
    /// At least one.
    pub segments: Vec<SegmentConfig>,
    /// How fast it may be.
    #[serde(default)]
    pub rates: DiskRates,
}

/// Limits of a disk per second; `None` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskRates {
    /// Bytes that are read.
    pub read_bytes_per_s: Option<NonZeroU64>,
    /// Bytes that are written.
    pub write_bytes_per_s: Option<NonZeroU64>,
    /// Requests that read.
    pub read_requests_per_s: Option<NonZeroU64>,
    /// Requests that write or discard.
    pub write_requests_per_s: Option<NonZeroU64>,
}

/// A run of a disk's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentConfig {
    /// The file; a regular file or a block device, opened without following a final symlink. A block device that is written to nobody
    /// else may have mounted, or open for himself alone.
    pub path: PathBuf,
    /// First byte of the file that belongs to the segment.
    #[serde(default)]
    pub offset_bytes: u64,
    /// Length on the disk, a multiple of [`SECTOR_BYTES`]. A read-only segment may be longer than its file: the rest
    /// reads as zeroes.
    pub length_bytes: u64,
}

/// A directory of the host that the guest may use, or one file in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareConfig {
    /// The directory: absolute, not a symbolic link.
    pub directory: PathBuf,
    /// The only name in it that there is for the guest: a single file. It is looked up by name at each use, so a file that
    /// is renamed over it is seen.
    #[serde(default)]
    pub only: Option<String>,
    /// Enforced by the VMM.
    pub read_only: bool,
}

/// One virtio-net device over a link.
///
/// The link comes as a descriptor and not by name: whoever is in a jail has no network to look names up in, and
/// nothing but this link is reached through it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where frames come from and go to.
    pub link: NetworkLink,
    /// What the guest sees.
    pub device: NetworkDevice,
}

/// The host's end of a network device: inherited descriptors, no standard stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkLink {
    /// A TAP with `IFF_VNET_HDR` and `IFF_NO_PI`: a descriptor for each of its queues, up to [`MAX_QUEUE_PAIRS`]. The device has
    /// as many pairs of queues. With more than one the TAP has `IFF_MULTI_QUEUE`.
    Tap(Vec<i32>),
    /// A connected stream socket, on which each frame stands behind its length of 32 bits in network order. Its other end is a
    /// process of the host's, which is not to be led to the host's loopback addresses.
    Stream {
        /// The descriptor.
        fd: i32,
        /// The address by which the host's loopback appears to the guest, which may answer it and not ask.
        host: Ipv4Addr,
    },
}

impl NetworkLink {
    /// The descriptors.
    #[must_use]
    pub fn fds(&self) -> &[i32] {
        match self {
            Self::Tap(queues) => queues,
            Self::Stream { fd, .. } => std::slice::from_ref(fd),
        }
    }
}

/// A virtio-net device, whatever its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkDevice {
    /// The device's address; neither a group's nor zero.
    pub mac: [u8; 6],
    /// From [`MIN_MTU_BYTES`].
    pub mtu_bytes: u16,
    /// How fast it may be.
    #[serde(default)]
    pub rates: NetworkRates,
}

/// Limits of a network device; `None` is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkRates {
    /// Bytes of frames to the guest in a second.
    pub in_bytes_per_s: Option<NonZeroU64>,
    /// Bytes of frames from the guest in a second.
    pub out_bytes_per_s: Option<NonZeroU64>,
}

/// virtio-vsock with its host side on unix sockets.
///
/// Host to guest: connect to `socket`, write `CONNECT <port>\n`, read `OK <host port>\n`, then raw bytes.
/// Guest to host: for a guest's connection to CID 2 and a port in `host_ports` the VMM asks for a socket on `dial_fd`
/// ([`crate::vm_dial`]); every other port is reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VsockConfig {
    /// The guest's context id, 3 or more.
    pub guest_cid: u32,
    /// The listening socket that the VMM makes.
    pub socket: PathBuf,
    /// Host ports that the guest may dial.
    #[serde(default)]
    pub host_ports: Vec<u32>,
    /// Inherited descriptor on which the VMM asks for connections to these ports; no standard stream.
    #[serde(default)]
    pub dial_fd: Option<i32>,
}

/// Where the guest kernel's messages go. A panic is recognised and reported whatever is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ConsoleConfig {
    /// Nowhere; the kernel prints emergencies only.
    #[default]
    Off,
    /// All messages, to the VMM's standard error.
    Stderr,
    /// All messages, to this file, made anew and at most [`MAX_CONSOLE_LOG_BYTES`] long.
    File(PathBuf),
}

/// A console log stops growing here.
pub const MAX_CONSOLE_LOG_BYTES: u64 = 1 << 20;

/// Why a [`VmConfig`] is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    /// Too few or too many virtual CPUs.
    #[error("{0} virtual CPUs; allowed are 1 to {MAX_VCPUS}")]
    Vcpus(u8),
    /// Memory out of range.
    #[error("{0} MiB of memory; allowed are {MIN_MEMORY_MIB} to {MAX_MEMORY_MIB} MiB")]
    Memory(u32),
    /// Memory that the guest is told of later is not in whole blocks, or leaves too little to boot with.
    #[error(
        "{told_mib} of {memory_mib} MiB of memory later: both in steps of {MEMORY_BLOCK_MIB} MiB, and not all"
    )]
    ToldMemory {
        /// All memory.
        memory_mib: u32,
        /// What comes later.
        told_mib: u32,
    },
    /// More disks than interrupt lines.
    #[error("{0} disks; allowed are at most {MAX_DISKS}")]
    TooManyDisks(usize),
    /// A disk's id does not fit a serial number.
    #[error("disk id {0:?}: must be 1 to {MAX_DISK_ID_BYTES} characters of A-Z a-z 0-9 _ -")]
    DiskId(String),
    /// Two disks of one id.
    #[error("disk id {0:?} is given twice")]
    DuplicateDiskId(String),
    /// A disk without segments.
    #[error("disk {0:?} has no segments")]
    EmptyDisk(String),
    /// A segment's length is zero, not a multiple of the sector, or the sum overflows.
    #[error(
        "disk {id:?}: segment {index} has length {length_bytes}, not a positive multiple of {SECTOR_BYTES}"
    )]
    SegmentLength {
        /// The disk.
        id: String,
        /// Position of the segment.
        index: usize,
        /// Its length.
        length_bytes: u64,
    },
    /// Lengths add up to more than fits.
    #[error("disk {0:?} is too large")]
    DiskTooLarge(String),
    /// More shares than one device carries.
    #[error("{0} shares; allowed are at most {MAX_SHARES}")]
    TooManyShares(usize),
    /// A share's directory is relative.
    #[error("share {}: must be an absolute path", .0.display())]
    ShareDirectory(PathBuf),
    /// A share's only name is no file name.
    #[error("share name {0:?}: must be one file name")]
    ShareName(String),
    /// More networks than are allowed.
    #[error("{0} networks; allowed are at most {MAX_NETWORKS}")]
    TooManyNetworks(usize),
    /// Disks and networks leave no interrupt line for the others.
    #[error("{0} disks and networks together; allowed are at most {MAX_DISKS_AND_NETWORKS}")]
    TooManyDevices(usize),
    /// A network's or a channel's descriptor is a standard stream, negative, or given twice.
    #[error("descriptor {0} cannot be meant")]
    Descriptor(i32),
    /// A network device's address is no single station's.
    #[error("network address {0:02x?} is none of a single device")]
    NetworkAddress([u8; 6]),
    /// A network's MTU is too small.
    #[error("MTU {0}: must be at least {MIN_MTU_BYTES}")]
    Mtu(u16),
    /// A network without a queue, or with more than a device has.
    #[error("{0} queues of a network; allowed are 1 to {MAX_QUEUE_PAIRS}")]
    QueuePairs(usize),
    /// More than a template's guests are known to write to.
    #[error("{runs} runs of {pages} pages to copy; allowed are {MAX_WRITTEN_RUNS} of {MAX_WRITTEN_PAGES}")]
    Written {
        /// How many runs.
        runs: usize,
        /// How many pages in all.
        pages: usize,
    },
    /// Reserved or broadcast context id.
    #[error("guest CID {0}: must be 3 to 4294967294")]
    GuestCid(u32),
    /// Something in the command line that could change its meaning.
    #[error("kernel command line argument {0:?}: only printable ASCII without spaces")]
    Cmdline(String),
}

impl VmConfig {
    /// Checks all that can be checked without touching a file.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.vcpus == 0 || self.vcpus > MAX_VCPUS {
            return Err(ConfigError::Vcpus(self.vcpus));
        }
        if !(MIN_MEMORY_MIB..=MAX_MEMORY_MIB).contains(&self.memory_mib) {
            return Err(ConfigError::Memory(self.memory_mib));
        }
        let (memory_mib, told_mib) = (self.memory_mib, self.told_memory_mib);
        let is_whole = [memory_mib, told_mib].iter().all(|mib| mib % MEMORY_BLOCK_MIB == 0);
        if told_mib != 0 && (!is_whole || told_mib >= memory_mib) {
            return Err(ConfigError::ToldMemory { memory_mib, told_mib });
        }
        for argument in &self.boot.cmdline {
            if argument.is_empty() || !argument.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(ConfigError::Cmdline(argument.clone()));
            }
        }
        if self.disks.len() > MAX_DISKS {
            return Err(ConfigError::TooManyDisks(self.disks.len()));
        }
        let mut ids = HashSet::new();
        for disk in &self.disks {
            disk.check()?;
            if !ids.insert(&disk.id) {
                return Err(ConfigError::DuplicateDiskId(disk.id.clone()));
            }
        }
        if self.shares.len() > MAX_SHARES {
            return Err(ConfigError::TooManyShares(self.shares.len()));
        }
        self.shares.iter().try_for_each(ShareConfig::check)?;
        if self.networks.len() > MAX_NETWORKS {
            return Err(ConfigError::TooManyNetworks(self.networks.len()));
        }
        if self.disks.len() + self.networks.len() > MAX_DISKS_AND_NETWORKS {
            return Err(ConfigError::TooManyDevices(self.disks.len() + self.networks.len()));
        }
        for NetworkConfig { link, device } in &self.networks {
            device.check()?;
            if !(1..=MAX_QUEUE_PAIRS).contains(&link.fds().len()) {
                return Err(ConfigError::QueuePairs(link.fds().len()));
            }
        }
        if let Some(template) = &self.template {
            template.check()?;
        }
        let mut descriptors = HashSet::new();
        let control = self.control_fd.filter(|fd| *fd != STANDARD_OUTPUT);
        let dial = self.vsock.as_ref().and_then(|vsock| vsock.dial_fd);
        let links = self.networks.iter().flat_map(|network| network.link.fds().iter().copied());
        for fd in links.chain(control).chain(dial) {
            // Standard input, output and error.
            if fd <= 2 || !descriptors.insert(fd) {
                return Err(ConfigError::Descriptor(fd));
            }
        }
        match &self.vsock {
            Some(vsock) if vsock.guest_cid < 3 || vsock.guest_cid == u32::MAX => {
                Err(ConfigError::GuestCid(vsock.guest_cid))
            }
            _ => Ok(()),
        }
    }

    /// In which slot the `index`th network is: from [`FIRST_TOLD_SLOT`] on, slots are filled with disks, shares and networks, in
    /// this order.
    #[must_use]
    pub fn network_slot(&self, index: usize) -> u32 {
        let before = self.disks.len() + usize::from(!self.shares.is_empty());
        u32::try_from(before + index).map_or(u32::MAX, |told| FIRST_TOLD_SLOT + told)
    }

    /// The memory that the guest finds when it boots, in MiB.
    #[must_use]
    pub const fn boot_memory_mib(&self) -> u32 {
        self.memory_mib.saturating_sub(self.told_memory_mib)
    }

    /// The blocks of memory that the guest has to be told of: their guest physical addresses.
    #[must_use]
    pub fn told_memory_blocks(&self) -> Vec<u64> {
        vm_memory::blocks(self.boot_memory_mib(), self.memory_mib)
    }

    /// Where the guest finds the devices that it has to be told of before it can make a container.
    #[must_use]
    pub fn told_places(&self) -> Vec<DevicePlace> {
        (FIRST_TOLD_SLOT..self.network_slot(self.networks.len())).map(DevicePlace::of_slot).collect()
    }
}

impl TemplateConfig {
    /// Refuses more to copy than is ever copied ahead.
    ///
    /// # Errors
    /// It is more.
    pub fn check(&self) -> Result<(), ConfigError> {
        let pages = self.written.iter().map(|run| usize::try_from(run.1).unwrap_or(usize::MAX));
        let (runs, pages) = (self.written.len(), pages.fold(0, usize::saturating_add));
        let is_small = runs <= MAX_WRITTEN_RUNS && pages <= MAX_WRITTEN_PAGES;
        if is_small { Ok(()) } else { Err(ConfigError::Written { runs, pages }) }
    }
}

impl ShareConfig {
    fn check(&self) -> Result<(), ConfigError> {
        if !self.directory.is_absolute() {
            return Err(ConfigError::ShareDirectory(self.directory.clone()));
        }
        match &self.only {
            Some(name)
                if name.is_empty()
                    || name == "."
                    || name == ".."
                    || name.len() > 255
                    || name.contains(['/', '\0']) =>
            {
                Err(ConfigError::ShareName(name.clone()))
            }
            _ => Ok(()),
        }
    }
}

impl NetworkDevice {
    /// Checks all that can be checked without the TAP.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        let is_group = self.mac.first().is_some_and(|first| first & 1 != 0);
        if is_group || self.mac == [0; 6] {
            return Err(ConfigError::NetworkAddress(self.mac));
        }
        if self.mtu_bytes < MIN_MTU_BYTES { Err(ConfigError::Mtu(self.mtu_bytes)) } else { Ok(()) }
    }
}

impl DiskConfig {
    /// Checks all that can be checked without its files.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConfigError> {
        let well_formed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if self.id.is_empty() || self.id.len() > MAX_DISK_ID_BYTES || !self.id.bytes().all(well_formed) {
            return Err(ConfigError::DiskId(self.id.clone()));
        }
        if self.segments.is_empty() {
            return Err(ConfigError::EmptyDisk(self.id.clone()));
        }
        for (index, segment) in self.segments.iter().enumerate() {
            if segment.length_bytes == 0 || segment.length_bytes % SECTOR_BYTES != 0 {
                return Err(ConfigError::SegmentLength {
                    id: self.id.clone(),
                    index,
                    length_bytes: segment.length_bytes,
                });
            }
        }
        self.length_bytes().map(|_| ()).ok_or_else(|| ConfigError::DiskTooLarge(self.id.clone()))
    }

    /// Length of the whole disk in bytes; `None` when it does not fit an `i64` (the limit of file offsets).
    #[must_use]
    pub fn length_bytes(&self) -> Option<u64> {
        let total = self.segments.iter().try_fold(0_u64, |sum, s| sum.checked_add(s.length_bytes))?;
        i64::try_from(total).ok().map(|_| total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(length_bytes: u64) -> SegmentConfig {
        SegmentConfig { path: "/blob".into(), offset_bytes: 0, length_bytes }
    }

    fn config() -> VmConfig {
        VmConfig {
            vcpus: 1,
            memory_mib: 128,
            told_memory_mib: 0,
            boot: BootConfig { kernel: "/vmlinux".into(), initramfs: "/initramfs".into(), cmdline: vec![] },
            template: Some(TemplateConfig {
                state: "/state".into(),
                memory: "/memory".into(),
                check_memory: true,
                is_checkpoint: true,
                written: vec![PageRun(0x1000, 3)],
            }),
            disks: vec![DiskConfig {
                id: "image".into(),
                read_only: true,
                segments: vec![segment(4096)],
                rates: DiskRates::default(),
            }],
            shares: vec![ShareConfig { directory: "/srv".into(), only: None, read_only: true }],
            more_shares: false,
            networks: vec![NetworkConfig {
                link: NetworkLink::Tap(vec![3]),
                device: NetworkDevice {
                    mac: [2, 0, 0, 0, 0, 1],
                    mtu_bytes: 1500,
                    rates: NetworkRates::default(),
                },
            }],
            vsock: Some(VsockConfig {
                guest_cid: 3,
                socket: "/vsock".into(),
                host_ports: vec![1024],
                dial_fd: Some(5),
            }),
            console: ConsoleConfig::Off,
            control_fd: Some(4),
            jail: JailConfig { user: Some(1) },
        }
    }

    #[test]
    fn a_sound_config_passes_and_survives_json() {
        let config = config();
        assert_eq!(config.check(), Ok(()));
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<VmConfig>(&json).unwrap(), config);
    }

    #[test]
    fn networks_come_after_disks_and_shares() {
        let mut config = config();
        assert_eq!((config.network_slot(0), config.network_slot(1)), (5, 6));
        config.shares.clear();
        assert_eq!(config.network_slot(0), 4);
    }

    #[test]
    fn the_guest_is_told_of_disks_shares_and_networks() {
        let config = config();
        let slots: Vec<_> = config.told_places().iter().map(|place| place.slot).collect();
        let devices = config.disks.len() + 1 + config.networks.len();
        assert_eq!(slots, (3..).take(devices).collect::<Vec<_>>());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let mut json = serde_json::to_value(config()).unwrap();
        json["nested_virtualization"] = true.into();
        assert!(serde_json::from_value::<VmConfig>(json).is_err());
    }

    #[test]
    fn limits_are_enforced() {
        let broken = |change: fn(&mut VmConfig)| {
            let mut config = config();
            change(&mut config);
            config.check().unwrap_err()
        };
        assert_eq!(broken(|c| c.vcpus = 0), ConfigError::Vcpus(0));
        assert_eq!(broken(|c| c.vcpus = 33), ConfigError::Vcpus(33));
        assert_eq!(broken(|c| c.memory_mib = 63), ConfigError::Memory(63));
        assert_eq!(broken(|c| c.disks[0].id = String::new()), ConfigError::DiskId(String::new()));
        assert_eq!(
            broken(|c| c.disks.push(c.disks[0].clone())),
            ConfigError::DuplicateDiskId("image".into())
        );
        assert!(matches!(
            broken(|c| c.disks[0].segments[0].length_bytes = 100),
            ConfigError::SegmentLength { index: 0, length_bytes: 100, .. }
        ));
        assert_eq!(
            broken(|c| c.disks[0].segments = vec![segment(1 << 62), segment(1 << 62)]),
            ConfigError::DiskTooLarge("image".into())
        );
        assert_eq!(broken(|c| c.vsock.as_mut().unwrap().guest_cid = 2), ConfigError::GuestCid(2));
        assert_eq!(
            broken(|c| c.shares[0].directory = "srv".into()),
            ConfigError::ShareDirectory("srv".into())
        );
        for name in ["", ".", "..", "a/b", "a\0"] {
            let mut config = config();
            config.shares[0].only = Some(name.into());
            assert_eq!(config.check(), Err(ConfigError::ShareName(name.into())));
        }
        assert_eq!(
            broken(|c| c.networks[0].link = NetworkLink::Stream { fd: 2, host: Ipv4Addr::LOCALHOST }),
            ConfigError::Descriptor(2)
        );
        assert_eq!(broken(|c| c.networks.push(c.networks[0].clone())), ConfigError::Descriptor(3));
        assert_eq!(
            broken(|c| c.networks[0].link = NetworkLink::Tap(vec![6, 7, 6])),
            ConfigError::Descriptor(6)
        );
        assert_eq!(broken(|c| c.networks[0].link = NetworkLink::Tap(vec![])), ConfigError::QueuePairs(0));
        assert_eq!(
            broken(|c| c.networks[0].link = NetworkLink::Tap((10..19).collect())),
            ConfigError::QueuePairs(9)
        );
        assert_eq!(broken(|c| c.control_fd = Some(3)), ConfigError::Descriptor(3));
        assert_eq!(broken(|c| c.control_fd = Some(2)), ConfigError::Descriptor(2));
        assert_eq!(VmConfig { control_fd: Some(STANDARD_OUTPUT), ..config() }.check(), Ok(()));
        assert_eq!(
            broken(|c| c.networks[0].device.mac = [1, 0, 0, 0, 0, 0]),
            ConfigError::NetworkAddress([1, 0, 0, 0, 0, 0])
        );
        assert_eq!(broken(|c| c.networks[0].device.mtu_bytes = 67), ConfigError::Mtu(67));
        assert_eq!(
            broken(|c| c.networks = vec![c.networks[0].clone(); MAX_NETWORKS + 1]),
            ConfigError::TooManyNetworks(9)
        );
        assert_eq!(
            broken(|c| c.template.as_mut().unwrap().written = vec![PageRun(0, 4097)]),
            ConfigError::Written { runs: 1, pages: 4097 }
        );
        assert_eq!(
            broken(|c| c.template.as_mut().unwrap().written = vec![PageRun(0, 1); 513]),
            ConfigError::Written { runs: 513, pages: 513 }
        );
        assert_eq!(broken(|c| c.boot.cmdline = vec!["a b".into()]), ConfigError::Cmdline("a b".into()));
    }
}
