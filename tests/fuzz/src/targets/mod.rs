//! The targets, by what they take for hostile.

mod block_queue;
mod fs_requests;
mod net_queue;

use crate::Target;

/// All of them.
pub const TARGETS: &[Target] = &[block_queue::TARGET, fs_requests::TARGET, net_queue::TARGET];
