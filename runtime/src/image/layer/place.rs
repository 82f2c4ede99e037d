//! Paths of a tar to places in a [`LayerTree`], as unpacking into an empty directory would resolve them.
//!
//! What unpacking does to the layer's own directory (an overlay's upper directory in Docker and containerd):
//! - a path is cleaned lexically; absolute ones count from the image's root, ones that begin with `..` are refused;
//! - symlinks of this layer in the parent's path are followed within the image, as in a chroot;
//! - missing parents are made; the last part of a path is never followed, and replaces what has that name, but a
//!   directory takes a directory's place by changing its metadata.

use std::collections::VecDeque;

use super::error::lossy;
use super::tree::{Directory, Inode, InodeIndex, Kind, LayerTree, Metadata, Name};
use super::{LayerError, LayerLimits};

/// Linux's limit for one path.
const MAX_SYMLINKS: u32 = 40;
const MAX_PATH_BYTES: usize = 4096;
const MAX_NAME_BYTES: usize = 255;

/// A tree that grows by paths.
pub(super) struct Placer {
    pub(super) tree: LayerTree,
    rest_steps: u64,
    limits: LayerLimits,
}

/// A path's parent in the tree, and its last part; no last part for the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) parent: InodeIndex,
    pub(super) name: Option<&'a [u8]>,
}

impl Placer {
    pub(super) fn new(limits: LayerLimits) -> Self {
        Self { tree: LayerTree::empty(), rest_steps: limits.path_steps, limits }
    }

    /// Finds a path's place, making missing parents.
    pub(super) fn place<'a>(&mut self, path: &'a [u8]) -> Result<Place<'a>, LayerError> {
        let mut parts = clean(path)?;
        let Some(name) = parts.pop() else { return Ok(Place { parent: LayerTree::ROOT, name: None }) };
        let parent =
            self.resolve(&parts, path, true)?.ok_or_else(|| LayerError::NotADirectory(lossy(path)))?;
        Ok(Place { parent, name: Some(name) })
    }

    /// The inode at a path, if this layer has it.
    pub(super) fn find(&mut self, path: &[u8]) -> Result<Option<InodeIndex>, LayerError> {
        let mut parts = clean(path)?;
        let Some(name) = parts.pop() else { return Ok(Some(LayerTree::ROOT)) };
        let parent = self.resolve(&parts, path, false)?;
        Ok(parent.and_then(|parent| self.tree.directory(parent)?.children.get(name).copied()))
    }

    /// Adds an inode and names it.
    pub(super) fn put(&mut self, place: &Place<'_>, inode: Inode, path: &[u8]) -> Result<(), LayerError> {
        let is_directory = matches!(inode.kind, Kind::Directory(_));
        let existing = match place.name {
            None => Some(LayerTree::ROOT),
            Some(name) => self.tree.directory(place.parent).and_then(|dir| dir.children.get(name).copied()),
        };
        if let Some(index) = existing
            && let Some(old) = self.tree.get_mut(index)
            && let Kind::Directory(directory) = &mut old.kind
        {
            if is_directory {
                directory.implicit = false;
                old.metadata = inode.metadata;
                return Ok(());
            }
            if place.name.is_none() {
                return Err(LayerError::Path(lossy(path)));
            }
        }
        let index = self.tree.push(inode).ok_or(self.too_many())?;
        self.link(place, index);
        Ok(())
    }

    /// Names an inode that is there already.
    pub(super) fn link(&mut self, place: &Place<'_>, index: InodeIndex) {
        if let (Some(name), Some(directory)) = (place.name, self.tree.directory_mut(place.parent)) {
            directory.children.insert(Name::from(name), index);
        }
    }

    /// Walks to a directory. `make`: missing ones are made, otherwise they end the walk with `None`.
    fn resolve(
        &mut self,
        parts: &[&[u8]],
        path: &[u8],
        make: bool,
    ) -> Result<Option<InodeIndex>, LayerError> {
        let mut pending: VecDeque<Box<[u8]>> = parts.iter().map(|part| (*part).into()).collect();
        let mut trail = vec![LayerTree::ROOT];
        let mut symlinks = 0;
        while let Some(part) = pending.pop_front() {
            self.rest_steps = self
                .rest_steps
                .checked_sub(1)
                .ok_or(LayerError::Limit { what: "steps in its paths", limit: self.limits.path_steps })?;
            let current = trail.last().copied().unwrap_or(LayerTree::ROOT);
            match part.as_ref() {
                b"" | b"." => continue,
                b".." => {
                    // The root's parent is the root.
                    if trail.len() > 1 {
                        trail.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let child = self.tree.directory(current).and_then(|dir| dir.children.get(part.as_ref()).copied());
            let Some(child) = child else {
                if !make {
                    return Ok(None);
                }
                trail.push(self.make_directory(current, &part, path)?);
                continue;
            };
            match self.tree.get(child).map(|inode| &inode.kind) {
                Some(Kind::Directory(_)) => trail.push(child),
                Some(Kind::Symlink(target)) => {
                    symlinks += 1;
                    if symlinks > MAX_SYMLINKS {
                        return Err(LayerError::SymlinkLoop(lossy(path)));
                    }
                    if target.0.starts_with(b"/") {
                        trail.truncate(1);
                    }
                    for part in target.0.rsplit(|byte| *byte == b'/') {
                        pending.push_front(part.into());
                    }
                }
                _ => return Err(LayerError::NotADirectory(lossy(path))),
            }
        }
        Ok(trail.last().copied())
    }

    fn make_directory(
        &mut self,
        parent: InodeIndex,
        name: &[u8],
        path: &[u8],
    ) -> Result<InodeIndex, LayerError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(LayerError::Path(lossy(path)));
        }
        if self.tree.inodes.len() as u64 >= self.limits.entries {
            return Err(self.too_many());
        }
        let kind = Kind::Directory(Box::new(Directory::implicit()));
        let index = self.tree.push(Inode { metadata: Metadata::implicit(), kind }).ok_or(self.too_many())?;
        self.link(&Place { parent, name: Some(name) }, index);
        Ok(index)
    }

    pub(super) fn too_many(&self) -> LayerError {
        LayerError::Limit { what: "files", limit: self.limits.entries }
    }
}

/// Go's `filepath.Clean`, in parts, counted from the root.
fn clean(path: &[u8]) -> Result<Vec<&[u8]>, LayerError> {
    if path.is_empty() || path.len() > MAX_PATH_BYTES || path.contains(&0) {
        return Err(LayerError::Path(lossy(path)));
    }
    let absolute = path.starts_with(b"/");
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            // `/..` is `/`; `..` leads out.
            b".." if parts.pop().is_none() && !absolute => return Err(LayerError::Escapes(lossy(path))),
            b".." => {}
            _ if part.len() > MAX_NAME_BYTES => return Err(LayerError::Path(lossy(path))),
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        let clean = |path: &str| clean(path.as_bytes()).map(|parts| parts.join(b"/".as_slice())).ok();
        let is = |text: &str| Some(text.as_bytes().to_vec());
        for (path, cleaned) in [
            ("a/b", is("a/b")),
            ("./a//b/", is("a/b")),
            ("/a/./b", is("a/b")),
            ("/", is("")),
            ("./", is("")),
            ("a/../b", is("b")),
            ("a/..", is("")),
            ("/../../etc", is("etc")),
            ("..", None),
            ("../etc", None),
            ("a/../../etc", None),
            ("", None),
            ("a\0b", None),
            (&"x".repeat(256), None),
            (&"x/".repeat(2500), None),
        ] {
            assert_eq!(clean(path), cleaned, "{path:?}");
        }
    }
}
