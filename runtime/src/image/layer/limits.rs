//! How much one layer may be: far above any real image, far below what hurts the host.

/// Bounds on one layer; what exceeds them is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerLimits {
    /// Members of the tar.
    pub entries: u64,
    /// Uncompressed tar, in bytes.
    pub tar_bytes: u64,
    /// Size of one file, with its holes, in bytes.
    pub file_bytes: u64,
    /// Names, link targets and extended attributes together, in bytes: they are held in memory.
    pub tree_bytes: u64,
    /// Extended attributes of one file, in bytes.
    pub xattr_bytes: u64,
    /// Steps of resolving symlinks in paths.
    pub path_steps: u64,
    /// Free space that is left to the file system of the store, in bytes.
    pub reserve_bytes: u64,
}

impl Default for LayerLimits {
    fn default() -> Self {
        Self {
            entries: 2_000_000,
            tar_bytes: 1 << 40,
            file_bytes: 1 << 43,
            tree_bytes: 512 << 20,
            xattr_bytes: 128 << 10,
            path_steps: 1 << 30,
            reserve_bytes: 64 << 20,
        }
    }
}
