//! The memory balloon device (virtio 1.2 section 5.5), for one purpose: what the guest frees goes back to the host.
//!
//! With `VIRTIO_BALLOON_F_PAGE_REPORTING` the guest's kernel reports, every two seconds, large pieces of memory that nobody
//! uses, and does not touch them until the device has answered. The device discards them: the host takes its pages back,
//! and the guest finds zeroes when it uses the memory again.
//!
//! ```text
//!   guest frees ──> (2 s) ──> chain of free pieces ──> discarded ──> answered ──> guest may use them again
//! ```
//!
//! The balloon itself stays empty: its target is always zero, so the guest is never asked for memory that it uses
//! (docs/decisions/0021-balloon.md). A guest that inflates it all the same is answered and gets nothing for it.
//!
//! Served by the main event loop. A guest that reports memory in use loses what was in it, and nobody else anything: each
//! piece is checked to be guest memory, and discarding more than was there costs the host less than the guest paid for it.

mod device;
mod state;

#[cfg(test)]
mod tests;

pub use device::{Balloon, BalloonError};
pub use state::BalloonState;
