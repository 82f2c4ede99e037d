//! The mounts of a container, in the spec's order (config.md "Mounts").
//!
//! Runs in the container's new mount namespace, before the root is changed: sources are looked up in the guest, targets
//! in the container's root ([`RootDir`]).

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use holm_protocol::agent::{SHARED_MEMORY, SHARES_DIRECTORY, VOLUMES_DIRECTORY};
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode};

use super::mount_options::{self, MountOptions};
use super::rootdir::{self, RootDir};
use crate::fault::{At, Fault};
use crate::mount_points::MountPoint;
use crate::oci;
use crate::sockets::HostSocket;
use crate::sys::mount_api::{self, FsContext};

/// A checked mount.
#[derive(Clone, Debug)]
pub(crate) struct MountPlan {
    pub(crate) destination: PathBuf,
    source: PathBuf,
    kind: String,
    options: MountOptions,
}

impl MountPlan {
    /// Checks one mount of the spec.
    pub(crate) fn new(mount: &oci::Mount) -> Result<Self, Fault> {
        let destination = mount.destination.clone();
        let options = mount_options::parse(&mount.options)?;
        if destination.components().count() < 2 {
            return Err(Fault::invalid(format!("mount on {:?}: not a path below the root", destination)));
        }
        if options.copy_up && mount.kind != "tmpfs" {
            return Err(Fault::invalid("mount option tmpcopyup is for a tmpfs"));
        }
        let kind = match mount.kind.as_str() {
            "bind" | "rbind" => String::new(),
            // There is no other version in the guest.
            "cgroup" => "cgroup2".to_owned(),
            kind => kind.to_owned(),
        };
        let bind = options.bind || mount.kind.ends_with("bind");
        let source = mount.source.clone().unwrap_or_else(|| PathBuf::from(&kind));
        if !bind && kind.is_empty() {
            return Err(Fault::invalid(format!("mount on {}: no type", destination.display())));
        }
        Ok(Self { destination, source, kind, options: MountOptions { bind, ..options } })
    }

    /// A bind mount of one of the guest's own files.
    pub(crate) fn bind_file(source: PathBuf, destination: PathBuf) -> Result<Self, Fault> {
        let options = mount_options::parse(&["bind".to_owned()])?;
        Ok(Self { destination, source, kind: String::new(), options })
    }

    /// What it needs in the tree that it is mounted into.
    pub(crate) fn point(&self) -> MountPoint {
        let is_directory = !self.options.bind || self.source.is_dir();
        MountPoint { path: self.destination.clone(), is_directory }
    }

    /// What is mounted; a path in the guest where it is a bind mount.
    pub(crate) fn source(&self) -> &Path {
        &self.source
    }

    /// Whether it is a directory or file of the host, or a volume.
    pub(crate) fn is_of_host(&self) -> bool {
        [SHARES_DIRECTORY, VOLUMES_DIRECTORY].iter().any(|directory| self.source.starts_with(directory))
    }

    /// The socket of the host that its source stands for.
    pub(crate) fn socket(&self) -> Option<HostSocket> {
        self.options.socket.filter(|_| self.options.bind)
    }

    /// Whether its source is filled from what it covers.
    pub(crate) fn is_filled(&self) -> bool {
        self.options.bind && self.options.fill
    }

    /// Whether it is a tmpfs that begins with what it covers.
    pub(crate) fn copies_up(&self) -> bool {
        self.options.copy_up
    }

    /// Whether it is shared memory that other containers may have, too; its source is the place.
    pub(crate) fn is_shared_memory(&self) -> bool {
        !self.options.bind && !self.options.copy_up && self.source.starts_with(SHARED_MEMORY)
    }

    /// Binds shared memory from its place, after it was made there if nobody did.
    pub(crate) fn share_at(&mut self, place: PathBuf, is_made: bool) -> Result<(), Fault> {
        self.source = "shm".into();
        if !is_made {
            return self.make_at(place, None);
        }
        self.source = place;
        self.options.bind = true;
        Ok(())
    }

    /// Makes the file system on a directory of the guest's, writable, and binds that from now on. `covered` is what it covers in the
    /// container.
    pub(crate) fn make_at(&mut self, place: PathBuf, covered: Option<&FileStat>) -> Result<(), Fault> {
        let what = format!("mounting {} on {}", self.source.display(), self.destination.display());
        let mount = self.file_system(&what, 0, covered)?;
        let target = nix::fcntl::open(&place, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).at(&what)?;
        mount_api::attach(mount.as_fd(), target.as_fd()).at(&what)?;
        self.source = place;
        self.options.bind = true;
        self.options.copy_up = false;
        Ok(())
    }

    /// Whether it is a bind mount on this path.
    pub(crate) fn binds(&self, path: &str) -> bool {
        self.options.bind && self.destination == Path::new(path)
    }

