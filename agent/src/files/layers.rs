//! Where the files of one container are.

use std::path::{Path, PathBuf};

use holm_archive::Node;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Result;

/// The layers as the agent mounted them, and their sum.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    /// The image, which never changes; `None` when the container has none.
    pub(crate) image: Option<PathBuf>,
    /// What the container wrote: overlayfs's upper directory.
    pub(crate) upper: PathBuf,
    /// The overlay of the two.
    pub(crate) root: PathBuf,
    /// The same with the host's directories and files in it, for what is named by a path.
    pub(crate) view: PathBuf,
    /// What lies between the two only to be mounted on; relative to the root.
    pub(crate) stubs: Vec<PathBuf>,
}

/// Opens a directory of the agent's own.
pub(super) fn open(path: &Path) -> Result<Node> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Node::of(openat(CWD, path, flags, Mode::empty())?)
}

/// What stands at a path of one layer; `None` when nothing does, or a link or file stands in the way.
pub(super) fn look(layer: &Node, path: &Path) -> Option<Node> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let no_links = resolve | ResolveFlags::NO_SYMLINKS;
    let parent = openat2(layer, parent, flags | OFlags::DIRECTORY, Mode::empty(), no_links).ok()?;
    Node::of(openat2(parent, path.file_name()?, flags, Mode::empty(), resolve).ok()?).ok()
}
