//! A pid namespace for a VMM (pid_namespaces(7)), in which it finds no process but itself.
//!
//! A process cannot move itself into another: whoever starts it says where. The calling thread asks for a namespace for what it
//! starts, starts it, and takes its own back.

use std::fs::File;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

/// What of a thread says where its children go.
const OWN: &str = "/proc/thread-self/ns/pid";

/// Lets `start` start a process in a pid namespace of its own, where this process may make one. It must start no thread.
///
/// # Errors
/// That of `start`, or this thread's children would go on to the new namespace, which is over when its first process is.
pub(super) fn in_its_own<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let own = File::open(OWN)?;
    match unshare(CloneFlags::CLONE_NEWPID) {
        Ok(()) => {}
        // An ordinary user's.
        Err(Errno::EPERM) => return start(),
        Err(error) => {
            tracing::info!(%error, "the host gives the VMM no pid namespace: it runs without one");
            return start();
        }
    }
    let started = start();
    setns(own, CloneFlags::CLONE_NEWPID)?;
    started
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// As root the child is alone; whoever may make no namespace sees it where this process is.
    #[test]
    fn a_child_has_a_namespace_and_the_next_one_has_not() {
        let space = std::fs::read_link(OWN).unwrap();
        let number = in_its_own(|| Command::new("sh").args(["-c", "echo $$"]).output()).unwrap().stdout;
        let may = unshare(CloneFlags::CLONE_NEWUTS).is_ok();
        assert_eq!(number == b"1\n", may);
        let next =
            String::from_utf8(Command::new("readlink").arg("/proc/self/ns/pid").output().unwrap().stdout)
                .unwrap();
        assert_eq!(next.trim(), space.to_str().unwrap());
        std::thread::spawn(|| {}).join().unwrap();
    }
}
