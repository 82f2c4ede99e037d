//! A container's root file system: the image below, what the container writes above.
//!
//! ```text
//! /run/<container id>/image      EROFS disk, read-only; or a directory of the host's, shared for reading
//!                    /stubs      what the image lacks to mount on, see [`crate::mount_points`]
//!                    /writable   ext4 disk or tmpfs: upper/ and work/
//!                    /root       overlay of the two; the container's /
//!                    /view      the root once more, with the host's directories and files in it
//!                    /files      what the engine binds over paths of the container
//! ```
//!
//! Or a directory of the host's alone, bound on `/root` as it is, or an ext4 disk alone, mounted there: places to mount on are made in
//! it, as every OCI runtime does, and its files are transferred by the host.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use holm_protocol::agent::messages;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::boot::RUN;
use crate::container::mounts::MountPlan;
use crate::container::rootdir::RootDir;
use crate::disk;
use crate::fault::{At, Fault};
use crate::files::Layers;
use crate::mount_points::{self, MountPoint};

/// The mounts of one container; unmounted by [`Rootfs::unmount`], not on drop.
pub(crate) struct Rootfs {
    directory: PathBuf,
    /// In the order of mounting.
    mounted: Vec<PathBuf>,
    has_image: bool,
    has_view: bool,
    /// Whether it is a directory of the host's, or a disk, as it is.
    is_whole: bool,
    stubs: Vec<PathBuf>,
}

impl Rootfs {
    /// Mounts the disks (see `protocol/proto/agent.proto`) and the overlay, in which there is something to mount on at each of
    /// `points`; or the directory.
    pub(crate) fn mount(
        container_id: &str,
        of: &messages::Rootfs,
        points: &[MountPoint],
    ) -> Result<Self, Fault> {
        let directory = Path::new(RUN).join(container_id);
        fs::DirBuilder::new().mode(0o700).create(&directory).at("making the container's directory")?;
        let is_disk = !of.root_disk.is_empty();
        let is_whole = is_disk || (!of.directory.is_empty() && of.writable_disk.is_empty());
        let has_lower = !(of.image_disk.is_empty() && of.directory.is_empty());
        let has_image = has_lower && !is_whole;
        let mut rootfs =
            Self { directory, mounted: Vec::new(), has_image, has_view: false, is_whole, stubs: Vec::new() };
        let mounted = if is_disk {
            rootfs.mount_disk(&of.root_disk, "root")
        } else if is_whole {
            rootfs.mount_one(Path::new(&of.directory), "root", "", MsFlags::MS_BIND, "")
        } else {
            rootfs.mount_layers(of, points)
        };
        if let Err(fault) = mounted {
            rootfs.unmount();
            return Err(fault);
        }
        Ok(rootfs)
    }

    /// The container's future `/`.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// Where its files are, for those that transfer them.
    pub(crate) fn layers(&self) -> Layers {
        Layers {
            image: self.has_image.then(|| self.directory.join("image")),
            upper: self.directory.join("writable/upper"),
            root: self.path(),
            view: if self.has_view { self.directory.join("view") } else { self.path() },
            stubs: self.stubs.clone(),
        }
    }

    /// Mounts the root once more, with those of `mounts` in it that are the host's: that is what files are copied from and
    /// to. What is mounted elsewhere (in a tmpfs of the container's) is left out.
    pub(crate) fn mount_view(&mut self, mounts: &[MountPlan]) -> Result<(), Fault> {
        let shares: Vec<_> = mounts.iter().filter(|mount| mount.is_of_host()).collect();
        if self.is_whole || shares.is_empty() {
            return Ok(());
        }
        self.mount_one(&self.path(), "view", "", MsFlags::MS_BIND, "")?;
        self.has_view = true;
        let root = RootDir::open(&self.directory.join("view")).at("opening the view of the root")?;
        for share in shares {
            if root.find(&share.destination).is_ok() {
                share.apply(&root)?;
            }
        }
        Ok(())
    }

    /// A directory in the guest's memory for files of the container's that are not in its layers.
    pub(crate) fn make_files_directory(&self) -> Result<PathBuf, Fault> {
        let directory = self.directory.join("files");
        fs::DirBuilder::new().mode(0o700).create(&directory).at("making the directory for engine files")?;
        Ok(directory)
    }

