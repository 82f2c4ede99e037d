//! clone3(2): a child that starts in its namespaces and in its cgroup, with a pidfd in the same breath.
//!
//! The agent has one thread, always: no lock can be held by a thread that does not exist in the child, so the child may
//! allocate and use the standard library. It must never return into the runtime: it ends in execve or `_exit`.

#![allow(unsafe_code)] // clone3 has no wrapper.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::Result;
use nix::errno::Errno;
use nix::unistd::Pid;

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of linux/sched.h.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of the clone this is.
pub(crate) enum Cloned {
    /// The caller: the child's pid in the caller's namespace, and a descriptor for it.
    Parent { pid: Pid, pidfd: OwnedFd },
    /// The new process.
    Child,
}

/// Clones the process; `namespaces` are `CLONE_NEW*` bits, `cgroup` is where the child is born.
///
/// Like fork(2) in all else: copied memory, SIGCHLD to the parent at the end.
pub(crate) fn clone_process(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: namespaces | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    }
    // SAFETY: `args` has the size that is passed; without CLONE_VM and a stack the child is a copy that goes on here,
    // and the process has one thread (see the module's text), so the copy is consistent.
    let result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match Errno::result(result)? {
        0 => Ok(Cloned::Child),
        pid => {
            let pid = Pid::from_raw(libc::pid_t::try_from(pid).map_err(|_| Errno::EOVERFLOW)?);
            // SAFETY: CLONE_PIDFD made the kernel store a new descriptor for us in `pidfd`.
            Ok(Cloned::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } })
        }
    }
}

/// Ends this process at once: no destructors, no exit handlers.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` only ends the process.
    unsafe { libc::_exit(status) }
}
