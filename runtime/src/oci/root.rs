//! Where a container's root file system comes from, and where what it writes goes (docs/decisions/0026-oci-runtime.md).
//!
//! ```text
//!   shared    the bundle's directory, over virtio-fs: what either side writes the other sees
//!   layered   the same, for reading; above it in the guest a layer on a disk, which goes with the VM
//! ```
//!
//! A layer has a name on the host only until the VM has it. So nothing is left of it, whoever dies whenever: what is killed before
//! is deleted by its engine, and the name with it.

use holm_protocol::vm_config::{DiskConfig, DiskRates};
use oci_spec::runtime::Spec;

use super::error::OciError;
use super::role::annotation;
use super::store::OciContainer;
use crate::container::settings::LayerSize;
use crate::durable::{self, Durability};
use crate::host::{Directories, create_private_directory};
use crate::sandbox::{GuestRoot, file_disk};
use crate::storage;

/// The annotation that says whose the writable layer is.
const LAYER: &str = "holm.layer";
/// How large a layer of the guest's may become.
const LAYER_SIZE: &str = "holm.layer-size";

/// Where a root file system comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// The bundle's directory is shared.
    Shared,
    /// It is shared for reading, below a layer in the guest of at most this size.
    Layered(LayerSize),
}

impl Root {
    /// As a bundle's annotations say.
    ///
    /// # Errors
    /// They say something else.
    pub(super) fn of(spec: &Spec) -> Result<Self, OciError> {
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

    /// Whether the bundle's directory is shared for reading only.
    pub(super) fn is_read_only(self) -> bool {
        matches!(self, Self::Layered(_))
    }

    /// Where the guest finds it: the bundle's directory is shared there, and this is the disk's id.
    pub(super) fn in_guest<'a>(self, directory: &'a str, disk: &'a str) -> GuestRoot<'a> {
        match self {
            Self::Shared => GuestRoot::Directory(directory),
            Self::Layered(_) => GuestRoot::DirectoryBelow { directory, writable: disk },
        }
    }

    /// Makes the disk that the VM is to get for it. When the VM has it, [`Root::forget_name`].
    pub(super) fn make_disk(self, container: &OciContainer) -> Result<Option<DiskConfig>, OciError> {
        let Self::Layered(size) = self else { return Ok(None) };
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
    pub(super) fn forget_name(self, container: &OciContainer) {
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
        Root::of(&serde_json::from_value(spec).unwrap()).map_err(|error| error.to_string())
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