    fn mount_layers(&mut self, of: &messages::Rootfs, points: &[MountPoint]) -> Result<(), Fault> {
        let image_dir = self.directory.join("image");
        if !of.image_disk.is_empty() {
            self.mount_one(&disk::find(&of.image_disk)?, "image", "erofs", MsFlags::MS_RDONLY, "")?;
        } else if self.has_image {
            self.mount_one(Path::new(&of.directory), "image", "", MsFlags::MS_BIND, "")?;
        }
        if of.writable_disk.is_empty() {
            self.mount_one(Path::new("tmpfs"), "writable", "tmpfs", MsFlags::empty(), "mode=0700")?;
        } else {
            self.mount_disk(&of.writable_disk, "writable")?;
        }
        let (upper, work) = (self.directory.join("writable/upper"), self.directory.join("writable/work"));
        if !upper.exists() {
            make_upper(&upper, self.has_image.then_some(&image_dir))?;
        }
        if !work.exists() {
            fs::DirBuilder::new().mode(0o700).create(&work).at("making the overlay's work directory")?;
        }
        if !self.has_image {
            return self.mount_one(&upper, "root", "", MsFlags::MS_BIND, "");
        }
        let stubs_dir = self.directory.join("stubs");
        fs::DirBuilder::new().mode(0o755).create(&stubs_dir).at("making the directory of mount points")?;
        self.stubs = mount_points::make_missing(&image_dir, &stubs_dir, points)?;
        let lower = if self.stubs.is_empty() {
            image_dir.display().to_string()
        } else {
            format!("{}:{}", stubs_dir.display(), image_dir.display())
        };
        // As Docker: no index, no metacopy, no redirected directories. Not xino: it would give every file of the image an
        // inode number above 2^63, which collides in programs that keep it as a double or a signed number. The price is
        // that files of the image and new ones report different devices, as in every overlay of two file systems.
        let options = format!(
            "lowerdir={lower},upperdir={},workdir={},index=off,metacopy=off,redirect_dir=off,xino=off",
            upper.display(),
            work.display()
        );
        self.mount_one(Path::new("overlay"), "root", "overlay", MsFlags::empty(), &options)
    }

    /// Mounts an ext4 disk.
    fn mount_disk(&mut self, serial: &str, name: &str) -> Result<(), Fault> {
        let target = self.directory.join(name);
        fs::create_dir(&target).at(format_args!("making {}", target.display()))?;
        disk::mount_ext4(&disk::find(serial)?, &target)?;
        self.mounted.push(target);
        Ok(())
    }

    fn mount_one(
        &mut self,
        source: &Path,
        name: &str,
        kind: &str,
        flags: MsFlags,
        options: &str,
    ) -> Result<(), Fault> {
        let target = self.directory.join(name);
        fs::create_dir(&target).at(format_args!("making {}", target.display()))?;
        mount(Some(source), &target, Some(kind), flags, Some(options)).at(format_args!(
            "mounting the {name} of the container ({} on {})",
            kind,
            source.display()
        ))?;
        self.mounted.push(target);
        Ok(())
    }

    /// Unmounts everything, last first, and writes back what was written. Processes that still hold on to a mount keep
    /// it until they end, but its data is on disk.
    pub(crate) fn unmount(&mut self) {
        while let Some(target) = self.mounted.pop() {
            if umount2(&target, MntFlags::empty()).is_ok() {
                continue;
            }
            if let Ok(directory) = File::open(&target) {
                nix::unistd::syncfs(&directory).unwrap_or_default();
            }
            if let Err(error) = umount2(&target, MntFlags::MNT_DETACH) {
                tracing::warn!("cannot unmount {}: {error}", target.display());
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.directory) {
            tracing::warn!("cannot remove {}: {error}", self.directory.display());
        }
    }
}

/// Makes the upper directory. It is what is seen of `/` itself, so it takes over mode, owner and time of the image's.
fn make_upper(upper: &Path, image: Option<&PathBuf>) -> Result<(), Fault> {
    let what = "making the overlay's upper directory";
    fs::DirBuilder::new().mode(0o755).create(upper).at(what)?;
    let Some(image) = image else { return Ok(()) };
    let like = fs::metadata(image).at(what)?;
    chown(upper, Some(like.uid()), Some(like.gid())).at(what)?;
    fs::set_permissions(upper, fs::Permissions::from_mode(like.mode() & 0o7777)).at(what)?;
    let modified = like.modified().at(what)?;
    File::open(upper).and_then(|upper| upper.set_times(FileTimes::new().set_modified(modified))).at(what)
}
