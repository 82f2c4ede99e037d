//! A path of the user's in a container's tree.

use std::path::Path;

use holm_archive::Node;
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::Layers;
use crate::container::rootdir::RootDir;
use crate::fault::{At, Fault};

/// Refers to what a path names; links lead to where they lead in the container.
pub(crate) fn find(layers: &Layers, path: &Path, follow: bool) -> Result<Node, Fault> {
    let root = RootDir::open(&layers.root).at("opening the container's root")?;
    let last = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    match root.open_with(path, OFlag::O_PATH | last) {
        Ok(descriptor) => Node::of(descriptor).at(path.display()),
        Err(Errno::ENOENT | Errno::ENOTDIR) => {
            Err(Fault::not_found(format!("{}: no such file or directory", path.display())))
        }
        Err(error) => Err(Fault::invalid(format!("{}: {}", path.display(), error.desc()))),
    }
}
