//! Names on networks that users made: what a container's resolver asks, answered by its own supervisor.
//!
//! ```text
//!   workload ── DNS ──> 127.0.0.11 in the container (agent) ── vsock ──> this service ──> who is on the network
//!                                                                           └── not known ──> the host's nameservers
//! ```
//!
//! Nothing listens on the host's networks for it, and no process outlives the containers
//! (docs/decisions/0019-names.md).
//!
//! Threads: one accepts, one per connection; at most [`MAX_CONNECTIONS`] of them. Trust: messages come from a guest; they are
//! parsed with bounds, and what is not understood gets no answer.

mod answer;
mod forward;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod zone;

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use holm_protocol::agent::{NAMES_OVER_TCP, NAMES_OVER_UDP};
use nix::sys::socket::{Shutdown, shutdown};

use super::endpoint::Endpoint;
use super::error::NetworkError;
use super::record::Network;
use super::store::NetworkStore;
use crate::container::{ContainerId, ContainerStore};
use answer::Decision;

/// Where a container asks.
pub const RESOLVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// More connections at a time than these are closed at once.
const MAX_CONNECTIONS: usize = 64;
/// How long a guest may keep a connection without asking.
const IDLE: Duration = Duration::from_secs(30);

/// What answers one container, for all networks that it is on at the moment.
#[derive(Debug)]
pub struct Names {
    /// Who asks.
    pub container: ContainerId,
    /// The endpoints.
    pub store: NetworkStore,
    /// Their containers.
    pub containers: ContainerStore,
    /// Who knows all others.
    pub nameservers: Vec<SocketAddr>,
}

/// Answers a container's questions. Ends with its value.
#[derive(Debug)]
pub struct NameService {
    listener: UnixListener,
}

/// What a question is answered; `None` when it is none.
type Reply = dyn Fn(&[u8], Transport) -> Option<Vec<u8>> + Send + Sync;

/// Over what the container was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

impl NameService {
    /// Has others asked, one after the other, from the network namespace of the calling thread. Listens on the unix socket `path`, to
    /// which the VMM connects the guest.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub(crate) fn forward(path: &Path, nameservers: Vec<SocketAddr>) -> io::Result<Self> {
        let reply = move |question: &[u8], transport| {
            forward::ask(question, &nameservers, transport).or_else(|| answer::failure(question))
        };
        Self::serve(path, Arc::new(reply))
    }

    fn serve(path: &Path, reply: Arc<Reply>) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let accepting = listener.try_clone()?;
        thread::spawn(move || {
            for connection in accepting.incoming() {
                let Ok(connection) = connection else { return };
                if Arc::strong_count(&reply) > MAX_CONNECTIONS {
                    continue;
                }
                let reply = Arc::clone(&reply);
                thread::spawn(move || {
                    if let Err(error) = converse(connection, &*reply) {
                        tracing::debug!(%error, "a container's question about names");
                    }
                });
            }
        });
        Ok(Self { listener })
    }
}

fn converse(mut connection: UnixStream, reply: &Reply) -> io::Result<()> {
    connection.set_read_timeout(Some(IDLE))?;
    connection.set_write_timeout(Some(IDLE))?;
    let mut over = [0];
    connection.read_exact(&mut over)?;
    let transport = match over {
        [NAMES_OVER_UDP] => Transport::Udp,
        [NAMES_OVER_TCP] => Transport::Tcp,
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    while let Some(question) = message::read(&mut connection)? {
        if let Some(reply) = reply(&question, transport) {
            message::write(&mut connection, &reply)?;
        }
    }
    Ok(())
}

impl Names {
    /// Listens on the unix socket `path`, to which the VMM connects the guest.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn serve(self, path: &Path) -> io::Result<NameService> {
        NameService::serve(path, Arc::new(move |question: &[u8], transport| self.reply(question, transport)))
    }

    fn reply(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let networks = self
            .networks()
            .inspect_err(|error| tracing::warn!(%error, "cannot tell which networks there are"))
            .unwrap_or_default();
        // The default network has no names.
        let with_names: Vec<Network> = networks.iter().filter(|n| !n.is_default()).cloned().collect();
        let zone = zone::of(&self.store, &self.containers, &with_names)
            .inspect_err(|error| tracing::warn!(%error, "cannot tell who is on the networks"))
            .unwrap_or_default();
        match answer::decide(question, &zone)? {
            Decision::Reply(reply) => Some(reply),
            // What has no way to the outside must not have one by asking, either.
            Decision::Forward if networks.iter().all(|network| network.internal) => answer::failure(question),
            Decision::Forward => {
                forward::ask(question, &self.nameservers, transport).or_else(|| answer::failure(question))
            }
        }
    }
}

impl Names {
    fn networks(&self) -> Result<Vec<Network>, NetworkError> {
        let endpoints = Endpoint::of(&self.store.directories, &self.container)?;
        let mut networks = self.store.read_all()?;
        networks.retain(|network| endpoints.iter().any(|endpoint| endpoint.network_id == network.id));
        Ok(networks)
    }
}

impl Drop for NameService {
    fn drop(&mut self) {
        // Wakes the thread that accepts; conversations end with the guest.
        let _ = shutdown(self.listener.as_raw_fd(), Shutdown::Both);
    }
}
