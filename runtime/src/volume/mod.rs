//! Volumes: directories that outlive containers (M33), and what of the host a container's VM is given.
//!
//! ```text
//! <root>/volumes/.lock                  held by whoever makes or removes volumes
//! <root>/volumes/<name>/volume.json     what was asked; written once, before the data can be used
//! <root>/volumes/<name>/_data/          what containers see; of a block volume it is in
//! <root>/volumes/<name>/disk.ext4       locked (flock(2)) by VMMs that have it: by one, or shared by those that only read
//! <root>/volumes/<name>/filling         there while the guest copies the image's files into it for the first time
//! ```
//!
//! Which containers use a volume is told by their records. Trust: `_data` is written by guests, and never walked but to
//! measure and to delete it.
#![forbid(unsafe_code)]

mod check;
mod driver;
mod error;
mod name;
mod plan;
mod rates;
mod record;
mod share;
mod store;

pub use driver::VolumeDriver;
pub use error::VolumeError;
pub use name::{VolumeName, VolumeNameError};
pub use plan::{MountRequests, plan};
pub use rates::{check_rates, disk_rates};
pub use record::VolumeRecord;
pub use share::{Fill, Shares, shares};
pub use store::{Volume, VolumeLock, VolumeStore};
