//! Accepts the vsock connections that carry streams.
//!
//! Trust: only the host (CID 2) is heard; a container that connects to its own guest is not.

use std::io;
use std::str;
use std::sync::Arc;
use std::time::Duration;

use holm_protocol::agent::STREAM_PORT;
use holm_protocol::stream::{MAX_HEADER_BYTES, StreamHeader, StreamKind};
use tokio::io::AsyncReadExt;
use tokio_vsock::{VMADDR_CID_ANY, VMADDR_CID_HOST, VsockAddr, VsockListener, VsockStream};

use super::{Attachment, Host, pump};
use crate::fault::{At, Fault};
use crate::registry::{Registry, TransferStream};

/// How long to wait after a failed accept (out of descriptors or memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on [`STREAM_PORT`].
pub(crate) fn bind() -> io::Result<VsockListener> {
    VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, STREAM_PORT))
}

/// Accepts streams for ever.
pub(crate) async fn serve(listener: VsockListener, registry: Arc<Registry>) {
    loop {
        match listener.accept().await {
            Ok((connection, peer)) if peer.cid() == VMADDR_CID_HOST => {
                let registry = Arc::clone(&registry);
                tokio::spawn(async move {
                    if let Err(fault) = attach(connection, &registry).await {
                        tracing::warn!("refused a stream: {fault}");
                    }
                });
            }
            Ok((_, peer)) => tracing::warn!("refused a stream from CID {}", peer.cid()),
            Err(error) => {
                tracing::error!("accepting a stream: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn attach(mut connection: VsockStream, registry: &Registry) -> Result<(), Fault> {
    // However long it takes: the host connects before it has the process made, and a volume may be filled before that.
    let (header, early) = read_header(&mut connection).await?;
    if header.kind == StreamKind::Files {
        return registry.transfers().offer(header.process_id, TransferStream { connection, early });
    }
    let process = registry.process(&header.container_id, &header.process_id)?;
    let host = Host { connection, early };
    match process.streams().attach(header.kind)? {
        Attachment::First(endpoint, guard, others) => {
            pump(endpoint, Some(host), others, guard, process.ended()).await;
        }
        // One that ends meanwhile has no use for it.
        Attachment::Another(pump) => pump.send(host).await.unwrap_or_default(),
    }
    Ok(())
}

/// The header, and what of the stream came with it.
async fn read_header(connection: &mut (impl AsyncReadExt + Unpin)) -> Result<(StreamHeader, Vec<u8>), Fault> {
    let what = "reading a stream's header";
    let mut bytes = Vec::with_capacity(MAX_HEADER_BYTES);
    loop {
        if let Some(end) = bytes.iter().position(|b| *b == b'\n') {
            let early = bytes.split_off(end + 1);
            let header = str::from_utf8(&bytes).refuse(what)?.parse().refuse(what)?;
            return Ok((header, early));
        }
        let mut chunk = [0_u8; MAX_HEADER_BYTES];
        let room = chunk.get_mut(bytes.len()..).unwrap_or_default();
        if room.is_empty() {
            return Err(Fault::invalid("a stream's header is too long"));
        }
        let count = connection.read(room).await.at(what)?;
        if count == 0 {
            return Err(Fault::invalid("a stream ended in its header"));
        }
        bytes.extend_from_slice(room.get(..count).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn header(pieces: &[&[u8]]) -> Result<(StreamHeader, Vec<u8>), Fault> {
        let (mut host, mut guest) = tokio::io::duplex(4096);
        for piece in pieces {
            host.write_all(piece).await.unwrap();
        }
        drop(host);
        read_header(&mut guest).await
    }

    #[tokio::test]
    async fn what_follows_the_header_belongs_to_the_stream() {
        let (found, early) = header(&[b"box - st", b"din\nfirst bytes"]).await.unwrap();
        assert_eq!((found.container_id.as_str(), found.kind), ("box", StreamKind::Stdin));
        assert_eq!(early, b"first bytes");
    }

    #[tokio::test]
    async fn bad_headers_are_refused() {
        for bytes in [&b"box - stdin"[..], b"", b"box\n", b"\xff\xfe\n", &[b'x'; 500], b"a - nope\n"] {
            assert!(header(&[bytes]).await.is_err(), "{bytes:?}");
        }
    }
}
