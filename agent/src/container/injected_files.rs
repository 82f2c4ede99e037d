//! Files that the engine owns (/etc/hosts and its like): kept in the guest's memory, bound over the container's paths.
//!
//! So they never are changes of the writable layer, but for the empty file that is made where the image has none.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

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

/// Writes the files into `directory`, which exists; gives their mounts.
pub(crate) fn write(directory: &Path, files: &[InjectedFile]) -> Result<Vec<MountPlan>, Fault> {
    files
        .iter()
        .enumerate()
        .map(|(number, file)| write_one(&directory.join(number.to_string()), file))
        .collect()
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
        let plans = write(directory.path(), &[file("/etc/a", b"1"), file("/etc/b", b"2")]).unwrap();
        assert!(plans[0].binds("/etc/a") && plans[1].binds("/etc/b"));
        assert_eq!(fs::read(directory.path().join("1")).unwrap(), b"2");
    }

    #[test]
    fn odd_files_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(write(directory.path(), &[file("etc/a", b"")]).is_err());
        assert!(write(directory.path(), &[file("/etc/a", &vec![0; MAX_BYTES + 1])]).is_err());
    }
}
