//! The resolver of a container: 127.0.0.11, port 53, in its network namespace, as in Docker. Each question is carried to the
//! host, which knows the containers' names; nothing of it is understood here.
//!
//! Trust: the container asks whatever it likes. At most [`MAX_QUESTIONS`] are on their way, further ones wait in the socket.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use holm_protocol::agent::{NAMES_OVER_TCP, NAMES_OVER_UDP, NAMES_PORT};
use nix::sched::CloneFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_vsock::{VMADDR_CID_HOST, VsockAddr, VsockStream};

use crate::fault::{At, Fault};
use crate::sys::namespaces;

const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);
/// Questions and connections that are served at a time; the host takes no more, either.
const MAX_QUESTIONS: usize = 48;
/// A question over UDP; longer ones are nobody's.
const MAX_QUESTION_BYTES: usize = 4096;
/// By then whoever asked has given up.
const PATIENCE: Duration = Duration::from_secs(15);
/// Pause when a connection cannot be accepted: the guest is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers in the network namespace of the process `first`, for as long as the guest lives.
pub(crate) fn serve(first: &OwnedFd) -> Result<(), Fault> {
    let (datagrams, connections) = namespaces::within(first, CloneFlags::CLONE_NEWNET, bind)
        .and_then(|(udp, tcp)| Ok((UdpSocket::from_std(udp)?, TcpListener::from_std(tcp)?)))
        .at("making the container's resolver")?;
    let limit = Arc::new(Semaphore::new(MAX_QUESTIONS));
    tokio::spawn(take_datagrams(Arc::new(datagrams), Arc::clone(&limit)));
    tokio::spawn(take_connections(connections, limit));
    Ok(())
}

fn bind() -> io::Result<(std::net::UdpSocket, std::net::TcpListener)> {
    let (udp, tcp) = (std::net::UdpSocket::bind(ADDRESS)?, std::net::TcpListener::bind(ADDRESS)?);
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok((udp, tcp))
}

async fn take_datagrams(socket: Arc<UdpSocket>, limit: Arc<Semaphore>) {
    let mut buffer = vec![0; MAX_QUESTION_BYTES];
    while let Ok(permit) = Arc::clone(&limit).acquire_owned().await {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            sleep(PAUSE).await;
            continue;
        };
        let (socket, question) = (Arc::clone(&socket), buffer.get(..length).unwrap_or_default().to_vec());
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = answer(&socket, &question, from).await {
                tracing::debug!("a question about names: {error}");
            }
        });
    }
}

async fn answer(socket: &UdpSocket, question: &[u8], from: SocketAddr) -> io::Result<()> {
    let exchange = async {
        let mut host = ask(NAMES_OVER_UDP).await?;
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        host.write_all(&[&length.to_be_bytes(), question].concat()).await?;
        let mut answer = vec![0; host.read_u16().await?.into()];
        host.read_exact(&mut answer).await?;
        socket.send_to(&answer, from).await.map(drop)
    };
    timeout(PATIENCE, exchange).await?
}

async fn take_connections(listener: TcpListener, limit: Arc<Semaphore>) {
    while let Ok(permit) = Arc::clone(&limit).acquire_owned().await {
        let Ok((connection, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = carry(connection).await {
                tracing::debug!("a connection about names: {error}");
            }
        });
    }
}

async fn carry(mut connection: TcpStream) -> io::Result<()> {
    let mut host = ask(NAMES_OVER_TCP).await?;
    copy_bidirectional(&mut connection, &mut host).await.map(drop)
}

async fn ask(over: u8) -> io::Result<VsockStream> {
    let mut host = VsockStream::connect(VsockAddr::new(VMADDR_CID_HOST, NAMES_PORT)).await?;
    host.write_all(&[over]).await?;
    Ok(host)
}
