//! Connects the guest to the host's programs that it may call ([`holm_protocol::vm_dial`]): to the runtime itself and to the sockets
//! that the container was given.
//!
//! Threads: one per VM, from its start to its end. Trust: none in the VMM, which asks; it gets what is in the list.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use holm_protocol::agent::CONTROL_PORT;
use holm_protocol::vm_dial::{CONNECTED, REFUSED, REQUEST_BYTES};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, sendmsg, socket,
    socketpair,
};

/// Serves one VM's calls.
#[derive(Debug)]
pub(super) struct Switchboard<F> {
    channel: OwnedFd,
    sockets: HashMap<u32, PathBuf>,
    /// Hears of the agent's call: one connection is all that a guest gets.
    on_agent: Option<F>,
}

impl<F: FnOnce(UnixStream)> Switchboard<F> {
    /// For a VM that may call `sockets` by their ports, and whose agent is handed to `on_agent`; and the VMM's end of the channel.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub(super) fn new(
        sockets: impl IntoIterator<Item = (u32, PathBuf)>,
        on_agent: F,
    ) -> io::Result<(Self, OwnedFd)> {
        let (channel, others) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Self { channel, sockets: sockets.into_iter().collect(), on_agent: Some(on_agent) }, others))
    }

    /// Answers until the VMM is gone.
    pub(super) fn serve(mut self) {
        let mut port = [0; REQUEST_BYTES];
        loop {
            match recv(self.channel.as_raw_fd(), &mut port, MsgFlags::empty()) {
                Ok(REQUEST_BYTES) => {}
                Err(Errno::EINTR) => continue,
                Ok(_) | Err(_) => return,
            }
            let answer = self.connect(u32::from_le_bytes(port));
            if self.answer(answer.as_ref()).is_err() {
                return;
            }
        }
    }

    /// The guest's end of a connection; `None` when there is none to be had.
    fn connect(&mut self, port: u32) -> Option<OwnedFd> {
        if port == CONTROL_PORT {
            let on_agent = self.on_agent.take()?;
            let (own, guests) = UnixStream::pair().ok()?;
            on_agent(own);
            return Some(guests.into());
        }
        // To whatever listens there now, without waiting for it to accept.
        let address = UnixAddr::new(self.sockets.get(&port)?).ok()?;
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let stream = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
        connect(stream.as_raw_fd(), &address).ok()?;
        Some(stream)
    }

    fn answer(&self, stream: Option<&OwnedFd>) -> nix::Result<()> {
        let descriptors = stream.map(|stream| [stream.as_raw_fd()]);
        let rights = descriptors.as_ref().map(|descriptors| [ControlMessage::ScmRights(descriptors)]);
        let answer = [if rights.is_some() { CONNECTED } else { REFUSED }];
        let rights = rights.as_ref().map_or(&[][..], |rights| &rights[..]);
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.channel.as_raw_fd(), &[IoSlice::new(&answer)], rights, flags, None).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::mpsc;
    use std::thread;

    use nix::sys::socket::send;

    use super::*;

    /// The answer's byte.
    fn call(channel: &OwnedFd, port: u32) -> u8 {
        send(channel.as_raw_fd(), &port.to_le_bytes(), MsgFlags::empty()).unwrap();
        let mut answer = [9];
        recv(channel.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
        answer[0]
    }

    #[test]
    fn a_vmm_gets_the_agents_connection_once_and_listed_sockets_that_listen() {
        let directory = tempfile::tempdir().unwrap();
        let (sender, agents) = mpsc::channel();
        let path = directory.path().join("socket");
        let sockets = [(7, path.clone()), (8, directory.path().join("nothing"))];
        let (board, vmm) =
            Switchboard::new(sockets, move |agent: UnixStream| sender.send(agent).unwrap()).unwrap();
        let serving = thread::spawn(|| board.serve());
        assert_eq!(call(&vmm, 7), REFUSED);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!((call(&vmm, 7), call(&vmm, 8), call(&vmm, 9)), (CONNECTED, REFUSED, REFUSED));
        listener.accept().unwrap();
        assert_eq!(call(&vmm, CONTROL_PORT), CONNECTED);
        agents.recv().unwrap();
        assert_eq!(call(&vmm, CONTROL_PORT), REFUSED);
        drop(vmm);
        serving.join().unwrap();
    }
}
