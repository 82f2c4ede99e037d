//! A terminal for a process of the guest: the engine gets the master through its console socket, the slave is copied to and
//! from the guest, where the real terminal is.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::fs::{Mode, OFlags, open};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::error::OciError;

/// Makes a terminal, the controlling one of this session, and sends its master to whoever listens on `socket`. `size` is in
/// columns and rows.
pub(super) fn open_console(socket: &Path, size: Option<(u16, u16)>) -> Result<OwnedFd, OciError> {
    let what = "cannot make a terminal";
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC);
    let master = master.map_err(OciError::system(what))?;
    grantpt(&master).and_then(|()| unlockpt(&master)).map_err(OciError::system(what))?;
    let path = ptsname(&master, Vec::new()).map_err(OciError::system(what))?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = open(path.as_c_str(), flags, Mode::empty()).map_err(OciError::system(what))?;
    if let Some((columns, rows)) = size {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&slave, size).map_err(OciError::system(what))?;
    }
    make_raw(slave.as_fd())?;
    // Changes of its size come as SIGWINCH, and its end as SIGHUP. A session that has another terminal goes without.
    let _ = ioctl_tiocsctty(&slave);
    let what = "cannot send the terminal to the console socket";
    let connection = UnixStream::connect(socket).map_err(OciError::system(what))?;
    let rights = [master.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&rights)];
    let name = [IoSlice::new(path.to_bytes())];
    sendmsg::<()>(connection.as_raw_fd(), &name, &rights, MsgFlags::MSG_NOSIGNAL, None)
        .map_err(OciError::system(what))?;
    Ok(slave)
}

/// The guest's terminal does what terminals do; this one only carries bytes.
fn make_raw(terminal: impl AsFd) -> Result<(), OciError> {
    let what = "cannot set up the terminal";
    let mut attributes = tcgetattr(&terminal).map_err(OciError::system(what))?;
    attributes.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &attributes).map_err(OciError::system(what))
}

/// Columns and rows of a terminal; `None` where they are not known.
pub(super) fn size_of(terminal: impl AsFd) -> Option<(u16, u16)> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{IoSliceMut, Read, Write};
    use std::mem::MaybeUninit;
    use std::os::unix::net::UnixListener;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    #[test]
    fn the_master_arrives_and_the_terminal_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("console");
        let listener = UnixListener::bind(&socket).unwrap();
        let slave = open_console(&socket, Some((80, 24))).unwrap();
        let (engine, _) = listener.accept().unwrap();
        let (mut name, mut space) = ([0; 64], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))]);
        let mut control = RecvAncillaryBuffer::new(&mut space);
        recvmsg(&engine, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::empty()).unwrap();
        let master = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let mut master = File::from(master.unwrap());
        assert_eq!(size_of(&master), Some((80, 24)));
        let mut slave = File::from(slave);
        slave.write_all(b"a\nb").unwrap();
        let mut seen = [0; 3];
        master.read_exact(&mut seen).unwrap();
        assert_eq!(&seen, b"a\nb", "no carriage return was added");
        master.write_all(b"\x03\n").unwrap();
        let mut typed = [0; 2];
        slave.read_exact(&mut typed).unwrap();
        assert_eq!(&typed, b"\x03\n", "^C is the guest's to act on");
    }
}
