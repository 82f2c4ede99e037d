//! A layer's names and inodes, as they change the tree below.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::blob::Extent;

/// Index of an inode within its tree; 0 is the root directory.
pub(in crate::image) type InodeIndex = u32;

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::image) struct LayerTree {
    /// Number of blocks in the data file.
    pub(in crate::image) data_blocks: u32,
    /// Sum of the sizes of all regular files.
    pub(in crate::image) content_bytes: u64,
    /// Some may be without a name: replaced by a later entry of the same path.
    pub(in crate::image) inodes: Vec<Inode>,
}

/// A file of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::image) struct Inode {
    pub(in crate::image) metadata: Metadata,
    pub(in crate::image) kind: Kind,
}

/// Everything but the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::image) struct Metadata {
    /// With setuid, setgid and sticky.
    pub(in crate::image) permissions: u16,
    pub(in crate::image) uid: u32,
    pub(in crate::image) gid: u32,
    pub(in crate::image) mtime_seconds: i64,
    pub(in crate::image) mtime_nanoseconds: u32,
    pub(in crate::image) xattrs: Vec<(Name, Name)>,
}

impl Metadata {
    /// Of a directory that nothing describes: as containerd makes it, but of a fixed time.
    pub(in crate::image) fn implicit() -> Self {
        Self {
            permissions: 0o755,
            uid: 0,
            gid: 0,
            mtime_seconds: 0,
            mtime_nanoseconds: 0,
            xattrs: Vec::new(),
        }
    }
}

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::image) enum Kind {
    Directory(Box<Directory>),
    Regular {
        size_bytes: u64,
        extents: Vec<Extent>,
    },
    Symlink(Name),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
    /// A hard link to a file that this layer does not have: a path in the layers below.
    LowerLink(Name),
}

/// A directory's changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::image) struct Directory {
    /// Only a parent of something: a directory below keeps its metadata.
    pub(in crate::image) implicit: bool,
    /// Hides all that is below.
    pub(in crate::image) opaque: bool,
    /// Hide what is below of these names, before `children` are added.
    pub(in crate::image) whiteouts: BTreeSet<Name>,
    pub(in crate::image) children: BTreeMap<Name, InodeIndex>,
}

impl Directory {
    pub(in crate::image) fn implicit() -> Self {
        Self { implicit: true, ..Self::default() }
    }
}

/// Bytes that are a name, a target or a value; need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::image) struct Name(#[serde(with = "serde_bytes")] pub(in crate::image) Box<[u8]>);

impl From<&[u8]> for Name {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl std::borrow::Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl LayerTree {
    pub(in crate::image) const ROOT: InodeIndex = 0;

    /// A layer that changes nothing.
    pub(in crate::image) fn empty() -> Self {
        let root =
            Inode { metadata: Metadata::implicit(), kind: Kind::Directory(Box::new(Directory::implicit())) };
        Self { data_blocks: 0, content_bytes: 0, inodes: vec![root] }
    }

    pub(in crate::image) fn get(&self, index: InodeIndex) -> Option<&Inode> {
        self.inodes.get(usize::try_from(index).ok()?)
    }

    pub(in crate::image) fn get_mut(&mut self, index: InodeIndex) -> Option<&mut Inode> {
        self.inodes.get_mut(usize::try_from(index).ok()?)
    }

    pub(in crate::image) fn directory(&self, index: InodeIndex) -> Option<&Directory> {
        match &self.get(index)?.kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    pub(in crate::image) fn directory_mut(&mut self, index: InodeIndex) -> Option<&mut Directory> {
        match &mut self.get_mut(index)?.kind {
            Kind::Directory(directory) => Some(directory),
            _ => None,
        }
    }

    /// Adds an inode without a name; `None` when the numbers run out.
    pub(in crate::image) fn push(&mut self, inode: Inode) -> Option<InodeIndex> {
        let index = u32::try_from(self.inodes.len()).ok()?;
        self.inodes.push(inode);
        Some(index)
    }
}
