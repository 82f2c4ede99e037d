//! The host's directories and files: one virtio-fs device whose root has an entry `0`, `1`, ... for each
//! (docs/decisions/0018-shares.md).
//!
//! They are mounted once, where containers cannot see them, and containers get bind mounts of what they were given.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::thread;

use holm_archive::{Destination, Keep, Node, Packer, TarReader, Unpacker};
use holm_protocol::agent::{SHARES_DIRECTORY, SHARES_TAG};
use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::unistd::syncfs;

use crate::container::mounts::MountPlan;
use crate::container::rootdir::{self, RootDir};
use crate::fault::{At, Fault};

/// Copies go through a buffer of this size.
const BUFFER_BYTES: usize = 64 << 10;

/// Mounts the shares if the `root` or one of `mounts` needs them and they are not mounted yet.
pub(crate) fn mount_for(root: &Path, mounts: &[MountPlan]) -> Result<(), Fault> {
    let directory = Path::new(SHARES_DIRECTORY);
    let mut sources = mounts.iter().map(MountPlan::source).chain([root]);
    if directory.exists() || !sources.any(|source| source.starts_with(directory)) {
        return Ok(());
    }
    fs::create_dir(directory).at("making the directory of shares")?;
    // No device of the host's may become one of the guest's.
    mount(Some(SHARES_TAG), directory, Some("virtiofs"), MsFlags::MS_NODEV, None::<&str>)
        .at("mounting the shares")
}

/// Fills those that are to be filled from what they will cover in the container's tree at `root`. The host will take them for filled
/// then, whatever becomes of this VM: what was written leaves it.
pub(crate) fn fill(mounts: &[MountPlan], root: &Path) -> Result<(), Fault> {
    let root = RootDir::open(root).at("opening the root")?;
    for mount in mounts.iter().filter(|mount| mount.is_filled()) {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        // An image without the directory has nothing to fill a volume with.
        let Ok(covered) = root.open_with(&mount.destination, flags) else { continue };
        let what = format!("filling the volume on {}", mount.destination.display());
        copy(covered, mount.source()).at(&what)?;
        let target = File::open(mount.source()).at(&what)?;
        syncfs(&target).at(&what)?;
    }
    Ok(())
}

/// Makes each tmpfs that begins with what it covers in the container's tree at `root`, in `directory`; a bind mount of that takes
/// its place.
pub(crate) fn copy_up(mounts: &mut [MountPlan], root: &Path, directory: &Path) -> Result<(), Fault> {
    let root = RootDir::open(root).at("opening the root")?;
    let asked = mounts.iter_mut().filter(|mount| mount.copies_up());
    for (number, mount) in asked.enumerate() {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        // What covers nothing begins empty.
        let Ok(covered) = root.open_with(&mount.destination, flags) else { continue };
        let what = format!("filling {}", mount.destination.display());
        let place = directory.join(format!("tmpfs-{number}"));
        fs::create_dir(&place).at(&what)?;
        mount.make_at(place.clone(), Some(&rootdir::status(&covered).at(&what)?))?;
        copy(covered, &place).at(&what)?;
    }
    Ok(())
}

/// Copies what is in a directory, and its own owner and permissions.
fn copy(from: OwnedFd, to: &Path) -> io::Result<()> {
    let like = File::from(from.try_clone()?).metadata()?;
    let target = File::open(to)?;
    let from = Node::of(from)?;
    let (read, write) = io::pipe()?;
    thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut packer = Packer::new(BufWriter::with_capacity(BUFFER_BYTES, write));
            packer.add_below(&from, b"", |_| false)?;
            packer.finish()?.flush()
        });
        let unpacker = Unpacker::new(Destination::beneath(target.try_clone()?.into()), Keep::Everything);
        let mut tar = TarReader::new(BufReader::with_capacity(BUFFER_BYTES, read));
        let unpacked = unpacker.unpack(&mut tar).map_err(io::Error::other);
        drop(tar);
        let packed = packing.join().unwrap_or_else(|_| Err(io::Error::other("the copy ended early")));
        unpacked.and(packed)
    })?;
    fchown(&target, Some(like.uid()), Some(like.gid()))?;
    target.set_permissions(fs::Permissions::from_mode(like.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_is_copied_with_its_permissions() {
        let outer = tempfile::tempdir().unwrap();
        let (from, to) = (outer.path().join("from"), outer.path().join("to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("sub/file"), "text").unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        fs::set_permissions(&from, fs::Permissions::from_mode(0o2750)).unwrap();
        copy(File::open(&from).unwrap().into(), &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("sub/file")).unwrap(), "text");
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o2750);
    }
}
