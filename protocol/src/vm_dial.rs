//! How a VMM reaches the host's programs that its guest calls: it asks the runtime for a connection.
//!
//! A pair of sequenced-packet sockets ([`crate::vm_config::VsockConfig::dial_fd`]), one request at a time:
//!
//! ```text
//!   VMM                        runtime
//!   port, 4 bytes LE  ────────►
//!                     ◄────────  CONNECTED and a connected stream socket, or REFUSED
//! ```
//!
//! Trust: the VMM may be in the guest's hands. It gets connections to the ports that the container was given, and nothing else.

/// The answer that has a socket with it.
pub const CONNECTED: u8 = 1;
/// Nobody listens there, or the VM may not call there.
pub const REFUSED: u8 = 0;
/// Length of a request in bytes.
pub const REQUEST_BYTES: usize = 4;
