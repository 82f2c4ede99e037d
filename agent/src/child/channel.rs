//! What a child tells the agent before it becomes a program: ready, or a fault. The agent tells it once: start.
//!
//! A message is `kind: u8, length: u16 little-endian, text`; kind 0 is ready and may carry one descriptor (the
//! terminal). The end of file after the start means that execve succeeded, as the socket closes on it.
//!
//! Trust: both ends are the agent's own code; the agent bounds what it reads all the same.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};

use crate::fault::{At, Fault, FaultKind};

const READY: u8 = 0;
const HEADER_BYTES: usize = 3;
const START: u8 = b'!';

/// Both ends: the agent's and the child's.
pub(crate) fn pair() -> Result<(AgentEnd, ChildEnd), Fault> {
    let (agent, child) = UnixStream::pair().at("making a socket pair")?;
    agent.set_nonblocking(true).at("making a socket pair")?;
    let agent = tokio::net::UnixStream::from_std(agent).at("making a socket pair")?;
    Ok((AgentEnd(agent), ChildEnd(child)))
}

/// The child's end. Blocking.
pub(crate) struct ChildEnd(UnixStream);

impl ChildEnd {
    /// Says that everything is set up, hands over the terminal, and waits for the start.
    ///
    /// Returns whether to start; without an agent that listens there is no use in it.
    pub(crate) fn ready(&mut self, terminal: Option<OwnedFd>) -> bool {
        let message = [READY, 0, 0];
        let fds: Vec<RawFd> = terminal.iter().map(AsRawFd::as_raw_fd).collect();
        let control = [ControlMessage::ScmRights(&fds)];
        let control = if fds.is_empty() { &control[..0] } else { &control[..] };
        let sent = sendmsg::<()>(
            self.0.as_raw_fd(),
            &[IoSlice::new(&message)],
            control,
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        drop(terminal);
        let mut answer = [0_u8; 1];
        sent.is_ok() && self.0.read_exact(&mut answer).is_ok() && answer == [START]
    }

    /// Reports why the program will not run.
    pub(crate) fn fail(&mut self, fault: &Fault) {
        let text = fault.message.as_bytes();
        let text = text.get(..usize::from(u16::MAX)).unwrap_or(text);
        let mut message = vec![fault.kind as u8];
        message.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
        message.extend(text);
        // Nobody listens any more: nothing left to do.
        self.0.write_all(&message).unwrap_or_default();
    }
}

impl AsFd for ChildEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The agent's end.
pub(crate) struct AgentEnd(tokio::net::UnixStream);

impl AgentEnd {
    /// Waits until the child is ready; returns its terminal, if it has one.
    pub(crate) async fn ready(&mut self) -> Result<Option<OwnedFd>, Fault> {
        let mut header = [0_u8; HEADER_BYTES];
        let mut terminal = None;
        let mut filled = 0;
        while filled < HEADER_BYTES {
            self.0.readable().await.at("waiting for the process")?;
            let rest = header.get_mut(filled..).unwrap_or_default();
            match self.0.try_io(Interest::READABLE, || receive(&self.0, rest)) {
                Ok((0, _)) => return Err(Fault::internal("the process ended during its set-up")),
                Ok((count, fd)) => {
                    filled += count;
                    terminal = terminal.or(fd);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).at("waiting for the process"),
            }
        }
        match self.fault(header).await? {
            None => Ok(terminal),
            Some(fault) => Err(fault),
        }
    }

    /// Lets the child go; returns once execve succeeded or failed.
    pub(crate) async fn start(mut self) -> Result<(), Fault> {
        let gone = "the process ended before it was started";
        self.0.write_all(&[START]).await.map_err(|_| Fault::precondition(gone))?;
        let mut header = [0_u8; HEADER_BYTES];
        match self.0.read_exact(&mut header).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error).at("waiting for the program"),
            Ok(_) => match self.fault(header).await? {
                Some(fault) => Err(fault),
                None => Err(Fault::internal("the process said twice that it was ready")),
            },
        }
    }

    async fn fault(&mut self, [kind, low, high]: [u8; HEADER_BYTES]) -> Result<Option<Fault>, Fault> {
        if kind == READY {
            return Ok(None);
        }
        let mut text = vec![0_u8; usize::from(u16::from_le_bytes([low, high]))];
        self.0.read_exact(&mut text).await.at("reading what the process reports")?;
        Ok(Some(Fault::new(FaultKind::from_byte(kind), String::from_utf8_lossy(&text))))
    }
}

/// Reads bytes and at most one descriptor.
fn receive(socket: &tokio::net::UnixStream, buffer: &mut [u8]) -> std::io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let received = control.drain().find_map(|control| match control {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((message.bytes, received))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_starts_is_an_end_of_file() {
        let (mut agent, mut child) = pair().unwrap();
        let thread = std::thread::spawn(move || child.ready(None));
        assert!(agent.ready().await.unwrap().is_none());
        agent.start().await.unwrap();
        assert!(thread.join().unwrap());
    }

    #[tokio::test]
    async fn a_terminal_travels_along() {
        let (mut agent, mut child) = pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let thread = std::thread::spawn(move || child.ready(Some(null.into())));
        let terminal = agent.ready().await.unwrap().unwrap();
        assert!(crate::container::devices::is_character_device(&terminal, 1, 3));
        drop(agent);
        assert!(!thread.join().unwrap(), "without an agent there is no start");
    }

    #[tokio::test]
    async fn faults_arrive_before_and_after_the_start() {
        let (mut agent, mut child) = pair().unwrap();
        child.fail(&Fault::invalid("no"));
        assert_eq!(agent.ready().await.unwrap_err(), Fault::invalid("no"));

        let (mut agent, mut child) = pair().unwrap();
        let thread = std::thread::spawn(move || {
            child.ready(None);
            child.fail(&Fault::not_found("x".repeat(70_000)));
        });
        agent.ready().await.unwrap();
        let fault = agent.start().await.unwrap_err();
        assert_eq!((fault.kind, fault.message.len()), (FaultKind::NotFound, 65_535));
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_child_that_dies_is_noticed() {
        let (mut agent, child) = pair().unwrap();
        drop(child);
        assert_eq!(agent.ready().await.unwrap_err().kind, FaultKind::Internal);
    }
}
