//! `--device /dev/fuse`: a device of the guest's kernel that containers do not have by themselves.

use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A device, with Docker's names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GuestDevice {
    /// What it is called, in a guest as on a host.
    pub path_on_host: String,
    /// Where the container has it, absolute.
    pub path_in_container: String,
    /// What may be done with it: of `r`, `w` and `m`.
    pub cgroup_permissions: String,
}

/// A character device that does the same in a guest as on a host, under the same numbers.
struct Known {
    path: &'static str,
    major: i64,
    minor: i64,
    /// Of its node on usual hosts.
    mode: u32,
}

const fn known(path: &'static str, major: i64, minor: i64, mode: u32) -> Known {
    Known { path, major, minor, mode }
}

const KNOWN: [Known; 10] = [
    known("/dev/null", 1, 3, 0o666),
    known("/dev/zero", 1, 5, 0o666),
    known("/dev/full", 1, 7, 0o666),
    known("/dev/random", 1, 8, 0o666),
    known("/dev/urandom", 1, 9, 0o666),
    known("/dev/kmsg", 1, 11, 0o644),
    known("/dev/tty", 5, 0, 0o666),
    known("/dev/fuse", 10, 229, 0o666),
    known("/dev/net/tun", 10, 200, 0o666),
    known("/dev/loop-control", 10, 237, 0o660),
];

/// Memory and terminals: all of these.
const GUESTS_MAJORS: [i64; 2] = [1, 5];

/// Why a device is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GuestDeviceError {
    /// Not `PATH[:PATH][:PERMISSIONS]`.
    #[error(
        "invalid device {0:?}: want PATH[:PATH IN THE CONTAINER][:PERMISSIONS], with permissions of r, w and m"
    )]
    Malformed(String),
    /// One of the host's.
    #[error(
        "device {0} is not supported: a container has a kernel of its own, which has none of the host's devices; there are \
         /dev/fuse and /dev/net/tun, and -v shares files and directories"
    )]
    OfTheHost(String),
}

/// Whether a character device of these numbers does in a guest what it does on a host.
#[must_use]
pub fn is_guests(major: i64, minor: i64) -> bool {
    GUESTS_MAJORS.contains(&major) || KNOWN.iter().any(|known| (known.major, known.minor) == (major, minor))
}

impl GuestDevice {
    /// Those that containers have with `--privileged`, beside the ones that all have.
    pub fn of_privileged() -> impl Iterator<Item = Self> {
        ["/dev/kmsg", "/dev/fuse", "/dev/net/tun", "/dev/loop-control"].into_iter().map(|path| Self {
            path_on_host: path.to_owned(),
            path_in_container: path.to_owned(),
            cgroup_permissions: "rwm".to_owned(),
        })
    }

    /// Major and minor number of the character device; `None` for one that no guest has, as of a record that was changed by hand.
    #[must_use]
    pub fn numbers(&self) -> Option<(i64, i64)> {
        self.known().map(|known| (known.major, known.minor))
    }

    /// Permissions of its node.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.known().map_or(0, |known| known.mode)
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN.iter().find(|known| known.path == self.path_on_host)
    }
}

impl FromStr for GuestDevice {
    type Err = GuestDeviceError;

    fn from_str(text: &str) -> Result<Self, GuestDeviceError> {
        let malformed = || GuestDeviceError::Malformed(text.to_owned());
        let is_absolute = |path: &str| Path::new(path).is_absolute();
        let are_permissions = |word: &str| {
            (1..=3).contains(&word.len())
                && word
                    .bytes()
                    .enumerate()
                    .all(|(at, b)| b"rwm".contains(&b) && word.bytes().skip(at + 1).all(|c| c != b))
        };
        let words: Vec<_> = text.split(':').collect();
        let (path, inside, permissions) = match words.as_slice() {
            [path] => (*path, *path, "rwm"),
            [path, inside] if is_absolute(inside) => (*path, *inside, "rwm"),
            [path, permissions] => (*path, *path, *permissions),
            [path, inside, permissions] => (*path, *inside, *permissions),
            _ => return Err(malformed()),
        };
        if !is_absolute(path) || !is_absolute(inside) || !are_permissions(permissions) {
            return Err(malformed());
        }
        let device = Self {
            path_on_host: path.to_owned(),
            path_in_container: inside.to_owned(),
            cgroup_permissions: permissions.to_owned(),
        };
        if device.numbers().is_none() {
            return Err(GuestDeviceError::OfTheHost(path.to_owned()));
        }
        Ok(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_dockers() {
        let parsed = |text: &str| {
            let device: GuestDevice = text.parse().unwrap();
            (device.path_in_container.clone(), device.cgroup_permissions.clone(), device.numbers())
        };
        assert_eq!(parsed("/dev/fuse"), ("/dev/fuse".into(), "rwm".into(), Some((10, 229))));
        assert_eq!(parsed("/dev/fuse:r"), ("/dev/fuse".into(), "r".into(), Some((10, 229))));
        assert_eq!(parsed("/dev/net/tun:/dev/vpn"), ("/dev/vpn".into(), "rwm".into(), Some((10, 200))));
        assert_eq!(parsed("/dev/fuse:/dev/f:mr").1, "mr");
    }

    #[test]
    fn the_hosts_devices_and_nonsense_are_refused() {
        assert_eq!("/dev/sda".parse::<GuestDevice>(), Err(GuestDeviceError::OfTheHost("/dev/sda".into())));
        for text in
            ["", "fuse", "/dev/fuse:x", "/dev/fuse:rr", "/dev/fuse:", "/dev/fuse:a:r", "/dev/fuse:/a:r:w"]
        {
            assert_eq!(text.parse::<GuestDevice>(), Err(GuestDeviceError::Malformed(text.into())), "{text}");
        }
        assert!(
            is_guests(1, 11)
                && is_guests(5, 2)
                && is_guests(10, 229)
                && !is_guests(10, 232)
                && !is_guests(8, 0)
        );
    }
}
