//! Work in the network namespace of another process (setns(2)).

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use nix::sched::{CloneFlags, setns};

/// Does `work` there, on a thread that ends with it: sockets belong to the namespace in which they are made.
pub(crate) fn within<T: Send>(
    process: &OwnedFd,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let there = || {
        setns(process, CloneFlags::CLONE_NEWNET)?;
        work()
    };
    let done = thread::scope(|scope| scope.spawn(there).join());
    done.unwrap_or_else(|_| Err(io::Error::other("the thread ended early")))
}
