//! `save`: images as one tar that is both what Docker 25 and later write (docker-archive, `manifest.json`) and an OCI
//! image layout (image-spec image-layout.md, `index.json`).
//!
//! ```text
//! blobs/sha256/<digest>   layers' tars, made again from their recipes; configs; manifests, made here
//! index.json              the manifests and their names
//! manifest.json           configs, layers and names, for Docker
//! oci-layout
//! ```
//!
//! The layers are not compressed: their digests are the diffIDs, and the same images give the same archive byte for byte.
//!
//! Threads: a layer's tar is made by a second one and goes into the archive through a pipe; nothing of it is stored.

mod archive;
mod documents;
mod selection;

use std::collections::HashSet;
use std::io::Write;

use self::archive::ArchiveWriter;
use self::documents::Documents;
pub use self::selection::Selection;
use super::layer::tar_bytes;
use super::load::layer_error;
use super::{Digest, Image, ImageError};

/// Writes an archive of the images.
pub(super) fn save(selection: &Selection, out: &mut dyn Write) -> Result<(), ImageError> {
    let mut archive = ArchiveWriter::new(out)?;
    let mut documents = Documents::default();
    let mut written = HashSet::new();
    for (image, names) in selection.images() {
        let layers = image.layers().iter().map(|id| Ok((*id, layer_bytes(image, id)?)));
        let layers: Vec<(Digest, u64)> = layers.collect::<Result<_, ImageError>>()?;
        for (diff_id, bytes) in &layers {
            if written.insert(*diff_id) {
                archive.layer(&image.paths.layer(diff_id), diff_id, *bytes)?;
            }
        }
        for document in documents.add(image, &layers, names)? {
            if written.insert(Digest::of(&document)) {
                archive.blob(&document)?;
            }
        }
    }
    for (name, document) in documents.finish()? {
        archive.file(name, &document)?;
    }
    archive.finish()
}

fn layer_bytes(image: &Image, diff_id: &Digest) -> Result<u64, ImageError> {
    tar_bytes(&image.paths.layer(diff_id)).map_err(layer_error(diff_id))
}
