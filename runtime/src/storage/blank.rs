//! Freshly made ext4 file systems, one per size, made once by mke2fs and copied for each container.
//!
//! Made on a sparse file that reads as zeroes, so nothing needs zeroing later: the guest starts no background
//! initialisation, and a copy is a few hundred KiB of metadata.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::durable::{self, Durability};

/// Why a blank file system could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BlankError {
    /// A file could not be made or read.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// mke2fs is not installed.
    #[error("cannot run mke2fs (package e2fsprogs)")]
    Start(#[source] io::Error),
    /// mke2fs refused.
    #[error("mke2fs failed: {0}")]
    Failed(String),
}

/// Bytes of the journal: enough for a container's layer, small beside it.
const JOURNAL_MIB: u32 = 16;

/// The blank file system of `size_bytes` in `directory`, made if it is not there, by one at a time. One that goes with its VM, and
/// that nobody mounts again, has no journal.
pub(super) fn ensure(
    directory: &Path,
    size_bytes: u64,
    durability: Durability,
) -> Result<PathBuf, BlankError> {
    let path = directory.join(match durability {
        Durability::Lasting => format!("{size_bytes}.ext4"),
        Durability::OneLife => format!("{size_bytes}-one-life.ext4"),
    });
    if path.is_file() {
        return Ok(path);
    }
    let failed = |source| BlankError::File { path: path.clone(), source };
    let _lock = lock(directory).map_err(failed)?;
    for leftover in durable::leftovers(directory).map_err(failed)? {
        durable::remove(&leftover).map_err(failed)?;
    }
    if path.is_file() {
        return Ok(path);
    }
    let temporary =
        tempfile::Builder::new().prefix(durable::TEMPORARY).tempfile_in(directory).map_err(failed)?;
    holm_faults::fault!("storage.blank.create")
        .and_then(|()| temporary.as_file().set_len(size_bytes))
        .map_err(failed)?;
    holm_faults::fault!("storage.blank.make").map_err(failed)?;
    make(temporary.path(), durability)?;
    File::open(temporary.path()).and_then(|file| file.sync_all()).map_err(failed)?;
    holm_faults::fault!("storage.blank.rename").map_err(failed)?;
    temporary.persist(&path).map_err(|error| failed(error.error))?;
    durable::sync_directory(directory).map_err(failed)?;
    Ok(path)
}

/// The right to make one, while the file is open.
fn lock(directory: &Path) -> io::Result<File> {
    let lock = File::create(directory.join(".lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// What makers that were killed left in `directory`.
pub(crate) fn leftovers(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let left = durable::leftovers(directory)?;
    // It is there since somebody has made one here; whoever makes one now leaves nothing.
    match File::open(directory.join(".lock")).map(|lock| lock.try_lock()) {
        Ok(Ok(())) => Ok(left),
        _ => Ok(Vec::new()),
    }
}

fn make(path: &Path, durability: Durability) -> Result<(), BlankError> {
    let journal_mib = format!("size={JOURNAL_MIB}");
    let (features, journal): (_, &[&str]) = match durability {
        Durability::Lasting => ("^resize_inode", &["-J", &journal_mib]),
        Durability::OneLife => ("^resize_inode,^has_journal", &[]),
    };
    let output = Command::new("mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-L", "holm"])
        // No room for growing the file system: it would be MiBs of zeroes that every container copies.
        .args(["-O", features])
        .args([
            "-E",
            "nodiscard,lazy_itable_init=0,lazy_journal_init=1,assume_storage_prezeroed=1,root_owner=0:0",
        ])
        .args(journal)
        .arg(path)
        .env("PATH", search_path())
        .stdin(Stdio::null())
        .output()
        .map_err(BlankError::Start)?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(BlankError::Failed(words.lines().last().unwrap_or_default().trim().to_owned()))
}

/// mke2fs stands in /sbin, which users often lack in PATH.
fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    path
}
