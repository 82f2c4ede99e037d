//! Disks by name: the virtio-blk serial number that the host gave them (virtio 1.2 section 5.2.6).

use std::fs;
use std::path::{Path, PathBuf};

use crate::fault::{At, Fault};

/// Where the kernel lists block devices.
const SYS_BLOCK: &str = "/sys/block";

/// Whether the host lets nobody write to this disk.
pub(crate) fn is_read_only(node: &Path) -> bool {
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
