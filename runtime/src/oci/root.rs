//! Where a container's root file system comes from, and where what it writes goes (docs/decisions/0026-oci-runtime.md).
//!
//! ```text
//!   shared    the bundle's directory, over virtio-fs: what either side writes the other sees
//!   layered   the same, for reading; above it in the guest a layer on a disk, which goes with the VM
//!   device    a block device of the host's, which the guest mounts and the host does not
//! ```
//!
//! A layer has a name on the host only until the VM has it. So nothing is left of it, whoever dies whenever: what is killed before
//! is deleted by its engine, and the name with it.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use holm_protocol::vm_config::{DiskConfig, DiskRates};
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::error::OciError;
use super::role::annotation;
use super::store::OciContainer;
use crate::container::settings::LayerSize;
use crate::durable::{self, Durability};
use crate::host::{Directories, create_private_directory};
use crate::sandbox::{GuestRoot, file_disk};
use crate::storage;
use crate::volume::Shares;

/// The annotation that says whose the writable layer is.
const LAYER: &str = "holm.layer";
/// How large a layer of the guest's may become.
const LAYER_SIZE: &str = "holm.layer-size";

/// Where a root file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// The bundle's directory is shared.
    Shared,
    /// It is shared for reading, below a layer in the guest of at most this size.
    Layered(LayerSize),
    /// It is not in the bundle.
    Device(RootDevice),
}

/// A block device with a file system that becomes a container's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct RootDevice {
    path: PathBuf,
    read_only: bool,
}

impl RootDevice {
    /// As a mount of an engine describes it.
    ///
    /// # Errors
    /// The guest cannot mount it so.
    pub fn of_mount(kind: &str, source: &str, options: &[String]) -> Result<Self, OciError> {
        if kind != "ext4" {
            return Err(OciError::Impossible(format!(
                "the {kind} of {source} as its root file system: directories of the host, and ext4 on its block devices"
            )));
        }
        let mut device = Self { path: source.into(), read_only: false };
        for option in options {
            match option.as_str() {
                "ro" => device.read_only = true,
                // The guest discards anyway.
                "rw" | "defaults" | "discard" => {}
                other => {
                    let what = format!("the option {other} for the ext4 of {source}");
                    return Err(OciError::Impossible(what));
                }
            }
        }
        Ok(device)
    }

    /// The disk that the guest is to mount.
    fn disk(&self, id: &str) -> Result<DiskConfig, OciError> {
        let failed = |source| OciError::Read { path: self.path.clone(), source };
        // In /dev/mapper there are links.
        let path = fs::canonicalize(&self.path).map_err(failed)?;
        if !fs::metadata(&path).map_err(failed)?.file_type().is_block_device() {
            let what = format!("{} as its root: it is no block device", self.path.display());
            return Err(OciError::Impossible(what));
        }
        let length_bytes =
            File::open(&path).and_then(|mut file| file.seek(SeekFrom::End(0))).map_err(failed)?;
        Ok(file_disk(id, &path, length_bytes, self.read_only, DiskRates::default()))
    }
}

impl Root {
    /// As a bundle's annotations say, or on this device.
    ///
    /// # Errors
    /// They say something else.
    pub(super) fn of(spec: &Spec, device: Option<&RootDevice>) -> Result<Self, OciError> {
        match (Self::of_annotations(spec)?, device) {
            (Self::Layered(_), Some(device)) => Err(OciError::Impossible(format!(
                "a layer in the guest (holm.layer) above the block device {}",
                device.path.display()
            ))),
            (_, Some(device)) => Ok(Self::Device(device.clone())),
            (root, None) => Ok(root),
        }
    }

    fn of_annotations(spec: &Spec) -> Result<Self, OciError> {
        let refuse =
            |key, value, why: &str| Err(OciError::Bundle(format!("annotation {key}={value}: {why}")));
        match (annotation(spec, LAYER), annotation(spec, LAYER_SIZE)) {
            (None | Some("host"), None) => Ok(Self::Shared),
            (None | Some("host"), Some(size)) => refuse(LAYER_SIZE, size, "it goes with holm.layer=guest"),
            (Some("guest"), None) => Ok(Self::Layered(LayerSize::default())),
            (Some("guest"), Some(size)) => match format!("size={size}").parse() {
                Ok(size) => Ok(Self::Layered(size)),
                Err(error) => refuse(LAYER_SIZE, size, &error.to_string()),
            },
            (Some(other), _) => refuse(LAYER, other, "it is host or guest"),
        }
    }

