//! A VM ends with the process that started it: an orphan would hold memory and disks that nobody knows of.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Why the VM cannot be tied to its parent.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// The parent ended before its end could be noticed, or is another process.
    #[error("the process that started this VM is not {0}")]
    Gone(i32),
    /// prctl(2) failed.
    #[error("cannot ask to be killed with the parent")]
    Prctl(#[source] Errno),
}

/// Has the kernel kill this process when `parent` (more exactly, its thread that started us) ends.
///
/// # Errors
/// `parent` has ended already.
pub fn end_with(parent: i32) -> Result<(), ParentError> {
    set_pdeathsig(Signal::SIGKILL).map_err(ParentError::Prctl)?;
    // Asked too late if it ended in between: then another process has adopted us.
    let is_ours = match getppid().as_raw() {
        // In a pid namespace of our own nobody outside has a number. The parent has the other end of standard output.
        0 => !is_hung_up(io::stdout().as_fd()),
        adopter => adopter == parent,
    };
    if is_ours { Ok(()) } else { Err(ParentError::Gone(parent)) }
}

/// Whether nobody has the other end of a pipe or a socket.
fn is_hung_up(channel: BorrowedFd<'_>) -> bool {
    let mut channels = [PollFd::new(channel, PollFlags::empty())];
    let hung_up = PollFlags::POLLHUP | PollFlags::POLLERR;
    poll(&mut channels, PollTimeout::ZERO).is_ok_and(|ready| {
        ready > 0 && channels.iter().filter_map(PollFd::revents).any(|events| events.intersects(hung_up))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_channel_is_hung_up_when_its_other_end_is_closed() {
        let (pipe, writer) = io::pipe().unwrap();
        let (socket, other) = UnixStream::pair().unwrap();
        assert!(!is_hung_up(writer.as_fd()) && !is_hung_up(socket.as_fd()));
        drop((pipe, other));
        assert!(is_hung_up(writer.as_fd()) && is_hung_up(socket.as_fd()));
    }
}
