//! On-disk structures, little-endian, as in Linux 6.12 `fs/erofs/erofs_fs.h`.

use crate::inode::{Kind, Metadata};

/// Size of a block in bytes.
pub const BLOCK_BYTES: u32 = 4096;
pub(crate) const BLOCK_BITS: u8 = 12;
/// The block address of a hole.
pub(crate) const NULL_BLOCK: u32 = u32::MAX;

pub(crate) const SUPERBLOCK_OFFSET: usize = 1024;
pub(crate) const SUPERBLOCK_BYTES: usize = 128;
/// Offset of the checksum within the image.
pub(crate) const CHECKSUM_OFFSET: usize = SUPERBLOCK_OFFSET + 4;
const MAGIC: u32 = 0xe0f5_e1e2;
const COMPAT_SB_CHKSUM: u32 = 1;
const COMPAT_MTIME: u32 = 2;
const INCOMPAT_CHUNKED_FILE: u32 = 4;

/// Inodes are addressed in units of this: a `nid` is a byte offset divided by it.
pub(crate) const SLOT_BYTES: u64 = 32;
pub(crate) const INODE_BYTES: u64 = 64;
/// Bit 0 of `i_format`: 64-byte inode.
const FORMAT_EXTENDED: u16 = 1;

pub(crate) const DIRENT_BYTES: usize = 12;

/// How an inode's data are found: `i_format`, bits 1 to 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataLayout {
    /// All blocks at one address.
    FlatPlain = 0,
    /// All but the last at one address, the last behind the inode.
    FlatInline = 2,
    /// An array of chunk addresses behind the inode.
    ChunkBased = 4,
}

/// What of the superblock is not constant.
pub(crate) struct Superblock {
    pub(crate) root_nid: u16,
    pub(crate) inodes: u64,
    pub(crate) blocks: u32,
    pub(crate) xattr_block: u32,
    pub(crate) uuid: [u8; 16],
    pub(crate) chunked: bool,
}

impl Superblock {
    /// Without the checksum, which covers the rest of the block as well.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SUPERBLOCK_BYTES);
        out.extend(MAGIC.to_le_bytes());
        out.extend([0; 4]); // checksum
        out.extend((COMPAT_SB_CHKSUM | COMPAT_MTIME).to_le_bytes());
        out.extend([BLOCK_BITS, 0]); // block size, no extension slots
        out.extend(self.root_nid.to_le_bytes());
        out.extend(self.inodes.to_le_bytes());
        out.extend([0; 12]); // build time: for compact inodes only
        out.extend(self.blocks.to_le_bytes());
        out.extend(0_u32.to_le_bytes()); // inodes are addressed from the image's first byte
        out.extend(self.xattr_block.to_le_bytes());
        out.extend(self.uuid);
        out.extend([0; 16]); // volume name
        out.extend(if self.chunked { INCOMPAT_CHUNKED_FILE } else { 0 }.to_le_bytes());
        out.resize(SUPERBLOCK_BYTES, 0);
        out
    }
}

/// An extended inode. `address` is a block address, a device number or a chunk format.
pub(crate) struct RawInode<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) metadata: &'a Metadata,
    pub(crate) layout: DataLayout,
    pub(crate) xattr_units: u16,
    pub(crate) size_bytes: u64,
    pub(crate) address: u32,
    pub(crate) number: u32,
    pub(crate) links: u32,
}

impl RawInode<'_> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend((FORMAT_EXTENDED | ((self.layout as u16) << 1)).to_le_bytes());
        out.extend(self.xattr_units.to_le_bytes());
        out.extend((type_bits(self.kind) | self.metadata.permissions).to_le_bytes());
        out.extend([0; 2]);
        out.extend(self.size_bytes.to_le_bytes());
        out.extend(self.address.to_le_bytes());
        out.extend(self.number.to_le_bytes());
        out.extend(self.metadata.uid.to_le_bytes());
        out.extend(self.metadata.gid.to_le_bytes());
        out.extend(self.metadata.mtime_seconds.to_le_bytes());
        out.extend(self.metadata.mtime_nanoseconds.to_le_bytes());
        out.extend(self.links.to_le_bytes());
        out.extend([0; 16]);
        out
    }
}

/// The file type within `st_mode`.
fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Fifo => 0o010_000,
        Kind::CharDevice { .. } => 0o020_000,
        Kind::Directory => 0o040_000,
        Kind::BlockDevice { .. } => 0o060_000,
        Kind::Regular { .. } => 0o100_000,
        Kind::Symlink { .. } => 0o120_000,
        Kind::Socket => 0o140_000,
    }
}

/// The file type within a directory entry.
pub(crate) fn dirent_type(kind: &Kind) -> u8 {
    match kind {
        Kind::Regular { .. } => 1,
        Kind::Directory => 2,
        Kind::CharDevice { .. } => 3,
        Kind::BlockDevice { .. } => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink { .. } => 7,
    }
}

/// A device number as Linux's `new_encode_dev` packs it.
pub(crate) fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12)
}
