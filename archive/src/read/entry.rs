//! One member of an archive, with all extensions applied.

use super::sparse::Run;

/// A member; its contents are read with [`super::TarReader::copy_data`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As written: may be absolute, have `..`, or end with a slash.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits and whatever else was there.
    pub mode: u64,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Last change of the contents.
    pub mtime: Time,
    /// Of a regular file, with its holes.
    pub size_bytes: u64,
    /// Name and value. Of two that have the same name the later one counts.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Offset of the contents in the archive.
    pub data_offset: u64,
    /// Where a sparse file has data.
    pub(super) runs: Option<Vec<Run>>,
    /// Contents in the archive, without padding.
    pub(super) stored_bytes: u64,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file with contents.
    Regular,
    /// A directory.
    Directory,
    /// With its target.
    Symlink(Vec<u8>),
    /// Another name for an earlier member.
    HardLink(Vec<u8>),
    /// Major and minor number.
    CharDevice(u64, u64),
    /// Major and minor number.
    BlockDevice(u64, u64),
    /// A named pipe.
    Fifo,
}

/// Since 1970; nanoseconds always count forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds; before 1970 negative.
    pub seconds: i64,
    /// Less than a second's.
    pub nanoseconds: u32,
}

/// A part of a file's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes as they are.
    Bytes(&'a [u8]),
    /// So many zero bytes of a sparse file.
    Hole(u64),
}

impl Entry {
    /// Whether the contents lie in the archive as they are, from [`Entry::data_offset`].
    pub fn is_plain(&self) -> bool {
        self.kind == Kind::Regular && self.runs.is_none()
    }
}
