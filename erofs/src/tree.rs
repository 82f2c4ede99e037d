//! The tree that becomes an image: inodes, and names that link them.

use crate::error::Error;
use crate::inode::{Inode, Kind, Metadata, Xattr};

/// Inodes and the directory entries that name them.
///
/// Grows only. An inode without a name stays out of the image; one with several names is a hard link.
#[derive(Debug)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// All names, one after the other: a million names of their own would cost three times as much.
    names: Vec<u8>,
}

/// Names an inode of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub(crate) u32);

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) inode: Inode,
    /// For directories only.
    pub(crate) directory: Option<Box<Directory>>,
}

#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// `None` until it is linked; the root is its own parent.
    pub(crate) parent: Option<InodeId>,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    name_start: u32,
    name_bytes: u8,
    pub(crate) child: InodeId,
}

impl Tree {
    /// The root directory of every tree.
    pub const ROOT: InodeId = InodeId(0);

    /// A tree with nothing but its root.
    ///
    /// # Errors
    /// The root's metadata or attributes are out of range.
    pub fn new(root: Metadata, xattrs: Vec<Xattr>) -> Result<Self, Error> {
        let mut tree = Self { nodes: Vec::new(), names: Vec::new() };
        let root = tree.add(Inode { metadata: root, xattrs: xattrs.into(), kind: Kind::Directory })?;
        if let Some(directory) = tree.directory_mut(root) {
            directory.parent = Some(root);
        }
        Ok(tree)
    }

    /// Adds an inode, still without a name.
    ///
    /// # Errors
    /// The format cannot hold it.
    pub fn add(&mut self, inode: Inode) -> Result<InodeId, Error> {
        inode.check()?;
        let id = u32::try_from(self.nodes.len()).map_err(|_| Error::TooMany)?;
        let directory = matches!(inode.kind, Kind::Directory).then(Box::default);
        self.nodes.push(Node { inode, directory });
        Ok(InodeId(id))
    }

    /// Gives `child` a name in the directory `parent`. That a name is new is checked by [`crate::Layout::plan`].
    ///
    /// # Errors
    /// No proper name, no directory, or a second parent for a directory.
    pub fn link(&mut self, parent: InodeId, name: &[u8], child: InodeId) -> Result<(), Error> {
        if name.is_empty() || name == b"." || name == b".." || name.iter().any(|b| matches!(b, 0 | b'/')) {
            return Err(Error::Name(name.to_owned()));
        }
        let name_bytes = u8::try_from(name.len()).map_err(|_| Error::Name(name.to_owned()))?;
        let name_start = u32::try_from(self.names.len()).map_err(|_| Error::TooMany)?;
        if self.node(parent).ok_or(Error::UnknownInode)?.directory.is_none() {
            return Err(Error::NotADirectory);
        }
        self.node(child).ok_or(Error::UnknownInode)?;
        if let Some(directory) = self.directory_mut(child) {
            if directory.parent.is_some() {
                return Err(Error::DirectoryLinkedTwice);
            }
            directory.parent = Some(parent);
        }
        self.names.extend_from_slice(name);
        if let Some(directory) = self.directory_mut(parent) {
            directory.entries.push(Entry { name_start, name_bytes, child });
        }
        Ok(())
    }

    pub(crate) fn node(&self, id: InodeId) -> Option<&Node> {
        self.nodes.get(usize::try_from(id.0).ok()?)
    }

    pub(crate) fn name(&self, entry: &Entry) -> &[u8] {
        name_of(&self.names, entry)
    }

    /// Sorts every directory by name, as lookups in the image need it.
    pub(crate) fn sort(&mut self) -> Result<(), Error> {
        for directory in self.nodes.iter_mut().filter_map(|node| node.directory.as_mut()) {
            let names = &self.names;
            directory.entries.sort_unstable_by(|a, b| name_of(names, a).cmp(name_of(names, b)));
            for (first, second) in directory.entries.iter().zip(directory.entries.iter().skip(1)) {
                if name_of(names, first) == name_of(names, second) {
                    return Err(Error::DuplicateName(name_of(names, first).to_owned()));
                }
            }
        }
        Ok(())
    }

    fn directory_mut(&mut self, id: InodeId) -> Option<&mut Directory> {
        self.nodes.get_mut(usize::try_from(id.0).ok()?)?.directory.as_deref_mut()
    }
}

fn name_of<'a>(names: &'a [u8], entry: &Entry) -> &'a [u8] {
    usize::try_from(entry.name_start)
        .ok()
        .and_then(|start| names.get(start..start + usize::from(entry.name_bytes)))
        .unwrap_or_default()
}
