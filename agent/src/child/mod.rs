//! The forked side: code that runs in a container's namespaces between clone and execve.
//!
//! ```text
//! agent                                  child
//!   clone3 ---------------------------->  container::run or process::run
//!                                           set up namespaces, mounts, terminal, user
//!   <--- ready (and the terminal) --------  channel
//!   ... CreateContainer replies ...
//!   ---- start ------------------------->
//!                                           startContainer hooks, seccomp, capabilities, execve
//!   <--- end of file (started) -----------
//!   <--- or a fault, at any time ---------  and exits
//! ```
//!
//! The child is single-threaded like the agent, so it may allocate; it never returns and never touches the async
//! runtime that it has a copy of. Until execve it is not dumpable, so nobody in the container can look into it.

pub(crate) mod channel;
pub(crate) mod container;
mod finish;
mod init;
pub(crate) mod process;
mod start_hooks;
mod stdio;
mod terminal;
mod workdir;

pub(crate) use stdio::ChildStdio;

/// Exit status of a child whose set-up failed; nobody sees it, the fault was reported.
const SETUP_FAILED: i32 = 125;
