//! Where a shim serves: a socket whose name nobody else has, and short enough for one.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// As containerd's own shims.
const DIRECTORY: &str = "/run/containerd/s";

/// The socket of one shim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(PathBuf);

impl Address {
    /// Of the shim of one container of one containerd.
    pub(crate) fn of(containerd: &str, namespace: &str, id: &str) -> Self {
        let name =
            Sha256::digest(Path::new(containerd).join(namespace).join(id).as_os_str().as_encoded_bytes());
        Self(Path::new(DIRECTORY).join(hex::encode(name)))
    }

    /// As containerd is told.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.0.display())
    }

    /// Whether somebody serves there.
    pub(crate) fn is_served(&self) -> bool {
        UnixStream::connect(&self.0).is_ok()
    }

    /// Takes the place of a shim that is gone.
    pub(crate) fn bind(&self) -> io::Result<UnixListener> {
        DirBuilder::new().recursive(true).mode(0o700).create(DIRECTORY)?;
        self.remove()?;
        let listener = UnixListener::bind(&self.0)?;
        // The directory may be one that others made.
        std::fs::set_permissions(&self.0, Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Removes the socket; fine when it is not there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_where_containerd_puts_its_own() {
        let address = Address::of("/run/containerd/containerd.sock", "default", "box");
        // echo -n /run/containerd/containerd.sock/default/box | sha256sum
        let name = "b6933325e7796c00f7def06680d4441edceafe6e24835729fba201193a7a8bf1";
        assert_eq!(address.url(), format!("unix:///run/containerd/s/{name}"));
        assert!(!address.is_served());
        assert_ne!(address, Address::of("/run/other.sock", "default", "box"));
    }
}
