//! Device nodes and links in /dev (config-linux.md "Devices", "Default Devices", "/dev symbolic links").

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, makedev, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};

use super::rootdir::{self, RootDir};
use crate::fault::{At, Fault};
use crate::oci;

/// A checked device node.
#[derive(Clone, Debug)]
pub(crate) struct DeviceNode {
    path: PathBuf,
    kind: SFlag,
    number: libc::dev_t,
    mode: Mode,
    uid: u32,
    gid: u32,
}

/// Character devices that every container has: path, major, minor.
const DEFAULTS: [(&str, u64, u64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    // The container's own pts instance, not the guest's.
    ("/dev/ptmx", "pts/ptmx"),
];

const DEFAULT_MODE: u32 = 0o666;

/// Checks the spec's devices and adds the default ones that it does not name.
pub(crate) fn plan(devices: &[oci::Device]) -> Result<Vec<DeviceNode>, Fault> {
    let mut nodes = devices.iter().map(check).collect::<Result<Vec<_>, _>>()?;
    for (path, major, minor) in DEFAULTS {
        if !nodes.iter().any(|node| node.path == Path::new(path)) {
            nodes.push(DeviceNode {
                path: path.into(),
                kind: SFlag::S_IFCHR,
                number: makedev(major, minor),
                mode: Mode::from_bits_truncate(DEFAULT_MODE),
                uid: 0,
                gid: 0,
            });
        }
    }
    Ok(nodes)
}

fn check(device: &oci::Device) -> Result<DeviceNode, Fault> {
    let kind = match device.kind.as_str() {
        "c" | "u" => SFlag::S_IFCHR,
        "b" => SFlag::S_IFBLK,
        "p" => SFlag::S_IFIFO,
        other => {
            return Err(Fault::invalid(format!(
                "device {} has unknown type {other:?}",
                device.path.display()
            )));
        }
    };
    Ok(DeviceNode {
        path: device.path.clone(),
        kind,
        number: makedev(device.major, device.minor),
        mode: Mode::from_bits_truncate(device.file_mode.unwrap_or(DEFAULT_MODE) & 0o7777),
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

impl DeviceNode {
    /// Makes the node; one that exists already (from the image or a mount) stays. Needs umask 0.
    pub(crate) fn make(&self, root: &RootDir) -> Result<(), Fault> {
        let what = format_args!("making device {}", self.path.display()).to_string();
        let (parent, name) = root.make_parent(&self.path).at(&what)?;
        match mknodat(&parent, name.as_os_str(), self.kind, self.mode, self.number) {
            Err(Errno::EEXIST) => return Ok(()),
            made => made.at(&what)?,
        }
        if (self.uid, self.gid) != (0, 0) {
            let (uid, gid) = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
            fchownat(&parent, name.as_os_str(), uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW).at(&what)?;
        }
        Ok(())
    }
}

/// Makes the links of /dev that are missing; /dev/ptmx is always replaced.
pub(crate) fn make_links(root: &RootDir) -> Result<(), Fault> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let dev = match root.open_with(Path::new("/dev"), flags) {
        Err(Errno::ENOENT) => return Ok(()),
        found => found.at("opening /dev of the container")?,
    };
    for (link, target) in LINKS {
        let name = Path::new(link).file_name().unwrap_or_default();
        if name == "ptmx" {
            match unlinkat(&dev, name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                // A mount, or a read-only /dev of the image: then it is the spec's own business.
                Err(error) => tracing::debug!("keeping {link}: {error}"),
            }
        }
        match symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(Fault::internal(format!("making link {link}: {error}"))),
        }
    }
    Ok(())
}

/// Whether a descriptor is the character device of this number.
pub(crate) fn is_character_device(file: impl AsFd, major: u64, minor: u64) -> bool {
    rootdir::status(file).is_ok_and(|status| {
        rootdir::is_type(&status, libc::S_IFCHR) && status.st_rdev == makedev(major, minor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_added_once() {
        let own = r#"[{"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 384, "uid": 5},
                      {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]"#;
        let nodes = plan(&serde_json::from_str::<Vec<_>>(own).unwrap()).unwrap();
        assert_eq!(nodes.len(), DEFAULTS.len() + 1);
        let null = nodes.iter().find(|node| node.path == Path::new("/dev/null")).unwrap();
        assert_eq!((null.mode.bits(), null.uid), (0o600, 5));
    }

    #[test]
    fn unknown_kinds_are_refused() {
        let odd = r#"[{"path": "/dev/x", "type": "q"}]"#;
        assert!(plan(&serde_json::from_str::<Vec<_>>(odd).unwrap()).is_err());
    }
}
