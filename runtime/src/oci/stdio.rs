//! The streams of a process in the guest, copied from and to descriptors that this process was started with, or a terminal.
//!
//! One thread per stream, with a fixed buffer. A slow reader slows the process down, and an end that is gone is as gone for the
//! process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use holm_protocol::stream::{StreamHeader, StreamKind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{major, minor};

use super::error::OciError;
use crate::sandbox::PendingStream;

/// Bytes carried at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// The standard streams that a process gets which stands for one in a guest: they are that one's. With a terminal they carry the
/// bytes of its master.
#[derive(Debug)]
pub struct Streams {
    /// /dev/null for nothing to read.
    pub stdin: Stdio,
    /// Standard output, or all that a terminal shows.
    pub stdout: Stdio,
    /// Unused with a terminal.
    pub stderr: Stdio,
}

impl Streams {
    /// Those of this process.
    #[must_use]
    pub fn inherited() -> Self {
        Self { stdin: Stdio::inherit(), stdout: Stdio::inherit(), stderr: Stdio::inherit() }
    }

    /// Gives them to a process that is yet to be made.
    pub(super) fn are_of(self, command: &mut Command) {
        command.stdin(self.stdin).stdout(self.stdout).stderr(self.stderr);
    }
}

/// The ends on the host.
#[derive(Debug)]
pub(super) struct Ends {
    /// `None` for nothing to read: the process gets /dev/null.
    stdin: Option<File>,
    stdout: File,
    /// `None` with a terminal.
    stderr: Option<File>,
}

impl Ends {
    /// The standard streams of this process.
    pub(super) fn inherited() -> Result<Self, OciError> {
        let what = "cannot use the standard streams";
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let own = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned().map(File::from);
        let stdin = own(&stdin).map_err(OciError::system(what))?;
        Ok(Self {
            stdin: (!is_null(&stdin)).then_some(stdin),
            stdout: own(&stdout).map_err(OciError::system(what))?,
            stderr: Some(own(&stderr).map_err(OciError::system(what))?),
        })
    }

    /// A terminal.
    pub(super) fn terminal(terminal: OwnedFd) -> Result<Self, OciError> {
        let again = terminal.try_clone().map_err(OciError::system("cannot use the terminal"))?;
        Ok(Self { stdin: Some(terminal.into()), stdout: again.into(), stderr: None })
    }

    /// The terminal that the caller's standard input and output are: the caller has made it raw.
    pub(super) fn inherited_terminal() -> Result<Self, OciError> {
        Ok(Self { stderr: None, ..Self::inherited()? })
    }

    /// The same ends once more.
    pub(super) fn again(&self) -> Result<Self, OciError> {
        let again = |file: &File| file.try_clone().map_err(OciError::system("cannot use a standard stream"));
        Ok(Self {
            stdin: self.stdin.as_ref().map(again).transpose()?,
            stdout: again(&self.stdout)?,
            stderr: self.stderr.as_ref().map(again).transpose()?,
        })
    }

    /// Whether there is anything to read.
    pub(super) fn has_stdin(&self) -> bool {
        self.stdin.is_some()
    }

    /// The size of the terminal, if they are one.
    pub(super) fn size(&self) -> Option<(u16, u16)> {
        self.stdin.as_ref().and_then(super::console::size_of)
    }

    /// Asks for the guest's ends.
    pub(super) fn ask(&self, vsock: &Path, container: &str, process: &str) -> Result<Asked, OciError> {
        let kinds = [
            self.stdin.is_some().then_some(StreamKind::Stdin),
            Some(StreamKind::Stdout),
            self.stderr.is_some().then_some(StreamKind::Stderr),
        ];
        let ask = |kind| {
            let header =
                StreamHeader { container_id: container.to_owned(), process_id: process.to_owned(), kind };
            Ok((kind, PendingStream::ask(vsock, header)?))
        };
        Ok(Asked(kinds.into_iter().flatten().map(ask).collect::<Result<_, OciError>>()?))
    }
}

/// Gives up the standard streams of this process, whose workload has a terminal: whoever called reads them to their end.
pub(super) fn leave_inherited() -> Result<(), OciError> {
    let what = "cannot give up the standard streams";
    let null = File::options().read(true).write(true).open("/dev/null").map_err(OciError::system(what))?;
    rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .map_err(OciError::system(what))
}

