//! virtio-vsock: streams between programs in the guest and programs on the host (virtio 1.2 section 5.10).
//!
//! The host's side is unix sockets (see [`VsockConfig`](holm_protocol::vm_config::VsockConfig)); no vhost, no AF_VSOCK on
//! the host, so that guests need no host-wide numbers and cannot reach each other.
//!
//! ```text
//!   guest           this process (the event loop)                                    host
//!   ─────           ─────────────────────────────                                    ────
//!   tx queue ─► device ─► connections ─┬─► connection ═══ unix socket ═══════════════ a program that called `socket`
//!   rx queue ◄─ device ◄─ (round robin)└─► connection ═══ unix socket ═══════════════ a program that the guest called
//!                             ▲ listener (CONNECT)   ▲ dialler (asks the host to connect, for the allowed ports)
//! ```
//!
//! Data moves between guest memory and the sockets directly. What a socket does not take at once is kept, within what
//! `credit` promised the guest.
//!
//! Threads: the event loop; the vCPU threads only for configuration, activation and reset. Trust: none in the guest; the
//! programs behind the sockets are the host's, but may be slow, wrong or gone.
//!
//! What the guest can make of it: nothing but its own connections' end. Rings and descriptors that break the rules stop
//! the device until it is reset; packets that do end their connection; memory, descriptors and time per turn are bounded
//! (`connections`, `credit`, `device`).

mod connection;
mod connections;
mod credit;
mod device;
mod dialler;
mod listener;
mod packet;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

pub use device::Vsock;
pub use state::VsockState;

/// Why the device cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VsockError {
    /// A socket's path cannot be used.
    #[error("vsock socket {path:?}")]
    Path {
        /// The path.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The place of the listening socket is taken by something else, which is left alone.
    #[error("vsock socket {0:?}: a file that is not a socket is there")]
    NotASocket(PathBuf),
    /// The channel on which the host is asked for connections.
    #[error("the channel for the guest's calls")]
    DialChannel(#[source] io::Error),
    /// An eventfd or timerfd cannot be made.
    #[error("vsock events")]
    Event(#[source] io::Error),
}
