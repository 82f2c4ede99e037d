//! A path of the user's in a container's tree.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use holm_archive::Node;
use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::Layers;
use crate::container::rootdir::RootDir;
use crate::fault::{At, Fault};

/// Refers to what a path names; links lead to where they lead in the container.
pub(crate) fn find(layers: &Layers, path: &Path, follow: bool) -> Result<Node, Fault> {
    let root = RootDir::open(&layers.view).at("opening the container's root")?;
    let last = if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW };
    match root.open_with(path, OFlag::O_PATH | last) {
        Ok(descriptor) => Node::of(descriptor).at(path.display()),
        Err(Errno::ENOENT | Errno::ENOTDIR) => {
            Err(Fault::not_found(format!("{}: no such file or directory", path.display())))
        }
        Err(error) => Err(Fault::invalid(format!("{}: {}", path.display(), error.desc()))),
    }
}

/// Where a file of the container's is, by the name that the kernel knows; `None` when it is gone or has no such name.
pub(crate) fn path_of(layers: &Layers, node: &Node) -> Option<String> {
    let path = fs::read_link(format!("/proc/self/fd/{}", node.as_fd().as_raw_fd())).ok()?;
    let inside = Path::new("/").join(path.strip_prefix(&layers.view).ok()?);
    inside.to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_to_paths_inside() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/passwd"), "inside").unwrap();
        symlink("/", root.join("up")).unwrap();
        symlink("../../up/etc/passwd", root.join("etc/link")).unwrap();
        let layers = Layers { image: None, upper: root.clone(), view: root.clone(), root, stubs: Vec::new() };
        let found = |path, follow| find(&layers, Path::new(path), follow);
        let node = found("/up/etc/link", true).unwrap();
        assert_eq!(path_of(&layers, &node).as_deref(), Some("/etc/passwd"));
        let link = found("etc/link", false).unwrap();
        assert_eq!(path_of(&layers, &link).as_deref(), Some("/etc/link"));
        assert_eq!(path_of(&layers, &found("/", true).unwrap()).as_deref(), Some("/"));
        assert!(found("/etc/shadow", true).is_err() && found("/etc/passwd/x", true).is_err());
    }
}
