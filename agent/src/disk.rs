//! Disks by name: the virtio-blk serial number that the host gave them (virtio 1.2 section 5.2.6).

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use crate::fault::{At, Fault};

/// Where the kernel lists block devices.
const SYS_BLOCK: &str = "/sys/block";

/// ext4's options. `discard` gives deleted blocks back to what the host keeps the disk in; the inode tables of a blank file system are
/// zero already, so nothing needs to write them.
const EXT4_OPTIONS: &str = "discard,noinit_itable";

/// Mounts the ext4 file system of a disk: for reading where the host lets nobody write to it, and whether that is so.
pub(crate) fn mount_ext4(disk: &Path, at: &Path) -> Result<bool, Fault> {
    let read_only = is_read_only(disk);
    let flags = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    let mounted = mount(Some(disk), at, Some("ext4"), flags, Some(EXT4_OPTIONS));
    if read_only && mounted == Err(nix::Error::EROFS) {
        let why = "a disk's file system was not unmounted in order: it has to be mounted once for writing";
        return Err(Fault::precondition(why.to_owned()));
    }
    mounted.at(format_args!("mounting the ext4 of {} on {}", disk.display(), at.display()))?;
    Ok(read_only)
}

/// Whether the host lets nobody write to this disk.
fn is_read_only(node: &Path) -> bool {
    let name = node.file_name().unwrap_or_default();
    fs::read_to_string(Path::new(SYS_BLOCK).join(name).join("ro")).is_ok_and(|text| text.trim_end() == "1")
}

/// The device node of the disk with this serial number.
pub(crate) fn find(serial: &str) -> Result<PathBuf, Fault> {
    for entry in fs::read_dir(SYS_BLOCK).at("listing disks")? {
        let entry = entry.at("listing disks")?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b"vd") {
            continue;
        }
        // Asks the device each time, so a disk that changed under a restored VM is seen as what it is now.
        let found = fs::read_to_string(entry.path().join("serial")).unwrap_or_default();
        if found.trim_end() == serial {
            return Ok(PathBuf::from("/dev").join(name));
        }
    }
    Err(Fault::not_found(format!("there is no disk {serial:?}")))
}
