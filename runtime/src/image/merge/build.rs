//! The merged tree as the EROFS writer wants it, with addresses on the assembled disk.

use holm_erofs as erofs;

use super::{DAMAGED, MergeError, Merged, Node, Planned, index};
use crate::image::layer::blob::Extent;
use crate::image::layer::tree::{Inode, InodeIndex, Kind, LayerTree, Metadata};

impl Merged {
    /// Plans the image. Layers whose files were all replaced or hidden stay off the disk.
    pub(in crate::image) fn plan(mut self) -> Result<Planned, MergeError> {
        let reachable = self.reachable();
        let mut used = vec![false; self.data_blocks.len()];
        for node in reachable.iter().filter_map(|index| self.node(*index)) {
            if let Kind::Regular { extents, .. } = &node.inode.kind
                && !extents.is_empty()
                && let Some(used) = used.get_mut(node.layer)
            {
                *used = true;
            }
        }
        let layers: Vec<usize> = (0..used.len()).filter(|layer| used.get(*layer) == Some(&true)).collect();
        let mut starts = vec![0; used.len()];
        let mut next_block = 0_u32;
        for layer in &layers {
            if let (Some(start), Some(blocks)) = (starts.get_mut(*layer), self.data_blocks.get(*layer)) {
                *start = next_block;
                next_block = next_block.checked_add(*blocks).ok_or(MergeError::TooMany)?;
            }
        }
        Ok(Planned { layout: erofs::Layout::plan(self.build(&reachable, &starts)?)?, layers })
    }

    /// Every node with a name, parents before their children.
    fn reachable(&self) -> Vec<InodeIndex> {
        let mut seen = vec![false; self.nodes.len()];
        let mut order = vec![LayerTree::ROOT];
        let mut next = 0;
        while let Some(current) = order.get(next).copied() {
            next += 1;
            let Some(Node { inode: Inode { kind: Kind::Directory(directory), .. }, .. }) = self.node(current)
            else {
                continue;
            };
            for child in directory.children.values() {
                if let Some(seen) = seen.get_mut(index(*child))
                    && !std::mem::replace(seen, true)
                {
                    order.push(*child);
                }
            }
        }
        order
    }

    /// Turns the tree into the EROFS writer's, node by node, so that there are never two of the whole.
    fn build(&mut self, reachable: &[InodeIndex], starts: &[u32]) -> Result<erofs::Tree, MergeError> {
        let mut ids: Vec<Option<erofs::InodeId>> = vec![None; self.nodes.len()];
        let mut tree = None;
        let mut directories = Vec::new();
        for current in reachable {
            let node = self.nodes.get_mut(index(*current)).ok_or(DAMAGED)?;
            let start = starts.get(node.layer).copied().unwrap_or(0);
            let metadata = std::mem::replace(&mut node.inode.metadata, Metadata::implicit());
            let (metadata, xattrs) = split(metadata);
            let kind = std::mem::replace(&mut node.inode.kind, Kind::Fifo);
            let kind = match kind {
                Kind::Directory(directory) => {
                    directories.push((*current, directory));
                    erofs::Kind::Directory
                }
                Kind::Regular { size_bytes, extents } => erofs::Kind::Regular {
                    size_bytes,
                    extents: extents
                        .iter()
                        .map(|extent| placed(extent, start))
                        .collect::<Option<_>>()
                        .ok_or(DAMAGED)?,
                },
                Kind::Symlink(target) => erofs::Kind::Symlink { target: target.0 },
                Kind::CharDevice(major, minor) => erofs::Kind::CharDevice { major, minor },
                Kind::BlockDevice(major, minor) => erofs::Kind::BlockDevice { major, minor },
                Kind::Fifo => erofs::Kind::Fifo,
                Kind::LowerLink(_) => return Err(DAMAGED),
            };
            let id = match &mut tree {
                // The root comes first.
                None => {
                    tree = Some(erofs::Tree::new(metadata, xattrs)?);
                    erofs::Tree::ROOT
                }
                Some(tree) => tree.add(erofs::Inode { metadata, xattrs: xattrs.into(), kind })?,
            };
            *ids.get_mut(index(*current)).ok_or(DAMAGED)? = Some(id);
        }
        let mut tree = tree.ok_or(DAMAGED)?;
        let id_of = |node: InodeIndex| ids.get(index(node)).copied().flatten().ok_or(DAMAGED);
        for (parent, directory) in directories {
            for (name, child) in directory.children {
                tree.link(id_of(parent)?, &name.0, id_of(child)?)?;
            }
        }
        Ok(tree)
    }
}

fn placed(extent: &Extent, start: u32) -> Option<erofs::Extent> {
    Some(erofs::Extent {
        file_block: extent.file_block,
        data_block: extent.data_block.checked_add(start)?,
        blocks: extent.blocks,
    })
}

fn split(metadata: Metadata) -> (erofs::Metadata, Vec<erofs::Xattr>) {
    let xattrs =
        metadata.xattrs.into_iter().map(|(name, value)| erofs::Xattr { name: name.0, value: value.0 });
    let rest = erofs::Metadata {
        permissions: metadata.permissions,
        uid: metadata.uid,
        gid: metadata.gid,
        mtime_seconds: metadata.mtime_seconds,
        mtime_nanoseconds: metadata.mtime_nanoseconds,
    };
    (rest, xattrs.collect())
}
