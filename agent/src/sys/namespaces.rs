//! Namespaces: a new one of the network, and work in one of another process (unshare(2), setns(2)).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use super::network;

/// A new one, with the loopback interface up.
pub(crate) fn make() -> io::Result<File> {
    on_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        network::bring_up("lo")?;
        File::open("/proc/thread-self/ns/net")
    })
}

/// Does `work` in its namespace of this `kind`, on a thread that ends with it: sockets belong to the namespace in which they are
/// made.
pub(crate) fn within<T: Send>(
    process: &OwnedFd,
    kind: CloneFlags,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    on_a_thread(|| {
        setns(process, kind)?;
        work()
    })
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let done = thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|_| Err(io::Error::other("the thread ended early")))
}
