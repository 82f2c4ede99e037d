//! Unix sockets of the host on paths of the container: the agent listens where the host's socket would be, and carries each
//! connection over vsock to the host, whose VMM connects it to the real one.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use holm_protocol::agent::SOCKETS_DIRECTORY;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::sleep;
use tokio_vsock::{VMADDR_CID_HOST, VsockAddr, VsockStream};

use crate::container::mounts::MountPlan;
use crate::fault::{At, Fault};

/// Pause when a connection cannot be accepted: the guest is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket as the host describes it: `PORT:MODE:UID:GID`, the mode in octal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostSocket {
    port: u32,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl FromStr for HostSocket {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let mut parts = text.split(':');
        let mut number = |radix| u32::from_str_radix(parts.next().unwrap_or_default(), radix);
        let mut parse =
            || Ok(Self { port: number(10)?, mode: number(8)?, uid: number(10)?, gid: number(10)? });
        parse().map_err(|_: std::num::ParseIntError| Fault::invalid(format!("socket {text:?} is malformed")))
    }
}

/// Listens for those of `mounts` that are sockets of the host, for as long as the guest lives.
pub(crate) fn listen_for(mounts: &[MountPlan]) -> Result<(), Fault> {
    for (path, socket) in mounts.iter().filter_map(|mount| Some((mount.source(), mount.socket()?))) {
        listen(path, socket).at(format_args!("listening on {}", path.display()))?;
    }
    Ok(())
}

fn listen(path: &Path, socket: HostSocket) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(SOCKETS_DIRECTORY)?;
    if path.exists() {
        return Ok(());
    }
    let listener = UnixListener::bind(path)?;
    chown(path, Some(socket.uid), Some(socket.gid))?;
    fs::set_permissions(path, fs::Permissions::from_mode(socket.mode & 0o777))?;
    tokio::spawn(accept(listener, socket.port));
    Ok(())
}

async fn accept(listener: UnixListener, port: u32) {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => drop(tokio::spawn(carry(connection, port))),
            Err(error) => {
                tracing::warn!("accepting a connection for the host: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Carries one connection until both sides have ended it. A host whose socket nobody listens on ends it at once.
async fn carry(mut here: UnixStream, port: u32) {
    let host = VsockStream::connect(VsockAddr::new(VMADDR_CID_HOST, port)).await;
    let carried = match host {
        Ok(mut host) => copy_bidirectional(&mut here, &mut host).await.map(drop),
        Err(error) => Err(error),
    };
    if let Err(error) = carried {
        tracing::debug!("a connection to a socket of the host: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_described_in_full_or_not_at_all() {
        let socket: HostSocket = "2048:660:0:999".parse().unwrap();
        assert_eq!(socket, HostSocket { port: 2048, mode: 0o660, uid: 0, gid: 999 });
        for text in ["", "1", "2048:660:0", "a:660:0:0", "2048:999:0:0"] {
            assert!(text.parse::<HostSocket>().is_err(), "{text}");
        }
    }
}
