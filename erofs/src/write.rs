//! Writing a planned image, front to back, to anything that takes bytes.

use std::io::{self, Write};

use crate::chunk::{self, FileLayout};
use crate::crc32c::crc32c;
use crate::directory::{self, dirents};
use crate::error::Error;
use crate::format::{
    BLOCK_BYTES, CHECKSUM_OFFSET, DataLayout, NULL_BLOCK, RawInode, SLOT_BYTES, SUPERBLOCK_OFFSET,
    Superblock, encode_device,
};
use crate::inode::Kind;
use crate::layout::{Layout, Place};
use crate::tree::{InodeId, Node, Tree};

const BLOCK: usize = BLOCK_BYTES as usize;

/// Where an image is put, and which one it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The disk's block at which the data area begins: extents count from there. With 0 they are absolute.
    pub data_start_block: u32,
    /// Reported by `blkid`; derive it from the content, or leave it zero.
    pub uuid: [u8; 16],
}

impl Layout {
    /// Writes the image: exactly [`Layout::bytes`], in one pass, in pieces of any size (give it a buffered writer).
    ///
    /// # Errors
    /// Data beyond 32-bit block addresses, or the output fails.
    pub fn write(&self, out: &mut dyn Write, placement: Placement) -> Result<(), Error> {
        let data_end = u64::from(placement.data_start_block) + self.data_end_block;
        if data_end >= u64::from(NULL_BLOCK) {
            return Err(Error::DataTooFar(data_end));
        }
        let blocks = u64::from(self.blocks()).max(if self.data_end_block == 0 { 0 } else { data_end });
        let superblock = Superblock {
            root_nid: u16::try_from(self.nid(Tree::ROOT)).map_err(|_| Error::TooMany)?,
            inodes: self.order.len() as u64,
            blocks: u32::try_from(blocks).map_err(|_| Error::DataTooFar(blocks))?,
            xattr_block: self.xattr_block,
            uuid: placement.uuid,
            chunked: self.chunked,
        };
        let mut out = Output { inner: out, first: Some(Vec::with_capacity(BLOCK)), written: 0 };
        out.pad_to(SUPERBLOCK_OFFSET as u64)?;
        out.put(&superblock.encode())?;
        for (number, id) in (1_u32..).zip(&self.order) {
            if let Some(node) = self.tree.node(*id) {
                self.write_inode(&mut out, *id, node, number, placement.data_start_block)?;
            }
        }
        out.pad_to_block(self.xattr_block)?;
        out.put(self.shared.area())?;
        out.pad_to_block(self.directory_block)?;
        for id in &self.order {
            if let Some(node) = self.tree.node(*id) {
                self.write_blocks(&mut out, *id, node)?;
            }
        }
        out.pad_to_block(self.blocks())?;
        Ok(())
    }

    fn write_inode(
        &self,
        out: &mut Output<'_>,
        id: InodeId,
        node: &Node,
        number: u32,
        data_start: u32,
    ) -> Result<(), Error> {
        let inode = &node.inode;
        let place = self.place_of(id);
        let body = self.body(id, node);
        out.pad_to(place.offset)?;
        let (_, xattr_units) = self.shared.body_size(&inode.xattrs)?;
        let raw = RawInode {
            kind: &inode.kind,
            metadata: &inode.metadata,
            layout: body.layout,
            xattr_units,
            size_bytes: body.size_bytes,
            address: self.address(&inode.kind, place, data_start),
            number,
            links: place.links,
        };
        out.put(&raw.encode())?;
        out.put(&self.shared.encode_body(&inode.xattrs))?;
        match &inode.kind {
            Kind::Directory if body.layout == DataLayout::FlatInline => {
                if let Some(last) = directory::blocks(dirents(&self.tree, id, node)).last() {
                    out.put(&self.directory_block_bytes(&last))?;
                }
            }
            Kind::Symlink { target } if body.layout == DataLayout::FlatInline => out.put(target)?,
            Kind::Regular { size_bytes, extents } => {
                if let FileLayout::Chunked { bits, chunks } = FileLayout::choose(*size_bytes, extents) {
                    for block in chunk::addresses(extents, bits, chunks) {
                        let block = if block == NULL_BLOCK { block } else { block + data_start };
                        out.put(&block.to_le_bytes())?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `i_u`: what it means depends on the kind.
    fn address(&self, kind: &Kind, place: Place, data_start: u32) -> u32 {
        match kind {
            Kind::Directory | Kind::Symlink { .. } => self.directory_block + place.block,
            Kind::Regular { size_bytes, extents } => match FileLayout::choose(*size_bytes, extents) {
                FileLayout::Empty => 0,
                FileLayout::Flat(block) => block + data_start,
                FileLayout::Chunked { bits, .. } => bits,
            },
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                encode_device(*major, *minor)
            }
            Kind::Fifo | Kind::Socket => 0,
        }
    }

    /// What of a directory or symlink does not lie behind its inode.
    fn write_blocks(&self, out: &mut Output<'_>, id: InodeId, node: &Node) -> Result<(), Error> {
        let body = self.body(id, node);
        if body.blocks == 0 {
            return Ok(());
        }
        let first = self.directory_block + self.place_of(id).block;
        match &node.inode.kind {
            Kind::Symlink { target } => {
                out.pad_to_block(first)?;
                out.put(target)?;
            }
            _ => {
                let blocks = directory::blocks(dirents(&self.tree, id, node));
                for (block, entries) in (first..first + body.blocks).zip(blocks) {
                    out.pad_to_block(block)?;
                    out.put(&self.directory_block_bytes(&entries))?;
                }
            }
        }
        Ok(())
    }

    fn directory_block_bytes(&self, entries: &[directory::Dirent<'_>]) -> Vec<u8> {
        directory::encode(entries, |child| {
            self.tree.node(child).map(|node| (self.nid(child), &node.inode.kind))
        })
    }

    fn nid(&self, id: InodeId) -> u64 {
        self.place_of(id).offset / SLOT_BYTES
    }
}

/// Counts bytes, and keeps the first block back until its checksum can be filled in.
struct Output<'a> {
    inner: &'a mut dyn Write,
    first: Option<Vec<u8>>,
    written: u64,
}

impl Output<'_> {
    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        if let Some(mut first) = self.first.take() {
            let (head, rest) = bytes.split_at(bytes.len().min(BLOCK - first.len()));
            first.extend_from_slice(head);
            bytes = rest;
            if first.len() < BLOCK {
                self.first = Some(first);
                return Ok(());
            }
            let checksum = crc32c(first.get(SUPERBLOCK_OFFSET..).unwrap_or_default());
            if let Some(field) = first.get_mut(CHECKSUM_OFFSET..CHECKSUM_OFFSET + 4) {
                field.copy_from_slice(&checksum.to_le_bytes());
            }
            self.inner.write_all(&first)?;
        }
        self.inner.write_all(bytes)
    }

    fn pad_to(&mut self, offset: u64) -> io::Result<()> {
        const ZEROES: [u8; BLOCK] = [0; BLOCK];
        while self.written < offset {
            let gap = usize::try_from(offset - self.written).unwrap_or(BLOCK).min(BLOCK);
            self.put(ZEROES.get(..gap).unwrap_or(&ZEROES))?;
        }
        Ok(())
    }

    fn pad_to_block(&mut self, block: u32) -> io::Result<()> {
        self.pad_to(u64::from(block) * u64::from(BLOCK_BYTES))
    }
}
