//! Layers, lowest first, into one tree, and that into an EROFS image over the layers' data.
//!
//! Whiteouts and opaque directories of a layer act on what is below it, before its own entries (OCI image-spec
//! layer.md, "Whiteouts"). A directory over a directory merges; everything else replaces. Hard links to files of lower
//! layers are resolved against the tree as it was below the layer.
//!
//! Nothing recurses, so depth is not limited. Trust: trees are checked for damage when they are read, but indices in
//! them are looked up, never trusted.

mod build;

use std::collections::VecDeque;

use holm_erofs as erofs;

use super::layer::LayerError;
use super::layer::tree::{Directory, Inode, InodeIndex, Kind, LayerTree, Metadata, Name};

/// Linux's limit for one path.
const MAX_SYMLINKS: u32 = 40;

/// The merged tree so far.
pub(super) struct Merged {
    nodes: Vec<Node>,
    /// Blocks in the data file of each layer that was applied.
    data_blocks: Vec<u32>,
}

struct Node {
    inode: Inode,
    /// Position of the layer that an inode's data are in.
    layer: usize,
}

/// A merged tree, planned, and the layers that have data in it.
pub(super) struct Planned {
    pub(super) layout: erofs::Layout,
    /// Positions of layers whose data follow the metadata on the disk, in this order.
    pub(super) layers: Vec<usize>,
}

