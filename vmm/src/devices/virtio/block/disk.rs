//! A disk's files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use holm_protocol::vm_config::{DiskConfig, SegmentConfig};
use nix::fcntl::{FallocateFlags, fallocate};

use super::segments::Layout;
use crate::devices::virtio::ring::{Buffer, split_front};
use crate::memory::{Bytes, GuestAddress, GuestRam};
use crate::vectors::{read_at, write_at};

const PUNCH_HOLE: FallocateFlags = FallocateFlags::FALLOC_FL_PUNCH_HOLE;
const ZERO_RANGE: FallocateFlags = FallocateFlags::FALLOC_FL_ZERO_RANGE;

/// Why a disk cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A segment's file cannot be opened.
    #[error("disk {id:?}: cannot open {}", path.display())]
    Open {
        /// The disk.
        id: String,
        /// The file.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// A segment is something else: its length would mean nothing.
    #[error("disk {id:?}: {} is neither a regular file nor a block device", path.display())]
    Unsuitable {
        /// The disk.
        id: String,
        /// The file.
        path: PathBuf,
    },
    /// A writable segment does not lie within its file, or a segment's end does not fit a file offset.
    #[error("disk {id:?}: {} has {file_bytes} bytes, the segment ends at {end_bytes}", path.display())]
    BeyondFile {
        /// The disk.
        id: String,
        /// The file.
        path: PathBuf,
        /// The file's length.
        file_bytes: u64,
        /// Where the segment ends in the file.
        end_bytes: u64,
    },
    /// Not as many files as segments.
    #[error("disk {0:?}: its segments and files do not match")]
    Files(String),
    /// Lengths that `VmConfig::check` refuses.
    #[error("disk {0:?}: impossible segment lengths")]
    Lengths(String),
}

/// An open disk.
#[derive(Debug)]
pub(super) struct Disk {
    layout: Layout,
    segments: Vec<Segment>,
    read_only: bool,
}

#[derive(Debug)]
struct Segment {
    file: File,
    /// Where the segment starts in its file.
    offset_bytes: u64,
    /// Written since the last successful flush.
    dirty: bool,
}

impl Disk {
    /// Opens all files, for reading only if the disk is read-only.
    pub(super) fn open(config: &DiskConfig) -> Result<Self, DiskError> {
        let files = config.segments.iter().map(|segment| open(config, segment)).collect::<Result<_, _>>()?;
        Self::of(config, files)
    }

    /// Takes files that are open, one for each segment, as they are.
    pub(super) fn of(config: &DiskConfig, files: Vec<File>) -> Result<Self, DiskError> {
        let layout = Layout::new(config.segments.iter().map(|s| s.length_bytes))
            .ok_or_else(|| DiskError::Lengths(config.id.clone()))?;
        if files.len() != config.segments.len() {
            return Err(DiskError::Files(config.id.clone()));
        }
        let segment = |(file, of): (File, &SegmentConfig)| Segment {
            file,
            offset_bytes: of.offset_bytes,
            dirty: false,
        };
        let segments = files.into_iter().zip(&config.segments).map(segment).collect();
        Ok(Self { layout, segments, read_only: config.read_only })
    }

