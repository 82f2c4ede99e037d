//! What is to be made of an archive: one plan for each image.

use crate::image::config::Config;
use crate::image::{Digest, ImageError, Reference};

/// An image in an archive.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) names: Vec<Reference>,
    pub(super) config: Config,
    pub(super) manifest: Option<Vec<u8>>,
    /// One for each diffID of the config.
    pub(super) layers: Vec<PlannedLayer>,
}

/// A layer in an archive.
#[derive(Debug)]
pub(super) struct PlannedLayer {
    /// The name of its file.
    pub(super) file: String,
    /// What the file's content must hash to, if the archive says so.
    pub(super) digest: Option<Digest>,
}

impl Plan {
    /// Whether manifest and config agree, and the image is for this host. `blob` is the config's name.
    pub(super) fn check(self, blob: &str) -> Result<Self, ImageError> {
        let (layers, diff_ids) = (self.layers.len(), self.config.diff_ids.len());
        if layers != diff_ids {
            return Err(ImageError::Inconsistent {
                blob: blob.to_owned(),
                reason: format!("it names {diff_ids} layers, the manifest {layers}"),
            });
        }
        self.config.check_platform(&self.label())?;
        Ok(self)
    }

    /// What people call the image.
    pub(super) fn label(&self) -> String {
        self.names.first().map_or_else(|| self.config.id.short(), Reference::familiar)
    }
}
