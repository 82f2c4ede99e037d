//! Directory blocks: entries of fixed size, then their names, in the order of the names' bytes.
//!
//! All blocks but the last are 4 KiB and padded with zeroes; the last ends with its last name and lies behind the
//! inode if it fits there.

use crate::format::{BLOCK_BYTES, DIRENT_BYTES, dirent_type};
use crate::inode::Kind;
use crate::tree::{InodeId, Node, Tree};

/// One entry to be written.
#[derive(Clone, Copy)]
pub(crate) struct Dirent<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) child: InodeId,
}

/// How much a directory takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DirectorySize {
    /// Full blocks before the last.
    pub(crate) full_blocks: u32,
    /// Bytes of the last block, 1 to 4096.
    pub(crate) tail_bytes: u32,
}

/// A directory's entries with `.` and `..`, in order; the tree is sorted already.
pub(crate) fn dirents<'a>(tree: &'a Tree, id: InodeId, node: &'a Node) -> impl Iterator<Item = Dirent<'a>> {
    let directory = node.directory.as_deref();
    let parent = directory.and_then(|directory| directory.parent).unwrap_or(id);
    let dots =
        [Dirent { name: b".".as_slice(), child: id }, Dirent { name: b"..".as_slice(), child: parent }];
    let mut dots = dots.into_iter().peekable();
    let mut named = directory
        .map(|directory| directory.entries.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|entry| Dirent { name: tree.name(entry), child: entry.child })
        .peekable();
    std::iter::from_fn(move || match (dots.peek(), named.peek()) {
        (Some(dot), Some(entry)) if entry.name < dot.name => named.next(),
        (Some(_), _) => dots.next(),
        (None, _) => named.next(),
    })
}

/// Groups entries into blocks.
pub(crate) fn blocks<'a>(entries: impl Iterator<Item = Dirent<'a>>) -> impl Iterator<Item = Vec<Dirent<'a>>> {
    let mut entries = entries.peekable();
    std::iter::from_fn(move || {
        let mut block = Vec::new();
        let mut room = BLOCK_BYTES as usize;
        while let Some(entry) = entries.next_if(|entry| DIRENT_BYTES + entry.name.len() <= room) {
            room -= DIRENT_BYTES + entry.name.len();
            block.push(entry);
        }
        (!block.is_empty()).then_some(block)
    })
}

/// Bytes of a block without padding.
fn block_bytes(block: &[Dirent<'_>]) -> u32 {
    let bytes: usize = block.iter().map(|entry| DIRENT_BYTES + entry.name.len()).sum();
    u32::try_from(bytes).unwrap_or(BLOCK_BYTES)
}

/// How much these entries take.
pub(crate) fn size<'a>(entries: impl Iterator<Item = Dirent<'a>>) -> DirectorySize {
    blocks(entries).fold(DirectorySize::default(), |size, block| DirectorySize {
        full_blocks: size.full_blocks + u32::from(size.tail_bytes != 0),
        tail_bytes: block_bytes(&block),
    })
}

/// One block's bytes, without padding. `nid_and_kind` looks an inode up.
pub(crate) fn encode<'k>(
    block: &[Dirent<'_>],
    nid_and_kind: impl Fn(InodeId) -> Option<(u64, &'k Kind)>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(BLOCK_BYTES as usize);
    let mut name_offset = block.len() * DIRENT_BYTES;
    for entry in block {
        let (nid, file_type) =
            nid_and_kind(entry.child).map_or((0, 0), |(nid, kind)| (nid, dirent_type(kind)));
        out.extend(nid.to_le_bytes());
        out.extend(u16::try_from(name_offset).unwrap_or(u16::MAX).to_le_bytes());
        out.extend([file_type, 0]);
        name_offset += entry.name.len();
    }
    for entry in block {
        out.extend_from_slice(entry.name);
    }
    out
}