/// Why layers do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A hard link of a layer leads nowhere in the layers below.
    #[error("layer {layer}: {path:?} is a hard link to something that is not there")]
    HardLink {
        /// Position of the layer, from 0.
        layer: usize,
        /// The link's name.
        path: String,
    },
    /// More inodes than 32-bit numbers count.
    #[error("the image has too many files")]
    TooMany,
    /// The format cannot hold the tree.
    #[error("the image's file system cannot be made")]
    Erofs(#[from] erofs::Error),
    /// The stored tree is not consistent.
    #[error(transparent)]
    Layer(#[from] LayerError),
}

const DAMAGED: MergeError = MergeError::Layer(LayerError::Damaged("its tree is inconsistent"));

impl Merged {
    /// An empty root directory.
    pub(super) fn new() -> Self {
        let inode = Inode { metadata: Metadata::implicit(), kind: Kind::Directory(Box::default()) };
        Self { nodes: vec![Node { inode, layer: 0 }], data_blocks: Vec::new() }
    }

    /// Puts one more layer on top.
    pub(super) fn apply(&mut self, layer: LayerTree) -> Result<(), MergeError> {
        let position = self.data_blocks.len();
        self.data_blocks.push(layer.data_blocks);
        // Where each inode of the layer went.
        let mut moved: Vec<Option<InodeIndex>> = vec![None; layer.inodes.len()];
        for (slot, inode) in moved.iter_mut().zip(&layer.inodes) {
            if let Kind::LowerLink(target) = &inode.kind {
                // One that lost its name to a later entry of the layer may lead nowhere.
                *slot = self.find(&target.0);
            }
        }
        let mut inodes: Vec<Option<Inode>> = layer.inodes.into_iter().map(Some).collect();
        let mut pending = vec![(LayerTree::ROOT, LayerTree::ROOT)];
        while let Some((target, source)) = pending.pop() {
            let Some(Inode { metadata, kind: Kind::Directory(changes) }) = take(&mut inodes, source) else {
                return Err(DAMAGED);
            };
            let existing = self.directory_mut(target, (!changes.implicit).then_some(metadata))?;
            if changes.opaque {
                existing.children.clear();
            }
            for hidden in &changes.whiteouts {
                existing.children.remove(hidden);
            }
            for (name, child) in changes.children {
                let below = self.directory_mut(target, None)?.children.get(&name).copied();
                let is_directory = inodes
                    .get(index(child))
                    .is_some_and(|inode| matches!(inode, Some(Inode { kind: Kind::Directory(_), .. })));
                let node = if is_directory {
                    let node = match below.filter(|below| self.is_directory(*below)) {
                        Some(below) => below,
                        None => self.push(
                            Inode { metadata: Metadata::implicit(), kind: Kind::Directory(Box::default()) },
                            position,
                        )?,
                    };
                    pending.push((node, child));
                    node
                } else {
                    self.move_file(&mut inodes, &mut moved, child, &name, position)?
                };
                self.directory_mut(target, None)?.children.insert(name, node);
            }
        }
        Ok(())
    }

    /// Moves a file from the layer, once for all its names.
    fn move_file(
        &mut self,
        inodes: &mut [Option<Inode>],
        moved: &mut [Option<InodeIndex>],
        child: InodeIndex,
        name: &Name,
        position: usize,
    ) -> Result<InodeIndex, MergeError> {
        let slot = moved.get_mut(index(child)).ok_or(DAMAGED)?;
        if let Some(node) = slot {
            return Ok(*node);
        }
        let inode = take(inodes, child).ok_or(DAMAGED)?;
        if matches!(inode.kind, Kind::LowerLink(_)) {
            let path = String::from_utf8_lossy(&name.0).into_owned();
            return Err(MergeError::HardLink { layer: position, path });
        }
        let node = self.push(inode, position)?;
        *slot = Some(node);
        Ok(node)
    }

    /// A file by its path, following symlinks in its parents only.
    fn find(&self, path: &[u8]) -> Option<InodeIndex> {
        let mut pending: VecDeque<Vec<u8>> = path.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
        let mut trail = vec![LayerTree::ROOT];
        let mut symlinks = 0;
        while let Some(part) = pending.pop_front() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    trail.truncate((trail.len() - 1).max(1));
                    continue;
                }
                _ => {}
            }
            let Kind::Directory(directory) = &self.node(*trail.last()?)?.inode.kind else { return None };
            let child = *directory.children.get(part.as_slice())?;
            let is_last = pending.iter().all(|part| part.is_empty() || part == b".");
            match &self.node(child)?.inode.kind {
                Kind::Directory(_) if !is_last => trail.push(child),
                Kind::Symlink(target) if !is_last => {
                    symlinks += 1;
                    if symlinks > MAX_SYMLINKS {
                        return None;
                    }
                    if target.0.starts_with(b"/") {
                        trail.truncate(1);
                    }
                    for part in target.0.rsplit(|byte| *byte == b'/') {
                        pending.push_front(part.to_vec());
                    }
                }
                Kind::Directory(_) => return None,
                _ if is_last => return Some(child),
                _ => return None,
            }
        }
        None
    }

    fn node(&self, node: InodeIndex) -> Option<&Node> {
        self.nodes.get(index(node))
    }

    fn is_directory(&self, node: InodeIndex) -> bool {
        self.node(node).is_some_and(|node| matches!(node.inode.kind, Kind::Directory(_)))
    }

    /// A directory, with other metadata if given.
    fn directory_mut(
        &mut self,
        node: InodeIndex,
        metadata: Option<Metadata>,
    ) -> Result<&mut Directory, MergeError> {
        let inode = &mut self.nodes.get_mut(index(node)).ok_or(DAMAGED)?.inode;
        if let Some(metadata) = metadata {
            inode.metadata = metadata;
        }
        match &mut inode.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(DAMAGED),
        }
    }

    fn push(&mut self, inode: Inode, layer: usize) -> Result<InodeIndex, MergeError> {
        let index = u32::try_from(self.nodes.len()).map_err(|_| MergeError::TooMany)?;
        self.nodes.push(Node { inode, layer });
        Ok(index)
    }
}

fn index(node: InodeIndex) -> usize {
    usize::try_from(node).unwrap_or(usize::MAX)
}

fn take(inodes: &mut [Option<Inode>], inode: InodeIndex) -> Option<Inode> {
    inodes.get_mut(index(inode))?.take()
}
