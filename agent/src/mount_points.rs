//! Something to mount on where the image has nothing: `/proc`, `/etc/hosts` and the like of small images.
//!
//! It lies in a directory of the guest's memory, a layer of its own between the image and what the container writes. So
//! a container that did nothing has changed nothing, whatever had to be mounted in it.

use std::fs::{self, DirBuilder, File, FileTimes};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use crate::container::rootdir::RootDir;
use crate::fault::{At, Fault};

/// What a mount needs in the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountPoint {
    /// Absolute, in the container.
    pub(crate) path: PathBuf,
    pub(crate) is_directory: bool,
}

/// Makes in `stubs` what `image` lacks of `points`; gives the paths, relative to the root, of what was made there and is
/// nothing of the image's.
pub(crate) fn make_missing(image: &Path, stubs: &Path, points: &[MountPoint]) -> Result<Vec<PathBuf>, Fault> {
    let root = RootDir::open(image).at("opening the image")?;
    let mut made = Vec::new();
    let mut parents = Vec::new();
    for point in points {
        let Some(path) = relative(&point.path) else { continue };
        // What is there, be it behind a symbolic link, will do. What lies on another mount is that mount's business.
        let mounted_over = |other: &&MountPoint| {
            other.is_directory && other.path != point.path && point.path.starts_with(&other.path)
        };
        if root.find(&path).is_ok() || points.iter().any(|other| mounted_over(&other)) {
            continue;
        }
        make(image, stubs, &path, point.is_directory, &mut made, &mut parents)
            .at(format_args!("making the mount point {}", point.path.display()))?;
    }
    // Last, because each new name in a directory changes its time.
    for parent in parents.iter().rev() {
        take_over(&image.join(parent), &stubs.join(parent)).at("making mount points")?;
    }
    Ok(made)
}

/// The names of a path; `None` for the root, and for paths with `..`, which are left to the mount itself.
fn relative(path: &Path) -> Option<PathBuf> {
    let mut names = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!names.as_os_str().is_empty()).then_some(names)
}

fn make(
    image: &Path,
    stubs: &Path,
    path: &Path,
    is_directory: bool,
    made: &mut Vec<PathBuf>,
    parents: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let mut here = PathBuf::new();
    for (name, is_last) in path.iter().zip((1..=path.iter().count()).map(|n| n == path.iter().count())) {
        here.push(name);
        match fs::symlink_metadata(image.join(&here)) {
            // The mount makes its own way along links.
            Ok(found) if !found.is_dir() => return Ok(()),
            Ok(_) => {
                if !parents.contains(&here) {
                    DirBuilder::new().mode(0o755).create(stubs.join(&here))?;
                    parents.push(here.clone());
                }
            }
            Err(_) if stubs.join(&here).exists() => {}
            Err(_) if is_last && !is_directory => {
                File::options().write(true).create_new(true).mode(0o644).open(stubs.join(&here))?;
                made.push(here.clone());
            }
            Err(_) => {
                DirBuilder::new().mode(0o755).create(stubs.join(&here))?;
                made.push(here.clone());
            }
        }
    }
    Ok(())
}

/// A directory of the stubs is what is seen of the image's: its owner, mode and time.
fn take_over(from: &Path, to: &Path) -> io::Result<()> {
    let like = fs::metadata(from)?;
    chown(to, Some(like.uid()), Some(like.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(like.mode() & 0o7777))?;
    File::open(to)?.set_times(FileTimes::new().set_modified(like.modified()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn point(path: &str, is_directory: bool) -> MountPoint {
        MountPoint { path: path.into(), is_directory }
    }

    #[test]
    fn only_what_is_missing_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let (image, stubs) = (directory.path().join("image"), directory.path().join("stubs"));
        fs::create_dir_all(image.join("etc")).unwrap();
        fs::create_dir(&stubs).unwrap();
        fs::write(image.join("etc/hosts"), "the image's").unwrap();
        symlink("/run/resolv.conf", image.join("etc/resolv.conf")).unwrap();
        fs::set_permissions(image.join("etc"), fs::Permissions::from_mode(0o2751)).unwrap();
        let then = UNIX_EPOCH + Duration::new(1_000_000_000, 7);
        File::open(image.join("etc")).unwrap().set_times(FileTimes::new().set_modified(then)).unwrap();
        let points = [
            point("/proc", true),
            point("/proc/sub", true),
            point("/etc/hosts", false),
            point("/etc/hostname", false),
            point("/etc/resolv.conf", false),
            point("/a/b/c", true),
            point("/a/b/d", false),
            point("/../up", true),
        ];
        let made = make_missing(&image, &stubs, &points).unwrap();
        let paths: Vec<_> = made.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(paths, ["proc", "etc/hostname", "a", "a/b", "a/b/c", "a/b/d"]);
        assert!(stubs.join("etc/hostname").is_file() && stubs.join("a/b/c").is_dir());
        assert!(!stubs.join("etc/hosts").exists() && !stubs.join("etc/resolv.conf").exists());
        let etc = fs::metadata(stubs.join("etc")).unwrap();
        assert_eq!((etc.mode() & 0o7777, etc.modified().unwrap()), (0o2751, then));
    }

    #[test]
    fn an_image_that_has_everything_needs_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (image, stubs) = (directory.path().join("image"), directory.path().join("stubs"));
        fs::create_dir_all(image.join("proc")).unwrap();
        fs::create_dir(&stubs).unwrap();
        assert!(make_missing(&image, &stubs, &[point("/proc", true)]).unwrap().is_empty());
        assert!(fs::read_dir(&stubs).unwrap().next().is_none());
    }
}
