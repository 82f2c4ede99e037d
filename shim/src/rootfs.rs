//! What makes a container's root file system, as a snapshotter of containerd describes it: overlays and binds of the host's directories,
//! which are mounted here, or a file system on a block device, which goes to the VM: the host mounts no image's own file system.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use containerd_shim_protos::types::mount::Mount;
use holm_runtime::oci::RootDevice;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::error::ShimError;

/// A mounted root file system, which is unmounted with the value, or before.
#[derive(Debug)]
pub(crate) struct Rootfs {
    target: PathBuf,
    /// What it is on instead of being mounted.
    pub(crate) device: Option<RootDevice>,
}

impl Rootfs {
    /// Mounts a container's; none for one that was prepared by others.
    pub(crate) fn mount(bundle: &Path, mounts: &[Mount]) -> Result<Self, ShimError> {
        let mut rootfs = Self::left_in(bundle);
        if let [only] = mounts
            && !is_of_directories(only)
        {
            rootfs.device = Some(RootDevice::of_mount(&only.type_, &only.source, &only.options)?);
            return Ok(rootfs);
        }
        for what in mounts {
            rootfs.add(what)?;
            holm_faults::crash!("shim.rootfs.mounted");
        }
        Ok(rootfs)
    }

    fn add(&self, what: &Mount) -> Result<(), ShimError> {
        let failed = |source: io::Error| ShimError::Mount {
            source_path: what.source.clone(),
            target: self.target.clone(),
            source,
        };
        if !is_of_directories(what) {
            let words = "for its root a container in a VM cannot have several file systems of which the host would have to mount one";
            return Err(ShimError::Impossible(format!("{words} (type {})", what.type_)));
        }
        let bind = is_bind(what);
        holm_faults::fault!("shim.rootfs.mount")
            .and_then(|()| fs::create_dir_all(&self.target))
            .map_err(failed)?;
        let (flags, data) = options(&what.options);
        let (directory, data) = shorten(&data);
        let kind = (!bind).then(|| what.type_.clone());
        let (source, target) = (what.source.clone(), self.target.clone());
        let work = move || -> io::Result<()> {
            if let Some(directory) = directory {
                // This thread alone goes there.
                unshare(CloneFlags::CLONE_FS)?;
                std::env::set_current_dir(directory)?;
            }
            let bind_flags = if bind { flags | MsFlags::MS_BIND } else { flags };
            let data = (!data.is_empty()).then_some(data.as_str());
            mount(Some(source.as_str()), &target, kind.as_deref(), bind_flags, data)?;
            if bind && flags.contains(MsFlags::MS_RDONLY) {
                // The first call ignores it.
                let again = bind_flags | MsFlags::MS_REMOUNT;
                mount(None::<&str>, &target, None::<&str>, again, None::<&str>)?;
            }
            Ok(())
        };
        let mounted = thread::spawn(work).join();
        mounted.unwrap_or_else(|_| Err(io::Error::other("the thread that mounts died"))).map_err(failed)
    }

    /// What the container of this bundle had, mounted by a shim that is gone.
    pub(crate) fn left_in(bundle: &Path) -> Self {
        Self { target: bundle.join("rootfs"), device: None }
    }

    /// Unmounts all that is mounted there. Who still uses it keeps it until it is done.
    pub(crate) fn unmount(&self) {
        holm_faults::crash!("shim.rootfs.unmount");
        loop {
            match umount2(&self.target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
                Ok(()) => {}
                // Nothing (more) is mounted there.
                Err(Errno::EINVAL | Errno::ENOENT) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot unmount {}", self.target.display());
                    return;
                }
            }
        }
    }
}

