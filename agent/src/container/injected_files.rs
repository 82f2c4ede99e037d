//! Files that the engine owns (/etc/hosts and its like): kept in the guest's memory, bound over the container's paths.
//!
//! So they never are changes of the writable layer, but for the empty file that is made where the image has none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use holm_protocol::agent::messages::InjectedFile;

use super::mounts::MountPlan;
use crate::fault::{At, Fault};
use crate::mount_points::MountPoint;

/// Longest content in bytes, as the contract says.
const MAX_BYTES: usize = 1 << 20;

/// What they need in the tree that they are mounted into.
pub(crate) fn points(files: &[InjectedFile]) -> impl Iterator<Item = MountPoint> {
    files.iter().map(|file| MountPoint { path: PathBuf::from(&file.path), is_directory: false })
}

/// A file as it was written.
#[derive(Debug)]
pub(crate) struct Injected {
    /// In the container.
    path: String,
    /// In the guest.
    file: PathBuf,
    content: Vec<u8>,
}

/// Writes the files into `directory`, which exists; gives them and their mounts.
pub(crate) fn write(
    directory: &Path,
    files: &[InjectedFile],
) -> Result<(Vec<Injected>, Vec<MountPlan>), Fault> {
    let (mut written, mut mounts) = (Vec::new(), Vec::new());
    for (number, file) in files.iter().enumerate() {
        let place = directory.join(number.to_string());
        mounts.push(write_one(&place, file)?);
        written.push(Injected { path: file.path.clone(), file: place, content: file.content.clone() });
    }
    Ok((written, mounts))
}

/// Gives files that were written another content, in place, as the mounts show it. What somebody has changed stays, and what
/// was not written is none of the engine's.
pub(crate) fn update(written: &Mutex<Vec<Injected>>, files: &[InjectedFile]) -> Result<(), Fault> {
    let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
    for file in files {
        let Some(known) = written.iter_mut().find(|known| known.path == file.path) else { continue };
        let what = format!("writing {}", file.path);
        if is_unchanged(known).at(&what)? {
            fs::write(&known.file, &file.content).at(&what)?;
            known.content.clone_from(&file.content);
        }
    }
    Ok(())
}

/// A container may have made it as long as it likes: no more than its own bytes are read.
fn is_unchanged(known: &Injected) -> io::Result<bool> {
    let mut content = Vec::new();
    let limit = u64::try_from(known.content.len()).unwrap_or(u64::MAX).saturating_add(1);
    File::open(&known.file)?.take(limit).read_to_end(&mut content)?;
    Ok(content == known.content)
}

fn write_one(path: &Path, file: &InjectedFile) -> Result<MountPlan, Fault> {
    if !file.path.starts_with('/') || file.content.len() > MAX_BYTES {
        return Err(Fault::invalid(format!("file {:?}: not absolute, or larger than 1 MiB", file.path)));
    }
    let what = format!("writing {}", file.path);
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at(&what)?;
    made.write_all(&file.content).at(&what)?;
    fs::set_permissions(path, fs::Permissions::from_mode(file.mode & 0o777)).at(&what)?;
    MountPlan::bind_file(path.to_owned(), PathBuf::from(&file.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &[u8]) -> InjectedFile {
        InjectedFile { path: path.into(), content: content.to_vec(), mode: 0o644, ..Default::default() }
    }

    #[test]
    fn files_are_written_and_bound() {
        let directory = tempfile::tempdir().unwrap();
        let (_, plans) = write(directory.path(), &[file("/etc/a", b"1"), file("/etc/b", b"2")]).unwrap();
        assert!(plans[0].binds("/etc/a") && plans[1].binds("/etc/b"));
        assert_eq!(fs::read(directory.path().join("1")).unwrap(), b"2");
    }

    #[test]
    fn only_what_nobody_has_changed_is_updated() {
        let directory = tempfile::tempdir().unwrap();
        let (written, _) = write(directory.path(), &[file("/etc/a", b"1"), file("/etc/b", b"2")]).unwrap();
        let written = Mutex::new(written);
        let content = |name: &str| fs::read(directory.path().join(name)).unwrap();
        fs::write(directory.path().join("0"), b"1, mine").unwrap();
        let news = [file("/etc/a", b"3"), file("/etc/b", b"4"), file("/etc/c", b"5")];
        update(&written, &news).unwrap();
        assert_eq!((content("0"), content("1")), (b"1, mine".to_vec(), b"4".to_vec()));
        update(&written, &[file("/etc/b", b"6")]).unwrap();
        assert_eq!(content("1"), b"6");
    }

    #[test]
    fn odd_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(write(directory.path(), &[file("etc/a", b"")]).is_err());
        assert!(write(directory.path(), &[file("/etc/a", &vec![0; MAX_BYTES + 1])]).is_err());
    }
}
