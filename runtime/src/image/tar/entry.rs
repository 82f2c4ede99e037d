//! One member of an archive, with all extensions applied.

use super::sparse::Run;

/// A member; its contents are read with [`super::TarReader::copy_data`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::image) struct Entry {
    /// As written: may be absolute, have `..`, or end with a slash.
    pub(in crate::image) path: Vec<u8>,
    pub(in crate::image) kind: Kind,
    /// Permission bits and whatever else was there.
    pub(in crate::image) mode: u64,
    pub(in crate::image) uid: u64,
    pub(in crate::image) gid: u64,
    pub(in crate::image) mtime: Time,
    /// Of a regular file, with its holes.
    pub(in crate::image) size_bytes: u64,
    /// Name and value.
    pub(in crate::image) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Offset of the contents in the archive.
    pub(in crate::image) data_offset: u64,
    /// Where a sparse file has data.
    pub(super) runs: Option<Vec<Run>>,
    /// Contents in the archive, without padding.
    pub(super) stored_bytes: u64,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::image) enum Kind {
    Regular,
    Directory,
    Symlink(Vec<u8>),
    /// Another name for an earlier member.
    HardLink(Vec<u8>),
    CharDevice(u64, u64),
    BlockDevice(u64, u64),
    Fifo,
}

/// Since 1970; nanoseconds always count forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::image) struct Time {
    pub(in crate::image) seconds: i64,
    pub(in crate::image) nanoseconds: u32,
}

/// A part of a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::image) enum Piece<'a> {
    Bytes(&'a [u8]),
    /// So many zero bytes of a sparse file.
    Hole(u64),
}

impl Entry {
    /// Whether the contents lie in the archive as they are, from [`Entry::data_offset`].
    pub(in crate::image) fn is_plain(&self) -> bool {
        self.kind == Kind::Regular && self.runs.is_none()
    }
}
