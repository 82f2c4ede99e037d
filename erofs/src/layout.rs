//! Where everything goes: one pass that gives each inode its place, before a byte is written.
//!
//! ```text
//! block 0                       xattr_block        directory_block         blocks
//! | 1 KiB | superblock | inodes ... | shared xattrs | directory blocks ... | (data, anywhere behind)
//! ```
//! The root comes first, for its number has 16 bits. The inodes of one directory's entries lie together, as `ls -l`
//! reads them. Tails of directories and symlinks lie behind their inode and must not cross a block.

use crate::chunk::FileLayout;
use crate::directory::{self, dirents};
use crate::error::Error;
use crate::format::{BLOCK_BYTES, DataLayout, INODE_BYTES, SLOT_BYTES, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET};
use crate::inode::Kind;
use crate::tree::{InodeId, Node, Tree};
use crate::xattr::SharedXattrs;

const BLOCK: u64 = BLOCK_BYTES as u64;
/// A longer tail gets a block of its own: with up to 31 bytes of alignment before it, this still fits one.
const MAX_TAIL_BYTES: u32 = BLOCK_BYTES - 32;

/// A planned image, ready to be written any number of times.
#[derive(Debug)]
pub struct Layout {
    pub(crate) tree: Tree,
    /// By inode id; what is not reachable from the root has offset 0.
    pub(crate) places: Vec<Place>,
    /// Reachable inodes as they lie in the image.
    pub(crate) order: Vec<InodeId>,
    pub(crate) shared: SharedXattrs,
    pub(crate) xattr_block: u32,
    pub(crate) directory_block: u32,
    blocks: u32,
    /// First block behind the last that a file uses, in the data area.
    pub(crate) data_end_block: u64,
    pub(crate) chunked: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// Byte offset of the inode.
    pub(crate) offset: u64,
    /// For directories and long symlinks: first of their blocks, counted from `directory_block`.
    pub(crate) block: u32,
    /// Names of a file; subdirectories plus two of a directory.
    pub(crate) links: u32,
}

/// What follows an inode and its attributes, and what lies elsewhere.
#[derive(Clone, Copy)]
pub(crate) struct Body {
    pub(crate) layout: DataLayout,
    pub(crate) size_bytes: u64,
    /// Directory blocks.
    pub(crate) blocks: u32,
    /// Bytes behind the inode.
    pub(crate) inline_bytes: u64,
}

impl Layout {
    /// Plans an image. Memory beside the tree: 20 bytes for each inode.
    ///
    /// # Errors
    /// A name twice in one directory, or an image beyond 16 TiB.
    pub fn plan(mut tree: Tree) -> Result<Self, Error> {
        tree.sort()?;
        let mut layout = Self {
            places: vec![Place::default(); tree.nodes.len()],
            tree,
            order: Vec::new(),
            shared: SharedXattrs::default(),
            xattr_block: 0,
            directory_block: 0,
            blocks: 0,
            data_end_block: 0,
            chunked: false,
        };
        layout.walk();
        layout.shared = SharedXattrs::find(
            layout.order.iter().filter_map(|id| layout.tree.node(*id)).flat_map(|node| &node.inode.xattrs),
        )?;
        layout.place()?;
        Ok(layout)
    }

