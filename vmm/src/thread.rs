//! Threads with a small stack.
//!
//! The standard 2 MiB stack is one transparent huge page on many hosts, so a thread that touches a few KiB would hold 2 MiB
//! of memory. Nothing here recurses or keeps large values.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Enough for the deepest call (a configuration error's formatting) many times over.
const STACK_BYTES: usize = 256 << 10;

/// Starts a named thread.
///
/// # Errors
/// The host has no thread for it.
pub fn spawn<T: Send + 'static>(
    name: String,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name).stack_size(STACK_BYTES).spawn(body)
}
