//! `load`: docker-archive, OCI archive, OCI directory.
//!
//! ```text
//! Archive --(spool if it is a pipe or compressed)--> Contents --> Plan per image --> layers converted or adopted,
//! merged, config and manifest put beside them: all in a staging directory
//! ```
//! Every blob is checked against its digest where the archive gives one, and every layer against its diffID in the
//! config; the image's ID is the config's own digest. A layer that the store has under its diffID is not read again.

mod contents;
mod docker;
mod install;
mod oci;
mod plan;
mod source;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) use contents::{name_of, open_stream, verify};
pub(super) use install::{layer_error, stage as install};
pub(super) use oci::plan_of;
pub(super) use plan::PlannedLayer;
pub(super) use source::BlobSource;

use self::contents::Contents;
use super::store::{NewImage, Staging};
use super::{Digest, ImageError, LayerLimits, Reference};

/// Where an archive comes from.
pub enum Archive {
    /// A directory (OCI image layout), of which nothing is read yet.
    Directory {
        /// What messages call it, and where it is.
        path: PathBuf,
        /// The directory.
        root: File,
    },
    /// An open file, pipe or terminal, of any compression. Read in place when it is a regular file.
    File {
        /// What messages call it.
        path: PathBuf,
        /// The file.
        file: File,
    },
    /// Any other stream; spooled into the store while it is read.
    Stream(Box<dyn Read + Send>),
}

impl Archive {
    /// Opens a file or a directory.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: PathBuf) -> Result<Self, ImageError> {
        let file = File::open(&path).map_err(ImageError::io("open", &path))?;
        let found = file.metadata().map_err(ImageError::io("examine", &path))?;
        Ok(if found.is_dir() { Self::Directory { path, root: file } } else { Self::File { path, file } })
    }

    /// An open file as standard input.
    #[must_use]
    pub fn stdin(file: File) -> Self {
        Self::File { path: "standard input".into(), file }
    }

    /// The directory below which there is more to open.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory { path, .. } => Some(path),
            Self::File { .. } | Self::Stream(_) => None,
        }
    }
}

/// What `load` and `import` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedImage {
    /// sha256 of the config.
    pub id: Digest,
    /// The names it got; empty when the archive gives none.
    pub names: Vec<Reference>,
}

/// How far a load is; called from the loading thread, a few times a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A stream is read: bytes so far.
    Spooling {
        /// Bytes so far.
        bytes: u64,
    },
    /// A registry has the image: its manifest, or the index over it.
    Found {
        /// Of the manifest or index.
        digest: Digest,
    },
    /// A layer is fetched and converted; first reported when it waits for its turn, with 0 bytes.
    Layer {
        /// Its diffID.
        diff_id: Digest,
        /// The digest of the blob, where it is known.
        digest: Option<Digest>,
        /// Position in the stack, from 0.
        index: usize,
        /// Layers in the stack.
        count: usize,
        /// Compressed bytes read so far.
        read_bytes: u64,
        /// Compressed bytes in all.
        total_bytes: u64,
    },
    /// A layer is complete.
    LayerDone {
        /// Its diffID.
        diff_id: Digest,
        /// The digest of the blob, where it is known.
        digest: Option<Digest>,
    },
    /// A layer is in the store already.
    LayerExists {
        /// Its diffID.
        diff_id: Digest,
        /// The digest of the blob, where it is known.
        digest: Option<Digest>,
    },
}

/// Makes all images of an archive, in a staging directory.
pub(super) fn stage(
    staging: &Staging,
    archive: Archive,
    limits: &LayerLimits,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<NewImage>, ImageError> {
    let contents = Contents::open(archive, staging, limits, progress)?;
    let plans = if contents.has("manifest.json") {
        docker::plans(&contents)?
    } else if contents.has("index.json") {
        oci::plans(&contents)?
    } else {
        return Err(ImageError::NotAnArchive(contents.name().to_owned()));
    };
    plans.into_iter().map(|plan| install::stage(staging, &contents, plan, limits, progress)).collect()
}
