//! Threads with a small stack.
//!
//! The standard 2 MiB stack is one transparent huge page on many hosts, so a thread that touches a few KiB would hold 2 MiB
//! of memory. Nothing here recurses or keeps large values.

use std::io::{self, Write};
use std::thread::{Builder, JoinHandle};

use holm_protocol::causes::with_causes;
use holm_protocol::vm_exit::VmExit;

use crate::jail::{self, JailError, Role};

/// Enough for the deepest call (a configuration error's formatting) many times over.
const STACK_BYTES: usize = 256 << 10;

/// Starts a named thread of a role, by whose filter it is confined; without a role, it is not. A process that cannot confine a
/// thread ends.
///
/// # Errors
/// The host has no thread for it.
pub fn spawn<T: Send + 'static>(
    name: String,
    role: Option<Role>,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let confined = move || {
        if let Some(Err(error)) = role.map(jail::confine_this_thread) {
            end_process(&error);
        }
        body()
    };
    Builder::new().name(name).stack_size(STACK_BYTES).spawn(confined)
}

fn end_process(error: &JailError) -> ! {
    let exit = VmExit::Internal(with_causes(error));
    // Nobody may be listening any more; the status still tells.
    let _ = writeln!(io::stderr(), "holm-vmm: {exit}");
    std::process::exit(exit.status().into());
}