    /// What the guest is given of the bundle's directory; where it finds that.
    ///
    /// # Errors
    /// It cannot be shared.
    pub(super) fn share(&self, rootfs: &Path, shares: &mut Shares) -> Result<String, OciError> {
        let read_only = match self {
            Self::Shared => false,
            Self::Layered(_) => true,
            Self::Device(_) => return Ok(String::new()),
        };
        let place = shares.add_bind(rootfs, read_only, &mut Vec::new())?;
        Ok(place.to_string_lossy().into_owned())
    }

    /// Whether what is made in it to be mounted on is seen on the host, too.
    pub(super) fn is_seen_by_the_host(&self) -> bool {
        *self == Self::Shared
    }

    /// Where the guest finds it: the bundle's directory is shared there, and this is the disk's id.
    pub(super) fn in_guest<'a>(&self, directory: &'a str, disk: &'a str) -> GuestRoot<'a> {
        match self {
            Self::Device(_) => GuestRoot::Disk(disk),
            Self::Shared => GuestRoot::Directory(directory),
            Self::Layered(_) => GuestRoot::DirectoryBelow { directory, writable: disk },
        }
    }

    /// Makes, or finds, the disk that the VM is to get for it. When the VM has it, [`Root::forget_name`].
    pub(super) fn make_disk(&self, container: &OciContainer) -> Result<Option<DiskConfig>, OciError> {
        let size = match self {
            Self::Shared => return Ok(None),
            Self::Device(device) => return Ok(Some(device.disk(&container.disk_id())?)),
            Self::Layered(size) => size,
        };
        let (directories, path) = (Directories::from_environment(), container.layer());
        create_private_directory(&directories.oci_layers())?;
        // What a container of this name left whose host was switched off at a bad moment.
        durable::remove(&path).map_err(|source| OciError::Write { path: path.clone(), source })?;
        // Nobody mounts it after this VM.
        let durability = Durability::OneLife;
        storage::create_writable_layer(&directories.blank(), &path, size.bytes(), durability)?;
        Ok(Some(file_disk(&container.disk_id(), &path, size.bytes(), false, DiskRates::default())))
    }

    /// The VM has its disk: what was made for it goes with the VM.
    pub(super) fn forget_name(&self, container: &OciContainer) {
        if let Self::Layered(_) = self
            && let Err(error) = durable::remove(&container.layer())
        {
            tracing::warn!(%error, "the writable layer stays on the host until the container is deleted");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn root(annotations: Value) -> Result<Root, String> {
        let spec = json!({"ociVersion": "1.0.2", "annotations": annotations});
        Root::of(&serde_json::from_value(spec).unwrap(), None).map_err(|error| error.to_string())
    }

    fn device(kind: &str, options: &[&str]) -> Result<RootDevice, String> {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        RootDevice::of_mount(kind, "/dev/null", &options).map_err(|error| error.to_string())
    }

    #[test]
    fn a_device_has_what_the_guests_kernel_can_mount() {
        assert!(device("ext4", &["ro"]).unwrap().read_only);
        let written = device("ext4", &["rw", "discard"]).unwrap();
        assert!(!written.read_only);
        assert!(device("xfs", &["nouuid"]).unwrap_err().contains("the xfs of /dev/null"));
        assert!(device("ext4", &["data=journal"]).unwrap_err().contains("data=journal"));
        assert!(written.disk("root").unwrap_err().to_string().contains("no block device"));
        let spec = json!({"ociVersion": "1.0.2", "annotations": {"holm.layer": "guest"}});
        let both = Root::of(&serde_json::from_value(spec).unwrap(), Some(&written)).unwrap_err();
        assert!(both.to_string().contains("holm.layer"), "{both}");
    }

    #[test]
    fn annotations_say_whose_the_layer_is() {
        assert_eq!(root(json!({})), Ok(Root::Shared));
        assert_eq!(root(json!({"holm.layer": "host"})), Ok(Root::Shared));
        assert_eq!(root(json!({"holm.layer": "guest"})), Ok(Root::Layered(LayerSize::default())));
        let sized = json!({"holm.layer": "guest", "holm.layer-size": "1g"});
        assert_eq!(root(sized), Ok(Root::Layered("size=1g".parse().unwrap())));
    }

    #[test]
    fn other_words_are_refused_by_name() {
        let refused = |annotations| root(annotations).unwrap_err();
        assert_eq!(
            refused(json!({"holm.layer": "tmpfs"})),
            "annotation holm.layer=tmpfs: it is host or guest"
        );
        let small = refused(json!({"holm.layer": "guest", "holm.layer-size": "1m"}));
        assert!(small.contains("holm.layer-size=1m") && small.contains("64m to 16t"), "{small}");
        assert!(refused(json!({"holm.layer-size": "1g"})).contains("holm.layer=guest"));
    }
}
