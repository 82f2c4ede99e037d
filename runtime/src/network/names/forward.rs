//! Asks the nameservers that the container would have without this service, one after the other.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::{Transport, message};

/// What one nameserver gets.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most that UDP carries.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// The first answer; `None` when nobody gives one.
pub(super) fn ask(question: &[u8], nameservers: &[SocketAddr], transport: Transport) -> Option<Vec<u8>> {
    nameservers.iter().find_map(|server| {
        let answer = match transport {
            Transport::Udp => over_udp(question, *server),
            Transport::Tcp => over_tcp(question, *server),
        };
        answer.inspect_err(|error| tracing::debug!(%server, %error, "a nameserver")).ok()
    })
}

fn over_udp(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.send(question)?;
    let deadline = Instant::now() + PATIENCE;
    let mut answer = vec![0; MAX_DATAGRAM_BYTES];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut answer)?;
        // Anything else is a late answer to somebody who had this port before.
        if length >= 2 && answer.get(..2) == question.get(..2) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

fn over_tcp(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    message::write(&mut stream, question)?;
    stream.flush()?;
    message::read(&mut stream)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const HERE: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    #[test]
    fn the_first_nameserver_that_answers_counts_and_only_what_was_asked() {
        let silent = TcpListener::bind(HERE).unwrap().local_addr().unwrap();
        let server = UdpSocket::bind(HERE).unwrap();
        let address = server.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let mut question = [0; 100];
            let (length, from) = server.recv_from(&mut question).unwrap();
            for answer in [b"".as_slice(), b"\x01\x03late", b"\x01\x02right"] {
                server.send_to(answer, from).unwrap();
            }
            question[..length].to_vec()
        });
        let answer = ask(b"\x01\x02question", &[silent, address], Transport::Udp);
        assert_eq!(answer.as_deref(), Some(b"\x01\x02right".as_slice()));
        assert_eq!(serving.join().unwrap(), b"\x01\x02question");
        assert_eq!(ask(b"\x01\x02question", &[], Transport::Udp), None);
    }

    #[test]
    fn long_answers_come_over_tcp() {
        let server = TcpListener::bind(HERE).unwrap();
        let address = server.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let question = message::read(&mut client).unwrap().unwrap();
            message::write(&mut client, &question.repeat(1000)).unwrap();
        });
        let answer = ask(b"question", &[address], Transport::Tcp).unwrap();
        assert_eq!(answer, b"question".repeat(1000));
        serving.join().unwrap();
    }
}
