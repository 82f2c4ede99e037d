//! The file system device (virtio 1.2 section 5.11): directories and files of the host, by FUSE requests.
//!
//! - `config`: what the driver reads about the device.
//! - `message`: the frame of a FUSE request, and the answer to one that cannot be served.
//! - `shares`: the tree that the guest sees, and every rule about what it may do in it.
//! - `share`: one directory of the host, or one file in it.
//! - `ledger`: what the guest holds on to, counted and bounded.
//! - `names`: which names and extended attributes there are.
//! - `owners`: whose files are, where the host cannot give them away.
//! - `thread`: what the thread that serves must be.
//! - `device`: queue, request, tree, answer.
//!
//! One device carries all shares of a VM: its root holds an entry `0`, `1`, ... for each
//! (docs/decisions/0018-shares.md). FUSE is parsed and files are served by fuse-backend-rs, which is handed nothing that
//! `shares` has not checked: it would follow `..` out of a directory that was moved meanwhile, and it has no notion of
//! read-only, of single files and of limits.
//!
//! # Trust
//! The guest is hostile. It names a file by the directory that it has and one name in it; no name has a `/` in it or is `.`
//! or `..`, and nothing follows a symbolic link on the host. Only regular files and directories are ever opened, so no
//! FIFO blocks and no device of the host is reached. The host's other processes may change the tree at any time.
//!
//! # Threads
//! An event loop, and so a thread, of its own, that has its own umask and makes files as the guest's user.

mod config;
mod device;
mod ledger;
mod message;
mod names;
mod owners;
mod share;
mod shares;
mod state;
mod thread;

#[cfg(test)]
mod tests;

pub use device::{Fs, FsError};
pub use state::FsState;
