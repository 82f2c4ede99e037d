//! A disk of a VM that runs. Its files are opened here: the VMM's jail lets it open none.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use holm_protocol::vm_config::{DiskConfig, SegmentConfig};
use holm_protocol::vm_control::DevicePlace;
use nix::libc::{O_EXCL, O_NOFOLLOW};

use super::vmm_control::{ControlError, VmmControl};

/// Why a VM did not get a disk.
#[derive(Debug, thiserror::Error)]
pub enum LateDiskError {
    /// A file of it.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The VMM.
    #[error(transparent)]
    Vmm(#[from] ControlError),
}

/// Gives a VM that runs one more disk; where the guest finds it.
///
/// # Errors
/// The VM does not have it then.
pub fn add_disk(control: &VmmControl, disk: &DiskConfig) -> Result<DevicePlace, LateDiskError> {
    let open = |segment: &SegmentConfig| {
        let path = &segment.path;
        let failed = |source| LateDiskError::Open { path: path.clone(), source };
        // As the VMM does with those that it opens itself.
        let is_device = fs::symlink_metadata(path).map_err(failed)?.file_type().is_block_device();
        let flags = if is_device && !disk.read_only { O_NOFOLLOW | O_EXCL } else { O_NOFOLLOW };
        File::options().read(true).write(!disk.read_only).custom_flags(flags).open(path).map_err(failed)
    };
    let files = disk.segments.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    Ok(control.add_disk(disk, &files)?)
}
