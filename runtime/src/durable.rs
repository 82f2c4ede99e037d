//! Files that survive a power cut whole: write beside, fsync, rename, fsync the directory.
//!
//! A reader sees the old content or the new one, never a part. What is of one life of the host is written in the same way, and not
//! synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// How files begin that are to replace others.
pub(crate) const TEMPORARY: &str = ".new-";

/// What must be there after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// All that was written.
    Lasting,
    /// Nothing: whoever wrote it has the rest removed then, in whatever state it is.
    OneLife,
}

impl Durability {
    /// [`sync_directory`], where it must be.
    ///
    /// # Errors
    /// As there.
    pub fn sync_directory(self, directory: &Path) -> io::Result<()> {
        self.only_if_lasting(|| sync_directory(directory))
    }

    fn only_if_lasting(self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self {
            Self::Lasting => sync(),
            Self::OneLife => Ok(()),
        }
    }
}

/// Replaces `path` by `content`. The directory must exist.
///
/// # Errors
/// Any failure of the file system; `path` is then unchanged, and nothing is left beside it.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    holm_faults::fault!("durable.write.create")?;
    let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(directory)?;
    holm_faults::fault!("durable.write.fill")?;
    temporary.write_all(content)?;
    holm_faults::fault!("durable.write.sync")?;
    temporary.as_file().sync_all()?;
    holm_faults::fault!("durable.write.rename")?;
    temporary.persist(path).map_err(|error| error.error)?;
    holm_faults::fault!("durable.write.sync-directory")?;
    sync_directory(directory)
}

/// What writers that were killed left beside the files of a directory. The caller holds the lock under which these are written: then
/// nobody is about to write one.
///
/// # Errors
/// The directory cannot be read; one that is not there has nothing.
pub fn leftovers(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.flatten(),
    };
    let is_one = |entry: &fs::DirEntry| {
        entry.file_name().as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
            && entry.file_type().is_ok_and(|kind| kind.is_file())
    };
    Ok(entries.filter(is_one).map(|entry| entry.path()).collect())
}

/// Writes a file in a place that nobody relies on before it is whole: a directory that does not count yet, a document that
/// counts for nothing in part. Half the commits of [`write`]. Whoever makes the place count syncs the directory before.
///
/// # Errors
/// Any failure of the file system; there is no file then.
pub fn place(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let written = holm_faults::fault!("durable.place.create")
        .and_then(|()| File::options().write(true).create(true).truncate(true).mode(0o600).open(path));
    let written = written.and_then(|mut file| {
        holm_faults::fault!("durable.place.fill")?;
        file.write_all(content)?;
        holm_faults::fault!("durable.place.sync")?;
        durability.only_if_lasting(|| file.sync_all())
    });
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(path);
    }
    written
}

/// What a file that [`rewrite`] keeps is a multiple of, in bytes: the block of usual file systems.
const SLOT_BYTES: usize = 4096;

/// Replaces the JSON document `path` by `json` without needing new space as long as it fits into the blocks that it had:
/// a full disk does not keep anybody from writing down how things ended. (File systems that copy on write may refuse all
/// the same.) The document before stays beside it, as the place for the next one.
///
/// ```text
///   state.json.spare <── json, padded, fsync ──> exchanged with state.json
/// ```
///
/// One writer at a time.
///
/// # Errors
/// Any failure of the file system; `path` is then unchanged.
pub fn rewrite(path: &Path, json: &[u8], durability: Durability) -> io::Result<()> {
    let directory = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let spare = path.with_added_extension("spare");
    let mut padded = json.to_vec();
    padded.resize(json.len().next_multiple_of(SLOT_BYTES), b' ');
    // Its length and blocks are part of that; its times are not, which saves the commit where it had the blocks before.
    holm_faults::fault!("durable.rewrite.fill")?;
    let filled = fill(&spare, &padded)?;
    holm_faults::fault!("durable.rewrite.sync")?;
    durability.only_if_lasting(|| filled.sync_data())?;
    holm_faults::fault!("durable.rewrite.exchange")?;
    if path.exists() {
        renameat_with(CWD, &spare, CWD, path, RenameFlags::EXCHANGE)?;
    } else {
        fs::rename(&spare, path)?;
        holm_faults::fault!("durable.rewrite.spare")?;
        // The place for the next one; what is in it does not matter.
        fill(&spare, &padded)?;
    }
    holm_faults::fault!("durable.rewrite.sync-directory")?;
    durability.sync_directory(directory)
}

/// Overwrites a file in the blocks that it has.
fn fill(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = File::options().create(true).write(true).truncate(false).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    Ok(file)
}

/// Makes the entries of a directory durable.
///
/// # Errors
/// When the directory cannot be opened or synced.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Makes everything durable on the file system on which a file or directory is: for trees that others wrote.
///
/// # Errors
/// When it cannot be opened or synced.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(path)?)?)
}

/// Removes a file or a whole tree; one that is not there is fine.
///
/// # Errors
/// Any other failure.
pub fn remove(path: &Path) -> io::Result<()> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    holm_faults::fault!("durable.remove")?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => gone(fs::remove_dir_all(path)),
        Ok(_) => gone(fs::remove_file(path)),
        Err(error) => gone(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_rewrite_takes_the_blocks_that_were_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let read = || fs::read_to_string(&path).unwrap().trim_end().to_owned();
        rewrite(&path, b"\"first\"", Durability::Lasting).unwrap();
        let inodes = |name: &str| fs::metadata(dir.path().join(name)).unwrap().ino();
        let (one, two) = (inodes("state.json"), inodes("state.json.spare"));
        rewrite(&path, b"2", Durability::Lasting).unwrap();
        assert_eq!((read().as_str(), inodes("state.json"), inodes("state.json.spare")), ("2", two, one));
        let long = format!("\"{}\"", "x".repeat(5000));
        rewrite(&path, long.as_bytes(), Durability::Lasting).unwrap();
        assert_eq!((read(), inodes("state.json")), (long, one));
        rewrite(&path, b"3", Durability::Lasting).unwrap();
        assert_eq!((read().as_str(), fs::read_dir(dir.path()).unwrap().count()), ("3", 2));
    }

    #[test]
    fn a_file_is_placed_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        place(&path, b"longer", Durability::Lasting).unwrap();
        place(&path, b"two", Durability::Lasting).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // A device that is always full.
        let full = dir.path().join("full");
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        assert_eq!(place(&full, b"x", Durability::Lasting).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(fs::symlink_metadata(&full).is_err());
    }

    #[test]
    fn a_write_replaces_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write(&dir.path().join("missing/state.json"), b"x").is_err());
        assert_eq!(leftovers(dir.path()).unwrap(), [] as [PathBuf; 0]);
        let left = dir.path().join(".new-killed");
        fs::write(&left, "half").unwrap();
        fs::create_dir(dir.path().join(".new-directory")).unwrap();
        assert_eq!(leftovers(dir.path()).unwrap(), [left]);
        assert_eq!(leftovers(&dir.path().join("missing")).unwrap(), [] as [PathBuf; 0]);
    }
}
