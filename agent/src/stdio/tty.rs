//! The agent's end of a pseudo-terminal, for reading, writing and resizing at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::container::TerminalSize;
use crate::sys::tty;
use crate::sys::watched::watched;

/// A terminal's controlling end.
pub(crate) struct Tty(AsyncFd<OwnedFd>);

impl Tty {
    /// Takes over the descriptor and makes it non-blocking.
    pub(crate) fn new(master: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&master, FcntlArg::F_GETFL)?);
        fcntl(&master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        watched(master, Interest::READABLE | Interest::WRITABLE).map(Self)
    }

    /// Reads what the process printed; 0 when nobody has the terminal open any more.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|tty| Ok(nix::unistd::read(tty.as_fd(), buffer)?)) {
                // What a terminal without its other end says.
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::EIO as i32) => return Ok(0),
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Types all of `bytes`.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|tty| Ok(nix::unistd::write(tty.as_fd(), bytes)?)) {
                Ok(written) => bytes = bytes.get(written?..).unwrap_or_default(),
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    /// Sets the size; the kernel signals SIGWINCH.
    pub(crate) fn resize(&self, size: TerminalSize) -> rustix::io::Result<()> {
        tty::resize(self.0.get_ref().as_fd(), size.columns, size.rows)
    }
}