    /// Mounts it.
    pub(crate) fn apply(&self, root: &RootDir) -> Result<(), Fault> {
        let what = format!("mounting {} on {}", self.source.display(), self.destination.display());
        let (mount, target) =
            if self.options.bind { self.bind(root, &what)? } else { self.make(root, &what)? };
        mount_api::attach(mount.as_fd(), target.as_fd()).at(&what)?;
        for propagation in &self.options.propagation {
            let recursive = propagation & libc::MS_REC != 0;
            mount_api::set_attributes(mount.as_fd(), recursive, 0, 0, propagation & !libc::MS_REC)
                .at(&what)?;
        }
        Ok(())
    }

    /// A detached copy of something that the guest has.
    fn bind(&self, root: &RootDir, what: &str) -> Result<(OwnedFd, OwnedFd), Fault> {
        // A symbolic link that lies in a share is somebody else's, and would lead through the guest.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let source = nix::fcntl::open(&self.source, flags, Mode::empty()).refuse(what)?;
        let directory = rootdir::is_type(&rootdir::status(&source).at(what)?, libc::S_IFDIR);
        let target = if directory {
            root.make_directories(&self.destination)
        } else {
            root.make_file(&self.destination)
        };
        let target = target.at(what)?;
        let mount = mount_api::clone_tree(source.as_fd(), self.options.recursive_bind).at(what)?;
        let MountOptions { set, clear, recursive_set, recursive_clear, .. } = self.options;
        for (recursive, set, clear) in [(true, recursive_set, recursive_clear), (false, set, clear)] {
            if set | clear != 0 {
                mount_api::set_attributes(mount.as_fd(), recursive, set, clear & !set, 0).at(what)?;
            }
        }
        Ok((mount, target))
    }

    /// A new file system.
    fn make(&self, root: &RootDir, what: &str) -> Result<(OwnedFd, OwnedFd), Fault> {
        let existing = root.find(&self.destination).and_then(rootdir::status).ok();
        let target = root.make_directories(&self.destination).at(what)?;
        Ok((self.file_system(what, self.options.set, existing.as_ref())?, target))
    }

    /// A new file system that is nowhere yet, with these attributes of a mount.
    fn file_system(&self, what: &str, set: u32, covered: Option<&FileStat>) -> Result<OwnedFd, Fault> {
        let text = |text: &[u8]| CString::new(text).refuse(what);
        let context = FsContext::open(&text(self.kind.as_bytes())?).refuse(what)?;
        let configure = || -> Result<rustix::io::Result<OwnedFd>, Fault> {
            let mut done = context.set(c"source", &text(self.source.as_os_str().as_bytes())?);
            for (key, value) in &self.options.parameters {
                let key = text(key.as_bytes())?;
                done = done.and(match value {
                    Some(value) => context.set(&key, &text(value.as_bytes())?),
                    None => context.set_flag(&key),
                });
            }
            // What a tmpfs covers lends it its permissions, unless they are given.
            let given = self.options.parameters.iter().any(|(key, _)| key == "mode");
            if let (true, false, Some(covered)) = (self.kind == "tmpfs", given, covered) {
                done = done
                    .and(context.set(c"mode", &text(format!("{:o}", covered.st_mode & 0o7777).as_bytes())?));
            }
            // A file system that reached here unmountable with these attributes is not mounted without them.
            Ok(done.and_then(|()| context.mount(set)))
        };
        match configure()? {
            Ok(mount) => Ok(mount),
            Err(error) => Err(Fault::invalid(match context.complaint() {
                Some(complaint) => format!("{what}: {complaint}"),
                None => format!("{what}: {error}"),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Result<MountPlan, Fault> {
        MountPlan::new(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn mounts_are_checked() {
        assert!(plan(r#"{"destination": "/", "type": "tmpfs"}"#).is_err());
        assert!(plan(r#"{"destination": "/x"}"#).is_err());
        let cgroup =
            plan(r#"{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}"#).unwrap();
        assert_eq!(cgroup.kind, "cgroup2");
        let bind =
            plan(r#"{"destination": "/dev", "type": "bind", "source": "/x", "options": ["ro"]}"#).unwrap();
        assert!(bind.binds("/dev") && !bind.binds("/de"));
        let copied = r#"{"destination": "/run", "type": "KIND", "source": "x", "options": ["tmpcopyup"]}"#;
        assert!(plan(&copied.replace("KIND", "tmpfs")).unwrap().copies_up());
        assert!(plan(&copied.replace("KIND", "bind")).is_err());
        let by_option = plan(r#"{"destination": "/x", "source": "/y", "options": ["rbind"]}"#).unwrap();
        assert!(by_option.options.bind && by_option.options.recursive_bind);
    }
}
