//! Connections that are reset by what carries them, as vsock's are in a VM that goes on from a template.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{Shutdown, shutdown};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::watched::watched;

/// Sees a connection being reset. Linux reports an error then and nothing to read, which wakes no reader of tokio's.
pub(crate) struct ResetWatch(AsyncFd<OwnedFd>);

impl ResetWatch {
    /// Watches a descriptor of its own of the same connection.
    pub(crate) fn new(connection: &impl AsFd) -> io::Result<Self> {
        let own = connection.as_fd().try_clone_to_owned()?;
        watched(own, Interest::ERROR).map(Self)
    }

    /// Waits for the reset, and then ends the connection for those who read from it.
    pub(crate) async fn happened(&self) {
        // Fails only with the runtime.
        if self.0.ready(Interest::ERROR).await.is_ok() {
            shutdown(self.0.get_ref().as_raw_fd(), Shutdown::Both).unwrap_or_default();
        }
    }
}
