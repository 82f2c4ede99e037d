//! The network device (virtio 1.2 section 5.1) over a TAP interface or a stream socket: a pair of queues for each
//! of a TAP's queues.
//!
//! - `config`: what the driver reads, and which features are offered.
//! - `header`: `struct virtio_net_hdr`, checked: a guest may only ask for the offloads that it negotiated.
//! - `limit`: how fast frames may pass.
//! - `link`: what the device needs of the other end; `tap`, `stream`: the two kinds that there are; `severed`: none.
//! - `fence`: which frames may leave over a stream.
//! - `receive`, `transmit`: one frame between queue and link.
//! - `used`: used buffers of one frame, published together.
//! - `pair`: two queues and their link, events, rounds.
//! - `control`: commands of the control queue.
//! - `device`: all pairs.
//!
//! Offloads: the kernel's TAP speaks `struct virtio_net_hdr` itself, so checksums and segments of up to 64 KiB pass between
//! guest and host kernel without being computed or cut. Over a stream there are none.
//!
//! Each pair has an event loop, and so a thread, of its own; the first one's serves the control queue, too. A round moves at most one ring's worth of frames in each
//! direction before the other direction has its turn.

mod config;
mod control;
mod device;
mod fence;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod header;
mod limit;
mod link;
mod pair;
mod receive;
mod severed;
mod state;
mod stream;
mod tap;
mod transmit;
mod used;

#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

pub use device::{Net, NetError};
pub use link::{Link, LinkError};
pub use severed::Severed;
pub use state::NetState;
pub use stream::Stream;
pub use tap::Tap;

/// Longest frame: an IP packet of 64 KiB, as segmentation offloads make it, behind an Ethernet header with a VLAN tag.
const MAX_FRAME_BYTES: usize = 65_535 + 18;
