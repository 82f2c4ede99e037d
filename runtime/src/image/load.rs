//! `load`: docker-archive, OCI archive, OCI directory.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::{Digest, Reference};

/// Where an archive comes from.
pub enum Archive {
    /// A file (any compression) or a directory (OCI image layout).
    Path(PathBuf),
    /// An open file, pipe or terminal: standard input. Read in place when it is a regular file.
    File(File),
    /// Any other stream; spooled into the store while it is read.
    Stream(Box<dyn Read + Send>),
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
    /// A stream is written to a spool file: bytes so far.
    Spooling {
        /// Bytes so far.
        bytes: u64,
    },
    /// A layer is converted.
    Layer {
        /// Its diffID.
        diff_id: Digest,
        /// Position in the stack, from 0.
        index: usize,
        /// Layers in the stack.
        count: usize,
        /// Compressed bytes read so far.
        read_bytes: u64,
        /// Compressed bytes in all.
        total_bytes: u64,
    },
    /// A layer is in the store already.
    LayerExists {
        /// Its diffID.
        diff_id: Digest,
    },
}
