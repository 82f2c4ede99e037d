//! What is to be made of an archive: one plan for each image.

use crate::image::config::Config;
use crate::image::{Digest, ImageError, Reference};

/// An image in an archive.
#[derive(Debug)]
pub(in crate::image) struct Plan {
    pub(in crate::image) names: Vec<Reference>,
    /// Names by digest that a registry gives it.
    pub(in crate::image) pins: Vec<Reference>,
    pub(in crate::image) config: Config,
    pub(in crate::image) manifest: Option<Vec<u8>>,
    /// One for each diffID of the config.
    pub(in crate::image) layers: Vec<PlannedLayer>,
}

/// A layer in an archive.
#[derive(Debug)]
pub(in crate::image) struct PlannedLayer {
    /// The name of its file.
    pub(in crate::image) file: String,
    /// What the file's content must hash to, if the archive says so.
    pub(in crate::image) digest: Option<Digest>,
    /// How long it is, if that was said.
    pub(in crate::image) bytes: Option<u64>,
}

impl Plan {
    /// Whether manifest and config agree, and the image is for this host. `blob` is the config's name.
    pub(in crate::image) fn check(self, blob: &str) -> Result<Self, ImageError> {
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
    pub(in crate::image) fn label(&self) -> String {
        self.names.first().map_or_else(|| self.config.id.short(), Reference::familiar)
    }
}
