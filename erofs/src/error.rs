//! What the format cannot hold.

use std::io;

/// Why a tree is refused or not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that no directory can have.
    #[error("{:?} is not a file name: must be 1 to 255 bytes without / and NUL, and not . or ..", lossy(.0))]
    Name(Vec<u8>),
    /// Two entries of one name in a directory.
    #[error("the name {:?} is given twice in one directory", lossy(.0))]
    DuplicateName(Vec<u8>),
    /// Something was linked into an inode that is not a directory.
    #[error("entries can only be linked into a directory")]
    NotADirectory,
    /// A directory was linked twice, or the root was linked.
    #[error("a directory has exactly one parent, and the root has none")]
    DirectoryLinkedTwice,
    /// An id of another tree.
    #[error("no such inode in this tree")]
    UnknownInode,
    /// Permission bits beyond 07777.
    #[error("permissions {0:o} are more than 07777")]
    Permissions(u16),
    /// Nanoseconds of a second or more.
    #[error("{0} nanoseconds are a second or more")]
    Nanoseconds(u32),
    /// A symlink's target is empty, too long or contains NUL.
    #[error("a symlink's target must be 1 to 4095 bytes without NUL; this has {0}")]
    SymlinkTarget(usize),
    /// A device number that Linux does not have.
    #[error("device {major}:{minor} is out of range (4095:1048575)")]
    DeviceNumber {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A file size that file offsets cannot reach, or with too many blocks.
    #[error("a file of {0} bytes is too large (at most 16 TiB)")]
    FileSize(u64),
    /// Extents overlap, are out of order, empty, or beyond the end of their file.
    #[error("extents must be in order, not empty, and within the file; the one at block {0} is not")]
    Extent(u32),
    /// An attribute of a namespace that EROFS does not know.
    #[error("EROFS cannot hold the extended attribute {:?}", lossy(.0))]
    XattrNamespace(Vec<u8>),
    /// An attribute's name is too long, or empty after its namespace, or contains NUL.
    #[error("{:?} is not a name for an extended attribute", lossy(.0))]
    XattrName(Vec<u8>),
    /// Two attributes of one name on an inode.
    #[error("the extended attribute {:?} is given twice", lossy(.0))]
    DuplicateXattr(Vec<u8>),
    /// An attribute's value is too long.
    #[error("the extended attribute {:?} has {length} bytes; at most 65535", lossy(.name))]
    XattrValue {
        /// Its name.
        name: Vec<u8>,
        /// Its length.
        length: usize,
    },
    /// All attributes of an inode together are too long.
    #[error("an inode's extended attributes take {0} bytes; at most 262140")]
    XattrsTooLarge(u64),
    /// More names or inodes than 32-bit numbers count.
    #[error("too many inodes or names")]
    TooMany,
    /// The image is larger than the caller allows, or than 32-bit block addresses reach.
    #[error("the image needs {needed_bytes} bytes; allowed are {allowed_bytes}")]
    ImageTooLarge {
        /// What the tree needs.
        needed_bytes: u64,
        /// What is allowed.
        allowed_bytes: u64,
    },
    /// Data beyond 16 TiB.
    #[error("the data end at block {0}, beyond 32-bit block addresses")]
    DataTooFar(u64),
    /// The output failed.
    #[error("cannot write the image")]
    Io(#[from] io::Error),
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
