//! Disks by name: the virtio-blk serial number that the host gave them (virtio 1.2 section 5.2.6).

use std::fs;
use std::path::PathBuf;

use crate::fault::{At, Fault};

/// Where the kernel lists block devices.
const SYS_BLOCK: &str = "/sys/block";

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
