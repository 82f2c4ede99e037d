//! What reaches a published port over IPv6 without the rules: connections from the host's own loopback address, which the kernel does not
//! translate, and all of those to a container without an IPv6 address. They arrive at the sockets that hold the ports, and their bytes
//! are carried to the container; it sees the host's address on its network.
//!
//! Threads: one takes connections and carries datagrams, two for each connection, at most [`MAX_CONNECTIONS`]. All of
//! it ends with the value. Trust: neither side is; nothing is understood, everything is bounded.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::port_socket::PortSocket;

/// Connections of one container at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 256;
/// Whose datagrams are carried at a time, for one port; who sent last longest ago is forgotten.
const MAX_SENDERS: usize = 64;
/// After so long without a datagram in either direction a sender is forgotten.
const SENDER_IDLE: Duration = Duration::from_secs(90);
/// How often that is looked at, while there are some.
const LOOK_S: i64 = 10;
/// How long a container may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that UDP carries.
const MAX_DATAGRAM_BYTES: usize = 65_535;
/// After an accept(2) that failed for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Carries what arrives. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Proxy {
    shared: Arc<Shared>,
    /// Its end tells the thread to end.
    alive: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// The container's address; none while it has none that leads anywhere.
    target: Mutex<Option<IpAddr>>,
    /// Both ends of each connection; none once there are to be no more.
    connections: Mutex<Option<HashMap<u64, [TcpStream; 2]>>>,
    next: AtomicU64,
}

/// A port that holds datagrams, and who sent some.
struct Datagrams {
    socket: UdpSocket,
    port: u16,
    senders: HashMap<SocketAddr, Sender>,
}

struct Sender {
    /// Connected to the container.
    socket: UdpSocket,
    last: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Carries what arrives at sockets to these ports of a container.
    ///
    /// # Errors
    /// The host is out of descriptors or threads.
    pub(super) fn start(sockets: Vec<(PortSocket, u16)>) -> io::Result<Self> {
        let (mut listeners, mut datagrams) = (Vec::new(), Vec::new());
        for (socket, port) in sockets {
            match socket {
                PortSocket::Tcp(listener) => {
                    listener.set_nonblocking(true)?;
                    listeners.push((listener, port));
                }
                PortSocket::Udp(socket) => {
                    socket.set_nonblocking(true)?;
                    datagrams.push(Datagrams { socket, port, senders: HashMap::new() });
                }
            }
        }
        let (alive, end) = UnixStream::pair()?;
        let shared = Arc::new(Shared {
            target: Mutex::default(),
            connections: Mutex::new(Some(HashMap::new())),
            next: AtomicU64::default(),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || carry(&own, &listeners, &mut datagrams, &end))?;
        Ok(Self { shared, alive: Some(alive), thread: Some(thread) })
    }

    /// Where the container is from now on.
    pub(super) fn lead_to(&self, target: Option<IpAddr>) {
        *lock(&self.shared.target) = target;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has closed its ports, too.
            let _ = thread.join();
        }
        for streams in lock(&self.shared.connections).take().into_iter().flatten() {
            // Wakes the threads that copy.
            let _ = streams.1.map(|stream| stream.shutdown(Shutdown::Both));
        }
    }
}

fn carry(
    shared: &Arc<Shared>,
    listeners: &[(TcpListener, u16)],
    datagrams: &mut [Datagrams],
    end: &UnixStream,
) {
    loop {
        let readable = match wait(listeners, datagrams, end) {
            Ok(readable) => readable,
            Err(error) => {
                tracing::warn!(%error, "published ports are not carried over IPv6 any more");
                return;
            }
        };
        let mut readable = readable.into_iter();
        // The order of `wait`.
        if readable.next() != Some(false) {
            return;
        }
        for (listener, port) in listeners {
            if readable.next() == Some(true) {
                accept(shared, listener, *port);
            }
        }
        let target = *lock(&shared.target);
        for of_port in datagrams.iter_mut() {
            let from_outside = readable.next() == Some(true);
            of_port.back(&mut readable);
            if from_outside {
                of_port.forth(target);
            }
            of_port.senders.retain(|_, sender| sender.last.elapsed() < SENDER_IDLE);
        }
    }
}

/// Waits until something is readable; whether `end`, each listener, and each port's socket with those of its senders is.
fn wait(
    listeners: &[(TcpListener, u16)],
    datagrams: &[Datagrams],
    end: &UnixStream,
) -> io::Result<Vec<bool>> {
    let listening = listeners.iter().map(|(listener, _)| listener.as_fd());
    let of_datagrams = datagrams.iter().flat_map(|of_port| {
        let senders = of_port.senders.values().map(|sender| sender.socket.as_fd());
        std::iter::once(of_port.socket.as_fd()).chain(senders)
    });
    let all: Vec<BorrowedFd<'_>> =
        std::iter::once(end.as_fd()).chain(listening).chain(of_datagrams).collect();
    let mut polled: Vec<PollFd<'_>> =
        all.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let has_senders = datagrams.iter().any(|of_port| !of_port.senders.is_empty());
    let timeout = has_senders.then_some(Timespec { tv_sec: LOOK_S, tv_nsec: 0 });
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) => Ok(polled.iter().map(|polled| !polled.revents().is_empty()).collect()),
        Err(rustix::io::Errno::INTR) => Ok(vec![false; all.len()]),
        Err(error) => Err(error.into()),
    }
}

