//! A repository as a source of blobs, like an archive.

use std::io::Read;

use crate::image::load::{BlobSource, PlannedLayer, verify};
use crate::image::{Digest, ImageError};
use crate::registry::{BlobReader, Session, Target};

/// As many as Docker fetches at a time.
const PARALLEL_LAYERS: usize = 3;

/// A repository of a registry.
pub(super) struct Repository<'a> {
    pub(super) session: &'a Session,
    pub(super) name: &'a str,
}

impl BlobSource for Repository<'_> {
    fn name_of(&self, digest: &Digest) -> String {
        digest.to_string()
    }

    fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let document = self.session.manifest(self.name, &Target::Digest(*digest))?;
        verify(&self.name_of(digest), digest, &Digest::of(&document.bytes))?;
        Ok(document.bytes)
    }

    fn config(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let bytes = self.session.small_blob(self.name, digest)?;
        verify(&self.name_of(digest), digest, &Digest::of(&bytes))?;
        Ok(bytes)
    }

    fn layer<'a>(&'a self, layer: &PlannedLayer) -> Result<(Box<dyn Read + Send + 'a>, u64), ImageError> {
        let digest = layer.digest.ok_or_else(|| ImageError::MissingBlob(layer.file.clone()))?;
        let reader = BlobReader::new(self.session, self.name, &digest, layer.bytes);
        Ok((Box::new(reader), layer.bytes.unwrap_or(0)))
    }

    fn parallel_layers(&self) -> usize {
        PARALLEL_LAYERS
    }
}
