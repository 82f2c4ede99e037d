//! What a VM is made of: the one document that the host hands to `holm-vmm`, as JSON on a file descriptor.
//!
//! The VMM refuses a document it does not fully understand (`deny_unknown_fields`) and one that fails
//! [`VmConfig::check`]. Paths are resolved in the VMM's own root, which a jail narrows.
//!
//! Trust: written by the host's runtime; nothing in it comes from a guest or an image but sizes.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Smallest memory a guest boots with.
pub const MIN_MEMORY_MIB: u32 = 64;
/// Most memory a guest may have: 1 TiB.
pub const MAX_MEMORY_MIB: u32 = 1 << 20;
/// Most virtual CPUs.
pub const MAX_VCPUS: u8 = 32;
/// Most disks: one virtio-mmio interrupt line each, beside the other devices.
pub const MAX_DISKS: usize = 12;
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
    /// The guest kernel and what it starts with.
    pub boot: BootConfig,
    /// Disks in the order in which the guest sees them.
    #[serde(default)]
    pub disks: Vec<DiskConfig>,
    /// The channel between host and guest.
    #[serde(default)]
    pub vsock: Option<VsockConfig>,
    /// Where kernel messages go.
    #[serde(default)]
    pub console: ConsoleConfig,
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
}

/// A run of a disk's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentConfig {
    /// The file; a regular file, opened without following a final symlink.
    pub path: PathBuf,
    /// First byte of the file that belongs to the segment.
    #[serde(default)]
    pub offset_bytes: u64,
    /// Length on the disk, a multiple of [`SECTOR_BYTES`]. A read-only segment may be longer than its file: the rest
    /// reads as zeroes.
    pub length_bytes: u64,
}

/// virtio-vsock with its host side on unix sockets.
///
/// Host to guest: connect to `socket`, write `CONNECT <port>\n`, read `OK <host port>\n`, then raw bytes.
/// Guest to host: a guest's connection to CID 2, port `P` reaches the unix socket `<socket>_<P>` for the ports in
/// `host_ports`; every other port is reset.
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
        match &self.vsock {
            Some(vsock) if vsock.guest_cid < 3 || vsock.guest_cid == u32::MAX => {
                Err(ConfigError::GuestCid(vsock.guest_cid))
            }
            _ => Ok(()),
        }
    }
}

impl DiskConfig {
    fn check(&self) -> Result<(), ConfigError> {
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
            boot: BootConfig { kernel: "/vmlinux".into(), initramfs: "/initramfs".into(), cmdline: vec![] },
            disks: vec![DiskConfig { id: "image".into(), read_only: true, segments: vec![segment(4096)] }],
            vsock: Some(VsockConfig { guest_cid: 3, socket: "/vsock".into(), host_ports: vec![1024] }),
            console: ConsoleConfig::Off,
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
        assert_eq!(broken(|c| c.boot.cmdline = vec!["a b".into()]), ConfigError::Cmdline("a b".into()));
    }
}