    pub(super) fn length_bytes(&self) -> u64 {
        self.layout.length_bytes()
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Fills `buffers` from the disk at `offset_bytes`.
    pub(super) fn read(
        &self,
        memory: &GuestRam,
        mut buffers: Vec<Buffer>,
        offset_bytes: u64,
    ) -> io::Result<()> {
        let length = crate::devices::virtio::ring::total_bytes(&buffers);
        for run in self.layout.runs(offset_bytes, length) {
            let (Some(segment), Some(mut part)) =
                (self.segments.get(run.segment), split_front(&mut buffers, run.length_bytes))
            else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            let mut at = segment.offset_bytes + run.offset_bytes;
            while !part.is_empty() {
                let count = retry(|| read_at(&segment.file, memory, &part, at))?;
                if count == 0 {
                    // Beyond the file's end.
                    zero(memory, &part)?;
                    break;
                }
                split_front(&mut part, count);
                at += count;
            }
        }
        Ok(())
    }

    /// Writes `buffers` to the disk at `offset_bytes`.
    pub(super) fn write(
        &mut self,
        memory: &GuestRam,
        mut buffers: Vec<Buffer>,
        offset_bytes: u64,
    ) -> io::Result<()> {
        let length = crate::devices::virtio::ring::total_bytes(&buffers);
        for run in self.layout.runs(offset_bytes, length) {
            let (Some(segment), Some(mut part)) =
                (self.segments.get_mut(run.segment), split_front(&mut buffers, run.length_bytes))
            else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            segment.dirty = true;
            let mut at = segment.offset_bytes + run.offset_bytes;
            while !part.is_empty() {
                let count = retry(|| write_at(&segment.file, memory, &part, at))?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                split_front(&mut part, count);
                at += count;
            }
        }
        Ok(())
    }

    /// Everything written so far is on stable storage when this returns.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        for segment in self.segments.iter_mut().filter(|s| s.dirty) {
            segment.file.sync_data()?;
            segment.dirty = false;
        }
        Ok(())
    }

    /// The range's content no longer matters: gives its space back where the file system can.
    pub(super) fn discard(&mut self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        self.for_each_run(offset_bytes, length_bytes, |file, at, length| {
            match allocate(file, PUNCH_HOLE, at, length) {
                Err(error) if is_unsupported(&error) => Ok(()),
                other => other,
            }
        })
    }

    /// The range reads as zeroes; its space is given back if `unmap`.
    pub(super) fn write_zeroes(
        &mut self,
        offset_bytes: u64,
        length_bytes: u64,
        unmap: bool,
    ) -> io::Result<()> {
        let (first, second) = if unmap { (PUNCH_HOLE, ZERO_RANGE) } else { (ZERO_RANGE, PUNCH_HOLE) };
        self.for_each_run(offset_bytes, length_bytes, |file, at, length| {
            match allocate(file, first, at, length) {
                Err(error) if is_unsupported(&error) => {}
                other => return other,
            }
            match allocate(file, second, at, length) {
                Err(error) if is_unsupported(&error) => write_zeroes(file, at, length),
                other => other,
            }
        })
    }

    fn for_each_run(
        &mut self,
        offset_bytes: u64,
        length_bytes: u64,
        change: impl Fn(&File, u64, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        for run in self.layout.runs(offset_bytes, length_bytes) {
            let segment = self.segments.get_mut(run.segment).ok_or(io::ErrorKind::InvalidInput)?;
            segment.dirty = true;
            change(&segment.file, segment.offset_bytes + run.offset_bytes, run.length_bytes)?;
        }
        Ok(())
    }
}

fn open(disk: &DiskConfig, segment: &SegmentConfig) -> Result<File, DiskError> {
    let failed = |source| DiskError::Open { id: disk.id.clone(), path: segment.path.clone(), source };
    let is_device = fs::symlink_metadata(&segment.path).map_err(failed)?.file_type().is_block_device();
    // Two kernels that mount one file system destroy it.
    let alone = if is_device && !disk.read_only { libc::O_EXCL } else { 0 };
    let mut file = OpenOptions::new()
        .read(true)
        .write(!disk.read_only)
        // A FIFO would wait for its other end; a regular file does not care.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | alone)
        .open(&segment.path)
        .map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let file_bytes = if metadata.file_type().is_block_device() {
        file.seek(SeekFrom::End(0)).map_err(failed)?
    } else if metadata.is_file() {
        metadata.len()
    } else {
        return Err(DiskError::Unsuitable { id: disk.id.clone(), path: segment.path.clone() });
    };
    let end_bytes = segment.offset_bytes.saturating_add(segment.length_bytes);
    let fits = if disk.read_only { i64::try_from(end_bytes).is_ok() } else { end_bytes <= file_bytes };
    if !fits {
        return Err(DiskError::BeyondFile {
            id: disk.id.clone(),
            path: segment.path.clone(),
            file_bytes,
            end_bytes,
        });
    }
    Ok(file)
}

/// Fills `buffers` with zeroes.
fn zero(memory: &GuestRam, buffers: &[Buffer]) -> io::Result<()> {
    const ZEROES: [u8; 4096] = [0; 4096];
    for buffer in buffers {
        let mut address = buffer.address.0;
        let end = address.saturating_add(buffer.length.into());
        while address < end {
            let count = usize::try_from(end - address).unwrap_or(usize::MAX).min(ZEROES.len());
            memory.write_slice(&ZEROES[..count], GuestAddress(address)).map_err(io::Error::other)?;
            address += count as u64;
        }
    }
    Ok(())
}

fn allocate(file: &File, mode: FallocateFlags, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
    let offset = i64::try_from(offset_bytes).map_err(io::Error::other)?;
    let length = i64::try_from(length_bytes).map_err(io::Error::other)?;
    Ok(fallocate(file, mode.union(FallocateFlags::FALLOC_FL_KEEP_SIZE), offset, length)?)
}

fn is_unsupported(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EOPNOTSUPP)
}

fn write_zeroes(file: &File, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
    static ZEROES: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = offset_bytes;
    let end = offset_bytes.saturating_add(length_bytes);
    while at < end {
        let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(ZEROES.len());
        file.write_all_at(&ZEROES[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

fn retry(mut call: impl FnMut() -> io::Result<u64>) -> io::Result<u64> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
