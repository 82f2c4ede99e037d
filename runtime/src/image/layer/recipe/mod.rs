//! The `recipe` file of a layer: how to make its tar again, byte for byte, from its `data` file. `push` and `save` need that, for
//! the diffID in the config is the digest of the tar. (Docker keeps the same, and calls it tar-split.)
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `HOLMRCPE` |
//! | 8 | 4 | version, little-endian, [`VERSION`] |
//! | 12 | 32 | sha256 of the rest |
//! | 44 | | the steps, as zstd |
//!
//! A step is a 0, a length (u32) and as many bytes of the tar: headers and padding; or a 1, a length (u64), a count (u32)
//! and as many [`Extent`]s (three u32 each) of the `data` file: a file's contents, zeroes between the extents. All are
//! little-endian. The checksum keeps a damaged file from making a tar of any size before its digest shows that it is wrong.

mod rebuild;
mod recorder;
mod steps;

pub(in crate::image) use rebuild::rebuild;
pub(super) use recorder::Recorder;
pub(in crate::image) use steps::tar_bytes;

const MAGIC: &[u8; 8] = b"HOLMRCPE";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 44;
/// The first byte of a step.
const RAW: u8 = 0;
const CONTENT: u8 = 1;
