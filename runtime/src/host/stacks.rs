//! Stacks of a process that lives as long as its container.

use std::process::Command;

/// What the standard library reads when it starts its first thread.
const VARIABLE: &str = "RUST_MIN_STACK";
/// Many times what any thread of a supervisor was seen to use.
const STACK_BYTES: u32 = 512 << 10;

/// Has a program start its threads with small stacks. The standard 2 MiB are one transparent huge page on many hosts, so each thread that
/// touches a few KiB would hold 2 MiB of memory.
pub(crate) fn small_stacks(command: &mut Command) -> &mut Command {
    command.env(VARIABLE, STACK_BYTES.to_string())
}