/// Whether there is nothing to be read.
fn is_null(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| {
        metadata.file_type().is_char_device() && (major(metadata.rdev()), minor(metadata.rdev())) == (1, 3)
    })
}

/// The guest's ends, not connected yet.
#[derive(Debug)]
pub(super) struct Asked(Vec<(StreamKind, PendingStream)>);

impl Asked {
    /// Connects both ends. The process was made.
    pub(super) fn carry(self, ends: &Ends) -> Result<Carriers, OciError> {
        let mut outputs = Vec::new();
        for (kind, pending) in self.0 {
            let (guest, Ends { stdin, stdout, stderr }) = (pending.connected()?, ends.again()?);
            match (kind, stdin, stderr) {
                (StreamKind::Stdin, Some(from), stderr) => {
                    thread::spawn(move || carry_in(from, &guest, stderr.is_none()));
                }
                (StreamKind::Stderr, _, Some(to)) => {
                    outputs.push(thread::spawn(move || carry_out(guest, to)));
                }
                _ => outputs.push(thread::spawn(move || carry_out(guest, stdout))),
            }
        }
        Ok(Carriers(outputs))
    }
}

/// The threads that carry outputs.
#[derive(Debug, Default)]
pub(super) struct Carriers(Vec<JoinHandle<()>>);

impl Carriers {
    /// Waits until all that the guest sent was written.
    pub(super) fn drain(self) {
        for carrier in self.0 {
            // One that panicked has nothing more to deliver.
            let _ = carrier.join();
        }
    }
}

/// A terminal has no end: whoever holds its master may go, and the signal for that is another.
fn carry_in(mut from: File, mut guest: &UnixStream, is_terminal: bool) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => {
                if guest.write_all(buffer.get(..length).unwrap_or_default()).is_err() {
                    return;
                }
            }
            Err(error) if wait_for(&error, &from, PollFlags::IN) => {}
            Err(_) => break,
        }
    }
    if !is_terminal {
        // A process that is gone has no use for the end of its input.
        let _ = guest.shutdown(Shutdown::Write);
    }
}

fn carry_out(mut guest: UnixStream, mut to: File) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match guest.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                if write_all(&mut to, buffer.get(..length).unwrap_or_default()).is_err() {
                    // The process is told at its next write.
                    let _ = guest.shutdown(Shutdown::Both);
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Whoever has the other end may have made it non-blocking.
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if wait_for(&error, to, PollFlags::OUT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits out what is no failure; whether it was none.
fn wait_for(error: &io::Error, file: &File, flags: PollFlags) -> bool {
    match error.kind() {
        io::ErrorKind::Interrupted => true,
        io::ErrorKind::WouldBlock => {
            // Whatever it says, the next attempt tells.
            let _ = poll(&mut [PollFd::new(file, flags)], None);
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{OFlags, fcntl_setfl};

    use super::*;

    #[test]
    fn output_waits_for_a_reader_that_does_not_block() {
        let (mut guest, host) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = OwnedFd::from(writer);
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let carrier = thread::spawn(move || carry_out(host, writer.into()));
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let expected = sent.clone();
        let sending = thread::spawn(move || guest.write_all(&sent).unwrap());
        let mut seen = Vec::new();
        reader.read_to_end(&mut seen).unwrap();
        sending.join().unwrap();
        carrier.join().unwrap();
        assert!(seen == expected);
    }

    #[test]
    fn the_end_of_the_input_is_passed_on_but_for_a_terminal() {
        for is_terminal in [false, true] {
            let (mut guest, host) = UnixStream::pair().unwrap();
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(b"typed").unwrap();
            drop(writer);
            carry_in(OwnedFd::from(reader).into(), &host, is_terminal);
            guest.set_nonblocking(true).unwrap();
            let mut seen = Vec::new();
            let end = guest.read_to_end(&mut seen);
            assert_eq!((seen.as_slice(), end.is_ok()), (b"typed".as_slice(), !is_terminal));
        }
    }

    #[test]
    fn nothing_to_read_is_known() {
        assert!(is_null(&File::open("/dev/null").unwrap()));
        assert!(!is_null(&File::open("/dev/zero").unwrap()));
    }
}
