//! The control connection: the agent dials the host and serves ttrpc on what it dialled.
//!
//! Further connections are the host's to open: it has one for each container that is added to a guest.
//!
//! The host is there before the guest boots, so the first try succeeds. When the connection is lost (a VM restored from
//! a template finds its connections reset) the agent dials again.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use holm_protocol::agent::CONTROL_PORT;
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_vsock::{VMADDR_CID_ANY, VMADDR_CID_HOST, VsockAddr, VsockListener, VsockStream};
use ttrpc::r#async::transport::Listener;
use ttrpc::r#async::{Server, Service};

use crate::fault::{At, Fault};
use crate::sys::reset::ResetWatch;

/// Pause between tries: doubled each time up to the second value.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Serves the host, for ever.
pub(crate) async fn serve(services: HashMap<String, Service>) -> Result<(), Fault> {
    let (connections, incoming) = mpsc::channel(1);
    let mut server = Server::new().add_listener(Listener::new(Incoming(incoming))).register_service(services);
    server.start().await.at("starting the ttrpc server")?;
    let listener = VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, CONTROL_PORT));
    tokio::spawn(accept(listener.at("listening for the host")?, connections.clone()));
    loop {
        let stream = dial().await;
        let reset = ResetWatch::new(&stream).at("watching the control connection")?;
        let (connection, lost) = Connection::new(stream);
        let uptime = clock_gettime(ClockId::CLOCK_BOOTTIME).at("reading the clock")?;
        if connections.send(Ok(connection)).await.is_err() {
            return Err(Fault::internal("the ttrpc server has ended"));
        }
        // The host's first request is served before its arrival is told.
        yield_now().await;
        tracing::info!("serving the host {} ms after the boot", uptime.num_milliseconds());
        tokio::select! {
            _ = lost => {}
            () = reset.happened() => {}
        }
        tracing::warn!("the control connection is lost");
    }
}

/// Takes the connections that the host opens; a container that connects to its own guest is not heard.
async fn accept(listener: VsockListener, connections: mpsc::Sender<io::Result<Connection>>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) if peer.cid() == VMADDR_CID_HOST => {
                if connections.send(Ok(Connection::new(stream).0)).await.is_err() {
                    return;
                }
            }
            Ok((_, peer)) => tracing::warn!("refused a control connection from CID {}", peer.cid()),
            Err(error) => {
                tracing::error!("accepting a control connection: {error}");
                sleep(LONGEST_PAUSE).await;
            }
        }
    }
}

async fn dial() -> VsockStream {
    let mut pause = FIRST_PAUSE;
    loop {
        match VsockStream::connect(VsockAddr::new(VMADDR_CID_HOST, CONTROL_PORT)).await {
            Ok(connection) => return connection,
            Err(error) => tracing::warn!("dialling the host: {error}"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What the ttrpc server accepts from: the connections that were dialled.
struct Incoming(mpsc::Receiver<io::Result<Connection>>);

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}

/// A connection that tells when it is lost: at the first end of file or error, not when the server drops it, which
/// waits for the replies that are still due.
struct Connection {
    stream: VsockStream,
    lost: Option<oneshot::Sender<()>>,
}

impl Connection {
    fn new(stream: VsockStream) -> (Self, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        (Self { stream, lost: Some(sender) }, receiver)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if result.is_err() || buffer.filled().len() == before {
            self.lost.take();
        }
        Poll::Ready(result)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