/// Takes one connection and has others carry it.
fn accept(shared: &Arc<Shared>, listener: &TcpListener, port: u16) {
    let client = match listener.accept() {
        Ok((client, _)) => client,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
        Err(error) => {
            tracing::debug!(%error, "a connection over IPv6");
            thread::sleep(PAUSE);
            return;
        }
    };
    let (own, target) = (Arc::clone(shared), *lock(&shared.target));
    // One for the value, one for this thread, one for each that carries a connection or still waits for the container.
    let is_full = Arc::strong_count(&own) > MAX_CONNECTIONS + 2;
    let Some(target) = target.filter(|_| !is_full) else { return };
    let carried = thread::Builder::new().name("proxied".to_owned()).spawn(move || {
        if let Err(error) = exchange(&own, &client, SocketAddr::new(target, port)) {
            tracing::debug!(%error, "a connection over IPv6");
        }
    });
    if let Err(error) = carried {
        tracing::debug!(%error, "a connection over IPv6");
    }
}

/// Copies both directions of a connection, each until its sender has no more to say.
fn exchange(shared: &Shared, client: &TcpStream, target: SocketAddr) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let number = shared.next.fetch_add(1, Ordering::Relaxed);
    let server = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
    match lock(&shared.connections).as_mut() {
        Some(connections) => connections.insert(number, [client.try_clone()?, server.try_clone()?]),
        None => return Ok(()),
    };
    thread::scope(|both| {
        both.spawn(|| copy(&server, client));
        copy(client, &server);
    });
    if let Some(connections) = lock(&shared.connections).as_mut() {
        connections.remove(&number);
    }
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // Whoever failed has ended; the other side is told by the end of the stream.
    if io::copy(&mut from, &mut to).is_err() {
        let _ = from.shutdown(Shutdown::Both);
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl Datagrams {
    /// Carries one datagram of the outside's.
    fn forth(&mut self, target: Option<IpAddr>) {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        let (Ok((length, from)), Some(target)) = (self.socket.recv_from(&mut buffer), target) else { return };
        let target = SocketAddr::new(target, self.port);
        if !self.senders.contains_key(&from) {
            let Ok(socket) = connected(target) else { return };
            if self.senders.len() >= MAX_SENDERS
                && let Some((oldest, _)) = self.senders.iter().min_by_key(|(_, sender)| sender.last)
            {
                let oldest = *oldest;
                self.senders.remove(&oldest);
            }
            self.senders.insert(from, Sender { socket, last: Instant::now() });
        }
        if let Some(sender) = self.senders.get_mut(&from) {
            sender.last = Instant::now();
            // What cannot be sent is lost, as datagrams are.
            let _ = sender.socket.send(buffer.get(..length).unwrap_or_default());
        }
    }

    /// Carries one datagram back to each sender whose socket has one.
    fn back(&mut self, readable: &mut impl Iterator<Item = bool>) {
        let mut buffer = vec![0; MAX_DATAGRAM_BYTES];
        for (to, sender) in &mut self.senders {
            if readable.next() == Some(true)
                && let Ok(length) = sender.socket.recv(&mut buffer)
            {
                sender.last = Instant::now();
                let _ = self.socket.send_to(buffer.get(..length).unwrap_or_default(), to);
            }
        }
    }
}

fn connected(target: SocketAddr) -> io::Result<UdpSocket> {
    let any = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_nonblocking(true)?;
    socket.connect(target)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const HERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    /// A port of each kind, and a proxy that leads from them to others.
    fn proxy(tcp: u16, udp: u16) -> (Proxy, SocketAddr, SocketAddr) {
        let (listener, socket) = (TcpListener::bind(HERE).unwrap(), UdpSocket::bind(HERE).unwrap());
        let addresses = (listener.local_addr().unwrap(), socket.local_addr().unwrap());
        let proxy =
            Proxy::start(vec![(PortSocket::Tcp(listener), tcp), (PortSocket::Udp(socket), udp)]).unwrap();
        proxy.lead_to(Some(Ipv4Addr::LOCALHOST.into()));
        (proxy, addresses.0, addresses.1)
    }

    #[test]
    fn connections_are_carried_with_their_ends() {
        let server = TcpListener::bind(HERE).unwrap();
        let (proxy, address, _) = proxy(server.local_addr().unwrap().port(), 9);
        let serving = thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut asked = Vec::new();
            client.read_to_end(&mut asked).unwrap();
            client.write_all(&asked.repeat(2)).unwrap();
            drop(client);
            // Open until the proxy ends it.
            let (mut other, _) = server.accept().unwrap();
            other.read_to_end(&mut asked).unwrap();
        });
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(&[7; 100_000]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, vec![7; 200_000]);
        let mut open = TcpStream::connect(address).unwrap();
        open.write_all(b"x").unwrap();
        // The second one.
        while !lock(&proxy.shared.connections).as_ref().unwrap().contains_key(&1) {
            thread::yield_now();
        }
        drop(proxy);
        assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0);
        serving.join().unwrap();
        assert!(TcpListener::bind(address).is_ok(), "the port is free");
    }

    #[test]
    fn datagrams_are_answered_to_who_sent_them() {
        let server = UdpSocket::bind(HERE).unwrap();
        let (_proxy, _, address) = proxy(9, server.local_addr().unwrap().port());
        let clients = [UdpSocket::bind(HERE).unwrap(), UdpSocket::bind(HERE).unwrap()];
        let mut buffer = [0; 16];
        for (client, word) in clients.iter().zip([b"one", b"two"]) {
            client.send_to(word, address).unwrap();
        }
        for _ in &clients {
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            server.send_to(&buffer[..length], from).unwrap();
        }
        for (client, word) in clients.iter().zip([b"one", b"two"]) {
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from), (&word[..], address));
        }
    }

    #[test]
    fn without_a_container_nobody_is_answered() {
        let (proxy, address, _) = proxy(9, 9);
        proxy.lead_to(None);
        let mut client = TcpStream::connect(address).unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap_or(0), 0);
    }
}
