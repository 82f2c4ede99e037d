//! Standard streams of a process, its side.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, dup2_stderr, dup2_stdin, dup2_stdout, fchown};

use crate::container::devices;
use crate::container::user::Identity;
use crate::fault::{At, Fault};

/// What becomes descriptors 0, 1 and 2. With a terminal these are /dev/null until it replaces them.
pub(crate) struct ChildStdio {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl ChildStdio {
    /// /dev/null for a stream that nobody attaches.
    pub(crate) fn null() -> Result<OwnedFd, Fault> {
        nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).at("opening /dev/null")
    }

    /// All three descriptors, to keep them open.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.stdin.as_fd(), self.stdout.as_fd(), self.stderr.as_fd()]
    }

    /// Puts them in place.
    pub(crate) fn install(&self) -> nix::Result<()> {
        dup2_stdin(&self.stdin)?;
        dup2_stdout(&self.stdout)?;
        dup2_stderr(&self.stderr)
    }
}

/// Gives the installed streams to the user, so that /dev/stdout and the terminal can be opened by it, as runc does.
pub(crate) fn give_to(identity: &Identity) -> nix::Result<()> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        // The null device is everybody's.
        if identity.uid != 0 && !devices::is_character_device(stream, 1, 3) {
            let group: Option<Gid> = None;
            fchown(stream, Some(Uid::from_raw(identity.uid)), group)?;
        }
    }
    Ok(())
}