impl Drop for Rootfs {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn is_bind(what: &Mount) -> bool {
    matches!(what.type_.as_str(), "bind" | "rbind") || what.options.iter().any(|o| o.ends_with("bind"))
}

/// Whether it is made of directories that the host has already.
fn is_of_directories(what: &Mount) -> bool {
    is_bind(what) || what.type_ == "overlay"
}

/// Options as mount(8) knows them: flags, and what is left for the file system.
fn options(options: &[String]) -> (MsFlags, Vec<String>) {
    let (mut flags, mut data) = (MsFlags::empty(), Vec::new());
    for option in options {
        match option.as_str() {
            "bind" | "rw" | "defaults" => {}
            "rbind" => flags |= MsFlags::MS_REC,
            "ro" => flags |= MsFlags::MS_RDONLY,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "noatime" => flags |= MsFlags::MS_NOATIME,
            "nodiratime" => flags |= MsFlags::MS_NODIRATIME,
            "relatime" => flags |= MsFlags::MS_RELATIME,
            "strictatime" => flags |= MsFlags::MS_STRICTATIME,
            _ => data.push(option.clone()),
        }
    }
    (flags, data)
}

/// All data of a mount must fit on a page: an overlay's lower directories get names below the one that they have in common, to
/// which one has to change then.
fn shorten(data: &[String]) -> (Option<PathBuf>, String) {
    const LOWER: &str = "lowerdir=";
    let lower = data.iter().find_map(|option| option.strip_prefix(LOWER)).unwrap_or_default();
    let names: Vec<&Path> = lower.split(':').map(Path::new).collect();
    let common = names.iter().skip(1).fold(names.first().and_then(|name| name.parent()), |common, name| {
        common?.ancestors().find(|above| name.starts_with(above) && *above != *name)
    });
    // A backslash hides a colon.
    let Some(common) =
        common.filter(|common| common.is_absolute() && names.len() > 1 && !lower.contains('\\'))
    else {
        return (None, data.join(","));
    };
    let below = |name: &&Path| name.strip_prefix(common).unwrap_or(name).to_string_lossy().into_owned();
    let shorter = names.iter().map(below).collect::<Vec<_>>().join(":");
    let option = |option: &String| {
        if option.starts_with(LOWER) { format!("{LOWER}{shorter}") } else { option.clone() }
    };
    (Some(common.to_owned()), data.iter().map(option).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use holm_runtime::oci::OciError;

    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flags_are_told_from_data() {
        let (flags, data) = options(&owned(&["rbind", "ro", "nosuid", "index=off", "lowerdir=/a"]));
        assert_eq!(flags, MsFlags::MS_REC | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID);
        assert_eq!(data, ["index=off", "lowerdir=/a"]);
    }

    #[test]
    fn many_layers_fit_on_a_page() {
        let layer =
            |n: usize| format!("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/{n}/fs");
        let lower: Vec<String> = (1..=127).map(layer).collect();
        let data = [format!("upperdir={}", layer(128)), format!("lowerdir={}", lower.join(":"))];
        let (directory, data) = shorten(&data);
        let directory = directory.unwrap();
        assert!(directory.ends_with("snapshots") && data.len() < 4096, "{data}");
        assert!(data.starts_with("upperdir=/var/lib") && data.ends_with(":126/fs:127/fs"), "{data}");
        let kept = owned(&["lowerdir=/a/fs", "upperdir=/b"]);
        assert_eq!(shorten(&kept), (None, "lowerdir=/a/fs,upperdir=/b".to_owned()));
        // One below another is not nothing.
        let nested = owned(&["lowerdir=/a/b/c:/a/b"]);
        assert_eq!(shorten(&nested), (Some("/a".into()), "lowerdir=b/c:b".to_owned()));
        assert_eq!(shorten(&owned(&["lowerdir=/a\\:b:/a/c"])).0, None);
    }

    #[test]
    fn file_systems_of_images_are_not_mounted_here() {
        let bundle = tempfile::tempdir().unwrap();
        let mount = |kind: &str| {
            let mut mount = Mount::new();
            (mount.type_, mount.source) = (kind.to_owned(), "/dev/mapper/x".to_owned());
            mount
        };
        let rootfs = Rootfs::mount(bundle.path(), &[mount("ext4")]).unwrap();
        assert!(rootfs.device.is_some());
        let other = Rootfs::mount(bundle.path(), &[mount("btrfs")]).unwrap_err();
        assert!(matches!(other, ShimError::Oci(OciError::Impossible(_))), "{other}");
        let several = Rootfs::mount(bundle.path(), &[mount("ext4"), mount("ext4")]).unwrap_err();
        assert!(matches!(several, ShimError::Impossible(_)), "{several}");
    }
}