    /// Size of the image in blocks of [`BLOCK_BYTES`].
    #[must_use]
    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Size of the image in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::from(self.blocks) * BLOCK
    }

    /// Puts every reachable inode into `order`, a directory's children together, and counts links.
    fn walk(&mut self) {
        let mut pending = vec![Tree::ROOT];
        self.order.push(Tree::ROOT);
        // Marks as seen; the real offsets come later.
        self.mark(Tree::ROOT, 2);
        while let Some(id) = pending.pop() {
            let first = pending.len();
            let entries = self.tree.node(id).and_then(|node| node.directory.as_ref());
            let children: Vec<InodeId> = entries
                .map(|directory| directory.entries.iter().map(|entry| entry.child).collect())
                .unwrap_or_default();
            for child in children {
                let is_directory = self.tree.node(child).is_some_and(|node| node.directory.is_some());
                if is_directory {
                    self.mark(id, 1);
                    self.mark(child, 2);
                    pending.push(child);
                    self.order.push(child);
                } else if self.mark(child, 1) {
                    self.order.push(child);
                }
            }
            // The first subdirectory is walked first.
            if let Some(new) = pending.get_mut(first..) {
                new.reverse();
            }
        }
    }

    /// Adds links; whether these were the first.
    fn mark(&mut self, id: InodeId, links: u32) -> bool {
        let Some(place) = self.place_mut(id) else { return false };
        let new = place.links == 0;
        place.links = place.links.saturating_add(links);
        new
    }

    fn place(&mut self) -> Result<(), Error> {
        let mut offset = (SUPERBLOCK_OFFSET + SUPERBLOCK_BYTES) as u64;
        let mut directory_blocks = 0_u32;
        for id in std::mem::take(&mut self.order) {
            let Some(node) = self.tree.node(id) else { continue };
            let (xattr_bytes, _) = self.shared.body_size(&node.inode.xattrs)?;
            let body = self.body(id, node);
            let head = INODE_BYTES + xattr_bytes;
            offset = offset.next_multiple_of(SLOT_BYTES);
            if body.layout == DataLayout::FlatInline {
                let (start, end) = (offset + head, offset + head + body.inline_bytes);
                if start / BLOCK != (end - 1) / BLOCK {
                    offset = (start.next_multiple_of(BLOCK) - head).next_multiple_of(SLOT_BYTES);
                }
            }
            if let Kind::Regular { size_bytes, extents } = &node.inode.kind {
                let end = extents
                    .iter()
                    .map(|extent| u64::from(extent.data_block) + u64::from(extent.blocks))
                    .max();
                self.data_end_block = self.data_end_block.max(end.unwrap_or(0));
                self.chunked |=
                    matches!(FileLayout::choose(*size_bytes, extents), FileLayout::Chunked { .. });
            }
            let place = Place { offset, block: directory_blocks, ..self.place_of(id) };
            if let Some(slot) = self.place_mut(id) {
                *slot = place;
            }
            directory_blocks = directory_blocks.checked_add(body.blocks).ok_or(Error::TooMany)?;
            offset += head + body.inline_bytes;
            self.order.push(id);
        }
        let blocks_of = |bytes: u64| bytes.div_ceil(BLOCK);
        let xattr_block = blocks_of(offset);
        let directory_block = xattr_block + blocks_of(self.shared.area().len() as u64);
        let blocks = directory_block + u64::from(directory_blocks);
        let too_large = |_| Error::ImageTooLarge {
            needed_bytes: blocks.saturating_mul(BLOCK),
            allowed_bytes: u64::from(u32::MAX) * BLOCK,
        };
        self.blocks = u32::try_from(blocks).map_err(too_large)?;
        self.xattr_block = u32::try_from(xattr_block).map_err(too_large)?;
        self.directory_block = u32::try_from(directory_block).map_err(too_large)?;
        Ok(())
    }

    /// What an inode's content takes in the image.
    pub(crate) fn body(&self, id: InodeId, node: &Node) -> Body {
        match &node.inode.kind {
            Kind::Directory => {
                let size = directory::size(dirents(&self.tree, id, node));
                let full = Body {
                    layout: DataLayout::FlatPlain,
                    size_bytes: u64::from(size.full_blocks) * BLOCK + u64::from(size.tail_bytes),
                    blocks: size.full_blocks + 1,
                    inline_bytes: 0,
                };
                inline_if_short(full, size.tail_bytes)
            }
            Kind::Symlink { target } => {
                let bytes = u32::try_from(target.len()).unwrap_or(BLOCK_BYTES);
                let full = Body {
                    layout: DataLayout::FlatPlain,
                    size_bytes: u64::from(bytes),
                    blocks: 1,
                    inline_bytes: 0,
                };
                inline_if_short(full, bytes)
            }
            Kind::Regular { size_bytes, extents } => {
                let (layout, inline_bytes) = match FileLayout::choose(*size_bytes, extents) {
                    FileLayout::Empty | FileLayout::Flat(_) => (DataLayout::FlatPlain, 0),
                    FileLayout::Chunked { chunks, .. } => (DataLayout::ChunkBased, u64::from(chunks) * 4),
                };
                Body { layout, size_bytes: *size_bytes, blocks: 0, inline_bytes }
            }
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo | Kind::Socket => {
                Body { layout: DataLayout::FlatPlain, size_bytes: 0, blocks: 0, inline_bytes: 0 }
            }
        }
    }

    pub(crate) fn place_of(&self, id: InodeId) -> Place {
        usize::try_from(id.0).ok().and_then(|index| self.places.get(index)).copied().unwrap_or_default()
    }

    fn place_mut(&mut self, id: InodeId) -> Option<&mut Place> {
        self.places.get_mut(usize::try_from(id.0).ok()?)
    }
}

/// Moves the last block behind the inode when it fits there.
fn inline_if_short(full: Body, tail_bytes: u32) -> Body {
    if tail_bytes > MAX_TAIL_BYTES {
        return full;
    }
    Body {
        layout: DataLayout::FlatInline,
        blocks: full.blocks - 1,
        inline_bytes: u64::from(tail_bytes),
        ..full
    }
}
