//! The file system device (virtio 1.2 section 5.11): directories and files of the host, by FUSE requests.
//!
//! - `config`: what the driver reads about the device.
//! - `message`: the frame of a FUSE request and of its answer, and who serves which.
//! - `shares`: the tree that the guest sees, and every rule about what it may do in it.
//! - `roots`: which directories are shared, now.
//! - `share`: one directory of the host, or one file in it.
//! - `files`: the inodes and open files of a share, and all that is done with them.
//! - `inodes`: which inodes the guest knows, by number.
//! - `status`: what stat(2) says, in the protocol's types.
//! - `user`: doing something as a user of the guest's.
//! - `locks`: locks of the host's files, without waiting.
//! - `waiting`: requests that wait, for locks that somebody else has and for what changes on the host.
//! - `watches`: which inodes the guest watches, and what others do to them.
//! - `changes`: what the guest is told of that.
//! - `ledger`: what the guest holds on to, counted and bounded.
//! - `names`: which names and extended attributes there are.
//! - `owners`: whose files are, where the host cannot give them away.
//! - `thread`: what the thread that serves must be.
//! - `device`: queue, request, tree, answer.
//!
//! One device carries all shares of a VM: its root holds an entry `0`, `1`, ... for each
//! (docs/decisions/0018-shares.md). fuse-backend-rs parses what it knows of FUSE and asks `shares`, as `device` does for the
//! rest; `shares` decides, and `files` does.
//!
//! # Trust
//! The guest is hostile. It names a file by the directory that it has and one name in it; no name has a `/` in it or is `.`
//! or `..`, and nothing follows a symbolic link on the host. Only regular files and directories are ever opened, so no
//! FIFO blocks and no device of the host is reached. The host's other processes may change the tree at any time.
//!
//! # Threads
//! An event loop, and so a thread, of its own, that has its own umask and makes files as the guest's user.

mod changes;
mod config;
mod device;
mod files;
mod inodes;
mod ledger;
mod locks;
mod message;
mod names;
mod owners;
mod roots;
mod share;
mod shares;
mod state;
mod status;
mod thread;
mod user;
mod waiting;
mod watches;

#[cfg(test)]
mod tests;

pub use device::{Fs, FsError};
pub use roots::Roots;
pub use state::FsState;
