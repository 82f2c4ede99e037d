//! How a regular file's extents become a flat address or an array of chunks.
//!
//! A chunked file has one address per chunk of `4 KiB << bits`; a hole's is [`NULL_BLOCK`]. The largest chunk that
//! suits all of a file's borders is taken, for the array's length is what a sparse file costs.

use crate::format::NULL_BLOCK;
use crate::inode::{Extent, file_blocks};

/// Chunks of at most 1 GiB.
const MAX_CHUNK_BITS: u32 = 18;

/// How a regular file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileLayout {
    /// No data at all.
    Empty,
    /// All blocks from this one of the data area.
    Flat(u32),
    /// An address for each chunk of `1 << bits` blocks.
    Chunked { bits: u32, chunks: u32 },
}

impl FileLayout {
    pub(crate) fn choose(size_bytes: u64, extents: &[Extent]) -> Self {
        let blocks = file_blocks(size_bytes).unwrap_or(0);
        if blocks == 0 {
            return Self::Empty;
        }
        let mut runs = merged(extents);
        if let (Some(run), None) = (runs.next(), runs.next())
            && run.file_block == 0
            && run.blocks == blocks
        {
            return Self::Flat(run.data_block);
        }
        // The smallest power of two that covers the file serves when no border asks for less.
        let whole = 32 - (blocks - 1).leading_zeros();
        let bits = merged(extents)
            .flat_map(|run| [run.file_block, run.file_block.saturating_add(run.blocks)])
            .filter(|border| *border != 0 && *border < blocks)
            .map(u32::trailing_zeros)
            .fold(whole.min(MAX_CHUNK_BITS), u32::min);
        Self::Chunked { bits, chunks: blocks.div_ceil(1 << bits) }
    }
}

/// Addresses of the chunks, relative to the data area.
pub(crate) fn addresses(extents: &[Extent], bits: u32, chunks: u32) -> impl Iterator<Item = u32> {
    let mut rest = extents.iter().copied().peekable();
    (0..chunks).map(move |chunk| {
        let block = chunk << bits;
        while rest.next_if(|extent| extent.file_block + extent.blocks <= block).is_some() {}
        match rest.peek() {
            Some(extent) if extent.file_block <= block => extent.data_block + (block - extent.file_block),
            _ => NULL_BLOCK,
        }
    })
}

/// Extents that continue each other as one.
fn merged(extents: &[Extent]) -> impl Iterator<Item = Extent> {
    let mut rest = extents.iter().copied().peekable();
    std::iter::from_fn(move || {
        let mut run = rest.next()?;
        while let Some(next) = rest.next_if(|next| {
            Some(next.file_block) == run.file_block.checked_add(run.blocks)
                && Some(next.data_block) == run.data_block.checked_add(run.blocks)
        }) {
            run.blocks = run.blocks.saturating_add(next.blocks);
        }
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(file_block: u32, data_block: u32, blocks: u32) -> Extent {
        Extent { file_block, data_block, blocks }
    }

    #[test]
    fn contiguous_files_are_flat() {
        assert_eq!(FileLayout::choose(0, &[]), FileLayout::Empty);
        assert_eq!(FileLayout::choose(1, &[extent(0, 7, 1)]), FileLayout::Flat(7));
        assert_eq!(FileLayout::choose(12_288, &[extent(0, 7, 1), extent(1, 8, 2)]), FileLayout::Flat(7));
    }

    #[test]
    fn holes_make_chunks_as_large_as_the_borders_allow() {
        assert_eq!(FileLayout::choose(1, &[]), FileLayout::Chunked { bits: 0, chunks: 1 });
        assert_eq!(
            FileLayout::choose(8 << 30, &[extent(16, 0, 16)]),
            FileLayout::Chunked { bits: 4, chunks: 1 << 17 }
        );
        assert_eq!(FileLayout::choose(1 << 43, &[]), FileLayout::Chunked { bits: 18, chunks: 1 << 13 });
        assert_eq!(
            FileLayout::choose(8192, &[extent(0, 9, 1), extent(1, 3, 1)]),
            FileLayout::Chunked { bits: 0, chunks: 2 }
        );
    }

    #[test]
    fn addresses_follow_the_extents() {
        let extents = [extent(0, 100, 2), extent(4, 50, 4), extent(8, 54, 2)];
        let hole = NULL_BLOCK;
        assert_eq!(addresses(&extents, 1, 6).collect::<Vec<_>>(), [100, hole, 50, 52, 54, hole]);
    }
}
