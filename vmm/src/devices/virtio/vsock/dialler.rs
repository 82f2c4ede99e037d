//! Where the guest may call: the host's unix sockets behind the allowed ports.
//!
//! Trust: the guest chooses the port, and only from the list; paths come from the host's configuration.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::VsockError;

/// The list of ports.
#[derive(Debug)]
pub(super) struct Dialler {
    targets: HashMap<u32, UnixAddr>,
}

impl Dialler {
    /// `<socket>_<port>` for each port. Nothing is opened: a program may begin to listen later.
    pub(super) fn new(path: &Path, ports: &[u32]) -> Result<Self, VsockError> {
        let target = |port: &u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!("_{port}"));
            let path = PathBuf::from(name);
            let address = UnixAddr::new(&path)
                .map_err(|error| VsockError::Path { path: path.clone(), source: error.into() })?;
            Ok((*port, address))
        };
        Ok(Self { targets: ports.iter().map(target).collect::<Result<_, VsockError>>()? })
    }

    /// Whether the port is in the list.
    pub(super) fn allows(&self, port: u32) -> bool {
        self.targets.contains_key(&port)
    }

    /// Connects without waiting. `None` when the port is not allowed, nobody listens there, the listener's queue is full
    /// or the process is out of descriptors: all the same to the guest.
    pub(super) fn dial(&self, port: u32) -> Option<UnixStream> {
        let address = self.targets.get(&port)?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
        connect(fd.as_raw_fd(), address).ok()?;
        Some(UnixStream::from(fd))
    }
}
