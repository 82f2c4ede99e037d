//! One image of the store.

use std::sync::Arc;

use holm_protocol::vm_config::SegmentConfig;
use oci_spec::image::ImageConfiguration;
use time::OffsetDateTime;

use crate::container::settings::{HealthConfig, Labels};

use super::store::staging::read_layer;
use super::store::{ImageStore, Paths};
use super::{Digest, ImageError, Reference, rootfs};

/// An image as it was when it was looked up; a later removal does not change the handle.
#[derive(Clone, Debug)]
pub struct Image {
    pub(super) paths: Paths,
    pub(super) id: Digest,
    pub(super) names: Vec<Reference>,
    pub(super) pins: Vec<Reference>,
    pub(super) manifest: Option<Digest>,
    pub(super) layers: Vec<Digest>,
    pub(super) size_bytes: u64,
    pub(super) config: Arc<ImageConfiguration>,
    pub(super) config_json: Arc<[u8]>,
}

/// The image's tree as a read-only disk: EROFS at offset 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootfsDisk {
    /// Metadata first, then the layers' data, in the order of their block addresses.
    pub segments: Vec<SegmentConfig>,
}

impl Image {
    /// sha256 of the config.
    #[must_use]
    pub fn id(&self) -> Digest {
        self.id
    }

    /// All its names, sorted; empty for an image that lost its name to another.
    #[must_use]
    pub fn names(&self) -> &[Reference] {
        &self.names
    }

    /// Repositories and digests under which registries gave it, sorted: `RepoDigests` in Docker's words.
    #[must_use]
    pub fn pins(&self) -> &[Reference] {
        &self.pins
    }

    /// Digest of the manifest that it came with; `None` for archives that have none.
    #[must_use]
    pub fn manifest(&self) -> Option<Digest> {
        self.manifest
    }

    /// diffIDs, lowest layer first.
    #[must_use]
    pub fn layers(&self) -> &[Digest] {
        &self.layers
    }

    /// Sum of all files' sizes in all layers, in bytes, as Docker counts.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The config (image-spec config.md).
    #[must_use]
    pub fn config(&self) -> &ImageConfiguration {
        &self.config
    }

    /// The config's bytes, for what image-spec does not know (Docker's Healthcheck, OnBuild, Shell).
    #[must_use]
    pub fn config_json(&self) -> &[u8] {
        &self.config_json
    }

    /// The config's labels.
    #[must_use]
    pub fn labels(&self) -> Labels {
        let labels = self.config.config().as_ref().and_then(|config| config.labels().clone());
        labels.unwrap_or_default().into_iter().collect()
    }

    /// The config's healthcheck, which image-spec does not know; `None` where there is none or it is malformed.
    #[must_use]
    pub fn healthcheck(&self) -> Option<HealthConfig> {
        let config: serde_json::Value = serde_json::from_slice(&self.config_json).ok()?;
        serde_json::from_value(config.pointer("/config/Healthcheck")?.clone()).ok()
    }

    /// When it was made, if it says so.
    #[must_use]
    pub fn created(&self) -> Option<OffsetDateTime> {
        let text = self.config.created().as_deref()?;
        OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()
    }

    /// The disk with the merged tree. Writes the metadata image when it is missing (first use).
    ///
    /// # Errors
    /// A layer is missing or damaged, or the metadata image cannot be written.
    pub fn rootfs(&self) -> Result<RootfsDisk, ImageError> {
        let stack = rootfs::stack_id(&self.layers);
        if let Some(disk) = rootfs::open(&self.paths, &stack) {
            return Ok(disk);
        }
        let tree_of = |diff_id: &Digest| {
            let path = self.paths.layer(diff_id);
            read_layer(&path).map_err(|error| ImageError::Damaged { path, reason: error.to_string() })
        };
        ImageStore::stage_merged(&self.paths, &self.layers, tree_of, &self.id.short())?;
        rootfs::open(&self.paths, &stack).ok_or_else(|| ImageError::Damaged {
            path: self.paths.merged_stack(&stack),
            reason: "it vanished".to_owned(),
        })
    }
}
