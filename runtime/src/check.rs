//! Whether what is stored is sound: images, layers, containers, names, volumes, and what crashes left.
//!
//! Looking changes nothing; [`repair`] removes what nobody needs and puts right what a crash left. What is damaged stays
//! for people to decide about.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::container::{ContainerError, ContainerStore};
use crate::durable;
use crate::host::Directories;
use crate::image::{ImageError, ImageStore};
use crate::network::{NetworkError, NetworkStore};
use crate::storage;
use crate::volume::{VolumeError, VolumeStore};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub place: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// Left by a command that was killed: in nobody's way, and [`repair`] takes care of it.
    pub is_leftover: bool,
}

/// How much to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Records, documents and layers' metadata by their digests; layers' data by their length.
    Quick,
    /// Layers' data too: every layer's tar is made again and hashed.
    Full,
}

/// Something kept the check or the repair from going on.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The image store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The containers.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The volumes.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The networks.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The blank file systems.
    #[error("cannot look at or remove {}", path.display())]
    Blank {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Finding {
    pub(crate) fn unsound(place: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), is_leftover: false }
    }

    /// What cannot be used, with the error's causes.
    pub(crate) fn damaged(place: impl Into<PathBuf>, error: &(dyn Error + 'static)) -> Self {
        let texts = std::iter::successors(Some(error), |error| (**error).source()).map(ToString::to_string);
        Self::unsound(place, texts.collect::<Vec<_>>().join(": "))
    }

    pub(crate) fn leftover(place: impl Into<PathBuf>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into(), is_leftover: true }
    }
}

/// Looks at everything; `found` gets what is wrong as soon as it is seen.
///
/// # Errors
/// A directory cannot be read at all.
pub fn check(
    directories: &Directories,
    depth: Depth,
    found: &mut dyn FnMut(Finding),
) -> Result<(), CheckError> {
    ImageStore::check(directories.root(), depth, found)?;
    let containers = ContainerStore::new(directories.clone());
    containers.check(found)?;
    VolumeStore::new(directories.clone()).check(&containers, found)?;
    NetworkStore::new(directories.clone()).check(found)?;
    for place in blank_leftovers(directories)? {
        found(Finding::leftover(place, "the command that made it was killed"));
    }
    Ok(())
}

/// Removes what killed commands left. An image store in which anything is damaged is left alone: what looks like garbage may
/// be what a damaged catalog no longer names.
///
/// # Errors
/// Names what cannot be removed.
pub fn repair(directories: &Directories) -> Result<(), CheckError> {
    let mut is_sound = true;
    let found = &mut |finding: Finding| is_sound &= finding.is_leftover;
    ImageStore::check(directories.root(), Depth::Quick, found)?;
    if is_sound {
        ImageStore::open(directories.root())?.sweep()?;
    }
    ContainerStore::new(directories.clone()).repair()?;
    VolumeStore::new(directories.clone()).repair()?;
    NetworkStore::new(directories.clone()).repair()?;
    for place in blank_leftovers(directories)? {
        durable::remove(&place).map_err(|source| CheckError::Blank { path: place.clone(), source })?;
    }
    Ok(())
}

fn blank_leftovers(directories: &Directories) -> Result<Vec<PathBuf>, CheckError> {
    let path = directories.blank();
    storage::blank_leftovers(&path).map_err(|source| CheckError::Blank { path, source })
}
