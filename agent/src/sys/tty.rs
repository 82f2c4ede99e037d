//! Pseudo-terminals (ioctl_tty(2)).

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Result;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

pub(crate) use rustix::process::ioctl_tiocsctty as make_controlling;

/// Unlocks the other end of a terminal's controlling end and opens it, without any path.
pub(crate) fn open_peer(master: BorrowedFd<'_>) -> Result<OwnedFd> {
    unlockpt(master)?;
    ioctl_tiocgptpeer(master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
}

/// Sets the size in characters.
pub(crate) fn resize(terminal: BorrowedFd<'_>, columns: u16, rows: u16) -> Result<()> {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
}
